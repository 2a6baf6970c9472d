/* Contact: every host from its address to ready, all at once, over SSH.
 *
 *   wait → connect → check → contact → pin → activate → confirm → unpin → set-up
 *        → held (until every host is here or has failed) → finish → done
 *
 * A host that its check finds ready goes straight to `held`. Invariants: no byte of ours goes to a
 * host whose key is not pinned; a key is written to known_hosts before it is believed; a failed
 * host stays failed for this run. */
#include "base/mem.h"
#include "cluster/contact_priv.h"
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_TIMEOUT (10 * USEC_PER_SEC)
#define REACH_TIMEOUT (10 * USEC_PER_SEC) /* for a host that ran before */
#define BREAKS_MAX 3                      /* connections that may break under a command, a host */
#define PINS_A_HOST_MAX 4
#define CONFIRM_PAUSE (200 * USEC_PER_MSEC)

struct cluster_host *contact_host(const struct contact *k)
{
    return &k->cs->hosts->items[k->index];
}

void contact_phase(struct contact *k, enum host_phase phase, const char *note)
{
    host_set_phase(k->cs->c, k->cs->hosts, k->index, phase, note);
}

static void drop_session(struct contact *k)
{
    ssh_session_free(k->session);
    k->session = NULL;
}

static void run_next(void *ctx)
{
    struct contact *k = ctx;
    timer_stop(k->timer);
    k->timer = NULL;
    k->next(k);
}

void contact_later(struct contact *k, usec_t after, void (*next)(struct contact *k))
{
    timer_stop(k->timer);
    k->next = next;
    k->timer = timer_start(k->cs->c->loop, after, run_next, k);
}

static void close_failed(struct contact *k)
{
    drop_session(k);
    contact_barrier(k->cs);
}

void contact_fail(struct contact *k, const struct err *why)
{
    if (k->stage == STAGE_FAILED)
        return;
    k->stage = STAGE_FAILED;
    k->err = *why;
    k->awaits_save = false;
    contact_phase(k, HOST_FAILED, why->msg);
    contact_later(k, 0, close_failed);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void reconnect(struct contact *k)
{
    enum stage stage = k->stage;
    contact_connect(k, stage, stage == STAGE_CONFIRM ? k->new_key : NULL, REACH_TIMEOUT);
}

/* The new key is not served yet. */
static bool confirm_again(struct contact *k, const struct err *err)
{
    if (k->stage != STAGE_CONFIRM || err->code != ERR_HOST_KEY)
        return false;
    return clock_mono(loop_clock(k->cs->c->loop)) < k->confirm_until;
}

static void connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    struct contact *k = ctx;
    (void)s;
    if (k->stage == STAGE_FAILED)
        return;
    if (!err) {
        contact_connected(k);
        return;
    }
    if (confirm_again(k, err)) {
        contact_later(k, CONFIRM_PAUSE, reconnect);
        return;
    }
    contact_fail(k, err);
}

void contact_connect(struct contact *k, enum stage stage, const char *only, usec_t retry_for)
{
    struct contacts *cs = k->cs;
    struct cluster_host *h = contact_host(k);
    drop_session(k);
    k->stage = stage;
    const char *keys[PINS_A_HOST_MAX];
    size_t n = 0;
    if (only)
        keys[n++] = only;
    else
        n = pinfile_get(cs->pins, h->instance_id, keys, COUNT_OF(keys));
    struct ssh_target target = {
        .label = h->name,
        .address = h->public_ip ? h->public_ip : h->private_ip,
        .port = cs->spec->ssh_port,
        .user = cs->spec->username,
        .host_keys = keys,
        .host_key_count = n,
    };
    struct ssh_connect_options o = {
        .identity = cs->identity,
        .attempt_timeout = ATTEMPT_TIMEOUT,
        .retry_for = retry_for,
        .retry_auth = k->young,
    };
    k->session = ssh_session_open(cs->pool, &target, &o, connected, k);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void keep_output(void *ctx, bool is_err, struct str bytes)
{
    struct contact *k = ctx;
    (void)is_err;
    buf_add_str(&k->out, bytes);
}

static void start_over(struct contact *k)
{
    contact_phase(k, HOST_BOOTING, NULL);
    contact_connect(k, STAGE_CONNECT, NULL, REACH_TIMEOUT);
}

static void command_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    struct contact *k = ctx;
    if (k->stage == STAGE_FAILED)
        return;
    if (!err) {
        contact_command_ended(k, r);
        return;
    }
    /* sshd may be restarted while a host boots; every step may be done again. */
    bool again = err->code == ERR_UNREACHABLE && ++k->breaks <= BREAKS_MAX;
    contact_setup_free(k);
    if (again)
        contact_later(k, CONFIRM_PAUSE, start_over);
    else
        contact_fail(k, err);
}

void contact_exec(struct contact *k, const char *command, struct str input, usec_t timeout,
                  void (*output)(void *ctx, bool is_err, struct str bytes))
{
    buf_clear(&k->out);
    k->out.max = CONTACT_OUTPUT_MAX;
    struct ssh_exec_request r = {
        .command = command,
        .input = input,
        .timeout = timeout,
        .output = output ? output : keep_output,
        .done = command_done,
        .ctx = k,
    };
    (void)ssh_exec_start(k->session, &r);
}

/* ---- pins: written once for all hosts that wait ------------------------------------------- */

static void save_pins(void *ctx)
{
    struct contacts *cs = ctx;
    timer_stop(cs->save_timer);
    cs->save_timer = NULL;
    struct err why = {0};
    int rc = pinfile_save(cs->pins, &why);
    for (size_t i = 0; i < cs->count; i++) {
        struct contact *k = &cs->items[i];
        if (!k->awaits_save)
            continue;
        k->awaits_save = false;
        if (rc == -1)
            contact_fail(k, &why);
        else
            contact_later(k, 0, contact_pins_saved);
    }
}

void contact_save_pins(struct contact *k)
{
    k->awaits_save = true;
    if (!k->cs->save_timer)
        k->cs->save_timer = timer_start(k->cs->c->loop, USEC_PER_MSEC, save_pins, k->cs);
}

/* ---- the whole ----------------------------------------------------------------------------- */

struct contacts *contacts_new(struct cluster *c, const struct cluster_spec *spec,
                              const struct ssh_identity *identity, struct pins *pins,
                              struct cluster_hosts *hosts)
{
    struct contacts *cs = mem_alloc(sizeof *cs);
    *cs = (struct contacts){
        .c = c,
        .spec = spec,
        .identity = identity,
        .pins = pins,
        .hosts = hosts,
        .count = hosts->count,
        .items = mem_array(hosts->count ? hosts->count : 1, sizeof *cs->items),
        .pool = ssh_pool_new(c->loop),
        .began = clock_mono(loop_clock(c->loop)),
    };
    setup_print(&spec->setup_cmds, cs->setup_print);
    for (size_t i = 0; i < cs->count; i++) {
        struct cluster_host *h = &hosts->items[i];
        cs->items[i] = (struct contact){.cs = cs, .index = i};
        cs->items[i].was_running = h->state == EC2_RUNNING;
        cs->items[i].young = h->state != EC2_RUNNING || pinfile_is_first(pins, h->instance_id);
    }
    return cs;
}

void contacts_free(struct contacts *cs)
{
    if (!cs)
        return;
    timer_stop(cs->save_timer);
    for (size_t i = 0; i < cs->count; i++) {
        struct contact *k = &cs->items[i];
        timer_stop(k->timer);
        drop_session(k);
        contact_setup_free(k);
        buf_done(&k->out);
        free(k->new_key);
        check_answer_done(&k->check);
    }
    ssh_pool_free(cs->pool);
    free(cs->items);
    free(cs->cluster_key);
    free(cs);
}

static void fail_gone(struct contact *k)
{
    struct cluster_host *h = contact_host(k);
    struct err why = {0};
    err_set(&why, ERR_UNREACHABLE, "EC2 ended it%s%s", h->note ? ": " : "", h->note ? h->note : "");
    contact_fail(k, &why);
}

/* Whether EC2 has had its time to give the host its addresses. All others wait for them. */
static bool is_overdue(const struct contact *k)
{
    const struct contacts *cs = k->cs;
    const struct cluster_host *h = contact_host(k);
    usec_t limit = cs->c->boot_timeout ? cs->c->boot_timeout : BOOT_TIMEOUT;
    bool waits = k->stage == STAGE_WAIT || (k->stage == STAGE_HELD && !h->private_ip);
    return waits && clock_mono(loop_clock(cs->c->loop)) - cs->began > limit;
}

static void fail_overdue(struct contact *k)
{
    const struct cluster_host *h = contact_host(k);
    char span[CLOCK_SPAN_SIZE];
    usec_t limit = k->cs->c->boot_timeout ? k->cs->c->boot_timeout : BOOT_TIMEOUT;
    clock_span(limit, span);
    struct err why = {0};
    err_set(&why, ERR_TIMEOUT, "EC2 says '%s' and gives no address within %s: %s",
            ec2_state_name(h->state), span, h->instance_id ? h->instance_id : h->name);
    contact_fail(k, &why);
}

/* How long to go on trying: what is left of a boot, or a moment for a host that was reached before.
 */
static usec_t patience(const struct contact *k)
{
    const struct cluster *c = k->cs->c;
    const struct cluster_host *h = contact_host(k);
    if (!k->young)
        return REACH_TIMEOUT;
    usec_t limit = c->boot_timeout ? c->boot_timeout : BOOT_TIMEOUT;
    usec_t age = clock_wall(loop_clock(c->loop)) - h->launched;
    if (k->was_running && h->launched && age > 0)
        limit -= age;
    return limit > REACH_TIMEOUT ? limit : REACH_TIMEOUT;
}

static void start_contact(struct contact *k)
{
    struct cluster_host *h = contact_host(k);
    if (!pinfile_count(k->cs->pins, h->instance_id)) {
        struct err why = {0};
        if (k->cs->spec->kind == CLUSTER_SSH)
            err_set(&why, ERR_HOST_KEY, "no host key is known for %s (%s), so it is not trusted",
                    h->name, h->public_ip);
        else
            err_set(
                &why, ERR_HOST_KEY,
                "no host key is known for %s (%s), so it is not trusted: run where the cluster was "
                "made, or terminate it: 'aws ec2 terminate-instances --region %s --instance-ids "
                "%s'",
                h->name, h->instance_id, aws_region(k->cs->c->aws), h->instance_id);
        contact_fail(k, &why);
        return;
    }
    if (!k->was_running)
        contact_phase(k, HOST_BOOTING, NULL);
    contact_connect(k, STAGE_CONNECT, NULL, patience(k));
}

void contacts_update(struct contacts *cs)
{
    for (size_t i = 0; i < cs->count; i++) {
        struct contact *k = &cs->items[i];
        struct cluster_host *h = contact_host(k);
        if (k->stage == STAGE_FAILED)
            continue;
        if (h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED)
            fail_gone(k);
        else if (is_overdue(k))
            fail_overdue(k);
        else if (k->stage == STAGE_WAIT && h->state == EC2_RUNNING &&
                 (h->public_ip || h->private_ip))
            start_contact(k);
    }
    contact_barrier(cs);
}

bool contacts_settled(void *contacts)
{
    const struct contacts *cs = contacts;
    for (size_t i = 0; i < cs->count; i++)
        if (cs->items[i].stage != STAGE_DONE && cs->items[i].stage != STAGE_FAILED)
            return false;
    return true;
}

bool contacts_want_poll(const struct contacts *cs)
{
    for (size_t i = 0; i < cs->count; i++)
        if (cs->items[i].stage == STAGE_WAIT)
            return true;
    return false;
}

/* A foreign host key is the gravest, whatever else failed. */
enum err_code contacts_failure(const struct contacts *cs)
{
    static const enum err_code order[] = {ERR_HOST_KEY, ERR_AUTH, ERR_UNREACHABLE, ERR_TIMEOUT,
                                          ERR_REMOTE};
    enum err_code worst = ERR_NONE;
    size_t best = COUNT_OF(order) + 1;
    for (size_t i = 0; i < cs->count; i++) {
        if (cs->items[i].stage != STAGE_FAILED)
            continue;
        size_t rank = 0;
        while (rank < COUNT_OF(order) && order[rank] != cs->items[i].err.code)
            rank++;
        if (rank < best) {
            best = rank;
            worst = cs->items[i].err.code;
        }
    }
    return worst;
}

const char *contacts_error(const struct contacts *cs, size_t host)
{
    return cs->items[host].stage == STAGE_FAILED ? cs->items[host].err.msg : NULL;
}

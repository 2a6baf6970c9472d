/* Launch: the one thing that costs money.
 *
 * Each launch is journalled with its client token and its whole body before it is sent; its answer
 * is awaited even after a Ctrl-C (for CANCEL_GRACE), so that what was made is known. All launches
 * of a plan are in flight at the same time. */
#include "base/digest.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <stdlib.h>
#include <string.h>

#define CANCEL_GRACE (10 * USEC_PER_SEC)
#define CANCEL_LOOK (200 * USEC_PER_MSEC)
#define LAUNCH_CALLS_MAX 1024
#define TAGS_MAX 50 /* EC2's, a resource */

/* ---- pure parts --------------------------------------------------------------------------- */

size_t launch_batches(const struct plan *plan, struct batch *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_step *s = &plan->steps[i];
        if (s->verb != PLAN_CREATE || s->role != ROLE_FACTORY)
            continue;
        struct batch *last = n ? &out[n - 1] : NULL;
        if (last && last->first + last->count == s->index && last->count < LAUNCH_BATCH_MAX)
            last->count++;
        else if (n < max)
            out[n++] = (struct batch){s->index, 1};
    }
    return n;
}

/* The original gives io1 50 IOPS for each GiB; EC2 takes 100 to 64,000 for io1 and to 256,000 for
 * io2. The other types have their own default. */
int volume_iops(const char *volume_type, int gb)
{
    int most = strcmp(volume_type, "io1") == 0   ? 64000
               : strcmp(volume_type, "io2") == 0 ? 256000
                                                 : 0;
    if (!most)
        return 0;
    int64_t iops = (int64_t)gb * 50;
    return iops < 100 ? 100 : iops > most ? most : (int)iops;
}

static size_t make_tags(const struct cluster_spec *spec, enum cluster_role role, char *name,
                        struct ec2_tag *tags)
{
    size_t n = 0;
    tags[n++] = (struct ec2_tag){(char *)TAG_CREATOR, spec->creator};
    tags[n++] = (struct ec2_tag){(char *)TAG_PURPOSE, (char *)TAG_PURPOSE_VALUE};
    tags[n++] = (struct ec2_tag){(char *)TAG_CLUSTER, spec->name};
    tags[n++] = (struct ec2_tag){(char *)TAG_ROLE, (char *)cluster_role_name(role)};
    tags[n++] = (struct ec2_tag){(char *)TAG_NAME, name};
    size_t own = n;
    for (size_t i = 0; i < spec->tags.count && n < TAGS_MAX; i++) {
        const struct schema_entry *e = &spec->tags.items[i];
        bool ours = false; /* a key given twice is refused by EC2 */
        for (size_t t = 0; t < own; t++)
            ours = ours || strcmp(tags[t].key, e->key) == 0;
        if (!ours)
            tags[n++] = (struct ec2_tag){e->key, e->value};
    }
    return n;
}

/* ---- one launch --------------------------------------------------------------------------- */

struct launching {
    char *token, *host_key;
    enum cluster_role role;
    int first, count;
    struct aws_call *call;
    size_t got;
    struct err err;
};

static void launching_done(struct launching *l)
{
    free(l->token);
    free(l->host_key);
}

static int make_body(struct cluster *c, const struct cluster_spec *spec,
                     const struct cluster_launch *launch, struct launching *l, struct buf *body,
                     struct err *err)
{
    struct buf private_key = {0}, user_data = {0};
    AUTO_BUF struct buf public_key = {0};
    int minutes = c->deadman_minutes ? c->deadman_minutes : DEADMAN_MINUTES;
    int rc = ssh_keygen_ed25519(&private_key, &public_key, err);
    if (rc == 0) {
        struct str line = str_trim(buf_view(&public_key));
        l->host_key = pin_clean(line);
        rc = l->host_key ? 0 : err_set(err, ERR_INTERNAL, "a new host key is malformed");
    }
    if (rc == 0)
        rc = userdata_write(
            &(struct userdata){
                .host_key_private = buf_view(&private_key),
                .host_key_public = l->host_key,
                .deadman_minutes = minutes + (spec->setup_cmds.count ? SETUP_MINUTES : 0),
                .role = l->role,
                .slurm = cluster_has_slurm(spec),
            },
            &user_data, err);
    buf_wipe(&private_key);
    if (rc == -1) {
        buf_wipe(&user_data);
        return -1;
    }
    bool first = l->role == ROLE_ORCHESTRATOR;
    AUTO_FREE char *name = first ? host_name(spec->name, l->role, 0)
                                 : host_batch_name(spec->name, l->first, l->first + l->count - 1);
    struct ec2_tag tags[TAGS_MAX];
    struct ec2_run run = {
        .image_id = launch->roles[l->role].image_id,
        .type = first ? spec->orchestrator_type : spec->factories_type,
        .key_name = spec->key_name,
        .subnet_id = spec->subnet_id,
        .security_group_ids = (const char *const[]){spec->security_group},
        .security_group_count = 1,
        .client_token = l->token,
        .min_count = 1,
        .max_count = l->count,
        .user_data = buf_view(&user_data),
        .tags = tags,
        .tag_count = make_tags(spec, l->role, name, tags),
        .root_device = launch->roles[l->role].root_device,
        .volume_gb = spec->volume_size,
        .volume_type = spec->volume_type,
        .volume_iops = volume_iops(spec->volume_type, spec->volume_size),
        .dedicated = spec->dedicated,
        .public_ip = true,
    };
    ec2_run_encode(&run, body);
    buf_wipe(&user_data);
    return 0;
}

static int send_one(struct cluster *c, const struct cluster_spec *spec,
                    const struct cluster_launch *launch, struct journal *journal,
                    struct launching *l, struct err *err)
{
    char hex[33];
    digest_random_hex(hex, 32);
    l->token = mem_printf("flambe-%s", hex);
    struct buf body = {0};
    if (make_body(c, spec, launch, l, &body, err) == -1)
        return -1;
    struct launch_entry e = {
        .token = mem_dup(l->token),
        .body = mem_dup_n(buf_text(&body), body.len),
        .host_key = mem_dup(l->host_key),
        .role = l->role,
        .first = l->first,
        .count = l->count,
        .at = clock_wall(loop_clock(c->loop)),
    };
    if (journal_begin(journal, &e, err) == -1) {
        free(e.token);
        free(e.body);
        free(e.host_key);
        buf_wipe(&body);
        return -1;
    }
    l->call = ec2_run_instances(c->aws, buf_view(&body));
    buf_wipe(&body);
    return 0;
}

/* ---- waiting for answers, Ctrl-C or not --------------------------------------------------- */

/* Keeps waits going for CANCEL_GRACE after a cancel. */
struct grace {
    struct loop *loop;
    struct timer *timer;
    usec_t cancelled_at; /* monotonic; 0: not cancelled */
    bool shielded;
};

static void grace_look(void *ctx)
{
    struct grace *g = ctx;
    timer_stop(g->timer);
    g->timer = NULL;
    usec_t now = clock_mono(loop_clock(g->loop));
    if (loop_cancelled(g->loop) && !g->cancelled_at)
        g->cancelled_at = now;
    if (g->cancelled_at && now - g->cancelled_at > CANCEL_GRACE) {
        g->shielded = false;
        loop_unshield(g->loop);
        return;
    }
    g->timer = timer_start(g->loop, CANCEL_LOOK, grace_look, g);
}

static void grace_begin(struct grace *g, struct loop *loop)
{
    *g = (struct grace){.loop = loop, .shielded = true};
    loop_shield(loop);
    g->timer = timer_start(loop, CANCEL_LOOK, grace_look, g);
}

static void grace_end(struct grace *g)
{
    timer_stop(g->timer);
    if (g->shielded)
        loop_unshield(g->loop);
}

/* Where what a launch made is written down. */
struct books {
    struct cluster *c;
    const char *creator, *name;
    struct journal *journal;
    struct pins *pins;
};

/* Pins the bootstrap key for the machines that a launch made and notes that they exist; then the
 * journal may forget the launch. */
static int take_answer(const struct books *b, const char *token, const char *host_key,
                       const struct ec2_instances *made, struct err *err)
{
    for (size_t i = 0; i < made->count; i++)
        if (!pinfile_count(b->pins, made->items[i].id))
            pinfile_add(b->pins, made->items[i].id, host_key, true);
    if (made->count && (pinfile_save(b->pins, err) == -1 ||
                        recent_add(b->c, b->creator, b->name, made, err) == -1))
        return -1;
    return journal_end(b->journal, token, err);
}

static int collect(const struct books *b, const struct cluster_spec *spec, struct launching *all,
                   size_t count, struct cluster_hosts *hosts, struct err *err)
{
    struct grace grace;
    grace_begin(&grace, b->c->loop);
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        struct launching *l = &all[i];
        CLEANUP(ec2_instances_done) struct ec2_instances made = {0};
        bool ok = ec2_run_instances_end(l->call, &made, &l->err) == 0;
        /* A refusal ends the entry, unless an earlier try of the same launch may have made the
         * machines; where nothing is known, the next run asks again. */
        bool refused =
            !l->err.unsure && (journal_replay_is_final(&l->err) || l->err.code == ERR_CREDENTIALS ||
                               l->err.code == ERR_CLOCK_SKEW || l->err.code == ERR_THROTTLED);
        if (ok || refused) {
            if (take_answer(b, l->token, l->host_key, &made, rc == 0 ? err : NULL) == -1)
                rc = -1;
            l->got = made.count;
            hosts_from_instances(spec->name, &made, hosts);
        }
    }
    grace_end(&grace);
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static size_t list_launches(const struct plan *plan, struct launching *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->count && n < max; i++)
        if (plan->steps[i].verb == PLAN_CREATE && plan->steps[i].role == ROLE_ORCHESTRATOR)
            out[n++] = (struct launching){.role = ROLE_ORCHESTRATOR, .count = 1};
    AUTO_FREE struct batch *batches = mem_array(LAUNCH_CALLS_MAX, sizeof *batches);
    size_t count = launch_batches(plan, batches, LAUNCH_CALLS_MAX);
    for (size_t i = 0; i < count && n < max; i++)
        out[n++] = (struct launching){
            .role = ROLE_FACTORY, .first = batches[i].first, .count = batches[i].count};
    return n;
}

/* The gravest refusal. Fewer machines than asked without an error of EC2's is a lack of capacity:
 * that is what MinCount < MaxCount means. */
static void judge(const struct launching *all, size_t count, struct err *refusal)
{
    size_t wanted = 0, got = 0;
    for (size_t i = 0; i < count; i++) {
        wanted += (size_t)all[i].count;
        got += all[i].got;
        const struct err *e = &all[i].err;
        if (e->code && (!refusal->code || all[i].role == ROLE_ORCHESTRATOR))
            *refusal = *e;
    }
    if (!refusal->code && got < wanted)
        err_set(refusal, ERR_CAPACITY, "EC2 launched %zu of %zu machines", got, wanted);
}

static int send_all(struct cluster *c, const struct cluster_spec *spec,
                    const struct cluster_launch *launch, struct journal *journal,
                    struct launching *all, size_t count, size_t *sent, struct err *err)
{
    for (*sent = 0; *sent < count; ++*sent) {
        struct err why = {0};
        if (loop_cancelled(c->loop))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (send_one(c, spec, launch, journal, &all[*sent], &why) == -1)
            return err_copy(err, &why);
    }
    return 0;
}

int launch_run(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
               const struct cluster_launch *launch, struct journal *journal, struct pins *pins,
               struct cluster_hosts *hosts, struct err *refusal, struct err *err)
{
    AUTO_FREE struct launching *all = mem_array(LAUNCH_CALLS_MAX, sizeof *all);
    size_t count = list_launches(plan, all, LAUNCH_CALLS_MAX), sent = 0, machines = 0;
    for (size_t i = 0; i < count; i++)
        machines += (size_t)all[i].count;
    if (!count)
        return 0;
    step(c, "launching %zu machine%s", machines, machines == 1 ? "" : "s");
    struct err why = {0};
    int rc = send_all(c, spec, launch, journal, all, count, &sent, &why);
    struct books books = {c, spec->creator, spec->name, journal, pins};
    if (collect(&books, spec, all, sent, hosts, rc == 0 ? &why : NULL) == -1)
        rc = -1;
    judge(all, sent, refusal);
    for (size_t i = 0; i < count; i++)
        launching_done(&all[i]);
    return rc == -1 ? err_copy(err, &why) : 0;
}

/* ---- after a kill ------------------------------------------------------------------------- */

/* Too old to be sent again, but not to be looked for: its machines need their pins. */
static struct aws_call *look_for(struct cluster *c, const char *token)
{
    struct ec2_filter filters[] = {
        EC2_FILTER("client-token", token),
        EC2_FILTER("instance-state-name", "pending", "running", "stopping", "stopped")};
    return ec2_describe_instances(c->aws, filters, COUNT_OF(filters));
}

#define LOOK_AGAIN (500 * USEC_PER_MSEC)

/* After a no: it says nothing of the first time that the launch was sent. What that made shows
 * itself within RECENT_FOR, and must not be launched beside. */
static int look_until_sure(struct cluster *c, const struct launch_entry *e,
                           struct ec2_instances *made, struct err *err)
{
    for (;;) {
        if (ec2_describe_instances_end(look_for(c, e->token), made, err) == -1)
            return -1;
        usec_t age = clock_wall(loop_clock(c->loop)) - e->at;
        if (made->count || age < 0 || age > RECENT_FOR)
            return 0;
        if (loop_pause(c->loop, LOOK_AGAIN, err) == -1)
            return -1;
    }
}

/* What a pending launch made; nothing, where the answer is a final no. */
static int ask_again(struct cluster *c, const struct launch_entry *e, struct ec2_instances *made,
                     struct err *err)
{
    struct err why = {0};
    struct grace grace;
    bool old = journal_judge(e, clock_wall(loop_clock(c->loop))) == JOURNAL_FORGET;
    grace_begin(&grace, c->loop);
    int rc = old ? ec2_describe_instances_end(look_for(c, e->token), made, &why)
                 : ec2_run_instances_end(ec2_run_instances(c->aws, str_of(e->body)), made, &why);
    if (rc == -1 && !old && journal_replay_is_final(&why))
        rc = look_until_sure(c, e, made, &why);
    grace_end(&grace);
    if (rc == 0)
        return 0;
    err_copy(err, &why);
    return err_wrap(err, "the launch that an earlier run left");
}

int launch_resume(struct cluster *c, const char *creator, const char *name, struct journal *journal,
                  struct pins *pins, size_t *resumed, struct err *err)
{
    struct books books = {c, creator, name, journal, pins};
    size_t machines = 0;
    while (journal->count) {
        const struct launch_entry *e = &journal->pending[0];
        AUTO_FREE char *token = mem_dup(e->token);
        AUTO_FREE char *host_key = mem_dup(e->host_key);
        step(c, "an earlier run of '%s' ended between a launch and its answer: asking what it made",
             name);
        CLEANUP(ec2_instances_done) struct ec2_instances made = {0};
        if (ask_again(c, e, &made, err) == -1 ||
            take_answer(&books, token, host_key, &made, err) == -1)
            return -1;
        machines += made.count;
    }
    *resumed = machines;
    return 0;
}

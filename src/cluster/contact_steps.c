/* The steps of a contact: what follows each connection, command and written pin. */
#include "base/mem.h"
#include "cluster/contact_priv.h"
#include <stdlib.h>
#include <string.h>

#define CONFIRM_WITHIN (10 * USEC_PER_SEC) /* until the new key is served */
/* For a host that was there a moment ago: it, or a thousand others before it, keep somebody busy.
 */
#define REACH_AGAIN (30 * USEC_PER_SEC)
#define SESSIONS_KEPT_MAX 128 /* larger clusters close sessions that wait, for memory's sake */

/* ---- connected ----------------------------------------------------------------------------- */

/* A machine that existed before has told its key to others, too. */
static bool keeps_key(const struct contact *k)
{
    return k->cs->spec->kind == CLUSTER_SSH;
}

static void start_check(struct contact *k)
{
    k->stage = STAGE_CHECK;
    contact_exec(k, COMMAND_CHECK, (struct str){0}, CONTACT_TIMEOUT, NULL);
}

static void start_contact(struct contact *k)
{
    struct cluster_host *h = contact_host(k);
    k->stage = STAGE_CONTACT;
    contact_phase(k, HOST_FIRST_CONTACT, NULL);
    AUTO_BUF struct buf script = {0};
    script_contact(h->instance_id, h->role == ROLE_ORCHESTRATOR, !keeps_key(k), &script);
    contact_exec(k, COMMAND_CONTACT, buf_view(&script), CONTACT_TIMEOUT, NULL);
}

static void start_activate(struct contact *k)
{
    k->stage = STAGE_ACTIVATE;
    AUTO_BUF struct buf script = {0};
    script_activate(contact_host(k)->instance_id, &script);
    contact_exec(k, COMMAND_ACTIVATE, buf_view(&script), CONTACT_TIMEOUT, NULL);
}

void contact_connected(struct contact *k)
{
    if (k->stage == STAGE_CONNECT) {
        /* A host that was never reached cannot be ready: it is not asked. */
        if (pinfile_is_first(k->cs->pins, contact_host(k)->instance_id))
            start_contact(k);
        else
            start_check(k);
    } else if (k->stage == STAGE_REOPEN) {
        contact_finish(k);
    } else { /* STAGE_CONFIRM: the old key's pin goes */
        k->stage = STAGE_UNPIN;
        pinfile_set(k->cs->pins, contact_host(k)->instance_id, (const char *const[]){k->new_key},
                    1);
        contact_save_pins(k);
    }
}

/* ---- first contact ------------------------------------------------------------------------- */

static void hold(struct contact *k)
{
    k->stage = STAGE_HELD;
    contact_barrier(k->cs);
}

static void hold_apart(struct contact *k)
{
    if (k->cs->count > SESSIONS_KEPT_MAX && !k->check.ready) {
        ssh_session_free(k->session);
        k->session = NULL;
    }
    hold(k);
}

static void set_up_or_hold(struct contact *k)
{
    bool same = k->check.ready && strcmp(k->check.setup_print, k->cs->setup_print) == 0;
    if (k->cs->spec->setup_cmds.count && !same && !k->setup_done) {
        contact_setup_start(k);
        return;
    }
    k->setup_done = true;
    contact_later(k, 0, hold_apart);
}

static void fail_answer(struct contact *k, const char *what, const struct ssh_exec_result *r)
{
    struct err why = {0};
    AUTO_FREE char *said = last_line(buf_view(&k->out));
    struct contact_answer a;
    contact_answer_read(buf_view(&k->out), &a);
    err_set(&why, ERR_REMOTE, "%s failed with status %d%s%s", what, r->status,
            a.error || said ? ": " : "",
            a.error ? a.error
            : said  ? said
                    : "");
    contact_answer_done(&a);
    contact_fail(k, &why);
}

static void learn_cluster_key(struct contact *k, const char *key)
{
    if (contact_host(k)->role != ROLE_ORCHESTRATOR || !key)
        return;
    free(k->cs->cluster_key);
    k->cs->cluster_key = mem_dup(key);
}

static void check_ended(struct contact *k)
{
    check_answer_done(&k->check);
    check_answer_read(buf_view(&k->out), contact_host(k)->instance_id, &k->check);
    /* Two pins: an earlier run ended before it saw the new key served. */
    if (k->check.ready && pinfile_count(k->cs->pins, contact_host(k)->instance_id) == 1) {
        learn_cluster_key(k, k->check.cluster_key);
        set_up_or_hold(k);
        return;
    }
    start_contact(k);
}

static void contact_ended(struct contact *k, const struct ssh_exec_result *r)
{
    struct contact_answer a;
    contact_answer_read(buf_view(&k->out), &a);
    if (r->status != 0 || !a.ok || (!a.host_key && !keeps_key(k))) {
        contact_answer_done(&a);
        fail_answer(k, "first contact", r);
        return;
    }
    learn_cluster_key(k, a.cluster_key);
    if (keeps_key(k)) {
        contact_answer_done(&a);
        set_up_or_hold(k);
        return;
    }
    free(k->new_key);
    k->new_key = TAKE(a.host_key);
    contact_answer_done(&a);
    const char *id = contact_host(k)->instance_id, *pinned;
    if (pinfile_count(k->cs->pins, id) == 1 && pinfile_get(k->cs->pins, id, &pinned, 1) == 1 &&
        strcmp(pinned, k->new_key) == 0) {
        set_up_or_hold(k); /* rotated and confirmed by an earlier run */
        return;
    }
    k->stage = STAGE_PIN;
    pinfile_add(k->cs->pins, id, k->new_key, false);
    contact_save_pins(k);
}

static void confirm(struct contact *k)
{
    k->confirm_until = clock_mono(loop_clock(k->cs->c->loop)) + CONFIRM_WITHIN;
    contact_connect(k, STAGE_CONFIRM, k->new_key, REACH_AGAIN);
}

static void activate_ended(struct contact *k, const struct ssh_exec_result *r)
{
    if (r->status != 0) {
        fail_answer(k, "the new host key", r);
        return;
    }
    contact_later(k, 0, confirm);
}

void contact_pins_saved(struct contact *k)
{
    if (k->stage == STAGE_PIN)
        start_activate(k);
    else if (k->stage == STAGE_UNPIN)
        set_up_or_hold(k);
}

/* ---- the barrier, and what needs everybody ------------------------------------------------- */

static size_t make_map(struct contacts *cs, struct map_host *map)
{
    size_t n = 0;
    for (size_t i = 0; i < cs->count; i++) {
        const struct cluster_host *h = &cs->hosts->items[i];
        if (!h->private_ip || !h->instance_id || h->phase == HOST_GOING || h->phase == HOST_GONE ||
            h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED)
            continue;
        map[n] = (struct map_host){h->name, h->private_ip, h->instance_id, NULL};
        pinfile_get(cs->pins, h->instance_id, &map[n].host_key, 1);
        n++;
    }
    return n;
}

static void make_map_print(struct contacts *cs)
{
    AUTO_FREE struct map_host *map = mem_array(cs->count + 2, sizeof *map);
    AUTO_FREE char *port = mem_printf("%d", cs->spec->ssh_port);
    size_t n = make_map(cs, map);
    /* The cluster's key is part of it, and so is the port: a new one has to reach every host. */
    map[n++] = (struct map_host){"cluster-key", cs->cluster_key ? cs->cluster_key : "", "", NULL};
    map[n++] = (struct map_host){"ssh-port", port, "", NULL};
    map_print(map, n, cs->map_print);
}

static bool has_private_address(const struct contact *k)
{
    return contact_host(k)->private_ip != NULL;
}

static void settle(struct contact *k)
{
    struct contacts *cs = k->cs;
    bool same_setup = k->check.ready && strcmp(k->check.setup_print, cs->setup_print) == 0;
    bool same_map = k->check.ready && strcmp(k->check.map_print, cs->map_print) == 0;
    /* Without the orchestrator nobody can say what changed: what is ready stays as it is. */
    if (same_setup && (same_map || !cs->cluster_key)) {
        k->stage = STAGE_DONE;
        contact_phase(k, HOST_READY, NULL);
        ssh_session_free(k->session);
        k->session = NULL;
        return;
    }
    contact_phase(k, HOST_SETTING_UP, NULL);
    if (k->session)
        contact_finish(k);
    else
        contact_connect(k, STAGE_REOPEN, NULL, REACH_AGAIN);
}

void contact_barrier(struct contacts *cs)
{
    for (size_t i = 0; i < cs->count; i++) {
        const struct contact *k = &cs->items[i];
        if (k->stage < STAGE_HELD || (k->stage != STAGE_FAILED && !has_private_address(k)))
            return;
    }
    if (!cs->finishing)
        make_map_print(cs);
    cs->finishing = true;
    for (size_t i = 0; i < cs->count; i++)
        if (cs->items[i].stage == STAGE_HELD)
            contact_later(&cs->items[i], 0, settle);
}

void contact_finish(struct contact *k)
{
    struct contacts *cs = k->cs;
    const struct cluster_host *h = contact_host(k);
    AUTO_FREE struct map_host *map = mem_array(cs->count ? cs->count : 1, sizeof *map);
    struct finish f = {
        .instance_id = h->instance_id,
        .orchestrator = h->role == ROLE_ORCHESTRATOR,
        .cluster_key = cs->cluster_key,
        .hosts = map,
        .count = make_map(cs, map),
        .cluster = cs->spec->name,
        .ssh_port = cs->spec->ssh_port,
        .setup_print = cs->setup_print,
        .map_print = cs->map_print,
    };
    AUTO_BUF struct buf script = {0};
    script_finish(&f, &script);
    k->stage = STAGE_FINISH;
    contact_exec(k, COMMAND_FINISH, buf_view(&script), CONTACT_TIMEOUT, NULL);
}

static void close_done(struct contact *k)
{
    ssh_session_free(k->session);
    k->session = NULL;
}

static void finish_ended(struct contact *k, const struct ssh_exec_result *r)
{
    if (r->status != 0) {
        fail_answer(k, "finishing the set-up", r);
        return;
    }
    k->stage = STAGE_DONE;
    contact_phase(k, HOST_READY, NULL);
    contact_later(k, 0, close_done);
}

/* ---- the dispatcher ------------------------------------------------------------------------ */

void contact_command_ended(struct contact *k, const struct ssh_exec_result *r)
{
    switch (k->stage) {
    case STAGE_CHECK:
        check_ended(k);
        break;
    case STAGE_CONTACT:
        contact_ended(k, r);
        break;
    case STAGE_ACTIVATE:
        activate_ended(k, r);
        break;
    case STAGE_SETUP: {
        contact_setup_ended(k, r);
        if (k->stage == STAGE_FAILED)
            break;
        k->setup_done = true;
        contact_later(k, 0, hold_apart);
        break;
    }
    case STAGE_FINISH:
        finish_ended(k, r);
        break;
    default:
        break;
    }
}

/* Up: carries a plan out and makes every host ready.
 *
 * Order, and why it can end anywhere: the lock; what an earlier run left pending; the launches
 * (launch.c journals each before it is sent); then polls, first contacts and alarms side by side.
 * Whatever is done is found again by tags, pins and markers on the hosts, so a second run goes on
 * where this one ended. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include <stdlib.h>
#include <string.h>

#define POLL_FIRST (100 * USEC_PER_MSEC) /* and then in growing steps, so that a quick host */
#define POLL_FAST (400 * USEC_PER_MSEC)  /* does not wait longer for us than for itself */
#define POLL_SLOW (2 * USEC_PER_SEC)
#define POLL_FAST_FOR (30 * USEC_PER_SEC)
#define POLL_IDLE (5 * USEC_PER_SEC) /* all have an address: only deaths are looked for */
#define STOPPED_WITHIN (5 * USEC_PER_MIN)
#define POLL_FAILURES_MAX 20

struct up {
    struct cluster *c;
    const struct cluster_spec *spec;
    const struct ssh_identity *identity;
    struct lock *lock;
    struct journal journal;
    struct pins pins;
    struct plan replanned; /* where what the caller planned from is no longer so */
    const struct plan *plan;
    struct cluster_hosts *hosts;
    struct contacts *contacts;
    struct alarm_work *alarms;
    struct err refusal; /* of a launch */
    usec_t began;       /* monotonic */
    usec_t next_poll;
    usec_t poll_gap; /* the last one, while it grows to POLL_FAST */
    int poll_failures;
};

static usec_t now(const struct up *u)
{
    return clock_mono(loop_clock(u->c->loop));
}

/* ---- records and resuming ------------------------------------------------------------------ */

static int open_records(struct cluster *c, const char *creator, const char *name,
                        struct lock **lock, struct journal *journal, struct pins *pins,
                        struct err *err)
{
    if (state_lock(c, creator, name, lock, err) == -1)
        return -1;
    AUTO_FREE char *journal_path = state_path(c, creator, name, "journal.jsonl");
    AUTO_FREE char *pins_path = cluster_known_hosts_path(c, creator, name);
    if (journal_open(journal_path, journal, err) == -1)
        return err_wrap(err, "the journal of '%s' is damaged ('flambe down %s' still works)", name,
                        name);
    return pinfile_load(pins_path, pins, err);
}

int cluster_resume(struct cluster *c, const char *creator, const char *name, size_t *resumed,
                   struct err *err)
{
    AUTO_FREE char *journal_path = state_path(c, creator, name, "journal.jsonl");
    struct lock *lock = NULL;
    CLEANUP(journal_done) struct journal journal = {0};
    CLEANUP(pinfile_done) struct pins pins = {0};
    if (journal_open(journal_path, &journal, err) == -1)
        return -1;
    if (!journal.count) { /* the usual case costs neither a directory nor the lock */
        *resumed = 0;
        return 0;
    }
    journal_done(&journal);
    int rc = open_records(c, creator, name, &lock, &journal, &pins, err);
    if (rc == 0)
        rc = launch_resume(c, creator, name, &journal, &pins, resumed, err);
    lock_release(lock);
    return rc;
}

/* Plans again where the caller's plan is stale: launches were resumed, or another run of this
 * laptop acted since it observed. */
static int refresh_plan(struct up *u, struct err *err)
{
    struct cluster *c = u->c;
    const struct cluster_spec *s = u->spec;
    size_t resumed = 0;
    if (s->kind == CLUSTER_SSH) /* it is all in the file */
        return 0;
    char stamp[33];
    state_stamp(c, s->creator, s->name, stamp);
    bool stale = strcmp(stamp, c->seen) != 0;
    if (launch_resume(c, s->creator, s->name, &u->journal, &u->pins, &resumed, err) == -1)
        return -1;
    if (!stale && !resumed)
        return 0;
    struct cluster_hosts found = {0};
    if (cluster_observe(c, s->creator, s->name, &found, err) == -1)
        return -1;
    int rc = plan_make(s, &found, aws_region(c->aws), &u->replanned, err);
    cluster_hosts_done(&found);
    if (rc == 0)
        u->plan = &u->replanned;
    return rc;
}

/* ---- starting what is stopped -------------------------------------------------------------- */

static int apply_poll(struct up *u, const struct ec2_instances *found);

static int poll_now(struct up *u, struct err *err)
{
    if (u->spec->kind == CLUSTER_SSH)
        return 0;
    CLEANUP(ec2_instances_done) struct ec2_instances found = {0};
    struct err why = {0};
    struct aws_call *call = observe_start(u->c, u->spec->creator, u->spec->name, true);
    if (ec2_describe_instances_end(call, &found, &why) == -1) {
        if (err_retryable(why.code) && ++u->poll_failures <= POLL_FAILURES_MAX)
            return 0;
        return err_copy(err, &why);
    }
    u->poll_failures = 0;
    return apply_poll(u, &found);
}

/* The phase that EC2's state alone gives; contacts set the later ones. */
static void early_phase(struct up *u, size_t i)
{
    struct cluster_host *h = &u->hosts->items[i];
    bool early = h->phase <= HOST_RUNNING || h->phase == HOST_STOPPED;
    bool ending = h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED;
    if (early && !ending)
        host_set_phase(u->c, u->hosts, i, host_phase_of_state(h->state), h->note);
}

static int apply_poll(struct up *u, const struct ec2_instances *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct ec2_instance *in = &found->items[i];
        struct cluster_host *h = hosts_find(u->hosts, in->id);
        if (!h)
            continue;
        host_update(h, in);
        bool ending = h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED;
        if (ending && !h->note && in->state_reason)
            h->note = mem_dup(in->state_reason);
        early_phase(u, (size_t)(h - u->hosts->items));
    }
    return 0;
}

static bool some_stopping(const struct up *u)
{
    for (size_t i = 0; i < u->hosts->count; i++)
        if (u->hosts->items[i].state == EC2_STOPPING)
            return true;
    return false;
}

static int start_stopped(struct up *u, struct err *err)
{
    if (some_stopping(u))
        step(u->c, "waiting for hosts that are stopping, to start them again");
    while (some_stopping(u)) {
        if (now(u) - u->began > STOPPED_WITHIN)
            return err_set(err, ERR_TIMEOUT, "hosts of '%s' do not stop; run again later",
                           u->spec->name);
        if (loop_pause(u->c->loop, POLL_SLOW, err) == -1 || poll_now(u, err) == -1)
            return -1;
    }
    AUTO_FREE const char **ids = mem_array(u->hosts->count + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < u->hosts->count; i++)
        if (u->hosts->items[i].state == EC2_STOPPED)
            ids[n++] = u->hosts->items[i].instance_id;
    if (!n)
        return 0;
    step(u->c, "starting %zu stopped machine%s", n, n == 1 ? "" : "s");
    if (ec2_start_instances_end(ec2_start_instances(u->c->aws, ids, n), err) == -1)
        return -1;
    for (size_t i = 0; i < u->hosts->count; i++)
        if (u->hosts->items[i].state == EC2_STOPPED) {
            mem_freep(&u->hosts->items[i].public_ip); /* it gets another */
            u->hosts->items[i].state = EC2_PENDING;
            host_set_phase(u->c, u->hosts, i, HOST_PENDING, NULL);
        }
    return 0;
}

/* ---- waiting for all ----------------------------------------------------------------------- */

static void schedule_poll(struct up *u)
{
    bool want = contacts_want_poll(u->contacts);
    bool early = now(u) - u->began < POLL_FAST_FOR;
    usec_t grown = u->poll_gap ? u->poll_gap * 3 / 2 : POLL_FIRST;
    u->poll_gap = grown < POLL_FAST ? grown : POLL_FAST;
    u->next_poll = now(u) + (!want ? POLL_IDLE : early ? u->poll_gap : POLL_SLOW);
}

static bool over(void *ctx)
{
    return contacts_settled(((struct up *)ctx)->contacts);
}

/* Waits until the next poll is due or everything is settled. */
static int rest(struct up *u, struct err *err)
{
    usec_t left = u->next_poll - now(u);
    struct err why = {0};
    if (left <= 0 || loop_wait(u->c->loop, over, u, left, &why) == 0 || why.code == ERR_TIMEOUT)
        return 0;
    return err_copy(err, &why);
}

static int make_ready(struct up *u, struct err *err)
{
    contacts_update(u->contacts);
    schedule_poll(u);
    while (!contacts_settled(u->contacts)) {
        if (u->alarms && alarms_pending(u->alarms, u->hosts)) {
            if (alarms_step(u->alarms, u->hosts, err) == -1)
                return -1;
        } else if (rest(u, err) == -1) {
            return -1;
        }
        if (now(u) >= u->next_poll && !contacts_settled(u->contacts)) {
            if (poll_now(u, err) == -1)
                return -1;
            contacts_update(u->contacts);
            schedule_poll(u);
        }
    }
    while (u->alarms && alarms_pending(u->alarms, u->hosts))
        if (alarms_step(u->alarms, u->hosts, err) == -1)
            return -1;
    return 0;
}

/* ---- what came of it ----------------------------------------------------------------------- */

static size_t wanted_hosts(const struct up *u)
{
    return u->plan->alive + u->plan->missing;
}

static void cost_text(const struct up *u, char out[64])
{
    out[0] = '\0';
    double usd = cluster_hosts_price(u->c, u->hosts);
    if (usd >= 0)
        snprintf(out, 64, " (about $%.2f an hour)", usd);
}

/* EC2 may not know yet what it has just launched, and ending an unknown id ends nothing: observing
 * waits until all of it shows. */
static int end_launched(struct up *u, const char *const *ids, size_t n, struct err *err)
{
    struct cluster_hosts seen = {0};
    if (!n)
        return 0;
    if (cluster_observe(u->c, u->spec->creator, u->spec->name, &seen, err) == -1)
        return -1;
    cluster_hosts_done(&seen);
    return ec2_terminate_instances_end(ec2_terminate_instances(u->c->aws, ids, n), err);
}

/* Factories without an orchestrator are of no use and cost money: they go again. */
static int drop_orphans(struct up *u, struct err *err)
{
    bool orchestrator = false;
    AUTO_FREE const char **ids = mem_array(u->hosts->count + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < u->hosts->count; i++) {
        const struct cluster_host *h = &u->hosts->items[i];
        orchestrator = orchestrator || h->role == ROLE_ORCHESTRATOR;
        if (h->role == ROLE_FACTORY && !hosts_find(&u->plan->actual, h->instance_id))
            ids[n++] = h->instance_id;
    }
    if (orchestrator || !u->refusal.code)
        return 0;
    struct err why = {0};
    loop_shield(u->c->loop);
    int rc = end_launched(u, ids, n, &why);
    loop_unshield(u->c->loop);
    if (rc == -1)
        warn_user(u->c, "the %zu factories that came cannot be ended: %s; 'flambe down %s'", n,
                  why.msg, u->spec->name);
    else if (n)
        warn_user(
            u->c,
            "%zu factor%s had come; without an orchestrator they are of no use and were ended "
            "again",
            n, n == 1 ? "y" : "ies");
    for (size_t i = 0; rc == 0 && i < u->hosts->count; i++)
        if (!hosts_find(&u->plan->actual, u->hosts->items[i].instance_id))
            host_set_phase(u->c, u->hosts, i, HOST_GOING, NULL);
    err_copy(err, &u->refusal);
    return err_wrap(err, "no orchestrator");
}

static void name_failed(const struct up *u, struct buf *out)
{
    size_t shown = 0, more = 0;
    for (size_t i = 0; i < u->hosts->count; i++) {
        const char *why = contacts_error(u->contacts, i);
        if (!why)
            continue;
        if (shown == 3) {
            more++;
            continue;
        }
        const char *name = u->hosts->items[i].name;
        bool named = strncmp(why, name, strlen(name)) == 0;
        buf_addf(out, "%s%s%s%s", shown++ ? "; " : "", named ? "" : name, named ? "" : ": ", why);
    }
    if (more)
        buf_addf(out, "; and %zu more", more);
}

static int conclude(struct up *u, struct err *err)
{
    size_t ready = 0, failed = 0;
    for (size_t i = 0; i < u->hosts->count; i++) {
        ready += u->hosts->items[i].phase == HOST_READY;
        failed += contacts_error(u->contacts, i) != NULL;
    }
    char cost[64];
    size_t kept = u->hosts->count;
    cost_text(u, cost);
    AUTO_BUF struct buf names = {.max = 600};
    name_failed(u, &names);
    enum err_code code = contacts_failure(u->contacts);
    if (u->refusal.code) {
        err_set_origin(
            err, u->refusal.code, u->refusal.origin,
            "%zu of %zu machines came, %zu ready, kept%s: %s%s%s; run again for the rest, "
            "or 'flambe down %s'",
            kept, wanted_hosts(u), ready, cost, u->refusal.msg, failed ? "; " : "",
            buf_text(&names), u->spec->name);
        return -1;
    }
    if (failed)
        return err_set(err, code, "%zu of %zu hosts ready, %zu not%s: %s", ready, u->hosts->count,
                       failed, cost, buf_text(&names));
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void first_hosts(struct up *u)
{
    struct cluster_hosts all = {0};
    hosts_copy(&all, &u->plan->actual);
    for (size_t i = 0; i < all.count; i++) {
        struct cluster_host *h = &all.items[i];
        if (h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED) {
            host_done(h); /* it is replaced, and no longer of this cluster */
            continue;
        }
        *hosts_push(u->hosts) = *h;
    }
    free(all.items);
}

/* Whether preflight found an image for each role that is to be created. */
static bool launch_covers(const struct cluster_launch *launch, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_step *s = &plan->steps[i];
        if (s->verb == PLAN_CREATE && (!launch || !launch->roles[s->role].image_id))
            return false;
    }
    return true;
}

static void show_all(struct up *u)
{
    for (size_t i = 0; i < u->hosts->count && u->c->watch.host; i++)
        u->c->watch.host(u->c->watch.ctx, u->hosts, i);
}

/* Whatever became of the others, those that are ready are equipped. */
static int equip_ready(struct up *u, struct err *err)
{
    const struct cluster_host *first = u->hosts->count ? &u->hosts->items[0] : NULL;
    if (!first || first->role != ROLE_ORCHESTRATOR || first->phase != HOST_READY)
        return 0;
    return cluster_equip(u->c, u->spec, u->hosts, u->identity, &u->c->equipped, err);
}

static int act(struct up *u, struct cluster_launch *launch, struct err *err)
{
    struct cluster *c = u->c;
    const struct cluster_spec *s = u->spec;
    if (refresh_plan(u, err) == -1)
        return -1;
    first_hosts(u);
    bool idle = plan_is_empty(u->plan);
    if (!idle &&
        (state_stamp_renew(c, s->creator, s->name, err) == -1 || record_save(c, s, err) == -1))
        return -1;
    if (!launch_covers(launch, u->plan))
        return err_set(err, ERR_CONFLICT,
                       "the cluster '%s' changed while this run looked at it; run again", s->name);
    if (u->plan->missing && u->plan->alive &&
        equip_mark_gone(c, s, u->hosts, u->identity, err) == -1)
        return -1;
    if (u->plan->missing &&
        launch_run(c, s, u->plan, launch, &u->journal, &u->pins, u->hosts, &u->refusal, err) == -1)
        return -1;
    if (drop_orphans(u, err) == -1)
        return -1;
    if (start_stopped(u, err) == -1 ||
        (s->kind == CLUSTER_AWS && pinfile_learn(c, &u->pins, u->hosts, err) == -1))
        return -1;
    if (!idle) {
        step(c, "waiting for %zu host%s", u->hosts->count, u->hosts->count == 1 ? "" : "s");
        show_all(u);
    }
    u->contacts = contacts_new(c, s, u->identity, &u->pins, u->hosts);
    u->alarms = s->kind == CLUSTER_AWS ? alarms_open(c, s) : NULL;
    if (make_ready(u, err) == -1)
        return -1;
    if (idle && record_save(c, s, err) == -1) /* a file that moved, a key that changed */
        return -1;
    struct err unequipped = {0};
    if (equip_ready(u, &unequipped) == -1 && unequipped.code == ERR_CANCELLED)
        return err_copy(err, &unequipped);
    if (conclude(u, err) == -1) {
        if (unequipped.code)
            warn_user(c, "%s", unequipped.msg);
        return -1;
    }
    if (!unequipped.code)
        return 0;
    err_copy(err, &unequipped);
    return err_wrap(err, "the hosts are ready, but no place for experiments");
}

int cluster_up(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
               struct cluster_launch *launch, const struct ssh_identity *identity,
               struct cluster_hosts *hosts, struct err *err)
{
    *hosts = (struct cluster_hosts){0};
    struct up u = {
        .c = c,
        .spec = spec,
        .identity = identity,
        .plan = plan,
        .hosts = hosts,
        .began = clock_mono(loop_clock(c->loop)),
    };
    int rc = open_records(c, spec->creator, spec->name, &u.lock, &u.journal, &u.pins, err);
    if (rc == 0)
        rc = act(&u, launch, err);
    contacts_free(u.contacts);
    alarms_close(u.alarms);
    plan_done(&u.replanned);
    journal_done(&u.journal);
    pinfile_done(&u.pins);
    lock_release(u.lock);
    return rc;
}

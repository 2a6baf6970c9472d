/* Down: everything of a cluster goes, and the proof that it went.
 *
 * What is looked for: instances by the cluster's tags, and by the client tokens of launches whose
 * answer never came; volumes by tags; alarms by the name's prefix, also of hosts that are long
 * gone. A launch that is perhaps still on its way gets its time to show itself (settle_span). */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define POLL (500 * USEC_PER_MSEC)
#define POLL_LATER (2 * USEC_PER_SEC)
#define POLL_FAST_FOR (20 * USEC_PER_SEC)
#define TERMINATED_WITHIN (10 * USEC_PER_MIN)
#define ASK_AGAIN (5 * USEC_PER_SEC)
#define SETTLE (4 * USEC_PER_SEC) /* for a launch of long ago that may still be under way */
#define VOLUMES_WITHIN (2 * USEC_PER_MIN)

struct down {
    struct cluster *c;
    const char *creator, *name;
    struct lock *lock;
    struct journal journal;
    struct strv ids;   /* every instance that was ever seen alive here */
    struct strv asked; /* those that termination was asked for */
    size_t unwilling;  /* alive, and not shutting down */
    usec_t asked_at;   /* monotonic, the last time */
    bool unseen;       /* one that was launched a moment ago does not show yet */
    usec_t began;
    usec_t look_until;          /* monotonic: until then new ones may show themselves */
    struct cluster_hosts hosts; /* for the watch */
};

static usec_t now(const struct down *d)
{
    return clock_mono(loop_clock(d->c->loop));
}

static bool ended(const struct ec2_instance *i)
{
    return i->state == EC2_TERMINATED;
}

/* ---- looking ------------------------------------------------------------------------------- */

static void watch_instance(struct down *d, const struct ec2_instance *in)
{
    struct cluster_host *h = hosts_find(&d->hosts, in->id);
    if (!h) {
        if (ended(in))
            return; /* of an earlier life */
        struct ec2_instances one = {.items = (struct ec2_instance *)in, .count = 1};
        hosts_from_instances(d->name, &one, &d->hosts);
        h = hosts_find(&d->hosts, in->id);
    }
    host_update(h, in);
    host_set_phase(d->c, &d->hosts, (size_t)(h - d->hosts.items), host_phase_of_state(in->state),
                   NULL);
}

static void take(struct down *d, const struct ec2_instances *found, size_t *alive)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct ec2_instance *in = &found->items[i];
        watch_instance(d, in);
        if (ended(in))
            continue;
        ++*alive;
        d->unwilling += in->state != EC2_SHUTTING_DOWN;
        if (!strv_has(&d->ids, in->id))
            strv_add(&d->ids, in->id);
    }
}

static void look_for_recent(struct down *d, const struct ec2_instances *found)
{
    AUTO_STRV struct strv recent = {0};
    recent_list(d->c, d->creator, d->name, &recent);
    d->unseen = !recent_all_seen(&recent, found);
}

/* One look: by tags, and by the tokens of pending launches. */
static int look(struct down *d, size_t *alive, struct err *err)
{
    *alive = d->unwilling = 0;
    struct aws_call *calls[2];
    size_t n = 0;
    calls[n++] = observe_start(d->c, d->creator, d->name, true);
    AUTO_FREE const char **tokens = mem_array(d->journal.count + 1, sizeof *tokens);
    for (size_t i = 0; i < d->journal.count; i++)
        tokens[i] = d->journal.pending[i].token;
    struct ec2_filter by_token = {
        .name = "client-token", .values = tokens, .count = d->journal.count};
    if (d->journal.count)
        calls[n++] = ec2_describe_instances(d->c->aws, &by_token, 1);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        CLEANUP(ec2_instances_done) struct ec2_instances found = {0};
        struct err why = {0};
        if (ec2_describe_instances_end(calls[i], &found, &why) == 0)
            take(d, &found, alive);
        else if (rc == 0)
            rc = err_copy(err, &why);
        if (i == 0)
            look_for_recent(d, &found);
    }
    return rc;
}

static int terminate(struct down *d, struct err *err)
{
    /* TerminateInstances may not know yet what DescribeInstances shows, and then ends nothing. */
    if (d->unwilling && d->asked.count && now(d) - d->asked_at > ASK_AGAIN)
        strv_done(&d->asked);
    AUTO_FREE const char **ids = mem_array(d->ids.count + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < d->ids.count; i++)
        if (!strv_has(&d->asked, d->ids.items[i]))
            ids[n++] = d->ids.items[i];
    if (!n)
        return 0;
    step(d->c, "ending %zu machine%s", n, n == 1 ? "" : "s");
    if (ec2_terminate_instances_end(ec2_terminate_instances(d->c->aws, ids, n), err) == -1)
        return -1;
    d->asked_at = now(d);
    for (size_t i = 0; i < n; i++)
        strv_add(&d->asked, ids[i]);
    return 0;
}

static int end_instances(struct down *d, struct err *err)
{
    for (;;) {
        size_t alive;
        if (look(d, &alive, err) == -1 || terminate(d, err) == -1)
            return -1;
        if (!alive && !d->unseen && now(d) >= d->look_until)
            return 0;
        if (now(d) - d->began > TERMINATED_WITHIN)
            return err_set(
                err, ERR_TIMEOUT,
                "%zu machines of '%s' are still shutting down; run 'flambe down %s' again "
                "to see them gone",
                alive, d->name, d->name);
        usec_t pause = now(d) - d->began < POLL_FAST_FOR ? POLL : POLL_LATER;
        if (loop_pause(d->c->loop, pause, err) == -1)
            return -1;
    }
}

/* ---- alarms and volumes -------------------------------------------------------------------- */

static int end_alarms(struct down *d, size_t *removed, struct err *err)
{
    AUTO_FREE char *prefix = alarm_prefix(d->creator, d->name);
    AUTO_STRV struct strv names = {0};
    if (cloudwatch_describe_alarms_end(cloudwatch_describe_alarms(d->c->aws, prefix), &names,
                                       err) == -1)
        return err_wrap(err, "the machines are gone, the alarms are not looked at");
    *removed = names.count;
    if (!names.count)
        return 0;
    step(d->c, "removing %zu alarm%s", names.count, names.count == 1 ? "" : "s");
    struct aws_call *call =
        cloudwatch_delete_alarms(d->c->aws, (const char *const *)names.items, names.count);
    return cloudwatch_delete_alarms_end(call, err);
}

static int count_volumes(struct down *d, size_t *left, char **first, struct err *err)
{
    AUTO_FREE char *creator = filter_escape(d->creator);
    AUTO_FREE char *name = filter_escape(d->name);
    struct ec2_filter filters[] = {
        EC2_FILTER("tag:" TAG_PURPOSE, TAG_PURPOSE_VALUE),
        EC2_FILTER("tag:" TAG_CREATOR, creator),
        EC2_FILTER("tag:" TAG_CLUSTER, name),
    };
    CLEANUP(ec2_volumes_done) struct ec2_volumes found = {0};
    if (ec2_describe_volumes_end(ec2_describe_volumes(d->c->aws, filters, COUNT_OF(filters)),
                                 &found, err) == -1)
        return -1;
    *left = found.count;
    if (found.count)
        *first = mem_dup(found.items[0].id);
    return 0;
}

/* EC2 deletes root volumes with their instances, a moment later. */
static int await_volumes(struct down *d, struct err *err)
{
    usec_t start = now(d);
    for (;;) {
        size_t left = 0;
        AUTO_FREE char *first = NULL;
        if (count_volumes(d, &left, &first, err) == -1)
            return -1;
        if (!left)
            return 0;
        if (now(d) - start > VOLUMES_WITHIN)
            return err_set(err, ERR_PARTIAL,
                           "%zu volume%s of '%s' %s left: 'aws ec2 delete-volume --region %s "
                           "--volume-id %s'",
                           left, left == 1 ? "" : "s", d->name, left == 1 ? "is" : "are",
                           aws_region(d->c->aws), first);
        if (loop_pause(d->c->loop, POLL, err) == -1)
            return -1;
    }
}

/* Asks for everything once more: instances, volumes (asked for just now) and alarms. */
static int prove(struct down *d, struct err *err)
{
    AUTO_FREE char *prefix = alarm_prefix(d->creator, d->name);
    AUTO_STRV struct strv alarms = {0};
    CLEANUP(ec2_instances_done) struct ec2_instances found = {0};
    struct aws_call *instances = observe_start(d->c, d->creator, d->name, false);
    struct aws_call *names = cloudwatch_describe_alarms(d->c->aws, prefix);
    struct err why[2] = {0};
    int rc1 = ec2_describe_instances_end(instances, &found, &why[0]);
    int rc2 = cloudwatch_describe_alarms_end(names, &alarms, &why[1]);
    if (rc1 == -1)
        return err_copy(err, &why[0]);
    if (rc2 == -1)
        return err_copy(err, &why[1]);
    if (found.count || alarms.count)
        return err_set(err, ERR_PARTIAL,
                       "'%s' has %zu machines and %zu alarms again: something else makes them; run "
                       "'flambe down %s' once more",
                       d->name, found.count, alarms.count, d->name);
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* The lock stays: removing it would race with its next taker. */
static void forget(struct down *d)
{
    static const char *const files[] = {"journal.jsonl", "known_hosts",   "cluster.json",
                                        "alarms.json",   "launched.json", "stamp",
                                        "setup"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO_FREE char *path = state_path(d->c, d->creator, d->name, files[i]);
        struct err why = {0};
        if (fs_remove_tree(path, &why) == -1)
            warn_user(d->c, "%s", why.msg);
    }
    d->c->seen[0] = '\0';
}

/* How long a launch whose answer never came may take to show its machines: whatever RunInstances
 * makes shows within RECENT_FOR, and the journal is forgotten at the end. */
static usec_t settle_span(const struct down *d)
{
    usec_t longest = SETTLE, wall = clock_wall(loop_clock(d->c->loop));
    for (size_t i = 0; i < d->journal.count; i++) {
        usec_t left = d->journal.pending[i].at + RECENT_FOR - wall;
        if (left > longest)
            longest = left < RECENT_FOR ? left : RECENT_FOR;
    }
    return longest;
}

static int run(struct down *d, struct cluster_down_result *out, struct err *err)
{
    AUTO_FREE char *path = state_path(d->c, d->creator, d->name, "journal.jsonl");
    struct err why = {0};
    if (journal_open(path, &d->journal, &why) == -1)
        warn_user(d->c, "%s: going by the tags alone", why.msg);
    /* A damaged journal may hold a launch too. */
    if (d->journal.count || why.code)
        d->look_until = now(d) + settle_span(d);
    step(d->c, "looking for what '%s' has", d->name);
    if (end_instances(d, err) == -1 || end_alarms(d, &out->alarms, err) == -1 ||
        await_volumes(d, err) == -1 || prove(d, err) == -1)
        return -1;
    out->terminated = d->ids.count;
    out->proven = true;
    forget(d);
    return 0;
}

int cluster_down(struct cluster *c, const char *creator, const char *name,
                 struct cluster_down_result *out, struct err *err)
{
    struct down d = {
        .c = c, .creator = creator, .name = name, .began = clock_mono(loop_clock(c->loop))};
    struct cluster_down_result result = {0};
    int rc = state_lock(c, creator, name, &d.lock, err);
    if (rc == 0)
        rc = run(&d, &result, err);
    lock_release(d.lock);
    journal_done(&d.journal);
    strv_done(&d.ids);
    strv_done(&d.asked);
    cluster_hosts_done(&d.hosts);
    if (rc == 0)
        *out = result;
    return rc;
}

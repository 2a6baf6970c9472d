/* See driver.h. */
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include "os/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLL_EVERY (250 * USEC_PER_MSEC)
#define FILL_MAX (50 * USEC_PER_MSEC) /* of beginning, or taking, trials in one turn */
#define TICK_EVERY (100 * USEC_PER_MSEC)
#define SYNC_EVERY (100 * USEC_PER_MSEC)

usec_t driver_now(const struct driver *d)
{
    return clock_mono(loop_clock(d->o.loop));
}

bool driver_disk_failed(const struct err *err)
{
    return err->sys == ENOSPC || err->sys == EDQUOT || err->sys == EIO || err->sys == EROFS;
}

void driver_say(struct driver *d, enum driver_event_kind kind, const struct stage_run *s,
                const struct store_trial *t, bool again, const char *text)
{
    struct driver_event e = {kind, s ? s->at : 0, t, again, text};
    if (d->o.event)
        d->o.event(d->o.ctx, &e);
}

void driver_warn(struct driver *d, const struct stage_run *s, const struct store_trial *t,
                 const char *fmt, ...)
{
    AUTO_BUF struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    driver_say(d, DRIVER_WARNING, s, t, false, buf_text(&text));
}

/* ---- making -----------------------------------------------------------------------------------
 */

struct driver *driver_new(const struct experiment_plan *plan, const struct driver_options *o)
{
    struct driver *d = mem_alloc(sizeof *d);
    d->plan = plan;
    d->experiment = plan->experiment;
    d->o = *o;
    d->count = plan->count;
    d->stages = mem_array(plan->count + 1, sizeof *d->stages);
    d->status.stages = mem_array(plan->count + 1, sizeof *d->status.stages);
    d->status.count = plan->count;
    d->began = clock_wall(loop_clock(o->loop));
    d->fingerprints = fingerprints_new(o->working, &o->python_path);
    d->resource_marks = mem_array(d->experiment->resource_count + 1, sizeof *d->resource_marks);
    for (size_t i = 0; i < d->experiment->resource_count; i++)
        d->resource_marks[i] = fingerprint_resource(&d->experiment->resources[i], o->resources[i]);
    for (size_t i = 0; i < plan->count; i++) {
        struct stage_run *s = &d->stages[i];
        s->d = d;
        s->at = i;
        s->plan = &plan->stages[i];
        s->stage = plan->stages[i].stage;
        s->searched = s->stage->search.kind != SEARCH_GRID;
        s->planned = (int64_t)s->plan->trials;
    }
    return d;
}

void driver_free(struct driver *d)
{
    if (!d)
        return;
    while (d->running)
        trial_drop(d, d->running);
    for (size_t i = 0; i < d->count; i++)
        stage_close(&d->stages[i]);
    for (size_t i = 0; i < d->experiment->resource_count; i++)
        free(d->resource_marks[i]);
    for (size_t i = 0; i < d->news_count; i++) {
        free(d->news[i].host);
        free(d->news[i].gpus);
    }
    fingerprints_free(d->fingerprints);
    free(d->resource_marks);
    free(d->stages);
    free(d->status.stages);
    free(d->news);
    free(d->ends);
    free(d);
}

/* ---- what the engine says: queued, and handled on the main path -------------------------------
 */

static struct engine_news *add_news(struct driver *d)
{
    MEM_PUSH_ROOM(d->news, d->news_count, d->news_cap);
    struct engine_news *n = &d->news[d->news_count++];
    *n = (struct engine_news){0};
    return n;
}

static void on_started(void *ctx, uint64_t id, const char *host, const char *gpus, usec_t wall)
{
    (void)wall;
    struct engine_news *n = add_news(ctx);
    n->id = id;
    n->host = mem_dup(host);
    n->gpus = mem_dup(gpus);
}

static void on_ended(void *ctx, const struct engine_result *result)
{
    struct engine_news *n = add_news(ctx);
    n->ended = true;
    n->id = result->id;
    n->result = *result;
}

static void on_broken(void *ctx, const struct err *err)
{
    struct driver *d = ctx;
    d->broken = *err;
}

struct engine_events driver_engine_events(struct driver *d)
{
    return (struct engine_events){on_started, on_ended, on_broken, d};
}

void driver_set_engine(struct driver *d, struct engine *engine)
{
    d->engine = engine;
}

void driver_drain(struct driver *d)
{
    d->drain = true;
}

void driver_stop(struct driver *d)
{
    d->drain = d->stop = true;
}

static int handle(struct driver *d, const struct engine_news *n, struct err *err)
{
    struct running *r = trial_find(d, n->id);
    if (!r)
        return 0;
    if (n->ended)
        return trial_end(d, r, &n->result, err);
    free(r->t.host);
    free(r->t.gpus);
    r->t.host = mem_dup(n->host);
    r->t.gpus = mem_dup(n->gpus);
    return 0;
}

static int handle_news(struct driver *d, struct err *err)
{
    int rc = 0;
    size_t i = 0;
    for (; rc == 0 && i < d->news_count; i++) {
        struct engine_news n = d->news[i];
        rc = handle(d, &n, err);
        free(n.host);
        free(n.gpus);
        d->news[i].host = d->news[i].gpus = NULL;
    }
    if (i)
        memmove(d->news, d->news + i, (d->news_count - i) * sizeof *d->news);
    d->news_count -= i;
    return rc;
}

/* ---- one turn ---------------------------------------------------------------------------------
 */

static int poll_metrics(struct driver *d, struct err *err)
{
    usec_t now = driver_now(d);
    if (now < d->polled + POLL_EVERY)
        return 0;
    d->polled = now;
    for (struct running *r = d->running; r; r = r->next)
        if (watch_poll(d, r, false, err) == -1)
            return -1;
    return 0;
}

static int keep(struct driver *d, struct err *err)
{
    usec_t now = driver_now(d);
    if (now < d->synced + SYNC_EVERY)
        return store_commit(d->o.store, err);
    if (!d->unsynced)
        return store_commit(d->o.store, err);
    d->synced = now;
    d->unsynced = false;
    return store_sync(d->o.store, err);
}

static size_t room(const struct driver *d)
{
    const struct devices *v = &d->experiment->devices;
    if (d->drain || (d->o.one_at_a_time && d->running))
        return 0;
    return engine_room(d->engine, v->cpu, v->gpu);
}

/* Begins what there is room for. *more: something is left to wait for. */
static int fill(struct driver *d, struct stage_run *s, bool *more, struct err *err)
{
    *more = d->running != NULL || (!d->drain && stage_left(s));
    usec_t until = driver_now(d) + FILL_MAX;
    while (room(d) > 0) {
        if (driver_now(d) > until) {
            *more = true; /* signals, and whoever looks, come first */
            return 0;
        }
        *more = d->running != NULL;
        struct candidate c = {0};
        enum stage_next next;
        if (stage_next(s, &c, &next, err) == -1)
            return -1;
        if (next != NEXT_TRIAL) {
            *more = *more || next == NEXT_WAIT;
            return 0;
        }
        int rc = trial_begin(s, &c, err);
        candidate_done(&c, d->count);
        if (rc == -1)
            return -1;
        *more = true;
        d->unsynced = true;
        if (d->news_count)
            return 0;
    }
    return 0;
}

static void tick(struct driver *d)
{
    usec_t now = driver_now(d);
    if (now < d->ticked + TICK_EVERY)
        return;
    d->ticked = now;
    if (d->o.tick)
        d->o.tick(d->o.ctx);
}

static void stop_running(struct driver *d)
{
    if (!d->stop || d->stop_sent)
        return;
    d->stop_sent = true;
    for (struct running *r = d->running; r; r = r->next)
        engine_stop(d->engine, trial_engine_id(&r->t), STOP_GRACE);
}

static bool has_news(void *ctx)
{
    const struct driver *d = ctx;
    return d->news_count > 0 || d->broken.code != ERR_NONE || (d->stop && !d->stop_sent);
}

static int wait_for_news(struct driver *d, const struct stage_run *s, struct err *err)
{
    usec_t now = driver_now(d), until = now + TICK_EVERY;
    /* While there is no room, one that is due waits for an end, which is news. */
    usec_t wake = room(d) > 0 ? stage_wake(s) : USEC_FOREVER;
    if (wake < until)
        until = wake > now ? wake : now + USEC_PER_MSEC;
    struct err why = {0};
    if (loop_wait(d->o.loop, has_news, d, until - now, &why) == 0 || why.code == ERR_TIMEOUT)
        return 0;
    return err_copy(err, &why);
}

static int run_stage(struct driver *d, struct stage_run *s, struct err *err)
{
    bool more = true;
    while (more) {
        if (handle_news(d, err) == -1 || poll_metrics(d, err) == -1)
            return -1;
        if (d->broken.code)
            return err_copy(err, &d->broken);
        stop_running(d);
        if (fill(d, s, &more, err) == -1 || keep(d, err) == -1)
            return -1;
        tick(d);
        if (d->drain && !d->running)
            return 0;
        if (more && !d->news_count && wait_for_news(d, s, err) == -1)
            return -1;
    }
    return 0;
}

/* ---- the run ----------------------------------------------------------------------------------
 */

struct ends {
    struct driver *d;
    uint64_t *ids;
    size_t count, cap;
};

static bool note_running(void *ctx, const struct store_trial *t)
{
    struct ends *e = ctx;
    MEM_PUSH_ROOM(e->ids, e->count, e->cap);
    e->ids[e->count++] = trial_engine_id(t);
    return true;
}

static void note_end(void *ctx, const struct engine_result *result)
{
    struct ends *e = ctx;
    struct driver *d = e->d;
    for (size_t i = 0; i < e->count; i++)
        if (e->ids[i] == result->id) {
            MEM_PUSH_ROOM(d->ends, d->end_count, d->end_cap);
            d->ends[d->end_count++] = *result;
        }
}

/* Of the trials that the store has as running, which ones had ended when the last driver died. */
static int read_record(struct driver *d, struct err *err)
{
    struct ends ends = {.d = d};
    struct store_query q = {.stage = -1, .state = TRIAL_RUNNING};
    int rc = store_each_trial(d->o.store, &q, note_running, &ends, err);
    if (rc == 0 && ends.count && d->o.record)
        rc = engine_local_replay(d->o.record, note_end, &ends, err);
    free(ends.ids);
    return rc;
}

/* The running trials are ended; their rows stay as they are, for the next driver. */
static void abandon(struct driver *d)
{
    loop_shield(d->o.loop);
    for (struct running *r = d->running; r; r = r->next)
        engine_stop(d->engine, trial_engine_id(&r->t), 0);
    loop_unshield(d->o.loop);
    while (d->running) {
        trial_interrupt(d, d->running);
        trial_drop(d, d->running);
    }
}

/* Whoever looks at the results sees all stages from the start. */
static int put_stages(struct driver *d, struct err *err)
{
    struct store_stage *rows;
    size_t count;
    if (store_stages(d->o.store, &rows, &count, err) == -1)
        return -1;
    store_stages_free(rows, count);
    for (size_t i = count; i < d->count; i++)
        if (stage_put(&d->stages[i], STAGE_PENDING, err) == -1)
            return -1;
    return 0;
}

static int run_all(struct driver *d, struct err *err)
{
    for (size_t i = 0; i < d->count; i++) {
        struct stage_run *s = &d->stages[i];
        if (stage_open(s, err) == -1)
            return -1;
        if (run_stage(d, s, err) == -1)
            return err_wrap(err, "stage '%s'", s->stage->name);
        if (d->drain && (stage_left(s) || s->interrupted))
            return err_set(err, ERR_CANCELLED, "stopped before its end");
        if (stage_end(s, err) == -1)
            return -1;
        driver_say(d, DRIVER_STAGE_ENDED, s, NULL, false, NULL);
        d->failed += s->counts[TRIAL_FAILURE];
        if (s->counts[TRIAL_FAILURE] && d->experiment->stop_on_failure)
            return err_set(err, ERR_PARTIAL, "%lld of %lld trials of '%s' failed",
                           (long long)s->counts[TRIAL_FAILURE], (long long)s->planned,
                           s->stage->name);
        if (d->drain && i + 1 < d->count)
            return err_set(err, ERR_CANCELLED, "stopped before its end");
    }
    if (d->failed)
        return err_set(err, ERR_PARTIAL, "%lld trial%s failed", (long long)d->failed,
                       d->failed == 1 ? "" : "s");
    return 0;
}

static int finish(struct driver *d, int rc, const struct err *why, struct err *err)
{
    bool over = rc == 0 || why->code == ERR_PARTIAL;
    const char *state = run_state_name(rc == 0 ? RUN_FINISHED : over ? RUN_FAILED : RUN_STOPPED);
    AUTO_FREE char *ended = mem_printf("%lld", (long long)clock_wall(loop_clock(d->o.loop)));
    if (store_set(d->o.store, STORE_STATE, state, err) == -1 ||
        store_set(d->o.store, STORE_ENDED, ended, err) == -1)
        return -1;
    if (rc == 0) {
        AUTO_FREE char *earlier = fs_join(d->o.directory, ".earlier");
        if (store_drop_retired(d->o.store, err) == -1 || store_sync(d->o.store, err) == -1 ||
            fs_remove_tree(earlier, err) == -1)
            return -1;
    }
    return store_sync(d->o.store, err);
}

int driver_run(struct driver *d, struct err *err)
{
    struct err why = {0};
    AUTO_FREE char *began = mem_printf("%lld", (long long)d->began);
    if (store_set(d->o.store, STORE_STATE, run_state_name(RUN_RUNNING), err) == -1 ||
        store_set(d->o.store, STORE_BEGAN, began, err) == -1 || read_record(d, err) == -1 ||
        put_stages(d, err) == -1)
        return -1;
    d->unsynced = true;
    int rc = run_all(d, &why);
    bool ours = rc == 0 || why.code == ERR_PARTIAL || why.code == ERR_CANCELLED;
    if (d->running)
        abandon(d);
    if (ours && finish(d, rc, &why, err) == -1)
        return -1;
    if (!ours && store_sync(d->o.store, NULL) == -1)
        rc = -1; /* for the first of the two reasons */
    if (rc == -1 && why.sys == ENOSPC)
        err_wrap(&why, "the disk is full; what has ended is kept");
    return rc == 0 ? 0 : err_copy(err, &why);
}

/* ---- status -----------------------------------------------------------------------------------
 */

static usec_t time_left(const struct driver *d, const struct stage_run *s, int64_t pending)
{
    if (pending + s->counts[TRIAL_RUNNING] == 0)
        return 0;
    if (!s->spent_count)
        return -1;
    int64_t lanes = d->running_count ? (int64_t)d->running_count : 1;
    /* Those that run are half done, as far as is known. */
    double trials = (double)pending + (double)s->counts[TRIAL_RUNNING] / 2;
    return (usec_t)((double)s->spent / (double)s->spent_count * trials / (double)lanes);
}

static void fill_status(const struct driver *d, const struct stage_run *s, struct driver_stage *out)
{
    int64_t pending = s->planned;
    *out = (struct driver_stage){.name = s->stage->name,
                                 .state = s->ended
                                              ? s->counts[TRIAL_FAILURE] ? STAGE_FAILED : STAGE_DONE
                                          : s->open ? STAGE_RUNNING
                                                    : STAGE_PENDING,
                                 .planned = s->planned,
                                 .at_most = !s->open && s->plan->at_most,
                                 .metric = s->stage->objective.metric,
                                 .maximize = s->stage->objective.maximize,
                                 .has_best = s->has_best,
                                 .best = s->best,
                                 .time_left = -1};
    for (size_t i = TRIAL_RUNNING; i < TRIAL_STATE_COUNT; i++) {
        out->by_state[i] = s->counts[i];
        pending -= s->counts[i];
    }
    out->by_state[TRIAL_PENDING] = pending > 0 ? pending : 0;
    out->time_left = time_left(d, s, out->by_state[TRIAL_PENDING]);
    if (s->best_name)
        snprintf(out->best_name, sizeof out->best_name, "%s", s->best_name);
}

const struct driver_status *driver_status(struct driver *d)
{
    d->status.began = d->began;
    d->status.draining = d->drain;
    d->status.time_left = 0;
    for (size_t i = 0; i < d->count; i++) {
        struct driver_stage *out = &d->status.stages[i];
        fill_status(d, &d->stages[i], out);
        if (d->status.time_left >= 0)
            d->status.time_left = out->time_left < 0 ? -1 : d->status.time_left + out->time_left;
    }
    return &d->status;
}

/* What running trials report: into the store, to the scheduler and to the search. See
 * driver_priv.h. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/driver_priv.h"
#include "experiment/eventfile.h"
#include "experiment/trial_files.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_BLOCK ((size_t)1 << 20) /* bytes written at once */
#define CLOCK_MAX 1e18                 /* of a scheduler's time_attr */

struct watch {
    struct driver *d;
    struct running *r;
    struct err *err;
    bool failed;
    struct buf events; /* what came by JSON lines, for TensorBoard */
};

/* ---- points -----------------------------------------------------------------------------------
 */

static void end_early(struct watch *w)
{
    struct running *r = w->r;
    if (r->early)
        return;
    r->early = true;
    engine_stop(w->d->engine, trial_engine_id(&r->t), STOP_GRACE);
}

/* NaN is worse than any number, for whoever compares. */
static void judge(struct watch *w, int64_t step, double value)
{
    struct stage_run *s = w->r->stage;
    const char *clock = s->stage->scheduler.time_attr;
    if (clock && !w->r->has_clock)
        return;
    int64_t at = clock ? (int64_t)w->r->clock : step, max = s->stage->scheduler.max_t;
    w->r->whole = w->r->whole || (!w->r->early && max && at >= max);
    if (asha_report(s->asha, (size_t)w->r->t.number, at, value))
        end_early(w);
}

static void report(struct watch *w, int64_t step, double value)
{
    struct stage_run *s = w->r->stage;
    bool stop = false;
    if (s->search->ops->report(s->search, (size_t)w->r->t.number, step, value, &stop, w->err) == -1)
        w->failed = true;
    else if (stop)
        end_early(w);
}

static void on_point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    struct watch *w = ctx;
    struct stage_run *s = w->r->stage;
    if (w->failed)
        return;
    if (store_add_point(w->d->o.store, w->r->t.id, tag, step, wall, value, w->err) == -1) {
        w->failed = true;
        return;
    }
    w->d->unsynced = true;
    if (s->stage->scheduler.time_attr && str_is(tag, s->stage->scheduler.time_attr)) {
        w->r->clock = value;
        w->r->has_clock = !isnan(value) && fabs(value) < CLOCK_MAX;
    }
    if (s->asha && s->watched && str_is(tag, s->watched))
        judge(w, step, value);
    if (s->search && s->stage->search.pruner && s->stage->objective.metric &&
        str_is(tag, s->stage->objective.metric))
        report(w, step, value);
}

/* Where the program removed its directory, its curves are in the store alone. */
static int add_events(struct watch *w)
{
    struct err why = {0};
    if (trial_files_add_events(w->r->directory, &w->events, &why) == 0 || !driver_disk_failed(&why))
        return 0;
    return err_copy(w->err, &why);
}

static void on_line(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    struct watch *w = ctx;
    usec_t at = wall ? wall : clock_wall(loop_clock(w->d->o.loop));
    eventfile_scalar(at, step, tag, value, &w->events);
    if (w->events.len > EVENTS_BLOCK && !w->failed && add_events(w) == -1)
        w->failed = true;
}

static void on_purge(void *ctx, int64_t step)
{
    struct watch *w = ctx;
    if (!w->failed && store_purge(w->d->o.store, w->r->t.id, step, w->err) == -1)
        w->failed = true;
}

static void on_damage(void *ctx, const char *what)
{
    struct watch *w = ctx;
    if (!w->r->t.warning)
        w->r->t.warning = mem_dup(what);
    driver_warn(w->d, w->r->stage, &w->r->t, "%s", what);
}

int watch_poll(struct driver *d, struct running *r, bool final, struct err *err)
{
    struct watch w = {.d = d, .r = r, .err = err};
    struct metrics_sink sink = {on_point, on_purge, on_damage, &w, on_line};
    metrics_reader_poll(r->reader, final, &sink);
    int rc = w.failed ? -1 : add_events(&w);
    buf_done(&w.events);
    return rc;
}

/* ---- objectives -------------------------------------------------------------------------------
 */

struct objective_of {
    const struct objective *o;
    struct store_trial *t;
    json_t *metrics;
};

static void note_metric(void *ctx, const struct store_metric *m)
{
    struct objective_of *of = ctx;
    json_object_set_new(of->metrics, m->tag, json_number(m->last));
    if (!of->o->metric || strcmp(of->o->metric, m->tag) != 0)
        return;
    double value = !of->o->best ? m->last : of->o->maximize ? m->max : m->min;
    of->t->has_objective = !isnan(value);
    of->t->objective = value;
}

int watch_objective(struct stage_run *s, struct store_trial *t, json_t **metrics, struct err *err)
{
    struct objective_of of = {&s->stage->objective, t, json_object()};
    t->has_objective = false;
    t->objective = 0;
    if (store_each_metric(s->d->o.store, t->id, note_metric, &of, err) == -1) {
        json_decref(of.metrics);
        return -1;
    }
    *metrics = of.metrics;
    return 0;
}

/* ---- search and scheduler ---------------------------------------------------------------------
 */

struct past {
    struct stage_run *s;
    struct store_trial *items;
    size_t count, cap;
    struct search_point *points;
    size_t point_count, point_cap;
    size_t clock;   /* how many of the points have passed */
    int64_t number; /* whose points are read */
};

static bool has_result(const struct store_trial *t)
{
    return t->state == TRIAL_SUCCESS || t->state == TRIAL_STOPPED;
}

static bool note_past(void *ctx, const struct store_trial *t)
{
    struct past *p = ctx;
    if (!p->s->search && !has_result(t))
        return true;
    MEM_PUSH_ROOM(p->items, p->count, p->cap);
    p->items[p->count++] = (struct store_trial){.id = t->id,
                                                .number = t->number,
                                                .state = t->state,
                                                .has_objective = t->has_objective,
                                                .objective = t->objective,
                                                .draw = mem_dup(t->draw)};
    return true;
}

static bool note_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)wall;
    struct past *p = ctx;
    MEM_PUSH_ROOM(p->points, p->point_count, p->point_cap);
    p->points[p->point_count++] = (struct search_point){step, value};
    return true;
}

static bool note_asha_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)wall;
    struct past *p = ctx;
    int64_t at = step;
    if (p->s->stage->scheduler.time_attr) { /* the points are the clock's */
        while (p->clock < p->point_count && p->points[p->clock].step <= step)
            p->clock++;
        double clock = p->clock ? p->points[p->clock - 1].value : NAN;
        if (isnan(clock) || fabs(clock) >= CLOCK_MAX)
            return true;
        at = (int64_t)clock;
    }
    asha_restore(p->s->asha, (size_t)p->number, at, value);
    return true;
}

/* What the trial reported, as judge() would have had it. */
static int restore_asha(struct past *p, int64_t id, struct err *err)
{
    struct stage_run *s = p->s;
    const char *clock = s->stage->scheduler.time_attr;
    p->point_count = p->clock = 0;
    if (clock && store_each_point(s->d->o.store, id, clock, note_point, p, err) == -1)
        return -1;
    return store_each_point(s->d->o.store, id, s->watched, note_asha_point, p, err);
}

static int restore_search(struct past *p, const struct store_trial *t, struct err *err)
{
    struct stage_run *s = p->s;
    json_auto_t *draw = NULL;
    if (!t->draw || json_parse(str_of(t->draw), BUF_MAX_DEFAULT, &draw, err) == -1)
        return err_set(err, ERR_PARSE, "the state does not say what trial %lld drew",
                       (long long)t->number);
    struct dimension_value *values = mem_array(s->dimensions.count + 1, sizeof *values);
    int rc = dimensions_from_json(s->dimensions.items, s->dimensions.count, draw, values, err);
    p->point_count = 0;
    if (rc == 0 && s->stage->search.pruner && s->stage->objective.metric)
        rc = store_each_point(s->d->o.store, t->id, s->stage->objective.metric, note_point, p, err);
    if (rc == 0) {
        struct search_past past = {.number = (size_t)t->number,
                                   .values = values,
                                   .state = t->state == TRIAL_SUCCESS   ? SEARCH_COMPLETE
                                            : t->state == TRIAL_STOPPED ? SEARCH_PRUNED
                                                                        : SEARCH_RUNNING,
                                   .has_value = t->has_objective,
                                   .value = t->objective,
                                   .points = p->points,
                                   .point_count = p->point_count};
        rc = s->search->ops->restore(s->search, &past, err);
    }
    free(values);
    return rc;
}

static int restore(struct stage_run *s, struct err *err)
{
    struct past p = {.s = s};
    struct store_query q = {.stage = (int)s->at, .state = -1};
    int rc = store_each_trial(s->d->o.store, &q, note_past, &p, err);
    for (size_t i = 0; rc == 0 && i < p.count; i++) {
        p.number = p.items[i].number;
        if (s->asha && has_result(&p.items[i]))
            rc = restore_asha(&p, p.items[i].id, err);
        if (rc == 0 && s->search)
            rc = restore_search(&p, &p.items[i], err);
    }
    for (size_t i = 0; i < p.count; i++)
        free(p.items[i].draw);
    free(p.items);
    free(p.points);
    return rc;
}

int watch_taken(struct stage_run *s, const struct store_trial *t, struct err *err)
{
    struct past p = {.s = s, .number = t->number};
    int rc = s->asha ? restore_asha(&p, t->id, err) : 0;
    free(p.points);
    return rc;
}

int watch_open(struct stage_run *s, struct err *err)
{
    const struct scheduler_spec *scheduler = &s->stage->scheduler;
    const struct objective *o = &s->stage->objective;
    if (scheduler->kind == SCHEDULER_ASHA) {
        s->watched = scheduler->metric ? scheduler->metric : o->metric;
        s->watched_maximize =
            scheduler->mode_given || !o->metric ? scheduler->maximize : o->maximize;
        s->asha = asha_new(scheduler, s->watched_maximize);
    }
    if (s->searched) {
        struct search_options options = {.loop = s->d->o.loop,
                                         .dimensions = s->dimensions.items,
                                         .dimension_count = s->dimensions.count,
                                         .seed = s->d->experiment->drawn_with,
                                         .stage = s->stage->name,
                                         .maximize = o->maximize};
        if (search_new(&s->stage->search, &options, &s->search, err) == -1)
            return -1;
    }
    return s->asha || s->search ? restore(s, err) : 0;
}

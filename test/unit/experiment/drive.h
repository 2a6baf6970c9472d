/* An experiment carried out over the fake engine, with a real store in a directory of the test's
 * own. The test says how each trial ends, when it has begun. Included by tests, once each. */
#ifndef FLAMBE_TEST_EXPERIMENT_DRIVE_H
#define FLAMBE_TEST_EXPERIMENT_DRIVE_H

#include "base/json.h"
#include "experiment/driver.h"
#include "experiment/run.h"
#include "fixture.h"
#include "place.h"

struct drive {
    struct place *place;
    /* of the next drive_open() */
    const char *text;
    size_t room;
    bool reuse, one_at_a_time;
    const char *record;
    /* How the trial that has begun ends; false: it goes on. NULL: with success. */
    bool (*began)(struct drive *d, const struct store_trial *t, struct engine_result *r);
    void (*ended)(struct drive *d, const struct store_trial *t);
    void (*tick)(struct drive *d);
    int n, m; /* the test's own */
    double x;
    /* while it is open */
    struct loop *loop;
    struct experiment e;
    struct experiment_plan plan;
    struct run run;
    struct engine *engine;
    struct driver *driver;
    /* what happened */
    struct buf log; /* "[s +a=1_0 -a=1_0:success ]s " */
    struct buf said;
    size_t most; /* programs under way at once */
    struct err err;
};

static const char *const drive_env[] = {"PATH=/usr/bin:/bin", NULL};

/* The trial's directory; the caller frees. */
static inline char *drive_directory(struct drive *d, int stage, const char *name)
{
    return mem_printf("%s/%s/%s", d->run.directory, d->e.stages[stage].name, name);
}

/* As the trial would: into its metrics.jsonl. */
static inline void drive_report(struct drive *d, const struct store_trial *t, const char *line)
{
    AUTO_FREE char *directory = drive_directory(d, t->stage, t->name);
    AUTO_FREE char *path = fs_join(directory, "metrics.jsonl");
    FILE *f = fopen(path, "ae");
    assert_non_null(f);
    fprintf(f, "%s\n", line);
    assert_int_equal(fclose(f), 0);
}

static inline void drive_report_loss(struct drive *d, const struct store_trial *t, double loss)
{
    AUTO_FREE char *line = mem_printf("{\"loss\": %.17g}", loss);
    drive_report(d, t, line);
}

/* Ends the i-th program under way. */
static inline void drive_end(struct drive *d, size_t i, struct engine_result r)
{
    const struct engine_program *p = engine_fake_program(d->engine, i);
    assert_non_null(p);
    r.id = p->id;
    r.ended = r.ended ? r.ended : clock_wall(loop_clock(d->loop));
    engine_fake_end(d->engine, &r);
}

static inline struct engine_result drive_exit(int status)
{
    return (struct engine_result){.end = ENGINE_EXITED, .exit_status = status};
}

static inline void drive_on_event(void *ctx, const struct driver_event *e)
{
    struct drive *d = ctx;
    const char *stage = d->e.stages[e->stage].name;
    struct engine_result r = drive_exit(0);
    size_t count = engine_fake_count(d->engine);
    switch (e->kind) {
    case DRIVER_STAGE_BEGAN:
        buf_addf(&d->log, "[%s ", stage);
        return;
    case DRIVER_STAGE_ENDED:
        buf_addf(&d->log, "]%s ", stage);
        return;
    case DRIVER_TRIAL_BEGAN:
        buf_addf(&d->log, "+%s ", e->trial->name);
        d->most = count > d->most ? count : d->most;
        if (!d->began || d->began(d, e->trial, &r))
            drive_end(d, count - 1, r);
        return;
    case DRIVER_TRIAL_ENDED:
        buf_addf(&d->log, "-%s:%s ", e->trial->name, trial_state_name(e->trial->state));
        assert_int_equal(e->again, e->trial->state == TRIAL_PENDING);
        if (d->ended)
            d->ended(d, e->trial);
        return;
    case DRIVER_WARNING:
    case DRIVER_SAYS:
        buf_addf(&d->said, "%s;", e->text);
        return;
    }
}

static inline void drive_on_tick(void *ctx)
{
    struct drive *d = ctx;
    if (d->tick)
        d->tick(d);
}

static inline void drive_open(struct drive *d)
{
    d->err = (struct err){0};
    d->loop = loop_new();
    plan_good(d->text, &d->e, &d->plan);
    struct run_options ro = {.save_path = d->place->dir,
                             .name = d->e.name,
                             .path = "/x.yaml",
                             .file = str_of(d->text),
                             .seed = on_machine.seed,
                             .reuse = d->reuse,
                             .resumes = d->e.resume != NULL};
    if (run_open(d->loop, &ro, &d->run, &d->err) == -1)
        fail_msg("%s", d->err.msg);
    struct driver_options o = {.loop = d->loop,
                               .store = d->run.store,
                               .file = str_of(d->text),
                               .directory = d->run.directory,
                               .working = d->place->dir,
                               .env = drive_env,
                               .resources = drive_env, /* as many as are named */
                               .python = "/py",
                               .flambe = "/flambe",
                               .record = d->record,
                               .one_at_a_time = d->one_at_a_time,
                               .reuse = d->reuse,
                               .event = drive_on_event,
                               .tick = drive_on_tick,
                               .ctx = d};
    d->driver = driver_new(&d->plan, &o);
    struct engine_events events = driver_engine_events(d->driver);
    d->engine = engine_fake_new(d->loop, d->room ? d->room : 1, &events);
    driver_set_engine(d->driver, d->engine);
    buf_clear(&d->log);
    buf_clear(&d->said);
    d->most = 0;
}

/* As an end of the process would: nothing is committed. */
static inline void drive_close(struct drive *d)
{
    engine_free(d->engine);
    driver_free(d->driver);
    run_close(&d->run);
    plan_free(&d->e, &d->plan);
    loop_free(d->loop);
}

/* Runs it; ERR_NONE: with success. */
static inline void drive_run(struct drive *d, enum err_code code)
{
    int rc = driver_run(d->driver, &d->err);
    if (rc != (code ? -1 : 0) || d->err.code != code)
        fail_msg("%s: %s\n%s", err_name(d->err.code), d->err.msg, buf_text(&d->log));
}

/* All of it. */
static inline void drive(struct drive *d, enum err_code code)
{
    drive_open(d);
    drive_run(d, code);
    drive_close(d);
}

static inline void assert_log(const struct drive *d, const char *want)
{
    assert_string_equal(buf_text(&d->log), want);
}

/* ---- what is in the store afterwards ----------------------------------------------------------
 */

static inline bool drive_note_trial(void *ctx, const struct store_trial *t)
{
    buf_addf(ctx, "%d/%s:%s*%d ", t->stage, t->name, trial_state_name(t->state), t->attempts);
    return true;
}

/* "0/a=1_0:success*1 ": stage, name, state and attempts of each trial. */
static inline void assert_trials(struct drive *d, const char *want)
{
    AUTO_BUF struct buf have = {0};
    AUTO_FREE char *directory = mem_printf("%s/output__x", d->place->dir);
    struct store *s;
    struct err err = {0};
    struct store_query q = {.stage = -1, .state = -1};
    if (store_open(directory, STORE_READ, &s, &err) == -1 ||
        store_each_trial(s, &q, drive_note_trial, &have, &err) == -1)
        fail_msg("%s", err.msg);
    store_close(s);
    assert_string_equal(buf_text(&have), want);
}

static inline void assert_run_state(struct drive *d, const char *want)
{
    AUTO_FREE char *directory = mem_printf("%s/output__x", d->place->dir);
    struct store *s;
    assert_int_equal(store_open(directory, STORE_READ, &s, NULL), 0);
    AUTO_FREE char *have = store_get(s, STORE_STATE);
    store_close(s);
    assert_string_equal(have, want);
}

static inline struct store *drive_store(struct drive *d)
{
    AUTO_FREE char *directory = mem_printf("%s/output__x", d->place->dir);
    struct store *s;
    struct err err = {0};
    if (store_open(directory, STORE_READ, &s, &err) == -1)
        fail_msg("%s", err.msg);
    return s;
}

static inline void drive_note_attempt(void *ctx, const struct store_attempt *a)
{
    buf_addf(ctx, "%d:%s:%d ", a->number, a->end, a->exit_status);
}

/* "1:exited:3 ": number, end and status of each attempt of the stage's trial. */
static inline void assert_attempts(struct drive *d, int stage, int64_t number, const char *want)
{
    AUTO_BUF struct buf have = {0};
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, stage, number, &t, NULL), 0);
    assert_int_equal(store_each_attempt(s, t.id, drive_note_attempt, &have, NULL), 0);
    store_trial_done(&t);
    store_close(s);
    assert_string_equal(buf_text(&have), want);
}

static inline int drive_set_up(void **state)
{
    void *place;
    place_set_up(&place);
    struct drive *d = mem_alloc(sizeof *d);
    d->place = place;
    d->run.lock = NULL;
    *state = d;
    return 0;
}

static inline int drive_tear_down(void **state)
{
    struct drive *d = *state;
    void *place = d->place;
    buf_done(&d->log);
    buf_done(&d->said);
    free(d);
    return place_tear_down(&place);
}

#define BY_LOSS "    objective: {metric: loss, mode: min}\n"

#endif

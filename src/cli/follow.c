/* See follow.h.
 *
 * Each look reads who holds the lock, and then the store: so what is read after a lock that was
 * free is the run's last word. What has ended since the last look is told by the history of
 * attempts, in which each end has a row of its own: none is missed, however short. */
#include "cli/follow.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/results.h"
#include "cli/run_view.h"
#include "cli/text.h"
#include "experiment/run.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_GAP (250 * USEC_PER_MSEC)
#define LOOK_SHARE 10                /* a look that takes long is made so much more seldom */
#define WAIT_GAP USEC_PER_SEC        /* while nothing runs yet */
#define FIRST_GAP (5 * USEC_PER_SEC) /* a run that begins makes its store within that */

struct follow {
    const struct follow_order *o;
    struct cli *cli;
    struct loop *loop;
    struct results results;
    bool open;
    dev_t device; /* of the store's file: another one is another run */
    ino_t file;
    struct run_view *view;
    struct driver_status status;
    enum stage_state *told; /* by stage, for who sees no table */
    size_t told_count;
    int64_t after; /* of the history */
    bool begun;    /* what was there before has been told */
    usec_t since;  /* wall; the run's begin */
    usec_t waited_from;
    char *shown; /* the last frame, as JSON */
};

/* ---- as JSON ----------------------------------------------------------------------------------
 */

static void put(struct follow *f, json_t *value)
{
    AUTO_BUF struct buf text = {0};
    json_write(value, false, &text);
    buf_addc(&text, '\n');
    json_decref(value);
    output_write(&f->cli->out, buf_view(&text));
}

/* What is shown is clean text already; a file's name that is not UTF-8 is "\xNN" in it. */
static json_t *text_json(struct str s)
{
    json_t *value = json_stringn(s.p, s.n);
    return value ? value : json_string("");
}

static void on_lines(void *ctx, struct str text)
{
    while (text.p && text.n)
        put(ctx, json_pack("{s:o}", "say", text_json(str_cut(&text, '\n'))));
}

static void on_area(void *ctx, const struct strv *area)
{
    struct follow *f = ctx;
    AUTO_BUF struct buf text = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < area->count; i++)
        json_array_append_new(list, text_json(str_of(area->items[i])));
    json_write(list, false, &text);
    if (f->shown && strcmp(f->shown, buf_text(&text)) == 0) {
        json_decref(list);
        return;
    }
    free(f->shown);
    f->shown = buf_take(&text);
    put(f, json_pack("{s:o}", "frame", list));
}

/* ---- the run's status, from its store ---------------------------------------------------------
 */

static void close_store(struct follow *f)
{
    if (f->open)
        results_done(&f->results);
    f->open = false;
}

/* Opens it, or anew where the file is another one. Nothing is open where there is none. */
static int open_store(struct follow *f, struct err *err)
{
    AUTO_FREE char *state = run_state_directory(f->o->directory);
    AUTO_FREE char *path = fs_join(state, STORE_FILE);
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (f->open && there && st.st_dev == f->device && st.st_ino == f->file)
        return results_refresh(&f->results, err);
    close_store(f);
    if (!there)
        return 0;
    struct err why = {0};
    if (results_open(f->cli, f->o->directory, &f->results, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    f->open = true;
    f->device = st.st_dev;
    f->file = st.st_ino;
    f->after = 0;
    f->begun = false;
    return 0;
}

static usec_t time_left(const struct follow *f, const struct store_stage *g,
                        const struct driver_stage *s)
{
    usec_t sum = 0;
    int64_t count = 0, running = s->by_state[TRIAL_RUNNING], pending = s->by_state[TRIAL_PENDING];
    if (pending + running == 0)
        return 0;
    if (store_spent(f->results.store, g->id, &sum, &count, NULL) == -1 || count <= 0 || sum <= 0)
        return -1;
    /* Those that run are half done, as far as is known. */
    double trials = (double)pending + (double)running / 2;
    return (usec_t)((double)sum / (double)count * trials / (double)(running ? running : 1));
}

static int read_stage(struct follow *f, const struct store_stage *g, struct driver_stage *out,
                      struct err *err)
{
    struct results_counts c;
    if (results_count(&f->results, g, &c, err) == -1)
        return -1;
    *out = (struct driver_stage){.name = g->name,
                                 .state = g->state,
                                 .planned = g->planned,
                                 .at_most = g->at_most,
                                 .metric = g->metric,
                                 .maximize = g->maximize,
                                 .has_best = c.has_best,
                                 .best = c.best,
                                 .time_left = -1};
    for (int s = 0; s < TRIAL_STATE_COUNT; s++)
        out->by_state[s] = c.trials.by_state[s];
    if (c.best_name)
        snprintf(out->best_name, sizeof out->best_name, "%s", c.best_name);
    results_counts_done(&c);
    out->time_left = time_left(f, g, out);
    return 0;
}

static int read_status(struct follow *f, bool held, struct err *err)
{
    struct driver_status *s = &f->status;
    struct results_state state;
    f->results.at_work = held;
    if (results_state(&f->results, &state, err) == -1)
        return -1;
    free(s->stages);
    *s = (struct driver_status){.count = f->results.stage_count, .began = state.began};
    s->time_left = s->count ? 0 : -1;
    s->hint = "Ctrl-C: detach; it goes on";
    s->stages = mem_array(s->count + 1, sizeof *s->stages);
    for (size_t i = 0; i < s->count; i++) {
        struct driver_stage *g = &s->stages[i];
        if (read_stage(f, &f->results.stages[i], g, err) == -1)
            return -1;
        if (s->time_left >= 0)
            s->time_left = g->time_left < 0 ? -1 : s->time_left + g->time_left;
    }
    f->since = state.began;
    return 0;
}

/* ---- what has ended ---------------------------------------------------------------------------
 */

static size_t stage_at(const struct follow *f, int id)
{
    size_t i = 0;
    while (i < f->results.stage_count && f->results.stages[i].id != id)
        i++;
    return i;
}

static void tell(struct follow *f, const struct store_end *e)
{
    bool success = e->trial.state == TRIAL_SUCCESS || e->trial.state == TRIAL_STOPPED;
    struct driver_event event = {.kind = DRIVER_TRIAL_ENDED,
                                 .stage = stage_at(f, e->trial.stage),
                                 .trial = &e->trial,
                                 .again = !success && e->trial.state != TRIAL_FAILURE};
    run_view_event(f->view, &event, &f->status);
    if (!e->last || !e->trial.warning)
        return;
    event.kind = DRIVER_WARNING;
    event.text = e->trial.warning;
    run_view_event(f->view, &event, &f->status);
}

static void on_end(void *ctx, const struct store_end *e)
{
    tell(ctx, e);
}

/* Of what was there before only failures are told, and of many the last ones: those of this process
 * of the run, and of earlier ones those that stand. */
static bool is_past_failure(const struct store_end *e, usec_t since)
{
    bool stands = e->last && e->trial.state == TRIAL_FAILURE;
    return stands || (e->trial.state == TRIAL_PENDING && e->attempt.ended >= since);
}

struct past {
    int64_t after[FOLLOW_EARLIER_MAX]; /* the rows, as a ring */
    int64_t count, row;
    usec_t since;
};

static void note_past(void *ctx, const struct store_end *e)
{
    struct past *p = ctx;
    if (is_past_failure(e, p->since))
        p->after[p->count++ % FOLLOW_EARLIER_MAX] = e->row;
}

struct telling {
    struct follow *f;
    usec_t since;
};

static void tell_past(void *ctx, const struct store_end *e)
{
    struct telling *t = ctx;
    if (is_past_failure(e, t->since))
        tell(t->f, e);
}

static int read_past(struct follow *f, struct err *err)
{
    struct past p = {.since = f->since};
    int64_t after = 0;
    if (store_each_end(f->results.store, &after, note_past, &p, err) == -1)
        return -1;
    int64_t left_out = p.count > FOLLOW_EARLIER_MAX ? p.count - FOLLOW_EARLIER_MAX : 0;
    if (left_out) {
        f->after = p.after[p.count % FOLLOW_EARLIER_MAX] - 1;
        console_line(&f->cli->screen,
                     "%lld earlier failure%s, and the last %d:", (long long)left_out,
                     left_out == 1 ? "" : "s", FOLLOW_EARLIER_MAX);
    }
    struct telling t = {f, f->since};
    return store_each_end(f->results.store, &f->after, tell_past, &t, err);
}

/* Without a table the stages' beginnings and ends are lines. */
static void tell_stages(struct follow *f)
{
    bool first = !f->told;
    if (f->told_count != f->status.count) {
        f->told = mem_grow(f->told, f->status.count + 1, sizeof *f->told);
        for (size_t i = f->told_count; i < f->status.count; i++)
            f->told[i] = first ? f->status.stages[i].state : STAGE_PENDING;
        for (size_t i = f->told_count; first && i < f->status.count; i++)
            if (f->told[i] == STAGE_RUNNING)
                f->told[i] = STAGE_PENDING;
        f->told_count = f->status.count;
    }
    for (size_t i = 0; i < f->status.count; i++) {
        enum stage_state now = f->status.stages[i].state;
        struct driver_event e = {.stage = i};
        if (f->told[i] == STAGE_PENDING && now != STAGE_PENDING) {
            e.kind = DRIVER_STAGE_BEGAN;
            run_view_event(f->view, &e, &f->status);
        }
        if (f->told[i] != now && (now == STAGE_DONE || now == STAGE_FAILED)) {
            e.kind = DRIVER_STAGE_ENDED;
            run_view_event(f->view, &e, &f->status);
        }
        f->told[i] = now;
    }
}

static int read_news(struct follow *f, struct err *err)
{
    int rc =
        f->begun ? store_each_end(f->results.store, &f->after, on_end, f, err) : read_past(f, err);
    f->begun = f->begun || rc == 0;
    if (rc == 0)
        tell_stages(f);
    return rc;
}

/* ---- a look -----------------------------------------------------------------------------------
 */

static int is_held(const struct follow *f, bool *held, struct err *err)
{
    AUTO_FREE char *state = run_state_directory(f->o->directory);
    AUTO_FREE char *path = fs_join(state, RUN_LOCK_FILE);
    struct lock_holder holder;
    if (lock_holder(path, &holder, err) == -1)
        return -1;
    *held = holder.held;
    return 0;
}

static void make_view(struct follow *f)
{
    if (f->view)
        return;
    console_erase(&f->cli->screen);
    f->view = run_view_new(f->cli, clock_system(), f->o->directory);
    usec_t elapsed = clock_wall(clock_system()) - f->since;
    if (f->since && elapsed > 0)
        run_view_began(f->view, elapsed);
}

static void show_waiting(struct follow *f, const char *why)
{
    char span[CLOCK_SPAN_SIZE];
    usec_t now = clock_mono(loop_clock(f->loop));
    if (!f->waited_from)
        f->waited_from = now;
    clock_span((now - f->waited_from) / USEC_PER_SEC * USEC_PER_SEC, span);
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(why), false, &clean);
    struct strv lines = {0};
    strv_take(&lines, mem_printf("%s (%s)", buf_text(&clean), span));
    console_draw(&f->cli->screen, &lines);
}

/* *over: no run is at work, and none is to come. */
static int look(struct follow *f, bool *over, struct err *err)
{
    AUTO_BUF struct buf why = {0};
    bool held = false, expected = false;
    if (is_held(f, &held, err) == -1)
        return -1;
    if (!held && f->o->expects)
        expected = f->o->expects(f->o->ctx, &why);
    if (open_store(f, err) == -1)
        return -1;
    *over = !held && !expected;
    if (!held && expected && !f->view) { /* what is there is of an earlier run */
        show_waiting(f, buf_text(&why));
        return 0;
    }
    if (!f->open)
        return 0;
    if (read_status(f, held || expected, err) == -1)
        return -1;
    make_view(f);
    if (read_news(f, err) == -1)
        return -1;
    if (!*over)
        run_view_tick(f->view, &f->status);
    return 0;
}

static int watch(struct follow *f, struct err *err)
{
    const struct clock *clock = loop_clock(f->loop);
    for (bool over = false;;) {
        usec_t began = clock_mono(clock);
        if (look(f, &over, err) == -1)
            return -1;
        if (over || !output_is_read(&f->cli->out))
            return 0;
        usec_t gap = (clock_mono(clock) - began) * LOOK_SHARE;
        if (gap < (f->view ? LOOK_GAP : WAIT_GAP))
            gap = f->view ? LOOK_GAP : WAIT_GAP;
        if (loop_pause(f->loop, gap, err) == -1)
            return -1;
    }
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* As the run's own process would have said it. */
static int outcome(struct follow *f, enum run_state *state, struct err *err)
{
    int64_t failed = 0;
    struct results_state s = {.state = RUN_INTERRUPTED};
    if (f->open && results_state(&f->results, &s, err) == -1)
        return -1;
    *state = s.state;
    for (size_t i = 0; i < f->status.count; i++)
        failed += f->status.stages[i].by_state[TRIAL_FAILURE];
    switch (s.state) {
    case RUN_FINISHED:
        return 0;
    case RUN_STOPPED:
        return err_set(err, ERR_CANCELLED, "stopped before its end");
    case RUN_FAILED:
        return err_set(err, ERR_PARTIAL, "%lld trial%s failed", (long long)failed,
                       failed == 1 ? "" : "s");
    default:
        return err_set(err, ERR_IO, "the run did not come to its end");
    }
}

static void say_end(struct follow *f, enum run_state state, const struct err *why)
{
    int exit_status = why->code ? err_exit_status(why->code) : 0;
    char *reason = why->msg[0] ? mem_dup(why->msg) : NULL;
    if (f->o->ended && state != RUN_FINISHED) {
        AUTO_FREE char *said = NULL;
        if (f->o->ended(f->o->ctx, &exit_status, &said) && said) {
            free(reason);
            reason = TAKE(said);
        }
    }
    put(f, json_pack("{s:{s:s, s:i, s:s?}}", "end", "state", run_state_name(state), "exit",
                     exit_status, "reason", reason));
    free(reason);
}

/* How long it took, where it had ended before somebody looked. */
static void set_span(struct follow *f)
{
    AUTO_FREE char *fact = f->open ? store_get(f->results.store, STORE_ENDED) : NULL;
    int64_t ended;
    if (f->view && fact && str_to_i64(str_of(fact), 0, INT64_MAX, &ended) && ended > f->since)
        run_view_began(f->view, ended - f->since);
}

static int finish(struct follow *f, struct err *err)
{
    struct err why = {0};
    enum run_state state = RUN_INTERRUPTED;
    int rc = outcome(f, &state, &why);
    set_span(f);
    if (f->view)
        run_view_end(f->view, &f->status, f->open ? f->results.store : NULL,
                     f->open ? f->results.file : NULL, rc == -1 ? &why : NULL);
    if (f->o->lines) {
        say_end(f, state, &why);
        return 0;
    }
    return rc == 0 ? 0 : err_copy(err, &why);
}

static int detach(struct follow *f)
{
    AUTO_BUF struct buf place = {0}, clean = {0};
    console_keep(&f->cli->screen);
    if (f->o->lines)
        return 0;
    text_shell_quote(f->o->directory, &place);
    text_clean(buf_view(&place), false, &clean);
    console_line(&f->cli->screen,
                 "detached: it goes on\n"
                 "next: flambe attach %s   to see it again\n"
                 "      flambe stop %s     to end it",
                 buf_text(&clean), buf_text(&clean));
    return 0;
}

/* Lines for another program: a terminal of its size, which is a stream of JSON. */
static void use_lines(struct follow *f)
{
    struct console *screen = &f->cli->screen;
    screen->on_lines = on_lines;
    screen->on_area = on_area;
    screen->ctx = f;
    screen->tty = true;
    screen->color = false;
    f->cli->json = true;
}

int follow_run(struct cli *cli, const struct follow_order *o, struct err *err)
{
    struct follow f = {.o = o, .cli = cli, .loop = loop_new()};
    struct console before = cli->screen;
    struct err why = {0};
    loop_catch_signals(f.loop, NULL, NULL);
    if (o->lines)
        use_lines(&f);
    int rc = watch(&f, &why);
    bool detached = rc == -1 && why.code == ERR_CANCELLED;
    if (rc == 0)
        rc = finish(&f, &why);
    else if (detached)
        rc = detach(&f);
    if (detached && f.view)
        console_keep(&cli->screen);
    run_view_free(f.view);
    close_store(&f);
    if (o->lines) {
        console_done(&cli->screen);
        cli->screen = before;
    }
    free(f.status.stages);
    free(f.told);
    free(f.shown);
    loop_free(f.loop);
    return rc == 0 ? 0 : err_copy(err, &why);
}

/* See run_view.h. */
#include "cli/run_view.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/results.h"
#include "cli/text.h"
#include "engine/engine.h"
#include "experiment/trial_files.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAW_GAP (100 * USEC_PER_MSEC)
#define PLAIN_GAP (10 * USEC_PER_SEC) /* between two lines of progress */

struct run_view {
    struct cli *cli;
    const struct clock *clock;
    char *directory, *here; /* `here`: the current one, with a '/' behind; or NULL */
    usec_t began, drawn;    /* monotonic; the last draw, or line of progress */
};

static usec_t now(const struct run_view *v)
{
    return clock_mono(v->clock);
}

struct run_view *run_view_new(struct cli *cli, const struct clock *clock, const char *directory)
{
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    struct run_view *v = mem_alloc(sizeof *v);
    *v = (struct run_view){.cli = cli, .clock = clock, .directory = mem_dup(directory)};
    AUTO_FREE char *here = getcwd(NULL, 0);
    v->here = here && here[1] ? mem_printf("%s/", here) : NULL;
    v->began = now(v);
    v->drawn = v->began - (cli->screen.tty ? DRAW_GAP : 0);
    return v;
}

void run_view_began(struct run_view *v, usec_t elapsed)
{
    v->began = now(v) - elapsed;
}

void run_view_free(struct run_view *v)
{
    if (!v)
        return;
    console_erase(&v->cli->screen);
    free(v->directory);
    free(v->here);
    free(v);
}

/* ---- while it runs ----------------------------------------------------------------------------
 */

static void say(struct run_view *v, const char *text)
{
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(text), false, &clean);
    console_line(&v->cli->screen, "%s", buf_text(&clean));
}

static bool ended_by(const struct store_trial *t, enum engine_end end)
{
    return t->end && strcmp(t->end, engine_end_name(end)) == 0;
}

/* "exit status 3", "signal 9", "time limit": how it ended, with its message. */
static void add_end(const struct store_trial *t, struct buf *out)
{
    bool by_itself = !t->end || ended_by(t, ENGINE_SIGNALLED) || ended_by(t, ENGINE_EXITED);
    if (by_itself && t->signal)
        buf_addf(out, "signal %d", t->signal);
    else if (by_itself && t->exit_status > 0)
        buf_addf(out, "exit status %d", t->exit_status);
    else
        buf_adds(out, t->end ? t->end : "failed");
    if (t->message && *t->message)
        buf_addf(out, ": %s", t->message);
}

/* Paths below the current directory as they are from there: a line is long enough without it. */
static void add_shortened(const struct run_view *v, const char *text, struct buf *out)
{
    size_t n = v->here ? strlen(v->here) : 0;
    for (const char *p = text; *p;) {
        bool starts = p == text || strchr(" '\"(=:", p[-1]);
        if (n && starts && strncmp(p, v->here, n) == 0)
            p += n;
        else
            buf_addc(out, *p++);
    }
}

static void trial_ended(struct run_view *v, const struct driver_event *e, const char *stage)
{
    const struct store_trial *t = e->trial;
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "%s/%s: ", stage, t->name);
    if (t->state != TRIAL_FAILURE && !e->again) {
        if (v->cli->opt.verbose < 1)
            return;
        buf_adds(&text, trial_state_name(t->state));
        if (t->has_objective) {
            buf_adds(&text, ", objective ");
            number_short(t->objective, &text);
        }
        say(v, buf_text(&text));
        return;
    }
    if (e->again && t->end && strcmp(t->end, STORE_INTERRUPTED) == 0)
        return; /* by the user, who knows */
    AUTO_BUF struct buf clean = {0}, line = {0};
    buf_addf(&text, "%s (", e->again ? "it is tried again" : "failure");
    AUTO_BUF struct buf end = {0};
    add_end(t, &end);
    add_shortened(v, buf_text(&end), &text);
    buf_addc(&text, ')');
    char file[TRIAL_ERROR_NAME_SIZE] = "console.out";
    if (e->again) /* the next attempt begins the other anew */
        trial_files_error_name(t, file);
    if (!ended_by(t, ENGINE_NOT_STARTED))
        buf_addf(&text, ": see %s/%s/%s/%s", v->directory, stage, t->name, file);
    text_clean(buf_view(&text), false, &clean);
    text_styled(e->again ? STYLE_YELLOW : STYLE_RED, v->cli->screen.color, buf_view(&clean), &line);
    console_line(&v->cli->screen, "%s", buf_text(&line));
}

static void stage_began(struct run_view *v, const struct driver_stage *g)
{
    AUTO_FREE char *text =
        mem_printf("stage '%s': %s%lld trial%s", g->name, g->at_most ? "at most " : "",
                   (long long)g->planned, g->planned == 1 ? "" : "s");
    say(v, text);
}

static void stage_ended(struct run_view *v, const struct driver_stage *g)
{
    AUTO_BUF struct buf text = {0};
    struct store_counts counts;
    memcpy(counts.by_state, g->by_state, sizeof counts.by_state);
    buf_addf(&text, "stage '%s': %s: ", g->name, stage_state_name(g->state));
    results_counts_text(&counts, false, &text);
    if (g->has_best && g->metric) {
        buf_addf(&text, "; best %s ", g->metric);
        number_short(g->best, &text);
        buf_addf(&text, " of %s", g->best_name);
    }
    say(v, buf_text(&text));
}

static void warn(struct run_view *v, const struct driver_event *e, const struct driver_stage *g)
{
    AUTO_BUF struct buf text = {0};
    if (g && e->trial)
        buf_addf(&text, "%s/%s: ", g->name, e->trial->name);
    add_shortened(v, e->text, &text);
    cli_warn(v->cli, buf_text(&text));
}

void run_view_event(struct run_view *v, const struct driver_event *e, const struct driver_status *s)
{
    const struct driver_stage *g = e->stage < s->count ? &s->stages[e->stage] : NULL;
    bool plain = !v->cli->screen.tty;
    switch (e->kind) {
    case DRIVER_STAGE_BEGAN:
        if (plain && g)
            stage_began(v, g);
        return;
    case DRIVER_STAGE_ENDED:
        if (plain && g)
            stage_ended(v, g);
        return;
    case DRIVER_TRIAL_BEGAN:
        return;
    case DRIVER_TRIAL_ENDED:
        if (g && e->trial)
            trial_ended(v, e, g->name);
        return;
    case DRIVER_WARNING:
        warn(v, e, g);
        return;
    case DRIVER_SAYS:
        say(v, e->text);
        return;
    }
}

static void draw(struct run_view *v, const struct driver_status *s, const char *over)
{
    size_t width, height;
    struct strv lines = {0};
    console_size(&v->cli->screen, &width, &height);
    run_table_render(s, now(v) - v->began, over, width, height, v->cli->screen.color, &lines);
    console_draw(&v->cli->screen, &lines);
    v->drawn = now(v);
}

static void say_progress(struct run_view *v, const struct driver_status *s)
{
    AUTO_BUF struct buf text = {0}, left = {0};
    char span[CLOCK_SPAN_SIZE];
    clock_span((now(v) - v->began) / USEC_PER_SEC * USEC_PER_SEC, span);
    run_table_counts(s, false, &text);
    run_table_left(s->time_left, &left);
    buf_addf(&text, " (%s%s%s)", span, left.len ? ", " : "", buf_text(&left));
    if (s->draining)
        buf_adds(&text, "; finishing the running trials");
    say(v, buf_text(&text));
    v->drawn = now(v);
}

void run_view_tick(struct run_view *v, const struct driver_status *s)
{
    bool tty = v->cli->screen.tty;
    if (now(v) - v->drawn < (tty ? DRAW_GAP : PLAIN_GAP))
        return;
    if (tty)
        draw(v, s, NULL);
    else
        say_progress(v, s);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* "lr=0.1, layers=2" */
static void add_params(const char *params, struct buf *out)
{
    json_t *object = params ? json_loads(params, 0, NULL) : NULL;
    const char *key;
    json_t *value;
    bool any = false;
    json_object_foreach(object, key, value)
    {
        buf_addf(out, "%s%s=", any ? ", " : "", key);
        any = true;
        if (json_is_string(value))
            buf_adds(out, json_string_value(value));
        else if (json_is_real(value))
            number_text(json_real_value(value), out);
        else
            json_write(value, false, out);
    }
    json_decref(object);
}

static bool take_params(void *ctx, const struct store_trial *t)
{
    add_params(t->params, ctx);
    return false;
}

static void add_best(const struct driver_stage *g, size_t stage, struct store *store,
                     struct buf *out)
{
    AUTO_BUF struct buf params = {0};
    struct store_query q = {.stage = (int)stage, .state = -1, .name = g->best_name, .limit = 1};
    buf_addf(out, "  best of %s: %s ", g->name, g->metric);
    number_short(g->best, out);
    buf_addf(out, " of %s", g->best_name);
    if (store && store_each_trial(store, &q, take_params, &params, NULL) == 0 && params.len)
        buf_addf(out, "\n    %s", buf_text(&params));
    buf_addc(out, '\n');
}

static const char *outcome(const struct err *why)
{
    if (!why || !why->code)
        return "finished";
    return why->code == ERR_CANCELLED ? "stopped"
           : why->code == ERR_PARTIAL ? "ended with failures"
                                      : "failed";
}

/* As 'flambe status' calls it from now on. */
static const char *state_now(const struct err *why)
{
    if (!why || !why->code)
        return run_state_name(RUN_FINISHED);
    return run_state_name(why->code == ERR_PARTIAL ? RUN_FAILED : RUN_STOPPED);
}

/* Nothing runs any more: trials that were cut short are run anew. */
static struct driver_status at_rest(const struct driver_status *s, struct driver_stage *stages)
{
    struct driver_status rest = *s;
    for (size_t i = 0; i < s->count; i++) {
        stages[i] = s->stages[i];
        stages[i].by_state[TRIAL_PENDING] += stages[i].by_state[TRIAL_RUNNING];
        stages[i].by_state[TRIAL_RUNNING] = 0;
    }
    rest.stages = stages;
    return rest;
}

void run_view_end(struct run_view *v, const struct driver_status *s, struct store *store,
                  const char *file, const struct err *why)
{
    struct cli *cli = v->cli;
    AUTO_FREE struct driver_stage *stages = mem_array(s->count + 1, sizeof *stages);
    struct driver_status rest = at_rest(s, stages);
    s = &rest;
    if (cli->screen.tty)
        draw(v, s, state_now(why));
    console_keep(&cli->screen);
    if (cli->json)
        return;
    AUTO_BUF struct buf text = {0}, clean = {0}, place = {0}, name = {0};
    char span[CLOCK_SPAN_SIZE];
    clock_span(now(v) - v->began, span);
    buf_addf(&clean, "%s after %s: ", outcome(why), span);
    run_table_counts(s, cli->out.color, &clean);
    buf_addc(&clean, '\n');
    for (size_t i = 0; i < s->count; i++)
        if (s->stages[i].has_best && s->stages[i].metric)
            add_best(&s->stages[i], i, store, &text);
    text_shell_quote(v->directory, &place);
    text_shell_quote(file ? file : "FILE", &name);
    buf_addf(&text, "  results in %s\n", v->directory);
    buf_addf(&text, "next: flambe results %s\n", buf_text(&place));
    buf_addf(&text, "      tensorboard --logdir %s\n", buf_text(&place));
    if (why && why->code)
        buf_addf(&text, "      flambe %s, which goes on where it ended\n", buf_text(&name));
    text_clean(buf_view(&text), true, &clean);
    output_write(&cli->out, buf_view(&clean));
}

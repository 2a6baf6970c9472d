/* How an experiment stands, for 'flambe status'. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/results.h"
#include "cli/table.h"
#include "cli/text.h"
#include <locale.h>
#include <string.h>
#include <wchar.h>

enum {
    COLUMN_STAGE,
    COLUMN_STATE,
    COLUMN_COUNTS, /* one for each trial_state */
    COLUMN_BEST = COLUMN_COUNTS + TRIAL_STATE_COUNT,
    COLUMN_TRIAL,
    COLUMN_NOTE,
};

static const struct table_column columns[] = {
    [COLUMN_STAGE] = {"stage", 0, false},
    [COLUMN_STATE] = {"state", 4, false},
    [COLUMN_COUNTS + TRIAL_PENDING] = {"pending", 3, false},
    [COLUMN_COUNTS + TRIAL_RUNNING] = {"running", 0, false},
    [COLUMN_COUNTS + TRIAL_SUCCESS] = {"success", 0, false},
    [COLUMN_COUNTS + TRIAL_FAILURE] = {"failure", 0, false},
    [COLUMN_COUNTS + TRIAL_STOPPED] = {"stopped", 0, false},
    [COLUMN_BEST] = {"best", 2, false},
    [COLUMN_TRIAL] = {"trial", 1, true},
    [COLUMN_NOTE] = {"note", 1, false},
};

static const char *stage_style(enum stage_state s)
{
    return s == STAGE_RUNNING  ? STYLE_BOLD
           : s == STAGE_DONE   ? STYLE_GREEN
           : s == STAGE_FAILED ? STYLE_RED
                               : STYLE_DIM;
}

/* A stage that ran when the run ended is where the run is. */
static const char *state_text(const struct store_stage *g, enum run_state run)
{
    return g->state == STAGE_RUNNING && run != RUN_RUNNING ? run_state_name(run)
                                                           : stage_state_name(g->state);
}

static void add_row(struct table *t, const struct store_stage *g, enum run_state run,
                    const struct results_counts *c)
{
    table_add(t, STYLE_BOLD, g->name);
    table_add(t, stage_style(g->state), state_text(g, run));
    for (int s = 0; s < TRIAL_STATE_COUNT; s++) {
        int64_t n = c->trials.by_state[s];
        const char *bound = s == TRIAL_PENDING && g->at_most && n ? "<=" : "";
        AUTO_FREE char *text = n ? mem_printf("%s%lld", bound, (long long)n) : mem_dup("");
        table_add(t, trial_state_style((enum trial_state)s), text);
    }
    AUTO_BUF struct buf best = {0};
    if (c->has_best) {
        buf_addf(&best, "%s ", g->metric);
        number_short(c->best, &best);
    }
    table_add(t, STYLE_NONE, buf_text(&best));
    table_add(t, STYLE_NONE, c->has_best ? c->best_name : "");
    table_add(t, STYLE_DIM, g->note ? g->note : "");
}

static void add_state(const struct results *r, const struct results_state *s, struct buf *out)
{
    buf_addf(out, "experiment '%s': %s", r->name, run_state_name(s->state));
    char began[CLOCK_ISO_SIZE], span[CLOCK_SPAN_SIZE];
    if (s->began && s->state == RUN_RUNNING) {
        clock_iso(s->began, began);
        clock_span(clock_wall(clock_system()) - s->began, span);
        buf_addf(out, " since %s (%s)", began, span);
    }
    if (s->holder.gone)
        buf_addf(out, "; its process %ld is gone, and the trials are being ended",
                 (long)s->holder.gone);
    else if (s->holder.pid)
        buf_addf(out, ", by process %ld", (long)s->holder.pid);
    if (s->state == RUN_INTERRUPTED)
        buf_adds(out, ": the run did not come to its end");
    buf_addf(out, "\n  results in %s\n", r->directory);
}

static void add_next(const struct results *r, const struct results_state *s, bool failures,
                     struct buf *out)
{
    AUTO_BUF struct buf place = {0}, file = {0};
    text_shell_quote(r->typed, &place);
    bool elsewhere = strcmp(r->typed, r->directory) != 0;
    if (r->file)
        text_shell_quote(r->file, &file);
    else
        buf_adds(&file, "FILE");
    const char *dir = buf_text(&place);
    if (s->state == RUN_RUNNING) {
        buf_addf(out, "next: flambe logs %s -f\n      flambe stop %s\n", dir, dir);
        return;
    }
    buf_addf(out, "next: flambe results %s\n", dir);
    if (failures)
        buf_addf(out, "      flambe logs %s STAGE VARIANT, of a trial that failed\n", dir);
    if (elsewhere)
        buf_addf(out, "      flambe fetch %.*s %s   to bring the results home\n",
                 (int)strcspn(dir, ":"), dir, r->name);
    if (s->state != RUN_FINISHED && !elsewhere)
        buf_addf(out, "      flambe %s, which goes on where it ended\n", buf_text(&file));
}

static int show(struct cli *cli, const struct results *r, const struct results_state *s,
                struct err *err)
{
    AUTO_BUF struct buf text = {0}, clean = {0};
    AUTO_STRV struct strv lines = {0};
    struct store_counts total = {0};
    struct table t;
    table_init(&t, columns, COUNT_OF(columns));
    int rc = 0;
    bool at_most = false;
    for (size_t i = 0; rc == 0 && i < r->stage_count; i++) {
        struct results_counts c;
        if ((rc = results_count(r, &r->stages[i], &c, err)) == -1)
            break;
        add_row(&t, &r->stages[i], s->state, &c);
        for (int k = 0; k < TRIAL_STATE_COUNT; k++)
            total.by_state[k] += c.trials.by_state[k];
        at_most = at_most || (r->stages[i].at_most && c.trials.by_state[TRIAL_PENDING]);
        results_counts_done(&c);
    }
    if (rc == 0) {
        add_state(r, s, &text);
        text_clean(buf_view(&text), true, &clean);
        table_render(&t, cli_width(cli), cli->out.color, &lines);
        AUTO_FREE char *rows = strv_join(&lines, "\n");
        buf_addf(&clean, "%s%stotal: %s", r->stage_count ? rows : "", r->stage_count ? "\n" : "",
                 at_most ? "at most " : "");
        results_counts_text(&total, cli->out.color, &clean);
        buf_addc(&clean, '\n');
        buf_clear(&text);
        add_next(r, s, total.by_state[TRIAL_FAILURE] > 0, &text);
        text_clean(buf_view(&text), true, &clean);
        output_write(&cli->out, buf_view(&clean));
    }
    table_done(&t);
    return rc;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *stage_json(const struct store_stage *g, enum run_state run,
                          const struct results_counts *c)
{
    json_t *trials = json_object();
    for (int s = 0; s < TRIAL_STATE_COUNT; s++)
        json_object_set_new(trials, trial_state_name((enum trial_state)s),
                            json_integer(c->trials.by_state[s]));
    json_t *best = json_null();
    if (c->has_best) {
        json_t *params = c->best_params ? json_loads(c->best_params, 0, NULL) : NULL;
        best = json_pack("{s:o, s:o, s:o}", "trial", json_lossy(c->best_name), "objective",
                         json_number(c->best), "params", params ? params : json_object());
    }
    return json_pack("{s:o, s:s, s:I, s:b, s:o, s:s?, s:o, s:o, s:o}", "name", json_lossy(g->name),
                     "state", state_text(g, run), "planned", (json_int_t)g->planned, "at_most",
                     g->at_most, "metric", json_lossy(g->metric), "mode",
                     g->metric ? (g->maximize ? "max" : "min") : NULL, "trials", trials, "best",
                     best, "note", json_lossy(g->note));
}

int results_json(const struct results *r, const struct results_state *state, json_t **out,
                 struct err *err)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < r->stage_count; i++) {
        struct results_counts c;
        if (results_count(r, &r->stages[i], &c, err) == -1) {
            json_decref(stages);
            return -1;
        }
        json_array_append_new(stages, stage_json(&r->stages[i], state->state, &c));
        results_counts_done(&c);
    }
    char began[CLOCK_ISO_SIZE];
    clock_iso(state->began, began);
    *out = json_pack("{s:o, s:o, s:o, s:s, s:o, s:s?, s:o}", "experiment", json_lossy(r->name),
                     "directory", json_lossy(r->directory), "file", json_lossy(r->file), "state",
                     run_state_name(state->state), "pid",
                     state->holder.pid ? json_integer(state->holder.pid) : json_null(), "began",
                     state->began ? began : NULL, "stages", stages);
    return 0;
}

int results_status(struct cli *cli, const char *word, struct err *err)
{
    struct results r;
    struct results_state state;
    if (results_open(cli, word, &r, err) == -1)
        return -1;
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    int rc = results_state(&r, &state, err);
    json_t *value = NULL;
    if (rc == 0 && cli->json)
        rc = results_json(&r, &state, &value, err);
    else if (rc == 0)
        rc = show(cli, &r, &state, err);
    if (value)
        output_json(&cli->out, value);
    results_done(&r);
    return rc;
}

/* The live table of a run, laid out for a terminal's size. See run_view.h. */
#include "base/mem.h"
#include "cli/results.h"
#include "cli/run_view.h"
#include "cli/table.h"
#include "cli/text.h"
#include <string.h>

#define ROWS_MIN 2    /* stages that are shown on the lowest terminal */
#define ROWS_AROUND 3 /* the title, the last line, and the cursor's own */
#define HINT "Ctrl-C: finish the running trials; twice: end them"
#define HINT_DRAINING "finishing the running trials; Ctrl-C: end them"

enum {
    COLUMN_STAGE,
    COLUMN_STATE,
    COLUMN_COUNTS, /* one for each trial_state */
    COLUMN_BEST = COLUMN_COUNTS + TRIAL_STATE_COUNT,
    COLUMN_LEFT,
    COLUMN_TRIAL,
};

static const struct table_column columns[] = {
    [COLUMN_STAGE] = {"stage", 0, false},
    [COLUMN_STATE] = {"state", 2, false},
    [COLUMN_COUNTS + TRIAL_PENDING] = {"pending", 5, false},
    [COLUMN_COUNTS + TRIAL_RUNNING] = {"running", 0, false},
    [COLUMN_COUNTS + TRIAL_SUCCESS] = {"success", 0, false},
    [COLUMN_COUNTS + TRIAL_FAILURE] = {"failure", 0, false},
    [COLUMN_COUNTS + TRIAL_STOPPED] = {"stopped", 6, false},
    [COLUMN_BEST] = {"best", 4, false},
    [COLUMN_LEFT] = {"left", 3, false},
    [COLUMN_TRIAL] = {"trial", 1, true},
};

static bool has_ended(const struct driver_stage *g)
{
    return g->state == STAGE_DONE || g->state == STAGE_FAILED;
}

static const char *state_style(enum stage_state s)
{
    static const char *const styles[STAGE_STATE_COUNT] = {
        [STAGE_PENDING] = STYLE_DIM,
        [STAGE_RUNNING] = STYLE_CYAN,
        [STAGE_DONE] = STYLE_GREEN,
        [STAGE_FAILED] = STYLE_RED,
    };
    return styles[s];
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* The time left stands in `left`, so that the column goes where nobody knows it. */
static void add_stage(struct table *t, const struct driver_stage *g, const char *over)
{
    bool cut_short = over && g->state == STAGE_RUNNING;
    table_add(t, STYLE_BOLD, g->name);
    table_add(t, cut_short ? STYLE_YELLOW : state_style(g->state),
              cut_short ? over : stage_state_name(g->state));
    for (int s = 0; s < TRIAL_STATE_COUNT; s++) {
        int64_t n = g->by_state[s];
        const char *bound = s == TRIAL_PENDING && g->at_most && n ? "<=" : "";
        AUTO_FREE char *text = n ? mem_printf("%s%lld", bound, (long long)n) : mem_dup("");
        table_add(t, trial_state_style((enum trial_state)s), text);
    }
    AUTO_BUF struct buf best = {0};
    if (g->has_best && g->metric) {
        buf_addf(&best, "%s ", g->metric);
        number_short(g->best, &best);
    }
    table_add(t, STYLE_NONE, buf_text(&best));
    char span[CLOCK_SPAN_SIZE] = "";
    if (g->time_left >= 0 && g->state == STAGE_RUNNING && !over)
        clock_span(g->time_left / USEC_PER_SEC * USEC_PER_SEC, span);
    table_add(t, STYLE_NONE, span);
    table_add(t, STYLE_DIM, g->has_best ? g->best_name : "");
}

/* Which stages are left out where only `room` lines are there: those that have ended first, then
 * those that wait, then others, the last of them first. A line stands in for those that have ended,
 * and one for all others. */
static void leave_out(const struct driver_status *s, size_t room, bool *hidden)
{
    size_t shown = s->count, lines = 0;
    for (size_t i = 0; i < s->count && shown + lines > room; i++)
        if (has_ended(&s->stages[i])) {
            hidden[i] = true;
            shown--;
            lines = 1;
        }
    size_t both = lines + 1;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = s->count; i-- > 0 && shown > 1 && shown + lines > room;)
            if (!hidden[i] && (pass || s->stages[i].state == STAGE_PENDING)) {
                hidden[i] = true;
                shown--;
                lines = both;
            }
}

/* "4 more stages have ended: 12 success", "3 more stages wait: 40 pending". */
static void add_hidden(const struct driver_status *s, const bool *hidden, bool ended, size_t width,
                       bool color, struct strv *lines)
{
    struct store_counts sum = {0};
    size_t n = 0, running = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!hidden[i] || has_ended(&s->stages[i]) != ended)
            continue;
        n++;
        running += s->stages[i].state == STAGE_RUNNING;
        for (int k = 0; k < TRIAL_STATE_COUNT; k++)
            sum.by_state[k] += s->stages[i].by_state[k];
    }
    if (!n)
        return;
    AUTO_BUF struct buf text = {0}, fitted = {0};
    const char *what = ended     ? (n == 1 ? "has ended" : "have ended")
                       : running ? (n == 1 ? "is not shown" : "are not shown")
                                 : (n == 1 ? "waits" : "wait");
    buf_addf(&text, "%zu more stage%s %s: ", n, n == 1 ? "" : "s", what);
    results_counts_text(&sum, color, &text);
    text_fit(buf_view(&text), width, false, &fitted);
    if (color && fitted.len < text.len)
        buf_adds(&fitted, "\x1b[0m");
    strv_take(lines, buf_take(&fitted));
}

void run_table_left(usec_t time_left, struct buf *out)
{
    char span[CLOCK_SPAN_SIZE];
    if (time_left < 0)
        return;
    clock_span(time_left / USEC_PER_SEC * USEC_PER_SEC, span);
    buf_addf(out, "about %s left", span);
}

void run_table_counts(const struct driver_status *s, bool color, struct buf *out)
{
    struct store_counts sum = {0};
    for (size_t i = 0; i < s->count; i++)
        for (int k = 0; k < TRIAL_STATE_COUNT; k++)
            sum.by_state[k] += s->stages[i].by_state[k];
    results_counts_text(&sum, color, out);
}

static void add_last(const struct driver_status *s, usec_t elapsed, size_t width, bool color,
                     struct strv *lines)
{
    AUTO_BUF struct buf text = {0}, left = {0};
    struct buf fitted = {0}, line = {0};
    char span[CLOCK_SPAN_SIZE];
    clock_span(elapsed / USEC_PER_SEC * USEC_PER_SEC, span);
    run_table_left(s->time_left, &left);
    buf_addf(&text, "%s%s%s; %s", span, left.len ? ", " : "", buf_text(&left),
             s->hint       ? s->hint
             : s->draining ? HINT_DRAINING
                           : HINT);
    text_fit(buf_view(&text), width, false, &fitted);
    text_styled(s->draining ? STYLE_YELLOW : STYLE_DIM, color, buf_view(&fitted), &line);
    strv_take(lines, buf_take(&line));
    buf_done(&fitted);
}

void run_table_render(const struct driver_status *s, usec_t elapsed, const char *over, size_t width,
                      size_t height, bool color, struct strv *lines)
{
    size_t room = height > ROWS_AROUND + ROWS_MIN ? height - ROWS_AROUND : ROWS_MIN;
    AUTO_FREE bool *hidden = mem_array(s->count + 1, sizeof *hidden);
    struct table t;
    table_init(&t, columns, COUNT_OF(columns));
    leave_out(s, room, hidden);
    size_t shown = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (hidden[i])
            continue;
        add_stage(&t, &s->stages[i], over);
        shown++;
    }
    AUTO_STRV struct strv rows = {0};
    if (shown)
        table_render(&t, width, color, &rows);
    if (rows.count)
        strv_add(lines, rows.items[0]);
    add_hidden(s, hidden, true, width, color, lines);
    for (size_t i = 1; i < rows.count; i++)
        strv_add(lines, rows.items[i]);
    add_hidden(s, hidden, false, width, color, lines);
    if (!over)
        add_last(s, elapsed, width, color, lines);
    table_done(&t);
}

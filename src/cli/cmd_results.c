/* flambe results: one row for each trial, as a table, CSV or JSON. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/results.h"
#include "cli/results_row.h"
#include "cli/table.h"
#include "cli/text.h"
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)64 << 10) /* bytes between two writes */
#define TEXT_ROWS_MAX 10000      /* a table is laid out as a whole */
#define TEXT_PARAMS_MAX 12       /* columns; CSV and JSON have all */
#define TEXT_METRICS_MAX 12
#define TEXT_FIXED 7 /* the columns beside them */

struct listing {
    struct cli *cli;
    struct results results;
    const struct store_stage *stage; /* only this one, or NULL */
    enum order { BY_OBJECTIVE, BY_METRIC, BY_STARTED, BY_DURATION, BY_NUMBER } order;
    bool descending; /* of BY_METRIC */
    struct row_columns columns;
    bool more_metrics;  /* than ROW_METRICS_MAX */
    struct strv titles; /* of the table's parameters and metrics, cleaned */
    usec_t wall;
    int64_t left; /* rows that may still be shown */
    int64_t shown, left_out;
    enum { AS_TEXT, AS_CSV, AS_JSON } form;
    struct table table;
    size_t params, metrics; /* columns of the table */
    struct buf out;
    struct err err; /* of a row */
};

/* ---- order ------------------------------------------------------------------------------------
 */

static int choose_order(struct listing *l, struct err *err)
{
    static const char *const words[] = {
        [BY_STARTED] = "started", [BY_DURATION] = "duration", [BY_NUMBER] = "number"};
    const char *sort = l->cli->opt.sort;
    if (!sort)
        return 0;
    for (int i = BY_STARTED; i <= BY_NUMBER; i++)
        if (strcmp(sort, words[i]) == 0) {
            l->order = (enum order)i;
            return 0;
        }
    if (!strv_has(&l->columns.metrics, sort)) {
        const char *near = str_nearest(sort, (const char *const *)l->columns.metrics.items,
                                       l->columns.metrics.count);
        AUTO_FREE char *all = strv_join(&l->columns.metrics, ", ");
        cli_hint(l->cli, "a metric%s%s, started, duration or number", *all ? ": " : "", all);
        return err_set(err, ERR_USAGE, "no trial has a metric '%s'%s%s%s", sort,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    l->order = BY_METRIC;
    for (size_t i = 0; i < l->results.stage_count; i++) {
        const struct store_stage *g = &l->results.stages[i];
        if ((!l->stage || l->stage == g) && g->metric && strcmp(g->metric, sort) == 0)
            l->descending = g->maximize;
    }
    return 0;
}

static struct store_query query_of(const struct listing *l, const struct store_stage *stage)
{
    struct store_query q = {.stage = stage ? stage->id : -1, .state = -1};
    switch (l->order) {
    case BY_OBJECTIVE:
        if (stage && stage->metric) {
            q.order = "";
            q.descending = stage->maximize;
        }
        break;
    case BY_METRIC:
        q.order = l->cli->opt.sort;
        q.descending = l->descending;
        break;
    case BY_STARTED:
        q.time = STORE_STARTED;
        break;
    case BY_DURATION:
        q.time = STORE_DURATION;
        break;
    case BY_NUMBER:
        break;
    }
    q.descending = q.descending != l->cli->opt.reverse;
    return q;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void flush(struct listing *l)
{
    output_write(&l->cli->out, buf_view(&l->out));
    buf_clear(&l->out);
}

static void add_cell(struct listing *l, const char *style, struct buf *text)
{
    table_add(&l->table, style, buf_text(text));
    buf_clear(text);
}

static void text_row(struct listing *l, const struct row *row)
{
    const struct store_trial *t = row->trial;
    AUTO_BUF struct buf text = {0};
    table_add(&l->table, STYLE_NONE, row->stage);
    buf_addf(&text, "%lld", (long long)t->number);
    add_cell(l, STYLE_BOLD, &text);
    table_add(&l->table, trial_state_style(t->state), row->state);
    if (t->has_objective)
        number_short(t->objective, &text);
    add_cell(l, STYLE_BOLD, &text);
    for (size_t i = 0; i < l->params; i++) {
        row_param_text(row, l->columns.params.items[i], true, &text);
        add_cell(l, STYLE_NONE, &text);
    }
    for (size_t i = 0; i < l->metrics; i++) {
        if (row->has_metric[i])
            number_short(row->metrics[i], &text);
        add_cell(l, STYLE_NONE, &text);
    }
    char span[CLOCK_SPAN_SIZE] = "";
    if (t->started)
        clock_span(row->duration, span);
    table_add(&l->table, STYLE_NONE, span);
    buf_addf(&text, "%d", t->attempts);
    add_cell(l, STYLE_NONE, &text);
    table_add(&l->table, STYLE_NONE, buf_text(&row->reason));
}

static void csv_row(struct listing *l, const struct row *row)
{
    if (!l->cli->out.tty) {
        row_csv(row, &l->columns, &l->out);
        return;
    }
    AUTO_BUF struct buf line = {0};
    row_csv(row, &l->columns, &line);
    row_csv_clean(buf_view(&line), &l->out);
}

static bool add_row(void *ctx, const struct store_trial *t)
{
    struct listing *l = ctx;
    if (!l->left) {
        l->left_out++;
        return l->form == AS_TEXT; /* count the others */
    }
    struct row row;
    if (row_read(&l->results, &l->columns, t, l->wall, &row, &l->err) == -1)
        return false;
    if (l->form == AS_TEXT) {
        text_row(l, &row);
    } else if (l->form == AS_CSV) {
        csv_row(l, &row);
    } else {
        buf_adds(&l->out, l->shown ? ",\n  " : "[\n  ");
        row_json(&row, &l->columns, &l->out);
    }
    row_done(&row);
    l->left--;
    l->shown++;
    if (l->out.len >= CHUNK)
        flush(l);
    return !l->cli->out.failed;
}

static int each(struct listing *l, const struct store_stage *stage, struct err *err)
{
    struct store_query q = query_of(l, stage);
    if (store_each_trial(l->results.store, &q, add_row, l, err) == -1)
        return -1;
    return l->err.code ? err_copy(err, &l->err) : 0;
}

/* The best first, stage by stage; by anything else, all together. */
static int all_rows(struct listing *l, struct err *err)
{
    if (l->stage || l->order != BY_OBJECTIVE)
        return each(l, l->stage, err);
    for (size_t i = 0; i < l->results.stage_count; i++)
        if (each(l, &l->results.stages[i], err) == -1)
            return -1;
    return 0;
}

/* ---- the table --------------------------------------------------------------------------------
 */

static void add_title(struct listing *l, const char *name)
{
    struct buf clean = {0};
    text_clean(str_of(name), false, &clean);
    strv_take(&l->titles, buf_take(&clean));
}

/* What is behind goes first where the width is small. */
static void lay_out(struct listing *l, struct table_column *columns)
{
    l->params =
        l->columns.params.count < TEXT_PARAMS_MAX ? l->columns.params.count : TEXT_PARAMS_MAX;
    l->metrics =
        l->columns.metrics.count < TEXT_METRICS_MAX ? l->columns.metrics.count : TEXT_METRICS_MAX;
    size_t n = 0;
    int rank = (int)(l->params + l->metrics) + 2;
    for (size_t i = 0; i < l->params; i++)
        add_title(l, l->columns.params.items[i]);
    for (size_t i = 0; i < l->metrics; i++)
        add_title(l, l->columns.metrics.items[i]);
    columns[n++] = (struct table_column){"stage", 0, false};
    columns[n++] = (struct table_column){"number", 0, false};
    columns[n++] = (struct table_column){"state", 0, false};
    columns[n++] = (struct table_column){"objective", 0, false};
    for (size_t i = 0; i < l->titles.count; i++)
        columns[n++] = (struct table_column){l->titles.items[i], rank--, false};
    columns[n++] = (struct table_column){"duration", rank--, false};
    columns[n++] = (struct table_column){"attempts", rank, false};
    columns[n++] = (struct table_column){"reason", 0, true}; /* empty where none failed */
    table_init(&l->table, columns, n);
}

static void show_table(struct listing *l)
{
    AUTO_STRV struct strv lines = {0};
    if (l->shown) {
        table_render(&l->table, cli_width(l->cli), l->cli->out.color, &lines);
        AUTO_FREE char *text = strv_join(&lines, "\n");
        output_printf(&l->cli->out, "%s\n", text);
    } else {
        output_printf(&l->cli->out, "no trials have begun\n");
    }
    size_t columns = l->columns.params.count - l->params + l->columns.metrics.count - l->metrics;
    if (l->left_out)
        console_line(&l->cli->screen, "%lld more rows: see --limit, or -o csv for all",
                     (long long)l->left_out);
    if (columns)
        console_line(&l->cli->screen, "%zu more columns: -o csv has all", columns);
}

static int as_text(struct listing *l, struct err *err)
{
    struct table_column columns[TEXT_FIXED + TEXT_PARAMS_MAX + TEXT_METRICS_MAX];
    lay_out(l, columns);
    int rc = all_rows(l, err);
    if (rc == 0)
        show_table(l);
    table_done(&l->table);
    return rc;
}

static int as_stream(struct listing *l, struct err *err)
{
    AUTO_BUF struct buf head = {0};
    row_csv_header(&l->columns, &head);
    if (l->form == AS_CSV && l->cli->out.tty)
        row_csv_clean(buf_view(&head), &l->out);
    else if (l->form == AS_CSV)
        buf_add_str(&l->out, buf_view(&head));
    int rc = all_rows(l, err);
    if (l->form == AS_JSON && rc == 0)
        buf_adds(&l->out, l->shown ? "\n]\n" : "[]\n");
    if (rc == 0 || l->shown)
        flush(l);
    return rc;
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

static bool add_columns(void *ctx, const struct store_trial *t)
{
    row_columns_add(ctx, t->params);
    return true;
}

static int gather(struct listing *l, struct err *err)
{
    int stage = l->stage ? l->stage->id : -1;
    struct store_query q = {.stage = stage, .state = -1};
    if (store_each_trial(l->results.store, &q, add_columns, &l->columns, err) == -1)
        return -1;
    struct strv *metrics = &l->columns.metrics;
    if (store_tags(l->results.store, stage, ROW_METRICS_MAX + 1, metrics, err) == -1)
        return -1;
    l->more_metrics = metrics->count > ROW_METRICS_MAX;
    if (l->more_metrics)
        free(metrics->items[--metrics->count]);
    return 0;
}

static int read_options(struct listing *l, struct err *err)
{
    const struct cli_options *o = &l->cli->opt;
    l->form = l->cli->json                                 ? AS_JSON
              : o->output && strcmp(o->output, "csv") == 0 ? AS_CSV
                                                           : AS_TEXT;
    l->left = l->form == AS_TEXT ? TEXT_ROWS_MAX : INT64_MAX;
    int64_t limit = 0;
    if (o->limit && !str_to_i64(str_of(o->limit), 1, INT64_MAX, &limit))
        return err_set(err, ERR_USAGE, "'--limit' is a number from 1, not '%s'", o->limit);
    if (limit && limit < l->left)
        l->left = limit;
    if (o->stage && results_stage(l->cli, &l->results, o->stage, &l->stage, err) == -1)
        return -1;
    return 0;
}

static int run(struct cli *cli, struct err *err)
{
    struct listing l = {.cli = cli, .wall = clock_wall(clock_system())};
    if (results_open(cli, cli->args.items[0], &l.results, err) == -1)
        return -1;
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    int rc = read_options(&l, err);
    if (rc == 0)
        rc = gather(&l, err);
    if (rc == 0)
        rc = choose_order(&l, err);
    if (rc == 0)
        rc = l.form == AS_TEXT ? as_text(&l, err) : as_stream(&l, err);
    if (rc == 0 && l.more_metrics)
        console_line(&cli->screen,
                     "there are more than %d different metrics: the others are left out",
                     ROW_METRICS_MAX);
    buf_done(&l.out);
    strv_done(&l.titles);
    row_columns_done(&l.columns);
    results_done(&l.results);
    return rc;
}

static const struct option_row options[] = {
    {"stage", 0, OPTION_TEXT, "STAGE", NULL, "only the trials of this stage",
     offsetof(struct cli_options, stage)},
    {"sort", 0, OPTION_TEXT, "KEY", NULL, "by a metric's last value, started, duration or number",
     offsetof(struct cli_options, sort)},
    {"reverse", 0, OPTION_FLAG, NULL, NULL, "the other way round",
     offsetof(struct cli_options, reverse)},
    {"limit", 0, OPTION_TEXT, "N", NULL, "only the first N rows",
     offsetof(struct cli_options, limit)},
};

static const char *const examples[] = {"flambe results experiment.yaml",
                                       "flambe results flambe-output --stage train --limit 10",
                                       "flambe results experiment.yaml -o csv > results.csv",
                                       "flambe results experiment.yaml --sort loss -o json", NULL};

const struct command cmd_results = {
    .name = "results",
    .usage = "DIR",
    .summary = "list an experiment's trials, the best first",
    .help =
        "DIR is an experiment's results on this machine: the directory output__NAME, the one that "
        "holds it, or the experiment's file. Each trial that has begun is a row: its parameters, "
        "its state, its objective, the last value of each metric, how long it ran, how often "
        "it was tried, and, where one failed, the reason: how its last attempt ended.\n"
        "\n"
        "The best come first, stage by stage, by each stage's objective. Another metric is sorted "
        "from the smallest value; trials without the value come last. -o csv and -o json have all "
        "columns, and -o csv is RFC 4180's: a parameter or metric named as another column has "
        "'param.' or 'metric.' in front. In -o json what JSON has no number for is the text nan, "
        "inf or -inf. On a terminal, control characters are shown as \\xNN.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "file",
    .csv = true,
    .run = run,
};

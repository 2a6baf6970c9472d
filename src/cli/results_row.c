/* See results_row.h. */
#include "cli/results_row.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

/* What every trial has, before and behind its parameters and metrics. */
static const char *const fixed_before[] = {"stage", "number", "state", "objective", NULL};
static const char *const fixed_behind[] = {"started", "duration_s", "attempts", "end",
                                           "message", "reason",     "name",     NULL};

/* ---- columns ----------------------------------------------------------------------------------
 */

void row_columns_add(struct row_columns *c, const char *params)
{
    json_t *object = params ? json_loads(params, 0, NULL) : NULL;
    const char *key;
    json_t *value;
    if (!c->param_set)
        c->param_set = strtab_new();
    json_object_foreach(object, key, value)
    {
        if (c->params.count >= ROW_PARAMS_MAX || strtab_get(c->param_set, str_of(key)))
            continue;
        (void)strtab_put(c->param_set, str_of(key), c);
        strv_add(&c->params, key);
    }
    json_decref(object);
}

void row_columns_done(struct row_columns *c)
{
    strv_done(&c->params);
    strv_done(&c->metrics);
    strtab_free(c->param_set);
    c->param_set = NULL;
}

/* ---- one trial --------------------------------------------------------------------------------
 */

struct reading {
    const struct row_columns *columns;
    struct row *row;
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

/* store_tags() gives the columns by name. */
static void take_metric(void *ctx, const struct store_metric *m)
{
    const struct reading *r = ctx;
    const struct strv *names = &r->columns->metrics;
    char **at = bsearch(m->tag, names->items, names->count, sizeof *names->items, compare);
    if (!at)
        return;
    r->row->metrics[at - names->items] = m->last;
    r->row->has_metric[at - names->items] = true;
}

int row_read(const struct results *r, const struct row_columns *c, const struct store_trial *t,
             usec_t wall, struct row *out, struct err *err)
{
    bool cut = t->state == TRIAL_RUNNING && !r->at_work;
    struct row row = {.trial = t,
                      .stage = "",
                      .state = cut ? run_state_name(RUN_INTERRUPTED) : trial_state_name(t->state)};
    for (size_t i = 0; i < r->stage_count; i++)
        if (r->stages[i].id == t->stage)
            row.stage = r->stages[i].name;
    if (t->started && t->ended >= t->started)
        row.duration = t->ended - t->started;
    else if (t->started && t->state == TRIAL_RUNNING && !cut && wall > t->started)
        row.duration = wall - t->started;
    if (t->state == TRIAL_FAILURE)
        store_trial_reason(t, &row.reason);
    row.metrics = mem_array(c->metrics.count + 1, sizeof *row.metrics);
    row.has_metric = mem_array(c->metrics.count + 1, sizeof *row.has_metric);
    struct reading reading = {c, &row};
    if (c->metrics.count && store_each_metric(r->store, t->id, take_metric, &reading, err) == -1) {
        row_done(&row);
        return -1;
    }
    row.params = t->params ? json_loads(t->params, 0, NULL) : NULL;
    *out = row;
    return 0;
}

void row_done(struct row *row)
{
    json_decref(row->params);
    free(row->metrics);
    free(row->has_metric);
    buf_done(&row->reason);
    *row = (struct row){0};
}

void row_param_text(const struct row *row, const char *name, bool shortened, struct buf *out)
{
    const json_t *v = json_object_get(row->params, name);
    if (!v || json_is_null(v))
        return;
    if (json_is_string(v))
        buf_add(out, json_string_value(v), json_string_length(v));
    else if (json_is_real(v) && shortened)
        number_short(json_real_value(v), out);
    else if (json_is_real(v))
        number_text(json_real_value(v), out);
    else
        json_write(v, false, out);
}

/* ---- CSV --------------------------------------------------------------------------------------
 */

void csv_field(struct str text, struct buf *out)
{
    static const char special[] = ",\"\r\n";
    bool quoted = false;
    for (size_t i = 0; i < text.n && !quoted; i++)
        quoted = text.p[i] && strchr(special, text.p[i]);
    char first = text.n ? text.p[0] : '\0', last = text.n ? text.p[text.n - 1] : '\0';
    quoted = quoted || first == ' ' || last == ' ';
    if (!quoted && first && strchr("=+-@\t", first)) {
        AUTO_FREE char *word = str_dup(text);
        char *end;
        (void)strtod(word, &end);
        quoted = *end; /* a number is none */
    }
    if (!quoted) {
        buf_add_str(out, text);
        return;
    }
    buf_addc(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"')
            buf_addc(out, '"');
        buf_addc(out, text.p[i]);
    }
    buf_addc(out, '"');
}

static bool is_fixed(const char *name)
{
    for (size_t i = 0; fixed_before[i]; i++)
        if (strcmp(fixed_before[i], name) == 0)
            return true;
    for (size_t i = 0; fixed_behind[i]; i++)
        if (strcmp(fixed_behind[i], name) == 0)
            return true;
    return false;
}

/* No two columns share a name: one that is taken gets what it is in front. */
static void header_field(const char *kind, const char *name, bool taken, struct buf *out)
{
    AUTO_BUF struct buf text = {0};
    if (taken)
        buf_addf(&text, "%s.", kind);
    buf_adds(&text, name);
    csv_field(buf_view(&text), out);
    buf_addc(out, ',');
}

void row_csv_header(const struct row_columns *c, struct buf *out)
{
    for (size_t i = 0; fixed_before[i]; i++)
        header_field("", fixed_before[i], false, out);
    for (size_t i = 0; i < c->params.count; i++)
        header_field("param", c->params.items[i], is_fixed(c->params.items[i]), out);
    for (size_t i = 0; i < c->metrics.count; i++) {
        const char *name = c->metrics.items[i];
        header_field("metric", name,
                     is_fixed(name) || (c->param_set && strtab_get(c->param_set, str_of(name))),
                     out);
    }
    for (size_t i = 0; fixed_behind[i]; i++)
        header_field("", fixed_behind[i], false, out);
    out->len--; /* the last comma */
    buf_adds(out, "\r\n");
}

void row_csv_clean(struct str line, struct buf *out)
{
    bool ended = str_ends(line, "\r\n");
    line.n -= ended ? 2 : 0;
    text_clean(line, false, out);
    buf_adds(out, ended ? "\r\n" : "");
}

static void add_csv(const char *text, struct buf *out)
{
    csv_field(str_of(text), out);
    buf_addc(out, ',');
}

static void csv_begin(const struct row *row, struct buf *out)
{
    const struct store_trial *t = row->trial;
    add_csv(row->stage, out);
    buf_addf(out, "%lld,%s,", (long long)t->number, row->state);
    if (t->has_objective)
        number_text(t->objective, out);
    buf_addc(out, ',');
}

static void csv_finish(const struct row *row, struct buf *out)
{
    const struct store_trial *t = row->trial;
    char started[CLOCK_ISO_SIZE] = "";
    if (t->started)
        clock_iso(t->started, started);
    buf_addf(out, "%s,", started);
    if (t->started)
        buf_addf(out, "%.3f", (double)row->duration / (double)USEC_PER_SEC);
    buf_addf(out, ",%d,", t->attempts);
    add_csv(t->end, out);
    add_csv(t->message, out);
    add_csv(buf_text(&row->reason), out);
    csv_field(str_of(t->name), out);
    buf_adds(out, "\r\n");
}

void row_csv(const struct row *row, const struct row_columns *c, struct buf *out)
{
    AUTO_BUF struct buf text = {0};
    csv_begin(row, out);
    for (size_t i = 0; i < c->params.count; i++) {
        buf_clear(&text);
        row_param_text(row, c->params.items[i], false, &text);
        csv_field(buf_view(&text), out);
        buf_addc(out, ',');
    }
    for (size_t i = 0; i < c->metrics.count; i++) {
        if (row->has_metric[i])
            number_text(row->metrics[i], out);
        buf_addc(out, ',');
    }
    csv_finish(row, out);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static void add_number(double value, struct buf *out)
{
    json_auto_t *number = json_number(value);
    json_write(number, false, out);
}

static void add_string(const char *text, struct buf *out)
{
    json_auto_t *value = json_lossy(text);
    json_write(value, false, out);
}

static void add_metrics(const struct row *row, const struct row_columns *c, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < c->metrics.count; i++) {
        if (!row->has_metric[i])
            continue;
        buf_adds(out, any ? ", " : "");
        add_string(c->metrics.items[i], out);
        buf_adds(out, ": ");
        add_number(row->metrics[i], out);
        any = true;
    }
}

static void add_params(const struct row *row, struct buf *out)
{
    const char *key;
    json_t *value;
    bool any = false;
    json_object_foreach(row->params, key, value)
    {
        buf_adds(out, any ? ", " : "");
        add_string(key, out);
        buf_adds(out, ": ");
        if (json_is_real(value))
            add_number(json_real_value(value), out);
        else
            json_write(value, false, out);
        any = true;
    }
}

void row_json(const struct row *row, const struct row_columns *c, struct buf *out)
{
    const struct store_trial *t = row->trial;
    buf_adds(out, "{\"stage\": ");
    add_string(row->stage, out);
    buf_addf(out, ", \"number\": %lld, \"name\": ", (long long)t->number);
    add_string(t->name, out);
    buf_addf(out, ", \"state\": \"%s\", \"objective\": ", row->state);
    if (t->has_objective)
        add_number(t->objective, out);
    else
        buf_adds(out, "null");
    buf_adds(out, ", \"params\": {");
    add_params(row, out);
    buf_adds(out, "}, \"metrics\": {");
    add_metrics(row, c, out);
    buf_adds(out, "}, \"started\": ");
    char started[CLOCK_ISO_SIZE];
    clock_iso(t->started, started);
    add_string(t->started ? started : NULL, out);
    buf_adds(out, ", \"duration_s\": ");
    if (t->started)
        buf_addf(out, "%.3f", (double)row->duration / (double)USEC_PER_SEC);
    else
        buf_adds(out, "null");
    buf_addf(out, ", \"attempts\": %d, \"end\": ", t->attempts);
    add_string(t->end, out);
    buf_addf(out, ", \"exit_status\": %d, \"signal\": %d, \"message\": ", t->exit_status,
             t->signal);
    add_string(t->message, out);
    buf_adds(out, ", \"reason\": ");
    add_string(row->reason.len ? buf_text(&row->reason) : NULL, out);
    buf_adds(out, "}");
}

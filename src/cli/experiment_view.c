/* See experiment_view.h. */
#include "cli/experiment_view.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/url.h"
#include "cli/session.h"
#include "cli/text.h"
#include "experiment/plan.h"
#include "experiment/random.h"
#include <limits.h>
#include <stdlib.h>

#define NAMES_SHOWN 3     /* variants of each stage */
#define VALUES_SHOWN 8    /* of each option, as text */
#define VALUES_LISTED 100 /* and as JSON */
#define ROWS_SHOWN 40     /* options and links of each stage, as text */
#define VALUE_WIDTH 40    /* columns of one value */
#define PROGRAM_WIDTH 60

static bool any_drawn(const struct choice_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        bool drawn = c->drawn;
        for (size_t k = 0; !drawn && c->inner && k < c->count; k++)
            drawn = any_drawn(&c->inner[k]);
        if (drawn)
            return true;
    }
    return false;
}

static bool draws(const struct experiment *e)
{
    bool drawn = false;
    for (size_t i = 0; !drawn && i < e->stage_count; i++)
        drawn = e->stages[i].search.kind != SEARCH_GRID || any_drawn(&e->stages[i].space.choices);
    return drawn;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void add_value(const struct choice *c, size_t element, struct buf *out)
{
    AUTO_BUF struct buf value = {0}, clean = {0};
    choice_value_text(c, element, &value);
    text_clean(buf_view(&value), false, &clean);
    text_fit(buf_view(&clean), VALUE_WIDTH, false, out);
}

static bool is_searched(const struct stage *s)
{
    return s->search.kind != SEARCH_GRID;
}

static bool has_log(const struct stage *s, const struct choice *c)
{
    return strv_has(&s->search.log, c->key) || strv_has(&s->search.log, c->label);
}

/* Of a searched stage: the numbers drawn in advance play no part. */
static void add_range(const struct stage *s, const struct choice *c, struct buf *out)
{
    const struct yaml_node *lo = c->node->items[0], *hi = c->node->items[1];
    buf_addf(out, "from %.*s to %.*s", (int)lo->text_len, lo->text, (int)hi->text_len, hi->text);
    buf_adds(out, has_log(s, c) ? ", on a logarithmic scale\n" : "\n");
}

static void add_choices(const struct stage *s, const struct choice_list *l, size_t *rows,
                        struct buf *out)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        if (++*rows > ROWS_SHOWN)
            return;
        buf_addf(out, "  option  %s: ", c->label);
        if (c->drawn && is_searched(s)) {
            add_range(s, c, out);
            continue;
        }
        if (c->drawn)
            buf_addf(out, "%zu drawn, ", c->count);
        for (size_t k = 0; k < c->count && k < VALUES_SHOWN; k++) {
            buf_adds(out, k ? ", " : "");
            const struct yaml_node *node = choice_value(c, k).node;
            if (node && space_is_option(node))
                buf_adds(out, "an option");
            else
                add_value(c, k, out);
        }
        if (c->count > VALUES_SHOWN)
            buf_addf(out, " and %zu more", c->count - VALUES_SHOWN);
        buf_addc(out, '\n');
        for (size_t k = 0; c->inner && k < c->count; k++)
            add_choices(s, &c->inner[k], rows, out);
    }
}

static void add_links(const struct space *s, size_t *rows, struct buf *out)
{
    for (size_t i = 0; i < s->link_count && ++*rows <= ROWS_SHOWN; i++) {
        buf_addf(out, "  link    %s: ", s->links[i].label);
        link_write(&s->links[i].path, out);
        buf_addc(out, '\n');
    }
}

static void add_names(const struct stage_plan *s, struct buf *out)
{
    if (s->at_most || s->drawn) {
        buf_addf(out, "  trials  which ones is known when %s\n",
                 is_searched(s->stage) ? "they are drawn"
                 : s->drawn            ? "the searched stage has run"
                                       : "the reduced stage has run");
        return;
    }
    size_t shown = s->trials < NAMES_SHOWN ? s->trials : NAMES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        buf_adds(out, i ? "          " : "  trials  ");
        variant_name(&s->variants, i, out);
        buf_addc(out, '\n');
    }
    if (s->trials > shown)
        buf_addf(out, "          and %zu more\n", s->trials - shown);
}

static void add_search(const struct search_spec *s, struct buf *out)
{
    if (s->kind == SEARCH_RANDOM)
        buf_adds(out, "  search  each trial's values are drawn at random\n");
    if (s->kind != SEARCH_OPTUNA)
        return;
    buf_addf(out, "  search  each trial's values are drawn by Optuna's %s\n", s->sampler);
    if (s->pruner)
        buf_addf(out, "  early   trials are stopped by Optuna's %s\n", s->pruner);
}

static void add_scheduler(const struct scheduler_spec *s, struct buf *out)
{
    if (s->kind != SCHEDULER_ASHA)
        return;
    buf_addf(out, "  early   trials are stopped by asha: %s, from step %lld on, one in %g goes on",
             s->metric ? s->metric : "the objective", (long long)s->grace_period,
             s->reduction_factor);
    if (s->max_t)
        buf_addf(out, ", to step %lld", (long long)s->max_t);
    buf_addc(out, '\n');
}

static void add_stage(const struct experiment_plan *p, const struct stage_plan *s, struct buf *out)
{
    const struct stage *stage = s->stage;
    AUTO_BUF struct buf program = {0}, clean = {0};
    stage_program(stage, &program);
    text_clean(buf_view(&program), false, &clean);
    buf_addf(out, "\nstage '%s': %s%zu trial%s of ", stage->name, s->at_most ? "at most " : "",
             s->trials, plural(s->trials));
    text_fit(buf_view(&clean), PROGRAM_WIDTH, false, out);
    buf_adds(out, stage->resumed ? "; taken from the earlier run\n" : "\n");
    size_t rows = 0;
    add_choices(stage, &stage->space.choices, &rows, out);
    add_links(&stage->space, &rows, out);
    if (rows > ROWS_SHOWN)
        buf_adds(out, "          and more options or links\n");
    bool any = false;
    for (size_t i = 0; i < p->count; i++) {
        if (!s->needs[i])
            continue;
        buf_addf(out, "%s%s", any ? ", " : "  after   ", p->stages[i].stage->name);
        any = true;
    }
    buf_adds(out, any ? "\n" : "");
    add_search(&stage->search, out);
    add_scheduler(&stage->scheduler, out);
    if (stage->reduce > 0)
        buf_addf(out, "  keeps   the best %d\n", stage->reduce);
    add_names(s, out);
}

static void add_source(struct buf *out, const char *what, const char *name, const char *source)
{
    AUTO_FREE char *shown = url_masked(source);
    buf_addf(out, "  %s '%s' is %s\n", what, name, shown);
}

static void add_head(const struct experiment_plan *p, struct buf *out)
{
    const struct experiment *e = p->experiment;
    buf_addf(out, "experiment '%s': %zu stage%s, %s%zu trial%s\n", e->name, p->count,
             plural(p->count), p->at_most ? "at most " : "", p->total, plural(p->total));
    buf_addf(out, "  results in %s/output__%s\n", e->save_path, e->name);
    buf_addf(out, "  each trial has %d CPU%s", e->devices.cpu, plural((size_t)e->devices.cpu));
    if (e->devices.gpu > 0)
        buf_addf(out, " and %d GPU%s", e->devices.gpu, plural((size_t)e->devices.gpu));
    buf_addc(out, '\n');
    for (size_t i = 0; i < e->resource_count; i++)
        add_source(out, "resource", e->resources[i].name, e->resources[i].location);
    for (size_t i = 0; i < e->extension_count; i++)
        add_source(out, "extension", e->extensions[i].module, e->extensions[i].source);
    if (!draws(e))
        return;
    unsigned long long seed = e->drawn_with;
    buf_addf(out, "  numbers are drawn with the seed %llu", seed);
    if (e->seed < 0)
        buf_addf(out, "; to draw them again, add the line 'seed: %llu'", seed);
    buf_addc(out, '\n');
}

static void show_text(struct cli *cli, const struct experiment_plan *p)
{
    AUTO_BUF struct buf text = {0}, clean = {0};
    add_head(p, &text);
    for (size_t i = 0; i < p->count; i++)
        add_stage(p, &p->stages[i], &text);
    text_clean(buf_view(&text), true, &clean);
    output_write(&cli->out, buf_view(&clean));
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *value_json(const struct choice *c, size_t element)
{
    struct choice_value v = choice_value(c, element);
    switch (v.kind) {
    case YAML_NULL:
        return json_null();
    case YAML_BOOL:
        return json_boolean(v.node->boolean);
    case YAML_INT:
        return json_integer(v.integer);
    case YAML_FLOAT:
        break;
    case YAML_STRING:
        return json_stringn(v.node->text, v.node->text_len);
    case YAML_LIST:
    case YAML_MAP:
        break;
    }
    json_t *number = v.kind == YAML_FLOAT ? json_real(v.real) : NULL; /* NULL too where infinite */
    if (number)
        return number;
    AUTO_BUF struct buf text = {0};
    choice_value_text(c, element, &text);
    return json_stringn(buf_text(&text), text.len);
}

/* Of a searched stage's `!s` the bounds; of all else the values. */
static void choices_json(const struct stage *s, const struct choice_list *l, json_t *list)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        bool range = c->drawn && is_searched(s);
        json_t *values = json_array(), *bounds = range ? json_array() : NULL;
        for (size_t k = 0; !range && k < c->count && k < VALUES_LISTED; k++)
            json_array_append_new(values, value_json(c, k));
        for (size_t k = 0; range && k < 2; k++)
            json_array_append_new(bounds, c->whole ? json_integer(c->node->items[k]->integer)
                                                   : json_real(c->node->items[k]->real));
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:I, s:o, s:o?, s:b}", "path",
                                              c->label, "key", c->key, "drawn", c->drawn, "count",
                                              (json_int_t)c->count, "values", values, "range",
                                              bounds, "log", has_log(s, c)));
        for (size_t k = 0; c->inner && k < c->count; k++)
            choices_json(s, &c->inner[k], list);
    }
}

static json_t *links_json(const struct space *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->link_count; i++) {
        AUTO_BUF struct buf path = {0};
        link_write(&s->links[i].path, &path);
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "path", s->links[i].label, "to", buf_text(&path)));
    }
    return list;
}

static json_t *stage_json(const struct experiment_plan *p, const struct stage_plan *s)
{
    const struct stage *stage = s->stage;
    AUTO_BUF struct buf program = {0}, name = {0};
    stage_program(stage, &program);
    json_t *options = json_array(), *after = json_array(), *names = json_array();
    choices_json(stage, &stage->space.choices, options);
    for (size_t i = 0; i < p->count; i++)
        if (s->needs[i])
            json_array_append_new(after, json_string(p->stages[i].stage->name));
    for (size_t i = 0; !s->at_most && !s->drawn && i < s->trials && i < NAMES_SHOWN; i++) {
        buf_clear(&name);
        variant_name(&s->variants, i, &name);
        json_array_append_new(names, json_string(buf_text(&name)));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:b, s:b, s:s, s:s?, s:s?, s:s?, s:o, s:o}",
        "name", stage->name, "kind", stage->kind == STAGE_SCRIPT ? "script" : "command", "program",
        buf_text(&program), "options", options, "links", links_json(&stage->space), "after", after,
        "variants", (json_int_t)s->variants.total, "trials", (json_int_t)s->trials, "at_most",
        s->at_most, "resumed", stage->resumed, "search", search_kind_name(stage->search.kind),
        "sampler", stage->search.sampler, "pruner", stage->search.pruner, "scheduler",
        stage->scheduler.kind == SCHEDULER_ASHA ? "asha" : NULL, "reduce",
        stage->reduce ? json_integer(stage->reduce) : json_null(), "first_trials", names);
}

static json_t *plan_to_json(const struct experiment_plan *p)
{
    const struct experiment *e = p->experiment;
    json_t *stages = json_array(), *resources = json_object();
    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(stages, stage_json(p, &p->stages[i]));
    for (size_t i = 0; i < e->resource_count; i++) {
        AUTO_FREE char *shown = url_masked(e->resources[i].location);
        json_object_set_new(resources, e->resources[i].name, json_string(shown));
    }
    json_t *random = draws(e) ? json_pack("{s:I, s:s}", "seed", (json_int_t)e->drawn_with,
                                          "generator", RANDOM_NAME)
                              : json_null();
    return json_pack("{s:s, s:s, s:{s:i, s:i}, s:o, s:o, s:I, s:b, s:o}", "experiment", e->name,
                     "save_path", e->save_path, "devices", "cpu", e->devices.cpu, "gpu",
                     e->devices.gpu, "random", random, "resources", resources, "trials",
                     (json_int_t)p->total, "at_most", p->at_most, "stages", stages);
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

/* One that the file's key 'seed' can hold. */
static uint64_t fresh_seed(void)
{
    uint32_t seed;
    digest_random(&seed, sizeof seed);
    return seed & INT_MAX;
}

int experiment_view(struct cli *cli, const char *path, struct err *err)
{
    struct loop *loop = loop_new();
    struct experiment_options options = {.machine = machine_here(loop), .seed = fresh_seed()};
    loop_free(loop);
    struct experiment e;
    struct diags diags;
    int rc = experiment_load(path, &options, &e, &diags, err);
    machine_done(&options.machine);
    if (rc == -1 && diags_total(&diags))
        file_show_diagnostics(cli, &diags);
    diags_done(&diags);
    if (rc == -1)
        return -1;
    struct experiment_plan plan;
    rc = experiment_plan_make(&e, &plan, err);
    if (rc == 0) {
        if (cli->json)
            output_json(&cli->out, plan_to_json(&plan));
        else
            show_text(cli, &plan);
        experiment_plan_done(&plan);
    }
    experiment_done(&e);
    return rc;
}

/* Drives a search, or asha, for test_optuna.py and the benchmarks: one JSON object a line, one line
 * back. The first makes it, {"search": …} or {"asha": …}; the others are {"do": "ask" | "report" |
 * "tell" | "restore", …}, or for asha {"number": …, "step": …, "value": …}. */
#include "base/json.h"
#include "base/mem.h"
#include "experiment/dimensions.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tool {
    struct loop *loop;
    struct search *search;
    struct asha *asha;
    struct search_spec spec;
    struct dimension *dimensions;
    size_t count;
};

static int64_t whole(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* A number, or "nan". */
static double real(const json_t *v)
{
    return json_is_string(v) ? NAN : json_number_value(v);
}

static void answer(json_t *line)
{
    AUTO_BUF struct buf text = {0};
    json_write(line, false, &text);
    printf("%s\n", buf_text(&text));
    fflush(stdout);
    json_decref(line);
}

static void answer_error(const struct err *err)
{
    answer(json_pack("{s:s, s:s}", "error", err_name(err->code), "message", err->msg));
}

static struct dimension read_dimension(const json_t *o)
{
    const char *kind = json_text(o, "kind");
    const json_t *parent = json_object_get(o, "parent");
    bool is_float = strcmp(kind, "float") == 0;
    return (struct dimension){
        .name = mem_dup(json_text(o, "name")),
        .kind = is_float                   ? DIMENSION_FLOAT
                : strcmp(kind, "int") == 0 ? DIMENSION_INT
                                           : DIMENSION_CATEGORY,
        .count = (size_t)whole(o, "count"),
        .lo = json_number_value(json_object_get(o, "lo")),
        .hi = json_number_value(json_object_get(o, "hi")),
        .whole_lo = whole(o, "lo"),
        .whole_hi = whole(o, "hi"),
        .decimals = SPACE_DECIMALS_MAX,
        .log = json_is_true(json_object_get(o, "log")),
        .parent = parent ? (size_t)json_integer_value(parent) : SIZE_MAX,
        .parent_element = (size_t)whole(o, "element"),
    };
}

static char *options_text(const json_t *o, const char *key)
{
    const json_t *options = json_object_get(o, key);
    return options ? json_dumps(options, 0) : NULL;
}

static int make_search(struct tool *t, const json_t *o, struct err *err)
{
    const json_t *list = json_object_get(o, "dimensions");
    t->count = json_array_size(list);
    t->dimensions = mem_array(t->count + 1, sizeof *t->dimensions);
    for (size_t i = 0; i < t->count; i++)
        t->dimensions[i] = read_dimension(json_array_get(list, i));
    t->spec = (struct search_spec){
        .kind = json_text(o, "sampler") ? SEARCH_OPTUNA : SEARCH_RANDOM,
        .trials = (size_t)whole(o, "trials"),
        .sampler = mem_dup(json_text(o, "sampler")),
        .sampler_options = options_text(o, "sampler_options"),
        .pruner = mem_dup(json_text(o, "pruner")),
        .pruner_options = options_text(o, "pruner_options"),
    };
    struct search_options options = {.loop = t->loop,
                                     .dimensions = t->dimensions,
                                     .dimension_count = t->count,
                                     .seed = (uint64_t)whole(o, "seed"),
                                     .stage = "train",
                                     .maximize = json_is_true(json_object_get(o, "maximize"))};
    return search_new(&t->spec, &options, &t->search, err);
}

static void make_asha(struct tool *t, const json_t *o)
{
    struct scheduler_spec spec = {.max_t = whole(o, "max_t"),
                                  .grace_period = whole(o, "grace_period"),
                                  .reduction_factor =
                                      json_number_value(json_object_get(o, "reduction_factor")),
                                  .brackets = (int)whole(o, "brackets")};
    t->asha = asha_new(&spec, json_is_true(json_object_get(o, "maximize")));
}

static enum search_state state_of(const json_t *in)
{
    static const char *const names[] = {"complete", "pruned", "failed", "running"};
    size_t i = 0;
    while (i < COUNT_OF(names) - 1 && strcmp(names[i], json_text(in, "state")) != 0)
        i++;
    return (enum search_state)i;
}

static int do_ask(struct tool *t, const json_t *in, struct err *err)
{
    AUTO_FREE struct dimension_value *values = mem_array(t->count + 1, sizeof *values);
    enum search_answer what;
    if (t->search->ops->ask(t->search, (size_t)whole(in, "number"), values, &what, err) == -1)
        return -1;
    if (what == SEARCH_TRIAL)
        answer(json_pack("{s:o}", "values", dimensions_to_json(t->dimensions, t->count, values)));
    else
        answer(json_pack("{s:b}", "end", 1));
    return 0;
}

static int do_restore(struct tool *t, const json_t *in, struct err *err)
{
    AUTO_FREE struct dimension_value *values = mem_array(t->count + 1, sizeof *values);
    const json_t *list = json_object_get(in, "points"), *value = json_object_get(in, "value");
    size_t count = json_array_size(list);
    AUTO_FREE struct search_point *points = mem_array(count + 1, sizeof *points);
    for (size_t i = 0; i < count; i++) {
        const json_t *point = json_array_get(list, i);
        points[i] = (struct search_point){json_integer_value(json_array_get(point, 0)),
                                          real(json_array_get(point, 1))};
    }
    if (dimensions_from_json(t->dimensions, t->count, json_object_get(in, "values"), values, err) ==
        -1)
        return -1;
    struct search_past past = {(size_t)whole(in, "number"),
                               values,
                               state_of(in),
                               value != NULL,
                               real(value),
                               points,
                               count};
    if (t->search->ops->restore(t->search, &past, err) == -1)
        return -1;
    answer(json_object());
    return 0;
}

static int carry_out(struct tool *t, const json_t *in, struct err *err)
{
    size_t number = (size_t)whole(in, "number");
    const json_t *value = json_object_get(in, "value");
    if (t->asha) {
        bool stop = asha_report(t->asha, number, whole(in, "step"), real(value));
        answer(json_pack("{s:b}", "stop", stop));
        return 0;
    }
    const struct search_ops *ops = t->search->ops;
    const char *what = json_text(in, "do");
    if (strcmp(what, "ask") == 0)
        return do_ask(t, in, err);
    if (strcmp(what, "restore") == 0)
        return do_restore(t, in, err);
    bool stop = false;
    if (strcmp(what, "report") == 0) {
        if (ops->report(t->search, number, whole(in, "step"), real(value), &stop, err) == -1)
            return -1;
    } else if (ops->tell(t->search, number, state_of(in), value != NULL, real(value), err) == -1) {
        return -1;
    }
    answer(json_pack("{s:b}", "stop", stop));
    return 0;
}

static void tool_done(struct tool *t)
{
    search_free(t->search);
    asha_free(t->asha);
    search_spec_done(&t->spec);
    for (size_t i = 0; i < t->count; i++)
        free(t->dimensions[i].name);
    free(t->dimensions);
    loop_free(t->loop);
}

int main(void)
{
    struct tool t = {.loop = loop_new()};
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getline(&line, &cap, stdin)) > 0) {
        json_auto_t *in = NULL;
        struct err err = {0};
        if (json_parse((struct str){line, (size_t)n}, BUF_MAX_DEFAULT, &in, &err) == -1) {
            rc = -1;
        } else if (t.search || t.asha) {
            rc = carry_out(&t, in, &err);
        } else if (json_object_get(in, "asha")) {
            make_asha(&t, json_object_get(in, "asha"));
            answer(json_object());
        } else {
            rc = make_search(&t, json_object_get(in, "search"), &err);
            if (rc == 0)
                answer(json_object());
        }
        if (rc == -1)
            answer_error(&err);
    }
    free(line);
    tool_done(&t);
    return rc == 0 ? 0 : 1;
}

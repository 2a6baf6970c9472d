/* See tuner.h. */
#include "experiment/tuner.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scheduler_keys {
    char *metric, *reward_attr, *mode, *time_attr;
    int max_t, grace_period, brackets;
    double reduction_factor;
};

#define AT(field) offsetof(struct scheduler_keys, field)

static const char *const modes[] = {"min", "max", NULL};

static const struct schema_key scheduler_rows[] = {
    {.name = "metric",
     .type = SCHEMA_STRING,
     .help = "The metric that is compared; without it the stage's objective",
     .offset = AT(metric)},
    {.name = "reward_attr",
     .type = SCHEMA_STRING,
     .help = "An older name of metric, with 'mode: max'",
     .offset = AT(reward_attr)},
    {.name = "mode",
     .type = SCHEMA_STRING,
     .choices = modes,
     .help = "Whether the metric is to be small or large; without it as the stage's objective, or "
             "large where 'metric' names another",
     .offset = AT(mode)},
    {.name = "time_attr",
     .type = SCHEMA_STRING,
     .help = "The metric that counts the steps; without it, and by Ray's 'training_iteration', the "
             "metric's own steps count",
     .offset = AT(time_attr)},
    {.name = "max_t",
     .type = SCHEMA_INT,
     .min = 1,
     .max = 1000000000,
     .help = "The step at which each trial ends; without it they run to their own end",
     .offset = AT(max_t)},
    {.name = "grace_period",
     .type = SCHEMA_INT,
     .fallback = "1",
     .min = 1,
     .max = 1000000000,
     .help = "No trial is stopped before so many steps",
     .offset = AT(grace_period)},
    {.name = "reduction_factor",
     .type = SCHEMA_NUMBER,
     .fallback = "4",
     .min = 1.01,
     .max = 1000,
     .help = "One in so many trials goes on at each rung",
     .offset = AT(reduction_factor)},
    {.name = "brackets",
     .type = SCHEMA_INT,
     .fallback = "1",
     .min = 1,
     .max = 100,
     .help = "How many brackets share the trials, in turn; each begins to judge one rung later",
     .offset = AT(brackets)},
};
const struct schema scheduler_schema = {"!asha", "a scheduler", scheduler_rows,
                                        COUNT_OF(scheduler_rows)};

/* In the order of scheduler_rows. */
enum { KEY_METRIC, KEY_REWARD_ATTR, KEY_MODE, KEY_TIME_ATTR, KEY_MAX_T, KEY_GRACE_PERIOD };

/* A tag, and what it means: SCHEDULER_… or SEARCH_…. */
struct meaning {
    const char *tag;
    int means;
};

static const struct meaning schedulers[] = {{"!asha", SCHEDULER_ASHA},
                                            {"!fifo", SCHEDULER_NONE},
                                            {"!ray.ASHAScheduler", SCHEDULER_ASHA},
                                            {"!ray.AsyncHyperBandScheduler", SCHEDULER_ASHA},
                                            {"!ray.HyperBandScheduler", SCHEDULER_ASHA},
                                            {"!ray.FIFOScheduler", SCHEDULER_NONE}};

static const struct meaning searches[] = {{"!grid", SEARCH_GRID},
                                          {"!random", SEARCH_RANDOM},
                                          {"!optuna", SEARCH_OPTUNA},
                                          {"!ray.BasicVariantGenerator", SEARCH_GRID}};

#define TAGS_MAX 16

/* Whether the value's tag is one of those; says so where it is not. */
static bool find_meaning(const struct yaml_node *value, const char *what,
                         const struct meaning *meanings, size_t count, struct diags *diags,
                         int *means)
{
    const char *names[TAGS_MAX];
    for (size_t i = 0; i < count; i++) {
        names[i] = meanings[i].tag;
        if (value->tag && strcmp(value->tag, names[i]) == 0) {
            *means = meanings[i].means;
            return true;
        }
    }
    AUTO_FREE char *list = refuse_list(names, count);
    if (!value->tag) {
        refuse(diags, value->at, mem_printf("the %s does not say which one it is", what),
               mem_printf("write its tag: %s", list));
        return false;
    }
    AUTO_FREE char *shown = diag_quote(str_of(value->tag));
    const char *near = refuse_suggest(str_of(value->tag), names, count);
    refuse(diags, value->at, mem_printf("the %s %s is not known", what, shown),
           near ? mem_printf("did you mean '%s'?", near) : mem_printf("allowed: %s", list));
    return false;
}

/* A tag with nothing behind it. */
static bool is_empty(const struct yaml_node *value)
{
    return value->kind == YAML_NULL || (value->text && value->text_len == 0);
}

static void read_keys(const struct schema *schema, const struct yaml_node *value,
                      struct diags *diags, void *out, struct span *spans)
{
    static const struct yaml_node none = {.kind = YAML_MAP};
    struct yaml_node at = none;
    at.at = value->at;
    schema_read(schema, is_empty(value) ? &at : value, diags, out, spans);
}

/* ---- schedulers ------------------------------------------------------------------------------ */

static void check_scheduler(const struct scheduler_keys *s, const struct span *spans,
                            struct diags *diags)
{
    if (s->metric && s->reward_attr)
        refuse(diags, spans[KEY_REWARD_ATTR],
               mem_dup("'reward_attr' is an older name of 'metric', which is there too"),
               mem_dup("remove it"));
    else if (s->reward_attr && s->mode && strcmp(s->mode, "min") == 0)
        refuse(diags, spans[KEY_MODE], mem_dup("a 'reward_attr' is to be large"),
               mem_dup("write 'metric' for 'reward_attr', or remove the mode"));
    if (s->max_t && s->grace_period > s->max_t)
        refuse(diags, spans[KEY_GRACE_PERIOD],
               mem_printf("'grace_period' is %d, and each trial ends at %d, 'max_t'",
                          s->grace_period, s->max_t),
               mem_printf("write at most %d", s->max_t));
}

void tuner_scheduler(const struct yaml_node *value, struct diags *diags, struct scheduler_spec *out)
{
    int means;
    if (value->bad ||
        !find_meaning(value, "scheduler", schedulers, COUNT_OF(schedulers), diags, &means))
        return;
    struct scheduler_keys s = {0};
    struct span spans[COUNT_OF(scheduler_rows)];
    read_keys(&scheduler_schema, value, diags, &s, spans);
    check_scheduler(&s, spans, diags);
    if (means == SCHEDULER_ASHA) {
        bool by_step = s.time_attr && strcmp(s.time_attr, "training_iteration") == 0;
        bool mode_given = s.mode || s.reward_attr;
        *out = (struct scheduler_spec){
            .kind = SCHEDULER_ASHA,
            .metric = s.metric ? TAKE(s.metric) : TAKE(s.reward_attr),
            .mode_given = mode_given,
            .maximize = !s.mode || strcmp(s.mode, "max") == 0,
            .time_attr = by_step ? NULL : TAKE(s.time_attr),
            .max_t = s.max_t,
            .grace_period = s.grace_period,
            .reduction_factor = s.reduction_factor,
            .brackets = s.brackets,
        };
    }
    schema_free(&scheduler_schema, &s);
}

/* ---- searches -------------------------------------------------------------------------------- */

struct search_keys {
    int trials;
    struct strv log;
    char *sampler, *pruner;
    const struct yaml_node *sampler_options, *pruner_options;
};

#undef AT
#define AT(field) offsetof(struct search_keys, field)

#define TRIALS_ROW                                                                        \
    {                                                                                     \
        .name = "trials", .type = SCHEMA_INT, .required = true, .min = 1, .max = 1000000, \
        .example = "50", .help = "How many trials the stage has", .offset = AT(trials)    \
    }
#define LOG_ROW                                                                                 \
    {                                                                                           \
        .name = "log", .type = SCHEMA_STRING_LIST,                                              \
        .help = "Which of the stage's !s are drawn on a logarithmic scale: their keys, or, as " \
                "links have them, STAGE[kwargs][KEY]",                                          \
        .offset = AT(log)                                                                       \
    }

static const struct schema_key random_rows[] = {TRIALS_ROW, LOG_ROW};
const struct schema random_schema = {"!random", "a random search", random_rows,
                                     COUNT_OF(random_rows)};

/* Optuna's classes that one study with one value a trial can use; the short forms below. */
static const char *const samplers[] = {"RandomSampler",
                                       "TPESampler",
                                       "CmaEsSampler",
                                       "GPSampler",
                                       "NSGAIISampler",
                                       "NSGAIIISampler",
                                       "QMCSampler",
                                       "random",
                                       "tpe",
                                       "cmaes",
                                       NULL};
static const char *const pruners[] = {"MedianPruner",
                                      "PercentilePruner",
                                      "SuccessiveHalvingPruner",
                                      "HyperbandPruner",
                                      "ThresholdPruner",
                                      "WilcoxonPruner",
                                      "NopPruner",
                                      NULL};

static const struct {
    const char *form, *class;
} short_forms[] = {{"random", "RandomSampler"}, {"tpe", "TPESampler"}, {"cmaes", "CmaEsSampler"}};

static const struct schema_key optuna_rows[] = {
    TRIALS_ROW,
    {.name = "sampler",
     .type = SCHEMA_STRING,
     .fallback = "TPESampler",
     .choices = samplers,
     .help = "Optuna's class that draws, as far as the installed version has it",
     .offset = AT(sampler)},
    {.name = "sampler_options",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "Its arguments, as in Python, but for the seed, which is made from the experiment's",
     .offset = AT(sampler_options)},
    {.name = "pruner",
     .type = SCHEMA_STRING,
     .choices = pruners,
     .help = "Optuna's class that stops trials early by the objective's intermediate values; "
             "without it none does",
     .offset = AT(pruner)},
    {.name = "pruner_options",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "Its arguments, as in Python",
     .offset = AT(pruner_options)},
    LOG_ROW,
};
const struct schema optuna_schema = {"!optuna", "a search by Optuna", optuna_rows,
                                     COUNT_OF(optuna_rows)};

/* ---- arguments for Python -------------------------------------------------------------------- */

static json_t *to_json(const char *key, const struct yaml_node *n, struct diags *diags);

static json_t *to_json_list(const char *key, const struct yaml_node *n, struct diags *diags)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->count; i++)
        json_array_append_new(list, to_json(key, n->items[i], diags));
    return list;
}

static json_t *to_json_map(const char *key, const struct yaml_node *n, struct diags *diags)
{
    json_t *map = json_object();
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *name = n->pairs[i].key;
        if (memchr(name->text, '\0', name->text_len))
            refuse(diags, name->at, mem_printf("a key of '%s' holds a NUL", key),
                   mem_dup("remove it"));
        json_object_set_new(map, name->text, to_json(key, n->pairs[i].value, diags));
    }
    return map;
}

/* Where it cannot be said in JSON there is a diagnostic, and null. */
static json_t *to_json(const char *key, const struct yaml_node *n, struct diags *diags)
{
    if (n->bad)
        return json_null();
    if (n->tag) {
        AUTO_FREE char *tag = diag_quote(str_of(n->tag));
        refuse(diags, n->at, mem_printf("the tag %s has no place in '%s'", tag, key),
               mem_dup("the arguments are text, numbers, lists and maps: remove it"));
        return json_null();
    }
    switch (n->kind) {
    case YAML_NULL:
        break;
    case YAML_BOOL:
        return json_boolean(n->boolean);
    case YAML_INT:
        return json_integer(n->integer);
    case YAML_FLOAT:
        if (isfinite(n->real))
            return json_real(n->real);
        refuse(diags, n->at, mem_printf("a number of '%s' is not finite", key),
               mem_dup("write a finite one"));
        break;
    case YAML_STRING:
        return json_stringn(n->text, n->text_len);
    case YAML_LIST:
        return to_json_list(key, n, diags);
    case YAML_MAP:
        return to_json_map(key, n, diags);
    }
    return json_null();
}

/* The arguments as JSON, or NULL where there are none or they are wrong. */
static char *read_arguments(const char *key, const struct yaml_node *n, struct diags *diags)
{
    if (!n || n->bad || (n->kind == YAML_NULL && !n->tag))
        return NULL;
    if (n->kind != YAML_MAP && !n->tag) {
        refuse(diags, n->at,
               mem_printf("'%s' must be a map of keys, not %s", key, yaml_kind_name(n->kind)),
               mem_printf("such as '%s: {n_startup_trials: 20}'", key));
        return NULL;
    }
    json_auto_t *arguments = to_json(key, n, diags);
    return json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : NULL;
}

static void refuse_seed(const struct yaml_node *options, struct diags *diags)
{
    for (size_t i = 0; options && options->kind == YAML_MAP && i < options->count; i++)
        if (strcmp(options->pairs[i].key->text, "seed") == 0)
            refuse(diags, options->pairs[i].key->at,
                   mem_dup("the sampler's seed is made from the experiment's"),
                   mem_dup("remove it, and write 'seed: …' among the experiment's keys"));
}

/* ---- what a search says of its stage's options ----------------------------------------------- */

/* Whether an option stands there, good or bad; with a name: as the value of that key. */
static bool holds_option(const struct yaml_node *n, const struct yaml_node *key, const char *name)
{
    if (n->bad)
        return true; /* nobody knows */
    if (space_is_option(n) && (!name || (key && strcmp(key->text, name) == 0)))
        return true;
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++)
        if (holds_option(n->items[i], key, name))
            return true;
    for (size_t i = 0; n->kind == YAML_MAP && i < n->count; i++)
        if (holds_option(n->pairs[i].value, n->pairs[i].key, name))
            return true;
    return false;
}

static void check_range(const struct choice *c, const struct yaml_node *at, struct diags *diags)
{
    AUTO_FREE char *shown = diag_quote((struct str){at->text, at->text_len});
    if (!c->drawn) {
        refuse(diags, at->at, mem_printf("%s is a list of values, which has no scale", shown),
               mem_dup("remove it from 'log': only '!s' has one"));
    } else if (!(c->node->items[0]->real > 0)) {
        const struct yaml_node *lo = c->node->items[0];
        refuse(diags, at->at,
               mem_printf("%s begins at %.*s; a logarithmic scale begins above 0", shown,
                          (int)lo->text_len, lo->text),
               mem_dup("raise its lower bound, or remove it from 'log'"));
    }
}

/* Looks at the options that are called so; lists the keys of all. Returns whether there are any. */
static bool check_named(const struct choice_list *l, const struct yaml_node *at, struct strv *keys,
                        struct diags *diags)
{
    bool found = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        struct str name = {at->text, at->text_len};
        if (str_is(name, c->key) || str_is(name, c->label)) {
            found = true;
            if (!diags_at(diags, at->at))
                check_range(c, at, diags);
        }
        if (!strv_has(keys, c->key))
            strv_add(keys, c->key);
        for (size_t k = 0; c->inner && k < c->count; k++)
            found = check_named(&c->inner[k], at, keys, diags) || found;
    }
    return found;
}

static void check_log(const struct yaml_node *log, const struct stage *stage, struct diags *diags)
{
    for (size_t i = 0; log->kind == YAML_LIST && i < log->count; i++) {
        const struct yaml_node *n = log->items[i];
        AUTO_STRV struct strv keys = {0};
        if (n->bad || n->tag || !n->text || check_named(&stage->space.choices, n, &keys, diags) ||
            holds_option(stage->node, NULL, n->text))
            continue;
        const char *const *names = (const char *const *)keys.items;
        AUTO_FREE char *shown = diag_quote((struct str){n->text, n->text_len});
        AUTO_FREE char *list = refuse_list(names, keys.count);
        const char *near = refuse_suggest((struct str){n->text, n->text_len}, names, keys.count);
        refuse(diags, n->at, mem_printf("the stage '%s' has no option %s", stage->name, shown),
               near         ? mem_printf("did you mean '%s'?", near)
               : keys.count ? mem_printf("its options: %s", list)
                            : NULL);
    }
}

static void check_stage(const struct yaml_node *value, const struct stage *stage,
                        struct diags *diags)
{
    if (!stage || !stage->understood)
        return;
    if (stage->space.choices.count == 0 && !holds_option(stage->node, NULL, NULL)) {
        refuse(diags, value->at, mem_printf("the stage '%s' has no options to search", stage->name),
               mem_dup("give it one, such as 'lr: !s [0.001, 0.1, 5]', or remove the line"));
        return;
    }
    const struct yaml_node *log = value->kind == YAML_MAP ? yaml_get(value, "log") : NULL;
    if (log && !log->bad)
        check_log(log, stage, diags);
}

static void take_search(struct search_keys *s, const struct yaml_node *value, struct diags *diags,
                        struct search_spec *out)
{
    out->trials = (size_t)s->trials;
    out->log = s->log;
    s->log = (struct strv){0};
    if (out->kind != SEARCH_OPTUNA)
        return;
    for (size_t i = 0; s->sampler && i < COUNT_OF(short_forms); i++)
        if (strcmp(s->sampler, short_forms[i].form) == 0)
            out->sampler = mem_dup(short_forms[i].class);
    if (!out->sampler)
        out->sampler = TAKE(s->sampler);
    out->pruner = TAKE(s->pruner);
    refuse_seed(s->sampler_options, diags);
    out->sampler_options = read_arguments("sampler_options", s->sampler_options, diags);
    out->pruner_options = read_arguments("pruner_options", s->pruner_options, diags);
    if (s->pruner_options && !out->pruner && !yaml_get(value, "pruner"))
        refuse(diags, s->pruner_options->at, mem_dup("'pruner_options' without a pruner"),
               mem_dup("add the line 'pruner: MedianPruner', or remove the options"));
}

void tuner_search(const struct yaml_node *value, const struct stage *stage, struct diags *diags,
                  struct search_spec *out)
{
    int means;
    if (value->bad || !find_meaning(value, "search", searches, COUNT_OF(searches), diags, &means))
        return;
    out->kind = (enum search_kind)means;
    if (means == SEARCH_GRID) {
        if (!is_empty(value) && !(value->kind == YAML_MAP && value->count == 0))
            refuse(diags, value->kind == YAML_MAP ? value->pairs[0].key->at : value->at,
                   mem_dup("a grid takes no keys: it is every variant"), mem_dup("remove it"));
        return;
    }
    const struct schema *schema = means == SEARCH_RANDOM ? &random_schema : &optuna_schema;
    struct search_keys s = {0};
    read_keys(schema, value, diags, &s, NULL);
    take_search(&s, value, diags, out);
    schema_free(schema, &s);
    check_stage(value, stage, diags);
}

/* See tuner.h. */
#include "experiment/tuner.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include <string.h>

struct scheduler {
    char *metric, *reward_attr, *mode, *time_attr;
    int max_t, grace_period, brackets;
    double reduction_factor;
};

#define AT(field) offsetof(struct scheduler, field)

static const char *const modes[] = {"min", "max", NULL};

static const struct schema_key scheduler_keys[] = {
    {.name = "metric",
     .type = SCHEMA_STRING,
     .help = "The metric that is compared",
     .offset = AT(metric)},
    {.name = "reward_attr",
     .type = SCHEMA_STRING,
     .help = "An older name of metric, with 'mode: max'",
     .offset = AT(reward_attr)},
    {.name = "mode",
     .type = SCHEMA_STRING,
     .choices = modes,
     .help = "Whether the metric is to be small or large",
     .offset = AT(mode)},
    {.name = "time_attr",
     .type = SCHEMA_STRING,
     .help = "The metric that counts the steps",
     .offset = AT(time_attr)},
    {.name = "max_t",
     .type = SCHEMA_INT,
     .min = 1,
     .max = 1000000000,
     .help = "The steps after which a trial is whole",
     .offset = AT(max_t)},
    {.name = "grace_period",
     .type = SCHEMA_INT,
     .min = 1,
     .max = 1000000000,
     .help = "No trial is stopped before so many steps",
     .offset = AT(grace_period)},
    {.name = "reduction_factor",
     .type = SCHEMA_NUMBER,
     .min = 1.01,
     .max = 1000,
     .help = "One in so many trials goes on at each rung",
     .offset = AT(reduction_factor)},
    {.name = "brackets",
     .type = SCHEMA_INT,
     .min = 1,
     .max = 100,
     .help = "How many brackets share the trials",
     .offset = AT(brackets)},
};
const struct schema scheduler_schema = {"!asha", "a scheduler", scheduler_keys,
                                        COUNT_OF(scheduler_keys)};

static const struct {
    const char *tag, *means;
} schedulers[] = {{"!asha", "asha"},
                  {"!fifo", "fifo"},
                  {"!ray.ASHAScheduler", "asha"},
                  {"!ray.AsyncHyperBandScheduler", "asha"},
                  {"!ray.HyperBandScheduler", "asha"},
                  {"!ray.FIFOScheduler", "fifo"}};

static void unknown(const struct yaml_node *value, const char *what, const char *const *names,
                    size_t count, struct diags *diags)
{
    AUTO_FREE char *list = refuse_list(names, count);
    if (!value->tag) {
        refuse(diags, value->at, mem_printf("the %s does not say which one it is", what),
               mem_printf("write its tag: %s", list));
        return;
    }
    AUTO_FREE char *shown = diag_quote(str_of(value->tag));
    const char *near = refuse_suggest(str_of(value->tag), names, count);
    refuse(diags, value->at, mem_printf("the %s %s is not known", what, shown),
           near ? mem_printf("did you mean '%s'?", near) : mem_printf("allowed: %s", list));
}

const char *tuner_scheduler(const struct yaml_node *value, struct diags *diags)
{
    if (value->bad)
        return NULL;
    const char *names[COUNT_OF(schedulers)], *means = NULL;
    for (size_t i = 0; i < COUNT_OF(schedulers); i++) {
        names[i] = schedulers[i].tag;
        if (value->tag && strcmp(value->tag, names[i]) == 0)
            means = schedulers[i].means;
    }
    if (!means) {
        unknown(value, "scheduler", names, COUNT_OF(schedulers), diags);
        return NULL;
    }
    bool empty = value->text && value->text_len == 0;
    if (!empty && value->kind != YAML_NULL) {
        struct scheduler s = {0};
        schema_read(&scheduler_schema, value, diags, &s, NULL);
        schema_free(&scheduler_schema, &s);
    }
    return means;
}

void tuner_search(const struct yaml_node *value, struct diags *diags)
{
    static const char *const names[] = {"!grid"};
    if (value->bad || (value->tag && strcmp(value->tag, names[0]) == 0))
        return;
    unknown(value, "search", names, COUNT_OF(names), diags);
}

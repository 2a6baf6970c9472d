/* One trial's values, from an experiment's text. */
#ifndef FLAMBE_TEST_EXPERIMENT_TRIAL_H
#define FLAMBE_TEST_EXPERIMENT_TRIAL_H

#include "experiment/launch.h"
#include "fixture.h"

struct trial {
    struct experiment e;
    struct experiment_plan p;
    struct assignment options;
    char *directories[8]; /* "/r/STAGE" of those of the closure */
    char *resources[8];   /* "/got/NAME" */
    struct trial_values values;
};

/* What the variant chose, sorted. */
static inline void options_of(const struct variants *v, size_t index, struct assignment *out)
{
    struct pick *picks = mem_array(v->picks_max + 1, sizeof *picks);
    size_t n = variant_picks(v, index, picks);
    while (n-- > 0) /* in any order */
        assignment_add(out, (struct chosen){picks[n].choice,
                                            choice_value(picks[n].choice, picks[n].element),
                                            picks[n].element});
    assignment_sort(out);
    free(picks);
}

/* The variant `index` of the stage `name`. */
static inline void trial_set_up(struct trial *t, const char *text, const char *name, size_t index)
{
    *t = (struct trial){0};
    plan_good(text, &t->e, &t->p);
    size_t stage = experiment_stage(&t->e, str_of(name));
    assert_true(stage < t->p.count && t->p.count <= COUNT_OF(t->directories));
    assert_true(index < t->p.stages[stage].variants.total);
    options_of(&t->p.stages[stage].variants, index, &t->options);
    for (size_t i = 0; i <= stage; i++)
        if (t->p.stages[stage].closure[i])
            t->directories[i] = mem_printf("/r/%s", t->e.stages[i].name);
    for (size_t i = 0; i < t->e.resource_count; i++)
        t->resources[i] = mem_printf("/got/%s", t->e.resources[i].name);
    t->values = (struct trial_values){.plan = &t->p,
                                      .stage = stage,
                                      .options = &t->options,
                                      .directories = (const char *const *)t->directories,
                                      .resources = (const char *const *)t->resources};
}

static inline void trial_tear_down(struct trial *t)
{
    for (size_t i = 0; i < COUNT_OF(t->directories); i++) {
        free(t->directories[i]);
        free(t->resources[i]);
    }
    assignment_done(&t->options);
    plan_free(&t->e, &t->p);
}

#endif

/* What one trial's options are: a value for each option of its stage's closure, whether it was
 * enumerated (a variant) or drawn by a search. */
#ifndef FLAMBE_EXPERIMENT_ASSIGNMENT_H
#define FLAMBE_EXPERIMENT_ASSIGNMENT_H

#include "experiment/plan.h"
#include <jansson.h>

struct assignment {
    struct chosen *items; /* by path; an outer option before the one that it led to */
    size_t count, cap;
};

/* Adds in any order; sort when all are there. */
void assignment_add(struct assignment *a, struct chosen c);
void assignment_sort(struct assignment *a);
void assignment_done(struct assignment *a);
/* The option that stands at the path by this node, or NULL. */
const struct chosen *assignment_find(const struct assignment *a, const char *path,
                                     const struct yaml_node *node);
/* Where the variant of `v` that has the same options is; false where there is none. */
bool assignment_variant(const struct assignment *a, const struct variants *v, size_t *index);
/* Whether the two agree in every option that both have. */
bool assignment_agrees(const struct assignment *a, const struct assignment *b);

/* The trial whose values are asked for. */
struct trial_values {
    const struct experiment_plan *plan;
    size_t stage;
    const struct assignment *options;
    /* By stage: the absolute directory of the trial that this one builds on, and, at `stage`, its
     * own; NULL outside of the closure. */
    const char *const *directories;
    const char *const *resources; /* local paths, by resource */
};

/* The value of `key` of the trial's stage ("args", "kwargs", "params"): options chosen, links
 * followed. NULL where the stage has no such key. The caller owns it. */
json_t *trial_value(const struct trial_values *t, const char *key, const struct yaml_node *node);
/* One option's value. */
json_t *trial_choice_json(const struct choice_value *v);

#endif

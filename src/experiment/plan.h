/* What an experiment would run: each stage's closure, its variants and how many trials there are.
 */
#ifndef FLAMBE_EXPERIMENT_PLAN_H
#define FLAMBE_EXPERIMENT_PLAN_H

#include "experiment/spec.h"
#include "experiment/variant.h"

struct stage_plan {
    const struct stage *stage;
    bool *needs;   /* by stage: linked to, at first hand */
    bool *closure; /* by stage: linked to at any hand, and itself */
    /* Of a searched stage, or one behind it, the combinations of the options that no search draws:
     * without the searched stages' own, and those of their closures. */
    struct variants variants;
    size_t trials; /* to be run: fewer than variants where an earlier stage is reduced */
    bool at_most;  /* `trials` is a bound: which ones is known when the reduced stage has run */
    bool drawn; /* it is searched, or one of its closure is: no trial is known before it is drawn */
};

struct experiment_plan {
    const struct experiment *experiment;
    struct stage_plan *stages;
    size_t count;
    size_t total; /* trials */
    bool at_most;
};

/* The experiment must live as long. ERR_FILE where a stage has too many variants. */
int experiment_plan_make(const struct experiment *e, struct experiment_plan *out,
                         struct err *err) MUST_CHECK;
void experiment_plan_done(struct experiment_plan *p);

#endif

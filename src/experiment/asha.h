/* Early stopping by asynchronous successive halving, in the form that stops: a trial that arrives
 * at a rung is judged at once, goes on or ends, and never waits for another. (The paper's form, by
 * promotion, pauses trials instead: Li et al., "A System for Massively Parallel Hyperparameter
 * Tuning", 2020.)
 *
 * The rungs of bracket b are at the steps grace_period * reduction_factor^k for k = b, b + 1, …,
 * below max_t. A trial is judged at the highest rung that its step has reached, where it was not
 * judged there yet: one that passes several at a step is recorded at the highest alone. It ends
 * where its value is worse than the cutoff: of the values recorded there before it, its own not
 * among them, the percentile 100 * (1 - 1/reduction_factor), counted from the worst, between two
 * values linearly interpolated. The first to arrive goes on; so does one that is just at the
 * cutoff. Its value is then recorded, whether it ends or not. NaN is worse than any number, and as
 * bad as another NaN.
 *
 * A trial belongs to bracket `number % brackets`: in turn, not by chance, so that the same reports
 * lead to the same ends. At max_t each trial ends, whatever its value. */
#ifndef FLAMBE_EXPERIMENT_ASHA_H
#define FLAMBE_EXPERIMENT_ASHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a file says of a stage's scheduler; read by tuner_scheduler(). */
struct scheduler_spec {
    enum scheduler_kind { SCHEDULER_NONE, SCHEDULER_ASHA } kind;
    char *metric;    /* NULL: the stage's objective */
    bool mode_given; /* else `maximize` is true, as the original has it, or the objective's */
    bool maximize;
    char *time_attr; /* the metric that counts the steps; NULL: the step of the metric itself */
    int64_t max_t;   /* 0: trials run to their own end */
    int64_t grace_period;
    double reduction_factor;
    int brackets;
};
void scheduler_spec_done(struct scheduler_spec *s);
/* Whether it compares the stage's objective, as it names no metric. */
bool scheduler_needs_metric(const struct scheduler_spec *s);

struct asha;
/* grace_period and brackets of 1 or more, a reduction_factor above 1; it is copied. */
struct asha *asha_new(const struct scheduler_spec *spec, bool maximize);
void asha_free(struct asha *a); /* NULL is legal */
/* The trial `number` has reached `step` with this value; true: it ends here. A report at a rung
 * where the trial was judged before, or below it, is not counted again and gets the answer of then,
 * so that a trial which began again is judged once. In O(log trials); a trial takes 4 bytes, and 8
 * more for each rung that it reached, and both twice at most, as arrays grow. */
bool asha_report(struct asha *a, size_t number, int64_t step, double value);
/* The same of a point from an earlier process, where the trial went on: it counts, but nobody is
 * judged anew. In any order of the trials; each trial's points by rising step. */
void asha_restore(struct asha *a, size_t number, int64_t step, double value);

#endif

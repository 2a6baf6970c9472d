/* Where the parameters of a stage's trials come from, and which trials end early.
 *
 * `search` draws parameters; grid (every variant) needs none and is not here. `scheduler` judges a
 * running trial by its intermediate values. Both are driven from the main path: their calls may
 * wait with loop_wait(). */
#ifndef FLAMBE_EXPERIMENT_SEARCH_H
#define FLAMBE_EXPERIMENT_SEARCH_H

#include "base/err.h"
#include "config/yaml.h"
#include "experiment/space.h"
#include "os/loop.h"

/* ---- the space ---------------------------------------------------------------------------- */

enum dimension_kind {
    DIMENSION_CATEGORY, /* an element of `!g`: 0 to count - 1 */
    DIMENSION_INT,      /* `!s` of whole bounds: lo to hi - 1 */
    DIMENSION_FLOAT,    /* `!s`: [lo, hi), rounded to `decimals` */
};

struct dimension {
    char *name; /* unique, as a link names the option: "train[kwargs][lr]" */
    enum dimension_kind kind;
    size_t count;  /* of DIMENSION_CATEGORY */
    double lo, hi; /* of the others */
    int decimals;
    bool log; /* drawn on a logarithmic scale */
    /* It means something only while dimension `parent` has the value `parent_element`: an option
     * within another's element. SIZE_MAX: always. Parents come before. */
    size_t parent, parent_element;
};

/* One value a dimension; those that mean nothing are `unused`. */
struct dimension_value {
    bool unused;
    int64_t integer; /* of DIMENSION_CATEGORY and DIMENSION_INT */
    double real;     /* of DIMENSION_FLOAT */
};

/* ---- search ------------------------------------------------------------------------------- */

enum search_state { SEARCH_COMPLETE, SEARCH_PRUNED, SEARCH_FAILED };

/* A trial of an earlier process, told again. */
struct search_past {
    size_t number;
    const struct dimension_value *values;
    enum search_state state;
    bool has_value;
    double value;
    const struct search_point {
        int64_t step;
        double value;
    } * points; /* intermediate ones */
    size_t point_count;
};

enum search_answer {
    SEARCH_TRIAL, /* `values` is filled */
    SEARCH_WAIT,  /* ask again when a trial has ended */
    SEARCH_END,   /* no more trials */
};

struct search;

struct search_ops {
    const char *name;
    /* The parameters of the trial `number` (from 0, rising by one). */
    int (*ask)(struct search *s, size_t number, struct dimension_value *values,
               enum search_answer *answer, struct err *err) MUST_CHECK;
    /* An intermediate value of the objective; *stop: end the trial early. */
    int (*report)(struct search *s, size_t number, int64_t step, double value, bool *stop,
                  struct err *err) MUST_CHECK;
    int (*tell)(struct search *s, size_t number, enum search_state state, bool has_value,
                double value, struct err *err) MUST_CHECK;
    int (*restore)(struct search *s, const struct search_past *past, struct err *err) MUST_CHECK;
    void (*free)(struct search *s);
};

struct search {
    const struct search_ops *ops;
};

/* What a file says of a stage's search; read by search_read() (tuner.h). */
struct search_spec {
    enum search_kind { SEARCH_GRID, SEARCH_RANDOM, SEARCH_OPTUNA } kind;
    size_t trials;         /* of all but grid */
    char *sampler;         /* Optuna's class, such as "TPESampler" */
    char *sampler_options; /* JSON object, or NULL */
    char *pruner;          /* Optuna's class, or NULL */
    char *pruner_options;
    struct strv log; /* parameters drawn on a logarithmic scale */
};
void search_spec_done(struct search_spec *s);

struct search_options {
    struct loop *loop;
    const struct dimension *dimensions; /* live as long */
    size_t dimension_count;
    uint64_t seed;
    const char *stage; /* its name: one stream of random numbers for each */
    bool maximize;
};

/* ERR_NOT_FOUND, with what to install, where Optuna is missing. */
int search_new(const struct search_spec *spec, const struct search_options *o, struct search **out,
               struct err *err) MUST_CHECK;
void search_free(struct search *s); /* NULL is legal */

/* ---- early stopping ----------------------------------------------------------------------- */

struct scheduler_spec {
    enum scheduler_kind { SCHEDULER_NONE, SCHEDULER_ASHA } kind;
    char *metric; /* NULL: the stage's objective */
    bool mode_given, maximize;
    char *time_attr; /* the metric that counts the steps; NULL: the step of the metric itself */
    int64_t max_t, grace_period;
    double reduction_factor;
    int brackets;
};
void scheduler_spec_done(struct scheduler_spec *s);

struct asha;
struct asha *asha_new(const struct scheduler_spec *spec, bool maximize);
void asha_free(struct asha *a);
/* The trial `number` has reached `step` with this value; true: it ends here. Telling the same rung
 * again changes nothing, so that a trial which began again is judged once. */
bool asha_report(struct asha *a, size_t number, int64_t step, double value);

#endif

/* Where the parameters of a stage's trials come from.
 *
 * Grid (every variant) needs no search and is not here. A search is driven from the main path: its
 * calls may wait with loop_wait(). Which trials end early is asha.h's. */
#ifndef FLAMBE_EXPERIMENT_SEARCH_H
#define FLAMBE_EXPERIMENT_SEARCH_H

#include "base/err.h"
#include "experiment/asha.h"
#include "experiment/space.h"
#include "os/loop.h"

/* ---- the space ---------------------------------------------------------------------------- */

enum dimension_kind {
    DIMENSION_CATEGORY, /* an element of `!g`: 0 to count - 1 */
    DIMENSION_INT,      /* `!s` of whole bounds: whole_lo to whole_hi - 1 */
    DIMENSION_FLOAT,    /* `!s`: from lo to hi, rounded to `decimals` */
};

struct dimension {
    /* Unique: as a link names the option, "train[kwargs][lr]", and for one within another's
     * elements the way to it: "train[kwargs][lr]#1.0". */
    char *name;
    enum dimension_kind kind;
    size_t count; /* of DIMENSION_CATEGORY */
    double lo, hi;
    int64_t whole_lo, whole_hi;
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

/* SEARCH_RUNNING: of search_past only: it goes on in this process; reports and an end follow. */
enum search_state { SEARCH_COMPLETE, SEARCH_PRUNED, SEARCH_FAILED, SEARCH_RUNNING };

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
    /* The parameters of the trial `number`: from 0, rising by one, those of restored trials left
     * out. `values` holds dimension_count. The same number again, as after a cancel: the same
     * values. */
    int (*ask)(struct search *s, size_t number, struct dimension_value *values,
               enum search_answer *answer, struct err *err) MUST_CHECK;
    /* An intermediate value of the objective; *stop: end the trial early. */
    int (*report)(struct search *s, size_t number, int64_t step, double value, bool *stop,
                  struct err *err) MUST_CHECK;
    /* The trial's end. One that is complete but has no value, or NaN, counts as failed. */
    int (*tell)(struct search *s, size_t number, enum search_state state, bool has_value,
                double value, struct err *err) MUST_CHECK;
    /* Before the first ask, by rising number. */
    int (*restore)(struct search *s, const struct search_past *past, struct err *err) MUST_CHECK;
    void (*free)(struct search *s);
};

struct search {
    const struct search_ops *ops;
};

/* What a file says of a stage's search; read by tuner_search(). */
struct search_spec {
    enum search_kind { SEARCH_GRID, SEARCH_RANDOM, SEARCH_OPTUNA } kind;
    size_t trials;         /* of all but grid */
    char *sampler;         /* of SEARCH_OPTUNA: Optuna's class, such as "TPESampler" */
    char *sampler_options; /* JSON object, or NULL */
    char *pruner;          /* Optuna's class, or NULL */
    char *pruner_options;
    struct strv log; /* parameters drawn on a logarithmic scale */
};
void search_spec_done(struct search_spec *s);
const char *search_kind_name(enum search_kind k); /* "grid", … */
/* Whether it learns from the trials' values: the stage then needs an objective. */
bool search_needs_objective(const struct search_spec *s);

struct search_options {
    struct loop *loop;
    const struct dimension *dimensions; /* live as long */
    size_t dimension_count;
    uint64_t seed;
    const char *stage; /* its name: one stream of random numbers for each */
    bool maximize;
};

/* Not for SEARCH_GRID. ERR_NOT_FOUND, with what to install, where Optuna is missing; ERR_FILE where
 * Optuna refuses an option of the file. Errors of a helper that hangs or has died are final. */
int search_new(const struct search_spec *spec, const struct search_options *o, struct search **out,
               struct err *err) MUST_CHECK;
void search_free(struct search *s); /* NULL is legal */

#endif

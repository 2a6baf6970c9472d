/* A stage's options as the dimensions that a search draws from, and back.
 *
 * `!g` is a category, whatever its elements are; `!s` a range, whose numbers drawn in advance play
 * no part. An option within another's element is a dimension of its own that means something only
 * while that element is chosen. */
#ifndef FLAMBE_EXPERIMENT_DIMENSIONS_H
#define FLAMBE_EXPERIMENT_DIMENSIONS_H

#include "experiment/search.h"
#include <jansson.h>

/* The dimension in front, where a stage's trials differ in an earlier stage's trial too. */
#define DIMENSION_EARLIER "@earlier"

struct dimensions {
    struct dimension *items;
    const struct choice **choices; /* of each; NULL: DIMENSION_EARLIER */
    size_t count, cap, choice_cap;
};

/* `log` (may be NULL) names options, by key or label, that are drawn on a logarithmic scale.
 * `earlier`: the number of earlier combinations, one of which each trial has; 0: there is no such
 * dimension. The space must live as long. */
void dimensions_make(const struct space *space, const struct strv *log, size_t earlier,
                     struct dimensions *out);
void dimensions_done(struct dimensions *d);

/* What a trial's values choose. */
struct dimension_pick {
    const struct choice *choice;
    struct choice_value value;
};
/* Sorted by path, as variant_picks() has them; `out` holds d->count. Returns how many. */
size_t dimensions_picks(const struct dimensions *d, const struct dimension_value *values,
                        struct dimension_pick *out);
/* The earlier combination, or SIZE_MAX where there is no such dimension. */
size_t dimensions_earlier(const struct dimensions *d, const struct dimension_value *values);

/* Whether dimension `i` means something, by the values before it. */
bool dimension_active(const struct dimension *dimensions, size_t i,
                      const struct dimension_value *values);
/* Rounds to the dimension's decimals, and not out of its bounds. */
double dimension_round(const struct dimension *d, double value);

/* {"train[kwargs][lr]": 0.1, …}: those that mean something. The caller owns it. */
json_t *dimensions_to_json(const struct dimension *dimensions, size_t count,
                           const struct dimension_value *values);
/* The values from such an object. ERR_PARSE where one is missing, means nothing, is of the wrong
 * type or out of bounds; `values` may then be half filled. */
int dimensions_from_json(const struct dimension *dimensions, size_t count, const json_t *object,
                         struct dimension_value *values, struct err *err) MUST_CHECK;

#endif

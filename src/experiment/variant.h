/* The variants of a stage: every combination of the options in the closure of its links, each stage
 * counted once.
 *
 * A variant is an index. An option that contains options is resolved first: each way to do so is a
 * division, with the plain options that are left as the digits of a mixed-radix number. The
 * options' paths are sorted (stage, then keys), and the first varies fastest. */
#ifndef FLAMBE_EXPERIMENT_VARIANT_H
#define FLAMBE_EXPERIMENT_VARIANT_H

#include "base/err.h"
#include "base/strtab.h"
#include "experiment/space.h"

#define VARIANTS_MAX ((size_t)10000000)      /* of one stage */
#define VARIANTS_CELLS_MAX ((size_t)4000000) /* options listed over all divisions of a stage */
#define VARIANT_NAME_MAX 130                 /* characters, before the number */
#define VARIANT_NAME_BYTES_MAX 200           /* and bytes: a file's name has 255 */

struct pick {
    const struct choice *choice;
    size_t element;
};

/* An option and the value it has: an element, or what a search drew. */
struct chosen {
    const struct choice *choice;
    struct choice_value value;
    size_t element; /* of an option that lists its values */
};

struct division {
    size_t first, count;       /* variants */
    size_t fixed, fixed_count; /* in variants.fixed: what was decided on the way to it */
    size_t digits, digit_count;
};

struct variants {
    size_t total;
    struct division *divisions;
    size_t count, cap;
    struct pick *fixed;
    size_t fixed_count, fixed_cap;
    const struct choice **digits;
    size_t digit_count, digit_cap;
    size_t picks_max;      /* the most that one variant has */
    struct strtab *labels; /* from an option's path to what names call it */
};

/* From the spaces of the closure, in the pipeline's order; they must live as long. ERR_LIMIT where
 * a maximum is passed. */
int variants_make(const struct space *const *spaces, size_t count, struct variants *out,
                  struct err *err) MUST_CHECK;
void variants_done(struct variants *v);
/* What names call each option of the spaces, by its path, as in variants.labels. */
struct strtab *variant_labels(const struct space *const *spaces, size_t count);
void variant_labels_free(struct strtab *labels);
/* What the variant chose, sorted by path; `out` holds picks_max. Returns how many. */
size_t variant_picks(const struct variants *v, size_t index, struct pick *out);
/* Appends "k=v,k2=v2_INDEX", or "0" where there are no options. `,`, `/`, `%` and control
 * characters are written %XX. Where two options of the closure have one key, the stage stands
 * before it. */
void variant_name(const struct variants *v, size_t index, struct buf *out);
/* The same of any options, sorted by path; `labels` is of variants that have them all. */
void variant_name_chosen(const struct strtab *labels, const struct chosen *items, size_t count,
                         size_t number, struct buf *out);

#endif

/* Metrics as JSON lines, one object a line:
 *
 *   {"step": 3, "loss": 0.5, "acc": 0.9}         each member that is a number is a metric, but for
 *                                                `step`, and for `time`, `wall_time` and `wall`,
 *                                                which are the wall time in seconds
 *   {"tag": "loss", "value": 0.5, "step": 3}     one metric
 *
 * Without a step a tag's points are counted, from 0 or from behind its last step. Truth values are
 * no numbers; NaN, Infinity and -Infinity, as Python's json module writes them, are. */
#ifndef FLAMBE_EXPERIMENT_JSONLINES_H
#define FLAMBE_EXPERIMENT_JSONLINES_H

#include "experiment/metrics.h"

#define JSONLINES_LINE_MAX ((size_t)64 << 10) /* bytes of a line; a longer one is damage */
#define JSONLINES_TAGS_MAX 10000              /* of one file; points of further ones are damage */

struct jsonlines;

struct jsonlines *jsonlines_new(const char *name); /* of the file, for what is said; copied */
/* This tag is read, whatever else the file has. */
void jsonlines_keep(struct jsonlines *l, const char *tag);
void jsonlines_free(struct jsonlines *l); /* NULL is legal */
/* Reads the whole lines at the beginning of `bytes` and returns how many bytes they take: at the
 * next call these are not given again. `final`: what is left without a new line is a line, too. */
size_t jsonlines_add(struct jsonlines *l, struct str bytes, bool final,
                     const struct metrics_sink *sink);

#endif

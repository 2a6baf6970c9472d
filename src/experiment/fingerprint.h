/* What a trial's results depend on, as one digest: two trials of one fingerprint would do the same.
 *
 * It holds the program and every word of its command that is a file (by content) or a directory (as
 * file_mark.h has it), its arguments, parameters and environment from the file, the resources, and
 * the earlier trials that it builds on. It does not hold what a program reads without its command
 * naming it. */
#ifndef FLAMBE_EXPERIMENT_FINGERPRINT_H
#define FLAMBE_EXPERIMENT_FINGERPRINT_H

#include "experiment/launch.h"

#define FINGERPRINT_FILE_MAX                                            \
    ((size_t)256 << 20) /* bytes; a larger file counts by size and time \
                         */

/* Digests of the files that were seen, so that each is read once a run. */
struct fingerprints;
/* `working` is where relative paths begin. */
struct fingerprints *fingerprints_new(const char *working, const struct strv *python_path);
void fingerprints_free(struct fingerprints *f); /* NULL is legal */

/* `marks`: by stage, what stands for the earlier trial's directory; `resources` likewise. The
 * caller frees. NULL, with the error, where the trial cannot be launched. */
char *fingerprint_make(struct fingerprints *f, const struct trial_values *t,
                       const struct launch_context *c, const json_t *options, struct err *err);
/* What stands for a resource: its path and what file_mark.h has, or its URL. The caller frees. */
char *fingerprint_resource(const struct resource *r, const char *path);
/* {"files": {path: digest}, "text": digest of the stage's text, "resources": […]}: what all trials
 * of a stage have in common, to tell what changed. */
json_t *fingerprint_stage(struct fingerprints *f, const struct stage *s, struct str file,
                          const char *const *resources, size_t resource_count);
/* The difference in words: "train.py has changed"; static text or the caller's to free by buf. */
void fingerprint_difference(const json_t *before, const json_t *now, struct buf *out);

#endif

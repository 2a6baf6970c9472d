/* What flambe writes into a trial's directory:
 *
 *   params.json   the stage's parameters, for the program
 *   console.out   its output, written by the engine
 *   result.json   how it ended, what it used, its metrics
 *   error_*.txt   of each attempt that failed: why, and the end of its output
 *   checkpoint/   for the program: where it left something there, the next attempt finds the
 *                 directory as it is; else it begins in an empty one. Made before the start, and
 *                 removed at the end where nothing is in it
 *   events.out.tfevents.0.flambe   for TensorBoard: hyper-parameters, result, and the numbers that
 *                 the program reported by JSON lines */
#ifndef FLAMBE_EXPERIMENT_TRIAL_FILES_H
#define FLAMBE_EXPERIMENT_TRIAL_FILES_H

#include "experiment/store.h"
#include <jansson.h>

#define TRIAL_EVENTS_FILE "events.out.tfevents.0.flambe"
#define TRIAL_CONSOLE_FILE "console.out"
#define TRIAL_CHECKPOINT "checkpoint"
#define TRIAL_ERROR_NAME_SIZE 80
#define TRIAL_ERROR_TAIL 65536 /* bytes of output kept in error_*.txt */

/* Makes the directory, or clears it for the next attempt, and writes what stands there before the
 * start. `options` are the hyper-parameters, `domains` as eventfile.h has them. */
int trial_files_begin(const char *directory, const char *group, const json_t *params,
                      const json_t *options, const json_t *domains, usec_t wall,
                      struct err *err) MUST_CHECK;
/* Appends records to the trial's event file, and empties the buffer. Nothing where it is empty. */
int trial_files_add_events(const char *directory, struct buf *events, struct err *err) MUST_CHECK;
/* The name of the file that trial_files_end() writes for an attempt that failed, as `t` is then.
 * The next attempt leaves it where it is, unlike the console. */
void trial_files_error_name(const struct store_trial *t, char name[TRIAL_ERROR_NAME_SIZE]);
/* Writes what is known at the end. `metrics`: an object of each tag's last value. */
int trial_files_end(const char *directory, const struct store_trial *t, const json_t *metrics,
                    struct err *err) MUST_CHECK;

#endif

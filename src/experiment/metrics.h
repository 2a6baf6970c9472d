/* What a trial reports while it runs: TensorBoard event files (any file with "tfevents" in its
 * name, up to METRICS_DEPTH_MAX folders deep) and JSON lines (`metrics.jsonl`, which `flambe log`
 * writes too, or a file that the stage names; jsonlines.h has its form). Read as they grow.
 *
 * A tag of an event file in a folder has the folder in front: "sub/loss". Files of a folder are
 * read in the order of their names. Below the directory no symbolic link is followed, but for the
 * JSON lines' file. A file that shrank, or that another took the place of, is read again from its
 * start. */
#ifndef FLAMBE_EXPERIMENT_METRICS_H
#define FLAMBE_EXPERIMENT_METRICS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define METRICS_FILE "metrics.jsonl"
#define METRICS_DEPTH_MAX 4
#define METRICS_FILES_MAX 1000 /* event files of one trial; more are damage, as are … */
#define METRICS_FOLDERS_MAX 1000
#define METRICS_ENTRIES_MAX 100000 /* looked at in one folder */
#define METRICS_ENTRIES_OFTEN 1000 /* with more, a folder is looked through now and then alone */
#define METRICS_LOOK_MAX 1000000   /* entries of all folders, in one poll */
#define METRICS_POLL_MAX ((off_t)16 << 20) /* bytes of one file; all, in the final poll */
#define METRICS_LINES_MAX ((off_t)1 << 30) /* bytes of the JSON lines; the rest is damage */
#define METRICS_TAG_MAX 256                /* bytes; a longer tag is damage */
#define METRICS_TAGS_MAX 10000             /* different ones of one trial; more are damage */

struct metrics_sink {
    /* One number. Points of a tag come with rising steps, except where the program began again: a
     * point at step s then replaces the tag's points with a step >= s. `wall` may be 0. */
    void (*point)(void *ctx, struct str tag, int64_t step, usec_t wall, double value);
    /* The writer restarted at a step: all tags' points with a step >= it are void. Told only where
     * all event files are in one folder: one of several writers says nothing for the others, and a
     * tag that it goes on with replaces its points anyway. */
    void (*purge)(void *ctx, int64_t step);
    /* Something could not be read: "events.out…: bad checksum at byte 123; the rest is left out".
     * Once for each trouble; without control characters. */
    void (*damage)(void *ctx, const char *what);
    void *ctx;
    /* Before point(), of a number that came by JSON lines, which no event file has; or NULL. */
    void (*line)(void *ctx, struct str tag, int64_t step, usec_t wall, double value);
};

struct metrics_reader;

/* `own` is the name of flambe's own event file in the directory, which is not read; `lines` the
 * JSON lines file, relative to the directory. Both are copied. Nothing needs to exist yet. */
struct metrics_reader *metrics_reader_new(const char *directory, const char *own,
                                          const char *lines);
/* There is room for this tag (NULL: none), whatever else the trial reports. To be said first. */
void metrics_reader_keep(struct metrics_reader *r, const char *tag);
void metrics_reader_free(struct metrics_reader *r);
/* Reads what has come since the last time, or some of it where that is much, so that one trial does
 * not keep the others waiting. `final`: the program has ended, so that a last line
 * without a new line counts. Cheap where nothing changed: one lstat(2) for each folder and file. A
 * new file may be found some polls late, but not later than the final one. A file that vanished is
 * passed over. */
void metrics_reader_poll(struct metrics_reader *r, bool final, const struct metrics_sink *sink);

#endif

/* TensorBoard's event files: reading anyone's, writing ours.
 *
 * A record is `u64 length | u32 masked CRC-32C of the length | bytes | u32 masked CRC-32C of the
 * bytes`, little-endian; the bytes are a protocol buffer `Event`. */
#ifndef FLAMBE_EXPERIMENT_EVENTFILE_H
#define FLAMBE_EXPERIMENT_EVENTFILE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define EVENTFILE_RECORD_MAX                                            \
    ((uint64_t)64 << 20) /* bytes of one record; a longer one is damage \
                          */

/* ---- reading ------------------------------------------------------------------------------ */

struct eventfile_sink {
    void (*scalar)(void *ctx, struct str tag, int64_t step, usec_t wall, double value);
    void (*restart)(void *ctx, int64_t step); /* SessionLog START */
    void *ctx;
};

/* The state of one file's reading: bytes go in as they come, in pieces of any size. */
struct eventfile_reader;
struct eventfile_reader *eventfile_reader_new(void);
void eventfile_reader_free(struct eventfile_reader *r);
/* A cut record waits for the rest. ERR_PARSE where the file is damaged: from then on the rest is
 * passed over (0), as TensorBoard does. */
int eventfile_reader_add(struct eventfile_reader *r, struct str bytes,
                         const struct eventfile_sink *sink, struct err *err) MUST_CHECK;

/* ---- writing ------------------------------------------------------------------------------ */

/* Each appends whole records to `out`, for one write(2). */
void eventfile_begin(usec_t wall, struct buf *out); /* the first record: the file's version */
void eventfile_scalar(usec_t wall, int64_t step, struct str tag, double value, struct buf *out);

/* For TensorBoard's HPARAMS tab. `params` is a flat object of numbers, texts and booleans;
 * anything else is written as its JSON text. */
void eventfile_hparams_start(usec_t wall, const char *group, const json_t *params, struct buf *out);
enum eventfile_status { EVENTFILE_SUCCESS = 1, EVENTFILE_FAILURE = 2, EVENTFILE_RUNNING = 3 };
void eventfile_hparams_end(usec_t wall, enum eventfile_status status, struct buf *out);
/* The experiment's own record, for the directory above the trials. `params`: an object of lists of
 * the values that each hyper-parameter takes (an empty list: not known); `metrics`: tags. */
void eventfile_hparams_experiment(usec_t wall, const json_t *params, const char *const *metrics,
                                  size_t metric_count, struct buf *out);

#endif

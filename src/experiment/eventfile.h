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

/* Bytes of one record; a longer one is damage. */
#define EVENTFILE_RECORD_MAX ((uint64_t)64 << 20)

/* ---- reading ------------------------------------------------------------------------------ */

struct eventfile_sink {
    /* A number: a plain one, or a tensor of one float or whole number. Everything else (histograms,
     * images, hyper-parameters, …) is passed over. The tag is UTF-8 without NUL, perhaps empty, and
     * a view that ends with the call; `wall` is 0 where the file has none that makes sense. */
    void (*scalar)(void *ctx, struct str tag, int64_t step, usec_t wall, double value);
    void (*restart)(void *ctx, int64_t step); /* SessionLog START; may be NULL */
    void *ctx;
};

/* The state of one file's reading: bytes go in as they come, in pieces of any size. */
struct eventfile_reader;
struct eventfile_reader *eventfile_reader_new(void);
void eventfile_reader_free(struct eventfile_reader *r);
/* A cut record waits for the rest. ERR_PARSE, "bad checksum at byte 123", where the file is
 * damaged: from then on the rest is passed over (0), as TensorBoard does. A damaged record tells
 * nothing. */
int eventfile_reader_add(struct eventfile_reader *r, struct str bytes,
                         const struct eventfile_sink *sink, struct err *err) MUST_CHECK;

/* ---- writing ------------------------------------------------------------------------------ */

/* Each appends whole records to `out`, for one write(2). */
void eventfile_begin(usec_t wall, struct buf *out); /* the first record: the file's version */
/* Kept as a float, which every reader of such files knows: 7 digits. */
void eventfile_scalar(usec_t wall, int64_t step, struct str tag, double value, struct buf *out);

/* For TensorBoard's HPARAMS tab, which wants one type of value for each hyper-parameter in all
 * trials. `domains`, one for the whole experiment, settles it: an object with an entry for each
 * hyper-parameter, which is
 *   a list of the values that it takes: a number where all are numbers, a truth value where all
 *     are, else text; an empty list: not known, and a trial's value is written as it is;
 *   an object {"min": 0, "max": 1}: any number between them. */

/* A trial's start. `params`: an object of numbers, texts and truth values; anything else, and
 * whatever its domain says is text, is written as its JSON text. `domains` may be NULL. Trials with
 * one `group` are averaged into one row. */
void eventfile_hparams_start(usec_t wall, const char *group, const json_t *params,
                             const json_t *domains, struct buf *out);
enum eventfile_status { EVENTFILE_SUCCESS = 1, EVENTFILE_FAILURE = 2, EVENTFILE_RUNNING = 3 };
/* Once, when the trial's last attempt has ended: TensorBoard heeds only a directory's first end
 * (and first start). A trial without one is shown as of unknown state. */
void eventfile_hparams_end(usec_t wall, enum eventfile_status status, struct buf *out);

#endif

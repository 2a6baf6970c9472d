/* One line of metrics.jsonl, as `flambe log` writes it. */
#ifndef FLAMBE_CLI_METRIC_LINE_H
#define FLAMBE_CLI_METRIC_LINE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

/* Appends {"tag": …, "value": …, "step": …, "time": …} and a new line, without "step" where that is
 * NULL. What has no number in JSON is written as Python's json does: NaN, Infinity, -Infinity.
 * ERR_USAGE where a word is not what it should be. */
int metric_line(const char *tag, const char *value, const char *step, usec_t wall, struct buf *out,
                struct err *err) MUST_CHECK;

#endif

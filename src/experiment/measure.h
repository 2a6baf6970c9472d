/* The files below a path, and their sizes. */
#ifndef FLAMBE_EXPERIMENT_MEASURE_H
#define FLAMBE_EXPERIMENT_MEASURE_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Calls `file` for the file or link `path` ("" then), or for each below the directory `path`, with
 * its path from there; links are not followed, and have no bytes. It returns false to end it. What
 * cannot be read is an error. */
int measure(const char *path, bool (*file)(void *ctx, const char *path, uint64_t bytes), void *ctx,
            struct err *err) MUST_CHECK;

#endif

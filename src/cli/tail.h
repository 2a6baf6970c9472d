/* A trial's output, read as it grows: in pieces, from its end where only the last lines are wanted,
 * and anew where the file begins again. */
#ifndef FLAMBE_CLI_TAIL_H
#define FLAMBE_CLI_TAIL_H

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tail {
    off_t offset;
    bool begun; /* the file has been there */
    usec_t
        since; /* wall; what was last written before then is an earlier attempt's. 0: nothing is */
};

#define TAIL_ALL ((int64_t)-1)

/* Gives what has come since the last time to `take`, which returns false to end it; at the first
 * time only the last `lines`. A missing file is an empty one. */
int tail_read(struct tail *t, const char *path, int64_t lines,
              bool (*take)(void *ctx, struct str bytes), void *ctx, struct err *err) MUST_CHECK;
/* The trial was begun again at `since` (wall), into a new file, which may not be there yet; 0: it
 * is there. */
void tail_restart(struct tail *t, usec_t since);
/* One line of a program's output as a terminal may show it: without the sequences that move the
 * cursor or colour, what was written over by a carriage return left out, the rest as text_clean
 * has it. */
struct buf;
void tail_clean_line(struct str line, struct buf *out);

#endif

/* Output of many hosts, line by line, each line behind its host's name.
 *
 * Bytes come in any pieces; only whole lines go out, in one piece, so that hosts never mix within a
 * line. A line longer than PREFIX_LINE_MAX goes out in parts, each part a line of its own. A last
 * line without a new line gets one. Bytes that are no text pass as they are. */
#ifndef FLAMBE_CLI_PREFIX_H
#define FLAMBE_CLI_PREFIX_H

#include "base/buf.h"
#include "base/str.h"

#define PREFIX_LINE_MAX ((size_t)64 << 10)

struct prefix {
    char *label; /* put before each line as it is; owned */
    void (*write)(void *ctx, struct str lines);
    void *ctx;
    struct buf rest; /* of a line that has not ended yet */
};

void prefix_add(struct prefix *p, struct str bytes);
/* Sends an unfinished last line. */
void prefix_end(struct prefix *p);
void prefix_done(struct prefix *p);

#endif

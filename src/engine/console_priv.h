/* The file of a program's output, of which at most ENGINE_CONSOLE_MAX bytes are kept: the first
 * ones as they come, and the last CONSOLE_TAIL, which wait in memory until the end is known. What
 * was left out, or could not be written, is counted, and a line in its place says so. */
#ifndef FLAMBE_ENGINE_CONSOLE_PRIV_H
#define FLAMBE_ENGINE_CONSOLE_PRIV_H

#include "engine/engine.h"

#define CONSOLE_TAIL ((size_t)1 << 20)

struct console {
    int fd;
    uint64_t written; /* bytes of output in the file */
    uint64_t gap;     /* bytes that are missing behind them */
    uint64_t dropped; /* bytes left out in all, `gap` among them */
    char *tail;       /* a ring of CONSOLE_TAIL bytes, or NULL */
    uint64_t tail_in; /* bytes that ever went into it */
    int sys;          /* the last errno of a write that failed, or 0 */
};

/* Makes or empties the file, which is a regular one. */
int console_open(struct console *c, const char *path, struct err *err) MUST_CHECK;
void console_take(struct console *c, const char *bytes, size_t n);
/* Writes what waits, and closes: `dropped` and `sys` are final. */
void console_close(struct console *c);

#endif

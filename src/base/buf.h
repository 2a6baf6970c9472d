/* A growing byte buffer with a named maximum.
 *
 * Past its maximum a buffer keeps what it holds, drops the rest and sets `overflowed`; the owner
 * checks once at the end instead of after every append. The bytes are always followed by a NUL
 * that `len` does not count. A zeroed buffer with `max` set is ready; buf_done makes it so again.
 */
#ifndef FLAMBE_BASE_BUF_H
#define FLAMBE_BASE_BUF_H

#include "base/attr.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* bytes; 0 means BUF_MAX_DEFAULT */
    bool overflowed;
};

#define BUF_MAX_DEFAULT ((size_t)64 << 20)

#define AUTO_BUF CLEANUP(buf_done)

void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_add_str(struct buf *b, struct str s);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addv(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* The bytes as a C string, "" when empty; owned by the buffer. */
const char *buf_text(const struct buf *b);
struct str buf_view(const struct buf *b);
/* Moves the bytes out (never NULL; the caller frees) and leaves the buffer empty. */
char *buf_take(struct buf *b);
/* Overwrites the bytes before freeing them; for buffers that held a secret. */
void buf_wipe(struct buf *b);

#endif

/* See buf.h. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/port.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflowed = false;
    if (b->data)
        b->data[0] = '\0';
}

/* Makes room for n more bytes and the NUL; returns how many of the n fit under the maximum. */
static size_t reserve(struct buf *b, size_t n)
{
    size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
    size_t room = b->len < max ? max - b->len : 0;
    if (n > room) {
        n = room;
        b->overflowed = true;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        while (cap < b->len + n + 1)
            cap *= 2;
        b->data = mem_grow(b->data, cap, 1);
        b->cap = cap;
    }
    return n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    n = reserve(b, n);
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_addv(b, fmt, ap);
    va_end(ap);
}

void buf_addv(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
    } else if (n >= 0) {
        AUTO_FREE char *big = mem_alloc((size_t)n + 1);
        vsnprintf(big, (size_t)n + 1, fmt, again);
        buf_add(b, big, (size_t)n);
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}

struct str buf_view(const struct buf *b)
{
    return (struct str){buf_text(b), b->len};
}

char *buf_take(struct buf *b)
{
    char *p = b->data ? b->data : mem_dup("");
    *b = (struct buf){.max = b->max};
    return p;
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        port_wipe(b->data, b->cap);
    buf_done(b);
}

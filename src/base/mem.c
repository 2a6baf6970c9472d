/* See mem.h. */
#include "base/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

NORETURN static void out_of_memory(void)
{
    static const char text[] = "flambe: out of memory\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_grow(void *p, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        out_of_memory();
    size_t bytes = count * size;
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        out_of_memory();
    return q;
}

char *mem_dup(const char *s)
{
    return s ? mem_dup_n(s, strlen(s)) : NULL;
}

char *mem_dup_n(const void *p, size_t n)
{
    char *s = mem_alloc(n + 1);
    if (n)
        memcpy(s, p, n);
    return s;
}

char *mem_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory();
    return s;
}

void mem_freep(void *pp)
{
    void **p = pp;
    free(*p);
    *p = NULL;
}

/* See secret.h. */
#include "base/secret.h"
#include "base/mem.h"
#include "base/port.h"
#include <stdlib.h>
#include <string.h>

struct secret {
    size_t n;
    char bytes[];
};

struct secret *secret_new(struct str bytes)
{
    struct secret *s = mem_alloc(sizeof *s + bytes.n + 1);
    s->n = bytes.n;
    if (bytes.n)
        memcpy(s->bytes, bytes.p, bytes.n);
    return s;
}

struct secret *secret_copy(const struct secret *s)
{
    return s ? secret_new(secret_expose(s)) : NULL;
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    port_wipe(s->bytes, s->n);
    free(s);
}

void secret_freep(struct secret **s)
{
    secret_free(*s);
    *s = NULL;
}

struct str secret_expose(const struct secret *s)
{
    return s ? (struct str){s->bytes, s->n} : STR("");
}

bool secret_is_empty(const struct secret *s)
{
    return !s || s->n == 0;
}

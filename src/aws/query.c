/* See query.h. */
#include "aws/query.h"
#include "aws/sigv4.h"
#include <stdio.h>
#include <string.h>

void query_add_str(struct buf *out, const char *name, struct str value)
{
    if (out->len)
        buf_addc(out, '&');
    buf_adds(out, name);
    buf_addc(out, '=');
    sigv4_escape(value, "", out);
}

void query_add(struct buf *out, const char *name, const char *value)
{
    if (value)
        query_add_str(out, name, str_of(value));
}

void query_add_int(struct buf *out, const char *name, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    query_add(out, name, text);
}

void query_add_list(struct buf *out, const char *name, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%zu", name, i + 1);
        query_add(out, key, values[i]);
    }
}

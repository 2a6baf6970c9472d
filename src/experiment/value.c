/* See value.h. */
#include "experiment/value.h"
#include "base/number.h"
#include <string.h>

/* Of text within a list or map. */
static void add_quoted(struct str s, struct buf *out)
{
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    buf_addc(out, quote);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\\' || c == quote)
            buf_addf(out, "\\%c", c);
        else if (c == '\n')
            buf_adds(out, "\\n");
        else if (c == '\t')
            buf_adds(out, "\\t");
        else if (c == '\r')
            buf_adds(out, "\\r");
        else if (c < 0x20 || c == 0x7f)
            buf_addf(out, "\\x%02x", c);
        else
            buf_addc(out, (char)c);
    }
    buf_addc(out, quote);
}

static void add_value(const json_t *v, bool inner, struct buf *out)
{
    size_t i;
    const char *key;
    json_t *item;
    struct str text;
    switch (json_typeof(v)) {
    case JSON_NULL:
        buf_adds(out, "None");
        return;
    case JSON_TRUE:
        buf_adds(out, "True");
        return;
    case JSON_FALSE:
        buf_adds(out, "False");
        return;
    case JSON_INTEGER:
        buf_addf(out, "%lld", (long long)json_integer_value(v));
        return;
    case JSON_REAL:
        number_write(json_real_value(v), out);
        return;
    case JSON_STRING:
        text = (struct str){json_string_value(v), json_string_length(v)};
        if (inner)
            add_quoted(text, out);
        else
            buf_add_str(out, text);
        return;
    case JSON_ARRAY:
        buf_addc(out, '[');
        json_array_foreach(v, i, item)
        {
            buf_adds(out, i ? ", " : "");
            add_value(item, true, out);
        }
        buf_addc(out, ']');
        return;
    case JSON_OBJECT:
        i = 0;
        buf_addc(out, '{');
        json_object_foreach((json_t *)v, key, item)
        {
            buf_adds(out, i++ ? ", " : "");
            add_quoted(str_of(key), out);
            buf_adds(out, ": ");
            add_value(item, true, out);
        }
        buf_addc(out, '}');
        return;
    }
}

void value_text(const json_t *value, struct buf *out)
{
    add_value(value, false, out);
}

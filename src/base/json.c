/* See json.h. */
#include "base/json.h"
#include "base/number.h"
#include <math.h>
#include <string.h>

int json_parse(struct str text, size_t max, json_t **out, struct err *err)
{
    if (text.n > max)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes is longer than the %zu allowed", text.n,
                       max);
    json_error_t why;
    json_t *value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        return err_set(err, ERR_PARSE, "malformed JSON at line %d, column %d: %s", why.line,
                       why.column, why.text);
    *out = value;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* How many bytes of the text are one letter; 0 where they are none. */
static size_t letter_length(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    size_t bad;
    return n <= s.n && (n < 2 || str_is_utf8((struct str){s.p, n}, &bad)) ? n : 0;
}

static void write_string(struct str s, struct buf *out)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    buf_addc(out, '"');
    while (s.n) {
        size_t n = letter_length(s);
        const char *form = n == 1 ? strchr(short_forms, s.p[0]) : NULL;
        if (n == 1 && s.p[0] && form && (form - short_forms) % 2 == 0)
            buf_addf(out, "\\%c", form[1]);
        else if (n == 1 && (unsigned char)s.p[0] < 0x20)
            buf_addf(out, "\\u%04X", (unsigned)s.p[0]);
        else if (n == 0)
            buf_addf(out, "\\udc%02x", (unsigned char)s.p[0]);
        else
            buf_add(out, s.p, n);
        n = n ? n : 1;
        s = (struct str){s.p + n, s.n - n};
    }
    buf_addc(out, '"');
}

/* `depth` < 0: the compact form. */
static void write_row(int depth, struct buf *out)
{
    if (depth >= 0)
        buf_addf(out, "\n%*s", 2 * depth, "");
}

static void write_value(const json_t *v, int depth, struct buf *out)
{
    int inner = depth < 0 ? depth : depth + 1;
    const char *key;
    json_t *item;
    size_t i = 0;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        buf_addc(out, '{');
        json_object_foreach((json_t *)v, key, item)
        {
            buf_adds(out, i++ ? "," : "");
            write_row(inner, out);
            write_string(str_of(key), out);
            buf_adds(out, depth < 0 ? ":" : ": ");
            write_value(item, inner, out);
        }
        if (i)
            write_row(depth, out);
        buf_addc(out, '}');
        return;
    case JSON_ARRAY:
        buf_addc(out, '[');
        json_array_foreach(v, i, item)
        {
            buf_adds(out, i ? "," : "");
            write_row(inner, out);
            write_value(item, inner, out);
        }
        if (i)
            write_row(depth, out);
        buf_addc(out, ']');
        return;
    case JSON_STRING:
        write_string((struct str){json_string_value(v), json_string_length(v)}, out);
        return;
    case JSON_INTEGER:
        buf_addf(out, "%lld", (long long)json_integer_value(v));
        return;
    case JSON_REAL:
        number_write(json_real_value(v), out);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_adds(out, json_is_true(v) ? "true" : "false");
        return;
    case JSON_NULL:
        buf_adds(out, "null");
        return;
    }
}

void json_write(const json_t *value, bool pretty, struct buf *out)
{
    if (!value)
        return;
    write_value(value, pretty ? 0 : -1, out);
    if (pretty)
        buf_addc(out, '\n');
}

json_t *json_number(double x)
{
    if (isfinite(x))
        return json_real(x);
    return json_string(isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
}

json_t *json_rounded(double x)
{
    return json_number(fabs(x) < 1e9 ? round(x * 1e6) / 1e6 : x);
}

json_t *json_lossy(const char *text)
{
    AUTO_BUF struct buf clean = {0};
    struct str rest = str_of(text);
    size_t good;
    if (!text)
        return json_null();
    while (!str_is_utf8(rest, &good)) {
        buf_add(&clean, rest.p, good);
        buf_adds(&clean, "\xef\xbf\xbd");
        rest = (struct str){rest.p + good + 1, rest.n - good - 1};
    }
    buf_add_str(&clean, rest);
    return json_stringn(buf_text(&clean), clean.len);
}

const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

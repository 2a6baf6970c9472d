/* See value.h. */
#include "experiment/value.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* The next number of as many digits: "1.99e+00" becomes "2.00e+00". False where it has one more. */
static bool count_up(char *text)
{
    char *p = strchr(text, 'e');
    while (p > text) {
        p--;
        if (*p == '.')
            continue;
        if (*p != '9') {
            ++*p;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* The shortest digits that read back as x, without the point; returns the decimal exponent of the
 * first. Below a power of two the numbers lie twice as close as above it, so that the nearest
 * decimal may read back as another number where the next one above does not. */
static int shortest(double x, char digits[32])
{
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (strtod(text, NULL) == x || (count_up(text) && strtod(text, NULL) == x))
            break;
    }
    size_t n = 0;
    char *e = strchr(text, 'e');
    for (char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return (int)strtol(e + 1, NULL, 10);
}

/* Fixed notation from 1e-4 to below 1e16, as Python has it. */
void value_float(double x, struct buf *out)
{
    if (isnan(x) || isinf(x)) {
        buf_adds(out, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    if (signbit(x))
        buf_addc(out, '-');
    char digits[32];
    int exponent = shortest(fabs(x), digits), n = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {
        buf_addc(out, digits[0]);
        if (n > 1)
            buf_addf(out, ".%s", digits + 1);
        buf_addf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        buf_addf(out, "0.%.*s%s", -exponent - 1, "0000", digits);
        return;
    }
    for (int i = 0; i <= exponent; i++)
        buf_addc(out, i < n ? digits[i] : '0');
    buf_addf(out, ".%s", n > exponent + 1 ? digits + exponent + 1 : "0");
}

json_t *value_real(double x)
{
    if (!isnan(x) && !isinf(x))
        return json_real(x);
    return json_string(isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
}

/* ---- Python's text ----------------------------------------------------------------------------
 */

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
        value_float(json_real_value(v), out);
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

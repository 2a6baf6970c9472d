/* See value.h. */
#include "experiment/value.h"
#include <ctype.h>
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

/* ---- the shell --------------------------------------------------------------------------------
 */

static void open_command(struct shell_place *p)
{
    if (p->depth < SHELL_DEPTH_MAX)
        p->outer[p->depth] = (unsigned char)p->quote;
    p->depth++;
    p->quote = SHELL_PLAIN;
}

static void close_command(struct shell_place *p)
{
    if (p->depth == 0)
        return; /* of a `case` */
    p->depth--;
    if (p->depth < SHELL_DEPTH_MAX)
        p->quote = (enum shell_quote)p->outer[p->depth];
}

/* What the byte does where no backslash stands before it. */
static void step_plain(struct shell_place *p, char before, char c)
{
    bool plain = p->quote == SHELL_PLAIN;
    if (c == '\\')
        p->escaped = true;
    else if (c == '$')
        p->variable = true;
    else if (c == '"')
        p->quote = plain ? SHELL_DOUBLE : SHELL_PLAIN;
    else if (c == '\'' && plain)
        p->quote = SHELL_SINGLE;
    else if (c == '(' && (plain || before == '$'))
        open_command(p);
    else if (c == ')' && plain)
        close_command(p);
    else if (c == '#' && plain)
        p->comment = !before || strchr(" \t\n;&|()<>", before);
}

void shell_step(struct shell_place *p, char c)
{
    char before = p->before;
    bool escaped = p->escaped;
    p->before = c;
    p->escaped = false;
    if (p->comment) {
        p->comment = c != '\n';
        return;
    }
    if (p->quote == SHELL_SINGLE) {
        p->quote = c == '\'' ? SHELL_PLAIN : SHELL_SINGLE;
        return;
    }
    if (escaped) {
        p->before = '\\'; /* whatever it is, it ends no word */
        p->variable = false;
        return;
    }
    p->variable = p->variable && (isalnum((unsigned char)c) || c == '_');
    step_plain(p, before, c);
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("_-./:=,+@%", c))
            return false;
    }
    return s.n > 0;
}

static void add_double(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("\\\"$`", text.p[i]))
            buf_addc(out, '\\');
        buf_addc(out, text.p[i]);
    }
}

static void add_single(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, text.p[i]);
    }
}

void shell_add(struct shell_place *p, struct str text, struct buf *out)
{
    bool twice = p->quote == SHELL_DOUBLE;
    if (p->comment) {
        for (size_t i = 0; i < text.n; i++)
            buf_addc(out, text.p[i] == '\n' ? ' ' : text.p[i]);
        return;
    }
    if (p->variable)
        buf_adds(out, twice ? "\"\"" : "''");
    if (p->escaped) /* a backslash is left out before a new line, and within "" before a letter kept
                     */
        buf_addc(out, twice ? '\\' : '\n');
    p->variable = p->escaped = false;
    p->before = 'a';
    if (is_plain(text)) {
        buf_add_str(out, text);
    } else if (twice) {
        add_double(text, out);
    } else if (p->quote == SHELL_SINGLE) {
        add_single(text, out);
    } else {
        buf_addc(out, '\'');
        add_single(text, out);
        buf_addc(out, '\'');
    }
}

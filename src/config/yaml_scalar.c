/* Plain scalars to values: YAML 1.2's core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution
 */
#include "config/yaml_priv.h"
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};
static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
static const char *const inf_words[] = {".inf", ".Inf", ".INF", NULL};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p)
{
    while (is_digit(*p))
        p++;
    return p;
}

static const char *skip_sign(const char *p)
{
    return *p == '-' || *p == '+' ? p + 1 : p;
}

static bool looks_decimal(const char *text)
{
    const char *p = skip_sign(text);
    return is_digit(*p) && *skip_digits(p) == '\0';
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool looks_float(const char *text)
{
    const char *p = skip_sign(text), *whole = p;
    p = skip_digits(p);
    bool some = p != whole;
    if (*p == '.') {
        const char *fraction = p + 1;
        p = skip_digits(fraction);
        some = some || p != fraction;
    }
    if (!some)
        return false;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = skip_sign(p + 1);
        p = skip_digits(exponent);
        if (p == exponent)
            return false;
    }
    return *p == '\0';
}

/* 0 where the text is no integer of this base, 1 where it is, -1 where it does not fit. */
static int read_based(const char *text, const char *prefix, int base, const char *digits,
                      int64_t *out)
{
    size_t n = strlen(prefix);
    if (strncmp(text, prefix, n) != 0 || text[n] == '\0' ||
        text[n + strspn(text + n, digits)] != '\0')
        return 0;
    errno = 0;
    long long value = strtoll(text + n, NULL, base);
    if (errno == ERANGE)
        return -1;
    *out = value;
    return 1;
}

static int read_integer(const char *text, int64_t *out)
{
    int r = read_based(text, "0o", 8, "01234567", out);
    if (r == 0)
        r = read_based(text, "0x", 16, "0123456789abcdefABCDEF", out);
    if (r != 0 || !looks_decimal(text))
        return r;
    struct str digits = str_of(*text == '+' ? text + 1 : text);
    return str_to_i64(digits, INT64_MIN, INT64_MAX, out) ? 1 : -1;
}

/* strtod(3) reads the decimal point of the user's locale; YAML's is always '.'. */
static double read_double(const char *text)
{
    static locale_t c_locale;
    if (!c_locale)
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return strtod_l(text, NULL, c_locale);
}

static void set_float(struct yaml_node *n, double value)
{
    n->kind = YAML_FLOAT;
    n->real = value;
}

const char *yaml_resolve(struct yaml_node *n)
{
    const char *text = n->text;
    n->kind = YAML_STRING;
    if (strlen(text) != n->text_len)
        return NULL;
    if (one_of(text, null_words)) {
        n->kind = YAML_NULL;
        return NULL;
    }
    bool yes = one_of(text, true_words);
    if (yes || one_of(text, false_words)) {
        n->kind = YAML_BOOL;
        n->boolean = yes;
        return NULL;
    }
    int r = read_integer(text, &n->integer);
    if (r != 0) {
        n->kind = YAML_INT;
        n->real = (double)n->integer;
        return r < 0 ? "does not fit a 64-bit whole number" : NULL;
    }
    if (one_of(text, nan_words)) {
        set_float(n, __builtin_nan(""));
    } else if (one_of(skip_sign(text), inf_words)) {
        set_float(n, *text == '-' ? -__builtin_inf() : __builtin_inf());
    } else if (looks_float(text)) {
        set_float(n, read_double(text));
        return __builtin_isinf(n->real) ? "is too large for a number" : NULL;
    }
    return NULL;
}

bool yaml_resolve_plain(struct yaml_node *n)
{
    return !yaml_resolve(n);
}

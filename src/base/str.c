/* See str.h. */
#include "base/str.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *s)
{
    return (struct str){s ? s : "", s ? strlen(s) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct str head = *rest;
    if (!at) {
        *rest = (struct str){NULL, 0};
        return head;
    }
    head.n = (size_t)(at - rest->p);
    rest->p = at + 1;
    rest->n -= head.n + 1;
    return head;
}

char *str_dup(struct str s)
{
    return mem_dup_n(s.p, s.n);
}

bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.n)
        return false;
    int64_t value = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        int digit = s.p[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

/* One element of a pattern. */
struct glob {
    char kind; /* '*', '?', or '=' for the byte itself */
    char byte;
};

/* Steps over what may stand for nothing. */
static void glob_spread(const struct glob *g, size_t n, bool *at)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] && g[i].kind != '=')
            at[i + 1] = true;
}

/* Runs the pattern as a machine with a state for each element, so that no pattern takes more than
 * text times pattern. */
bool str_match(struct str text, struct str pattern)
{
    AUTO_FREE struct glob *g = mem_array(pattern.n, sizeof *g);
    size_t n = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        bool escaped = pattern.p[i] == '\\' && i + 1 < pattern.n;
        char c = pattern.p[escaped ? ++i : i];
        g[n++] = (struct glob){!escaped && (c == '*' || c == '?') ? c : '=', c};
    }
    AUTO_FREE bool *at = mem_array(n + 1, sizeof *at);
    at[0] = true;
    glob_spread(g, n, at);
    for (size_t t = 0; t < text.n; t++) {
        at[n] = false;
        for (size_t i = n; i-- > 0;) { /* from the end, so that one byte moves a state once */
            bool moves = at[i] && (g[i].kind != '=' || g[i].byte == text.p[t]);
            if (moves)
                at[i + 1] = true;
            at[i] = at[i] && g[i].kind == '*';
        }
        glob_spread(g, n, at);
    }
    return at[n];
}

#define DISTANCE_MAX_LENGTH 64

size_t str_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_MAX_LENGTH || m > DISTANCE_MAX_LENGTH)
        return n > m ? n : m;
    size_t rows[3][DISTANCE_MAX_LENGTH + 1];
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t d = str_distance(word, candidates[i]);
        if (d <= best_distance && d < strlen(candidates[i]) && (!best || d < best_distance)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}

/* The length of the valid sequence that starts at p (at most n bytes), or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return p[0] ? 1 : 0;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool too_high = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || too_high ? 0 : len;
}

bool str_is_utf8(struct str s, size_t *bad)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_length((const unsigned char *)s.p + i, s.n - i);
        if (len == 0) {
            if (bad)
                *bad = i;
            return false;
        }
        i += len;
    }
    return true;
}

void strv_take(struct strv *v, char *s)
{
    MEM_PUSH_ROOM(v->items, v->count, v->cap);
    v->items[v->count++] = s;
}

void strv_add(struct strv *v, const char *s)
{
    strv_take(v, mem_dup(s));
}

void strv_add_str(struct strv *v, struct str s)
{
    strv_take(v, str_dup(s));
}

bool strv_has(const struct strv *v, const char *s)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->items[i], s) == 0)
            return true;
    return false;
}

void strv_copy(struct strv *to, const struct strv *from)
{
    size_t count = from->count; /* `to` may be `from` */
    for (size_t i = 0; i < count; i++)
        strv_add(to, from->items[i]);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
    if (v->count)
        qsort(v->items, v->count, sizeof *v->items, compare);
}

char *strv_join(const struct strv *v, const char *separator)
{
    struct buf b = {0};
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            buf_adds(&b, separator);
        buf_adds(&b, v->items[i]);
    }
    return buf_take(&b);
}

void strv_done(struct strv *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){0};
}

/* Parameters of the Query protocols: an x-www-form-urlencoded body as a table of names. */
#include "base/mem.h"
#include "base/strtab.h"
#include "sandbox/api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 8

struct param_pair {
    char *name, *value;
};

struct params {
    struct param_pair *pairs; /* sorted by name */
    size_t count, cap;
    struct strtab *by_name;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL where an escape is malformed or the result is no UTF-8 text. */
static char *decode(struct str s)
{
    char *out = mem_alloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+')
            c = ' ';
        if (c == '%') {
            int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                free(out);
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    size_t bad;
    if (!str_is_utf8((struct str){out, n}, &bad)) {
        free(out);
        return NULL;
    }
    return out;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct param_pair *)a)->name, ((const struct param_pair *)b)->name);
}

void params_free(struct params *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        free(p->pairs[i].name);
        free(p->pairs[i].value);
    }
    free(p->pairs);
    strtab_free(p->by_name);
    free(p);
}

/* Takes both; false where it is one too many, or said twice. */
static bool add(struct params *p, char *name, char *value)
{
    MEM_PUSH_ROOM(p->pairs, p->count, p->cap);
    p->pairs[p->count++] = (struct param_pair){name, value};
    return p->count <= PARAMS_MAX && !strtab_put(p->by_name, str_of(name), value);
}

static bool add_pair(struct params *p, struct str pair)
{
    struct str rest = pair;
    AUTO_FREE char *name = decode(str_cut(&rest, '='));
    AUTO_FREE char *value = decode(rest.p ? rest : STR(""));
    return name && value && *name && add(p, TAKE(name), TAKE(value));
}

static void sort(struct params *p)
{
    if (p->count)
        qsort(p->pairs, p->count, sizeof *p->pairs, by_name);
}

struct params *params_parse(struct str body)
{
    struct params *p = mem_alloc(sizeof *p);
    p->by_name = strtab_new();
    struct str rest = body;
    while (rest.p && rest.n) {
        struct str pair = str_cut(&rest, '&');
        if (pair.n && !add_pair(p, pair)) {
            params_free(p);
            return NULL;
        }
    }
    sort(p);
    return p;
}

static bool add_json(struct params *p, const char *name, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > JSON_DEPTH_MAX)
        return false;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member)
        {
            AUTO_FREE char *below = mem_printf("%s%s%s", name, *name ? "." : "", key);
            if (!add_json(p, below, member, depth + 1))
                return false;
        }
        return true;
    }
    if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            AUTO_FREE char *below = mem_printf("%s.member.%zu", name, i + 1);
            if (!add_json(p, below, member, depth + 1))
                return false;
        }
        return true;
    }
    if (json_is_null(value))
        return true;
    char *text = json_is_string(value)    ? mem_dup(json_string_value(value))
                 : json_is_boolean(value) ? mem_dup(json_is_true(value) ? "true" : "false")
                 : json_is_integer(value)
                     ? mem_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value))
                     : mem_printf("%.17g", json_real_value(value));
    return add(p, mem_dup(name), text);
}

struct params *params_of_json(const json_t *object)
{
    struct params *p = mem_alloc(sizeof *p);
    p->by_name = strtab_new();
    if (!add_json(p, "", object, 0)) {
        params_free(p);
        return NULL;
    }
    sort(p);
    return p;
}

const char *param(const struct params *p, const char *name)
{
    return strtab_get(p->by_name, str_of(name));
}

const char *paramf(const struct params *p, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return n > 0 && (size_t)n < sizeof name ? param(p, name) : NULL;
}

void param_list(const struct params *p, const char *name, struct strv *out)
{
    const char *between = paramf(p, "%s.member.1", name) ? ".member" : "";
    for (int i = 1;; i++) {
        const char *value = paramf(p, "%s%s.%d", name, between, i);
        if (!value)
            return;
        strv_add(out, value);
    }
}

bool param_true(const struct params *p, const char *name)
{
    const char *value = param(p, name);
    return value && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

bool param_int(const struct params *p, const char *name, int64_t min, int64_t max, int64_t fallback,
               int64_t *out)
{
    const char *value = param(p, name);
    if (value)
        return str_to_i64(str_of(value), min, max, out);
    *out = fallback;
    return true;
}

/* The first pair whose name is not below `name`. */
static size_t lower_bound(const struct params *p, const char *name)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(p->pairs[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool param_any(const struct params *p, const char *prefix)
{
    size_t i = lower_bound(p, prefix);
    return i < p->count && str_starts(str_of(p->pairs[i].name), prefix);
}

bool params_next(const struct params *p, size_t *at, const char **name, const char **value)
{
    if (*at >= p->count)
        return false;
    *name = p->pairs[*at].name;
    *value = p->pairs[*at].value;
    ++*at;
    return true;
}

static bool is_listed(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

void params_canonical(const struct params *p, const char *const *except, struct buf *out)
{
    /* The length in front keeps two different requests from ever looking alike. */
    for (size_t i = 0; i < p->count; i++) {
        if (is_listed(p->pairs[i].name, except))
            continue;
        buf_addf(out, "%zu:%s=%zu:%s\n", strlen(p->pairs[i].name), p->pairs[i].name,
                 strlen(p->pairs[i].value), p->pairs[i].value);
    }
}

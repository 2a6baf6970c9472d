/* Reads a map by the rows of a schema. Every value is read into the struct only after all checks on
 * it have passed, so that a wrong one leaves its default there. */
#include "config/schema.h"
#include "base/mem.h"
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* One value under inspection. */
struct reader {
    struct diags *diags;
    const struct schema_key *key;
    const char *name; /* the key's, or that of a map's entry */
};

static void *field(void *out, const struct schema_key *k)
{
    return (char *)out + k->offset;
}

static struct str text_of(const struct yaml_node *n)
{
    return (struct str){n->text, n->text_len};
}

/* Whether a message is worth making; counts it where it is not. */
static bool speaking(struct diags *d)
{
    if (!diags_full(d))
        return true;
    diags_drop(d);
    return false;
}

const char *schema_type_name(enum schema_type t)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "text",        [SCHEMA_INT] = "a whole number",
        [SCHEMA_BOOL] = "true or false", [SCHEMA_NUMBER] = "a number",
        [SCHEMA_STRING_LIST] = "a list", [SCHEMA_STRING_MAP] = "a map of keys",
        [SCHEMA_NODE] = "any value",
    };
    return names[t];
}

/* ---- what was written where something else was wanted ---------------------------------------- */

static bool fits_int(double d)
{
    return d >= INT_MIN && d <= INT_MAX;
}

/* What to type instead, where that can be told from the value; else NULL. */
static char *guess_scalar(const struct reader *r, const struct yaml_node *n)
{
    struct yaml_node plain = *n;
    if (n->text && n->quoted && yaml_resolve_plain(&plain) &&
        ((r->key->type == SCHEMA_INT && plain.kind == YAML_INT) ||
         (r->key->type == SCHEMA_BOOL && plain.kind == YAML_BOOL) ||
         (r->key->type == SCHEMA_NUMBER && (plain.kind == YAML_INT || plain.kind == YAML_FLOAT))))
        return mem_printf("remove the quotes: '%s: %s'", r->name, n->text);
    if (r->key->type == SCHEMA_INT && n->kind == YAML_FLOAT && fits_int(n->real))
        return mem_printf("write a whole number, such as '%s: %d'", r->name, (int)ceil(n->real));
    return NULL;
}

static char *guess_bool(const struct reader *r, const struct yaml_node *n)
{
    static const char *const yes[] = {"yes", "on", "y", "1", NULL};
    static const char *const no[] = {"no", "off", "n", "0", NULL};
    for (int i = 0; n->text && yes[i]; i++) {
        if (strcasecmp(n->text, yes[i]) == 0)
            return mem_printf("write '%s: true'", r->name);
        if (strcasecmp(n->text, no[i]) == 0)
            return mem_printf("write '%s: false'", r->name);
    }
    return NULL;
}

static char *fix_for(const struct reader *r, const struct yaml_node *n)
{
    char *guess = guess_scalar(r, n);
    if (!guess && r->key->type == SCHEMA_BOOL)
        guess = guess_bool(r, n);
    if (guess)
        return guess;
    const char *example = r->key->fallback ? r->key->fallback : r->key->example;
    switch (r->key->type) {
    case SCHEMA_BOOL:
        return mem_printf("write '%s: true' or '%s: false'", r->name, r->name);
    case SCHEMA_STRING_LIST:
        if (n->text) {
            AUTO_FREE char *shown = diag_quote(text_of(n));
            return mem_printf("write each entry on a line of its own behind '- ', here: - %.*s",
                              (int)strlen(shown) - 2, shown + 1);
        }
        return mem_dup("write each entry on a line of its own behind '- '");
    case SCHEMA_STRING_MAP:
        return mem_dup("write each entry on a line of its own, indented: 'key: value'");
    default:
        if (example)
            return mem_printf("for example '%s: %s'", r->name, example);
        return mem_dup(n->kind == YAML_NULL ? "write a value, or remove the line"
                                            : "if it is meant as text, put it in quotes");
    }
}

static void wrong_type(const struct reader *r, const struct yaml_node *n, const char *wanted)
{
    if (!speaking(r->diags))
        return;
    char *problem;
    if (n->quoted || n->kind == YAML_LIST || n->kind == YAML_MAP || n->kind == YAML_NULL)
        problem = mem_printf("'%s' must be %s, not %s", r->name, wanted, yaml_kind_name(n->kind));
    else {
        AUTO_FREE char *shown = diag_quote(text_of(n));
        problem = mem_printf("'%s' must be %s; %s is %s", r->name, wanted, shown,
                             yaml_kind_name(n->kind));
    }
    diags_add(r->diags, n->at, problem, fix_for(r, n));
}

static bool has_no_place(const struct reader *r, const struct yaml_node *n)
{
    if (!n->tag)
        return false;
    if (speaking(r->diags)) {
        AUTO_FREE char *shown = diag_quote(str_of(n->tag));
        diags_add(r->diags, n->at, mem_printf("the tag %s has no place at '%s'", shown, r->name),
                  mem_dup("remove it; text that begins with '!' goes in quotes"));
    }
    return true;
}

/* The candidate that was meant, or NULL: more of the word must be right than wrong. */
static const char *suggest(const char *word, const char *const *candidates, size_t count)
{
    const char *near = str_nearest(word, candidates, count);
    return near && str_distance(word, near) * 2 <= strlen(word) ? near : NULL;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* The first of them, in words, or NULL. */
static const char *find_control(struct str s, bool multiline)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (multiline && (c == '\n' || c == '\t'))
            continue;
        bool c1 = c == 0xc2 && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xe0) == 0x80;
        if (c == '\n' || c == '\t')
            return c == '\n' ? "a line break" : "a tab";
        if (c < 0x20 || c == 0x7f || c1)
            return "a control character";
    }
    return NULL;
}

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

/* A scalar that is text and fit for use. `where` names what it is part of: "a value of 'tags'". */
static bool check_text(const struct reader *r, const struct yaml_node *n, bool multiline)
{
    if (n->bad || has_no_place(r, n))
        return false;
    if (n->kind == YAML_INT || n->kind == YAML_FLOAT || n->kind == YAML_BOOL) {
        if (speaking(r->diags)) {
            AUTO_FREE char *shown = diag_quote(text_of(n));
            diags_add(
                r->diags, n->at,
                mem_printf("'%s' must be text; %s is %s", r->name, shown, yaml_kind_name(n->kind)),
                mem_printf("put it in quotes: \"%s\"", n->text));
        }
        return false;
    }
    if (n->kind != YAML_STRING) {
        wrong_type(r, n, "text");
        return false;
    }
    const char *control = find_control(text_of(n), multiline);
    if (!control)
        return true;
    if (speaking(r->diags))
        diags_add(
            r->diags, n->at, mem_printf("'%s' holds %s", r->name, control),
            mem_dup(memchr(n->text, '\n', n->text_len) ? "write it on one line" : "remove it"));
    return false;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t re;
    int bad = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
    assert(bad == 0);
    bool r = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return r && bad == 0;
}

static bool check_choice(const struct reader *r, const struct yaml_node *n)
{
    size_t count = 0;
    AUTO_BUF struct buf list = {0};
    for (; r->key->choices[count]; count++) {
        if (strcmp(n->text, r->key->choices[count]) == 0)
            return true;
        buf_addf(&list, "%s%s", count ? ", " : "", r->key->choices[count]);
    }
    if (!speaking(r->diags))
        return false;
    const char *near = suggest(n->text, r->key->choices, count);
    AUTO_FREE char *shown = diag_quote(text_of(n));
    diags_add(r->diags, n->at, mem_printf("'%s' cannot be %s", r->name, shown),
              near ? mem_printf("did you mean '%s'? allowed: %s", near, buf_text(&list))
                   : mem_printf("allowed: %s", buf_text(&list)));
    return false;
}

static bool check_length(const struct reader *r, const struct yaml_node *n)
{
    const struct schema_key *k = r->key;
    size_t length = characters(n->text);
    if (!(k->min < k->max) || (length >= k->min && length <= k->max))
        return true;
    if (speaking(r->diags))
        diags_add(r->diags, n->at,
                  mem_printf("'%s' has %zu characters; allowed: %g to %g", r->name, length, k->min,
                             k->max),
                  mem_dup(length > k->max ? "shorten it" : "lengthen it"));
    return false;
}

static bool check_string(const struct reader *r, const struct yaml_node *n)
{
    const struct schema_key *k = r->key;
    if (!check_text(r, n, false))
        return false;
    if (n->text_len == 0) {
        if (speaking(r->diags))
            diags_add(r->diags, n->at, mem_printf("'%s' is empty", r->name),
                      k->required ? fix_for(r, n) : mem_dup("write a value, or remove the line"));
        return false;
    }
    if (k->choices)
        return check_choice(r, n);
    if (!check_length(r, n))
        return false;
    if (!k->pattern || matches(n->text, k->pattern))
        return true;
    if (speaking(r->diags)) {
        AUTO_FREE char *shown = diag_quote(text_of(n));
        diags_add(r->diags, n->at, mem_printf("%s cannot be the '%s'", shown, r->name),
                  k->pattern_help ? mem_printf("allowed: %s", k->pattern_help) : NULL);
    }
    return false;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool check_bounds(const struct reader *r, const struct yaml_node *n)
{
    const struct schema_key *k = r->key;
    if (!(k->min < k->max) || (n->real >= k->min && n->real <= k->max))
        return true;
    if (speaking(r->diags)) {
        AUTO_FREE char *shown = diag_quote(text_of(n));
        diags_add(r->diags, n->at, mem_printf("'%s' cannot be %s", r->name, shown),
                  mem_printf("allowed: %.10g to %.10g%s%s", k->min, k->max, k->unit ? " " : "",
                             k->unit ? k->unit : ""));
    }
    return false;
}

static bool check_int(const struct reader *r, const struct yaml_node *n)
{
    if (n->kind != YAML_INT) {
        wrong_type(r, n, "a whole number");
        return false;
    }
    if (!check_bounds(r, n))
        return false;
    if (n->integer >= INT_MIN && n->integer <= INT_MAX)
        return true;
    if (speaking(r->diags))
        diags_add(r->diags, n->at, mem_printf("'%s' is too large", r->name), fix_for(r, n));
    return false;
}

static bool check_number(const struct reader *r, const struct yaml_node *n)
{
    if (n->kind != YAML_INT && n->kind != YAML_FLOAT) {
        wrong_type(r, n, "a number");
        return false;
    }
    if (isfinite(n->real))
        return check_bounds(r, n);
    if (speaking(r->diags))
        diags_add(r->diags, n->at, mem_printf("'%s' must be a finite number", r->name),
                  fix_for(r, n));
    return false;
}

/* ---- lists and maps -------------------------------------------------------------------------- */

static void read_list(const struct reader *r, const struct yaml_node *n, struct strv *out)
{
    if (n->kind != YAML_LIST) {
        wrong_type(r, n, "a list");
        return;
    }
    struct schema_key entry = {.name = r->key->name, .type = SCHEMA_STRING};
    for (size_t i = 0; i < n->count; i++) {
        AUTO_FREE char *name = mem_printf("%s[%zu]", r->key->name, i + 1);
        struct reader one = {r->diags, &entry, name};
        if (check_text(&one, n->items[i], true))
            strv_add_str(out, text_of(n->items[i]));
    }
}

/* A key keeps the text it was written as: '8080: x' and 'true: x' are entries like others. */
static bool check_entry_key(const struct reader *r, const struct yaml_node *key)
{
    if (has_no_place(r, key))
        return false;
    const char *control = find_control(text_of(key), false);
    if (key->text_len > 0 && !control)
        return true;
    if (speaking(r->diags))
        diags_add(r->diags, key->at,
                  control ? mem_printf("a key of '%s' holds %s", r->name, control)
                          : mem_printf("a key of '%s' is empty", r->name),
                  mem_dup(control ? "remove it" : "write a name, or remove the line"));
    return false;
}

static void read_map(const struct reader *r, const struct yaml_node *n, struct schema_map *out)
{
    if (n->kind != YAML_MAP) {
        wrong_type(r, n, "a map of keys");
        return;
    }
    struct schema_key entry = {.name = r->key->name, .type = SCHEMA_STRING};
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *key = n->pairs[i].key, *value = n->pairs[i].value;
        if (!check_entry_key(r, key))
            continue;
        AUTO_FREE char *shown = diag_quote(text_of(key));
        AUTO_FREE char *name =
            mem_printf("%s.%.*s", r->key->name, (int)strlen(shown) - 2, shown + 1);
        struct reader one = {r->diags, &entry, name};
        if (!check_text(&one, value, false))
            continue;
        MEM_PUSH_ROOM(out->items, out->count, out->cap);
        out->items[out->count++] =
            (struct schema_entry){str_dup(text_of(key)), str_dup(text_of(value)), key->at};
    }
}

/* ---- a value, the defaults, the whole map -----------------------------------------------------
 */

static void set_string(char **to, struct str s)
{
    free(*to);
    *to = str_dup(s);
}

static void read_value(const struct reader *r, const struct yaml_node *n, void *out)
{
    void *to = field(out, r->key);
    switch (r->key->type) {
    case SCHEMA_STRING:
        if (check_string(r, n))
            set_string(to, text_of(n));
        return;
    case SCHEMA_INT:
        if (check_int(r, n))
            *(int *)to = (int)n->integer;
        return;
    case SCHEMA_BOOL:
        if (n->kind == YAML_BOOL)
            *(bool *)to = n->boolean;
        else
            wrong_type(r, n, "true or false");
        return;
    case SCHEMA_NUMBER:
        if (check_number(r, n))
            *(double *)to = n->real;
        return;
    case SCHEMA_STRING_LIST:
        read_list(r, n, to);
        return;
    case SCHEMA_STRING_MAP:
        read_map(r, n, to);
        return;
    case SCHEMA_NODE:
        *(const struct yaml_node **)to = n;
        return;
    }
}

/* Lists, maps and nodes have no defaults but to be empty. */
static void set_default(const struct schema_key *k, void *out)
{
    if (!k->fallback)
        return;
    struct yaml_node n = {.text = (char *)(uintptr_t)k->fallback, .text_len = strlen(k->fallback)};
    yaml_resolve_plain(&n);
    void *to = field(out, k);
    switch (k->type) {
    case SCHEMA_STRING:
        set_string(to, str_of(k->fallback));
        return;
    case SCHEMA_INT:
        *(int *)to = (int)n.integer;
        return;
    case SCHEMA_BOOL:
        *(bool *)to = n.boolean;
        return;
    case SCHEMA_NUMBER:
        *(double *)to = n.real;
        return;
    case SCHEMA_STRING_LIST:
    case SCHEMA_STRING_MAP:
    case SCHEMA_NODE:
        return;
    }
}

static size_t index_of(const struct schema *s, struct str name)
{
    size_t i = 0;
    while (i < s->count && !str_is(name, s->keys[i].name))
        i++;
    return i;
}

/* The key that the unknown one was meant to be, or s->count. */
static size_t nearest_key(const struct schema *s, const char *name)
{
    const char **names = mem_array(s->count + 1, sizeof *names);
    for (size_t i = 0; i < s->count; i++)
        names[i] = s->keys[i].name;
    const char *near = suggest(name, names, s->count);
    free(names);
    return near ? index_of(s, str_of(near)) : s->count;
}

static char *all_keys(const struct schema *s)
{
    struct buf b = {0};
    buf_adds(&b, "allowed here: ");
    for (size_t i = 0; i < s->count; i++)
        buf_addf(&b, "%s%s", i ? ", " : "", s->keys[i].name);
    return buf_take(&b);
}

/* Marks the key that was meant as seen, so that it is not also reported as missing. The list of
 * what is allowed is given once for a map. */
static void unknown_key(const struct schema *s, const struct yaml_node *key, struct diags *diags,
                        bool *seen, bool *listed)
{
    if (!speaking(diags))
        return;
    AUTO_FREE char *shown = diag_quote(text_of(key));
    size_t near = nearest_key(s, key->text);
    char *fix = NULL;
    if (near < s->count) {
        seen[near] = true;
        fix = mem_printf("did you mean '%s'?", s->keys[near].name);
    } else if (!*listed) {
        *listed = true;
        fix = all_keys(s);
    }
    diags_add(diags, key->at, mem_printf("unknown key %s", shown), fix);
}

static void read_pair(const struct schema_key *k, const struct yaml_pair *pair, struct diags *diags,
                      void *out, struct span *span)
{
    struct reader r = {diags, k, k->name};
    struct yaml_node *n = pair->value;
    if (n->bad || (k->type != SCHEMA_NODE && has_no_place(&r, n)))
        return;
    bool optional = !k->required && !k->fallback, empty = n->kind == YAML_NULL && !n->tag;
    if (empty && optional)
        return;
    *span = n->at;
    if (!empty) {
        read_value(&r, n, out);
        return;
    }
    if (!speaking(diags))
        return;
    const char *text = k->fallback ? k->fallback : k->example;
    diags_add(diags, pair->key->at, mem_printf("'%s' has no value", k->name),
              k->fallback
                  ? mem_printf("write '%s: %s' (the default), or remove the line", k->name, text)
              : text ? mem_printf("for example '%s: %s'", k->name, text)
                     : NULL);
}

void schema_read(const struct schema *s, const struct yaml_node *map, struct diags *diags,
                 void *out, struct span *spans)
{
    for (size_t i = 0; i < s->count; i++) {
        set_default(&s->keys[i], out);
        if (spans)
            spans[i] = (struct span){0};
    }
    if (map->kind != YAML_MAP) {
        if (!map->bad)
            diags_add(
                diags, map->at,
                mem_printf("%s where the keys of %s must be", yaml_kind_name(map->kind), s->title),
                mem_printf("write one 'key: value' a line, such as '%s: %s'", s->keys[0].name,
                           s->keys[0].example ? s->keys[0].example : "…"));
        return;
    }
    AUTO_FREE bool *seen = mem_array(s->count + 1, sizeof *seen);
    bool listed = false;
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_pair *pair = &map->pairs[i];
        size_t at = index_of(s, text_of(pair->key));
        if (at == s->count) {
            unknown_key(s, pair->key, diags, seen, &listed);
            continue;
        }
        seen[at] = true;
        struct span span = {0};
        read_pair(&s->keys[at], pair, diags, out, &span);
        if (spans)
            spans[at] = span;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->keys[i].required && !seen[i] && speaking(diags))
            diags_add(diags, map->at, mem_printf("the key '%s' is missing", s->keys[i].name),
                      mem_printf("add the line '%s: %s'", s->keys[i].name,
                                 s->keys[i].example ? s->keys[i].example : "…"));
}

void schema_free(const struct schema *s, void *out)
{
    for (size_t i = 0; i < s->count; i++) {
        void *at = field(out, &s->keys[i]);
        if (s->keys[i].type == SCHEMA_STRING) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (s->keys[i].type == SCHEMA_STRING_LIST) {
            strv_done(at);
        } else if (s->keys[i].type == SCHEMA_STRING_MAP) {
            struct schema_map *m = at;
            for (size_t k = 0; k < m->count; k++) {
                free(m->items[k].key);
                free(m->items[k].value);
            }
            free(m->items);
            *m = (struct schema_map){0};
        }
    }
}

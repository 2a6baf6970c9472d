/* See space.h. */
#include "experiment/space.h"
#include "base/mem.h"
#include "experiment/random.h"
#include "experiment/refuse.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Lower than any byte of a key, so that comparing paths compares their keys one by one. */
#define PATH_SEPARATOR '\x01'

struct walk {
    const struct space_reader *r;
    struct buf path, label;
    int options; /* that the place is within */
};

static void read_value(struct walk *w, const char *key, const struct yaml_node *n,
                       struct choice_list *into);

static bool is_sampled(const struct yaml_node *n)
{
    return n->tag && strcmp(n->tag, "!s") == 0;
}

static bool is_grid(const struct yaml_node *n)
{
    return n->tag && strcmp(n->tag, "!g") == 0;
}

bool space_is_option(const struct yaml_node *n)
{
    return is_grid(n) || is_sampled(n);
}

/* ---- `!s` ------------------------------------------------------------------------------------ */

#define SAMPLED_FORM "write '!s [lowest, highest, how many]', such as '!s [0.001, 0.1, 5]'"

static bool is_number(const struct yaml_node *n)
{
    return !n->tag && (n->kind == YAML_INT || (n->kind == YAML_FLOAT && isfinite(n->real)));
}

static bool check_whole(const struct yaml_node *n, const char *what, int64_t min, int64_t max,
                        struct diags *diags)
{
    if (n->bad)
        return false;
    if (!n->tag && n->kind == YAML_INT && n->integer >= min && n->integer <= max)
        return true;
    AUTO_FREE char *shown =
        n->text ? diag_quote((struct str){n->text, n->text_len}) : mem_dup(yaml_kind_name(n->kind));
    refuse(diags, n->at, mem_printf("%s of '!s' cannot be %s", what, shown),
           mem_printf("allowed: %lld to %lld", (long long)min, (long long)max));
    return false;
}

static bool check_bounds(const struct yaml_node *n, struct diags *diags)
{
    const struct yaml_node *lo = n->items[0], *hi = n->items[1];
    for (int i = 0; i < 2; i++) {
        if (n->items[i]->bad)
            return false;
        if (is_number(n->items[i]))
            continue;
        refuse(diags, n->items[i]->at,
               mem_printf("a bound of '!s' must be a number, not %s",
                          n->items[i]->kind == YAML_FLOAT ? "an infinite one"
                                                          : yaml_kind_name(n->items[i]->kind)),
               mem_dup(SAMPLED_FORM));
        return false;
    }
    if (lo->real < hi->real &&
        (lo->kind != YAML_INT || hi->kind != YAML_INT || lo->integer < hi->integer))
        return true;
    refuse(diags, n->at, mem_printf("'!s' has nothing to draw from %s to %s", lo->text, hi->text),
           lo->real > hi->real ? mem_dup("write the lower bound first")
                               : mem_dup("the upper bound itself is not drawn: raise it"));
    return false;
}

static bool check_sampled(const struct yaml_node *n, struct diags *diags)
{
    if (n->kind != YAML_LIST) {
        refuse(diags, n->at, mem_printf("'!s' takes a list, not %s", yaml_kind_name(n->kind)),
               mem_dup(SAMPLED_FORM));
        return false;
    }
    if (n->count == 2) {
        refuse(diags, n->at, mem_dup("'!s' does not say how many to draw"), mem_dup(SAMPLED_FORM));
        return false;
    }
    if (n->count < 3 || n->count > 4) {
        refuse(diags, n->at,
               mem_printf("'!s' with %zu entr%s; it takes 3 or 4", n->count,
                          n->count == 1 ? "y" : "ies"),
               mem_dup(SAMPLED_FORM ", and a fourth for the decimals"));
        return false;
    }
    bool bounds = check_bounds(n, diags);
    bool many = check_whole(n->items[2], "the number of draws", 1, SPACE_DRAWN_MAX, diags);
    bool decimals = n->count < 4 || check_whole(n->items[3], "the number of decimals", 0,
                                                SPACE_DECIMALS_MAX, diags);
    return bounds && many && decimals;
}

static double rounded(double x, int64_t decimals)
{
    double scale = pow(10, (double)decimals), y = rint(x * scale) / scale;
    return isfinite(y) ? y : x;
}

static void draw(struct choice *c, uint64_t seed)
{
    const struct yaml_node *n = c->node, *lo = n->items[0], *hi = n->items[1];
    struct random random;
    random_init(&random, seed, str_of(c->path));
    int64_t decimals = n->count > 3 ? n->items[3]->integer : SPACE_DECIMALS_DEFAULT;
    c->drawn = true;
    c->whole = lo->kind == YAML_INT && hi->kind == YAML_INT;
    c->count = (size_t)n->items[2]->integer;
    c->numbers = mem_array(c->count, sizeof *c->numbers);
    for (size_t i = 0; i < c->count; i++) {
        if (c->whole) {
            c->numbers[i].integer = random_int(&random, lo->integer, hi->integer);
            continue;
        }
        double u = random_unit(&random);
        c->numbers[i].real = rounded(lo->real * (1 - u) + hi->real * u, decimals);
    }
}

/* ---- `!g` ------------------------------------------------------------------------------------ */

static bool check_grid(const struct yaml_node *n, struct diags *diags)
{
    if (n->kind != YAML_LIST) {
        refuse(diags, n->at, mem_printf("'!g' takes a list, not %s", yaml_kind_name(n->kind)),
               mem_dup("write the values in brackets: '!g [1, 2, 3]'"));
        return false;
    }
    if (n->count == 0)
        refuse(diags, n->at, mem_dup("'!g' without values: there would be nothing to run"),
               mem_dup("write the values in brackets: '!g [1, 2, 3]'"));
    return n->count > 0;
}

static void read_elements(struct walk *w, const char *key, struct choice *c)
{
    struct choice_list *inner = mem_array(c->count, sizeof *inner);
    bool any = false;
    w->options++;
    for (size_t i = 0; i < c->count; i++) {
        read_value(w, key, c->node->items[i], &inner[i]);
        any = any || inner[i].count > 0;
    }
    w->options--;
    if (any)
        c->inner = inner;
    else
        free(inner);
}

static void read_option(struct walk *w, const char *key, const struct yaml_node *n,
                        struct choice_list *into)
{
    struct diags *diags = w->r->diags;
    bool sampled = is_sampled(n);
    if (sampled ? !check_sampled(n, diags) : !check_grid(n, diags))
        return;
    if (++*w->r->options > SPACE_OPTIONS_MAX) {
        if (*w->r->options == SPACE_OPTIONS_MAX + 1)
            refuse(diags, n->at, mem_printf("more than %d options", SPACE_OPTIONS_MAX),
                   mem_dup("split the experiment"));
        return;
    }
    struct choice *c = mem_alloc(sizeof *c);
    c->path = mem_dup(buf_text(&w->path));
    c->label = mem_dup(buf_text(&w->label));
    c->key = mem_dup(key);
    c->stage = w->r->stage;
    c->node = n;
    c->count = n->count;
    MEM_PUSH_ROOM(into->items, into->count, into->cap);
    into->items[into->count++] = c;
    if (sampled)
        draw(c, w->r->seed);
    else
        read_elements(w, key, c);
}

/* ---- links ----------------------------------------------------------------------------------- */

static void read_link(struct walk *w, const struct yaml_node *n)
{
    struct diags *diags = w->r->diags;
    if (!n->text) {
        refuse(diags, n->at, mem_printf("a link is a path, not %s", yaml_kind_name(n->kind)),
               mem_dup("put it in quotes: '!@ \"stage[kwargs][key]\"'"));
        return;
    }
    struct link_path path;
    struct str text = {n->text, n->text_len};
    const char *wrong = link_parse(text, &path);
    if (wrong) {
        AUTO_FREE char *shown = diag_quote(text);
        refuse(diags, n->at, mem_printf("the link %s is malformed: %s", shown, wrong),
               mem_dup("a link is '!@ stage[kwargs][key]' (a parameter), '!@ stage.dir' (what a "
                       "stage leaves behind) or '!@ resource'"));
        return;
    }
    struct space *s = w->r->out;
    MEM_PUSH_ROOM(s->links, s->link_count, s->link_cap);
    s->links[s->link_count++] = (struct link_use){.node = n,
                                                  .label = mem_dup(buf_text(&w->label)),
                                                  .in_option = w->options > 0,
                                                  .path = path};
}

/* No program can be given a NUL. */
static void check_text(const struct yaml_node *n, struct diags *diags)
{
    if (n->text && memchr(n->text, '\0', n->text_len))
        refuse(diags, n->at, mem_dup("a NUL cannot be passed to a program"), mem_dup("remove it"));
}

/* ---- the way through the file ---------------------------------------------------------------- */

static void cut(struct buf *b, size_t length)
{
    b->len = length;
    if (b->data)
        b->data[length] = '\0';
}

/* One step down: `name` joins the path; `key` is what the options there are called. */
static void descend(struct walk *w, struct str name, const char *key, const struct yaml_node *n,
                    struct choice_list *into)
{
    size_t path = w->path.len, label = w->label.len;
    buf_addc(&w->path, PATH_SEPARATOR);
    buf_add_str(&w->path, name);
    buf_addf(&w->label, "[%.*s]", STR_FMT(name));
    read_value(w, key, n, into);
    cut(&w->path, path);
    cut(&w->label, label);
}

static void read_list(struct walk *w, const char *key, const struct yaml_node *n,
                      struct choice_list *into)
{
    for (size_t i = 0; i < n->count; i++) {
        AUTO_FREE char *entry = mem_printf("%s_%zu", key, i);
        size_t path = w->path.len, label = w->label.len;
        /* YAML_NODES_MAX has seven digits. */
        buf_addf(&w->path, "%c%07zu", PATH_SEPARATOR, i);
        buf_addf(&w->label, "[%zu]", i);
        read_value(w, entry, n->items[i], into);
        cut(&w->path, path);
        cut(&w->label, label);
    }
}

static void read_value(struct walk *w, const char *key, const struct yaml_node *n,
                       struct choice_list *into)
{
    if (n->bad)
        return;
    if (space_is_option(n)) {
        read_option(w, key, n, into);
        return;
    }
    if (link_is_tag(n->tag)) {
        read_link(w, n);
        return;
    }
    if (n->tag) {
        refuse_value(n, w->r->diags);
        return;
    }
    check_text(n, w->r->diags);
    if (n->kind == YAML_LIST)
        read_list(w, key, n, into);
    for (size_t i = 0; n->kind == YAML_MAP && i < n->count; i++) {
        const struct yaml_node *k = n->pairs[i].key;
        struct str name = {k->text, k->text_len};
        AUTO_FREE char *text = str_dup(name);
        check_text(k, w->r->diags);
        descend(w, name, text, n->pairs[i].value, into);
    }
}

void space_read(const struct space_reader *r, const char *key, const struct yaml_node *value)
{
    struct walk w = {.r = r};
    buf_adds(&w.path, r->stage);
    buf_adds(&w.label, r->stage);
    descend(&w, str_of(key), key, value, &r->out->choices);
    buf_done(&w.path);
    buf_done(&w.label);
}

static void list_done(struct choice_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct choice *c = l->items[i];
        for (size_t k = 0; c->inner && k < c->count; k++)
            list_done(&c->inner[k]);
        free(c->inner);
        free(c->numbers);
        free(c->path);
        free(c->label);
        free(c->key);
        free(c);
    }
    free(l->items);
}

void space_done(struct space *s)
{
    list_done(&s->choices);
    for (size_t i = 0; i < s->link_count; i++) {
        link_path_done(&s->links[i].path);
        free(s->links[i].label);
    }
    free(s->links);
    *s = (struct space){0};
}

/* ---- values ---------------------------------------------------------------------------------- */

struct choice_value choice_value(const struct choice *c, size_t element)
{
    if (!c->drawn) {
        const struct yaml_node *n = c->node->items[element];
        return (struct choice_value){n->kind, n->integer, n->real, n};
    }
    union drawn_number x = c->numbers[element];
    if (c->whole)
        return (struct choice_value){YAML_INT, x.integer, (double)x.integer, NULL};
    return (struct choice_value){YAML_FLOAT, 0, x.real, NULL};
}

void choice_value_write(const struct choice_value *v, size_t element, struct buf *out)
{
    switch (v->kind) {
    case YAML_NULL:
        buf_adds(out, "None");
        return;
    case YAML_BOOL:
        buf_adds(out, v->node->boolean ? "True" : "False");
        return;
    case YAML_INT:
        buf_addf(out, "%lld", (long long)v->integer);
        return;
    case YAML_FLOAT:
        buf_addf(out, "%.5g", v->real);
        return;
    case YAML_STRING:
        buf_add(out, v->node->text, v->node->text_len);
        return;
    case YAML_LIST:
    case YAML_MAP:
        buf_addf(out, "alt%zu", element + 1);
        return;
    }
}

void choice_value_text(const struct choice *c, size_t element, struct buf *out)
{
    struct choice_value v = choice_value(c, element);
    choice_value_write(&v, element, out);
}

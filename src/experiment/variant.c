/* See variant.h. */
#include "experiment/variant.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* What is still to be resolved, in the file's order. */
struct pending {
    const struct choice *choice;
    const struct pending *next;
};

struct maker {
    struct variants *v;
    /* the way to here */
    const struct choice **digits;
    size_t digit_count, digit_cap;
    struct pick *fixed;
    size_t fixed_count, fixed_cap;
    struct err *err;
};

static int by_path(const void *a, const void *b)
{
    const struct choice *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static int too_many(struct maker *m)
{
    return err_set(m->err, ERR_LIMIT, "more than %zu variants", VARIANTS_MAX);
}

/* The options that are left are plain: one division. */
static int add_division(struct maker *m)
{
    struct variants *v = m->v;
    size_t count = 1;
    for (size_t i = 0; i < m->digit_count; i++)
        if (__builtin_mul_overflow(count, m->digits[i]->count, &count) || count > VARIANTS_MAX)
            return too_many(m);
    if (v->total + count > VARIANTS_MAX)
        return too_many(m);
    if (v->fixed_count + v->digit_count + v->count + m->fixed_count + m->digit_count >
        VARIANTS_CELLS_MAX)
        return err_set(m->err, ERR_LIMIT, "too many combinations of options within options");
    MEM_PUSH_ROOM(v->divisions, v->count, v->cap);
    v->divisions[v->count++] = (struct division){v->total,       count,          v->fixed_count,
                                                 m->fixed_count, v->digit_count, m->digit_count};
    v->total += count;
    for (size_t i = 0; i < m->fixed_count; i++) {
        MEM_PUSH_ROOM(v->fixed, v->fixed_count, v->fixed_cap);
        v->fixed[v->fixed_count++] = m->fixed[i];
    }
    size_t first = v->digit_count;
    for (size_t i = 0; i < m->digit_count; i++) {
        MEM_PUSH_ROOM(v->digits, v->digit_count, v->digit_cap);
        v->digits[v->digit_count++] = m->digits[i];
    }
    if (m->digit_count > 1)
        qsort(v->digits + first, m->digit_count, sizeof *v->digits, by_path);
    size_t picks = m->fixed_count + m->digit_count;
    v->picks_max = picks > v->picks_max ? picks : v->picks_max;
    return 0;
}

static int resolve(struct maker *m, const struct pending *p);

static int resolve_element(struct maker *m, const struct choice *c, size_t element,
                           const struct pending *next)
{
    const struct choice_list *inner = &c->inner[element];
    struct pending *chain = mem_array(inner->count + 1, sizeof *chain);
    for (size_t i = 0; i < inner->count; i++)
        chain[i] = (struct pending){inner->items[i], i + 1 < inner->count ? &chain[i + 1] : next};
    MEM_PUSH_ROOM(m->fixed, m->fixed_count, m->fixed_cap);
    m->fixed[m->fixed_count++] = (struct pick){c, element};
    int rc = resolve(m, inner->count ? chain : next);
    m->fixed_count--;
    free(chain);
    return rc;
}

/* Depth is bounded by SPACE_OPTIONS_MAX. */
static int resolve(struct maker *m, const struct pending *p)
{
    size_t digits = m->digit_count;
    for (; p && !p->choice->inner; p = p->next) {
        MEM_PUSH_ROOM(m->digits, m->digit_count, m->digit_cap);
        m->digits[m->digit_count++] = p->choice;
    }
    int rc = 0;
    if (!p)
        rc = add_division(m);
    for (size_t i = 0; p && rc == 0 && i < p->choice->count; i++)
        rc = resolve_element(m, p->choice, i, p->next);
    m->digit_count = digits;
    return rc;
}

/* ---- what names call an option --------------------------------------------------------------- */

static void gather(const struct choice_list *l, struct choice_list *all)
{
    for (size_t i = 0; i < l->count; i++) {
        struct choice *c = l->items[i];
        MEM_PUSH_ROOM(all->items, all->count, all->cap);
        all->items[all->count++] = c;
        for (size_t k = 0; c->inner && k < c->count; k++)
            gather(&c->inner[k], all);
    }
}

static bool same_path(const struct choice *a, const struct choice *b)
{
    return strcmp(a->path, b->path) == 0;
}

/* "lr"; where that is taken "train.lr"; where that is too, "train[kwargs][lr]". */
static void make_labels(struct variants *v, const struct choice_list *all)
{
    struct strtab *keys = strtab_new(), *longer = strtab_new();
    static struct choice shared; /* stands for "several" */
    v->labels = strtab_new();
    for (size_t i = 0; i < all->count; i++) {
        struct choice *c = all->items[i], *had;
        AUTO_FREE char *with_stage = mem_printf("%s.%s", c->stage, c->key);
        had = strtab_put(keys, str_of(c->key), c);
        if (had && (had == &shared || !same_path(had, c)))
            strtab_put(keys, str_of(c->key), &shared);
        had = strtab_put(longer, str_of(with_stage), c);
        if (had && (had == &shared || !same_path(had, c)))
            strtab_put(longer, str_of(with_stage), &shared);
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct choice *c = all->items[i];
        char *label = mem_dup(c->key);
        if (strtab_get(keys, str_of(label)) == &shared) {
            free(label);
            label = mem_printf("%s.%s", c->stage, c->key);
            if (strtab_get(longer, str_of(label)) == &shared) {
                free(label);
                label = mem_dup(c->label);
            }
        }
        free(strtab_put(v->labels, str_of(c->path), label));
    }
    strtab_free(keys);
    strtab_free(longer);
}

struct strtab *variant_labels(const struct space *const *spaces, size_t count)
{
    struct variants v = {0};
    struct choice_list all = {0};
    for (size_t i = 0; i < count; i++)
        gather(&spaces[i]->choices, &all);
    make_labels(&v, &all);
    free(all.items);
    return v.labels;
}

void variant_labels_free(struct strtab *labels)
{
    size_t at = 0;
    struct str key;
    void *label;
    while (labels && strtab_next(labels, &at, &key, &label))
        free(label);
    strtab_free(labels);
}

int variants_make(const struct space *const *spaces, size_t count, struct variants *out,
                  struct err *err)
{
    struct variants v = {0};
    struct maker m = {.v = &v, .err = err};
    struct choice_list all = {0};
    size_t top = 0;
    for (size_t i = 0; i < count; i++) {
        top += spaces[i]->choices.count;
        gather(&spaces[i]->choices, &all);
    }
    struct pending *chain = mem_array(top + 1, sizeof *chain);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < spaces[i]->choices.count; k++, n++)
            chain[n] =
                (struct pending){spaces[i]->choices.items[k], n + 1 < top ? &chain[n + 1] : NULL};
    int rc = resolve(&m, top ? chain : NULL);
    if (rc == 0)
        make_labels(&v, &all);
    free(chain);
    free(all.items);
    free(m.digits);
    free(m.fixed);
    if (rc == 0)
        *out = v;
    else
        variants_done(&v);
    return rc;
}

void variants_done(struct variants *v)
{
    variant_labels_free(v->labels);
    free(v->divisions);
    free(v->fixed);
    free(v->digits);
    *v = (struct variants){0};
}

/* ---- one variant ----------------------------------------------------------------------------- */

static const struct division *division_of(const struct variants *v, size_t index)
{
    size_t lo = 0, hi = v->count;
    while (hi - lo > 1) {
        size_t middle = lo + (hi - lo) / 2;
        if (v->divisions[middle].first <= index)
            lo = middle;
        else
            hi = middle;
    }
    return &v->divisions[lo];
}

/* An outer option comes before one that it led to at the same place. */
static int pick_by_path(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;
    int order = strcmp(x->choice->path, y->choice->path);
    if (order)
        return order;
    return (x->choice->node->start > y->choice->node->start) -
           (x->choice->node->start < y->choice->node->start);
}

size_t variant_picks(const struct variants *v, size_t index, struct pick *out)
{
    const struct division *d = division_of(v, index);
    size_t n = 0, rest = index - d->first;
    for (size_t i = 0; i < d->digit_count; i++) {
        const struct choice *c = v->digits[d->digits + i];
        out[n++] = (struct pick){c, rest % c->count};
        rest /= c->count;
    }
    if (d->fixed_count == 0)
        return n; /* the digits are sorted already */
    for (size_t i = 0; i < d->fixed_count; i++)
        out[n++] = v->fixed[d->fixed + i];
    qsort(out, n, sizeof *out, pick_by_path);
    return n;
}

static void add_escaped(struct str s, bool key, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xe0) == 0x80;
        if (c < 0x20 || c == 0x7f || c == ',' || c == '/' || c == '%' || (key && c == '=')) {
            buf_addf(out, "%%%02X", c);
        } else if (c1) {
            buf_addf(out, "%%C2%%%02X", (unsigned char)s.p[++i]);
        } else {
            buf_addc(out, (char)c);
        }
    }
}

/* Cuts at a character's beginning, and not within an escape. */
static void cut_name(struct buf *name)
{
    size_t at = 0;
    for (size_t characters = 0; at < name->len && characters < VARIANT_NAME_MAX; characters++) {
        size_t next = at + 1;
        while (next < name->len && (name->data[next] & 0xc0) == 0x80)
            next++;
        if (next > VARIANT_NAME_BYTES_MAX)
            break;
        at = next;
    }
    if (at == name->len)
        return;
    for (size_t back = 1; back <= 2 && back <= at; back++)
        if (name->data[at - back] == '%') {
            at -= back;
            break;
        }
    name->len = at;
    name->data[at] = '\0';
}

void variant_name_chosen(const struct strtab *labels, const struct chosen *items, size_t count,
                         size_t number, struct buf *out)
{
    AUTO_BUF struct buf name = {0}, value = {0};
    for (size_t i = 0; i < count && name.len <= VARIANT_NAME_BYTES_MAX; i++) {
        const struct chosen *c = &items[i];
        if (c->value.node && space_is_option(c->value.node))
            continue; /* the option within has the same place, and says what it became */
        if (name.len)
            buf_addc(&name, ',');
        add_escaped(str_of(strtab_get(labels, str_of(c->choice->path))), true, &name);
        buf_addc(&name, '=');
        buf_clear(&value);
        choice_value_write(&c->value, c->element, &value);
        add_escaped(buf_view(&value), false, &name);
    }
    if (name.len == 0) {
        buf_adds(out, "0");
        return;
    }
    cut_name(&name);
    buf_add_str(out, buf_view(&name));
    buf_addf(out, "_%zu", number);
}

void variant_name(const struct variants *v, size_t index, struct buf *out)
{
    struct pick *picks = mem_array(v->picks_max + 1, sizeof *picks);
    struct chosen *chosen = mem_array(v->picks_max + 1, sizeof *chosen);
    size_t n = variant_picks(v, index, picks);
    for (size_t i = 0; i < n; i++)
        chosen[i] = (struct chosen){
            picks[i].choice, choice_value(picks[i].choice, picks[i].element), picks[i].element};
    variant_name_chosen(v->labels, chosen, n, index, out);
    free(chosen);
    free(picks);
}

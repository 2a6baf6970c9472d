/* See dimensions.h. */
#include "experiment/dimensions.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct maker {
    struct dimensions *d;
    const struct strv *log;
    struct buf way; /* the elements that lead to an inner option: "1.0" */
};

static void push(struct dimensions *d, struct dimension dimension, const struct choice *c)
{
    size_t count = d->count;
    MEM_PUSH_ROOM(d->items, d->count, d->cap);
    MEM_PUSH_ROOM(d->choices, count, d->choice_cap);
    d->items[d->count] = dimension;
    d->choices[d->count++] = c;
}

/* An option within another's element has that one's label where it stands at the same place, and
 * its sister's where it stands in another element: the way tells them apart. */
static char *make_name(const struct choice *c, const struct buf *way)
{
    return way->len ? mem_printf("%s#%.*s", c->label, STR_FMT(buf_view(way))) : mem_dup(c->label);
}

static void add_range(struct dimension *out, const struct choice *c, const struct strv *log)
{
    const struct yaml_node *n = c->node;
    out->kind = c->whole ? DIMENSION_INT : DIMENSION_FLOAT;
    out->lo = n->items[0]->real;
    out->hi = n->items[1]->real;
    out->whole_lo = n->items[0]->integer;
    out->whole_hi = n->items[1]->integer;
    out->decimals = n->count > 3 ? (int)n->items[3]->integer : SPACE_DECIMALS_DEFAULT;
    out->log = log && (strv_has(log, c->key) || strv_has(log, c->label));
}

static void add_choices(struct maker *m, const struct choice_list *l, size_t parent,
                        size_t parent_element)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct choice *c = l->items[i];
        struct dimension new = {.name = make_name(c, &m->way),
                                .kind = DIMENSION_CATEGORY,
                                .count = c->count,
                                .parent = parent,
                                .parent_element = parent_element};
        if (c->drawn)
            add_range(&new, c, m->log);
        size_t at = m->d->count, way = m->way.len;
        push(m->d, new, c);
        for (size_t k = 0; c->inner && k < c->count; k++) {
            buf_addf(&m->way, "%s%zu", way ? "." : "", k);
            add_choices(m, &c->inner[k], at, k);
            m->way.len = way;
        }
    }
}

void dimensions_make(const struct space *space, const struct strv *log, size_t earlier,
                     struct dimensions *out)
{
    *out = (struct dimensions){0};
    if (earlier)
        push(out,
             (struct dimension){.name = mem_dup(DIMENSION_EARLIER),
                                .kind = DIMENSION_CATEGORY,
                                .count = earlier,
                                .parent = SIZE_MAX},
             NULL);
    struct maker m = {.d = out, .log = log};
    add_choices(&m, &space->choices, SIZE_MAX, 0);
    buf_done(&m.way);
}

void dimensions_done(struct dimensions *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->items[i].name);
    free(d->items);
    free(d->choices);
    *d = (struct dimensions){0};
}

/* ---- values ---------------------------------------------------------------------------------- */

bool dimension_active(const struct dimension *dimensions, size_t i,
                      const struct dimension_value *values)
{
    size_t parent = dimensions[i].parent;
    return parent == SIZE_MAX || (!values[parent].unused &&
                                  values[parent].integer == (int64_t)dimensions[i].parent_element);
}

double dimension_round(const struct dimension *d, double value)
{
    double scale = pow(10, d->decimals), rounded = rint(value * scale) / scale;
    if (!isfinite(rounded))
        rounded = value;
    return fmin(fmax(rounded, d->lo), d->hi);
}

/* An outer option comes before one that it led to at the same place. */
static int by_path(const void *a, const void *b)
{
    const struct dimension_pick *x = a, *y = b;
    int order = strcmp(x->choice->path, y->choice->path);
    if (order)
        return order;
    return (x->choice->node->start > y->choice->node->start) -
           (x->choice->node->start < y->choice->node->start);
}

size_t dimensions_picks(const struct dimensions *d, const struct dimension_value *values,
                        struct dimension_pick *out)
{
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++) {
        const struct choice *c = d->choices[i];
        const struct dimension_value *v = &values[i];
        if (!c || v->unused)
            continue;
        struct dimension_pick *pick = &out[n++];
        pick->choice = c;
        if (!c->drawn)
            pick->value = choice_value(c, (size_t)v->integer);
        else if (c->whole)
            pick->value = (struct choice_value){YAML_INT, v->integer, (double)v->integer, NULL};
        else
            pick->value = (struct choice_value){YAML_FLOAT, 0, v->real, NULL};
    }
    if (n > 1)
        qsort(out, n, sizeof *out, by_path);
    return n;
}

size_t dimensions_earlier(const struct dimensions *d, const struct dimension_value *values)
{
    return d->count && !d->choices[0] ? (size_t)values[0].integer : SIZE_MAX;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *dimensions_to_json(const struct dimension *dimensions, size_t count,
                           const struct dimension_value *values)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        if (values[i].unused)
            continue;
        json_t *value = dimensions[i].kind == DIMENSION_FLOAT ? json_real(values[i].real)
                                                              : json_integer(values[i].integer);
        json_object_set_new(object, dimensions[i].name, value);
    }
    return object;
}

static bool read_value(const struct dimension *d, const json_t *v, struct dimension_value *out)
{
    if (d->kind == DIMENSION_FLOAT) {
        out->real = json_number_value(v);
        return json_is_number(v) && out->real >= d->lo && out->real <= d->hi;
    }
    out->integer = json_integer_value(v);
    if (!json_is_integer(v))
        return false;
    if (d->kind == DIMENSION_INT)
        return out->integer >= d->whole_lo && out->integer < d->whole_hi;
    return out->integer >= 0 && (uint64_t)out->integer < d->count;
}

int dimensions_from_json(const struct dimension *dimensions, size_t count, const json_t *object,
                         struct dimension_value *values, struct err *err)
{
    size_t used = 0;
    if (!json_is_object(object))
        return err_set(err, ERR_PARSE, "a trial's values are no JSON object");
    for (size_t i = 0; i < count; i++) {
        values[i] = (struct dimension_value){.unused = true};
        if (!dimension_active(dimensions, i, values))
            continue;
        const json_t *v = json_object_get(object, dimensions[i].name);
        if (!v)
            return err_set(err, ERR_PARSE, "no value for '%s'", dimensions[i].name);
        values[i].unused = false;
        if (!read_value(&dimensions[i], v, &values[i]))
            return err_set(err, ERR_PARSE, "the value for '%s' is none of its values",
                           dimensions[i].name);
        used++;
    }
    if (json_object_size(object) != used)
        return err_set(err, ERR_PARSE, "values for options that the trial does not have");
    return 0;
}

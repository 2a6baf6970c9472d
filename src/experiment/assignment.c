/* See assignment.h. */
#include "experiment/assignment.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define PATH_SEPARATOR '\x01' /* as space.c joins them */

void assignment_add(struct assignment *a, struct chosen c)
{
    MEM_PUSH_ROOM(a->items, a->count, a->cap);
    a->items[a->count++] = c;
}

static int by_place(const void *a, const void *b)
{
    const struct chosen *x = a, *y = b;
    int order = strcmp(x->choice->path, y->choice->path);
    if (order)
        return order;
    return (x->choice->node->start > y->choice->node->start) -
           (x->choice->node->start < y->choice->node->start);
}

void assignment_sort(struct assignment *a)
{
    if (a->count > 1)
        qsort(a->items, a->count, sizeof *a->items, by_place);
}

void assignment_done(struct assignment *a)
{
    free(a->items);
    *a = (struct assignment){0};
}

const struct chosen *assignment_find(const struct assignment *a, const char *path,
                                     const struct yaml_node *node)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].choice->node == node && strcmp(a->items[i].choice->path, path) == 0)
            return &a->items[i];
    return NULL;
}

static const struct chosen *find_choice(const struct assignment *a, const struct choice *c)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].choice == c)
            return &a->items[i];
    return NULL;
}

static bool in_division(const struct assignment *a, const struct variants *v,
                        const struct division *d, size_t *index)
{
    for (size_t i = 0; i < d->fixed_count; i++) {
        const struct pick *p = &v->fixed[d->fixed + i];
        const struct chosen *c = find_choice(a, p->choice);
        if (!c || c->element != p->element)
            return false;
    }
    size_t at = 0, weight = 1;
    for (size_t i = 0; i < d->digit_count; i++) {
        const struct choice *digit = v->digits[d->digits + i];
        const struct chosen *c = find_choice(a, digit);
        if (!c)
            return false;
        at += c->element * weight;
        weight *= digit->count;
    }
    *index = d->first + at;
    return true;
}

bool assignment_variant(const struct assignment *a, const struct variants *v, size_t *index)
{
    for (size_t i = 0; i < v->count; i++)
        if (in_division(a, v, &v->divisions[i], index))
            return true;
    return false;
}

bool assignment_agrees(const struct assignment *a, const struct assignment *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct chosen *other = find_choice(b, a->items[i].choice);
        if (other && other->element != a->items[i].element)
            return false;
    }
    return true;
}

/* ---- values -----------------------------------------------------------------------------------
 */

json_t *trial_choice_json(const struct choice_value *v)
{
    switch (v->kind) {
    case YAML_NULL:
        return json_null();
    case YAML_BOOL:
        return json_boolean(v->node->boolean);
    case YAML_INT:
        return json_integer(v->integer);
    case YAML_FLOAT:
        return json_number(v->real);
    case YAML_STRING:
        return json_stringn(v->node->text, v->node->text_len);
    case YAML_LIST:
    case YAML_MAP:
        break;
    }
    return json_null();
}

struct walk {
    const struct trial_values *t;
    size_t stage; /* in which the place is */
    struct buf path;
};

static json_t *read_node(struct walk *w, const struct yaml_node *n);

static void enter(struct walk *w, struct str name, size_t *mark)
{
    *mark = w->path.len;
    buf_addc(&w->path, PATH_SEPARATOR);
    buf_add_str(&w->path, name);
}

static void enter_item(struct walk *w, size_t index, size_t *mark)
{
    *mark = w->path.len;
    buf_addf(&w->path, "%c%07zu", PATH_SEPARATOR, index);
}

static void leave(struct walk *w, size_t mark)
{
    w->path.len = mark;
    w->path.data[mark] = '\0';
}

static json_t *read_list(struct walk *w, const struct yaml_node *n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->count; i++) {
        size_t mark;
        enter_item(w, i, &mark);
        json_array_append_new(list, read_node(w, n->items[i]));
        leave(w, mark);
    }
    return list;
}

static json_t *read_map(struct walk *w, const struct yaml_node *n)
{
    json_t *map = json_object();
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *key = n->pairs[i].key;
        size_t mark;
        enter(w, (struct str){key->text, key->text_len}, &mark);
        json_object_set_new_nocheck(map, key->text, read_node(w, n->pairs[i].value));
        leave(w, mark);
    }
    return map;
}

static json_t *read_option(struct walk *w, const struct yaml_node *n)
{
    const struct chosen *c = assignment_find(w->t->options, buf_text(&w->path), n);
    if (!c)
        return json_null(); /* within a closure every option is chosen */
    if (c->value.node)
        return read_node(w, c->value.node);
    return trial_choice_json(&c->value);
}

/* ---- links ------------------------------------------------------------------------------------
 */

static const struct link_use *find_link(const struct stage *s, const struct yaml_node *n)
{
    for (size_t i = 0; i < s->space.link_count; i++)
        if (s->space.links[i].node == n)
            return &s->space.links[i];
    return NULL;
}

static const struct yaml_node *step(struct walk *w, const struct yaml_node *n, const char *key)
{
    size_t mark;
    int64_t index;
    if (n->kind == YAML_MAP) {
        const struct yaml_node *next = yaml_get(n, key);
        if (next)
            enter(w, str_of(key), &mark);
        return next;
    }
    if (n->kind != YAML_LIST || !str_to_i64(str_of(key), 0, (int64_t)n->count - 1, &index))
        return NULL;
    enter_item(w, (size_t)index, &mark);
    return n->items[index];
}

/* As reference.c walked: a key that the stage has not is looked for among its parameters. */
static json_t *read_parameter(struct walk *w, const struct link_use *l)
{
    const struct stage *s = &w->t->plan->experiment->stages[l->stage];
    struct walk there = {.t = w->t, .stage = l->stage};
    buf_adds(&there.path, s->name);
    const struct yaml_node *n = s->node;
    const struct strv *keys = &l->path.keys;
    for (size_t i = 1; n && i < keys->count; i++) {
        const struct yaml_node *next = step(&there, n, keys->items[i]);
        if (!next && i == 1) {
            next = step(&there, n, s->kind == STAGE_SCRIPT ? "kwargs" : "params");
            next = next ? step(&there, next, keys->items[i]) : NULL;
        }
        n = next;
    }
    json_t *value = n ? read_node(&there, n) : json_null();
    buf_done(&there.path);
    return value;
}

/* A path of this machine may be no UTF-8; as a program's argument it is the same bytes. */
static json_t *path_json(const char *path)
{
    return json_stringn_nocheck(path, strlen(path));
}

static json_t *read_output(const struct walk *w, const struct link_use *l)
{
    const struct stage *s = &w->t->plan->experiment->stages[l->stage];
    const char *directory = w->t->directories[l->stage];
    const char *name = l->path.attributes.count ? l->path.attributes.items[0] : "dir";
    for (size_t i = 0; i < s->outputs.count; i++)
        if (strcmp(s->outputs.items[i].key, name) == 0) {
            AUTO_FREE char *path = mem_printf("%s/%s", directory, s->outputs.items[i].value);
            return path_json(path);
        }
    return path_json(directory);
}

static json_t *read_link(struct walk *w, const struct yaml_node *n)
{
    const struct experiment *e = w->t->plan->experiment;
    const struct link_use *l = find_link(&e->stages[w->stage], n);
    if (!l)
        return json_null();
    switch (l->target) {
    case LINK_RESOURCE:
        for (size_t i = 0; i < e->resource_count; i++)
            if (strcmp(e->resources[i].name, l->path.keys.items[0]) == 0)
                return path_json(w->t->resources[i]);
        break;
    case LINK_STAGE:
    case LINK_OUTPUT:
        return read_output(w, l);
    case LINK_PARAMETER:
        return read_parameter(w, l);
    case LINK_NOWHERE:
        break;
    }
    return json_null();
}

/* ---- any node ---------------------------------------------------------------------------------
 */

static json_t *read_node(struct walk *w, const struct yaml_node *n)
{
    if (space_is_option(n))
        return read_option(w, n);
    if (link_is_tag(n->tag))
        return read_link(w, n);
    if (n->kind == YAML_LIST)
        return read_list(w, n);
    if (n->kind == YAML_MAP)
        return read_map(w, n);
    struct choice_value v = {n->kind, n->integer, n->real, n};
    return trial_choice_json(&v);
}

json_t *trial_value(const struct trial_values *t, const char *key, const struct yaml_node *node)
{
    if (!node)
        return NULL;
    const struct stage *s = &t->plan->experiment->stages[t->stage];
    struct walk w = {.t = t, .stage = t->stage};
    buf_adds(&w.path, s->name);
    size_t mark;
    enter(&w, str_of(key), &mark);
    json_t *value = read_node(&w, node);
    buf_done(&w.path);
    return value;
}

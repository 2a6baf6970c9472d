/* libyaml's events to a tree of our own; see yaml.h.
 *
 * Children wait in one `pending` array until their collection ends; `frames` says where each open
 * collection's children begin. Nodes and their strings live in an arena and go all at once. An
 * alias is the same node again. An anchor is known from the end of its node on, so that no node can
 * hold itself; `weight` and `height` count every alias as if it were copied, and are bounded, so
 * that aliases cannot make a small file large for whoever walks the tree. */
#include "base/mem.h"
#include "base/strtab.h"
#include "config/yaml_priv.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- arena ---------------------------------------------------------------------------------- */

#define BLOCK_BYTES ((size_t)64 << 10)

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

struct yaml_arena {
    struct block *blocks; /* the newest first */
};

static void *arena_take(struct yaml_arena *a, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!a->blocks || a->blocks->size - a->blocks->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct block *b = mem_alloc(sizeof *b + room);
        b->size = room;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = a->blocks->bytes + a->blocks->used;
    a->blocks->used += size;
    return p;
}

static char *arena_dup(struct yaml_arena *a, const void *p, size_t n)
{
    char *copy = arena_take(a, n + 1);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

static void arena_free(struct yaml_arena *a)
{
    if (!a)
        return;
    while (a->blocks) {
        struct block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    free(a);
}

/* ---- builder -------------------------------------------------------------------------------- */

struct frame {
    struct yaml_node *node;
    size_t base; /* of its children in `pending` */
    bool flow;
    char *anchor; /* to be known at its end, or NULL; in the arena */
};

struct builder {
    yaml_parser_t parser;
    struct str text; /* as libyaml sees it: without the BOM */
    size_t skipped;  /* the BOM's bytes */
    struct diags *diags;
    struct yaml_file file;
    struct frame frames[YAML_DEPTH_MAX];
    size_t depth;
    struct yaml_node **pending;
    size_t pending_count, pending_cap;
    struct strtab *anchors; /* of this document */
    struct strtab *open;    /* anchors whose nodes are not at their end yet */
    size_t nodes, aliases;
    struct span last_alias;
    size_t last_end;               /* of the newest scalar, alias or closing bracket */
    size_t cursor_char, cursor_at; /* the same place, as libyaml and as we count */
};

/* libyaml counts characters. Marks go forward but for small steps, so this walks from the last. */
static size_t offset_of(struct builder *b, const yaml_mark_t *mark)
{
    const char *p = b->text.p;
    while (b->cursor_char < mark->index && b->cursor_at < b->text.n) {
        b->cursor_at++;
        while (b->cursor_at < b->text.n && (p[b->cursor_at] & 0xc0) == 0x80)
            b->cursor_at++;
        b->cursor_char++;
    }
    while (b->cursor_char > mark->index && b->cursor_at > 0) {
        b->cursor_at--;
        while (b->cursor_at > 0 && (p[b->cursor_at] & 0xc0) == 0x80)
            b->cursor_at--;
        b->cursor_char--;
    }
    return b->cursor_at;
}

static struct span span_at(const yaml_mark_t *mark)
{
    return (struct span){(int)mark->line + 1, (int)mark->column + 1, 0};
}

#define LENGTH_MAX 1000 /* a longer mark is of no use, and looking for its end is not free */

/* Characters from `start` to the line's end, or to the first white space where `word` is set. */
static int length_on_line(const struct builder *b, size_t start, bool word)
{
    int n = 0;
    for (size_t i = start; i < b->text.n && n < LENGTH_MAX; i++) {
        char c = b->text.p[i];
        if (c == '\n' || c == '\r' || (word && (c == ' ' || c == '\t' || c == ',')))
            break;
        n += (c & 0xc0) != 0x80;
    }
    return n;
}

static int fail(struct builder *b, struct span at, char *problem, const char *fix)
{
    diags_add(b->diags, at, problem, mem_dup(fix));
    return -1;
}

static void report(struct builder *b, struct yaml_node *n, char *problem, char *fix)
{
    n->bad = true;
    diags_add(b->diags, n->at, problem, fix);
}

static struct str text_of(const struct yaml_node *n)
{
    return (struct str){n->text, n->text_len};
}

static struct yaml_node *new_node(struct builder *b, const yaml_event_t *event)
{
    if (++b->nodes > YAML_NODES_MAX) {
        fail(b, span_at(&event->start_mark),
             mem_printf("the file holds more than %zu values", YAML_NODES_MAX),
             "is it the file you meant?");
        return NULL;
    }
    struct yaml_node *n = arena_take(b->file.arena, sizeof *n);
    n->at = span_at(&event->start_mark);
    n->weight = 1;
    size_t start = offset_of(b, &event->start_mark);
    n->start = start + b->skipped;
    n->end = offset_of(b, &event->end_mark) + b->skipped;
    return n;
}

/* Puts a finished node under its parent. */
static int attach(struct builder *b, struct yaml_node *n)
{
    if (b->depth == 0) {
        b->file.documents[b->file.document_count - 1] = n;
        return 0;
    }
    MEM_PUSH_ROOM(b->pending, b->pending_count, b->pending_cap);
    b->pending[b->pending_count++] = n;
    return 0;
}

static void name_anchor(struct builder *b, const char *anchor, struct yaml_node *n)
{
    if (!anchor)
        return;
    strtab_remove(b->open, str_of(anchor));
    strtab_put(b->anchors, str_of(anchor), n);
}

/* ---- tags ----------------------------------------------------------------------------------- */

#define CORE_TAG "tag:yaml.org,2002:"

static const struct {
    const char *name;
    enum yaml_kind kind;
} core_tags[] = {
    {CORE_TAG "str", YAML_STRING}, {CORE_TAG "int", YAML_INT},   {CORE_TAG "float", YAML_FLOAT},
    {CORE_TAG "bool", YAML_BOOL},  {CORE_TAG "null", YAML_NULL}, {CORE_TAG "seq", YAML_LIST},
    {CORE_TAG "map", YAML_MAP},
};

/* Settles the tag of a node whose kind is known from its text. '!!int' and its like are checked and
 * forgotten; a tag of the user's own is kept and leaves a scalar's text alone. */
static void settle_tag(struct builder *b, struct yaml_node *n, const char *tag)
{
    if (strcmp(tag, "!") == 0 || strcmp(tag, CORE_TAG "str") == 0) {
        if (n->kind == YAML_LIST || n->kind == YAML_MAP) {
            report(b, n, mem_printf("%s cannot be tagged as text", yaml_kind_name(n->kind)),
                   mem_dup("remove the tag"));
            return;
        }
        n->kind = YAML_STRING;
        n->quoted = true;
        return;
    }
    for (size_t i = 0; i < COUNT_OF(core_tags); i++) {
        if (strcmp(tag, core_tags[i].name) != 0)
            continue;
        if (core_tags[i].kind == YAML_FLOAT && n->kind == YAML_INT)
            n->kind = YAML_FLOAT;
        if (core_tags[i].kind != n->kind)
            report(b, n,
                   mem_printf("the tag says %s, the value is %s", yaml_kind_name(core_tags[i].kind),
                              yaml_kind_name(n->kind)),
                   mem_dup("remove the tag, or mend the value"));
        return;
    }
    n->tag = arena_dup(b->file.arena, tag, strlen(tag));
    bool empty = n->kind == YAML_NULL && n->text_len == 0;
    if (n->kind != YAML_LIST && n->kind != YAML_MAP && !empty)
        n->kind = YAML_STRING;
}

/* ---- events --------------------------------------------------------------------------------- */

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct yaml_node *n = new_node(b, event);
    if (!n)
        return -1;
    n->text = arena_dup(b->file.arena, event->data.scalar.value, event->data.scalar.length);
    n->text_len = event->data.scalar.length;
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    bool one_line = event->start_mark.line == event->end_mark.line;
    n->at.length = one_line ? (int)(event->end_mark.column - event->start_mark.column)
                            : length_on_line(b, n->start - b->skipped, false);
    b->last_end = n->end;
    const char *tag = (const char *)event->data.scalar.tag;
    n->kind = YAML_STRING;
    const char *wrong = n->quoted ? NULL : yaml_resolve(n);
    if (tag)
        settle_tag(b, n, tag);
    if (wrong && n->kind != YAML_STRING) {
        AUTO_FREE char *shown = diag_quote(text_of(n));
        report(b, n, mem_printf("%s %s", shown, wrong),
               mem_dup("write a smaller number, or, if it is text, put it in quotes"));
    }
    name_anchor(b, (const char *)event->data.scalar.anchor, n);
    return attach(b, n);
}

static int on_alias(struct builder *b, const yaml_event_t *event)
{
    struct str name = str_of((const char *)event->data.alias.anchor);
    struct span at = span_at(&event->start_mark);
    at.length = (int)(event->end_mark.column - event->start_mark.column);
    if (++b->aliases > YAML_ALIASES_MAX)
        return fail(b, at, mem_printf("the file holds more than %d aliases", YAML_ALIASES_MAX),
                    "write some of the values out");
    b->last_alias = at;
    b->last_end = offset_of(b, &event->end_mark) + b->skipped;
    struct yaml_node *n = strtab_get(b->anchors, name);
    bool inside = strtab_get(b->open, name);
    if (n && !inside)
        return attach(b, n);
    n = new_node(b, event);
    if (!n)
        return -1;
    n->at = at;
    n->kind = YAML_NULL;
    n->text = arena_dup(b->file.arena, "", 0);
    AUTO_FREE char *shown = diag_quote(name);
    if (inside)
        report(b, n, mem_printf("the alias %s stands inside the value it names", shown),
               mem_dup("a value cannot hold itself: write it out"));
    else
        report(b, n, mem_printf("no anchor %s in front of this alias", shown),
               mem_dup("if the '*' is meant as text, put the value in quotes"));
    return attach(b, n);
}

static int on_open(struct builder *b, const yaml_event_t *event, enum yaml_kind kind, bool flow,
                   const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (b->depth == YAML_DEPTH_MAX)
        return fail(b, span_at(&event->start_mark),
                    mem_printf("nested deeper than %d levels", YAML_DEPTH_MAX),
                    "is a bracket never closed?");
    struct yaml_node *n = new_node(b, event);
    if (!n)
        return -1;
    n->kind = kind;
    n->height = 1;
    if (tag || anchor)
        n->at.length = length_on_line(b, n->start - b->skipped, true);
    else
        n->at.length = flow ? 1 : 0;
    if (tag)
        settle_tag(b, n, (const char *)tag);
    struct frame *f = &b->frames[b->depth++];
    *f = (struct frame){.node = n, .base = b->pending_count, .flow = flow};
    if (anchor) {
        f->anchor = arena_dup(b->file.arena, anchor, strlen((const char *)anchor));
        strtab_put(b->open, str_of(f->anchor), n);
    }
    return 0;
}

static void take_list(struct builder *b, const struct frame *f)
{
    struct yaml_node *n = f->node;
    n->count = b->pending_count - f->base;
    n->items = arena_take(b->file.arena, n->count * sizeof *n->items);
    if (n->count)
        memcpy(n->items, b->pending + f->base, n->count * sizeof *n->items);
}

/* False where the key cannot be one; said so. */
static bool check_key(struct builder *b, struct yaml_node *key)
{
    if (key->bad)
        return false;
    if (key->kind == YAML_LIST || key->kind == YAML_MAP) {
        report(b, key, mem_printf("a key cannot be %s", yaml_kind_name(key->kind)),
               mem_dup("a key is one word or text, as in 'name: my-cluster'"));
        return false;
    }
    if (!key->quoted && strcmp(key->text, "<<") == 0) {
        report(b, key, mem_dup("merge keys ('<<') are not part of YAML 1.2"),
               mem_dup("write the keys out, or give an alias for the whole value"));
        return false;
    }
    if (!key->quoted && key->text_len == 0) {
        report(b, key, mem_dup("a key is missing in front of this ':'"), NULL);
        return false;
    }
    return true;
}

#define FEW_KEYS 8 /* up to here a look at each is faster than a table */

static struct yaml_node *find_key(const struct yaml_node *map, const struct strtab *table,
                                  const struct yaml_node *key)
{
    if (table)
        return strtab_get(table, text_of(key));
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(text_of(map->pairs[i].key), text_of(key)))
            return map->pairs[i].key;
    return NULL;
}

static void report_duplicate(struct builder *b, const struct yaml_node *key,
                             const struct yaml_node *first)
{
    if (diags_full(b->diags)) {
        diags_drop(b->diags);
        return;
    }
    AUTO_FREE char *shown = diag_quote(text_of(key));
    diags_add(b->diags, key->at, mem_printf("the key %s is here twice", shown),
              mem_printf("it is on line %d already: remove one of them", first->at.line));
}

static void take_map(struct builder *b, const struct frame *f)
{
    struct yaml_node *n = f->node;
    size_t pairs = (b->pending_count - f->base) / 2;
    n->pairs = arena_take(b->file.arena, pairs * sizeof *n->pairs);
    CLEANUP(strtab_freep) struct strtab *table = pairs > FEW_KEYS ? strtab_new() : NULL;
    for (size_t i = 0; i < pairs; i++) {
        struct yaml_node *key = b->pending[f->base + 2 * i];
        if (!check_key(b, key))
            continue;
        const struct yaml_node *first = find_key(n, table, key);
        if (first) {
            report_duplicate(b, key, first);
            continue;
        }
        if (table)
            strtab_put(table, text_of(key), key);
        n->pairs[n->count++] = (struct yaml_pair){key, b->pending[f->base + 2 * i + 1]};
    }
}

static int on_close(struct builder *b, const yaml_event_t *event)
{
    struct frame *f = &b->frames[b->depth - 1];
    struct yaml_node *n = f->node;
    if (f->flow)
        b->last_end = offset_of(b, &event->end_mark) + b->skipped;
    n->end = b->last_end;
    for (size_t i = f->base; i < b->pending_count; i++) {
        n->weight += b->pending[i]->weight;
        if (b->pending[i]->height >= n->height)
            n->height = b->pending[i]->height + 1;
    }
    if (n->weight > YAML_NODES_MAX || n->height + (int)b->depth > YAML_DEPTH_MAX + 1)
        return fail(b, b->last_alias,
                    n->weight > YAML_NODES_MAX
                        ? mem_printf("aliases make the file grow beyond %zu values", YAML_NODES_MAX)
                        : mem_printf("aliases nest deeper than %d levels", YAML_DEPTH_MAX),
                    "do not build aliases out of aliases: write the values out");
    if (n->kind == YAML_MAP)
        take_map(b, f);
    else
        take_list(b, f);
    b->pending_count = f->base;
    b->depth--;
    name_anchor(b, f->anchor, n);
    return attach(b, n);
}

static int on_document(struct builder *b, const yaml_event_t *event)
{
    if (b->file.document_count == YAML_DOCUMENTS_MAX)
        return fail(b, span_at(&event->start_mark),
                    mem_printf("more than %d documents in one file", YAML_DOCUMENTS_MAX),
                    "a '---' begins a new document: remove it, or split the file");
    b->file.document_count++;
    strtab_free(b->anchors);
    strtab_free(b->open);
    b->anchors = strtab_new();
    b->open = strtab_new();
    return 0;
}

static int on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, e);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, e, YAML_LIST, e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
                       e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, e, YAML_MAP, e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
                       e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b, e);
    default:
        return 0;
    }
}

static void explain_failure(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    struct span at = span_at(&p->problem_mark), context_at = span_at(&p->context_mark);
    if (!p->context)
        context_at.line = 0;
    const char *problem = p->problem ? p->problem : "this cannot be read";
    yaml_text_explain(b->text, problem, p->context, at, context_at, b->diags);
}

/* All events, or -1 after adding what stopped it. */
static int build(struct builder *b)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            explain_failure(b);
            return -1;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        int r = on_event(b, &event);
        yaml_event_delete(&event);
        if (r != 0)
            return -1;
    }
    return 0;
}

int yaml_parse(struct str text, struct diags *diags, struct yaml_file *out, struct err *err)
{
    if (!yaml_text_check(text, diags))
        return diags_check(diags, err);
    struct builder b = {.text = text, .diags = diags};
    if (str_starts(text, YAML_BOM)) {
        b.skipped = 3;
        b.text = (struct str){text.p + 3, text.n - 3};
    }
    if (!yaml_parser_initialize(&b.parser))
        return err_set(err, ERR_INTERNAL, "libyaml cannot start");
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text.p, b.text.n);
    b.file.arena = mem_alloc(sizeof *b.file.arena);
    int r = build(&b);
    yaml_parser_delete(&b.parser);
    strtab_free(b.anchors);
    strtab_free(b.open);
    free(b.pending);
    if (r != 0) {
        arena_free(b.file.arena);
        return diags_check(diags, err);
    }
    *out = b.file;
    return 0;
}

void yaml_done(struct yaml_file *f)
{
    arena_free(f->arena);
    *f = (struct yaml_file){0};
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (str_is(text_of(map->pairs[i].key), key))
            return map->pairs[i].value;
    return NULL;
}

const char *yaml_kind_name(enum yaml_kind k)
{
    static const char *const names[] = {
        [YAML_NULL] = "nothing",       [YAML_BOOL] = "a truth value",
        [YAML_INT] = "a whole number", [YAML_FLOAT] = "a number with a fraction",
        [YAML_STRING] = "text",        [YAML_LIST] = "a list",
        [YAML_MAP] = "a map of keys",
    };
    return names[k];
}

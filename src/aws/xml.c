/* See xml.h. Nodes and strings live in chunks that are freed together. */
#include "aws/xml.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/port.h"
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)16 << 10)

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

struct xml {
    struct chunk *chunks;
    struct xml_node *root;
};

struct reader {
    struct xml *xml;
    XML_Parser parser;
    struct xml_node *open[XML_DEPTH_MAX];
    struct xml_node *last[XML_DEPTH_MAX]; /* the youngest child of open[i] */
    struct buf text[XML_DEPTH_MAX];
    size_t depth, nodes;
    const char *refused; /* why the reading was stopped */
    enum err_code code;
};

static void *take(struct xml *x, size_t n, size_t align)
{
    struct chunk *c = x->chunks;
    size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;
    if (!c || at + n > c->size) {
        size_t size = n > CHUNK_SIZE / 4 ? n : CHUNK_SIZE;
        struct chunk *fresh = mem_alloc(sizeof *fresh + size);
        fresh->size = size;
        fresh->next = c;
        x->chunks = c = fresh;
        at = 0;
    }
    c->used = at + n;
    return c->bytes + at;
}

static const char *keep(struct xml *x, const char *p, size_t n)
{
    if (n == 0)
        return "";
    char *s = take(x, n + 1, 1);
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

static void stop(struct reader *r, enum err_code code, const char *why)
{
    if (!r->refused) {
        r->refused = why;
        r->code = code;
    }
    XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct reader *r = ctx;
    if (r->refused)
        return;
    if (r->depth == XML_DEPTH_MAX) {
        stop(r, ERR_LIMIT, "elements are nested too deep");
        return;
    }
    if (++r->nodes > XML_NODES_MAX) {
        stop(r, ERR_LIMIT, "too many elements");
        return;
    }
    const char *colon = strrchr(name, ':');
    name = colon ? colon + 1 : name;
    struct xml_node *n = take(r->xml, sizeof *n, sizeof(void *));
    *n = (struct xml_node){.name = keep(r->xml, name, strlen(name)), .text = ""};
    if (r->depth == 0)
        r->xml->root = n;
    else if (r->last[r->depth - 1])
        r->last[r->depth - 1]->next = n;
    else
        r->open[r->depth - 1]->first = n;
    if (r->depth)
        r->last[r->depth - 1] = n;
    r->open[r->depth] = n;
    r->last[r->depth] = NULL;
    buf_clear(&r->text[r->depth]);
    r->depth++;
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    (void)name;
    struct reader *r = ctx;
    if (r->refused || r->depth == 0)
        return;
    r->depth--;
    struct xml_node *n = r->open[r->depth];
    if (!n->first) /* white space between children is no text */
        n->text = keep(r->xml, buf_text(&r->text[r->depth]), r->text[r->depth].len);
}

static void XMLCALL on_text(void *ctx, const XML_Char *p, int n)
{
    struct reader *r = ctx;
    if (!r->refused && r->depth)
        buf_add(&r->text[r->depth - 1], p, (size_t)n);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int has_internal)
{
    (void)name, (void)system, (void)public, (void)has_internal;
    stop(ctx, ERR_PARSE, "document types are not accepted");
}

static int read_all(struct reader *r, struct str text, struct err *err)
{
    if (text.n > INT_MAX)
        return err_set(err, ERR_LIMIT, "XML of %zu bytes is too long", text.n);
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (XML_Parse(r->parser, text.p, (int)text.n, XML_TRUE) == XML_STATUS_OK && !r->refused)
        return 0;
    return err_set(err, r->refused ? r->code : ERR_PARSE,
                   "malformed XML at line %lu, column %lu: %s", XML_GetCurrentLineNumber(r->parser),
                   XML_GetCurrentColumnNumber(r->parser) + 1,
                   r->refused ? r->refused : XML_ErrorString(XML_GetErrorCode(r->parser)));
}

int xml_parse(struct str text, struct xml **out, struct err *err)
{
    AUTO_FREE struct reader *r = mem_alloc(sizeof *r);
    r->xml = mem_alloc(sizeof *r->xml);
    r->parser = XML_ParserCreate(NULL);
    int rc =
        r->parser ? read_all(r, text, err) : err_set(err, ERR_INTERNAL, "expat does not start");
    if (r->parser)
        XML_ParserFree(r->parser);
    for (size_t i = 0; i < XML_DEPTH_MAX; i++)
        buf_wipe(&r->text[i]);
    if (rc == 0)
        *out = r->xml;
    else
        xml_free(r->xml);
    return rc;
}

void xml_free(struct xml *x)
{
    if (!x)
        return;
    while (x->chunks) {
        struct chunk *next = x->chunks->next;
        port_wipe(x->chunks->bytes, x->chunks->used); /* STS answers hold keys */
        free(x->chunks);
        x->chunks = next;
    }
    free(x);
}

void xml_freep(struct xml **x)
{
    xml_free(*x);
    *x = NULL;
}

const struct xml_node *xml_root(const struct xml *x)
{
    return x->root;
}

const struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
    for (const struct xml_node *n = node ? node->first : NULL; n; n = n->next)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

const char *xml_text(const struct xml_node *node, const char *name)
{
    const struct xml_node *n = xml_child(node, name);
    return n ? n->text : NULL;
}

char *xml_dup(const struct xml_node *node, const char *name)
{
    const char *text = xml_text(node, name);
    return text && *text ? mem_dup(text) : NULL;
}

int64_t xml_int(const struct xml_node *node, const char *name, int64_t otherwise)
{
    int64_t value;
    if (!str_to_i64(str_trim(str_of(xml_text(node, name))), INT64_MIN, INT64_MAX, &value))
        return otherwise;
    return value;
}

bool xml_is_true(const struct xml_node *node, const char *name)
{
    const char *text = xml_text(node, name);
    return text && strcmp(text, "true") == 0;
}

const struct xml_node *xml_items(const struct xml_node *node, const char *name)
{
    const struct xml_node *list = xml_child(node, name);
    return list ? list->first : NULL;
}

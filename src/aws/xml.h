/* XML answers as a small tree, read by expat.
 *
 * Attributes, comments and processing instructions are passed over; text is that between an
 * element's tags, joined. Document types are refused, and with them all entities but the five of
 * XML itself. Depth and number of elements are bounded. */
#ifndef FLAMBE_AWS_XML_H
#define FLAMBE_AWS_XML_H

#include "base/err.h"
#include "base/str.h"

#define XML_DEPTH_MAX 64
#define XML_NODES_MAX ((size_t)4 << 20)

struct xml; /* a document; owns its nodes */

struct xml_node {
    const char *name; /* without a prefix */
    const char *text; /* never NULL; "" for an element that has children only */
    struct xml_node *first, *next;
};

/* ERR_PARSE with line and column, or ERR_LIMIT. */
int xml_parse(struct str text, struct xml **out, struct err *err) MUST_CHECK;
void xml_free(struct xml *x); /* NULL is legal */
void xml_freep(struct xml **x);
const struct xml_node *xml_root(const struct xml *x);

/* The first child of that name, or NULL; a NULL node has no children, so that calls may be nested.
 */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
/* The text of that child, or NULL. */
const char *xml_text(const struct xml_node *node, const char *name);
/* A copy of it, owned by the caller; NULL where it is absent or empty. */
char *xml_dup(const struct xml_node *node, const char *name);
/* As a decimal number; `otherwise` where it is absent or none. */
int64_t xml_int(const struct xml_node *node, const char *name, int64_t otherwise);
bool xml_is_true(const struct xml_node *node, const char *name);
/* All children of a list: for (n = xml_items(node, "itemSet"); n; n = n->next). */
const struct xml_node *xml_items(const struct xml_node *node, const char *name);

#endif

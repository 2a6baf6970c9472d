/* YAML: libyaml's events into a tree of our own that keeps positions.
 *
 * Scalars follow YAML 1.2's core schema ('yes' is a string, 010 is ten, 0o17 is fifteen). Before
 * libyaml sees a byte, UTF-8 and NULs are checked; depth, nodes and aliases are bounded by the
 * names below; duplicate keys are errors. Aliases are expanded by reference, never copied. */
#ifndef FLAMBE_CONFIG_YAML_H
#define FLAMBE_CONFIG_YAML_H

#include "config/diag.h"
#include <stdint.h>

#define YAML_BYTES_MAX ((size_t)16 << 20)
#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX ((size_t)1000000)
#define YAML_ALIASES_MAX 1000
#define YAML_DOCUMENTS_MAX 2

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP };
const char *yaml_kind_name(enum yaml_kind k); /* "a whole number", "a list", … */

struct yaml_node;

struct yaml_pair {
    struct yaml_node *key; /* always a scalar */
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_kind kind;
    char *tag;  /* "!AWSCluster", or NULL where it was resolved from the text */
    char *text; /* a scalar as written, without quotes; else NULL */
    size_t text_len;
    bool quoted;
    bool boolean; /* YAML_BOOL */
    int64_t integer;
    double real;              /* YAML_FLOAT, and YAML_INT too */
    struct yaml_node **items; /* YAML_LIST */
    struct yaml_pair *pairs;  /* YAML_MAP, in the file's order */
    size_t count;
    struct span at;
    size_t start, end; /* byte offsets in the file, for edits by range */
    bool bad; /* already reported: its value means nothing, look at nothing but its place */
    /* With every alias expanded: values in all, and levels of lists and maps. Both are within the
     * maxima above, so that a reader may walk the tree without counting. */
    size_t weight;
    int height;
};

struct yaml_file {
    struct yaml_node *documents[YAML_DOCUMENTS_MAX];
    size_t document_count;
    struct yaml_arena *arena; /* owns all nodes */
};

/* Adds what is wrong to diags. Fails with ERR_FILE where the text cannot be read as YAML or passes
 * a maximum. What leaves the rest readable (a duplicate key, a merge key, an unknown alias, a
 * number that is too large) is added too, but returns 0, so that the reader of the keys can add
 * what it finds: finish with diags_check(). */
int yaml_parse(struct str text, struct diags *diags, struct yaml_file *out,
               struct err *err) MUST_CHECK;
void yaml_done(struct yaml_file *f);
/* What a plain scalar of this text is: fills kind, boolean, integer and real from text and
 * text_len. False where it is a number that does not fit. */
bool yaml_resolve_plain(struct yaml_node *n);
/* The value of a map's key, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

#endif

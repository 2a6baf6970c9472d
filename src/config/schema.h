/* One row a configuration key. The parser, the JSON Schema, the man page's table of keys and the
 * suggestions for misspelt keys all come from the same rows. */
#ifndef FLAMBE_CONFIG_SCHEMA_H
#define FLAMBE_CONFIG_SCHEMA_H

#include "config/yaml.h"
#include <jansson.h>

enum schema_type {
    SCHEMA_STRING,      /* char * */
    SCHEMA_INT,         /* int */
    SCHEMA_BOOL,        /* bool */
    SCHEMA_NUMBER,      /* double */
    SCHEMA_STRING_LIST, /* struct strv */
    SCHEMA_STRING_MAP,  /* struct schema_map */
    SCHEMA_NODE,        /* const struct yaml_node *: whatever stands there, for its own reader */
};

/* A map of strings, in the file's order, with the position of each key. */
struct schema_map {
    struct schema_entry {
        char *key, *value;
        struct span at;
    } * items;
    size_t count, cap;
};

struct schema_key {
    const char *name;
    enum schema_type type;
    bool required;
    const char *fallback;       /* the default as YAML text, or NULL */
    double min, max;            /* where min < max: of a number, or of a string's characters */
    const char *const *choices; /* NULL-terminated, or NULL */
    const char *pattern;        /* a POSIX extended regular expression for strings, or NULL */
    const char *pattern_help;   /* the pattern in words: "letters, digits and '-'" */
    const char *unit;           /* "hours", "GiB", or NULL */
    const char *kind;           /* of SCHEMA_NODE, in words: "a map of stages" */
    const char *example;        /* as YAML text, to show where a required key is missing */
    const char *help;           /* one sentence */
    size_t offset;              /* of the field in the struct that is filled */
};

struct schema {
    const char *tag;   /* "!AWSCluster" */
    const char *title; /* "a cluster on AWS" */
    const struct schema_key *keys;
    size_t count;
};

/* Fills `out` (zeroed, with each field at its key's offset) from the map: defaults first. Adds one
 * diagnostic for each thing that is wrong and goes on; the key then keeps its default. `spans` (may
 * be NULL; `s->count` of them) gets the value's position of each key (line 0 where it is absent),
 * for later checks across keys. A key without a value ('tags:' and nothing behind) counts as absent
 * where it is optional and has no default, as the original had it. No string that is taken holds a
 * control character, but for line breaks and tabs in the entries of a list. */
void schema_read(const struct schema *s, const struct yaml_node *map, struct diags *diags,
                 void *out, struct span *spans);
/* Frees what schema_read put into `out`. */
void schema_free(const struct schema *s, void *out);
/* JSON Schema, draft 2020-12. The caller owns it. */
json_t *schema_to_json(const struct schema *s);
/* Appends the keys as scdoc's text, one paragraph each, for a man page. */
void schema_to_scdoc(const struct schema *s, struct buf *out);
/* "text", "a whole number", … as `yaml_kind_name` says it. */
const char *schema_type_name(enum schema_type t);

#endif

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
};

/* A map of strings, in the file's order, with the position of each key. */
struct schema_map {
    struct schema_entry {
        char *key, *value;
        struct span at;
    } *items;
    size_t count, cap;
};

struct schema_key {
    const char *name;
    enum schema_type type;
    bool required;
    const char *fallback;       /* the default as YAML text, or NULL */
    double min, max;            /* for numbers, where min < max */
    const char *const *choices; /* NULL-terminated, or NULL */
    const char *pattern;        /* a POSIX extended regular expression for strings, or NULL */
    const char *pattern_help;   /* the pattern in words: "letters, digits and '-'" */
    const char *unit;           /* "hours", "GiB", or NULL */
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
 * diagnostic for each thing that is wrong and goes on. `spans` (may be NULL) gets the value's
 * position of each key (line 0 where it is absent), for later checks across keys. */
void schema_read(const struct schema *s, const struct yaml_node *map, struct diags *diags, void *out,
                 struct span *spans);
/* Frees what schema_read put into `out`. */
void schema_free(const struct schema *s, void *out);
/* JSON Schema, draft 2020-12. The caller owns it. */
json_t *schema_to_json(const struct schema *s);

#endif

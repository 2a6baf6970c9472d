/* The options of a stage: `!g [a, b, …]` tries each, `!s [lo, hi, k]` or `!s [lo, hi, k, decimals]`
 * draws k numbers. An option's element may hold options again. Links are found on the same way.
 *
 * The values stay in the YAML tree, which must live as long. */
#ifndef FLAMBE_EXPERIMENT_SPACE_H
#define FLAMBE_EXPERIMENT_SPACE_H

#include "config/yaml.h"
#include "experiment/link.h"

#define SPACE_OPTIONS_MAX 4096    /* of one experiment */
#define SPACE_DRAWN_MAX 1000000   /* numbers of one `!s` */
#define SPACE_DECIMALS_DEFAULT 10 /* the original's */
#define SPACE_DECIMALS_MAX 15     /* what a double holds */

struct choice_list {
    struct choice **items;
    size_t count, cap;
};

/* One option at one place of the file. */
struct choice {
    char *path;        /* stage and keys, joined so that byte order is the options' order */
    char *label;       /* "train[kwargs][lr]", as a link would name it */
    char *key;         /* "lr"; of a list's entry "args_0" */
    const char *stage; /* whose it is; the stage's own */
    const struct yaml_node *node;
    size_t count; /* elements, at least 1 */
    bool whole;   /* of `!s`: the numbers are whole */
    bool drawn;   /* `!s`: the numbers are in `numbers`, else the elements are node->items */
    union drawn_number {
        int64_t integer;
        double real;
    } * numbers;
    struct choice_list *inner; /* the options within each element; NULL where no element has any */
};

/* A link at one place of the file. What it leads to is found by reference_check(). */
struct link_use {
    const struct yaml_node *node;
    char *label;    /* where it stands */
    bool in_option; /* in an element of one */
    struct link_path path;
    enum link_target {
        LINK_NOWHERE,
        LINK_RESOURCE,
        LINK_STAGE,
        LINK_PARAMETER,
        LINK_OUTPUT
    } target;
    size_t stage; /* of the last three */
};

struct space {
    struct choice_list choices; /* in the file's order, without those within others */
    struct link_use *links;
    size_t link_count, link_cap;
};

struct space_reader {
    struct diags *diags;
    uint64_t seed;
    const char *stage;
    size_t *options; /* counted over the experiment */
    struct space *out;
};

bool space_is_option(const struct yaml_node *n);
/* Adds the options and links of the stage's value `key`, and what is wrong with them. */
void space_read(const struct space_reader *r, const char *key, const struct yaml_node *value);
void space_done(struct space *s);

/* An element's value. `node` is NULL for a drawn number. */
struct choice_value {
    enum yaml_kind kind;
    int64_t integer;
    double real;
    const struct yaml_node *node;
};
struct choice_value choice_value(const struct choice *c, size_t element);
/* As it stands in names and tables: whole numbers and text as they are, fractions by "%.5g", True,
 * False and None as Python writes them, "altN" for a list or map. */
void choice_value_text(const struct choice *c, size_t element, struct buf *out);
void choice_value_write(const struct choice_value *v, size_t element, struct buf *out);

#endif

/* What a file may say to the Python flambé and not to this one: refused, with the way out. */
#ifndef FLAMBE_EXPERIMENT_REFUSE_H
#define FLAMBE_EXPERIMENT_REFUSE_H

#include "config/yaml.h"

/* A stage whose tag is neither !Script nor !Command (or that has none). */
void refuse_stage(const struct yaml_node *stage, struct str name, struct diags *diags);
/* A tag among a stage's parameters that is no option and no link. */
void refuse_value(const struct yaml_node *value, struct diags *diags);
/* Adds a message unless no more are kept; takes both strings. */
void refuse(struct diags *diags, struct span at, char *problem, char *fix);
/* The candidate that was meant, or NULL: more of the word must be right than wrong. */
const char *refuse_suggest(struct str word, const char *const *candidates, size_t count);
/* "a, b, c" of the keys of a map, cut where it is long; the caller frees. */
char *refuse_list(const char *const *names, size_t count);

#endif

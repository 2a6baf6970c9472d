/* What yaml.c, yaml_scalar.c and yaml_text.c share. */
#ifndef FLAMBE_CONFIG_YAML_PRIV_H
#define FLAMBE_CONFIG_YAML_PRIV_H

#include "config/yaml.h"

#define YAML_BOM "\xef\xbb\xbf"

/* Looks at the bytes before libyaml does: length, UTF-8, NULs, characters that YAML forbids or that
 * nobody can see. Adds to diags; false where there is something. */
bool yaml_text_check(struct str text, struct diags *diags);
/* Turns libyaml's complaint into one that a newcomer can act on. `at` is where libyaml stopped,
 * `context_at` where what it was reading began (line 0 where it does not say). */
void yaml_text_explain(struct str text, const char *problem, const char *context, struct span at,
                       struct span context_at, struct diags *diags);
/* The first character of the line, or the end of the text. */
size_t yaml_line_start(struct str text, int line);

/* Gives an untagged plain scalar its kind and value by YAML 1.2's core schema (chapter 10.3.2).
 * Returns what is wrong with the number, or NULL. */
const char *yaml_resolve(struct yaml_node *n);

#endif

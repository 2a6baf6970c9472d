/* Whether a program can be run from here. */
#ifndef FLAMBE_EXPERIMENT_PROGRAM_H
#define FLAMBE_EXPERIMENT_PROGRAM_H

#include "config/yaml.h"

/* A !Script's 'script': a file (it has a '/' or ends in '.py'), else a module, which only Python
 * can find. */
void program_check_script(const struct yaml_node *n, struct diags *diags);
/* The first word of a !Command: a path, or a name to be found in $PATH. One with a {place} is not
 * looked for. */
void program_check_command(const struct yaml_node *n, struct diags *diags);
/* Whether $PATH has a program of this name. */
bool program_is_in_path(const char *name);

#endif

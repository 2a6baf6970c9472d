/* From a trial's values to what is run: the argument vector, the environment, the parameters. */
#ifndef FLAMBE_EXPERIMENT_LAUNCH_H
#define FLAMBE_EXPERIMENT_LAUNCH_H

#include "experiment/assignment.h"

struct launch_context {
    const char *python;           /* what runs scripts */
    const char *flambe;           /* the program's own path, for `flambe log` within trials */
    const char *experiment;       /* its name */
    const char *variant;          /* the trial's name */
    const char *secrets;          /* a file, or NULL */
    const char *const *inherited; /* environment, NULL-terminated */
    int64_t number;               /* of the trial in its stage */
    int attempt;                  /* from 1 */
};

struct launch {
    struct strv argv; /* for exec */
    struct strv env;  /* "NAME=value" */
    json_t *params;   /* an object: the stage's parameters by name */
    char *line;       /* of a shell, with the values in it as they are: to look at, not to run; or
                       * NULL */
};

/* Returns 0. What the options come to may be nothing that can be run, such as an empty command:
 * then argv is "" and why, so that the engine says it of this one trial. */
int launch_make(const struct trial_values *t, const struct launch_context *c, struct launch *out,
                struct err *err) MUST_CHECK;
void launch_done(struct launch *l);
/* A NULL-terminated view for the engine; the caller frees the array alone. */
const char **launch_vector(const struct strv *v);

#endif

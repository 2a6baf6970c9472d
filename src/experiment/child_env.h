/* The environment of a program that we run: ours, with some variables set. */
#ifndef FLAMBE_EXPERIMENT_CHILD_ENV_H
#define FLAMBE_EXPERIMENT_CHILD_ENV_H

#include "base/str.h"

/* Fills `out` (zeroed) with this process's environment, where each "NAME=value" of `changes`
 * (NULL-terminated) replaces what NAME was. A NULL behind the last makes out->items fit for
 * proc_run(). */
void child_env_make(const char *const *changes, struct strv *out);

/* Where the programs of trials look for programs and modules, beside where this process does. */
struct child_env_paths {
    const char *bin;                /* a virtual environment's programs, or NULL: they come first */
    const struct strv *python_path; /* of the extensions: before those of PYTHONPATH */
    const char *flambe;             /* the program's own path; its directory comes last */
};

/* The environment of trials, as child_env_make() has it: this process's, with PATH, PYTHONPATH and
 * VIRTUAL_ENV by the paths. Where there is no PATH it is the usual one. It gets no empty entry,
 * which would be the current directory. */
void child_env_trials(const struct child_env_paths *p, struct strv *out);

#endif

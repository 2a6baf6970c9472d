/* The environment of a program that we run: ours, with some variables set. */
#ifndef FLAMBE_EXPERIMENT_CHILD_ENV_H
#define FLAMBE_EXPERIMENT_CHILD_ENV_H

#include "base/str.h"

/* Fills `out` (zeroed) with this process's environment, where each "NAME=value" of `changes`
 * (NULL-terminated) replaces what NAME was. A NULL behind the last makes out->items fit for
 * proc_run(). */
void child_env_make(const char *const *changes, struct strv *out);

#endif

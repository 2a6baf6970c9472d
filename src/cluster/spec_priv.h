/* Reading a cluster's file with a look at its key file, which needs the ssh room: apart, so that
 * what reads files alone (golden tests, fuzzing) does not link it. */
#ifndef FLAMBE_CLUSTER_SPEC_PRIV_H
#define FLAMBE_CLUSTER_SPEC_PRIV_H

#include "cluster/spec.h"

/* Adds what is wrong with the file that spec->key names, at `at`. */
typedef void spec_key_fn(const struct cluster_spec *spec, struct span at, struct diags *diags);

/* cluster_spec_load(), with the check where it is not NULL. */
int spec_load(const char *path, spec_key_fn *check_key, struct cluster_spec *out,
              struct diags *diags, struct err *err) MUST_CHECK;

#endif

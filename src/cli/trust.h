/* Asking the user to vouch for host keys that nothing on this machine vouches for. */
#ifndef FLAMBE_CLI_TRUST_H
#define FLAMBE_CLI_TRUST_H

#include "cli/session.h"

/* A cluster_ask_fn; `session` is a struct session. Shows the fingerprints, then asks once, for the
 * whole word; -y is no answer, --accept-new-host-keys is. ERR_HOST_KEY without a terminal. */
int trust_ask(void *session, const struct cluster_stranger *list, size_t count,
              struct err *err) MUST_CHECK;

#endif

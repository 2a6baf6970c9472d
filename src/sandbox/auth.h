/* Whether a request may be served: its signature, its token, its clock, in each service's own
 * words. */
#ifndef FLAMBE_SANDBOX_AUTH_H
#define FLAMBE_SANDBOX_AUTH_H

#include "net/httpd.h"
#include "sandbox/identity.h"
#include "sandbox/services.h"

/* Whether the Authorization header is well-formed; *out is then the service that its scope names,
 * or NULL where there is none of that name. */
bool auth_service(const struct httpd_request *r, const struct service *all,
                  const struct service **out);

/* Fills *who (identity_done) and returns 0; else writes the error into the reply and returns -1. */
int auth_check(const struct httpd_request *r, const struct service *service, const char *region,
               const struct identities *ids, usec_t now, struct identity *who,
               struct api_reply *reply) MUST_CHECK;

#endif

/* Whether a request may be served: its signature, its token, its clock, in each service's own
 * words. */
#ifndef FLAMBE_SANDBOX_AUTH_H
#define FLAMBE_SANDBOX_AUTH_H

#include "net/httpd.h"
#include "sandbox/identity.h"
#include "sandbox/services.h"

/* The service that the Authorization header's scope names; NULL where there is none of that name.
 */
const struct service *auth_service(const struct httpd_request *r, const struct service *all);

/* Fills *who (identity_done) and returns 0; else writes the error into the reply and returns -1. */
int auth_check(const struct httpd_request *r, const struct service *service, const char *region,
               const struct identities *ids, usec_t now, struct identity *who,
               struct api_reply *reply) MUST_CHECK;

#endif

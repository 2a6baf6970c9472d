/* The services that the sandbox serves, and how a request finds its one. */
#ifndef FLAMBE_SANDBOX_SERVICES_H
#define FLAMBE_SANDBOX_SERVICES_H

#include "sandbox/api.h"

struct service {
    const char *name; /* in a credential scope: "ec2" */
    enum api_protocol protocol;
    const char *version; /* of a Query service's API; others are refused */
    /* Of X-Amz-Target, "AmazonSSM.": JSON services have one, and Query services whose newer clients
     * speak JSON (CloudWatch). */
    const char *target_prefix;
    const char *regions; /* where it lives, comma-separated, or NULL: the sandbox's own */
    const struct api_action *actions;
    const char *unsigned_action; /* the one that needs no signature, or NULL */
};

/* NULL-name-terminated. */
extern const struct service sandbox_services[];

const struct service *service_named(const struct service *all, struct str name);
const struct api_action *service_action(const struct service *s, const char *name);

#endif

/* `resources`: names for what trials need and links pass on: a local path, a URL, or with
 * `!cluster` a path on a cluster's hosts. */
#ifndef FLAMBE_EXPERIMENT_RESOURCE_H
#define FLAMBE_EXPERIMENT_RESOURCE_H

#include "config/yaml.h"

struct resource {
    char *name;
    char *location;
    enum resource_kind { RESOURCE_LOCAL, RESOURCE_HTTP, RESOURCE_S3 } kind;
    struct span at; /* of the name */
};

const char *resource_kind_name(enum resource_kind k); /* "local", "http", "s3" */
/* Fills `out` (zeroed) from one entry; false, with a diagnostic, where it is no resource. */
bool resource_read(const struct yaml_node *key, const struct yaml_node *value, struct diags *diags,
                   struct resource *out);
void resource_done(struct resource *r);

#endif

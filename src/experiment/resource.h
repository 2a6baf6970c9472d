/* `resources`: names for what trials need and links pass on: a local path, a URL, or with
 * `!cluster` a path on a cluster's hosts. */
#ifndef FLAMBE_EXPERIMENT_RESOURCE_H
#define FLAMBE_EXPERIMENT_RESOURCE_H

#include "config/yaml.h"

struct resource {
    char *name;
    char *location;
    enum resource_kind {
        RESOURCE_LOCAL,
        RESOURCE_HTTP,
        RESOURCE_S3,
        RESOURCE_CLUSTER, /* `location` is a path of the hosts, taken as it is */
    } kind;
    struct span at; /* of the name */
};

const char *resource_kind_name(enum resource_kind k); /* "local", "http", "s3", "cluster" */
/* Fills `out` (zeroed) from one entry; false, with a diagnostic, where it is no resource.
 * `on_cluster`: the experiment is for a cluster, so that `!cluster` has a meaning. */
bool resource_read(const struct yaml_node *key, const struct yaml_node *value, bool on_cluster,
                   struct diags *diags, struct resource *out);
void resource_done(struct resource *r);

#endif

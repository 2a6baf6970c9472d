/* The engines that a host has for an entry, and how its resources are found. */
#ifndef FLAMBE_NODE_ENGINES_H
#define FLAMBE_NODE_ENGINES_H

#include "cli/carry_out.h"

/* Of carry_order; `ctx` is the entry. */
int node_make_engine(void *ctx, const struct carry_engine *e, struct engine **out,
                     struct err *err) MUST_CHECK;
int node_find_resources(void *ctx, struct loop *loop, const struct experiment *e,
                        const char *directory, struct strv *paths, struct err *err) MUST_CHECK;

#endif

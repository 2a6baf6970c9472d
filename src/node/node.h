/* flambe-node: the one program of a cluster's hosts. What its verbs share. */
#ifndef FLAMBE_NODE_NODE_H
#define FLAMBE_NODE_NODE_H

#include "cli/commands.h"

extern const struct command node_run, node_status;

#endif

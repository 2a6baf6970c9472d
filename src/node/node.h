/* flambe-node: the one program of a cluster's hosts. What its verbs share. */
#ifndef FLAMBE_NODE_NODE_H
#define FLAMBE_NODE_NODE_H

#include "cli/commands.h"

extern const struct command node_run, node_status;

#define OPTION_AS                                                                               \
    {                                                                                           \
        "as", 0, OPTION_TEXT, "UID:GID:GROUPS", NULL, "become this user first, which root can", \
            offsetof(struct cli_options, as)                                                    \
    }

#endif

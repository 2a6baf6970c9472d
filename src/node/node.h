/* flambe-node: the one program of a cluster's hosts. What its verbs share. */
#ifndef FLAMBE_NODE_NODE_H
#define FLAMBE_NODE_NODE_H

#include "cli/commands.h"

extern const struct command node_attach, node_queue, node_run, node_status, node_watch;

#define OPTION_AS                                                                               \
    {                                                                                           \
        "as", 0, OPTION_TEXT, "UID:GID:GROUPS", NULL, "become this user first, which root can", \
            offsetof(struct cli_options, as)                                                    \
    }
#define OPTION_CONFIG                            \
    {                                            \
        "config", 0, OPTION_TEXT, "FILE", NULL,  \
            "what the host is, in place of "     \
            "/etc/flambe/node.json",             \
            offsetof(struct cli_options, config) \
    }
#define OPTION_DIRECTORY                            \
    {                                               \
        "directory", 0, OPTION_TEXT, "DIR", NULL,   \
            "the queue's, in place of "             \
            "/var/lib/flambe/queue",                \
            offsetof(struct cli_options, directory) \
    }

#endif

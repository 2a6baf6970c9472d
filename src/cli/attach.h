/* An experiment on a cluster, watched from here: flambe-node says how it stands, one JSON text a
 * line, and this terminal shows it. */
#ifndef FLAMBE_CLI_ATTACH_H
#define FLAMBE_CLI_ATTACH_H

#include "cli/node_link.h"

/* How it was left. */
struct attach_end {
    bool detached;    /* by Ctrl-C: it goes on */
    int status;       /* what a run here would have exited with */
    char reason[512]; /* why it came to no good end, or "" */
};

/* Shows it until it has ended. Where the connection breaks, it is made anew for ATTACH_PATIENCE;
 * the experiment does not mind. Ctrl-C detaches: that is said, with what to type, and is no error.
 * `word` is CLUSTER:EXPERIMENT, as the user would type it. */
int attach_follow(struct node_link *l, const char *word, const char *directory,
                  struct attach_end *out, struct err *err) MUST_CHECK;

#define ATTACH_PATIENCE (30 * USEC_PER_MIN)

#endif

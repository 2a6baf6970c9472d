/* A run that another process carries out, seen from its store alone: as its own terminal would show
 * it, or as JSON, one text a line. `flambe attach` and `flambe-node attach` are this. */
#ifndef FLAMBE_CLI_FOLLOW_H
#define FLAMBE_CLI_FOLLOW_H

#include "cli/cli.h"
#include "experiment/store.h"

#define FOLLOW_EARLIER_MAX 20 /* failures from before, that are told one by one */

struct follow_order {
    const char *directory; /* output__NAME; it may come later where `expects` says so */
    /* What says, where no run is at work, that one will be: a queue. May be NULL: then it is over.
     * Asked only where none is at work; `why` gets a phrase for who waits. */
    bool (*expects)(void *ctx, struct buf *why);
    /* How the queue says that it ended, where it does: exit status and reason, which may stay NULL
     * (the caller frees). May be NULL. */
    bool (*ended)(void *ctx, int *exit_status, char **reason);
    void *ctx;
    /* One line each time something changes, on standard output, in place of the terminal's table:
     *   {"frame": ["line", …]}  what stands on the terminal now
     *   {"say": "…"}            a line that stays
     *   {"end": {"state", "exit", "reason"}}, at last */
    bool lines;
};

/* Returns when the run is over: with its error, as a run here would have it, or, with `lines`, with
 * 0. Ctrl-C detaches, which is said and no error. */
int follow_run(struct cli *cli, const struct follow_order *o, struct err *err) MUST_CHECK;

#endif

/* The keeper of the queue: carries out its entries one after the other, each by processes of
 * `flambe-node run`, of which the next goes on where one died. Runs as the login user. */
#ifndef FLAMBE_NODE_KEEPER_H
#define FLAMBE_NODE_KEEPER_H

#include "cli/cli.h"

/* Returns at SIGTERM or SIGINT, with 0: the entry whose turn it is keeps it, and what its run has
 * done is kept. Its process is killed for that; a kill loses nothing (experiment/store.h), and what
 * runs elsewhere, as under Slurm, goes on. */
int keeper_run(struct cli *cli, const char *directory, struct err *err) MUST_CHECK;

#endif

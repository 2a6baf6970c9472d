/* An experiment on a cluster: `flambe run FILE -c CLUSTER`. */
#ifndef FLAMBE_CLI_CLUSTER_RUN_H
#define FLAMBE_CLI_CLUSTER_RUN_H

#include "cli/cli.h"
#include "cluster/cluster.h"
#include "experiment/fetch.h"

/* Makes the cluster whole where it is a file, sends the experiment's files, puts it into the queue
 * and shows how it goes until it has ended, or until Ctrl-C. */
int cluster_run(struct cli *cli, const char *path, const char *cluster, struct err *err) MUST_CHECK;

/* cmd_up.c: as `flambe up FILE`, with its questions, without its results. */
int up_for_experiment(struct cli *cli, const char *path, struct cluster_equipped *out,
                      struct err *err) MUST_CHECK;
/* cmd_run.c: fetches what is on the net, with progress; see carry_order.find_resources. */
int run_fetch(void *ctx, struct loop *loop, const struct experiment *e, const char *directory,
              struct strv *paths, struct err *err) MUST_CHECK;

#endif

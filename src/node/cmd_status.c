/* flambe-node status: how an experiment of this host stands. */
#include "cli/results.h"
#include "node/node.h"

static int run(struct cli *cli, struct err *err)
{
    return results_status(cli, cli->args.items[0], err);
}

static const char *const examples[] = {
    "flambe-node status /srv/flambe/results/output__sweep -o json", NULL};

const struct command node_status = {
    .name = "status",
    .usage = "DIR",
    .summary = "show how an experiment stands",
    .help = "DIR is an experiment's results on this host: the directory output__NAME, or the one "
            "that holds it. Its stages are shown, with how many of their trials wait, run and have "
            "ended, and the best of each.",
    .examples = examples,
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

/* flambe attach: shows a run of this machine that another terminal, or nobody's, carries out. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/results.h"

static int run(struct cli *cli, struct err *err)
{
    struct results r;
    if (results_open(cli, cli->args.items[0], &r, err) == -1)
        return -1;
    AUTO_FREE char *directory = mem_dup(r.directory);
    results_done(&r);
    struct follow_order o = {.directory = directory, .lines = cli->json};
    return follow_run(cli, &o, err);
}

static const char *const examples[] = {"flambe attach experiment.yaml",
                                       "flambe attach flambe-output/output__sweep", NULL};

const struct command cmd_attach = {
    .name = "attach",
    .usage = "DIR",
    .summary = "show how a run goes on that another process carries out",
    .help =
        "DIR is an experiment's results on this machine: the directory output__NAME, the one that "
        "holds it, or the experiment's file. Shows what the terminal of the run shows, until the "
        "run has ended, and exits as it did. Failures that were there before are told too, of "
        "many the last ones.\n"
        "\n"
        "Ctrl-C detaches: the run goes on. With -o json each change is a line of JSON on standard "
        "output: {\"frame\": [LINE...]} is what stands on the terminal now, {\"say\": LINE} a line "
        "that stays, and {\"end\": {\"state\": ..., \"exit\": STATUS}} the last one.",
    .examples = examples,
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

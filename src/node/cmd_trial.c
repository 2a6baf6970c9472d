/* flambe-node trial: the wrapper of one program within a job of Slurm's. */
#include "engine/engine.h"
#include "node/node.h"

#define INDEX_MAX 1000000

static int run(struct cli *cli, struct err *err)
{
    int64_t index = 0;
    if (!str_to_i64(str_of(cli->args.items[1]), 0, INDEX_MAX, &index))
        return err_set(err, ERR_USAGE, "INDEX is a number, not '%s'", cli->args.items[1]);
    struct loop *loop = loop_new();
    struct err why = {0};
    cli->exit_status = engine_slurm_trial(loop, cli->args.items[0], (unsigned)index, &why);
    loop_free(loop);
    if (cli->exit_status && why.msg[0])
        cli_warn(cli, why.msg);
    return 0;
}

const struct command node_trial = {
    .name = "trial",
    .usage = "SPEC INDEX",
    .summary = "run one program of a job, for the engine over Slurm",
    .help =
        "Runs the program INDEX of the file SPEC to its end and records that. Slurm's jobs call "
        "it; its exit status is for the engine.",
    .min = 2,
    .max = 2,
    .complete = "",
    .run = run,
};

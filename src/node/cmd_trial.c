/* flambe-node trial: runs one program within a job of Slurm's. The engine's own arrays call it; see
 * engine/engine.h. */
#include "engine/engine.h"
#include "node/node.h"
#include <limits.h>

static int run(struct cli *cli, struct err *err)
{
    int64_t index;
    const char *word = cli->args.items[1];
    if (!str_to_i64(str_of(word), 0, INT_MAX, &index))
        return err_set(err, ERR_USAGE, "INDEX is a number from 0, not '%s'", word);
    struct loop *loop = loop_new();
    struct err why = {0};
    cli->exit_status = engine_slurm_trial(loop, cli->args.items[0], (unsigned)index, &why);
    loop_free(loop);
    if (cli->exit_status && why.code)
        console_line(&cli->screen, "flambe-node: %s", why.msg);
    return 0;
}

const struct command node_trial = {
    .name = "trial",
    .usage = "SPEC INDEX",
    .summary = "run a trial's program, within a job of Slurm's",
    .help = "The jobs that flambe submits call this. SPEC is a file that the driver wrote on the "
            "shared tree, INDEX the program in it. The exit status tells the driver what became of "
            "the program, with the record that is beside SPEC.",
    .min = 2,
    .max = 2,
    .complete = "file",
    .run = run,
};

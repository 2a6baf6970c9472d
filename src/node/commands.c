/* flambe-node's table of verbs. Those of flambe that need neither AWS nor SSH are flambe's own; its
 * file is run by an entry (node_run), and its clusters are not looked at (node_status). */
#include "node/node.h"
#include "os/companion.h"

const struct command *const commands[] = {
    &node_watch, &node_queue, &node_run, &node_attach, &node_status,       &cmd_results,
    &cmd_logs,   &cmd_stop,   &cmd_log,  &node_trial,  &node_unit_command, &cmd_help,
};
const size_t command_count = COUNT_OF(commands);

/* So that a laptop can tell whether a host has the same program as it. */
static void add_build(struct buf *out)
{
    char id[COMPANION_ID_SIZE];
    if (companion_own_id(id, NULL) == 0)
        buf_addf(out, " (build %s)", id);
}

const struct program cli_program = {
    .name = "flambe-node",
    .usage = "Usage: flambe-node [OPTION...] COMMAND [OPERAND...]\n\n",
    .about = "The part of flambe that is on a cluster's hosts: carries experiments out and shows "
             "how they stand. It is started by the host itself, by flambe on the user's machine, "
             "and by trials that report numbers.",
    .add_build = add_build,
    .terminal_variable = "FLAMBE_TERMINAL",
    .operand_variable = "FLAMBE_OPERAND",
};

/* See commands.h. A new verb of flambe is a file cmd_VERB.c and a line here. */
#include "cli/commands.h"
#include "cli/file.h"

const struct command *const commands[] = {
    &cmd_up,     &cmd_run,       &cmd_plan, &cmd_status, &cmd_results,    &cmd_logs,
    &cmd_attach, &cmd_stop,      &cmd_log,  &cmd_ssh,    &cmd_exec,       &cmd_cp,
    &cmd_fetch,  &cmd_dashboard, &cmd_down, &cmd_schema, &cmd_completion, &cmd_help,
};
const size_t command_count = COUNT_OF(commands);

static const struct command *command_of(const char *path)
{
    return file_is_experiment(path) ? &cmd_run : &cmd_up;
}

const struct program cli_program = {
    .name = "flambe",
    .usage = "Usage: flambe [OPTION...] FILE.yaml\n"
             "       flambe [OPTION...] COMMAND [OPERAND...]\n\n",
    .about =
        "A cluster's file: makes the cluster on AWS EC2, finds it again by name, runs commands "
        "on it, and takes it down. An experiment's file: runs its trials on this machine.",
    .command_of_file = command_of,
};

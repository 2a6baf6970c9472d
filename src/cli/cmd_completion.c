/* flambe completion SHELL. */
#include "cli/commands.h"
#include "cli/help.h"
#include <string.h>

static int run(struct cli *cli, struct err *err)
{
    const char *shell = cli->args.items[0];
    for (size_t i = 0; completion_shells[i]; i++) {
        if (strcmp(completion_shells[i], shell) != 0)
            continue;
        AUTO_BUF struct buf text = {0};
        completion_write(shell, &text);
        output_write(&cli->out, buf_view(&text));
        return 0;
    }
    return err_set(err, ERR_USAGE, "no completion for '%s'; there is one for bash, zsh and fish",
                   shell);
}

static const char *const examples[] = {"source <(flambe completion bash)",
                                       "flambe completion fish | source", NULL};

const struct command cmd_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "write the completion script of a shell",
    .help = "Writes a script that lets the shell complete commands, options, cluster names and "
            "cluster files.",
    .examples = examples,
    .min = 1,
    .max = 1,
    .complete = "shell",
    .run = run,
};

/* flambe help [COMMAND]. */
#include "cli/commands.h"
#include "cli/help.h"

static int run(struct cli *cli, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (!cli->args.count) {
        help_overview(&text);
    } else {
        const char *name = cli->args.items[0];
        const struct command *c = command_find(name);
        if (!c) {
            const char *near = command_nearest(name);
            return err_set(err, ERR_USAGE, "unknown command '%s'%s%s%s", name,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        help_command(c, &text);
    }
    output_write(&cli->out, buf_view(&text));
    return 0;
}

const struct command cmd_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "show help",
    .help = "Shows what flambe does, or what a command does and its options.",
    .max = 1,
    .complete = "verb",
    .run = run,
};

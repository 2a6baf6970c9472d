/* flambe ssh: becomes the user's own ssh, so that agents, jump hosts and hardware keys work; only
 * whom it trusts is decided here. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/reach.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int prepare(struct reach *r, const char *host, struct strv *argv, struct err *err)
{
    if (r->picked.count > 1)
        return err_set(err, ERR_USAGE, "ssh goes to one host; '%s' means %zu", host,
                       r->picked.count);
    const struct ssh_target *t = reach_target(r, 0);
    if (!t) {
        reach_no_address(r, 0, err);
        return err_wrap(err, "'%s'", reach_name(r, 0));
    }
    strv_add(argv, "ssh");
    if (reach_ssh_options(r, 0, argv, err) == -1)
        return -1;
    strv_add(argv, "-p");
    strv_take(argv, mem_printf("%d", t->port ? t->port : 22));
    strv_take(argv, mem_printf("%s@%s", t->user, t->address));
    return 0;
}

/* Returns only where ssh could not be started. */
static int become(struct strv *argv, struct err *err)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    AUTO_FREE char **words = mem_array(argv->count + 1, sizeof *words);
    for (size_t i = 0; i < argv->count; i++)
        words[i] = argv->items[i];
    execvp(words[0], words);
    return err_set_sys(err, errno, "cannot run 'ssh'");
}

static int run(struct cli *cli, struct err *err)
{
    size_t named = cli->args.dashes < cli->args.count ? cli->args.dashes : cli->args.count;
    if (named < 1 || named > 2) {
        cli_hint(cli, "flambe ssh CLUSTER HOST -- COMMAND, or 'flambe exec' for several hosts");
        return err_set(err, ERR_USAGE,
                       named ? "'flambe ssh' takes a cluster and a host before '--'"
                             : "'flambe ssh' needs a cluster");
    }
    struct reach r;
    AUTO_STRV struct strv argv = {0};
    const char *host = named == 2 ? cli->args.items[1] : "orchestrator";
    int rc = reach_open(&r, cli, cli->args.items[0], host, err);
    if (rc == 0)
        rc = prepare(&r, host, &argv, err);
    for (size_t i = named; rc == 0 && i < cli->args.count; i++)
        strv_add(&argv, cli->args.items[i]);
    reach_done(&r);
    return rc == 0 ? become(&argv, err) : -1;
}

static const struct option_row options[] = {OPTION_CREATOR, OPTION_IDENTITY};
static const char *const examples[] = {"flambe ssh mine", "flambe ssh mine factory_1",
                                       "flambe ssh mine 2 -- -L 6006:localhost:6006", NULL};

const struct command cmd_ssh = {
    .name = "ssh",
    .usage = "CLUSTER [HOST] [-- ARGUMENT...]",
    .summary = "log in to a host of a cluster",
    .help =
        "Starts your own ssh, with your agent, jump hosts and configuration, on the "
        "orchestrator or on HOST: a name, a factory's number, an instance id or an address. The "
        "host must show the key that is pinned for it. What stands behind '--' goes to ssh as "
        "it is: options, or a command.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = OPERANDS_ANY,
    .complete = "cluster",
    .run = run,
};

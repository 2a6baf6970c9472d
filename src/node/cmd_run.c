/* flambe-node run: carries out the experiment of an entry. 'flambe-node watch' starts it, as the
 * login user, and again where it dies. */
#include "base/mem.h"
#include "node/engines.h"
#include "node/entry.h"
#include "node/login.h"
#include "node/node.h"
#include <errno.h>
#include <unistd.h>

static int carry(struct cli *cli, struct entry *e, struct err *err)
{
    if (chdir(e->work) == -1)
        return err_set_sys(err, errno, "cannot work in '%s'", e->work);
    AUTO_FREE char *id = entry_order(cli->args.items[0], e);
    struct carry_order order = {.path = e->file,
                                .name = e->name,
                                .save_path = e->save_path,
                                .state = e->state,
                                .secrets = e->secrets,
                                .id = id,
                                .by = e->by,
                                .python = e->python,
                                .install = e->install,
                                .force = e->force,
                                .reuse = e->reuse,
                                .resources = e->resources,
                                .extensions = e->extensions,
                                .engine = node_make_engine,
                                .find_resources = node_find_resources,
                                .ctx = e};
    return carry_out(cli, &order, err);
}

static int run(struct cli *cli, struct err *err)
{
    struct entry e;
    if ((cli->opt.as && login_become(cli->opt.as, err) == -1) ||
        entry_load(cli->args.items[0], &e, err) == -1)
        return -1;
    int rc = carry(cli, &e, err);
    entry_done(&e);
    return rc;
}

static const struct option_row options[] = {
    OPTION_AS,
};

const struct command node_run = {
    .name = "run",
    .usage = "ENTRY",
    .summary = "carry out the experiment of an entry",
    .help = "ENTRY is the file of an entry, as it is in the queue: see flambe-node(8). Where an "
            "earlier process of the same entry died, what it left is gone on with.\n"
            "\n"
            "SIGINT or SIGTERM once lets the running trials end, twice ends them.",
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

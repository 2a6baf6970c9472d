/* flambe FILE, flambe run FILE: carries an experiment out on this machine, or on a cluster. */
#include "base/mem.h"
#include "cli/carry_out.h"
#include "cli/cluster_run.h"
#include "cli/commands.h"
#include "cli/net_fetch.h"
#include "cli/text.h"

static void fetch_begin(void *ctx, const struct resource *r)
{
    struct cli *cli = ctx;
    AUTO_BUF struct buf clean = {0}; /* not its URL, which may hold a password */
    text_clean(str_of(r->name), false, &clean);
    console_line(&cli->screen, "fetching '%s'", buf_text(&clean));
}

static void fetch_progress(void *ctx, const struct resource *r, uint64_t so_far, uint64_t total)
{
    struct cli *cli = ctx;
    struct strv lines = {0};
    double mb = (double)so_far / 1e6;
    strv_take(&lines, total ? mem_printf("%s: %.1f of %.1f MB", r->name, mb, (double)total / 1e6)
                            : mem_printf("%s: %.1f MB", r->name, mb));
    console_draw(&cli->screen, &lines);
}

static void fetch_end(void *ctx, const struct resource *r, uint64_t size)
{
    struct cli *cli = ctx;
    (void)r;
    (void)size;
    console_erase(&cli->screen);
}

int run_fetch(void *ctx, struct loop *loop, const struct experiment *e, const char *directory,
              struct strv *paths, struct err *err)
{
    struct cli *cli = ctx;
    struct net_fetch net;
    struct fetch_watch watch = {fetch_begin, fetch_progress, fetch_end, cli};
    net_fetch_init(&net, cli, loop);
    struct fetcher fetcher = net_fetch_fetcher(&net);
    int rc = resources_fetch(e, directory, &fetcher, &watch, paths, err);
    net_fetch_done(&net);
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    const struct cli_options *opt = &cli->opt;
    if (opt->cluster)
        return cluster_run(cli, cli->args.items[0], opt->cluster, err);
    if (opt->queue)
        return err_set(err, ERR_USAGE, "'--queue' is for a cluster, which '-c' names");
    struct carry_order order = {.path = cli->args.items[0],
                                .secrets = opt->secrets,
                                .install = opt->install,
                                .force = opt->force,
                                .reuse = opt->reuse,
                                .debug = opt->debug,
                                .engine = carry_engine_local,
                                .find_resources = run_fetch,
                                .ctx = cli};
    return carry_out(cli, &order, err);
}

#define FIELD(name) offsetof(struct cli_options, name)

static const struct option_row options[] = {
    {"cluster", 'c', OPTION_TEXT, "CLUSTER", NULL,
     "run it on this cluster: a cluster file, whose cluster is made where it is not up, or a name",
     FIELD(cluster)},
    {"queue", 0, OPTION_FLAG, NULL, NULL, "with -c: wait behind the experiment that runs there",
     FIELD(queue)},
    {"install", 'i', OPTION_FLAG, NULL, NULL,
     "install the extensions that are packages or git URLs, in an environment of the results",
     FIELD(install)},
    {"force", 'f', OPTION_FLAG, NULL, NULL,
     "remove the results that an experiment of this name has", FIELD(force)},
    {"reuse", 0, OPTION_FLAG, NULL, NULL,
     "take from those results the trials whose inputs have not changed", FIELD(reuse)},
    {"secrets", 's', OPTION_TEXT, "FILE", NULL,
     "a file of secrets, which trials find by FLAMBE_SECRETS; else ~/.flambe/secrets.ini",
     FIELD(secrets)},
    {"debug", 'd', OPTION_FLAG, NULL, NULL, "run one trial at a time and show what it prints",
     FIELD(debug)},
    OPTION_ACCEPT_NEW_HOST_KEYS,
    OPTION_CREATOR,
    {"identity", 0, OPTION_TEXT, "FILE", NULL,
     "with -c: the private key, where this machine did not make the cluster", FIELD(identity)},
};

static const char *const examples[] = {
    "flambe experiment.yaml", "flambe experiment.yaml -c aws-cluster.yaml",
    "flambe run experiment.yaml --reuse", "flambe run experiment.yaml -o json", NULL};

const struct command cmd_run = {
    .name = "run",
    .usage = "FILE",
    .summary = "carry out the experiment of a file, on this machine or on a cluster",
    .help =
        "Runs each stage's trials, as many at once as there are CPUs and GPUs for, and shows how "
        "they stand. 'flambe FILE' is the same.\n"
        "\n"
        "Ctrl-C once lets the running trials end, twice ends them. After that, after a crash or a "
        "power cut, the same command goes on: trials that have ended are kept, those that were "
        "running are run again, and those that failed are tried again. When all is done, the file "
        "changes or the program does, --reuse runs what has changed, and --force all of it.\n"
        "\n"
        "Results are in SAVE_PATH/output__NAME: STAGE/VARIANT of each trial, flambe.db for "
        "'flambe status', 'flambe results' and 'flambe logs', experiment.yaml with the numbers "
        "that were drawn, run.json and git.diff with what the results came from.\n"
        "\n"
        "With -c the same runs on a cluster, on all of its factories; the orchestrator runs no "
        "trials unless it is alone. The current directory is sent to the hosts, as "
        "experiment.yaml(5) tells, and the experiment is carried out there, whatever becomes of "
        "this machine: Ctrl-C detaches this command and ends nothing. One experiment runs at a "
        "time: another is refused, waits with --queue, or takes its place with --force. "
        "'flambe attach', 'status', 'results', 'logs' and 'stop' take CLUSTER:EXPERIMENT, and "
        "'flambe fetch' brings the results home.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

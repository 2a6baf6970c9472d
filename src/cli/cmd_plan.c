/* flambe plan FILE: what `flambe FILE` would do. */
#include "cli/commands.h"
#include "cli/experiment_view.h"
#include "cli/plan_view.h"
#include "cli/text.h"

static int run_cluster(struct cli *cli, struct err *err)
{
    struct planned p;
    int rc = planned_load(&p, cli, cli->args.items[0], err);
    if (rc == 0)
        rc = planned_look(&p, false, err);
    if (rc == 0 && cli->json) {
        output_json(&cli->out, plan_json(&p.plan));
    } else if (rc == 0) {
        AUTO_BUF struct buf text = {0}, clean = {0};
        plan_text(&p.plan, &text);
        text_clean(buf_view(&text), true, &clean);
        output_write(&cli->out, buf_view(&clean));
    }
    planned_done(&p);
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    const char *path = cli->args.items[0];
    return file_is_experiment(path) ? experiment_view(cli, path, err) : run_cluster(cli, err);
}

static const char *const examples[] = {"flambe plan aws-cluster.yaml",
                                       "flambe plan experiment.yaml", NULL};

const struct command cmd_plan = {
    .name = "plan",
    .usage = "FILE",
    .summary = "show what a cluster or experiment file would do, without doing it",
    .help =
        "Of a cluster file: looks at what AWS has of that cluster, and shows what 'flambe FILE' "
        "would make, keep and start, and what the result costs an hour. Makes nothing.\n"
        "Of an experiment file: checks it, and shows its stages, their options and links, and "
        "how many trials they come to, with the names of the first. Needs no cluster and no "
        "account, and fetches and runs nothing.",
    .examples = examples,
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

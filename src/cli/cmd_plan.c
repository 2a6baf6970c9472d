/* flambe plan FILE: what `flambe FILE` would do. */
#include "cli/commands.h"
#include "cli/experiment_view.h"
#include "cli/plan_view.h"
#include "cli/text.h"

static void show(struct planned *p, const struct err *why)
{
    struct cli *cli = p->session.cli;
    if (!cli->json) {
        AUTO_BUF struct buf text = {0}, clean = {0};
        plan_text(&p->plan, &text);
        text_clean(buf_view(&text), true, &clean);
        output_write(&cli->out, buf_view(&clean));
        return;
    }
    json_t *value = plan_json(&p->plan);
    if (why && cli->error_details)
        json_object_update(value, cli->error_details);
    if (why)
        json_object_set_new(value, "error", cli_error_json(why));
    output_json(&cli->out, value);
}

static bool creates(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].verb == PLAN_CREATE)
            return true;
    return false;
}

/* Whether `flambe FILE` could do it. What is wrong with the key is told as well as the rest. */
static int judge(struct planned *p, struct err *err)
{
    struct ssh_identity *identity = NULL;
    struct cluster_launch *launch = NULL;
    struct err key = {0};
    int rc = planned_identity(p, &identity, &key);
    if (creates(&p->plan) && planned_preflight(p, identity, &launch, err) == -1) {
        if (rc == -1)
            cli_warn(p->session.cli, key.msg);
        rc = -1;
    } else if (rc == -1) {
        err_copy(err, &key);
    }
    cluster_launch_free(launch);
    ssh_identity_free(identity);
    return rc;
}

static int run_cluster(struct cli *cli, struct err *err)
{
    struct planned p;
    struct err why = {0};
    int rc = planned_load(&p, cli, cli->args.items[0], false, err);
    if (rc == 0)
        rc = planned_look(&p, false, err);
    if (rc == 0) {
        if (p.plan.usd_per_hour < 0)
            cluster_price(&p.session.cluster, &p.plan);
        if (!cli->json)
            show(&p, NULL);
        rc = judge(&p, &why);
        if (cli->json)
            show(&p, rc == -1 ? &why : NULL);
        if (rc == -1)
            err_copy(err, &why);
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
        "would make, keep and start, what the result costs an hour, and what it would fail for: "
        "then the exit status is not 0. Makes nothing.\n\n"
        "Of an experiment file: checks it, and shows its stages, their options and links, and "
        "how many trials they come to, with the names of the first. Needs no cluster and no "
        "account, and fetches and runs nothing.",
    .examples = examples,
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

/* flambe down: terminates a cluster and proves that nothing of it is left. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/hosttable.h"
#include "cli/session.h"
#include "cluster/files.h"

#define ASK_TIMEOUT (10 * USEC_PER_SEC)

static int ask(struct session *s, const struct target *t, const struct cluster_hosts *hosts,
               bool *declined, struct err *err)
{
    AUTO_STRV struct strv lines = {0};
    size_t width, height;
    console_size(&s->cli->screen, &width, &height);
    hosttable_status(t->name, hosts, clock_wall(clock_system()), width, s->cli->screen.color,
                     &lines);
    for (size_t i = 0; i < lines.count; i++)
        console_line(&s->cli->screen, "%s", lines.items[i]);
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "terminate %s%zu %s of '%s', with what is on %s?",
             hosts->count == 1 ? "the " : "these ", hosts->count,
             hosts->count == 1 ? "machine" : "machines", t->name,
             hosts->count == 1 ? "it" : "them");
    return cli_confirm(s->cli, s->loop, buf_text(&text), declined, err);
}

static void say(struct session *s, const struct target *t, const struct cluster_down_result *r)
{
    if (s->cli->json) {
        output_json(&s->cli->out,
                    json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "cluster", t->name, "creator",
                              t->creator, "region", aws_region(s->cluster.aws), "terminated",
                              (json_int_t)r->terminated, "alarms", (json_int_t)r->alarms, "proven",
                              r->proven));
        return;
    }
    output_printf(&s->cli->out, "'%s' is down: %zu %s terminated, %zu %s removed\n", t->name,
                  r->terminated, r->terminated == 1 ? "machine" : "machines", r->alarms,
                  r->alarms == 1 ? "alarm" : "alarms");
    if (r->proven)
        output_printf(&s->cli->out,
                      "asked again: no machine, volume or alarm of it is left in %s\n",
                      aws_region(s->cluster.aws));
}

/* ---- what would be lost ------------------------------------------------------------------------
 */

static const struct cluster_host *orchestrator_of(const struct cluster_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->items[i].role == ROLE_ORCHESTRATOR)
            return &hosts->items[i];
    return NULL;
}

/* Asks the orchestrator. */
static int ask_results(struct session *s, const struct target *t, const struct cluster_host *host,
                       struct files_results *out, struct err *err)
{
    struct cluster_hosts one = {.items = (struct cluster_host *)host, .count = 1};
    struct cluster_targets targets = {0};
    struct ssh_identity *identity = NULL;
    struct remote *remote = NULL;
    if (host->state != EC2_RUNNING)
        return err_set(err, ERR_UNREACHABLE, "it is %s", ec2_state_name(host->state));
    int rc = cluster_targets(&s->cluster, t->creator, t->name, &one, t->username, t->ssh_port,
                             &targets, err);
    if (rc == 0 && !targets.count)
        rc = err_set(err, ERR_UNREACHABLE, "it has no address");
    if (rc == 0 && !t->key_path && !s->cli->opt.identity)
        rc = err_set(err, ERR_NOT_FOUND, "this machine does not know its private key");
    if (rc == 0)
        rc = target_load_identity(s->cli, t, &identity, err);
    if (rc == 0)
        rc = remote_open(s->loop, &targets.items[0], identity, ASK_TIMEOUT, &remote, err);
    if (rc == 0)
        rc = cluster_unfetched(remote, out, err);
    remote_close(remote);
    ssh_identity_free(identity);
    cluster_targets_done(&targets);
    return rc;
}

/* Refuses where results would be lost. A cluster that cannot be asked is no reason to keep it, but
 * the person is to know. */
static int check_results(struct session *s, const struct target *t,
                         const struct cluster_hosts *hosts, struct err *err)
{
    const struct cluster_host *host = orchestrator_of(hosts);
    struct files_results there = {0};
    struct err why = {0};
    if (!host || s->cli->opt.lose_results)
        return 0;
    if (ask_results(s, t, host, &there, &why) == -1) {
        if (why.code == ERR_CANCELLED)
            return err_copy(err, &why);
        AUTO_FREE char *text = mem_printf(
            "whether '%s' has results that were not fetched cannot be asked: %s", t->name, why.msg);
        cli_warn(s->cli, text);
        return 0;
    }
    int rc = 0;
    AUTO_FREE char *names = strv_join(&there.unfetched, ", ");
    if (there.unfetched.count || there.at_work) {
        cli_hint(s->cli, "flambe fetch %s   to bring them home", s->cli->args.items[0]);
        cli_hint(s->cli, "flambe down --lose-results %s", s->cli->args.items[0]);
    }
    if (there.at_work)
        rc = err_set(err, ERR_CONFLICT, "'%s' is at work: %zu experiment%s there run%s or wait%s",
                     t->name, there.at_work, there.at_work == 1 ? "" : "s",
                     there.at_work == 1 ? "s" : "", there.at_work == 1 ? "s" : "");
    else if (there.unfetched.count)
        rc = err_set(err, ERR_CONFLICT, "the results of %s on '%s' were not fetched, or not all",
                     names, t->name);
    files_results_done(&there);
    return rc;
}

static int take_down(struct session *s, const struct target *t, struct err *err)
{
    struct cluster_hosts hosts = {0};
    if (cluster_observe(&s->cluster, t->creator, t->name, &hosts, err) == -1)
        return -1;
    bool declined = false;
    int rc = check_results(s, t, &hosts, err);
    if (rc == 0 && hosts.count)
        rc = ask(s, t, &hosts, &declined, err);
    cluster_hosts_done(&hosts);
    if (rc == -1)
        return -1;
    if (declined)
        return err_set(err, ERR_REJECTED, "nothing was done");

    s->after_signal = "stopping; what was asked of AWS goes on; Ctrl-C once more ends at once";
    struct live *live = live_new(s->loop, &s->cli->screen, t->name);
    live_watch(live, &s->cluster.watch);
    struct cluster_down_result result = {0};
    rc = cluster_down(&s->cluster, t->creator, t->name, &result, err);
    session_watch(s);
    live_free(live);
    if (rc == 0)
        say(s, t, &result);
    return rc;
}

/* Machines that existed before are not flambe's to end. */
static int refuse_machines(struct cli *cli, const struct target *t, struct err *err)
{
    cli_hint(cli, "flambe stop %s:   to end the experiment that runs there", t->name);
    cli_hint(cli,
             "flambe exec %s -- 'sudo systemctl disable --now $(cat /etc/flambe/units)'   to end "
             "what flambe started there; 'flambe up' starts it again",
             t->name);
    return err_set(err, ERR_USAGE,
                   "the machines of '%s' existed before flambe, which does not end them", t->name);
}

static int run(struct cli *cli, struct err *err)
{
    struct session s;
    session_init(&s, cli);
    struct target t = {0};
    int rc = target_open(&s, cli->args.items[0], &t, err);
    if (rc == 0 && !s.cluster.aws) {
        rc = refuse_machines(cli, &t, err);
    } else if (rc == 0) {
        rc = take_down(&s, &t, err);
        if (rc == -1 && err->code != ERR_REJECTED && err->code != ERR_USAGE && !cli->hints.count)
            cli_hint(cli, "flambe down %s, again: it goes on where it was", cli->args.items[0]);
    }
    target_done(&t);
    session_done(&s);
    return rc;
}

static const struct option_row options[] = {
    {"lose-results", 0, OPTION_FLAG, NULL, NULL,
     "destroy results that were not fetched, and experiments that run",
     offsetof(struct cli_options, lose_results)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};
static const char *const examples[] = {"flambe down mine", "flambe down -y aws-cluster.yaml", NULL};

const struct command cmd_down = {
    .name = "down",
    .usage = "CLUSTER",
    .summary = "terminate a cluster, and prove that nothing of it is left",
    .help =
        "CLUSTER is a name or a cluster file. Shows the machines, asks once, terminates them, "
        "removes the cluster's alarms, waits until AWS says that all is terminated, and asks "
        "again for anything that is tagged as the cluster's. A cluster that is not up is no "
        "error where its file is given; its name alone is forgotten by then.\n"
        "\n"
        "Where an experiment runs or waits there, or results have changed since 'flambe fetch' "
        "brought them, nothing is done without --lose-results; -y does not answer that. "
        "Whether there are any cannot be asked of a cluster that does not answer: that is said, "
        "and the one question asked all the same.\n"
        "\n"
        "Machines that existed before, those of an !SSHCluster, are not ended: what to type to "
        "stop "
        "what flambe started on them is said.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "cluster",
    .run = run,
};

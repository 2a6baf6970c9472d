/* flambe FILE, flambe up FILE: makes the cluster, or what is missing of it. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/cluster_run.h"
#include "cli/commands.h"
#include "cli/hosttable.h"
#include "cli/plan_view.h"
#include "cli/text.h"
#include "cli/trust.h"
#include "os/companion.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct up {
    struct cli *cli;
    const char *path;
    struct planned planned;
    struct ssh_identity *identity;
    struct cluster_launch *launch;
    char *node_program; /* flambe-node, for the hosts; NULL where there is none */
    usec_t began;
    bool quiet; /* an experiment is to run there: that it is ready is no result */
    struct cluster_equipped equipped;
};

static size_t count_steps(const struct plan *p, enum plan_verb verb)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += p->steps[i].verb == verb;
    return n;
}

static void question(const struct plan *p, struct buf *out)
{
    size_t make = count_steps(p, PLAN_CREATE);
    size_t start = count_steps(p, PLAN_START) + count_steps(p, PLAN_WAIT);
    if (make)
        buf_addf(out, "make %s %zu %s", make == 1 ? "this" : "these", make,
                 make == 1 ? "machine" : "machines");
    if (start)
        buf_addf(out, "%sstart %zu stopped %s", make ? " and " : "", start,
                 start == 1 ? "machine" : "machines");
    const char *price = price_text(p->usd_per_hour);
    if (*price)
        buf_addf(out, ", %s%s", price, p->alive || p->extra ? " for the whole cluster" : "");
    buf_addc(out, '?');
}

/* *go is false where the user said no. */
static int decide(struct up *u, bool *go, struct err *err)
{
    struct cli *cli = u->cli;
    const struct plan *plan = &u->planned.plan;
    *go = true;
    if (plan_is_empty(plan)) {
        if (plan->differences.count || plan->extra || cli->opt.verbose)
            planned_show(&u->planned);
        return 0;
    }
    planned_show(&u->planned);
    AUTO_BUF struct buf text = {0};
    question(plan, &text);
    bool can_ask = cli->screen.tty && isatty(STDIN_FILENO) == 1;
    bool declined = false;
    if (!cli->opt.yes && !can_ask)
        return cli_confirm(cli, u->planned.session.loop, buf_text(&text), &declined, err);
    if (count_steps(plan, PLAN_CREATE) &&
        planned_preflight(&u->planned, u->identity, &u->launch, err) == -1)
        return -1;
    if (cli_confirm(cli, u->planned.session.loop, buf_text(&text), &declined, err) == -1)
        return -1;
    *go = !declined;
    return 0;
}

static size_t count_alive(const struct cluster_hosts *hosts)
{
    size_t n = 0;
    for (size_t i = 0; i < hosts->count; i++)
        n += hosts->items[i].instance_id && hosts->items[i].phase != HOST_GONE &&
             hosts->items[i].phase != HOST_GOING;
    return n;
}

static void say_ready(struct up *u, const struct cluster_hosts *hosts)
{
    const char *name = u->planned.spec.name;
    const char *price = price_text(u->planned.plan.usd_per_hour);
    char took[CLOCK_SPAN_SIZE];
    clock_span(clock_mono(clock_system()) - u->began, took);
    output_printf(&u->cli->out, "'%s' is ready: %zu %s in %s%s%s\n", name, hosts->count,
                  hosts->count == 1 ? "host" : "hosts", took, *price ? ", " : "", price);
    if (u->planned.spec.kind == CLUSTER_SSH) {
        output_printf(&u->cli->out,
                      "next: flambe ssh %s%*s   log in to the orchestrator\n"
                      "      flambe exec %s -- COMMAND   run a command on every host\n",
                      name, (int)strlen(" -- COMMAND") + 1, "", name);
        return;
    }
    output_printf(&u->cli->out,
                  "next: flambe ssh %s%*s   log in to the orchestrator\n"
                  "      flambe exec %s -- COMMAND   run a command on every host\n"
                  "      flambe down %s%*s   take it down\n",
                  name, (int)strlen(" -- COMMAND") + 1, "", name, name, (int)strlen(" -- COMMAND"),
                  "");
}

static void say_json(struct up *u, const struct cluster_hosts *hosts, const struct err *why)
{
    double usd = why ? cluster_hosts_price(&u->planned.session.cluster, hosts)
                     : u->planned.plan.usd_per_hour;
    usec_t took = clock_mono(clock_system()) - u->began;
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:b, s:f, s:o}", "cluster", u->planned.spec.name, "creator",
        u->planned.spec.creator, "region", cluster_region(&u->planned.session.cluster), "ready",
        why == NULL, "took_s", (double)took / (double)USEC_PER_SEC, "hosts", hosts_json(hosts));
    if (usd >= 0)
        json_object_set_new(value, "usd_per_hour", json_rounded(usd));
    if (why)
        json_object_set_new(value, "error", cli_error_json(why));
    output_json(&u->cli->out, value);
}

static const struct cluster_host *first_failed(const struct cluster_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->items[i].phase == HOST_FAILED && hosts->items[i].instance_id)
            return &hosts->items[i];
    return NULL;
}

/* The same of machines that exist already, and cost nothing of ours. */
static void explain_machines(struct up *u, const struct cluster_hosts *hosts, struct err *why)
{
    struct cluster *c = &u->planned.session.cluster;
    const struct cluster_spec *spec = &u->planned.spec;
    const struct cluster_host *foreign = why->code == ERR_HOST_KEY ? first_failed(hosts) : NULL;
    if (why->code == ERR_CANCELLED)
        err_set(why, ERR_CANCELLED, "stopped");
    if (foreign) {
        AUTO_FREE char *path = cluster_known_hosts_path(c, spec->creator, spec->name);
        AUTO_BUF struct buf quoted = {0};
        text_shell_quote(path, &quoted);
        cli_hint(u->cli,
                 "ssh-keygen -R %s -f %s   to forget its old key, if you know why it changed",
                 foreign->instance_id, buf_text(&quoted));
    } else {
        cli_hint(u->cli, "flambe %s   to complete it", u->path);
    }
}

/* What is left behind a failure or a Ctrl-C, and what to type. */
static void explain(struct up *u, const struct cluster_hosts *hosts, struct err *why)
{
    size_t left = count_alive(hosts);
    if (u->planned.spec.kind == CLUSTER_SSH) {
        explain_machines(u, hosts, why);
        return;
    }
    if (why->code == ERR_CANCELLED && left)
        err_set(why, ERR_CANCELLED, "stopped: %zu %s of '%s' %s there and cost%s money until down",
                left, left == 1 ? "machine" : "machines", u->planned.spec.name,
                left == 1 ? "is" : "are", left == 1 ? "s" : "");
    else if (why->code == ERR_CANCELLED)
        err_set(why, ERR_CANCELLED,
                "stopped: no machine of '%s' is known to be there; a launch under way may still "
                "make some",
                u->planned.spec.name);
    if (!left && why->code != ERR_CANCELLED)
        return;
    const struct cluster_host *foreign = why->code == ERR_HOST_KEY ? first_failed(hosts) : NULL;
    if (foreign) /* running again would meet the same stranger */
        cli_hint(
            u->cli,
            "aws ec2 terminate-instances --region %s --instance-ids %s   to be rid of it, then "
            "run again",
            aws_region(u->planned.session.cluster.aws), foreign->instance_id);
    else
        cli_hint(u->cli, "flambe %s        to complete it", u->path);
    cli_hint(u->cli, "flambe down %s   to take it down", u->path);
}

static int act(struct up *u, struct err *err)
{
    struct session *s = &u->planned.session;
    struct cluster_hosts hosts = {0};
    s->after_signal = "stopping; Ctrl-C once more ends at once";
    struct live *live = live_new(s->loop, &u->cli->screen, u->planned.spec.name);
    live_watch(live, &s->cluster.watch);
    s->cluster.node_program = u->node_program;
    struct err why = {0};
    int rc = cluster_up(&s->cluster, &u->planned.spec, &u->planned.plan, u->launch, u->identity,
                        &hosts, &why);
    session_watch(s);
    if (!plan_is_empty(&u->planned.plan) || rc == -1)
        live_keep(live);
    live_free(live);
    if (rc == -1)
        explain(u, &hosts, &why);
    u->equipped = s->cluster.equipped;
    if (u->cli->json && !u->quiet)
        say_json(u, &hosts, rc == -1 ? &why : NULL);
    else if (rc == 0 && !u->quiet)
        say_ready(u, &hosts);
    cluster_hosts_done(&hosts);
    return rc == -1 ? err_copy(err, &why) : 0;
}

static int up(struct up *made, struct err *err)
{
    struct up u = *made;
    struct cli *cli = u.cli;
    bool go = false;
    int rc = planned_load(&u.planned, cli, u.path, true, err);
    if (rc == 0)
        rc = planned_identity(&u.planned, &u.identity, err);
    if (rc == 0)
        /* What an earlier run left is launched again only with a yes: given here, or later, when
         * cluster_up() does it. */
        rc = planned_look(&u.planned, cli->opt.yes, err);
    if (rc == 0 && u.planned.spec.kind == CLUSTER_SSH)
        rc = cluster_meet(&u.planned.session.cluster, &u.planned.spec, &u.planned.hosts, trust_ask,
                          &u.planned.session, err);
    if (rc == 0)
        rc = decide(&u, &go, err);
    struct err none = {0};
    if (rc == 0 && go && companion_node(&u.node_program, &none) == -1)
        cli_verbose(cli, 1, "the hosts get no flambe-node: %s", none.msg);
    if (rc == 0 && go)
        rc = act(&u, err);
    else if (rc == 0)
        rc = err_set(err, ERR_REJECTED, "nothing was done");
    cluster_launch_free(u.launch);
    ssh_identity_free(u.identity);
    free(u.node_program);
    planned_done(&u.planned);
    made->equipped = u.equipped;
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    struct up u = {.cli = cli, .path = cli->args.items[0], .began = clock_mono(clock_system())};
    return up(&u, err);
}

int up_for_experiment(struct cli *cli, const char *path, struct cluster_equipped *out,
                      struct err *err)
{
    struct up u = {.cli = cli, .path = path, .began = clock_mono(clock_system()), .quiet = true};
    int rc = up(&u, err);
    *out = u.equipped;
    return rc;
}

static const struct option_row options[] = {OPTION_ACCEPT_NEW_HOST_KEYS};

static const char *const examples[] = {"flambe aws-cluster.yaml", "flambe -y aws-cluster.yaml",
                                       NULL};

const struct command cmd_up = {
    .name = "up",
    .usage = "FILE",
    .summary = "make the cluster of a file, or what is missing of it",
    .help =
        "Finds the cluster by its creator and name, shows what is missing, asks once, makes it, "
        "and waits until every host is ready. 'flambe FILE' is the same.\n"
        "\n"
        "Machines that run are kept, never replaced: where one differs from the file, the "
        "difference is shown. Without a terminal nothing is made unless -y is given. Ctrl-C "
        "leaves a cluster that the next run completes.\n"
        "\n"
        "Of machines that exist already, an !SSHCluster, none is made: they are set up and "
        "equipped. "
        "Host keys that your known_hosts does not have are shown, and asked about once; -y does "
        "not "
        "answer that.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "file",
    .run = run,
};

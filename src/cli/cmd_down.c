/* flambe down: terminates a cluster and proves that nothing of it is left. */
#include "cli/commands.h"
#include "cli/hosttable.h"
#include "cli/session.h"

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

static int take_down(struct session *s, const struct target *t, struct err *err)
{
    struct cluster_hosts hosts = {0};
    if (cluster_observe(&s->cluster, t->creator, t->name, &hosts, err) == -1)
        return -1;
    bool declined = false;
    int rc = hosts.count ? ask(s, t, &hosts, &declined, err) : 0;
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

static int run(struct cli *cli, struct err *err)
{
    struct session s;
    session_init(&s, cli);
    struct target t = {0};
    int rc = target_open(&s, cli->args.items[0], &t, err);
    if (rc == 0) {
        rc = take_down(&s, &t, err);
        if (rc == -1 && err->code != ERR_REJECTED && err->code != ERR_USAGE)
            cli_hint(cli, "flambe down %s, again: it goes on where it was", cli->args.items[0]);
    }
    target_done(&t);
    session_done(&s);
    return rc;
}

static const struct option_row options[] = {OPTION_CREATOR};
static const char *const examples[] = {"flambe down mine", "flambe down -y aws-cluster.yaml", NULL};

const struct command cmd_down = {
    .name = "down",
    .usage = "CLUSTER",
    .summary = "terminate a cluster, and prove that nothing of it is left",
    .help = "CLUSTER is a name or a cluster file. Shows the machines, asks once, terminates them, "
            "removes the cluster's alarms, waits until AWS says that all is terminated, and asks "
            "again for anything that is tagged as the cluster's. A cluster that is not up is no "
            "error where its file is given; its name alone is forgotten by then.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "cluster",
    .run = run,
};

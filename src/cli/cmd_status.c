/* flambe status: one cluster's hosts, or all your clusters in the region; or how an experiment on
 * this machine stands. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/hosttable.h"
#include "cli/node_link.h"
#include "cli/plan_view.h"
#include "cli/results.h"
#include "cli/session.h"
#include "cli/text.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

static void show_hosts(struct cli *cli, const char *name, const char *creator, const char *region,
                       const struct cluster_hosts *hosts, double usd_per_hour)
{
    AUTO_BUF struct buf counts = {0}, head = {0}, clean = {0};
    hostview_counts(hosts, &counts);
    buf_addf(&head, "'%s' of %s in %s: %zu %s%s%s", name, creator, region, hosts->count,
             hosts->count == 1 ? "host" : "hosts", hosts->count ? ", " : "", buf_text(&counts));
    if (usd_per_hour >= 0)
        buf_addf(&head, ", %s", price_text(usd_per_hour));
    text_clean(buf_view(&head), false, &clean);
    output_printf(&cli->out, "%s\n", buf_text(&clean));
    if (!hosts->count)
        return;
    AUTO_STRV struct strv lines = {0};
    hosttable_status(name, hosts, clock_wall(clock_system()), cli_width(cli), cli->out.color,
                     &lines);
    AUTO_FREE char *text = strv_join(&lines, "\n");
    output_printf(&cli->out, "%s\n", text);
}

static json_t *cluster_json(const char *name, const char *creator, const char *region,
                            const struct cluster_hosts *hosts)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "cluster", name, "creator", creator, "region", region,
                     "hosts", hosts_json(hosts));
}

/* What runs and waits there: flambe-node's list, or NULL where it is not to be had at once. */
static json_t *ask_queue(struct cli *cli, const struct target *t, const struct cluster_hosts *hosts)
{
    const struct cluster_host *first = hosts->count ? &hosts->items[0] : NULL;
    struct node_link l;
    json_auto_t *queue = NULL;
    if (!t->recorded || !first || first->role != ROLE_ORCHESTRATOR || first->state != EC2_RUNNING)
        return NULL;
    size_t hints = cli->hints.count;
    json_t *entries = NULL;
    if (node_link_open(&l, cli, t->name, 0, NULL) == 0 && node_queue(&l, &queue, NULL) == 0)
        entries = json_incref(json_object_get(queue, "entries"));
    node_link_done(&l);
    while (cli->hints.count > hints) /* of what is no error here */
        free(cli->hints.items[--cli->hints.count]);
    return entries;
}

static void show_queue(struct cli *cli, const char *cluster, const json_t *entries)
{
    size_t i;
    const json_t *e;
    json_array_foreach(entries, i, e)
    {
        const char *name = json_text(e, "name"), *by = json_text(e, "by");
        json_int_t at = json_integer_value(json_object_get(e, i ? "submitted" : "began"));
        char since[CLOCK_ISO_SIZE] = "";
        AUTO_BUF struct buf text = {0}, clean = {0};
        if (at)
            clock_iso((usec_t)at * USEC_PER_SEC, since);
        buf_addf(&text, "experiment '%s' %s%s%s%s%s", name ? name : "?", i ? "waits" : "runs",
                 *since ? " since " : "", since, by ? ", by " : "", by ? by : "");
        text_clean(buf_view(&text), false, &clean);
        output_printf(&cli->out, "%s\n", buf_text(&clean));
    }
    if (i)
        output_printf(&cli->out, "next: flambe attach %s   to see how it goes\n", cluster);
}

static int one(struct session *s, const char *word, struct err *err)
{
    struct target t = {0};
    if (target_open(s, word, &t, err) == -1)
        return -1;
    struct cluster_hosts hosts = {0};
    int rc = cluster_observe(&s->cluster, t.creator, t.name, &hosts, err);
    const char *region = cluster_region(&s->cluster);
    double usd = rc == 0 ? cluster_hosts_price(&s->cluster, &hosts) : -1;
    json_auto_t *entries = rc == 0 ? ask_queue(s->cli, &t, &hosts) : NULL;
    if (rc == 0 && s->cli->json) {
        json_t *value = cluster_json(t.name, t.creator, region, &hosts);
        if (usd >= 0)
            json_object_set_new(value, "usd_per_hour", json_rounded(usd));
        if (entries)
            json_object_set(value, "experiments", entries);
        output_json(&s->cli->out, value);
    } else if (rc == 0) {
        show_hosts(s->cli, t.name, t.creator, region, &hosts, usd);
        show_queue(s->cli, t.name, entries);
    }
    cluster_hosts_done(&hosts);
    target_done(&t);
    return rc;
}

/* The creators that this laptop's clusters have: who "me" is. */
static int my_creators(struct session *s, struct strv *out, struct err *err)
{
    if (s->cli->opt.creator) {
        strv_add(out, s->cli->opt.creator);
        return 0;
    }
    struct cluster_records records = {0};
    if (cluster_records_list(&s->cluster, &records, err) == -1)
        return -1;
    for (size_t i = 0; i < records.count; i++)
        if (!cluster_record_is_ssh(&records.items[i]) && !strv_has(out, records.items[i].creator))
            strv_add(out, records.items[i].creator);
    cluster_records_done(&records);
    return 0;
}

static bool is_mine(const struct strv *creators, const struct cluster_summary *c)
{
    return !creators->count || (c->creator && strv_has(creators, c->creator));
}

/* What `flambe status` alone has shown so far. */
struct shown {
    json_t *clusters;
    size_t count;
};

static void show_one(struct session *s, struct shown *shown, const char *name, const char *creator,
                     const struct cluster_hosts *hosts)
{
    const char *region = cluster_region(&s->cluster);
    if (s->cli->json)
        json_array_append_new(shown->clusters, cluster_json(name, creator, region, hosts));
    else
        show_hosts(s->cli, name, creator, region, hosts, -1);
    shown->count++;
}

/* The clusters of machines that exist already, from this machine's records; *only where it has no
 * others, so that nobody needs an account at AWS for them. */
static int show_machines(struct session *s, struct shown *shown, bool *only, struct err *err)
{
    const struct cli_options *opt = &s->cli->opt;
    struct cluster_records records = {0};
    size_t others = 0;
    if (cluster_records_list(&s->cluster, &records, err) == -1)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < records.count; i++) {
        const struct cluster_record *r = &records.items[i];
        struct cluster_hosts hosts = {0};
        others += !cluster_record_is_ssh(r);
        if (!cluster_record_is_ssh(r) || (opt->creator && strcmp(opt->creator, r->creator) != 0) ||
            (opt->region && strcmp(opt->region, CLUSTER_REGION_SSH) != 0))
            continue;
        rc = cluster_observe(&s->cluster, r->creator, r->name, &hosts, err);
        if (rc == 0)
            show_one(s, shown, r->name, r->creator, &hosts);
        cluster_hosts_done(&hosts);
    }
    cluster_records_done(&records);
    *only = opt->region ? strcmp(opt->region, CLUSTER_REGION_SSH) == 0
                        : shown->count && !others && !opt->all && !opt->profile;
    return rc;
}

static int show_region(struct session *s, struct shown *shown, bool *mine, struct err *err)
{
    struct cli *cli = s->cli;
    AUTO_STRV struct strv creators = {0};
    if (!cli->opt.all && my_creators(s, &creators, err) == -1)
        return -1;
    *mine = creators.count > 0;
    if (session_connect(s, NULL, err) == -1)
        return -1;
    struct cluster_list list = {0};
    if (cluster_observe_all(&s->cluster, creators.count == 1 ? creators.items[0] : NULL, &list,
                            err) == -1)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        const struct cluster_summary *c = &list.items[i];
        if (is_mine(&creators, c))
            show_one(s, shown, c->name, c->creator ? c->creator : "nobody", &c->hosts);
    }
    cluster_list_done(&list);
    return 0;
}

static int all(struct session *s, struct err *err)
{
    struct cli *cli = s->cli;
    struct shown shown = {.clusters = json_array()};
    bool only = false, mine = false;
    int rc = show_machines(s, &shown, &only, err);
    if (rc == 0 && !only)
        rc = show_region(s, &shown, &mine, err);
    const char *region = cluster_region(&s->cluster);
    if (rc == 0 && cli->json)
        output_json(&cli->out,
                    json_pack("{s:s, s:O}", "region", region, "clusters", shown.clusters));
    else if (rc == 0 && !shown.count)
        output_printf(&cli->out, "no clusters%s in %s\n", mine ? " of yours" : "", region);
    json_decref(shown.clusters);
    return rc;
}

static bool is_file_name(const char *word)
{
    return str_ends(str_of(word), ".yaml") || str_ends(str_of(word), ".yml");
}

/* A cluster's name has no '/', and its file is there. */
static bool is_path(const char *word)
{
    return strchr(word, '/') || word[0] == '.' || is_file_name(word);
}

static int nothing_there(struct cli *cli, const char *word, struct err *err)
{
    cli_hint(cli, "flambe status DIR, with the directory output__NAME, the one that holds it, or "
                  "the experiment's file");
    cli_hint(cli, "flambe status CLUSTER, with a cluster's name or file");
    return err_set(err, is_file_name(word) ? ERR_FILE : ERR_NOT_FOUND,
                   "there is no results directory or file '%s'", word);
}

/* Of a word that may mean either: AWS's trouble is only half of what is wrong with it. */
static int one_or_nothing(struct session *s, const char *word, struct err *err)
{
    struct err why = {0};
    if (one(s, word, &why) == 0)
        return 0;
    bool unasked = why.code == ERR_CREDENTIALS || why.code == ERR_UNREACHABLE ||
                   why.code == ERR_TIMEOUT || why.code == ERR_USAGE;
    if (unasked && !is_path(word) && !fs_exists(word) && !session_knows(s, word))
        (void)!err_wrap(&why, "there is no results directory '%s', and no cluster can be asked for",
                        word);
    return err_copy(err, &why);
}

static int run(struct cli *cli, struct err *err)
{
    const char *word = cli->args.count ? cli->args.items[0] : NULL;
    if (word && !cli->opt.creator) {
        if (results_meant(word) || (is_path(word) && fs_is_directory(word)))
            return results_status(cli, word, err);
        if (is_path(word) && !fs_exists(word))
            return nothing_there(cli, word, err);
    }
    struct session s;
    session_init(&s, cli);
    int rc = word ? one_or_nothing(&s, word, err) : all(&s, err);
    session_done(&s);
    return rc;
}

static const struct option_row options[] = {
    OPTION_CREATOR,
    OPTION_IDENTITY,
    {"all", 'a', OPTION_FLAG, NULL, NULL, "show everyone's clusters, not only yours",
     offsetof(struct cli_options, all)},
};

static const char *const examples[] = {"flambe status", "flambe status mine -o json",
                                       "flambe status experiment.yaml",
                                       "flambe status flambe-output/output__sweep", NULL};

const struct command cmd_status = {
    .name = "status",
    .usage = "[CLUSTER|DIR|CLUSTER:EXPERIMENT]",
    .summary = "show a cluster's hosts, all your clusters, or how an experiment stands",
    .help =
        "CLUSTER is a name or a cluster file: its hosts are shown, and the experiments that run "
        "and wait there, where its orchestrator answers at once. Without it all your clusters in "
        "the region are "
        "shown: those whose creator is one that this machine made clusters for, or --creator's. "
        "Where this machine has made none, everyone's are shown, as with --all.\n"
        "\n"
        "DIR is an experiment's results on this machine: the directory output__NAME, the one that "
        "holds it, or the experiment's file. Its stages are shown, with how many of their trials "
        "wait, run and have ended, the best of each, and what to type next. A word that is both a "
        "directory with results and a cluster's name means the directory; with --creator, the "
        "cluster."
        "\n\nMachines that existed before, those of an !SSHCluster, are listed as this machine "
        "knows them: whether they are up is not asked."
        "\n\nCLUSTER:EXPERIMENT is an experiment on a cluster; 'CLUSTER:' is the one that runs "
        "there, or was the last to.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .max = 1,
    .complete = "cluster",
    .elsewhere = true,
    .run = run,
};

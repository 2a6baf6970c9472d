/* See cluster_run.h. */
#include "cli/cluster_run.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/attach.h"
#include "cli/elsewhere.h"
#include "cli/file.h"
#include "cli/send.h"
#include "cli/text.h"
#include "experiment/plan.h"
#include "os/fs.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE (20 * USEC_PER_SEC) /* for the orchestrator to answer */
#define ENTRY_VERSION 1              /* of node/entry.h */
#define NAME_MAX_SHOWN 256
#define NODE_CONFIG "/etc/flambe/node.json"
#define CONFIG_MAX ((size_t)4 << 20)

struct job {
    struct cli *cli;
    const char *path, *cluster; /* as they were typed */
    struct buf text;
    struct experiment experiment;
    bool loaded;
    struct experiment_plan plan;
    char *secrets, *working;
    struct strv resources;
    struct node_link link; /* all hosts are picked */
    bool linked;
    struct manifest manifest;
    bool local;    /* the cluster's `engine: local` */
    bool own_disk; /* the shared tree is the orchestrator's own */
};

/* ---- the file ---------------------------------------------------------------------------------
 */

static int load(struct job *j, struct err *err)
{
    uint32_t seed;
    digest_random(&seed, sizeof seed); /* for the checks alone: the run draws its own */
    struct experiment_options o = {
        .machine = {.cpus = INT_MAX, .gpus = INT_MAX}, .seed = seed & INT_MAX, .on_cluster = true};
    struct diags diags;
    if (fs_read_user_file(j->path, "an experiment's file", YAML_BYTES_MAX, &j->text, err) == -1)
        return -1;
    int rc = experiment_parse(j->path, buf_view(&j->text), &o, &j->experiment, &diags, err);
    if (rc == -1 && diags_total(&diags))
        file_show_diagnostics(j->cli, &diags);
    diags_done(&diags);
    j->loaded = rc == 0;
    return rc == 0 ? experiment_plan_make(&j->experiment, &j->plan, err) : -1;
}

/* ---- the cluster ------------------------------------------------------------------------------
 */

static int make_cluster(struct job *j, struct err *err)
{
    struct cluster_equipped equipped = {0};
    struct str s = str_of(j->cluster);
    bool is_file = strchr(j->cluster, '/') || str_ends(s, ".yaml") || str_ends(s, ".yml");
    if (!is_file)
        return 0;
    if (up_for_experiment(j->cli, j->cluster, &equipped, err) == -1)
        return -1;
    if (!equipped.usable)
        return err_set(err, ERR_REMOTE, "no experiment can run on the cluster: %s",
                       equipped.why_not[0] ? equipped.why_not : "its hosts were not equipped");
    return 0;
}

/* What the orchestrator was equipped for. */
static int ask_engine(struct job *j, struct err *err)
{
    AUTO_STRV struct strv words = {0};
    strv_add(&words, "cat");
    strv_add(&words, NODE_CONFIG);
    struct node_call call = {.words = &words, .timeout = NODE_CALL_TIMEOUT};
    struct node_answer a;
    json_auto_t *config = NULL;
    if (node_call(&j->link, &call, &a, err) == -1) {
        node_answer_done(&a);
        return -1;
    }
    int rc = a.result.status == 0 ? json_parse(buf_view(&a.out), CONFIG_MAX, &config, NULL) : -1;
    node_answer_done(&a);
    const char *engine = json_text(config, "engine");
    if (rc == -1 || !engine) {
        cli_hint(j->cli, "flambe CLUSTER-FILE   to equip it");
        return err_set(err, ERR_REMOTE, "the hosts of '%s' were not equipped for experiments",
                       j->link.reach.target.name);
    }
    j->local = strcmp(engine, "local") == 0;
    j->own_disk = !json_is_false(json_object_get(config, "own_disk"));
    return 0;
}

static void name_entry(const json_t *e, struct buf *out)
{
    const char *name = json_text(e, "name"), *by = json_text(e, "by");
    AUTO_BUF struct buf clean = {.max = NAME_MAX_SHOWN};
    AUTO_FREE char *text = by ? mem_printf("'%s' of %s", name ? name : "?", by)
                              : mem_printf("'%s'", name ? name : "?");
    text_clean(str_of(text), false, &clean);
    buf_add_str(out, buf_view(&clean));
}

/* Before anything is sent: whether something else runs. The queue itself decides later. */
static int check_queue(struct job *j, struct err *err)
{
    const struct cli_options *opt = &j->cli->opt;
    json_auto_t *queue = NULL;
    if (opt->queue || opt->force)
        return 0;
    if (node_queue(&j->link, &queue, err) == -1)
        return -1;
    const json_t *entries = json_object_get(queue, "entries"), *first = json_array_get(entries, 0);
    if (!first)
        return 0;
    AUTO_BUF struct buf what = {0};
    name_entry(first, &what);
    char since[CLOCK_ISO_SIZE] = "";
    json_int_t began = json_integer_value(json_object_get(first, "began"));
    if (began)
        clock_iso((usec_t)began * USEC_PER_SEC, since);
    cli_hint(j->cli, "flambe attach %s   to see it", j->cluster);
    cli_hint(j->cli, "flambe %s -c %s --queue   to run behind it", j->path, j->cluster);
    cli_hint(j->cli, "flambe %s -c %s --force   to end it and run in its place", j->path,
             j->cluster);
    return err_set(err, ERR_CONFLICT, "%s runs on '%s'%s%s", buf_text(&what),
                   j->link.reach.target.name, *since ? " since " : "", since);
}

static int reach_hosts(struct job *j, struct err *err)
{
    j->linked = true;
    return node_link_open_all(&j->link, j->cli, j->cluster, PATIENCE, err);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Where this machine keeps what it fetched for the cluster's hosts. */
static char *fetch_directory(const struct job *j)
{
    AUTO_FREE char *cache = fs_cache_dir();
    AUTO_FREE char *all = fs_join(cache, "resources");
    return fs_join(all, j->experiment.name);
}

static int send_files(struct job *j, struct err *err)
{
    AUTO_FREE char *directory = fetch_directory(j);
    if (fs_mkdirs(directory, 0700, err) == -1 ||
        run_fetch(j->cli, j->link.reach.session.loop, &j->experiment, directory, &j->resources,
                  err) == -1)
        return -1;
    struct send_order o = {.experiment = &j->experiment,
                           .working = j->working,
                           .resources = &j->resources,
                           .secrets = j->secrets,
                           .session = &j->link.session};
    return send_experiment(&j->link.reach, &o, &j->manifest, err);
}

/* Where the experiment's file is on the hosts: in the tree, at the same path as here. */
static char *remote_file(const struct job *j, struct err *err)
{
    AUTO_FREE char *real = realpath(j->path, NULL), *tree = realpath(j->manifest.tree, NULL);
    size_t n = tree ? strlen(tree) : 0;
    if (!real || !tree || strncmp(real, tree, n) != 0 || real[n] != '/') {
        err_set(err, ERR_USAGE, "'%s' is not below the current directory, which is what is sent",
                j->path);
        return NULL;
    }
    return mem_printf("%s/work%s", j->manifest.remote, real + n);
}

static char *who(void)
{
    char host[HOST_NAME_MAX + 1] = "";
    const char *user = getenv("USER");
    if (gethostname(host, sizeof host - 1) == -1)
        host[0] = '\0';
    return mem_printf("%s@%s", user && *user ? user : "somebody", host);
}

static int put_into_queue(struct job *j, char **results, struct err *err)
{
    const struct cli_options *opt = &j->cli->opt;
    AUTO_FREE char *file = remote_file(j, err);
    if (!file)
        return -1;
    AUTO_FREE char *work = fs_join(j->manifest.remote, "work"), *by = who();
    AUTO_FREE char *secrets =
        j->secrets ? mem_printf("%s/secrets/%s.ini", FILES_ROOT, j->experiment.name) : NULL;
    /* SQLite wants locks and shared memory, which a network's file system may not have. */
    AUTO_FREE char *state =
        j->own_disk ? NULL : mem_printf("%s/state/%s", FILES_ROOT, j->experiment.name);
    json_auto_t *entry = json_pack(
        "{s:i, s:s, s:s, s:s, s:O, s:O, s:s, s:s?, s:s, s:s?, s:b, s:b, s:b, s:o, s:I}", "version",
        ENTRY_VERSION, "name", j->experiment.name, "file", file, "work", work, "resources",
        j->manifest.resources, "extensions", j->manifest.extensions, "save_path", FILES_RESULTS,
        "state", state, "engine", j->local ? "local" : "slurm", "secrets", secrets, "force",
        opt->force, "reuse", opt->reuse, "install", opt->install, "by", json_lossy(by), "submitted",
        (json_int_t)(clock_wall(clock_system()) / USEC_PER_SEC));
    AUTO_BUF struct buf text = {0};
    json_write(entry, false, &text);
    const char *words[8] = {"queue", "add", "-", "-o", "json"};
    size_t n = 5;
    if (opt->queue)
        words[n++] = "--queue";
    if (opt->force)
        words[n++] = "--force";
    json_auto_t *answer = NULL;
    if (node_ask(&j->link, words, buf_view(&text), &answer, err) == -1)
        return -1;
    const char *there = json_text(answer, "results");
    *results =
        there ? mem_dup(there) : mem_printf("%s/output__%s", FILES_RESULTS, j->experiment.name);
    return 0;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static int prepare(struct job *j, struct err *err)
{
    if (j->cli->opt.debug)
        return err_set(err, ERR_USAGE,
                       "'--debug' shows what one trial prints on this machine: it does not go "
                       "with a cluster; there 'flambe logs %s -f' does",
                       j->cluster);
    j->working = getcwd(NULL, 0);
    if (!j->working)
        return err_set(err, ERR_IO, "the current directory is gone");
    return load(j, err) == -1 ||
                   file_check_secrets(j->cli, j->cli->opt.secrets, &j->secrets, err) == -1
               ? -1
               : 0;
}

static int follow(struct job *j, const char *results, struct err *err)
{
    struct attach_end end;
    AUTO_FREE char *word = mem_printf("%s:%s", j->link.reach.target.name, j->experiment.name);
    if (attach_follow(&j->link, word, results, &end, err) == -1)
        return -1;
    if (end.detached)
        return 0;
    return elsewhere_summary(&j->link, word, results, &end, err);
}

static int work(struct job *j, struct err *err)
{
    AUTO_FREE char *results = NULL;
    if (prepare(j, err) == -1 || make_cluster(j, err) == -1 || reach_hosts(j, err) == -1 ||
        ask_engine(j, err) == -1 || check_queue(j, err) == -1 || send_files(j, err) == -1 ||
        put_into_queue(j, &results, err) == -1)
        return -1;
    return follow(j, results, err);
}

int cluster_run(struct cli *cli, const char *path, const char *cluster, struct err *err)
{
    struct job j = {.cli = cli, .path = path, .cluster = cluster};
    struct err why = {0};
    int rc = work(&j, &why);
    if (j.linked)
        node_link_done(&j.link);
    manifest_done(&j.manifest);
    experiment_plan_done(&j.plan);
    if (j.loaded)
        experiment_done(&j.experiment);
    strv_done(&j.resources);
    buf_done(&j.text);
    free(j.secrets);
    free(j.working);
    return rc == 0 ? 0 : err_copy(err, &why);
}

/* flambe fetch: an experiment's results from a cluster to this machine.
 *
 * The state (flambe.db) is copied on the host at one moment of it, then all files are brought, and
 * the copy takes the state's place here last: whatever the state calls ended is there. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/results.h"
#include "cli/send.h"
#include "cli/text.h"
#include "experiment/run.h"
#include "os/fs.h"
#include "os/lock.h"
#include "ssh/sync.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PLACE "./flambe-output"
#define ORIGIN_FILE ".fetched.json" /* which cluster the results here are from */
#define ORIGIN_MAX 65536

struct fetching {
    struct cli *cli;
    struct reach reach;
    struct remote *orchestrator;
    struct ssh_identity *identity;
    struct strv options; /* of ssh */
    const char *name;    /* of the experiment that is fetched */
    json_t *list;        /* what was fetched */
};

/* What is not for here: who runs there, and what only fits there. */
static const char *const exclude[] = {"/" STORE_FILE,
                                      "/" STORE_FILE "-*",
                                      "/" FILES_STATE_COPY "-*",
                                      "/" RUN_LOCK_FILE,
                                      "/" RUN_ENDS_FILE,
                                      "/.state",
                                      "/.fetching",
                                      "/" ORIGIN_FILE,
                                      "/extensions/venv",
                                      NULL};

/* ---- where to ----------------------------------------------------------------------------------
 */

static json_t *origin_of(const struct fetching *f)
{
    const struct target *t = &f->reach.target;
    return json_pack("{s:s, s:s, s:s, s:s}", "cluster", t->name, "creator", t->creator, "region",
                     cluster_region(&f->reach.session.cluster), "experiment", f->name);
}

/* What is there from a run on this machine, or from another cluster, is not written over. */
static int check_place(const struct fetching *f, const char *directory, struct err *err)
{
    AUTO_FREE char *path = fs_join(directory, ORIGIN_FILE), *db = fs_join(directory, STORE_FILE);
    AUTO_FREE char *lock = fs_join(directory, RUN_LOCK_FILE);
    AUTO_BUF struct buf text = {0};
    json_auto_t *before = NULL, *now = origin_of(f);
    struct lock_holder holder = {0};
    if (lock_holder(lock, &holder, NULL) == 0 && holder.held)
        return err_set(err, ERR_CONFLICT, "a run is at work in '%s'", directory);
    if (fs_read(path, ORIGIN_MAX, &text, NULL) == 0 &&
        json_parse(buf_view(&text), ORIGIN_MAX, &before, NULL) == 0 && json_equal(before, now))
        return 0;
    if (!fs_exists(db))
        return 0;
    cli_hint(f->cli, "flambe fetch %s %s --to DIR", f->reach.target.name, f->name);
    return err_set(err, ERR_EXISTS, "'%s' holds other results, which would be written over",
                   directory);
}

static int write_origin(const struct fetching *f, const char *directory, struct err *err)
{
    AUTO_FREE char *path = fs_join(directory, ORIGIN_FILE);
    AUTO_BUF struct buf text = {0};
    json_auto_t *origin = origin_of(f);
    json_write(origin, true, &text);
    return fs_write_atomic(path, 0666, buf_view(&text), err);
}

/* The state's copy becomes the state. What a reader of the old one left beside it would be taken
 * for the new one's. */
static int place_state(const char *directory, struct err *err)
{
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    AUTO_FREE char *copy = fs_join(directory, FILES_STATE_COPY);
    AUTO_FREE char *db = fs_join(directory, STORE_FILE);
    for (size_t i = 0; i < COUNT_OF(beside); i++) {
        AUTO_FREE char *path = mem_printf("%s%s", db, beside[i]);
        if (unlink(path) == -1 && errno != ENOENT)
            return err_set_sys(err, errno, "cannot remove '%s'", path);
    }
    return rename(copy, db) == 0 ? 0 : err_set_sys(err, errno, "cannot write '%s'", db);
}

/* ---- one experiment -----------------------------------------------------------------------------
 */

static void show(void *ctx, const struct sync_progress *p)
{
    struct fetching *f = ctx;
    struct strv lines = {0};
    strv_take(&lines, mem_printf("fetching '%s': %d %%, %.1f MB, %llu files", f->name, p->percent,
                                 (double)p->bytes / 1e6, (unsigned long long)p->files));
    console_draw(&f->cli->screen, &lines);
}

static int bring(struct fetching *f, const char *directory, struct sync_result *result,
                 struct err *err)
{
    AUTO_FREE char *remote = mem_printf(FILES_RESULTS "/" RESULTS_PREFIX "%s", f->name);
    AUTO_FREE char *copy = fs_join(directory, FILES_STATE_COPY);
    AUTO_FREE char *db = fs_join(directory, STORE_FILE);
    if (fs_mkdirs(directory, 0777, err) == -1 || write_origin(f, directory, err) == -1)
        return -1;
    if (unlink(copy) == 0 || errno == ENOENT)
        (void)!link(db, copy); /* so that rsync sends of the state what has changed */
    struct sync_request r = {.target = remote_target(f->orchestrator),
                             .options = &f->options,
                             .local = directory,
                             .remote = remote,
                             .partial = true,
                             .exclude = exclude,
                             .progress = f->cli->screen.tty ? show : NULL,
                             .ctx = f};
    int rc = sync_run(f->reach.session.loop, &r, result, err);
    console_erase(&f->cli->screen);
    return rc == 0 ? place_state(directory, err) : -1;
}

static void say(struct fetching *f, const char *directory, const struct sync_result *r)
{
    if (f->cli->json) {
        json_array_append_new(
            f->list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "experiment", f->name, "directory",
                               directory, "files", (json_int_t)r->files, "bytes",
                               (json_int_t)r->bytes, "wire", (json_int_t)r->wire));
        return;
    }
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(directory), false, &clean);
    output_printf(&f->cli->out, "'%s' is in %s: %llu new or changed files, %.1f MB\n", f->name,
                  buf_text(&clean), (unsigned long long)r->files, (double)r->bytes / 1e6);
}

/* The copy on the host goes, whatever happened; after Ctrl-C too. */
static int fetch_one(struct fetching *f, const char *place, const char *name, struct err *err)
{
    struct sync_result result = {0};
    struct err why = {0};
    f->name = name;
    AUTO_FREE char *last = mem_printf(RESULTS_PREFIX "%s", name);
    AUTO_FREE char *directory = fs_join(place, last);
    if (check_place(f, directory, err) == -1 || files_fetch_begin(f->orchestrator, name, err) == -1)
        return -1;
    int rc = bring(f, directory, &result, &why);
    loop_shield(f->reach.session.loop);
    struct err *late = rc == 0 ? &why : NULL;
    int ended = files_fetch_end(f->orchestrator, name, rc == 0, late);
    loop_unshield(f->reach.session.loop);
    if (rc == -1 || ended == -1)
        return err_copy(err, &why);
    say(f, directory, &result);
    return 0;
}

/* ---- which ones
 * ---------------------------------------------------------------------------------- */

/* The operand is a name, or the experiment's file, which says where its results belong too. */
static int read_operand(const char *word, char **name, char **place, struct err *err)
{
    if (!word || files_name_valid(word)) {
        *name = mem_dup(word);
        *place = mem_dup(DEFAULT_PLACE);
        return 0;
    }
    AUTO_FREE char *directory = NULL;
    if (results_of_file(word, &directory, err) == -1)
        return -1;
    char *last = strstr(strrchr(directory, '/'), RESULTS_PREFIX);
    *name = mem_dup(last + strlen(RESULTS_PREFIX));
    *place = mem_dup_n(directory, (size_t)(last - 1 - directory));
    return 0;
}

static int fetch_all(struct fetching *f, const char *place, const char *name, struct err *err)
{
    struct files_results there;
    if (cluster_unfetched(f->orchestrator, &there, err) == -1)
        return -1;
    int rc = 0;
    if (!there.names.count)
        rc = err_set(err, ERR_NOT_FOUND, "'%s' has no results", f->reach.target.name);
    else if (name && !strv_has(&there.names, name)) {
        AUTO_FREE char *names = strv_join(&there.names, ", ");
        rc = err_set(err, ERR_NOT_FOUND, "'%s' has no results of '%s'; it has those of: %s",
                     f->reach.target.name, name, names);
    }
    for (size_t i = 0; rc == 0 && i < there.names.count; i++)
        if (!name || strcmp(name, there.names.items[i]) == 0)
            rc = fetch_one(f, place, there.names.items[i], err);
    if (rc == 0 && there.at_work)
        console_line(&f->cli->screen,
                     "'%s' is still at work: what it makes from now on is not here",
                     f->reach.target.name);
    files_results_done(&there);
    return rc;
}

static int run(struct cli *cli, struct err *err)
{
    struct fetching f = {.cli = cli, .list = json_array()};
    size_t index = 0;
    AUTO_FREE char *name = NULL, *place = NULL;
    const char *word = cli->args.count > 1 ? cli->args.items[1] : NULL;
    int rc = read_operand(word, &name, &place, err);
    bool opened = rc == 0;
    if (rc == 0)
        rc = reach_open(&f.reach, cli, cli->args.items[0], "orchestrator", err);
    if (rc == 0)
        rc = send_open(&f.reach, &f.identity, &f.orchestrator, &index, err);
    if (rc == 0)
        rc = reach_ssh_options(&f.reach, index, &f.options, err);
    if (rc == 0)
        rc = fetch_all(&f, cli->opt.to ? cli->opt.to : place, name, err);
    if (rc == -1 && err && err->code == ERR_CANCELLED)
        cli_hint(cli, "the same command, which goes on where it was");
    if (rc == 0 && cli->json)
        output_json(&cli->out,
                    json_pack("{s:s, s:O}", "cluster", f.reach.target.name, "fetched", f.list));
    json_decref(f.list);
    remote_close(f.orchestrator);
    ssh_identity_free(f.identity);
    strv_done(&f.options);
    if (opened)
        reach_done(&f.reach);
    return rc;
}

static const struct option_row options[] = {
    {"to", 0, OPTION_TEXT, "DIR", NULL,
     "where output__NAME is made (default: ./flambe-output, or the file's 'save_path')",
     offsetof(struct cli_options, to)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {"flambe fetch mine", "flambe fetch mine sweep --to results",
                                       "flambe fetch mine experiment.yaml", NULL};

const struct command cmd_fetch = {
    .name = "fetch",
    .usage = "CLUSTER [EXPERIMENT]",
    .summary = "bring an experiment's results from a cluster",
    .help =
        "EXPERIMENT is a name or the experiment's file; without it the results of all experiments "
        "on the cluster are fetched. They go to DIR/output__NAME, as those of a run on this "
        "machine, where 'flambe status', 'flambe results' and 'flambe logs' read them.\n"
        "\n"
        "It can be typed while the experiment runs: the state is then that of one moment, and what "
        "it calls ended is there. Typed again, it brings what is new or has changed, and goes on "
        "with files that were cut off. Nothing is removed here; results that a run on this machine "
        "or another cluster made are not written over.\n"
        "\n"
        "'flambe down' keeps a cluster whose results have changed since they were fetched.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 2,
    .complete = "cluster",
    .run = run,
};

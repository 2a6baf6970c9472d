/* flambe cp: files to and from hosts, carried by the user's own rsync, or scp where a side has
 * none.
 *
 * Both mean the same here, as cp(1) does: into DST where that is a directory, else as DST. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/cp_operand.h"
#include "cli/prefix.h"
#include "cli/reach.h"
#include "cli/text.h"
#include "os/children.h"
#include "os/fs.h"
#include "ssh/openssh.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT_ONCE 8
#define STATUS_SSH_FAILED 255 /* ssh's, and rsync's and scp's when their ssh failed */
#define PROBE_TIMEOUT (30 * USEC_PER_SEC)
#define PROGRESS_AFTER USEC_PER_SEC
#define PROGRESS_GAP (250 * USEC_PER_MSEC)

struct cp_host {
    struct cp *cp;
    size_t index;
    const char *name;
    struct buf probe;
    bool has_rsync, is_dir; /* is_dir: the remote path is a directory */
    struct err err;
    struct prefix lines;
    struct buf progress; /* rsync's last word on how far it is */
    bool skipped;        /* rsync passed something over, which its exit status does not tell */
    size_t child;
};

struct cp {
    struct cli *cli;
    struct reach reach;
    struct cp_operand *sources, dest;
    size_t source_count;
    bool upload;
    const char *remote_path; /* the first remote one */
    struct cp_host *hosts;
    struct child *children;
    size_t *host_of_child;
    size_t count, child_count, ended;
    struct timer *timer;
    usec_t began;
};

/* ---- what is asked ------------------------------------------------------------------------ */

static int same_place(const struct cp_operand *a, const struct cp_operand *b)
{
    return strcmp(a->cluster, b->cluster) == 0 &&
           strcmp(a->hosts ? a->hosts : "", b->hosts ? b->hosts : "") == 0;
}

static int check_local(const struct cp *cp, struct err *err)
{
    for (size_t i = 0; i < cp->source_count; i++) {
        struct stat st;
        const char *path = cp->sources[i].path;
        if (stat(path, &st) != 0)
            return err_set(err, ERR_FILE, "no such file: '%s'", path);
        if (S_ISDIR(st.st_mode) && !cp->cli->opt.recursive) {
            cli_hint(cp->cli, "flambe cp -r ...");
            return err_set(err, ERR_USAGE, "'%s' is a directory", path);
        }
    }
    return 0;
}

static int read_operands(struct cp *cp, struct err *err)
{
    const struct operands *args = &cp->cli->args;
    cp->source_count = args->count - 1;
    cp->sources = mem_array(cp->source_count, sizeof *cp->sources);
    for (size_t i = 0; i < cp->source_count; i++)
        cp_operand_parse(args->items[i], &cp->sources[i]);
    cp_operand_parse(args->items[cp->source_count], &cp->dest);
    cp->upload = cp->dest.cluster != NULL;
    for (size_t i = 0; i < cp->source_count; i++) {
        const struct cp_operand *s = &cp->sources[i];
        if (cp->upload && s->cluster)
            return err_set(err, ERR_USAGE, "'%s' and '%s' are both on a cluster: one side is here",
                           args->items[i], args->items[cp->source_count]);
        if (!cp->upload && !s->cluster) {
            cli_hint(cp->cli, "CLUSTER:PATH, or CLUSTER/HOST:PATH, on one side");
            return err_set(err, ERR_USAGE, "'%s' and '%s' are both on this machine", args->items[i],
                           args->items[cp->source_count]);
        }
        if (!cp->upload && !same_place(s, &cp->sources[0]))
            return err_set(err, ERR_USAGE, "'%s' and '%s' are on different hosts: one at a time",
                           args->items[0], args->items[i]);
    }
    cp->remote_path = cp->upload ? cp->dest.path : cp->sources[0].path;
    return cp->upload ? check_local(cp, err) : 0;
}

/* ---- what the hosts have ------------------------------------------------------------------ */

static void probe_output(void *ctx, size_t target, bool is_err, struct str bytes)
{
    struct cp *cp = ctx;
    if (!is_err)
        buf_add_str(&cp->hosts[cp->reach.targets.host_index[target]].probe, bytes);
}

static bool is_here(const char *program)
{
    struct str rest = str_of(getenv("PATH"));
    while (rest.p) {
        AUTO_FREE char *dir = str_dup(str_cut(&rest, ':'));
        AUTO_FREE char *path = fs_join(*dir ? dir : ".", program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* One look at all hosts at once: whether they answer, have rsync, and what the path is there. */
static int probe(struct cp *cp, struct err *err)
{
    struct ssh_identity *identity = NULL;
    if (target_load_identity(cp->cli, &cp->reach.target, &identity, err) == -1)
        return -1;
    AUTO_BUF struct buf command = {0};
    buf_adds(&command, "command -v rsync >/dev/null 2>&1 && echo rsync; test -d ");
    text_shell_quote(cp->remote_path, &command);
    buf_adds(&command, " && echo dir; true");
    struct ssh_fanout_request r = {
        .targets = cp->reach.targets.items,
        .count = cp->reach.targets.count,
        .connect = {.identity = identity},
        .command = buf_text(&command),
        .timeout = PROBE_TIMEOUT,
        .output = probe_output,
        .ctx = cp,
    };
    AUTO_FREE struct ssh_fanout_result *results = mem_array(r.count + 1, sizeof *results);
    int rc = ssh_fanout(cp->reach.session.loop, &r, results, err);
    bool rsync = is_here("rsync");
    for (size_t t = 0; rc == 0 && t < r.count; t++) {
        struct cp_host *h = &cp->hosts[cp->reach.targets.host_index[t]];
        h->err = results[t].err;
        struct str rest = buf_view(&h->probe);
        while (rest.p) {
            struct str line = str_cut(&rest, '\n');
            h->has_rsync = h->has_rsync || (rsync && str_is(line, "rsync"));
            h->is_dir = h->is_dir || str_is(line, "dir");
        }
        if (!h->err.code && !cp->upload && h->is_dir && !cp->cli->opt.recursive)
            err_set(&h->err, ERR_USAGE, "'%s' is a directory: flambe cp -r", cp->remote_path);
    }
    ssh_identity_free(identity);
    return rc;
}

/* ---- the copying -------------------------------------------------------------------------- */

static void show_progress(void *ctx)
{
    struct cp *cp = ctx;
    timer_stop(TAKE(cp->timer));
    char took[CLOCK_SPAN_SIZE];
    clock_span(clock_mono(clock_system()) - cp->began, took);
    struct strv lines = {0};
    AUTO_BUF struct buf line = {0};
    buf_addf(&line, "%zu of %zu hosts done (%s)", cp->ended, cp->child_count, took);
    if (cp->child_count == 1)
        buf_addf(&line, " %s", buf_text(&cp->hosts[cp->host_of_child[0]].progress));
    strv_add(&lines, buf_text(&line));
    console_draw(&cp->cli->screen, &lines);
    cp->timer = timer_start(cp->reach.session.loop, PROGRESS_GAP, show_progress, cp);
}

static void to_screen(void *ctx, struct str lines)
{
    struct cp_host *h = ctx;
    h->skipped = h->skipped || memmem(lines.p, lines.n, "skipping ", strlen("skipping "));
    console_lines(&h->cp->cli->screen, lines);
}

/* rsync's "   1,234,567  45%   12.3MB/s    0:00:01", which ends with a carriage return. */
static bool is_progress(struct str line)
{
    line = str_trim(line);
    size_t digits = 0;
    while (digits < line.n &&
           (line.p[digits] == ',' || (line.p[digits] >= '0' && line.p[digits] <= '9')))
        digits++;
    return digits && memchr(line.p, '%', line.n < 40 ? line.n : 40);
}

static void got_output(void *ctx, size_t child, bool is_err, struct str bytes)
{
    struct cp *cp = ctx;
    struct cp_host *h = &cp->hosts[cp->host_of_child[child]];
    if (is_err) {
        prefix_add(&h->lines, bytes);
        return;
    }
    while (bytes.p && bytes.n) {
        struct str rest = bytes;
        struct str part = str_cut(&rest, '\r');
        if (is_progress(part)) {
            buf_clear(&h->progress);
            text_clean(str_trim(part), false, &h->progress);
        } else if (str_trim(part).n) {
            prefix_add(&h->lines, part);
        }
        bytes = rest;
    }
}

static void child_ended(void *ctx, size_t child)
{
    struct cp *cp = ctx;
    prefix_end(&cp->hosts[cp->host_of_child[child]].lines);
    cp->ended++;
}

static void add_local(struct strv *argv, const char *path, const char *tail)
{
    AUTO_FREE char *whole = mem_printf("%s%s", path, tail);
    strv_take(argv, openssh_local(whole));
}

static void add_remote(struct strv *argv, const struct ssh_target *t, const char *path,
                       const char *tail)
{
    AUTO_FREE char *whole = mem_printf("%s%s", path, tail);
    strv_take(argv, openssh_place(t, whole));
}

/* A trailing slash means "what is in it" to rsync alone, so that none comes from the user. */
static char *without_slashes(const char *path)
{
    char *copy = mem_dup(path);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    return copy;
}

/* Where hosts are copied from side by side, each has a directory of its own. */
static char *local_dest(const struct cp *cp, const struct cp_host *h, struct err *err)
{
    if (cp->count == 1)
        return mem_dup(cp->dest.path);
    char *dir = fs_join(cp->dest.path, h->name);
    if (fs_mkdirs(dir, 0777, err) == 0)
        return dir;
    free(dir);
    return NULL;
}

static int add_child(struct cp *cp, struct cp_host *h, struct err *err)
{
    const struct ssh_target *t = reach_target(&cp->reach, h->index);
    AUTO_STRV struct strv options = {0};
    if (reach_ssh_options(&cp->reach, h->index, &options, err) == -1)
        return -1;
    strv_add(&options, "-o");
    strv_add(&options, "BatchMode=yes");
    AUTO_FREE char *dest = cp->upload ? mem_dup(cp->dest.path) : local_dest(cp, h, err);
    if (!dest)
        return -1;
    AUTO_FREE char *port = mem_printf("%d", t->port ? t->port : 22);
    struct strv *argv = &cp->children[cp->child_count].argv;
    bool recursive = cp->cli->opt.recursive;
    if (h->has_rsync) {
        strv_add(argv, "rsync");
        strv_add(argv, "-slpt");
        if (recursive)
            strv_add(argv, "-r");
        strv_add(argv, "--info=progress2");
        strv_add(argv, "-e");
        strv_take(argv, openssh_rsync_shell(&options, t->port));
    } else {
        strv_add(argv, "scp");
        strv_add(argv, recursive ? "-qpr" : "-qp");
        strv_copy(argv, &options);
        strv_add(argv, "-P");
        strv_add(argv, port);
    }
    strv_add(argv, "--");
    bool into = cp->upload ? h->is_dir : fs_is_directory(dest);
    for (size_t i = 0; i < cp->source_count; i++) {
        AUTO_FREE char *path = without_slashes(cp->sources[i].path);
        bool dir = cp->upload ? fs_is_directory(path) : h->is_dir;
        const char *tail = h->has_rsync && dir && !into && cp->source_count == 1 ? "/" : "";
        if (cp->upload)
            add_local(argv, path, tail);
        else
            add_remote(argv, t, path, tail);
    }
    if (cp->upload)
        add_remote(argv, t, dest, "");
    else
        add_local(argv, dest, "");
    h->child = cp->child_count;
    cp->host_of_child[cp->child_count++] = h->index;
    return 0;
}

static int copy(struct cp *cp, struct err *err)
{
    for (size_t i = 0; i < cp->count; i++)
        if (!cp->hosts[i].err.code && add_child(cp, &cp->hosts[i], err) == -1)
            return -1;
    struct children_request r = {.items = cp->children,
                                 .count = cp->child_count,
                                 .at_once = AT_ONCE,
                                 .output = got_output,
                                 .ended = child_ended,
                                 .ctx = cp};
    struct loop *loop = cp->reach.session.loop;
    cp->began = clock_mono(clock_system());
    if (cp->cli->screen.tty)
        cp->timer = timer_start(loop, PROGRESS_AFTER, show_progress, cp);
    int rc = children_run(loop, &r, err);
    timer_stop(TAKE(cp->timer));
    console_erase(&cp->cli->screen);
    return rc;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void judge(struct cp *cp, struct cp_host *h)
{
    if (h->err.code)
        return;
    const struct child *c = &cp->children[h->child];
    const char *program = c->argv.items[0];
    if (c->status == -1)
        h->err = c->err;
    else if (c->status == STATUS_SSH_FAILED)
        err_set(&h->err, ERR_UNREACHABLE, "the connection of %s failed", program);
    else if (c->status)
        err_set(&h->err, ERR_REMOTE, "%s ended with status %d", program, c->status);
    else if (h->skipped)
        err_set(&h->err, ERR_PARTIAL, "%s passed something over", program);
}

static void finish(struct cp *cp)
{
    json_t *list = json_array();
    size_t failed = 0;
    int worst = 0;
    for (size_t i = 0; i < cp->count; i++) {
        struct cp_host *h = &cp->hosts[i];
        judge(cp, h);
        json_t *host = json_pack("{s:s, s:b}", "host", h->name, "copied", !h->err.code);
        if (h->err.code) {
            AUTO_BUF struct buf clean = {0};
            text_clean(str_of(h->err.msg), true, &clean);
            console_line(&cp->cli->screen, "flambe: %s: %s", h->name, buf_text(&clean));
            json_object_set_new(host, "error", cli_error_json(&h->err));
            failed++;
            if (err_exit_status(h->err.code) > worst)
                worst = err_exit_status(h->err.code);
        }
        json_array_append_new(list, host);
    }
    if (failed && cp->count > 1)
        console_line(&cp->cli->screen, "flambe: copied %s %zu of %zu hosts",
                     cp->upload ? "to" : "from", cp->count - failed, cp->count);
    if (cp->cli->json)
        output_json(&cp->cli->out,
                    json_pack("{s:s, s:O}", "cluster", cp->reach.target.name, "hosts", list));
    json_decref(list);
    cp->cli->exit_status = worst;
}

static void set_up_hosts(struct cp *cp)
{
    cp->count = cp->reach.picked.count;
    cp->hosts = mem_array(cp->count, sizeof *cp->hosts);
    cp->children = mem_array(cp->count, sizeof *cp->children);
    cp->host_of_child = mem_array(cp->count, sizeof *cp->host_of_child);
    for (size_t i = 0; i < cp->count; i++) {
        struct cp_host *h = &cp->hosts[i];
        h->cp = cp;
        h->index = i;
        h->name = reach_name(&cp->reach, i);
        h->lines = (struct prefix){mem_printf("%s: ", h->name), to_screen, h, {0}};
        if (!reach_target(&cp->reach, i))
            reach_no_address(&cp->reach, i, &h->err);
    }
}

static void cp_done(struct cp *cp)
{
    for (size_t i = 0; i < cp->count; i++) {
        buf_done(&cp->hosts[i].probe);
        buf_done(&cp->hosts[i].progress);
        prefix_done(&cp->hosts[i].lines);
        child_done(&cp->children[i]);
    }
    free(cp->hosts);
    free(cp->children);
    free(cp->host_of_child);
    for (size_t i = 0; i < cp->source_count; i++)
        cp_operand_done(&cp->sources[i]);
    free(cp->sources);
    cp_operand_done(&cp->dest);
}

static int run(struct cli *cli, struct err *err)
{
    struct cp cp = {.cli = cli};
    int rc = read_operands(&cp, err);
    if (rc == 0) {
        const struct cp_operand *remote = cp.upload ? &cp.dest : &cp.sources[0];
        const char *on = remote->hosts ? remote->hosts : cp.upload ? NULL : "orchestrator";
        rc = reach_open(&cp.reach, cli, remote->cluster, on, err);
        if (rc == 0)
            set_up_hosts(&cp);
        if (rc == 0)
            rc = probe(&cp, err);
        if (rc == 0)
            rc = copy(&cp, err);
        if (rc == 0)
            finish(&cp);
        cp_done(&cp);
        reach_done(&cp.reach);
        return rc;
    }
    cp_done(&cp);
    return rc;
}

static const struct option_row options[] = {
    {"recursive", 'r', OPTION_FLAG, NULL, NULL, "copy directories and all that is in them",
     offsetof(struct cli_options, recursive)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {"flambe cp data.tar mine:", "flambe cp -r src mine:work",
                                       "flambe cp mine/factory_1:log.txt .",
                                       "flambe cp mine/factories:log.txt logs", NULL};

const struct command cmd_cp = {
    .name = "cp",
    .usage = "SOURCE... DEST",
    .summary = "copy files to all hosts of a cluster, or from one",
    .help =
        "One side is CLUSTER:PATH or CLUSTER/HOST:PATH; a remote path starts at the home "
        "directory. "
        "Without HOST, files go to all hosts, and come from the orchestrator. From several hosts, "
        "each host's files go to a directory of its name under DEST. Your own rsync carries the "
        "files where both sides have it, else your scp. A local name with a ':' in it is written "
        "as ./NAME.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 2,
    .max = OPERANDS_ANY,
    .complete = "path",
    .run = run,
};

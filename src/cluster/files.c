/* See files.h. */
#include "cluster/files.h"
#include "base/digest.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "cluster/files_priv.h"
#include "ssh/sync.h"
#include <stdlib.h>
#include <string.h>

#define COMMAND_TIMEOUT (2 * USEC_PER_MIN)
#define COPY_TIMEOUT (30 * USEC_PER_MIN)
#define SPREAD_TIMEOUT (6 * USEC_PER_HOUR)
#define NAME_MAX_BYTES 128

bool files_name_valid(const char *name)
{
    size_t n = strlen(name);
    return n && n <= NAME_MAX_BYTES &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static int check_name(const char *name, struct err *err)
{
    return files_name_valid(name) ? 0
                                  : err_set(err, ERR_USAGE, "'%s' is no experiment's name", name);
}

/* A script with its arguments, and what it reads; `out` may be NULL. */
static int run(struct remote *host, const char *script, const char *what, const char *name,
               const char *more, struct str input, usec_t timeout, struct buf *out, struct err *err)
{
    AUTO_BUF struct buf command = {0};
    if (name && check_name(name, err) == -1)
        return -1;
    files_command(script, what, name, &command);
    if (more)
        buf_addf(&command, " %s", more);
    struct remote_command c = {.command = buf_text(&command), .input = input, .timeout = timeout};
    return remote_run(host, &c, out, err);
}

/* ---- to the orchestrator ----------------------------------------------------------------------
 */

/* What the host says after "flambe: KEY ", or an empty view. */
static struct str said(struct str output, const char *key)
{
    while (output.p && output.n) {
        struct str line = str_trim(str_cut(&output, '\n'));
        if (str_starts(line, key))
            return str_trim((struct str){line.p + strlen(key), line.n - strlen(key)});
    }
    return (struct str){NULL, 0};
}

int files_prepare(struct remote *orchestrator, const struct files_order *o, struct err *err)
{
    char hex[SHA256_HEX_SIZE];
    AUTO_BUF struct buf out = {0}, beside = {0};
    if (run(orchestrator, script_files_make, "files-make", o->name, NULL, (struct str){0},
            COMMAND_TIMEOUT, &out, err) == -1)
        return -1;
    digest_sha256_hex(o->names, hex);
    if (!str_is(said(buf_view(&out), "flambe: sent "), hex) &&
        run(orchestrator, script_files_names, "files-names", o->name, NULL, o->names,
            COMMAND_TIMEOUT, NULL, err) == -1)
        return -1;
    for (size_t i = 0; i < o->beside_count; i++) {
        shell_quote(o->beside[i], &beside);
        buf_addc(&beside, ' ');
    }
    return run(orchestrator, script_files_beside, "files-beside", o->name, buf_text(&beside),
               (struct str){0}, COMMAND_TIMEOUT, NULL, err);
}

/* ---- to the factories -------------------------------------------------------------------------
 */

struct spread {
    struct files_host *hosts;
    size_t count;
    void (*host)(void *ctx, const struct files_host *h);
    void *ctx;
};

/* "flambe: host NAME STATUS WHAT RSYNC SAID" */
bool files_read_host(struct str line, struct files_host *hosts, size_t count, size_t *which)
{
    static const char mark[] = "flambe: host ";
    int64_t status;
    if (!str_starts(line, mark))
        return false;
    struct str rest = {line.p + sizeof mark - 1, line.n - (sizeof mark - 1)};
    struct str name = str_cut(&rest, ' '), number = str_cut(&rest, ' ');
    if (!str_to_i64(number, 0, 255, &status))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!str_is(name, hosts[i].name) || hosts[i].done)
            continue;
        struct ssh_target t = {.label = hosts[i].name, .user = "the login user"};
        struct sync_request r = {
            .target = &t, .upload = true, .local = FILES_ROOT, .remote = FILES_ROOT};
        hosts[i].done = true;
        if (status != 0 && status != 24) /* rsync's: some went away meanwhile */
            sync_explain(&r, (int)status, rest.p ? rest : STR(""), &hosts[i].err);
        *which = i;
        return true;
    }
    return false;
}

static void spread_line(void *ctx, struct str line)
{
    struct spread *s = ctx;
    size_t which;
    if (files_read_host(line, s->hosts, s->count, &which) && s->host)
        s->host(s->ctx, &s->hosts[which]);
}

static void add_hosts(const struct files_host *hosts, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s\n", hosts[i].name);
}

int files_spread(struct remote *orchestrator, const char *name, bool secrets,
                 struct files_host *hosts, size_t count,
                 void (*host)(void *ctx, const struct files_host *h), void *ctx, struct err *err)
{
    struct spread s = {hosts, count, host, ctx};
    AUTO_BUF struct buf command = {0}, input = {0};
    if (check_name(name, err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++) {
        hosts[i].done = false;
        hosts[i].err = (struct err){0};
    }
    add_hosts(hosts, count, &input);
    files_command(script_files_spread, "files-spread", name, &command);
    buf_adds(&command, secrets ? " 1" : " 0");
    struct remote_command c = {.command = buf_text(&command),
                               .input = buf_view(&input),
                               .timeout = SPREAD_TIMEOUT,
                               .line = spread_line,
                               .ctx = &s};
    if (remote_run(orchestrator, &c, NULL, err) == -1)
        return -1;
    size_t failed = 0;
    const struct files_host *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!hosts[i].done)
            err_set(&hosts[i].err, ERR_REMOTE, "nothing was said of %s", hosts[i].name);
        failed += hosts[i].err.code != 0;
        if (hosts[i].err.code && !first)
            first = &hosts[i];
    }
    if (!failed)
        return 0;
    return err_set(err, ERR_PARTIAL, "%zu of %zu hosts did not get the files: %s", failed, count,
                   first->err.msg);
}

/* ---- secrets ----------------------------------------------------------------------------------
 */

int files_put_secrets(struct remote *host, const char *name, struct str text, struct err *err)
{
    return run(host, script_secrets_put, "secrets-put", name, NULL, text, COMMAND_TIMEOUT, NULL,
               err);
}

int files_drop_secrets(struct remote *orchestrator, const char *name,
                       const struct files_host *hosts, size_t count, struct err *err)
{
    AUTO_BUF struct buf input = {0};
    add_hosts(hosts, count, &input);
    return run(orchestrator, script_secrets_drop, "secrets-drop", name, NULL, buf_view(&input),
               COMMAND_TIMEOUT, NULL, err);
}

/* ---- results ----------------------------------------------------------------------------------
 */

void files_results_done(struct files_results *r)
{
    strv_done(&r->names);
    strv_done(&r->unfetched);
    *r = (struct files_results){0};
}

static void read_results(struct str output, struct files_results *out)
{
    static const char mark[] = "flambe: results ";
    int64_t at_work;
    if (str_to_i64(said(output, "flambe: at-work "), 0, INT32_MAX, &at_work))
        out->at_work = (size_t)at_work;
    while (output.p && output.n) {
        struct str line = str_trim(str_cut(&output, '\n'));
        if (!str_starts(line, mark))
            continue;
        struct str rest = {line.p + sizeof mark - 1, line.n - (sizeof mark - 1)};
        AUTO_FREE char *name = str_dup(str_cut(&rest, ' '));
        if (!files_name_valid(name))
            continue;
        strv_add(&out->names, name);
        if (!str_is(rest, "fetched"))
            strv_add(&out->unfetched, name);
    }
}

int cluster_unfetched(struct remote *orchestrator, struct files_results *out, struct err *err)
{
    AUTO_BUF struct buf said_there = {0};
    struct remote_command c = {.command = "sh -s flambe-unfetched",
                               .input = str_of(script_unfetched),
                               .timeout = COMMAND_TIMEOUT};
    if (remote_run(orchestrator, &c, &said_there, err) == -1)
        return -1;
    *out = (struct files_results){0};
    read_results(buf_view(&said_there), out);
    return 0;
}

int files_fetch_begin(struct remote *orchestrator, const char *name, struct err *err)
{
    return run(orchestrator, script_fetch_begin, "fetch-begin", name, NULL, (struct str){0},
               COPY_TIMEOUT, NULL, err);
}

int files_fetch_end(struct remote *orchestrator, const char *name, bool whole, struct err *err)
{
    return run(orchestrator, script_fetch_end, "fetch-end", name, whole ? "1" : "0",
               (struct str){0}, COMMAND_TIMEOUT, NULL, err);
}

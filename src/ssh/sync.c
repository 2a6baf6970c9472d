/* See sync.h. */
#include "ssh/sync.h"
#include "base/mem.h"
#include "os/children.h"
#include "ssh/openssh.h"
#include <errno.h>
#include <string.h>

#define SAID_MAX 8192 /* of standard error: the first words say why */
#define LINE_MAX_BYTES 65536
#define WHY_MAX 300

/* rsync(1), "EXIT VALUES" */
enum {
    RSYNC_SOCKET = 10,
    RSYNC_FILE_IO = 11,
    RSYNC_STREAM = 12, /* also where ssh failed, if rsync saw that first */
    RSYNC_PARTIAL = 23,
    RSYNC_VANISHED = 24,
    RSYNC_TIMEOUT = 30,
    RSYNC_NO_COMMAND = 127,
    SSH_FAILED = 255,
};

struct sync {
    const struct sync_request *r;
    struct sync_result result;
    struct buf line; /* what has come of the current one */
    struct buf said;
};

/* ---- what rsync says --------------------------------------------------------------------------
 */

/* Reads digits at the front of *s, at least one. */
static bool take_number(struct str *s, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        if (n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(s->p[i] - '0');
    }
    *s = (struct str){s->p + i, s->n - i};
    *out = n;
    return i > 0;
}

/* "   1234567  45%   12.34MB/s    0:00:01 (xfr#5, to-chk=10/20)" */
bool sync_read_progress(struct str line, struct sync_progress *out)
{
    struct sync_progress p = {0};
    uint64_t percent;
    line = str_trim(line);
    if (!take_number(&line, &p.bytes))
        return false;
    line = str_trim(line);
    if (!take_number(&line, &percent) || percent > 100 || !str_starts(line, "%"))
        return false;
    p.percent = (int)percent;
    const char *mark = memmem(line.p, line.n, "xfr#", 4);
    if (mark) {
        struct str rest = {mark + 4, line.n - (size_t)(mark + 4 - line.p)};
        (void)take_number(&rest, &p.files);
    }
    *out = p;
    return true;
}

static bool stat_line(struct str line, const char *key, uint64_t *out)
{
    if (!str_starts(line, key))
        return false;
    struct str rest = str_trim((struct str){line.p + strlen(key), line.n - strlen(key)});
    return take_number(&rest, out);
}

static void take_line(struct sync *s, struct str line)
{
    struct sync_progress p;
    uint64_t n;
    if (sync_read_progress(line, &p)) {
        if (s->r->progress)
            s->r->progress(s->r->ctx, &p);
    } else if (str_starts(line, "skipping ")) {
        s->result.special++;
    } else if (stat_line(line, "Number of regular files transferred:", &n)) {
        s->result.files = n;
    } else if (stat_line(line, "Total transferred file size:", &n)) {
        s->result.bytes = n;
    } else if (stat_line(line, "Total bytes sent:", &n) ||
               stat_line(line, "Total bytes received:", &n)) {
        s->result.wire += n;
    }
}

static void got_output(void *ctx, size_t child, bool is_err, struct str bytes)
{
    (void)child;
    struct sync *s = ctx;
    if (is_err) {
        buf_add_str(&s->said, bytes);
        return;
    }
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] != '\n' && bytes.p[i] != '\r') {
            buf_addc(&s->line, bytes.p[i]);
            continue;
        }
        take_line(s, buf_view(&s->line));
        buf_clear(&s->line);
    }
}

/* ---- what went wrong --------------------------------------------------------------------------
 */

static bool says(struct str said, const char *words)
{
    return said.p && said.n && memmem(said.p, said.n, words, strlen(words)) != NULL;
}

/* The line with these words, else the first that is no empty one. */
static struct str why(struct str said, const char *words)
{
    struct str first = {NULL, 0};
    while (said.p && said.n) {
        struct str line = str_trim(str_cut(&said, '\n'));
        if (line.n > WHY_MAX)
            line.n = WHY_MAX;
        if (words && says(line, words))
            return line;
        if (!first.n && line.n && !str_starts(line, "Warning: Permanently added"))
            first = line;
    }
    return first.n ? first : STR("no reason given");
}

/* Whether the words stand in a line of the far side's, such as 'rsync: [receiver] …'. */
static bool of_far_side(const struct sync_request *r, struct str said, const char *words)
{
    struct str line = why(said, words);
    bool by_sender = says(line, "[sender]");
    return r->upload ? !by_sender : by_sender;
}

static void explain_connection(const struct sync_request *r, struct str said, struct err *err)
{
    const char *host = r->target->label;
    if (says(said, "Host key verification failed") || says(said, "HOST IDENTIFICATION HAS CHANGED"))
        err_set(err, ERR_HOST_KEY, "%s showed a host key that is not the pinned one", host);
    else if (says(said, "Permission denied (publickey"))
        err_set(err, ERR_AUTH, "%s refused the key of user '%s'", host, r->target->user);
    else
        err_set(err, ERR_UNREACHABLE, "the connection to %s failed: %.*s", host,
                STR_FMT(why(said, "ssh:")));
}

void sync_explain(const struct sync_request *r, int status, struct str said, struct err *err)
{
    const char *host = r->target->label;
    static const char full[] = "No space left on device", denied[] = "Permission denied (13)";
    if (status == RSYNC_NO_COMMAND || says(said, "rsync: not found") ||
        says(said, "rsync: command not found")) {
        err_set(err, ERR_NOT_FOUND,
                "%s has no rsync; type: flambe exec CLUSTER -- sudo apt-get install -y rsync",
                host);
    } else if (says(said, full) || says(said, "Disk quota exceeded")) {
        if (r->upload)
            err_set(err, ERR_REMOTE,
                    "the disk of %s is full: free some of it, or make the cluster with a larger "
                    "'volume_size'",
                    host);
        else
            err_set_sys(err, ENOSPC, "cannot write '%s'", r->local);
    } else if (says(said, denied)) {
        bool far = of_far_side(r, said, denied);
        if (far)
            err_set(err, ERR_REMOTE, "%s does not let the user '%s' at '%s': %.*s", host,
                    r->target->user, r->remote, STR_FMT(why(said, denied)));
        else
            err_set(err, ERR_FILE, "this machine does not let you at some files: %.*s",
                    STR_FMT(why(said, denied)));
    } else if (status == RSYNC_FILE_IO && r->upload && !str_trim(said).n) {
        err_set(err, ERR_REMOTE, "the disk of %s is full, or fails: rsync there said no more",
                host);
    } else if (status == SSH_FAILED || status == RSYNC_STREAM || status == RSYNC_SOCKET) {
        explain_connection(r, said, err);
    } else if (status == RSYNC_TIMEOUT) {
        err_set(err, ERR_TIMEOUT, "%s said nothing for too long", host);
    } else if (status == RSYNC_PARTIAL) {
        err_set(err, ERR_PARTIAL, "%s: some files of '%s' were not carried: %.*s", host,
                r->upload ? r->local : r->remote, STR_FMT(why(said, NULL)));
    } else {
        err_set(err, ERR_REMOTE, "rsync with %s ended with status %d: %.*s", host, status,
                STR_FMT(why(said, NULL)));
    }
}

/* ---- the run ----------------------------------------------------------------------------------
 */

/* rsync reads names with a system call for each byte, and holds each file to each pattern. */
#define NAME_BYTE_COST 1500 /* nanoseconds */
#define PATTERN_COST 10     /* for each file */

static uint64_t count_names(struct str names)
{
    uint64_t n = 0;
    for (size_t i = 0; i < names.n; i++)
        n += names.p[i] == '\0';
    return n;
}

static bool by_rest(const struct sync_request *r)
{
    return r->rest.p && count_names(r->rest) * count_names(r->names) <=
                            r->names.n * (uint64_t)NAME_BYTE_COST / PATTERN_COST;
}

static void add_flags(const struct sync_request *r, struct strv *argv)
{
    strv_add(argv, "rsync");
    strv_add(argv, "-slt"); /* -s: no shell reads the paths */
    /* What a host says of set-user-id bits is not for this machine: only who may execute. */
    strv_add(argv, r->upload ? "-p" : "-E");
    if (!r->is_file && (!r->names.p || by_rest(r)))
        strv_add(argv, "-r");
    strv_add(argv, "--safe-links");
    strv_add(argv, "--no-human-readable");
    strv_add(argv, "--info=progress2");
    strv_add(argv, "--stats");
    strv_add(argv, "--timeout=300");
    if (r->delete_gone)
        strv_add(argv, "--delete");
    if (r->partial)
        strv_add(argv, "--partial");
    for (size_t i = 0; r->exclude && r->exclude[i]; i++)
        strv_take(argv, mem_printf("--exclude=%s", r->exclude[i]));
    if (r->names.p)
        strv_add(argv, "--force"); /* a file may stand where a directory with more in it was */
    if (r->names.p && by_rest(r)) {
        strv_add(argv, "--from0");
        strv_add(argv, "--exclude-from=-");
    } else if (r->names.p) {
        strv_add(argv, "--from0");
        strv_add(argv, "--files-from=-");
        strv_add(argv, "--ignore-missing-args"); /* gone since it was listed */
    }
}

static void make_argv(const struct sync_request *r, struct strv *argv)
{
    AUTO_STRV struct strv options = {0};
    strv_copy(&options, r->options);
    static const char *const ours[] = {"BatchMode=yes", "ConnectTimeout=20",
                                       "ServerAliveInterval=15", "ServerAliveCountMax=4"};
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        strv_add(&options, "-o");
        strv_add(&options, ours[i]);
    }
    add_flags(r, argv);
    strv_add(argv, "-e");
    strv_take(argv, openssh_rsync_shell(&options, r->target->port));
    strv_add(argv, "--");
    /* A file goes into the other side's directory: that has the '/'. */
    AUTO_FREE char *local = mem_printf("%s%s", r->local, r->is_file && r->upload ? "" : "/");
    AUTO_FREE char *remote = mem_printf("%s%s", r->remote, r->is_file && !r->upload ? "" : "/");
    char *here = openssh_local(local), *there = openssh_place(r->target, remote);
    strv_take(argv, r->upload ? here : there);
    strv_take(argv, r->upload ? there : here);
}

/* rsync takes a name that begins with '#' or ';' for a comment, a NUL at its end or not. */
static void add_names(struct str names, struct buf *out)
{
    out->max = SYNC_NAMES_MAX * 2; /* a name has a letter and a NUL at least */
    for (struct str rest = names; rest.p && rest.n;) {
        struct str name = str_cut(&rest, '\0');
        buf_add(out, "./", 2);
        buf_add_str(out, name);
        buf_addc(out, '\0');
    }
}

/* A pattern that only this path fits. Without a wildcard in it, rsync takes a '\\' for itself. */
static void add_pattern(struct str name, struct buf *out)
{
    bool wild = false;
    for (size_t i = 0; i < name.n; i++)
        wild = wild || memchr("*?[", name.p[i], 3);
    buf_addc(out, '/');
    for (size_t i = 0; i < name.n; i++) {
        if (wild && memchr("*?[]\\", name.p[i], 5))
            buf_addc(out, '\\');
        buf_addc(out, name.p[i]);
    }
    buf_addc(out, '\0');
}

static void add_patterns(struct str rest, struct buf *out)
{
    out->max = SYNC_NAMES_MAX * 2;
    while (rest.p && rest.n)
        add_pattern(str_cut(&rest, '\0'), out);
}

int sync_run(struct loop *loop, const struct sync_request *r, struct sync_result *out,
             struct err *err)
{
    if (r->names.n > SYNC_NAMES_MAX)
        return err_set(err, ERR_LIMIT, "too many files to carry at once");
    struct sync s = {.r = r, .line = {.max = LINE_MAX_BYTES}, .said = {.max = SAID_MAX}};
    AUTO_BUF struct buf names = {0};
    if (r->names.p && by_rest(r))
        add_patterns(r->rest, &names);
    else
        add_names(r->names, &names);
    struct child child = {.input = buf_view(&names)};
    struct children_request request = {
        .items = &child, .count = 1, .at_once = 1, .output = got_output, .ctx = &s};
    make_argv(r, &child.argv);
    int rc = children_run(loop, &request, err);
    take_line(&s, buf_view(&s.line));
    if (rc == 0 && child.status == -1) {
        rc = child.err.sys == ENOENT
                 ? err_set(err, ERR_NOT_FOUND,
                           "this machine has no rsync; type: sudo apt-get install rsync")
                 : err_copy(err, &child.err);
    } else if (rc == 0 && child.status == RSYNC_VANISHED) {
        s.result.vanished = true;
    } else if (rc == 0 && child.status != 0) {
        sync_explain(r, child.status, buf_view(&s.said), err);
        rc = -1;
    }
    if (rc == 0)
        *out = s.result;
    child_done(&child);
    buf_done(&s.line);
    buf_done(&s.said);
    return rc;
}

/* The journal of launches: what makes a kill between any two calls harmless.
 *
 * One JSON object a line, appended and synced. A launch is in it, with its client token and its
 * whole body, before it is sent; it leaves after its answer has come and its hosts' keys are
 * pinned. A launch that is still there on the next run was perhaps sent: sending it again under
 * the same token gives the machines it made, or makes them now, never both.
 *
 * The body holds the bootstrap host key, so the file is private to the user, and is emptied as soon
 * as nothing is pending. */
#include "base/json.h"
#include "base/mem.h"
#include "base/port.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void entry_done(struct launch_entry *e)
{
    free(e->token);
    if (e->body)
        port_wipe(e->body, strlen(e->body));
    free(e->body);
    free(e->host_key);
    *e = (struct launch_entry){0};
}

void journal_done(struct journal *j)
{
    for (size_t i = 0; i < j->count; i++)
        entry_done(&j->pending[i]);
    free(j->pending);
    free(j->path);
    *j = (struct journal){0};
}

static struct launch_entry *find(struct journal *j, const char *token)
{
    for (size_t i = 0; i < j->count; i++)
        if (strcmp(j->pending[i].token, token) == 0)
            return &j->pending[i];
    return NULL;
}

static void drop(struct journal *j, struct launch_entry *e)
{
    size_t at = (size_t)(e - j->pending);
    entry_done(e);
    memmove(e, e + 1, (j->count - at - 1) * sizeof *e);
    j->count--;
}

static int take_line(struct journal *j, const json_t *line, struct err *err)
{
    const char *event = json_text(line, "event"), *token = json_text(line, "token");
    if (!event || !token)
        return err_set(err, ERR_PARSE, "a line without event and token");
    if (strcmp(event, "answered") == 0) {
        struct launch_entry *e = find(j, token);
        if (e)
            drop(j, e);
        return 0;
    }
    const char *body = json_text(line, "body"), *key = json_text(line, "host_key");
    const char *role = json_text(line, "role");
    json_int_t first = json_integer_value(json_object_get(line, "first"));
    json_int_t count = json_integer_value(json_object_get(line, "count"));
    if (strcmp(event, "launch") != 0 || !body || !key || !role || first < 0 || first > 1000000 ||
        count < 1 || count > LAUNCH_BATCH_MAX)
        return err_set(err, ERR_PARSE, "a line that is no launch");
    if (find(j, token))
        return 0;
    MEM_PUSH_ROOM(j->pending, j->count, j->cap);
    j->pending[j->count++] = (struct launch_entry){
        .token = mem_dup(token),
        .body = mem_dup(body),
        .host_key = mem_dup(key),
        .role = strcmp(role, "Orchestrator") == 0 ? ROLE_ORCHESTRATOR : ROLE_FACTORY,
        .first = (int)first,
        .count = (int)count,
        .at = json_integer_value(json_object_get(line, "at")),
    };
    return 0;
}

static int read_lines(struct journal *j, struct str rest, struct err *err)
{
    for (int number = 1; rest.p && rest.n; number++) {
        struct str line = str_cut(&rest, '\n');
        bool torn = !rest.p; /* no newline: the crash came while it was written */
        if (torn)
            break; /* its launch was not sent: that waits for the sync */
        json_auto_t *value = NULL;
        if (json_parse(line, JOURNAL_BYTES_MAX, &value, err) == -1 ||
            take_line(j, value, err) == -1)
            return err_wrap(err, "'%s' line %d", j->path, number);
    }
    return 0;
}

int journal_open(const char *path, struct journal *out, struct err *err)
{
    struct journal j = {.path = mem_dup(path)};
    struct buf text = {0};
    struct err why = {0};
    int rc = fs_read(path, JOURNAL_BYTES_MAX, &text, &why);
    if (rc == -1 && why.code == ERR_NOT_FOUND)
        rc = 0;
    else if (rc == 0)
        rc = read_lines(&j, buf_view(&text), &why);
    buf_wipe(&text);
    if (rc == -1) {
        journal_done(&j);
        return err_copy(err, &why);
    }
    *out = j;
    return 0;
}

/* A new file is safe only with its directory. Some file systems refuse this, and need it not. */
static void sync_directory_of(const char *path)
{
    AUTO_FREE char *dir = mem_dup(path);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static int append(const char *path, struct str bytes, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot write the journal '%s'", path);
    struct stat before = {0};
    bool known = fstat(fd, &before) == 0;
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    if (bytes.n || fsync(fd) == -1) {
        int sys = errno;
        if (known) /* half a line would swallow the next one */
            (void)!ftruncate(fd, before.st_size);
        close(fd);
        return err_set_sys(err, sys, "cannot write the journal '%s'", path);
    }
    close(fd);
    if (known && !before.st_size)
        sync_directory_of(path);
    return 0;
}

static int append_json(const char *path, json_t *line, struct err *err)
{
    struct buf text = {0};
    json_write(line, false, &text);
    buf_addc(&text, '\n');
    int rc = append(path, buf_view(&text), err);
    buf_wipe(&text);
    return rc;
}

/* A line that a crash left without its newline would swallow the next one. */
static int mend_tail(const char *path, struct err *err)
{
    struct buf text = {0};
    struct err why = {0};
    int rc = fs_read(path, JOURNAL_BYTES_MAX, &text, &why);
    if (rc == -1 && why.code == ERR_NOT_FOUND)
        rc = 0;
    else if (rc == 0 && text.len && text.data[text.len - 1] != '\n') {
        const char *last = port_memrchr(text.data, '\n', text.len);
        size_t keep = last ? (size_t)(last - text.data) + 1 : 0;
        rc = truncate(path, (off_t)keep);
        if (rc == -1)
            err_set_sys(&why, errno, "cannot mend the journal '%s'", path);
    }
    buf_wipe(&text);
    return rc == -1 ? err_copy(err, &why) : 0;
}

int journal_begin(struct journal *j, struct launch_entry *e, struct err *err)
{
    if (!j->mended && mend_tail(j->path, err) == -1)
        return -1;
    j->mended = true;
    json_auto_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I}", "event", "launch", "token", e->token,
                  "role", cluster_role_name(e->role), "body", e->body, "host_key", e->host_key,
                  "first", e->first, "count", e->count, "at", (json_int_t)e->at);
    if (!line)
        return err_set(err, ERR_INTERNAL, "a launch cannot be journalled");
    if (append_json(j->path, line, err) == -1)
        return -1;
    MEM_PUSH_ROOM(j->pending, j->count, j->cap);
    j->pending[j->count++] = *e;
    *e = (struct launch_entry){0};
    return 0;
}

int journal_end(struct journal *j, const char *token, struct err *err)
{
    struct launch_entry *e = find(j, token);
    if (!e)
        return 0;
    if (j->count == 1) { /* the last one: nothing is worth keeping, the keys least of all */
        if (unlink(j->path) == -1 && errno != ENOENT)
            return err_set_sys(err, errno, "cannot empty the journal '%s'", j->path);
        drop(j, e);
        return 0;
    }
    json_auto_t *line = json_pack("{s:s, s:s}", "event", "answered", "token", token);
    if (append_json(j->path, line, err) == -1)
        return -1;
    drop(j, e);
    return 0;
}

enum journal_verdict journal_judge(const struct launch_entry *e, usec_t now)
{
    /* A clock that went backwards makes it young: replaying is the safe side. */
    return now - e->at > JOURNAL_REPLAY_WITHIN ? JOURNAL_FORGET : JOURNAL_REPLAY;
}

bool journal_replay_is_final(const struct err *e)
{
    if (strcmp(e->origin, "IdempotentInstanceTerminated") == 0 ||
        strcmp(e->origin, "IdempotentParameterMismatch") == 0)
        return true;
    switch (e->code) {
    case ERR_REJECTED:
    case ERR_NOT_FOUND:
    case ERR_CAPACITY:
    case ERR_QUOTA:
    case ERR_PERMISSION:
        return true; /* EC2 says no: nothing was made under this token */
    default:
        return false;
    }
}

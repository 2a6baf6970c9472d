/* See trial_files.h. None of it is synced: a power cut costs the trials under way, which begin
 * anew. */
#include "experiment/trial_files.h"
#include "base/json.h"
#include "base/mem.h"
#include "experiment/eventfile.h"
#include "os/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OBJECTIVE_TAG "objective" /* in the event file; a trial's own metric of this name stays */

static bool is_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A program may leave anything in its directory, where we write: a new file takes the place of
 * whatever has its name, and one that is added to has to be a plain file, opened without waiting
 * for a FIFO's reader. */
static int open_file(const char *path, bool append)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    if (!append) {
        struct err why;
        if (fs_remove_tree(path, &why) == -1)
            errno = why.sys;
        return open(path, flags | O_EXCL, 0666);
    }
    int fd = open(path, flags | O_APPEND | O_NONBLOCK, 0666);
    struct stat st;
    if (fd >= 0 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

static int write_file(const char *directory, const char *name, bool append, struct str bytes,
                      struct err *err)
{
    AUTO_FREE char *path = fs_join(directory, name);
    if (!is_directory(directory)) /* a link in its place leads elsewhere */
        return err_set_sys(err, ENOTDIR, "cannot write '%s'", path);
    int fd = open_file(path, append);
    if (fd == -1)
        return err_set_sys(err, errno, "cannot write '%s'", path);
    int rc = fs_write_all(fd, bytes), sys = errno;
    if (close(fd) == -1 && rc == 0) {
        rc = -1;
        sys = errno;
    }
    return rc == 0 ? 0 : err_set_sys(err, sys, "cannot write '%s'", path);
}

/* ---- before -----------------------------------------------------------------------------------
 */

static bool has_entries(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    bool any = false;
    while (dir && !any && (e = readdir(dir)))
        any = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return any;
}

static bool is_no_error(const char *name)
{
    return strncmp(name, "error_", 6) != 0;
}

/* All but the errors of earlier attempts, unless the program has a checkpoint to go on from. */
static int clear(const char *directory, struct err *err)
{
    AUTO_FREE char *checkpoint = fs_join(directory, TRIAL_CHECKPOINT);
    return has_entries(checkpoint) ? 0 : fs_remove_entries(directory, is_no_error, err);
}

/* A link in the directory's place, or in its stage's, leads elsewhere: it is removed. */
static int make_directory(const char *directory, struct err *err)
{
    AUTO_FREE char *stage = mem_dup_n(directory, (size_t)(strrchr(directory, '/') - directory));
    if (fs_exists(stage) && !is_directory(stage) && fs_remove_tree(stage, err) == -1)
        return -1;
    if (mkdir(directory, 0777) == 0)
        return 0;
    if (errno == EEXIST && is_directory(directory))
        return clear(directory, err);
    if (errno == EEXIST && fs_remove_tree(directory, err) == -1)
        return -1;
    return fs_mkdirs(directory, 0777, err);
}

/* The program finds it empty, or as an earlier attempt left it. */
static int make_checkpoint(const char *directory, struct err *err)
{
    AUTO_FREE char *path = fs_join(directory, TRIAL_CHECKPOINT);
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    return err_set_sys(err, errno, "cannot make '%s'", path);
}

int trial_files_begin(const char *directory, const char *group, const json_t *params,
                      const json_t *options, const json_t *domains, usec_t wall, struct err *err)
{
    AUTO_BUF struct buf text = {0}, events = {0};
    json_write(params, true, &text);
    eventfile_begin(wall, &events);
    eventfile_hparams_start(wall, group, options, domains, &events);
    if (make_directory(directory, err) == -1 || make_checkpoint(directory, err) == -1 ||
        write_file(directory, "params.json", false, buf_view(&text), err) == -1)
        return -1;
    return write_file(directory, TRIAL_EVENTS_FILE, false, buf_view(&events), err);
}

int trial_files_add_events(const char *directory, struct buf *events, struct err *err)
{
    if (events->len == 0)
        return 0;
    int rc = write_file(directory, TRIAL_EVENTS_FILE, true, buf_view(events), err);
    buf_clear(events);
    return rc;
}

/* ---- after ------------------------------------------------------------------------------------
 */

/* A message may be cut within a letter, and a file's name be any bytes. */
static json_t *text_or_null(const char *s)
{
    return s && *s ? json_lossy(s) : json_null();
}

static void add_result(const struct store_trial *t, const json_t *metrics, struct buf *out)
{
    char started[CLOCK_ISO_SIZE], ended[CLOCK_ISO_SIZE];
    clock_iso(t->started, started);
    clock_iso(t->ended, ended);
    json_auto_t *value = json_pack(
        "{s:s, s:s?, s:i, s:i, s:i, s:o, s:s, s:s, s:f, s:f, s:f, s:I, s:o, s:o, s:O, s:o}",
        "state", trial_state_name(t->state), "end", t->end, "exit_status", t->exit_status, "signal",
        t->signal, "attempts", t->attempts, "message", text_or_null(t->message), "started", started,
        "ended", ended, "seconds", (double)(t->ended - t->started) / (double)USEC_PER_SEC,
        "user_seconds", (double)t->user_time / (double)USEC_PER_SEC, "system_seconds",
        (double)t->system_time / (double)USEC_PER_SEC, "memory_peak", (json_int_t)t->memory_peak,
        "host", text_or_null(t->host), "objective",
        t->has_objective ? json_number(t->objective) : json_null(), "metrics", (json_t *)metrics,
        "warning", text_or_null(t->warning));
    json_write(value, true, out);
}

/* The last TRIAL_ERROR_TAIL bytes of the console. */
static void add_console(const char *directory, struct buf *out)
{
    AUTO_FREE char *path = fs_join(directory, TRIAL_CONSOLE_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd == -1)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        off_t from = st.st_size > TRIAL_ERROR_TAIL ? st.st_size - TRIAL_ERROR_TAIL : 0;
        char block[8192];
        ssize_t n;
        if (from)
            buf_addf(out, "[the last %d bytes of %s]\n", TRIAL_ERROR_TAIL, TRIAL_CONSOLE_FILE);
        while ((n = pread(fd, block, sizeof block, from)) > 0) {
            buf_add(out, block, (size_t)n);
            from += n;
        }
    }
    close(fd);
}

void trial_files_error_name(const struct store_trial *t, char name[TRIAL_ERROR_NAME_SIZE])
{
    time_t at = (time_t)(t->ended / USEC_PER_SEC);
    struct tm tm;
    char date[32];
    localtime_r(&at, &tm);
    strftime(date, sizeof date, "%Y-%m-%d_%H-%M-%S", &tm);
    snprintf(name, TRIAL_ERROR_NAME_SIZE, "error_%s_%d.txt", date, t->attempts);
}

static int write_error(const char *directory, const struct store_trial *t, struct err *err)
{
    char name[TRIAL_ERROR_NAME_SIZE];
    trial_files_error_name(t, name);
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "attempt %d: ", t->attempts);
    store_trial_reason(t, &text);
    buf_addc(&text, '\n');
    add_console(directory, &text);
    return write_file(directory, name, false, buf_view(&text), err);
}

static enum eventfile_status status_of(enum trial_state s)
{
    return s == TRIAL_FAILURE ? EVENTFILE_FAILURE : EVENTFILE_SUCCESS;
}

/* Unless the program put something there. */
static void drop_checkpoint(const char *directory)
{
    AUTO_FREE char *path = fs_join(directory, TRIAL_CHECKPOINT);
    if (is_directory(directory))
        (void)rmdir(path);
}

int trial_files_end(const char *directory, const struct store_trial *t, const json_t *metrics,
                    struct err *err)
{
    AUTO_BUF struct buf text = {0}, events = {0};
    bool failed = t->state != TRIAL_SUCCESS && t->state != TRIAL_STOPPED;
    if (failed && write_error(directory, t, err) == -1)
        return -1;
    if (t->state == TRIAL_PENDING)
        return 0; /* to be tried again */
    drop_checkpoint(directory);
    add_result(t, metrics, &text);
    if (t->has_objective && !json_object_get(metrics, OBJECTIVE_TAG))
        eventfile_scalar(t->ended, 0, STR(OBJECTIVE_TAG), t->objective, &events);
    eventfile_hparams_end(t->ended, status_of(t->state), &events);
    if (write_file(directory, "result.json", false, buf_view(&text), err) == -1)
        return -1;
    return trial_files_add_events(directory, &events, err);
}

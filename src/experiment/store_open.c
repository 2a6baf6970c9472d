/* See store.h. The schema; making, opening and closing a state.
 *
 * WAL, so that readers never wait for the driver, and so that a commit costs no wait for the disk:
 * see store_sync().
 *
 * A file may be somebody else's work, so nothing in it is executed: its schema is this one to the
 * letter, without triggers, views or expressions of its own, and what it has the system open is
 * itself alone. What the rows say is checked where they are read. */
#include "base/mem.h"
#include "experiment/store_priv.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One object of the schema, and the STORE_VERSION that has it since. metric has no key of its own:
 * points are only ever appended, and found by trial. */
static const struct object {
    const char *name, *sql;
    int since;
} objects[] = {
    {"fact", "CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID", 1},
    {"stage",
     "CREATE TABLE stage(id INTEGER PRIMARY KEY, name TEXT NOT NULL, state INTEGER NOT NULL,"
     " planned INTEGER NOT NULL, at_most INTEGER NOT NULL, metric TEXT, maximize INTEGER NOT NULL,"
     " best INTEGER NOT NULL, fingerprint TEXT, note TEXT)",
     1},
    {"trial",
     "CREATE TABLE trial(id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, number INTEGER NOT NULL,"
     " name TEXT NOT NULL, params TEXT, fingerprint TEXT, state INTEGER NOT NULL,"
     " attempts INTEGER NOT NULL, started INTEGER, ended INTEGER, ending TEXT,"
     " exit_status INTEGER, signal INTEGER, message TEXT, user_time INTEGER, system_time INTEGER,"
     " memory_peak INTEGER, host TEXT, gpus TEXT, objective REAL, warning TEXT,"
     " draw TEXT)",
     1},
    {"trial_number", "CREATE UNIQUE INDEX trial_number ON trial(stage, number)", 1},
    {"trial_state", "CREATE INDEX trial_state ON trial(stage, state)", 1},
    {"trial_retired", "CREATE INDEX trial_retired ON trial(fingerprint) WHERE stage<0", 1},
    {"trial_retired_params", "CREATE INDEX trial_retired_params ON trial(params) WHERE stage<0", 2},
    {"attempt",
     "CREATE TABLE attempt(trial INTEGER NOT NULL, number INTEGER NOT NULL, started INTEGER,"
     " ended INTEGER, ending TEXT, exit_status INTEGER, signal INTEGER, message TEXT)",
     1},
    {"attempt_trial", "CREATE INDEX attempt_trial ON attempt(trial)", 1},
    {"tag", "CREATE TABLE tag(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL)", 1},
    {"summary",
     "CREATE TABLE summary(trial INTEGER NOT NULL, tag INTEGER NOT NULL, count INTEGER NOT NULL,"
     " first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, last REAL, low REAL, high REAL,"
     " PRIMARY KEY(trial, tag)) WITHOUT ROWID",
     1},
    {"metric",
     "CREATE TABLE metric(trial INTEGER NOT NULL, tag INTEGER NOT NULL, step INTEGER NOT NULL,"
     " wall INTEGER NOT NULL, value REAL)",
     1},
    {"metric_trial", "CREATE INDEX metric_trial ON metric(trial, tag, step)", 1},
};

/* ---- the file ---------------------------------------------------------------------------------
 */

static int not_ours(const struct store *s, const char *why, struct err *err)
{
    return err_set(err, ERR_PARSE,
                   "'%s' was not written by flambe (%s): restore it from a copy, or begin anew "
                   "with '--force', which removes these results",
                   s->path, why);
}

static int open_db(struct store *s, const char *path, int flags, struct err *err)
{
    static const struct {
        int option, on;
    } configs[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                   {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                   {SQLITE_DBCONFIG_ENABLE_VIEW, 0}};
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return store_fail(s, err);
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    sqlite3_extended_result_codes(s->db, 1);
    for (size_t i = 0; i < COUNT_OF(configs); i++)
        sqlite3_db_config(s->db, configs[i].option, configs[i].on, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(s->db, SQLITE_LIMIT_TRIGGER_DEPTH, 0);
    sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, STORE_TEXT_MAX);
    return store_exec(s, "PRAGMA cell_size_check=ON", err);
}

/* What has been linked into a directory is there after a power cut only when that is synced. */
static int sync_directory(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : err_set_sys(err, errno, "cannot sync '%s'", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool is_not_supported(int sys)
{
    return sys == EPERM || sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP || sys == EMLINK;
}

/* Gives a whole file its name, never in another's place. link(2) does that everywhere but where
 * there are no hard links (exFAT, some of FUSE); there a rename that replaces nothing; and where
 * that is not known either, a look and a plain rename: whoever makes a state has the directory's
 * lock. -1 with errno. */
static int publish(const char *fresh, const char *path)
{
    if (link(fresh, path) == 0)
        return unlink(fresh);
    if (!is_not_supported(errno))
        return -1;
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (!is_not_supported(errno))
        return -1;
#endif
    struct stat st;
    if (lstat(path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(fresh, path);
}

static void add_schema(struct buf *sql)
{
    for (size_t i = 0; i < COUNT_OF(objects); i++)
        buf_addf(sql, "%s; ", objects[i].sql);
}

/* The file is whole under its name or not there at all: a file that a crash left half made would
 * look like a damaged one. So there is no journal either, which a crash would leave behind. */
static int create(struct store *s, const char *directory, struct err *err)
{
    AUTO_FREE char *fresh = mem_printf("%s.new", s->path);
    AUTO_BUF struct buf head = {0};
    struct store maker = {.path = fresh};
    unlink(fresh);
    int rc = open_db(&maker, fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    buf_addf(&head,
             "PRAGMA journal_mode=MEMORY; PRAGMA application_id=%d; PRAGMA user_version=%d; "
             "BEGIN; ",
             STORE_APPLICATION, STORE_VERSION);
    add_schema(&head);
    buf_adds(&head, "COMMIT");
    if (rc == 0)
        rc = store_exec(&maker, buf_text(&head), err);
    sqlite3_close(maker.db);
    if (rc == 0 && publish(fresh, s->path) == -1)
        rc = err_set_sys(err, errno, "cannot make '%s'", s->path);
    if (rc == -1)
        unlink(fresh);
    return rc == 0 ? sync_directory(directory, err) : -1;
}

/* ---- what is in it ----------------------------------------------------------------------------
 */

static int read_number(struct store *s, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, sql, err);
    if (!st)
        return -1;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int check_whole(struct store *s, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, "PRAGMA quick_check(1)", err);
    if (!st)
        return -1;
    int rc = sqlite3_step(st);
    AUTO_FREE char *text = rc == SQLITE_ROW ? store_column_dup(st, 0) : NULL;
    if (rc != SQLITE_ROW)
        store_fail(s, err);
    sqlite3_finalize(st);
    if (rc != SQLITE_ROW)
        return -1;
    return text && strcmp(text, "ok") == 0 ? 0
                                           : store_damaged(s->path, text ? text : "no answer", err);
}

/* The one that the row of sqlite_master is, to the letter; or -1. */
static int find_object(const char *type, const char *name, const char *sql)
{
    for (size_t i = 0; i < COUNT_OF(objects); i++)
        if (strcmp(objects[i].name, name) == 0) {
            const char *of = str_starts(str_of(objects[i].sql), "CREATE TABLE") ? "table" : "index";
            return strcmp(of, type) == 0 && strcmp(objects[i].sql, sql) == 0 ? (int)i : -1;
        }
    return -1;
}

/* A key's index has no text; it comes with the table's. */
static bool is_of_key(const char *type, const char *name, const char *sql)
{
    return !*sql && strcmp(type, "index") == 0 && str_starts(str_of(name), "sqlite_autoindex_");
}

static int check_schema(struct store *s, int64_t version, struct err *err)
{
    sqlite3_stmt *st = store_prepare(
        s, "SELECT ifnull(type,''), ifnull(name,''), ifnull(sql,'') FROM sqlite_master", err);
    bool there[COUNT_OF(objects)] = {false};
    AUTO_BUF struct buf why = {.max = 300};
    if (!st)
        return -1;
    int rc = SQLITE_DONE;
    while (!why.len && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(st, 0),
                   *name = (const char *)sqlite3_column_text(st, 1),
                   *sql = (const char *)sqlite3_column_text(st, 2);
        int at = type && name && sql ? find_object(type, name, sql) : -1;
        if (at >= 0)
            there[at] = true;
        else if (!type || !name || !sql || !is_of_key(type, name, sql))
            buf_addf(&why, "its %.20s '%.100s' is another one", type ? type : "?",
                     name ? name : "?");
    }
    if (!why.len && rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    if (!why.len && rc != SQLITE_DONE)
        return -1;
    for (size_t i = 0; i < COUNT_OF(objects) && !why.len; i++)
        if (!there[i] && objects[i].since <= version)
            buf_addf(&why, "it has no '%s'", objects[i].name);
    return why.len ? not_ours(s, buf_text(&why), err) : 0;
}

static int check(struct store *s, int64_t *version, struct err *err)
{
    int64_t application = 0;
    if (read_number(s, "PRAGMA application_id", &application, err) == -1 ||
        read_number(s, "PRAGMA user_version", version, err) == -1)
        return -1;
    if (application != STORE_APPLICATION || *version < 1)
        return store_damaged(s->path, "it does not say that it is flambe's", err);
    if (*version > STORE_VERSION)
        return err_set(err, ERR_CONFLICT,
                       "'%s' was made by a newer flambe (its form is %lld, and this one knows up "
                       "to %d): use that flambe, or begin anew with '--force', which removes these "
                       "results",
                       s->path, (long long)*version, STORE_VERSION);
    if (check_schema(s, *version, err) == -1)
        return -1;
    return s->writable ? check_whole(s, err) : 0;
}

/* From an earlier version: adds what that one had not. */
static int migrate(struct store *s, int64_t version, struct err *err)
{
    AUTO_BUF struct buf sql = {0};
    if (version == STORE_VERSION)
        return 0;
    buf_adds(&sql, "BEGIN IMMEDIATE; ");
    for (size_t i = 0; i < COUNT_OF(objects); i++)
        if (objects[i].since > version)
            buf_addf(&sql, "%s; ", objects[i].sql);
    buf_addf(&sql, "PRAGMA user_version=%d; COMMIT", STORE_VERSION);
    if (store_exec(s, buf_text(&sql), err) == 0)
        return 0;
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

/* A journal of several files has the name of another at its end, behind 8 bytes that say so, and
 * SQLite removes that other file when it is done (https://www.sqlite.org/atomiccommit.html,
 * section 5). flambe writes one file at a time. */
static bool names_another(const char *journal)
{
    static const unsigned char mark[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char end[sizeof mark];
    struct stat st;
    int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool does = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                st.st_size >= (off_t)sizeof end &&
                pread(fd, end, sizeof end, st.st_size - (off_t)sizeof end) == sizeof end &&
                memcmp(end, mark, sizeof mark) == 0;
    if (fd >= 0)
        close(fd);
    return does;
}

static int check_file(const struct store *s, const char *directory, struct err *err)
{
    AUTO_FREE char *real = realpath(s->path, NULL); /* beside which SQLite looks */
    AUTO_FREE char *journal = mem_printf("%s-journal", real ? real : s->path);
    struct stat st;
    if (stat(s->path, &st) == -1)
        return errno == ENOENT || errno == ENOTDIR
                   ? err_set(err, ERR_NOT_FOUND, "'%s' has no results of flambe", directory)
                   : err_set_sys(err, errno, "cannot look at '%s'", s->path);
    if (!S_ISREG(st.st_mode)) /* a FIFO would be waited for */
        return not_ours(s, "it is no plain file", err);
    return names_another(journal) ? not_ours(s, "the journal beside it names another file", err)
                                  : 0;
}

/* A reader of a WAL file makes two files beside it. Where it may not, and no writer has made them,
 * nobody writes: the file is read as it is. */
static int open_to_read(struct store *s, const char *directory, struct err *err)
{
    AUTO_FREE char *wal = mem_printf("%s-wal", s->path);
    if (access(directory, W_OK) == 0 || fs_exists(wal))
        return open_db(s, s->path, SQLITE_OPEN_READONLY, err);
    AUTO_BUF struct buf uri = {0};
    buf_adds(&uri, "file:");
    for (const char *c = s->path; *c; c++) {
        if (strchr("%?#", *c))
            buf_addf(&uri, "%%%02x", (unsigned char)*c);
        else
            buf_addc(&uri, *c);
    }
    buf_adds(&uri, "?immutable=1");
    return open_db(s, buf_text(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
}

int store_open(const char *directory, enum store_mode mode, struct store **out, struct err *err)
{
    struct store *s = mem_alloc(sizeof *s);
    int64_t version = 0;
    s->path = fs_join(directory, STORE_FILE);
    s->writable = mode != STORE_READ;
    int rc = mode == STORE_CREATE ? create(s, directory, err) : 0;
    if (rc == 0)
        rc = check_file(s, directory, err);
    if (rc == 0)
        rc = s->writable ? open_db(s, s->path, SQLITE_OPEN_READWRITE, err)
                         : open_to_read(s, directory, err);
    if (rc == 0)
        rc = check(s, &version, err);
    if (rc == 0 && s->writable)
        rc = store_exec(s,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                        "PRAGMA cache_size=-8192",
                        err);
    if (rc == 0 && s->writable)
        rc = migrate(s, version, err);
    if (rc == 0)
        *out = s;
    else
        store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    if (s->writing)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(s->db);
    store_tags_done(s);
    free(s->path);
    free(s);
}

/* See store.h. The schema, opening, transactions, facts and stages.
 *
 * WAL, so that readers never wait for the driver, and so that a commit costs no wait for the disk:
 * see store_sync(). */
#include "experiment/store.h"
#include "base/mem.h"
#include "experiment/store_priv.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* metric has no key of its own: points are only ever appended, and found by trial. */
static const char schema[] =
    "CREATE TABLE fact(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE stage(id INTEGER PRIMARY KEY, name TEXT NOT NULL, state INTEGER NOT NULL,"
    " planned INTEGER NOT NULL, at_most INTEGER NOT NULL, metric TEXT, maximize INTEGER NOT NULL,"
    " best INTEGER NOT NULL, fingerprint TEXT, note TEXT);"
    "CREATE TABLE trial(id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, number INTEGER NOT NULL,"
    " name TEXT NOT NULL, params TEXT, fingerprint TEXT, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, started INTEGER, ended INTEGER, ending TEXT,"
    " exit_status INTEGER, signal INTEGER, message TEXT, user_time INTEGER, system_time INTEGER,"
    " memory_peak INTEGER, host TEXT, gpus TEXT, objective REAL, warning TEXT,"
    " draw TEXT);"
    "CREATE UNIQUE INDEX trial_number ON trial(stage, number);"
    "CREATE INDEX trial_state ON trial(stage, state);"
    "CREATE INDEX trial_retired ON trial(fingerprint) WHERE stage<0;"
    "CREATE TABLE attempt(trial INTEGER NOT NULL, number INTEGER NOT NULL, started INTEGER,"
    " ended INTEGER, ending TEXT, exit_status INTEGER, signal INTEGER, message TEXT);"
    "CREATE INDEX attempt_trial ON attempt(trial);"
    "CREATE TABLE tag(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
    "CREATE TABLE summary(trial INTEGER NOT NULL, tag INTEGER NOT NULL, count INTEGER NOT NULL,"
    " first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, last REAL, low REAL, high REAL,"
    " PRIMARY KEY(trial, tag)) WITHOUT ROWID;"
    "CREATE TABLE metric(trial INTEGER NOT NULL, tag INTEGER NOT NULL, step INTEGER NOT NULL,"
    " wall INTEGER NOT NULL, value REAL);"
    "CREATE INDEX metric_trial ON metric(trial, tag, step);";

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [PUT_FACT] = "INSERT INTO fact VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value",
    [GET_FACT] = "SELECT value FROM fact WHERE key=?",
    [PUT_STAGE] = "INSERT OR REPLACE INTO stage VALUES(?,?,?,?,?,?,?,?,?,?)",
    [COUNT_TRIALS] = "SELECT state, count(*) FROM trial WHERE stage=? GROUP BY state",
    [ADD_TRIAL] = "INSERT INTO trial VALUES(NULL,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,"
                  "?16,?17,?18,?19,?20,?21,?22)",
    /* Its place stays, and with it the index of places. */
    [PUT_TRIAL] = "UPDATE trial SET name=?4, params=?5, fingerprint=?6, state=?7, attempts=?8, "
                  "started=?9, ended=?10, ending=?11, exit_status=?12, signal=?13, message=?14, "
                  "user_time=?15, system_time=?16, memory_peak=?17, host=?18, gpus=?19, "
                  "objective=?20, warning=?21, draw=?22 WHERE id=?1 AND stage=?2 AND number=?3",
    [GET_TRIAL] = "SELECT * FROM trial WHERE stage=? AND number=?",
    [ADD_ATTEMPT] = "INSERT INTO attempt VALUES(?,?,?,?,?,?,?,?)",
    [GET_ATTEMPTS] = "SELECT number, started, ended, ending, exit_status, signal, message FROM "
                     "attempt WHERE trial=? ORDER BY rowid",
    [ADD_TAG] = "INSERT INTO tag(name) VALUES(?)",
    [GET_SUMMARY] = "SELECT last_step, count, first_step, low, high FROM summary WHERE trial=? AND "
                    "tag=?",
    [PUT_SUMMARY] = "INSERT OR REPLACE INTO summary VALUES(?,?,?,?,?,?,?,?)",
    [ADD_POINT] = "INSERT INTO metric VALUES(?,?,?,?,?)",
    [DROP_POINTS_OF_TAG] = "DELETE FROM metric WHERE trial=? AND tag=? AND step>=?",
    [GET_METRICS] = "SELECT t.name, s.count, s.first_step, s.last_step, s.last, s.low, s.high FROM "
                    "summary s JOIN tag t ON t.id=s.tag WHERE s.trial=? ORDER BY t.name",
    [GET_POINTS] = "SELECT step, wall, value FROM metric WHERE trial=? AND tag=(SELECT id FROM tag "
                   "WHERE name=?) ORDER BY step, rowid",
};

const char *trial_state_name(enum trial_state s)
{
    static const char *const names[] = {"pending", "running", "success", "failure", "stopped"};
    return names[s];
}

const char *stage_state_name(enum stage_state s)
{
    static const char *const names[] = {"pending", "running", "success", "failure"};
    return names[s];
}

static const char *const run_states[RUN_STATE_COUNT] = {"running", "finished", "stopped", "failed",
                                                        "interrupted"};

const char *run_state_name(enum run_state s)
{
    return run_states[s];
}

enum run_state run_state_now(const char *fact, bool held)
{
    if (held)
        return RUN_RUNNING;
    for (int s = RUN_FINISHED; fact && s < RUN_STATE_COUNT; s++)
        if (strcmp(fact, run_states[s]) == 0)
            return (enum run_state)s;
    return RUN_INTERRUPTED;
}

/* ---- errors and statements --------------------------------------------------------------------
 */

static int damaged(const char *path, const char *why, struct err *err)
{
    return err_set(
        err, ERR_PARSE,
        "the state file '%s' is damaged (%s): restore it from a copy, or begin anew with "
        "'--force', which removes these results",
        path, why);
}

/* The errno behind SQLite's last error. Of one in a COMMIT SQLite does not keep it, but the file
 * does: the log's. */
static int system_error(const struct store *s)
{
    int sys = sqlite3_system_errno(s->db);
    sqlite3_file *log = NULL;
    if (!sys && s->db &&
        sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &sys);
    return sys;
}

static int explain(const struct store *s, struct err *err)
{
    int code = sqlite3_errcode(s->db) & 0xff, sys = system_error(s);
    const char *text = sqlite3_errmsg(s->db);
    switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return damaged(s->path, text, err);
    case SQLITE_FULL:
        return err_set_sys(err, ENOSPC, "cannot write '%s'", s->path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (sys)
            return err_set_sys(err, sys, "cannot use '%s'", s->path);
        break;
    default:
        break;
    }
    return err_set(err, ERR_IO, "cannot use '%s': %s", s->path, text);
}

int store_fail(struct store *s, struct err *err)
{
    struct err why = {0};
    explain(s, &why);
    bool refused = (sqlite3_errcode(s->db) & 0xff) == SQLITE_CONSTRAINT; /* and nothing else */
    if (s->writing && !refused && !s->doom.code)
        s->doom = why;
    return err_copy(err, &why);
}

sqlite3_stmt *store_prepare(struct store *s, const char *sql, struct err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK) {
        store_fail(s, err);
        return NULL;
    }
    return st;
}

sqlite3_stmt *store_statement(struct store *s, enum store_statement which, struct err *err)
{
    sqlite3_stmt **st = &s->statements[which];
    if (*st) {
        sqlite3_reset(*st);
        sqlite3_clear_bindings(*st);
        return *st;
    }
    if (sqlite3_prepare_v3(s->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) !=
        SQLITE_OK)
        store_fail(s, err);
    return *st;
}

int store_run(struct store *s, sqlite3_stmt *st, struct err *err)
{
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        store_fail(s, err);
        sqlite3_reset(st);
        return -1;
    }
    sqlite3_reset(st);
    return 0;
}

int store_exec(struct store *s, const char *sql, struct err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_fail(s, err);
    return 0;
}

void store_bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

char *store_column_dup(sqlite3_stmt *st, int at)
{
    return mem_dup((const char *)sqlite3_column_text(st, at));
}

int store_write(struct store *s, struct err *err)
{
    if (s->writing)
        return s->doom.code ? err_copy(err, &s->doom) : 0;
    sqlite3_stmt *st = store_statement(s, BEGIN, err);
    if (!st || store_run(s, st, err) == -1)
        return -1;
    s->writing = true;
    return 0;
}

int store_commit(struct store *s, struct err *err)
{
    if (!s->writing)
        return 0;
    s->writing = false;
    struct err doom = s->doom;
    s->doom = (struct err){0};
    sqlite3_stmt *st = doom.code ? NULL : store_statement(s, COMMIT, err);
    if (doom.code)
        err_copy(err, &doom);
    else if (st && store_run(s, st, err) == 0)
        return 0;
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    store_tags_done(s); /* some may have been rolled back */
    return -1;
}

/* Every commit is in the file before the next begins, which is what a kill needs; one that is
 * synced takes those before it along, as they share the write-ahead log. */
int store_sync(struct store *s, struct err *err)
{
    if (store_commit(s, err) == -1)
        return -1;
    sqlite3_exec(s->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    AUTO_FREE char *now = mem_printf("%lld", (long long)clock_wall(clock_system()));
    int rc = store_set(s, "synced", now, err);
    if (rc == 0)
        rc = store_commit(s, err);
    sqlite3_exec(s->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int open_db(struct store *s, const char *path, int flags, struct err *err)
{
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return store_fail(s, err);
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    return 0;
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

/* The file is whole under its name or not there at all: a file that a crash left half made would
 * look like a damaged one. So there is no journal either, which a crash would leave behind. */
static int create(struct store *s, const char *directory, struct err *err)
{
    AUTO_FREE char *fresh = mem_printf("%s.new", s->path);
    struct store maker = {.path = fresh};
    unlink(fresh);
    int rc = open_db(&maker, fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    AUTO_FREE char *head = mem_printf("PRAGMA journal_mode=MEMORY; PRAGMA application_id=%d; "
                                      "PRAGMA user_version=%d; BEGIN; %s COMMIT;",
                                      STORE_APPLICATION, STORE_VERSION, schema);
    if (rc == 0)
        rc = store_exec(&maker, head, err);
    sqlite3_close(maker.db);
    /* link(2), unlike rename(2), never takes another's place. */
    if (rc == 0 && link(fresh, s->path) == -1)
        rc = err_set_sys(err, errno, "cannot make '%s'", s->path);
    unlink(fresh);
    return rc == 0 ? sync_directory(directory, err) : -1;
}

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
    return text && strcmp(text, "ok") == 0 ? 0 : damaged(s->path, text ? text : "no answer", err);
}

static int check(struct store *s, struct err *err)
{
    int64_t application = 0, version = 0;
    if (read_number(s, "PRAGMA application_id", &application, err) == -1 ||
        read_number(s, "PRAGMA user_version", &version, err) == -1)
        return -1;
    if (application != STORE_APPLICATION)
        return damaged(s->path, "it does not say that it is flambe's", err);
    if (version > STORE_VERSION)
        return err_set(err, ERR_CONFLICT, "'%s' was made by a newer flambe", s->path);
    return s->writable ? check_whole(s, err) : 0;
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
    s->path = fs_join(directory, STORE_FILE);
    s->writable = mode != STORE_READ;
    int rc = mode == STORE_CREATE ? create(s, directory, err) : 0;
    struct stat st;
    if (rc == 0 && stat(s->path, &st) == -1)
        rc = errno == ENOENT || errno == ENOTDIR
                 ? err_set(err, ERR_NOT_FOUND, "'%s' has no results of flambe", directory)
                 : err_set_sys(err, errno, "cannot look at '%s'", s->path);
    if (rc == 0)
        rc = s->writable ? open_db(s, s->path, SQLITE_OPEN_READWRITE, err)
                         : open_to_read(s, directory, err);
    if (rc == 0)
        rc = check(s, err);
    if (rc == 0 && s->writable)
        rc = store_exec(s,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                        "PRAGMA cache_size=-8192",
                        err);
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

/* ---- facts ------------------------------------------------------------------------------------
 */

int store_set(struct store *s, const char *key, const char *value, struct err *err)
{
    sqlite3_stmt *st;
    if (store_write(s, err) == -1 || !(st = store_statement(s, PUT_FACT, err)))
        return -1;
    store_bind_text(st, 1, key);
    store_bind_text(st, 2, value);
    return store_run(s, st, err);
}

char *store_get(struct store *s, const char *key)
{
    sqlite3_stmt *st = store_statement(s, GET_FACT, NULL);
    if (!st)
        return NULL;
    store_bind_text(st, 1, key);
    char *value = sqlite3_step(st) == SQLITE_ROW ? store_column_dup(st, 0) : NULL;
    sqlite3_reset(st);
    return value;
}

/* ---- stages -----------------------------------------------------------------------------------
 */

int store_put_stage(struct store *s, const struct store_stage *g, struct err *err)
{
    sqlite3_stmt *st;
    if (store_write(s, err) == -1 || !(st = store_statement(s, PUT_STAGE, err)))
        return -1;
    sqlite3_bind_int(st, 1, g->id);
    store_bind_text(st, 2, g->name);
    sqlite3_bind_int(st, 3, (int)g->state);
    sqlite3_bind_int64(st, 4, g->planned);
    sqlite3_bind_int(st, 5, g->at_most);
    store_bind_text(st, 6, g->metric);
    sqlite3_bind_int(st, 7, g->maximize);
    sqlite3_bind_int(st, 8, g->best);
    store_bind_text(st, 9, g->fingerprint);
    store_bind_text(st, 10, g->note);
    return store_run(s, st, err);
}

static void read_stage(sqlite3_stmt *st, struct store_stage *out)
{
    int state = sqlite3_column_int(st, 2);
    *out = (struct store_stage){
        .id = sqlite3_column_int(st, 0),
        .name = store_column_dup(st, 1),
        .state = state >= 0 && state < STAGE_STATE_COUNT ? (enum stage_state)state : STAGE_PENDING,
        .planned = sqlite3_column_int64(st, 3),
        .at_most = sqlite3_column_int(st, 4),
        .metric = store_column_dup(st, 5),
        .maximize = sqlite3_column_int(st, 6),
        .best = sqlite3_column_int(st, 7),
        .fingerprint = store_column_dup(st, 8),
        .note = store_column_dup(st, 9)};
    if (!out->name)
        out->name = mem_dup("");
}

int store_stages(struct store *s, struct store_stage **out, size_t *count, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, "SELECT * FROM stage WHERE id>=0 ORDER BY id", err);
    if (!st)
        return -1;
    struct store_stage *stages = NULL;
    size_t n = 0, cap = 0;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        MEM_PUSH_ROOM(stages, n, cap);
        read_stage(st, &stages[n++]);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE) {
        store_stages_free(stages, n);
        return -1;
    }
    *out = stages;
    *count = n;
    return 0;
}

void store_stages_free(struct store_stage *stages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(stages[i].name);
        free(stages[i].metric);
        free(stages[i].fingerprint);
        free(stages[i].note);
    }
    free(stages);
}

int store_counts(struct store *s, int stage, struct store_counts *out, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, COUNT_TRIALS, err);
    if (!st)
        return -1;
    struct store_counts counts = {0};
    sqlite3_bind_int(st, 1, stage);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < TRIAL_STATE_COUNT)
            counts.by_state[state] = sqlite3_column_int64(st, 1);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_reset(st);
    if (rc != SQLITE_DONE)
        return -1;
    *out = counts;
    return 0;
}

/* See store.h. Statements, transactions, facts and stages. */
#include "experiment/store.h"
#include "base/mem.h"
#include "experiment/store_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    [GET_TAG] = "SELECT id FROM tag WHERE name=?",
    [ADD_TAG] = "INSERT INTO tag(name) VALUES(?)",
    [GET_SUMMARY] = "SELECT last_step, count, first_step, low, high FROM summary WHERE trial=? AND "
                    "tag=?",
    [PUT_SUMMARY] = "INSERT OR REPLACE INTO summary VALUES(?,?,?,?,?,?,?,?)",
    [DROP_SUMMARY] = "DELETE FROM summary WHERE trial=? AND tag=?",
    [ADD_POINT] = "INSERT INTO metric VALUES(?,?,?,?,?)",
    [GET_EXTREMES] = "SELECT count(*), min(value), max(value) FROM metric WHERE trial=? AND tag=? "
                     "AND step>=?",
    [DROP_POINTS_OF_TAG] = "DELETE FROM metric WHERE trial=? AND tag=? AND step>=?",
    [GET_LAST_POINT] = "SELECT step, value FROM metric WHERE trial=? AND tag=? ORDER BY step DESC, "
                       "rowid DESC LIMIT 1",
    [GET_METRICS] = "SELECT t.name, s.count, s.first_step, s.last_step, s.last, s.low, s.high, "
                    "s.tag FROM summary s JOIN tag t ON t.id=s.tag WHERE s.trial=? ORDER BY t.name",
    [GET_POINTS] = "SELECT step, wall, value FROM metric WHERE trial=? AND tag=(SELECT id FROM tag "
                   "WHERE name=?) ORDER BY step, rowid",
/* The trial first: by its index, and few of them whatever the stages are. */
#define RETIRED                                                                                \
    "SELECT t.id, t.name, t.params, t.fingerprint, g.name, (-1-g.id)/1024 FROM trial t CROSS " \
    "JOIN stage g ON g.id=t.stage WHERE t.stage<0 AND t.state IN (2, 4) AND "
#define LATEST " ORDER BY t.stage, t.id DESC LIMIT 1"
    [FIND_BY_PRINT] = RETIRED "t.fingerprint=?1" LATEST,
    [FIND_BY_PARAMS] = RETIRED "g.name=?2 AND t.params IS ?3" LATEST,
    [ADOPT] = "UPDATE trial SET stage=?, number=?, name=? WHERE id=?",
};
_Static_assert(TRIAL_SUCCESS == 2 && TRIAL_STOPPED == 4 && STORE_STAGES_MAX == 1024,
               "RETIRED names them by number");

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

int store_damaged(const char *path, const char *why, struct err *err)
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
    case SQLITE_TOOBIG: /* STORE_TEXT_MAX */
        return store_damaged(s->path, text, err);
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

int64_t store_column_within(sqlite3_stmt *st, int at, int64_t low, int64_t high)
{
    int64_t n = sqlite3_column_int64(st, at);
    return n < low ? low : n > high ? high : n;
}

bool store_is_name(const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
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

static int read_stage(struct store *s, sqlite3_stmt *st, struct store_stage *out, struct err *err)
{
    int64_t id = sqlite3_column_int64(st, 0), state = sqlite3_column_int64(st, 2);
    const char *name = (const char *)sqlite3_column_text(st, 1);
    if (id >= STORE_STAGES_MAX || !store_is_name(name))
        return store_damaged(s->path, "it has a stage that cannot be", err);
    *out = (struct store_stage){
        .id = (int)id,
        .name = mem_dup(name),
        .state = state >= 0 && state < STAGE_STATE_COUNT ? (enum stage_state)state : STAGE_PENDING,
        .planned = store_column_within(st, 3, 0, STORE_COUNT_MAX),
        .at_most = sqlite3_column_int(st, 4),
        .metric = store_column_dup(st, 5),
        .maximize = sqlite3_column_int(st, 6),
        .best = sqlite3_column_int(st, 7),
        .fingerprint = store_column_dup(st, 8),
        .note = store_column_dup(st, 9)};
    return 0;
}

int store_stages(struct store *s, struct store_stage **out, size_t *count, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, "SELECT * FROM stage WHERE id>=0 ORDER BY id", err);
    if (!st)
        return -1;
    struct store_stage *stages = NULL;
    size_t n = 0, cap = 0;
    int rc = SQLITE_DONE, result = 0;
    while (result == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        MEM_PUSH_ROOM(stages, n, cap);
        result = read_stage(s, st, &stages[n], err);
        n += result == 0;
    }
    if (result == 0 && rc != SQLITE_DONE)
        result = store_fail(s, err);
    sqlite3_finalize(st);
    if (result == -1) {
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
        int64_t state = sqlite3_column_int64(st, 0);
        if (state >= 0 && state < TRIAL_STATE_COUNT)
            counts.by_state[state] = store_column_within(st, 1, 0, STORE_COUNT_MAX);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_reset(st);
    if (rc != SQLITE_DONE)
        return -1;
    *out = counts;
    return 0;
}

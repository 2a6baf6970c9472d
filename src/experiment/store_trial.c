/* Trials and their attempts. See store.h. */
#include "base/mem.h"
#include "experiment/store_priv.h"
#include "experiment/variant.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX ((int64_t)VARIANTS_MAX)
#define ATTEMPTS_MAX 1000000000 /* of one trial, as far as is believed */

/* ---- trials -----------------------------------------------------------------------------------
 */

static void bind_trial(sqlite3_stmt *st, const struct store_trial *t)
{
    if (t->id)
        sqlite3_bind_int64(st, 1, t->id);
    sqlite3_bind_int(st, 2, t->stage);
    sqlite3_bind_int64(st, 3, t->number);
    store_bind_text(st, 4, t->name);
    store_bind_text(st, 5, t->params);
    store_bind_text(st, 6, t->fingerprint);
    sqlite3_bind_int(st, 7, (int)t->state);
    sqlite3_bind_int(st, 8, t->attempts);
    sqlite3_bind_int64(st, 9, t->started);
    sqlite3_bind_int64(st, 10, t->ended);
    store_bind_text(st, 11, t->end);
    sqlite3_bind_int(st, 12, t->exit_status);
    sqlite3_bind_int(st, 13, t->signal);
    store_bind_text(st, 14, t->message);
    sqlite3_bind_int64(st, 15, t->user_time);
    sqlite3_bind_int64(st, 16, t->system_time);
    sqlite3_bind_int64(st, 17, (int64_t)t->memory_peak);
    store_bind_text(st, 18, t->host);
    store_bind_text(st, 19, t->gpus);
    if (t->has_objective)
        sqlite3_bind_double(st, 20, t->objective);
    store_bind_text(st, 21, t->warning);
    store_bind_text(st, 22, t->draw);
}

int store_put_trial(struct store *s, struct store_trial *t, struct err *err)
{
    sqlite3_stmt *st;
    if (store_write(s, err) == -1 || !(st = store_statement(s, t->id ? PUT_TRIAL : ADD_TRIAL, err)))
        return -1;
    bind_trial(st, t);
    if (store_run(s, st, err) == -1)
        return -1;
    if (!t->id)
        t->id = sqlite3_last_insert_rowid(s->db);
    else if (sqlite3_changes(s->db) == 0)
        return err_set(err, ERR_INTERNAL, "trial %lld has no row in its place", (long long)t->id);
    return 0;
}

void store_trial_done(struct store_trial *t)
{
    free(t->name);
    free(t->params);
    free(t->draw);
    free(t->fingerprint);
    free(t->end);
    free(t->message);
    free(t->host);
    free(t->gpus);
    free(t->warning);
    *t = (struct store_trial){0};
}

void store_trial_reason(const struct store_trial *t, struct buf *out)
{
    if (!t->end)
        return;
    buf_adds(out, t->end);
    if (t->signal)
        buf_addf(out, " by signal %d (%s)", t->signal, strsignal(t->signal));
    else if (t->exit_status >= 0)
        buf_addf(out, " with status %d", t->exit_status);
    if (t->message && *t->message)
        buf_addf(out, ": %s", t->message);
}

static usec_t column_time(sqlite3_stmt *st, int at)
{
    return store_column_within(st, at, 0, STORE_TIME_MAX);
}

/* The strings stay SQLite's. */
static int view_trial(struct store *s, sqlite3_stmt *st, struct store_trial *t, struct err *err)
{
    int64_t number = sqlite3_column_int64(st, 2), state = sqlite3_column_int64(st, 6);
    const char *name = (const char *)sqlite3_column_text(st, 3);
    int objective = sqlite3_column_type(st, 19);
    if (number < 0 || number >= NUMBER_MAX || !store_is_name(name))
        return store_damaged(s->path, "it has a trial that cannot be", err);
    *t = (struct store_trial){
        .id = sqlite3_column_int64(st, 0),
        .stage = (int)store_column_within(st, 1, 0, STORE_STAGES_MAX),
        .number = number,
        .name = (char *)name,
        .params = (char *)sqlite3_column_text(st, 4),
        .fingerprint = (char *)sqlite3_column_text(st, 5),
        .state = state >= 0 && state < TRIAL_STATE_COUNT ? (enum trial_state)state : TRIAL_PENDING,
        .attempts = (int)store_column_within(st, 7, 0, ATTEMPTS_MAX),
        .started = column_time(st, 8),
        .ended = column_time(st, 9),
        .end = (char *)sqlite3_column_text(st, 10),
        .exit_status = (int)store_column_within(st, 11, INT_MIN, INT_MAX),
        .signal = (int)store_column_within(st, 12, INT_MIN, INT_MAX),
        .message = (char *)sqlite3_column_text(st, 13),
        .user_time = column_time(st, 14),
        .system_time = column_time(st, 15),
        .memory_peak = (uint64_t)store_column_within(st, 16, 0, INT64_MAX),
        .host = (char *)sqlite3_column_text(st, 17),
        .gpus = (char *)sqlite3_column_text(st, 18),
        .has_objective = objective == SQLITE_FLOAT || objective == SQLITE_INTEGER,
        .objective = sqlite3_column_double(st, 19),
        .warning = (char *)sqlite3_column_text(st, 20),
        .draw = (char *)sqlite3_column_text(st, 21)};
    return 0;
}

static void copy_trial(const struct store_trial *from, struct store_trial *to)
{
    *to = *from;
    to->name = mem_dup(from->name);
    to->params = mem_dup(from->params);
    to->draw = mem_dup(from->draw);
    to->fingerprint = mem_dup(from->fingerprint);
    to->end = mem_dup(from->end);
    to->message = mem_dup(from->message);
    to->host = mem_dup(from->host);
    to->gpus = mem_dup(from->gpus);
    to->warning = mem_dup(from->warning);
}

int store_trial(struct store *s, int stage, int64_t number, struct store_trial *out,
                struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_TRIAL, err);
    if (!st)
        return -1;
    sqlite3_bind_int(st, 1, stage);
    sqlite3_bind_int64(st, 2, number);
    int rc = sqlite3_step(st);
    struct store_trial view;
    int result = rc == SQLITE_ROW ? view_trial(s, st, &view, err)
                 : rc == SQLITE_DONE
                     ? err_set(err, ERR_NOT_FOUND, "there is no trial %lld", (long long)number)
                     : store_fail(s, err);
    if (result == 0)
        copy_trial(&view, out);
    sqlite3_reset(st);
    return result;
}

/* Trials without the value that is sorted by come last, whichever way; of the objective, those that
 * failed behind them: what they reached counts for nothing. */
static void add_order(const struct store_query *q, struct buf *sql)
{
    static const char *const times[] = {
        [STORE_STARTED] = "nullif(trial.started, 0)",
        [STORE_DURATION] = "CASE WHEN trial.ended THEN trial.ended-trial.started END",
    };
    const char *way = q->descending ? "DESC" : "ASC";
    if (q->time)
        buf_addf(sql, " ORDER BY %s IS NULL, %s %s, trial.stage, trial.number", times[q->time],
                 times[q->time], way);
    else if (q->order && *q->order)
        buf_addf(sql, " ORDER BY s.last IS NULL, s.last %s, trial.stage, trial.number", way);
    else if (q->order)
        buf_addf(sql,
                 " ORDER BY trial.state=%d, trial.objective IS NULL, trial.objective %s, "
                 "trial.stage, trial.number",
                 (int)TRIAL_FAILURE, way);
    else
        buf_addf(sql, " ORDER BY trial.stage %s, trial.number %s", way, way);
}

static sqlite3_stmt *query(struct store *s, const struct store_query *q, struct err *err)
{
    AUTO_BUF struct buf sql = {0};
    buf_adds(&sql, "SELECT trial.* FROM trial");
    if (q->order && *q->order)
        buf_adds(&sql, " LEFT JOIN summary s ON s.trial=trial.id AND s.tag=(SELECT id FROM tag "
                       "WHERE name=?1)");
    if (q->stage >= 0)
        buf_addf(&sql, " WHERE trial.stage=%d", q->stage);
    else
        buf_adds(&sql, " WHERE trial.stage>=0");
    if (q->state >= 0)
        buf_addf(&sql, " AND trial.state=%d", q->state);
    if (q->name)
        buf_adds(&sql, " AND trial.name=?2");
    add_order(q, &sql);
    if (q->limit || q->offset)
        buf_addf(&sql, " LIMIT %lld OFFSET %lld", q->limit ? (long long)q->limit : -1LL,
                 (long long)q->offset);
    sqlite3_stmt *st = store_prepare(s, buf_text(&sql), err);
    if (!st)
        return NULL;
    if (q->order && *q->order)
        sqlite3_bind_text(st, 1, q->order, -1, SQLITE_TRANSIENT);
    if (q->name)
        sqlite3_bind_text(st, 2, q->name, -1, SQLITE_TRANSIENT);
    return st;
}

int store_each_trial(struct store *s, const struct store_query *q,
                     bool (*fn)(void *ctx, const struct store_trial *t), void *ctx, struct err *err)
{
    sqlite3_stmt *st = query(s, q, err);
    if (!st)
        return -1;
    int rc, result = 0;
    bool more = true;
    while (more && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        struct store_trial view;
        result = rc == SQLITE_ROW ? view_trial(s, st, &view, err) : store_fail(s, err);
        more = result == 0 && fn(ctx, &view);
    }
    sqlite3_finalize(st);
    return result;
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

int store_add_attempt(struct store *s, int64_t trial, const struct store_attempt *a,
                      struct err *err)
{
    sqlite3_stmt *st;
    if (store_write(s, err) == -1 || !(st = store_statement(s, ADD_ATTEMPT, err)))
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int(st, 2, a->number);
    sqlite3_bind_int64(st, 3, a->started);
    sqlite3_bind_int64(st, 4, a->ended);
    store_bind_text(st, 5, a->end);
    sqlite3_bind_int(st, 6, a->exit_status);
    sqlite3_bind_int(st, 7, a->signal);
    store_bind_text(st, 8, a->message);
    return store_run(s, st, err);
}

int store_each_attempt(struct store *s, int64_t trial,
                       void (*fn)(void *ctx, const struct store_attempt *a), void *ctx,
                       struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_ATTEMPTS, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_attempt a = {.number = (int)store_column_within(st, 0, 0, ATTEMPTS_MAX),
                                  .started = column_time(st, 1),
                                  .ended = column_time(st, 2),
                                  .end = (char *)sqlite3_column_text(st, 3),
                                  .exit_status = (int)store_column_within(st, 4, INT_MIN, INT_MAX),
                                  .signal = (int)store_column_within(st, 5, INT_MIN, INT_MAX),
                                  .message = (char *)sqlite3_column_text(st, 6)};
        fn(ctx, &a);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

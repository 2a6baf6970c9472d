/* What has come to a store that another process writes. See store.h. */
#include "experiment/store_priv.h"
#include <limits.h>

static const char ends[] =
    "SELECT attempt.rowid, attempt.number, attempt.started, attempt.ended, attempt.ending,"
    " attempt.exit_status, attempt.signal, attempt.message, trial.id, trial.stage, trial.number,"
    " trial.name, trial.state, trial.attempts, trial.objective, trial.warning"
    " FROM attempt JOIN trial ON trial.id=attempt.trial"
    " WHERE attempt.rowid>?1 AND attempt.ending IS NOT NULL AND trial.stage>=0"
    " ORDER BY attempt.rowid";

/* The strings stay SQLite's. */
static void view_end(sqlite3_stmt *st, struct store_end *e)
{
    const char *name = (const char *)sqlite3_column_text(st, 11);
    int state = sqlite3_column_int(st, 12);
    int64_t number = sqlite3_column_int64(st, 1);
    e->row = sqlite3_column_int64(st, 0);
    e->attempt = (struct store_attempt){.number = number > 0 && number < INT_MAX ? (int)number : 0,
                                        .started = sqlite3_column_int64(st, 2),
                                        .ended = sqlite3_column_int64(st, 3),
                                        .end = (char *)sqlite3_column_text(st, 4),
                                        .exit_status = sqlite3_column_int(st, 5),
                                        .signal = sqlite3_column_int(st, 6),
                                        .message = (char *)sqlite3_column_text(st, 7)};
    e->last = sqlite3_column_int64(st, 13) <= number;
    e->trial = (struct store_trial){
        .id = sqlite3_column_int64(st, 8),
        .stage = sqlite3_column_int(st, 9),
        .number = sqlite3_column_int64(st, 10),
        .name = (char *)(name ? name : ""),
        .state = !e->last || state < 0 || state >= TRIAL_STATE_COUNT ? TRIAL_PENDING
                                                                     : (enum trial_state)state,
        .attempts = e->attempt.number,
        .started = e->attempt.started,
        .ended = e->attempt.ended,
        .end = e->attempt.end,
        .exit_status = e->attempt.exit_status,
        .signal = e->attempt.signal,
        .message = e->attempt.message,
        .has_objective = e->last && sqlite3_column_type(st, 14) != SQLITE_NULL,
        .objective = sqlite3_column_double(st, 14),
        .warning = (char *)sqlite3_column_text(st, 15)};
}

int store_each_end(struct store *s, int64_t *after,
                   void (*fn)(void *ctx, const struct store_end *e), void *ctx, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, ends, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, *after);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_end e;
        view_end(st, &e);
        *after = sqlite3_column_int64(st, 0);
        fn(ctx, &e);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

int store_spent(struct store *s, int stage, usec_t *sum, int64_t *count, struct err *err)
{
    sqlite3_stmt *st = store_prepare(
        s,
        "SELECT coalesce(sum(ended-started), 0), count(*) FROM trial WHERE stage=?1 AND state>?2 "
        "AND started>0 AND ended>started",
        err);
    if (!st)
        return -1;
    sqlite3_bind_int(st, 1, stage);
    sqlite3_bind_int(st, 2, (int)TRIAL_RUNNING);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *sum = sqlite3_column_int64(st, 0);
        *count = sqlite3_column_int64(st, 1);
    } else {
        store_fail(s, err);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

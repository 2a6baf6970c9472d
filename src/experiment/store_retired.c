/* An earlier run's trials in the same file. See store.h.
 *
 * A retired stage has a negative id, made of the generation and its place, and so have its trials,
 * which are numbered by their ids. So several generations lie beside each other. */
#include "base/mem.h"
#include "experiment/store_priv.h"
#include <stdlib.h>

#define GENERATION_STAGES 1024 /* more than a pipeline has */

static const char result_states[] = "(2, 4)";
_Static_assert(TRIAL_SUCCESS == 2 && TRIAL_STOPPED == 4, "result_states names them by number");

int store_retire(struct store *s, int64_t *generation, struct err *err)
{
    AUTO_FREE char *before = store_get(s, "generation");
    int64_t number = before ? strtoll(before, NULL, 10) + 1 : 1;
    AUTO_FREE char *text = mem_printf("%lld", (long long)number);
    AUTO_FREE char *sql =
        mem_printf("UPDATE trial SET stage=-1-stage-%lld, number=id WHERE stage>=0; "
                   "UPDATE stage SET id=-1-id-%lld WHERE id>=0",
                   (long long)number * GENERATION_STAGES, (long long)number * GENERATION_STAGES);
    if (store_write(s, err) == -1 || store_set(s, "generation", text, err) == -1 ||
        store_exec(s, sql, err) == -1)
        return -1;
    *generation = number;
    return 0;
}

void store_retired_done(struct store_retired *r)
{
    free(r->path);
    free(r->params);
    free(r->fingerprint);
    *r = (struct store_retired){0};
}

int store_find_retired(struct store *s, const char *fingerprint, const char *stage,
                       const char *params, struct store_retired *out, struct err *err)
{
    AUTO_FREE char *sql = mem_printf(
        "SELECT t.id, t.name, t.params, t.fingerprint, g.name, (-1-g.id)/%d FROM trial t "
        "JOIN stage g ON g.id=t.stage WHERE t.stage<0 AND t.state IN %s AND %s ORDER BY "
        "t.stage, t.id DESC LIMIT 1",
        GENERATION_STAGES, result_states,
        fingerprint ? "t.fingerprint=?1" : "g.name=?2 AND t.params IS ?3");
    sqlite3_stmt *st = store_prepare(s, sql, err);
    if (!st)
        return -1;
    if (fingerprint)
        sqlite3_bind_text(st, 1, fingerprint, -1, SQLITE_STATIC);
    else {
        sqlite3_bind_text(st, 2, stage, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 3, params, -1, SQLITE_STATIC);
    }
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = (struct store_retired){.id = sqlite3_column_int64(st, 0),
                                      .path = mem_printf(".earlier/%lld/%s/%s",
                                                         (long long)sqlite3_column_int64(st, 5),
                                                         (const char *)sqlite3_column_text(st, 4),
                                                         (const char *)sqlite3_column_text(st, 1)),
                                      .params = store_column_dup(st, 2),
                                      .fingerprint = store_column_dup(st, 3)};
    else if (rc == SQLITE_DONE)
        err_set(err, ERR_NOT_FOUND, "the earlier run has no such trial");
    else
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

char *store_retired_stage(struct store *s, const char *stage)
{
    sqlite3_stmt *st = store_prepare(
        s, "SELECT fingerprint FROM stage WHERE id<0 AND name=? ORDER BY id LIMIT 1", NULL);
    if (!st)
        return NULL;
    sqlite3_bind_text(st, 1, stage, -1, SQLITE_STATIC);
    char *text = sqlite3_step(st) == SQLITE_ROW ? store_column_dup(st, 0) : NULL;
    sqlite3_finalize(st);
    return text;
}

int store_adopt(struct store *s, int64_t id, int stage, int64_t number, const char *name,
                struct err *err)
{
    if (store_write(s, err) == -1)
        return -1;
    sqlite3_stmt *st =
        store_prepare(s, "UPDATE trial SET stage=?, number=?, name=? WHERE id=?", err);
    if (!st)
        return -1;
    sqlite3_bind_int(st, 1, stage);
    sqlite3_bind_int64(st, 2, number);
    sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, id);
    int rc = store_run(s, st, err);
    sqlite3_finalize(st);
    return rc;
}

int store_drop_retired(struct store *s, struct err *err)
{
    static const char *const tables[] = {"metric", "summary", "attempt"};
    if (store_write(s, err) == -1)
        return -1;
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        AUTO_FREE char *sql = mem_printf(
            "DELETE FROM %s WHERE trial IN (SELECT id FROM trial WHERE stage<0)", tables[i]);
        if (store_exec(s, sql, err) == -1)
            return -1;
    }
    return store_exec(s, "DELETE FROM trial WHERE stage<0; DELETE FROM stage WHERE id<0", err);
}

/* An earlier run's trials in the same file. See store.h.
 *
 * A retired stage has a negative id, made of the generation and its place, and so have its trials,
 * which are numbered by their ids. So several generations lie beside each other. */
#include "base/mem.h"
#include "experiment/store_priv.h"
#include <stdlib.h>

#define GENERATION_MAX 1000000000

int store_retire(struct store *s, int64_t *generation, struct err *err)
{
    AUTO_FREE char *before = store_get(s, "generation");
    int64_t number = 0;
    if (before && !str_to_i64(str_of(before), 0, GENERATION_MAX, &number))
        return store_damaged(s->path, "it does not say how often it was begun", err);
    number++;
    AUTO_FREE char *text = mem_printf("%lld", (long long)number);
    AUTO_FREE char *sql =
        mem_printf("UPDATE trial SET stage=-1-stage-%lld, number=id WHERE stage>=0; "
                   "UPDATE stage SET id=-1-id-%lld WHERE id>=0",
                   (long long)number * STORE_STAGES_MAX, (long long)number * STORE_STAGES_MAX);
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

/* The directory is moved by this path, which therefore leads nowhere else. */
static int read_retired(struct store *s, sqlite3_stmt *st, struct store_retired *out,
                        struct err *err)
{
    const char *name = (const char *)sqlite3_column_text(st, 1),
               *stage = (const char *)sqlite3_column_text(st, 4);
    if (!store_is_name(name) || !store_is_name(stage))
        return store_damaged(s->path, "an earlier trial has no name", err);
    *out = (struct store_retired){
        .id = sqlite3_column_int64(st, 0),
        .path =
            mem_printf(".earlier/%lld/%s/%s", (long long)sqlite3_column_int64(st, 5), stage, name),
        .params = store_column_dup(st, 2),
        .fingerprint = store_column_dup(st, 3)};
    return 0;
}

int store_find_retired(struct store *s, const char *fingerprint, const char *stage,
                       const char *params, struct store_retired *out, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, fingerprint ? FIND_BY_PRINT : FIND_BY_PARAMS, err);
    if (!st)
        return -1;
    if (fingerprint) {
        store_bind_text(st, 1, fingerprint);
    } else {
        store_bind_text(st, 2, stage);
        store_bind_text(st, 3, params);
    }
    int rc = sqlite3_step(st);
    int result = rc == SQLITE_ROW ? read_retired(s, st, out, err)
                 : rc == SQLITE_DONE
                     ? err_set(err, ERR_NOT_FOUND, "the earlier run has no such trial")
                     : store_fail(s, err);
    sqlite3_reset(st);
    return result;
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
    sqlite3_stmt *st;
    if (store_write(s, err) == -1 || !(st = store_statement(s, ADOPT, err)))
        return -1;
    sqlite3_bind_int(st, 1, stage);
    sqlite3_bind_int64(st, 2, number);
    store_bind_text(st, 3, name);
    sqlite3_bind_int64(st, 4, id);
    return store_run(s, st, err);
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

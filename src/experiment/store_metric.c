/* Metrics: the points, and one summary of each tag of each trial. See store.h.
 *
 * SQLite keeps a NaN as NULL; it is read as NaN again. */
#include "base/mem.h"
#include "experiment/store_priv.h"
#include <math.h>
#include <stdlib.h>

struct tag {
    int64_t id;
};

/* The summary of a tag whose points come one after another. */
struct summary {
    int64_t count, first_step, last_step;
    double last, low, high; /* NaN: none yet */
};

static double column_real(sqlite3_stmt *st, int at)
{
    return sqlite3_column_type(st, at) == SQLITE_NULL ? NAN : sqlite3_column_double(st, at);
}

/* ---- tags -------------------------------------------------------------------------------------
 */

void store_tags_done(struct store *s)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (s->tags && strtab_next(s->tags, &at, &key, &value))
        free(value);
    strtab_free(s->tags);
    s->tags = NULL;
}

static void keep_tag(struct store *s, struct str name, int64_t id)
{
    struct tag *t = mem_alloc(sizeof *t);
    t->id = id;
    free(strtab_put(s->tags, name, t));
}

static int load_tags(struct store *s, struct err *err)
{
    sqlite3_stmt *st = store_prepare(s, "SELECT id, name FROM tag", err);
    if (!st)
        return -1;
    s->tags = strtab_new();
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct str name = {(const char *)sqlite3_column_text(st, 1),
                           (size_t)sqlite3_column_bytes(st, 1)};
        keep_tag(s, name, sqlite3_column_int64(st, 0));
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    if (rc == SQLITE_DONE)
        return 0;
    store_tags_done(s);
    return -1;
}

static int tag_id(struct store *s, struct str name, int64_t *out, struct err *err)
{
    if (!s->tags && load_tags(s, err) == -1)
        return -1;
    const struct tag *had = strtab_get(s->tags, name);
    if (had) {
        *out = had->id;
        return 0;
    }
    if (strtab_count(s->tags) >= STORE_TAGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d different metrics", STORE_TAGS_MAX);
    sqlite3_stmt *st = store_statement(s, ADD_TAG, err);
    if (!st)
        return -1;
    sqlite3_bind_text(st, 1, name.p, (int)name.n, SQLITE_STATIC);
    if (store_run(s, st, err) == -1)
        return -1;
    *out = sqlite3_last_insert_rowid(s->db);
    keep_tag(s, name, *out);
    return 0;
}

/* ---- summaries --------------------------------------------------------------------------------
 */

static int get_summary(struct store *s, int64_t trial, int64_t tag, struct summary *out,
                       struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_SUMMARY, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    int rc = sqlite3_step(st);
    *out = (struct summary){.last = NAN, .low = NAN, .high = NAN};
    if (rc == SQLITE_ROW) {
        out->last_step = sqlite3_column_int64(st, 0);
        out->count = sqlite3_column_int64(st, 1);
        out->first_step = sqlite3_column_int64(st, 2);
        out->low = column_real(st, 3);
        out->high = column_real(st, 4);
    } else if (rc != SQLITE_DONE) {
        store_fail(s, err);
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int put_summary(struct store *s, int64_t trial, int64_t tag, const struct summary *m,
                       struct err *err)
{
    sqlite3_stmt *st = store_statement(s, PUT_SUMMARY, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    sqlite3_bind_int64(st, 3, m->count);
    sqlite3_bind_int64(st, 4, m->first_step);
    sqlite3_bind_int64(st, 5, m->last_step);
    sqlite3_bind_double(st, 6, m->last);
    sqlite3_bind_double(st, 7, m->low);
    sqlite3_bind_double(st, 8, m->high);
    return store_run(s, st, err);
}

static void count_point(struct summary *m, int64_t step, double value)
{
    if (m->count++ == 0)
        m->first_step = step;
    m->last_step = step;
    m->last = value;
    m->low = isnan(m->low) || value < m->low ? value : m->low;
    m->high = isnan(m->high) || value > m->high ? value : m->high;
}

/* Removes the tag's points from `step` on and makes its summary anew from those that are left. */
static int cut_tag(struct store *s, int64_t trial, int64_t tag, int64_t step, struct summary *out,
                   struct err *err)
{
    sqlite3_stmt *st = store_statement(s, DROP_POINTS_OF_TAG, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    sqlite3_bind_int64(st, 3, step);
    if (store_run(s, st, err) == -1)
        return -1;
    st = store_prepare(
        s, "SELECT step, value FROM metric WHERE trial=? AND tag=? ORDER BY step, rowid", err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    *out = (struct summary){.last = NAN, .low = NAN, .high = NAN};
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        count_point(out, sqlite3_column_int64(st, 0), column_real(st, 1));
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- points -----------------------------------------------------------------------------------
 */

int store_add_point(struct store *s, int64_t trial, struct str tag, int64_t step, usec_t wall,
                    double value, struct err *err)
{
    int64_t id = 0;
    struct summary m;
    if (store_write(s, err) == -1 || tag_id(s, tag, &id, err) == -1 ||
        get_summary(s, trial, id, &m, err) == -1)
        return -1;
    if (m.count && step <= m.last_step && cut_tag(s, trial, id, step, &m, err) == -1)
        return -1;
    sqlite3_stmt *st = store_statement(s, ADD_POINT, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, id);
    sqlite3_bind_int64(st, 3, step);
    sqlite3_bind_int64(st, 4, wall);
    sqlite3_bind_double(st, 5, value);
    if (store_run(s, st, err) == -1)
        return -1;
    count_point(&m, step, value);
    return put_summary(s, trial, id, &m, err);
}

static int purge_tag(struct store *s, int64_t trial, int64_t tag, int64_t step, struct err *err)
{
    struct summary m;
    if (cut_tag(s, trial, tag, step, &m, err) == -1)
        return -1;
    if (m.count)
        return put_summary(s, trial, tag, &m, err);
    AUTO_FREE char *sql = mem_printf("DELETE FROM summary WHERE trial=%lld AND tag=%lld",
                                     (long long)trial, (long long)tag);
    return store_exec(s, sql, err);
}

int store_purge(struct store *s, int64_t trial, int64_t step, struct err *err)
{
    if (store_write(s, err) == -1)
        return -1;
    sqlite3_stmt *st =
        store_prepare(s, "SELECT tag FROM summary WHERE trial=? AND last_step>=?", err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, step);
    int64_t *tags = NULL;
    size_t count = 0, cap = 0;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        MEM_PUSH_ROOM(tags, count, cap);
        tags[count++] = sqlite3_column_int64(st, 0);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    int result = rc == SQLITE_DONE ? 0 : -1;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = purge_tag(s, trial, tags[i], step, err);
    free(tags);
    return result;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

int store_each_metric(struct store *s, int64_t trial,
                      void (*fn)(void *ctx, const struct store_metric *m), void *ctx,
                      struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_METRICS, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_metric m = {.tag = (const char *)sqlite3_column_text(st, 0),
                                 .count = sqlite3_column_int64(st, 1),
                                 .first_step = sqlite3_column_int64(st, 2),
                                 .last_step = sqlite3_column_int64(st, 3),
                                 .last = column_real(st, 4),
                                 .min = column_real(st, 5),
                                 .max = column_real(st, 6)};
        if (m.tag)
            fn(ctx, &m);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

int store_each_point(struct store *s, int64_t trial, const char *tag,
                     bool (*fn)(void *ctx, int64_t step, usec_t wall, double value), void *ctx,
                     struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_POINTS, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    store_bind_text(st, 2, tag);
    int rc = SQLITE_DONE;
    bool more = true;
    while (more && (rc = sqlite3_step(st)) == SQLITE_ROW)
        more =
            fn(ctx, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), column_real(st, 2));
    bool failed = more && rc != SQLITE_DONE;
    if (failed)
        store_fail(s, err);
    sqlite3_reset(st);
    return failed ? -1 : 0;
}

int store_tags(struct store *s, int stage, struct strv *out, struct err *err)
{
    AUTO_FREE char *sql =
        stage < 0
            ? mem_dup("SELECT name FROM tag ORDER BY name")
            : mem_printf("SELECT DISTINCT t.name FROM summary s JOIN tag t ON t.id=s.tag JOIN "
                         "trial r ON r.id=s.trial WHERE r.stage=%d ORDER BY t.name",
                         stage);
    sqlite3_stmt *st = store_prepare(s, sql, err);
    if (!st)
        return -1;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        strv_take(out, store_column_dup(st, 0));
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

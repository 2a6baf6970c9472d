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
    if (s->tags && strtab_count(s->tags) >= STORE_TAGS_CACHED)
        store_tags_done(s);
    if (!s->tags)
        s->tags = strtab_new();
    t->id = id;
    free(strtab_put(s->tags, name, t));
}

/* *out stays where it is unknown. */
static int find_tag(struct store *s, struct str name, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_TAG, err);
    if (!st)
        return -1;
    sqlite3_bind_text(st, 1, name.p, (int)name.n, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int add_tag(struct store *s, struct str name, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, ADD_TAG, err);
    if (!st)
        return -1;
    sqlite3_bind_text(st, 1, name.p, (int)name.n, SQLITE_STATIC);
    if (store_run(s, st, err) == -1)
        return -1;
    *out = sqlite3_last_insert_rowid(s->db);
    return 0;
}

static int tag_id(struct store *s, struct str name, int64_t *out, struct err *err)
{
    const struct tag *had = s->tags ? strtab_get(s->tags, name) : NULL;
    int64_t id = 0; /* no row's */
    if (had) {
        *out = had->id;
        return 0;
    }
    if (find_tag(s, name, &id, err) == -1 || (!id && add_tag(s, name, &id, err) == -1))
        return -1;
    keep_tag(s, name, id);
    *out = id;
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
        out->count = store_column_within(st, 1, 0, STORE_COUNT_MAX);
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

/* The one of the lowest or highest value is gone, and the next is not known: made from the points
 * when somebody asks, as a program that repeats steps would have all read for each. */
static bool is_open(const struct summary *m)
{
    return m->low > m->high;
}

static void set_open(struct summary *m)
{
    m->low = INFINITY;
    m->high = -INFINITY;
}

static void count_point(struct summary *m, int64_t step, double value)
{
    if (m->count++ == 0)
        m->first_step = step;
    m->last_step = step;
    m->last = value;
    if (is_open(m))
        return;
    m->low = isnan(m->low) || value < m->low ? value : m->low;
    m->high = isnan(m->high) || value > m->high ? value : m->high;
}

/* Of the tag's points from `step` on. */
static int get_extremes(struct store *s, int64_t trial, int64_t tag, int64_t step,
                        struct summary *out, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_EXTREMES, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    sqlite3_bind_int64(st, 3, step);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        out->count = store_column_within(st, 0, 0, STORE_COUNT_MAX);
        out->low = column_real(st, 1);
        out->high = column_real(st, 2);
    } else {
        store_fail(s, err);
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* Sets the summary's end to the tag's last point; `count` to 0 where there is none. */
static int get_last(struct store *s, int64_t trial, int64_t tag, struct summary *m, struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_LAST_POINT, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        m->last_step = sqlite3_column_int64(st, 0);
        m->last = column_real(st, 1);
    } else if (rc == SQLITE_DONE) {
        m->count = 0;
    } else {
        store_fail(s, err);
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

/* Removes the tag's points from `step` on, and takes them out of its summary. Costs no more than
 * what is removed. */
static int cut_tag(struct store *s, int64_t trial, int64_t tag, int64_t step, struct summary *m,
                   struct err *err)
{
    struct summary gone = {0};
    if (get_extremes(s, trial, tag, step, &gone, err) == -1)
        return -1;
    sqlite3_stmt *st = store_statement(s, DROP_POINTS_OF_TAG, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    sqlite3_bind_int64(st, 3, step);
    if (store_run(s, st, err) == -1)
        return -1;
    m->count = m->count > gone.count ? m->count - gone.count : 1;
    if (gone.low <= m->low || gone.high >= m->high) /* NaN: none of them had a value */
        set_open(m);
    if (get_last(s, trial, tag, m, err) == -1)
        return -1;
    if (!m->count)
        *m = (struct summary){.last = NAN, .low = NAN, .high = NAN};
    return 0;
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
    if (get_summary(s, trial, tag, &m, err) == -1 || cut_tag(s, trial, tag, step, &m, err) == -1)
        return -1;
    if (m.count)
        return put_summary(s, trial, tag, &m, err);
    sqlite3_stmt *st = store_statement(s, DROP_SUMMARY, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, tag);
    return store_run(s, st, err);
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

/* Makes an open summary whole; a store that writes keeps what was made. */
static int close_summary(struct store *s, int64_t trial, int64_t tag, struct summary *m,
                         struct err *err)
{
    struct summary all = {0};
    if (!is_open(m))
        return 0;
    if (get_extremes(s, trial, tag, INT64_MIN, &all, err) == -1)
        return -1;
    m->low = all.low > all.high ? NAN : all.low; /* somebody's texts among the numbers */
    m->high = all.low > all.high ? NAN : all.high;
    if (!s->writable)
        return 0;
    return store_write(s, err) == -1 ? -1 : put_summary(s, trial, tag, m, err);
}

int store_each_metric(struct store *s, int64_t trial,
                      void (*fn)(void *ctx, const struct store_metric *m), void *ctx,
                      struct err *err)
{
    sqlite3_stmt *st = store_statement(s, GET_METRICS, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, trial);
    int rc, result = 0;
    while (result == 0 && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            result = store_fail(s, err);
            break;
        }
        const char *tag = (const char *)sqlite3_column_text(st, 0);
        struct summary m = {.count = store_column_within(st, 1, 0, STORE_COUNT_MAX),
                            .first_step = sqlite3_column_int64(st, 2),
                            .last_step = sqlite3_column_int64(st, 3),
                            .last = column_real(st, 4),
                            .low = column_real(st, 5),
                            .high = column_real(st, 6)};
        result = close_summary(s, trial, sqlite3_column_int64(st, 7), &m, err);
        if (result == 0 && tag)
            fn(ctx, &(struct store_metric){tag, m.count, m.first_step, m.last_step, m.last, m.low,
                                           m.high});
    }
    sqlite3_reset(st);
    return result;
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
        more = fn(ctx, sqlite3_column_int64(st, 0), store_column_within(st, 1, 0, STORE_TIME_MAX),
                  column_real(st, 2));
    bool failed = more && rc != SQLITE_DONE;
    if (failed)
        store_fail(s, err);
    sqlite3_reset(st);
    return failed ? -1 : 0;
}

int store_tags(struct store *s, int stage, size_t max, struct strv *out, struct err *err)
{
    AUTO_FREE char *sql =
        stage < 0 ? mem_dup("SELECT name FROM tag ORDER BY name LIMIT ?")
                  : mem_printf("SELECT DISTINCT t.name FROM summary s JOIN tag t ON t.id=s.tag "
                               "JOIN trial r ON r.id=s.trial WHERE r.stage=%d ORDER BY t.name "
                               "LIMIT ?",
                               stage);
    sqlite3_stmt *st = store_prepare(s, sql, err);
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, (int64_t)max);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        char *name = store_column_dup(st, 0);
        if (name)
            strv_take(out, name);
    }
    if (rc != SQLITE_DONE)
        store_fail(s, err);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* A state in a directory of the test's own. */
#ifndef FLAMBE_TEST_EXPERIMENT_STORING_H
#define FLAMBE_TEST_EXPERIMENT_STORING_H

#include "base/mem.h"
#include "experiment/store.h"
#include "os/fs.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

static char dir[64];
static struct err err;

static inline int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    err = (struct err){0};
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static inline void good(int rc)
{
    if (rc == -1)
        fail_msg("%s", err.msg);
}

static inline struct store *opened(enum store_mode mode)
{
    struct store *s = NULL;
    good(store_open(dir, mode, &s, &err));
    return s;
}

static inline void refused(enum store_mode mode, enum err_code code, const char *words)
{
    struct store *s = NULL;
    err = (struct err){0};
    assert_int_equal(store_open(dir, mode, &s, &err), -1);
    assert_null(s);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("'%s' is not in '%s'", words, err.msg);
}

static inline int64_t add_trial(struct store *s, int stage, int64_t number, double objective)
{
    AUTO_FREE char *name = mem_printf("x=%lld_%lld", (long long)number, (long long)number);
    struct store_trial t = {.stage = stage,
                            .number = number,
                            .name = name,
                            .params = (char *)"{\"x\": 1}",
                            .state = TRIAL_SUCCESS,
                            .attempts = 1,
                            .started = 1000 * USEC_PER_SEC,
                            .ended = (1010 - number) * USEC_PER_SEC,
                            .has_objective = !isnan(objective),
                            .objective = objective};
    good(store_put_trial(s, &t, &err));
    assert_true(t.id > 0);
    return t.id;
}

static inline bool note_number(void *ctx, const struct store_trial *t)
{
    buf_addf(ctx, "%lld ", (long long)t->number);
    return true;
}

static inline void assert_order(struct store *s, const struct store_query *q, const char *want)
{
    AUTO_BUF struct buf have = {0};
    good(store_each_trial(s, q, note_number, &have, &err));
    assert_string_equal(buf_text(&have), want);
}

static inline void note_metric(void *ctx, const struct store_metric *m)
{
    buf_addf(ctx, "%s:%lld[%lld..%lld] %g %g %g;", m->tag, (long long)m->count,
             (long long)m->first_step, (long long)m->last_step, m->last, m->min, m->max);
}

static inline void assert_metrics(struct store *s, int64_t trial, const char *want)
{
    AUTO_BUF struct buf have = {0};
    good(store_each_metric(s, trial, note_metric, &have, &err));
    assert_string_equal(buf_text(&have), want);
}

static inline bool note_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)wall;
    buf_addf(ctx, "%lld=%g ", (long long)step, value);
    return true;
}

static inline void assert_points(struct store *s, int64_t trial, const char *tag, const char *want)
{
    AUTO_BUF struct buf have = {0};
    good(store_each_point(s, trial, tag, note_point, &have, &err));
    assert_string_equal(buf_text(&have), want);
}

static inline void point(struct store *s, int64_t trial, const char *tag, int64_t step,
                         double value)
{
    good(store_add_point(s, trial, str_of(tag), step, USEC_PER_SEC, value, &err));
}

static inline void assert_fact(struct store *s, const char *key, const char *want)
{
    AUTO_FREE char *have = store_get(s, key);
    if (want)
        assert_string_equal(have, want);
    else
        assert_null(have);
}

static inline char *db_path(void)
{
    return fs_join(dir, STORE_FILE);
}

static inline double seconds_since(usec_t began)
{
    return (double)(clock_mono(clock_system()) - began) / (double)USEC_PER_SEC;
}

#endif

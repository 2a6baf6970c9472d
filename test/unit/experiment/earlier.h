/* Results of an experiment of two trials, as an earlier run left them. Included by tests, once
 * each. */
#ifndef FLAMBE_TEST_EXPERIMENT_EARLIER_H
#define FLAMBE_TEST_EXPERIMENT_EARLIER_H

#include "experiment/run.h"
#include "fixture.h"
#include "place.h"

static const char text[] = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n";
static const char other[] = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 3]}\n";

static inline struct run_options options(struct place *p, const char *file)
{
    return (struct run_options){
        .save_path = p->dir, .name = "x", .path = "/x.yaml", .file = str_of(file), .seed = 5};
}

static inline void open_good(struct place *p, const struct run_options *o, struct run *r)
{
    struct err err = {0};
    if (run_open(p->loop, o, r, &err) == -1)
        fail_msg("%s", err.msg);
}

static inline struct run_options forced(struct place *p, const char *file)
{
    struct run_options o = options(p, file);
    o.force = true;
    o.seed = 99;
    return o;
}

static inline void keep_good(struct run *r)
{
    struct err err = {0};
    if (run_keep(r, &err) == -1)
        fail_msg("%s", err.msg);
    assert_false(r->replaces);
}

static inline void assert_refused(struct place *p, const struct run_options *o, enum err_code code,
                                  const char *words)
{
    struct run r = {.kind = 77};
    struct err err = {0};
    assert_int_equal(run_open(p->loop, o, &r, &err), -1);
    assert_int_equal(r.kind, 77); /* untouched */
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("no '%s' in: %s", words, err.msg);
}

static inline char *in_results(struct place *p, const char *name)
{
    return mem_printf("%s/output__x/%s", p->dir, name);
}

static inline void put(struct place *p, const char *name, const char *bytes)
{
    AUTO_FREE char *in = mem_printf("output__x/%s", name);
    free(place_write(p, in, 0600, bytes));
}

static inline bool has(struct place *p, const char *name)
{
    AUTO_FREE char *path = in_results(p, name);
    return fs_exists(path);
}

/* A run of the file that ended so, with one trial and its directory. */
static inline void leave(struct place *p, const char *file, enum run_state state)
{
    struct run r;
    struct err err = {0};
    struct run_options o = options(p, file);
    struct store_stage stage = {.id = 0, .name = (char *)"s", .state = STAGE_DONE, .planned = 1};
    struct store_trial t = {.name = (char *)"a=1_0",
                            .params = (char *)"{\"a\":1}",
                            .fingerprint = (char *)"f",
                            .state = TRIAL_SUCCESS,
                            .attempts = 1};
    open_good(p, &o, &r);
    assert_int_equal(store_put_stage(r.store, &stage, &err), 0);
    assert_int_equal(store_put_trial(r.store, &t, &err), 0);
    assert_int_equal(store_set(r.store, STORE_STATE, run_state_name(state), &err), 0);
    assert_int_equal(store_commit(r.store, &err), 0);
    run_close(&r);
    put(p, "s/a=1_0/result.json", "{}");
}

static inline bool count(void *ctx, const struct store_trial *t)
{
    (void)t;
    ++*(int *)ctx;
    return true;
}

static inline int trials_of(const struct run *r)
{
    int n = 0;
    struct store_query q = {.stage = -1, .state = -1};
    assert_int_equal(store_each_trial(r->store, &q, count, &n, NULL), 0);
    return n;
}

static inline void assert_fact(const struct run *r, const char *key, const char *want)
{
    AUTO_FREE char *have = store_get(r->store, key);
    assert_non_null(have);
    assert_string_equal(have, want);
}

#endif

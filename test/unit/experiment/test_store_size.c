/* What is done for each trial or point costs the same whatever there is already. The bounds are far
 * above what is needed, and far below what the square of the number would be. */
#include "storing.h"

#define SECONDS_MAX 60 /* with sanitizers, on a machine that others use */

/* ---- repeated steps ---------------------------------------------------------------------------
 */

/* What the summary has to be, made from the points. */
struct counted {
    int64_t count, first, last_step;
    double last, low, high;
};

static bool count_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)wall;
    struct counted *c = ctx;
    if (c->count++ == 0)
        c->first = step;
    c->last_step = step;
    c->last = value;
    c->low = isnan(c->low) || value < c->low ? value : c->low;
    c->high = isnan(c->high) || value > c->high ? value : c->high;
    return true;
}

static void assert_summary_of_points(struct store *s, int64_t trial)
{
    struct counted c = {.low = NAN, .high = NAN};
    good(store_each_point(s, trial, "loss", count_point, &c, &err));
    AUTO_FREE char *want =
        mem_printf("loss:%lld[%lld..%lld] %g %g %g;", (long long)c.count, (long long)c.first,
                   (long long)c.last_step, c.last, c.low, c.high);
    assert_metrics(s, trial, c.count ? want : "");
}

static void summaries_are_of_the_points_that_are_left(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    unsigned seed = 1;
    for (int trial = 0; trial < 30; trial++) {
        int64_t id = add_trial(s, 0, trial, 1), step = 0;
        for (int i = 0; i < 60; i++) {
            seed = seed * 1103515245 + 12345;
            int kind = (int)(seed >> 16 & 15);
            double value = kind == 0   ? NAN
                           : kind == 1 ? INFINITY
                           : kind == 2 ? -INFINITY
                                       : (seed >> 8) % 7;
            step += kind < 9 ? 1 : kind < 14 ? -(int64_t)(seed >> 20 & 3) : 0;
            point(s, id, "loss", step, value);
            if (kind == 15)
                good(store_purge(s, id, step - (int64_t)(seed >> 9 & 7), &err));
            if (seed >> 24 & 1)
                continue;
            good(store_commit(s, &err));
            struct store *r = opened(STORE_READ); /* makes the same, and keeps nothing */
            assert_summary_of_points(r, id);
            store_close(r);
            if (seed >> 25 & 1)
                assert_summary_of_points(s, id);
        }
    }
    store_close(s);
}

/* Each step comes twice, then each pair of steps; the value falls, so that the last is the lowest.
 */
static void steps_that_repeat_are_cheap(void **state)
{
    (void)state;
    enum { POINTS = 100000 };
    for (int pattern = 1; pattern <= 2; pattern++) {
        struct store *s = opened(STORE_CREATE);
        int64_t id = add_trial(s, 0, 0, 1);
        usec_t began = clock_mono(clock_system());
        for (int i = 0; i < POINTS; i++) {
            point(s, id, "loss", pattern == 1 ? i / 2 : i - i % 2 * 3, -i);
            if (i % 1000 == 999) {
                good(store_commit(s, &err));
                if (seconds_since(began) > SECONDS_MAX)
                    fail_msg("%d points took %.1f s", i, seconds_since(began));
            }
        }
        print_message("# %d points that repeat steps written in %.2f s\n", POINTS,
                      seconds_since(began));
        assert_summary_of_points(s, id);
        store_close(s);
        AUTO_FREE char *path = db_path();
        assert_int_equal(unlink(path), 0);
    }
}

/* ---- an earlier run ---------------------------------------------------------------------------
 */

static void taking_trials_from_an_earlier_run_is_cheap(void **state)
{
    (void)state;
    enum { TRIALS = 20000 };
    struct store *s = opened(STORE_CREATE);
    struct store_stage g = {.name = (char *)"train"}, other = {.id = 1, .name = (char *)"test"};
    good(store_put_stage(s, &g, &err));
    good(store_put_stage(s, &other, &err));
    for (int i = 0; i < TRIALS; i++) {
        AUTO_FREE char *params = mem_printf("{\"x\": %d}", i), *print = mem_printf("f%d", i);
        struct store_trial t = {.number = i,
                                .name = (char *)"n",
                                .params = params,
                                .fingerprint = print,
                                .state = TRIAL_SUCCESS};
        good(store_put_trial(s, &t, &err));
        t.id = 0;
        t.stage = 1;
        t.fingerprint = NULL;
        good(store_put_trial(s, &t, &err));
    }
    good(store_commit(s, &err));
    usec_t began = clock_mono(clock_system());
    int64_t generation;
    good(store_retire(s, &generation, &err));
    print_message("# %d trials set aside in %.2f s\n", 2 * TRIALS, seconds_since(began));
    began = clock_mono(clock_system());
    for (int i = 0; i < TRIALS; i++) {
        AUTO_FREE char *params = mem_printf("{\"x\": %d}", i), *print = mem_printf("f%d", i);
        struct store_retired r;
        good(store_find_retired(s, i % 2 ? print : NULL, "train", params, &r, &err));
        assert_string_equal(r.path, ".earlier/1/train/n");
        good(store_adopt(s, r.id, 0, i, "n", &err));
        store_retired_done(&r);
        if (seconds_since(began) > SECONDS_MAX)
            fail_msg("%d trials took %.1f s", i, seconds_since(began));
    }
    good(store_commit(s, &err));
    print_message("# %d trials taken in %.2f s\n", TRIALS, seconds_since(began));
    struct store_counts counts;
    good(store_counts(s, 0, &counts, &err));
    assert_int_equal(counts.by_state[TRIAL_SUCCESS], TRIALS);
    store_close(s);
}

/* ---- tags -------------------------------------------------------------------------------------
 */

/* More than are kept in memory; and what was rolled back is not believed to be there. */
static void many_tags_of_many_trials(void **state)
{
    (void)state;
    enum { TAGS = 30000 };
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1);
    for (int again = 0; again < 2; again++)
        for (int i = 0; i < TAGS; i++) {
            AUTO_FREE char *tag = mem_printf("t%05d", i);
            point(s, id, tag, again, i);
        }
    good(store_commit(s, &err));
    AUTO_STRV struct strv tags = {0}, some = {0};
    good(store_tags(s, -1, TAGS + 1, &tags, &err));
    assert_int_equal(tags.count, TAGS);
    good(store_tags(s, 0, 3, &some, &err));
    assert_int_equal(some.count, 3);
    assert_string_equal(some.items[2], "t00002");
    assert_points(s, id, "t29999", "0=29999 1=29999 ");
    store_close(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(summaries_are_of_the_points_that_are_left),
        T(steps_that_repeat_are_cheap),
        T(taking_trials_from_an_earlier_run_is_cheap),
        T(many_tags_of_many_trials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

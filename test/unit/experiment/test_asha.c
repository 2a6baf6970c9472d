/* Early stopping: the cutoff by hand and against a plain count, brackets, resumption. */
#include "base/mem.h"
#include "experiment/asha.h"
#include "experiment/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static struct asha *make(int64_t grace, double factor, int64_t max_t, int brackets, bool maximize)
{
    struct scheduler_spec spec = {.kind = SCHEDULER_ASHA,
                                  .grace_period = grace,
                                  .reduction_factor = factor,
                                  .max_t = max_t,
                                  .brackets = brackets};
    return asha_new(&spec, maximize);
}

/* By four: of 1, 2, 3, 4 the cutoff is 3.25, of 1, 2, 3, 4, 5 it is 4. */
static void the_cutoff_is_the_percentile_of_those_before(void **state)
{
    (void)state;
    struct asha *a = make(1, 4, 100, 1, true);
    assert_false(asha_report(a, 0, 1, 1)); /* the first goes on */
    assert_false(asha_report(a, 1, 1, 2));
    assert_false(asha_report(a, 2, 1, 3));
    assert_false(asha_report(a, 3, 1, 4));
    assert_true(asha_report(a, 4, 1, 3.2));
    asha_free(a);
    a = make(1, 4, 100, 1, true);
    for (size_t i = 0; i < 5; i++)
        assert_false(asha_report(a, i, 1, (double)i + 1));
    assert_false(asha_report(a, 5, 1, 4)); /* at the cutoff */
    assert_true(asha_report(a, 6, 1, 3.9));
    asha_free(a);
}

static void small_values_may_be_the_good_ones(void **state)
{
    (void)state;
    struct asha *a = make(1, 2, 100, 1, false);
    assert_false(asha_report(a, 0, 1, 3));
    assert_false(asha_report(a, 1, 1, 2));
    assert_true(asha_report(a, 2, 1, 2.6)); /* the middle of 2 and 3 is 2.5 */
    assert_false(asha_report(a, 3, 1, -1));
    asha_free(a);
}

static void nothing_is_judged_between_the_rungs(void **state)
{
    (void)state;
    struct asha *a = make(10, 3, 100, 1, true); /* rungs at 10, 30, 90 */
    for (size_t i = 0; i < 20; i++)
        assert_false(asha_report(a, i, 10, 100)); /* equals are at the cutoff */
    assert_false(asha_report(a, 20, 9, 0));
    assert_false(asha_report(a, 20, 0, 0));
    assert_false(asha_report(a, 20, -5, 0));
    assert_true(asha_report(a, 20, 10, 0));
    for (int64_t step = 11; step < 30; step++)
        assert_false(asha_report(a, 0, step, 0)); /* judged at 10 already */
    assert_false(asha_report(a, 0, 30, 0));       /* the first there */
    assert_true(asha_report(a, 0, 100, 1e9));     /* max_t */
    assert_true(asha_report(a, 1, 101, 1e9));
    asha_free(a);
}

/* One that reports every 50 steps is recorded at the highest rung that it passed. */
static void steps_may_pass_several_rungs(void **state)
{
    (void)state;
    struct asha *a = make(1, 2, 1000, 1, true);
    assert_false(asha_report(a, 0, 50, 5)); /* at 32 */
    assert_true(asha_report(a, 1, 33, 4));
    assert_false(asha_report(a, 2, 16, 4));
    assert_false(asha_report(a, 3, 31, 4)); /* at 16, where only 2 was */
    assert_true(asha_report(a, 4, 17, 3));
    asha_free(a);
}

static void each_rung_is_told_once(void **state)
{
    (void)state;
    struct asha *a = make(1, 2, 100, 1, true);
    assert_false(asha_report(a, 0, 1, 10));
    for (int i = 0; i < 100; i++)
        assert_false(asha_report(a, 0, 1, -1)); /* would be stopped, and would lower the cutoff */
    assert_true(asha_report(a, 1, 1, 9));
    assert_true(asha_report(a, 1, 1, 99)); /* it was stopped: so it is where it began again */
    assert_false(asha_report(a, 0, 2, 1));
    assert_false(asha_report(a, 0, 1, 1)); /* began again */
    assert_true(asha_report(a, 1, 2, 99)); /* a late word of a stopped one */
    assert_true(asha_report(a, 2, 2, 0.5));
    asha_free(a);
}

static void what_is_no_number_is_the_worst(void **state)
{
    (void)state;
    for (int maximize = 0; maximize < 2; maximize++) {
        struct asha *a = make(1, 2, 100, 1, maximize);
        assert_false(asha_report(a, 0, 1, NAN));
        assert_false(asha_report(a, 1, 1, NAN)); /* no worse than the other */
        assert_false(asha_report(a, 2, 1, maximize ? -1e300 : 1e300));
        assert_false(asha_report(a, 3, 1, 0));
        assert_false(asha_report(a, 4, 1, 0));
        assert_false(asha_report(a, 5, 1, maximize ? INFINITY : -INFINITY));
        assert_true(asha_report(a, 6, 1, NAN));
        assert_true(asha_report(a, 7, 1, maximize ? -INFINITY : INFINITY));
        asha_free(a);
    }
}

/* Bracket 0 has rungs at 1, 4, 16; bracket 1 at 4, 16; trial 4 is in bracket 1 of 3. */
static void brackets_take_trials_in_turn(void **state)
{
    (void)state;
    struct asha *a = make(1, 4, 64, 3, true);
    assert_false(asha_report(a, 0, 1, 10));
    assert_true(asha_report(a, 3, 1, 9));
    assert_false(asha_report(a, 4, 1, 9)); /* not judged at 1 */
    assert_false(asha_report(a, 1, 4, 10));
    assert_true(asha_report(a, 4, 4, 9));
    assert_false(asha_report(a, 6, 4, 1)); /* bracket 0 has nobody there */
    assert_false(asha_report(a, 5, 15, 1));
    assert_false(asha_report(a, 5, 16, 1));
    assert_true(asha_report(a, 8, 20, 0));
    asha_free(a);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The percentile of all that were there before, from the sorted values. */
static double plain_cutoff(const double *values, size_t n, double q)
{
    if (n == 0)
        return -INFINITY;
    AUTO_FREE double *sorted = mem_array(n, sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = values[i];
    qsort(sorted, n, sizeof *sorted, by_value);
    double at = q * (double)(n - 1), part = at - floor(at);
    size_t k = (size_t)floor(at);
    return part > 0 ? sorted[k] * (1 - part) + sorted[k + 1] * part : sorted[k];
}

static void agrees_with_a_sorted_list(void **state)
{
    (void)state;
    static const double factors[] = {1.01, 1.5, 2, 3, 4, 7.3, 1000};
    for (size_t f = 0; f < COUNT_OF(factors); f++) {
        struct asha *a = make(1, factors[f], 2, 1, true);
        double values[400];
        struct random r;
        random_init(&r, f, STR("asha"));
        for (size_t i = 0; i < COUNT_OF(values); i++) {
            values[i] = (double)random_int(&r, 0, 100); /* with equals among them */
            bool want = values[i] < plain_cutoff(values, i, 1 - 1 / factors[f]);
            if (asha_report(a, i, 1, values[i]) != want)
                fail_msg("factor %g: trial %zu of value %g", factors[f], i, values[i]);
        }
        asha_free(a);
    }
}

/* What an earlier process saw counts in any order; who went on there is not stopped after all. */
static void restored_trials_are_not_judged_again(void **state)
{
    (void)state;
    struct asha *a = make(1, 2, 100, 1, true), *b = make(1, 2, 100, 1, true);
    static const double values[] = {5, 6, 3, 7, 8, 1};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        asha_report(a, i, 1, values[i]);
    for (size_t i = COUNT_OF(values); i-- > 0;)
        asha_restore(b, i, 1, values[i]);
    assert_false(asha_report(b, 0, 1, 5)); /* it went on, though the others are better */
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(asha_report(a, 10 + i, 1, (double)i / 4),
                         asha_report(b, 10 + i, 1, (double)i / 4));
    asha_restore(b, 0, 100, 1); /* beyond the last rung */
    asha_free(a);
    asha_free(b);
}

static void a_hundred_thousand_trials_take_no_time(void **state)
{
    (void)state;
    struct asha *a = make(1, 3, 0, 2, true); /* no max_t */
    struct random r;
    random_init(&r, 1, STR("many"));
    size_t left = 0;
    for (size_t i = 0; i < 100000; i++) {
        bool stopped = false;
        for (int64_t step = 1; step < 200 && !stopped; step++)
            stopped = asha_report(a, i, step, random_unit(&r));
        left += !stopped;
    }
    assert_in_range(left, 50, 3000);
    assert_false(asha_report(a, 100000, INT64_MAX - 1, 0));
    asha_free(a);
}

static void the_finest_factor_has_its_rungs(void **state)
{
    (void)state;
    struct asha *a = make(1, 1.01, 1000000000, 100, true);
    assert_false(asha_report(a, 0, 999999999, 1));
    assert_true(asha_report(a, 100, 999999999, 0));
    assert_false(asha_report(a, 101, 999999999, 0)); /* another bracket */
    asha_free(a);
    asha_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cutoff_is_the_percentile_of_those_before),
        cmocka_unit_test(small_values_may_be_the_good_ones),
        cmocka_unit_test(nothing_is_judged_between_the_rungs),
        cmocka_unit_test(steps_may_pass_several_rungs),
        cmocka_unit_test(each_rung_is_told_once),
        cmocka_unit_test(what_is_no_number_is_the_worst),
        cmocka_unit_test(brackets_take_trials_in_turn),
        cmocka_unit_test(agrees_with_a_sorted_list),
        cmocka_unit_test(restored_trials_are_not_judged_again),
        cmocka_unit_test(a_hundred_thousand_trials_take_no_time),
        cmocka_unit_test(the_finest_factor_has_its_rungs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* loop_wait: what a timer makes true at the very start of a turn is seen before the turn blocks. */
#include "os/loop.h"
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants those before it */
#include <cmocka.h>

#define LONG (20 * USEC_PER_SEC)

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

static void set(void *ctx)
{
    *(bool *)ctx = true;
}

static void cancel(void *ctx)
{
    loop_cancel(ctx);
}

static usec_t now(void)
{
    return clock_mono(clock_system());
}

static void a_timer_that_is_due_is_seen_at_once(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    bool flag = false;
    struct timer *t = timer_start(loop, 0, set, &flag);
    usec_t began = now();
    assert_int_equal(loop_wait(loop, is_set, &flag, LONG, NULL), 0);
    assert_true(now() - began < LONG / 2);
    timer_stop(t);
    loop_free(loop);
}

static void a_cancel_by_a_timer_is_seen_at_once(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    bool flag = false;
    struct err err = {0};
    struct timer *t = timer_start(loop, 0, cancel, loop);
    usec_t began = now();
    assert_int_equal(loop_wait(loop, is_set, &flag, LONG, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_true(now() - began < LONG / 2);
    /* Shielded, the wait goes on in spite of the cancel. */
    loop_shield(loop);
    err = (struct err){0};
    assert_int_equal(loop_wait(loop, is_set, &flag, 10 * USEC_PER_MSEC, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    loop_unshield(loop);
    timer_stop(t);
    loop_free(loop);
}

static void deadlines_hold(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    bool flag = false;
    for (int i = 0; i < 50; i++) {
        struct err err = {0};
        usec_t began = now();
        assert_int_equal(loop_wait(loop, is_set, &flag, i * 100, &err), -1);
        assert_int_equal(err.code, ERR_TIMEOUT);
        assert_true(now() - began >= i * 100 && now() - began < LONG);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_that_is_due_is_seen_at_once),
        cmocka_unit_test(a_cancel_by_a_timer_is_seen_at_once),
        cmocka_unit_test(deadlines_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

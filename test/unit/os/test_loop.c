/* Waiting, timers, cancelling. (test_loop_wait.c: what a timer makes true is seen at once.) */
#include "os/loop.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    loop_free(NULL);
    return 0;
}

static usec_t now(void)
{
    return clock_mono(loop_clock(loop));
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

static bool positive(void *ctx)
{
    return *(int *)ctx > 0;
}

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct err err;
    usec_t start = now();
    assert_int_equal(loop_wait(loop, never, NULL, USEC_PER_SEC / 10, &err), -1);
    usec_t span = now() - start;
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(span >= USEC_PER_SEC / 10 && span < USEC_PER_SEC * 2);
    assert_int_equal(loop_wait(loop, never, NULL, 0, &err), -1);
    assert_int_equal(loop_wait(loop, never, NULL, -5, &err), -1);
    assert_int_equal(loop_wait(loop, always, NULL, 0, &err), 0); /* done before it is late */
    start = now();
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 10, &err), 0);
    assert_true(now() - start >= USEC_PER_SEC / 10);
}

static void endless_spans_do_not_overflow(void **state)
{
    (void)state;
    int fired = 0, late = 0;
    struct timer *far = timer_start(loop, USEC_FOREVER, count, &late);
    struct timer *further = timer_start(loop, USEC_FOREVER - 1, count, &late);
    struct timer *past = timer_start(loop, -USEC_PER_SEC, count, &fired);
    assert_int_equal(loop_wait(loop, positive, &fired, USEC_FOREVER - 1, NULL), 0);
    assert_int_equal(fired, 1);
    assert_int_equal(late, 0);
    timer_stop(far);
    timer_stop(further);
    timer_stop(past);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    for (int i = 1; i < 20; i++) {
        int fired = 0;
        usec_t start = now();
        struct timer *t = timer_start(loop, i * 700, count, &fired);
        assert_int_equal(fired, 0); /* never from inside its start */
        assert_int_equal(loop_wait(loop, positive, &fired, USEC_PER_SEC, NULL), 0);
        assert_true(now() - start >= i * 700 - 1000); /* uv counts in milliseconds */
        timer_stop(t);
    }
    int fired = 0;
    struct err err;
    struct timer *t = timer_start(loop, 0, count, &fired);
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 20, &err), 0);
    assert_int_equal(fired, 1);
    timer_stop(t);
    t = timer_start(loop, USEC_PER_SEC / 100, count, &fired);
    timer_stop(t); /* before it fires */
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 20, &err), 0);
    assert_int_equal(fired, 1);
    timer_stop(NULL);
}

struct self {
    struct timer *t;
    int left;
};

static void again(void *ctx)
{
    struct self *s = ctx;
    timer_stop(s->t); /* inside its own callback */
    s->t = --s->left ? timer_start(loop, 0, again, s) : NULL;
}

static bool self_done(void *ctx)
{
    return ((struct self *)ctx)->left == 0;
}

static void a_timer_may_stop_itself_and_start_another(void **state)
{
    (void)state;
    struct self s = {.left = 100};
    s.t = timer_start(loop, 0, again, &s);
    assert_int_equal(loop_wait(loop, self_done, &s, 5 * USEC_PER_SEC, NULL), 0);
}

static void timers_go_on_in_their_order(void **state)
{
    (void)state;
    int a = 0, b = 0;
    struct timer *second = timer_start(loop, 60 * USEC_PER_MSEC, count, &b);
    struct timer *first = timer_start(loop, 20 * USEC_PER_MSEC, count, &a);
    assert_int_equal(loop_wait(loop, positive, &a, USEC_PER_SEC, NULL), 0);
    assert_int_equal(b, 0);
    assert_int_equal(loop_wait(loop, positive, &b, USEC_PER_SEC, NULL), 0);
    timer_stop(first);
    timer_stop(second);
}

static void a_cancel_ends_waits_but_not_shielded_ones(void **state)
{
    (void)state;
    int fired = 0;
    struct err err;
    assert_false(loop_cancelled(loop));
    loop_cancel(loop);
    loop_cancel(loop);
    assert_true(loop_cancelled(loop));
    assert_int_equal(loop_wait(loop, never, NULL, USEC_FOREVER, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(loop_pause(loop, USEC_FOREVER, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(loop_wait(loop, always, NULL, 0, &err), 0); /* what is done is done */
    loop_shield(loop);
    loop_shield(loop);
    loop_unshield(loop); /* shields nest */
    struct timer *t = timer_start(loop, USEC_PER_SEC / 50, count, &fired);
    assert_int_equal(loop_wait(loop, positive, &fired, USEC_PER_SEC, &err), 0);
    timer_stop(t);
    loop_unshield(loop);
    assert_int_equal(loop_pause(loop, 0, &err), -1);
}

static void raise_int(void *ctx)
{
    (void)ctx;
    raise(SIGINT);
}

static void a_signal_cancels(void **state)
{
    (void)state;
    int called = 0;
    struct err err;
    loop_catch_signals(loop, count, &called);
    struct timer *t = timer_start(loop, USEC_PER_SEC / 50, raise_int, NULL);
    assert_int_equal(loop_wait(loop, never, NULL, 10 * USEC_PER_SEC, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(called, 1);
    timer_stop(t);
}

/* In a process of its own, forked where no loop watches signals: libuv's are shared after a fork.
 */
static void a_second_signal_ends_the_process(void **state)
{
    (void)state;
    fflush(NULL);
    int pid = fork();
    if (pid == 0) {
        struct loop *l = loop_new();
        loop_catch_signals(l, NULL, NULL);
        loop_shield(l);
        raise(SIGTERM);
        (void)!loop_pause(l, USEC_PER_SEC / 10, NULL);
        raise(SIGTERM);
        (void)!loop_pause(l, USEC_PER_SEC, NULL);
        _exit(7);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
}

static void note_count(void *ctx, int n)
{
    *(int *)ctx = *(int *)ctx * 10 + n;
}

static void raise_term(void *ctx)
{
    (void)ctx;
    raise(SIGTERM);
}

static bool is_12(void *ctx)
{
    return *(int *)ctx == 12;
}

/* Neither does a signal cancel, nor the second end the process, until it is given back. */
static void signals_can_be_somebody_else_s(void **state)
{
    (void)state;
    int called = 0, seen = 0, again = 0;
    struct err err;
    loop_catch_signals(loop, count, &called);
    loop_on_signal(loop, note_count, &seen);
    struct timer *t = timer_start(loop, USEC_PER_SEC / 100, raise_int, NULL);
    struct timer *t2 = timer_start(loop, USEC_PER_SEC / 20, raise_term, NULL);
    assert_int_equal(loop_wait(loop, is_12, &seen, 5 * USEC_PER_SEC, &err), 0);
    assert_false(loop_cancelled(loop));
    assert_int_equal(called, 0);
    timer_stop(t);
    timer_stop(t2);
    loop_on_signal(loop, note_count, &again); /* which counts anew */
    t = timer_start(loop, 0, raise_int, NULL);
    assert_int_equal(loop_wait(loop, positive, &again, 5 * USEC_PER_SEC, &err), 0);
    assert_int_equal(again, 1);
    assert_int_equal(seen, 12);
    timer_stop(t);
    loop_on_signal(loop, NULL, NULL);
    t = timer_start(loop, 0, raise_int, NULL);
    assert_int_equal(loop_wait(loop, never, NULL, 5 * USEC_PER_SEC, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(called, 1);
    timer_stop(t);
}

static void a_reader_that_is_gone_is_an_error_not_an_end(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    close(fds[1]);
}

/* uv_stop, by which a wait looks early, must not cut later waits short or make them spin. */
static void a_wait_with_nothing_to_do_sleeps(void **state)
{
    (void)state;
    struct err err;
    clock_t before = clock();
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 2, &err), 0);
    assert_int_equal(loop_wait(loop, never, NULL, USEC_PER_SEC / 2, &err), -1);
    assert_true(clock() - before < CLOCKS_PER_SEC / 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_wait_ends_at_its_deadline),
        T(endless_spans_do_not_overflow),
        T(a_timer_fires_once_and_not_early),
        T(a_timer_may_stop_itself_and_start_another),
        T(timers_go_on_in_their_order),
        T(a_cancel_ends_waits_but_not_shielded_ones),
        T(a_signal_cancels),
        cmocka_unit_test(a_second_signal_ends_the_process),
        T(signals_can_be_somebody_else_s),
        T(a_reader_that_is_gone_is_an_error_not_an_end),
        T(a_wait_with_nothing_to_do_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

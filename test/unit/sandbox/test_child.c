/* Children that the loop does not wait for. */
#include "base/mem.h"
#include "sandbox/child.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    int calls, status;
    char *output;
    struct strv lines;
};

static void on_done(void *ctx, int status, const char *output)
{
    struct seen *s = ctx;
    s->calls++;
    s->status = status;
    s->output = mem_dup(output);
}

static void on_line(void *ctx, const char *line)
{
    strv_add(&((struct seen *)ctx)->lines, line);
}

static bool called(void *ctx)
{
    return ((struct seen *)ctx)->calls > 0;
}

static void run(struct loop *loop, const char *script, struct seen *s)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    child_start(loop, argv, on_line, on_done, s);
    assert_int_equal(s->calls, 0); /* never from inside its own start */
    assert_int_equal(loop_wait(loop, called, s, 20 * USEC_PER_SEC, NULL), 0);
}

static void done(struct seen *s)
{
    free(s->output);
    strv_done(&s->lines);
}

static void gives_status_lines_and_both_outputs(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen s = {0};
    run(loop, "echo one; echo two >&2; printf three; exit 3", &s);
    assert_int_equal(s.status, 3);
    assert_string_equal(s.output, "one\ntwo\nthree");
    assert_int_equal(s.lines.count, 2);
    assert_string_equal(s.lines.items[1], "two");
    done(&s);
    loop_free(loop);
}

static void keeps_the_end_of_a_long_output(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen s = {0};
    run(loop, "seq 1 100000; echo the end", &s);
    assert_int_equal(s.status, 0);
    assert_true(strlen(s.output) <= CHILD_OUTPUT_MAX);
    assert_true(str_ends(str_of(s.output), "100000\nthe end\n"));
    assert_int_equal(s.lines.count, 100001);
    done(&s);
    loop_free(loop);
}

static void a_program_that_is_not_there(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen s = {0};
    const char *const argv[] = {"/no/such/program", NULL};
    child_start(loop, argv, NULL, on_done, &s);
    assert_int_equal(s.calls, 0);
    assert_int_equal(loop_wait(loop, called, &s, 20 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(s.status, -1);
    assert_non_null(strstr(s.output, "cannot run '/no/such/program'"));
    done(&s);
    loop_free(loop);
}

static void does_not_wait_for_a_daemon_that_holds_its_output(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen s = {0};
    usec_t start = clock_mono(clock_system());
    run(loop, "sleep 5 & echo started", &s);
    assert_true(clock_mono(clock_system()) - start < 4 * USEC_PER_SEC);
    assert_string_equal(s.output, "started\n");
    done(&s);
    loop_free(loop);
}

static void killed_and_forgotten(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen s = {0};
    const char *const argv[] = {"/bin/sleep", "30", NULL};
    child_kill(child_start(loop, argv, NULL, on_done, &s));
    assert_int_equal(loop_wait(loop, called, &s, 20 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(s.status, -1);
    done(&s);
    struct seen none = {0};
    const char *const quick[] = {"/bin/true", NULL};
    child_forget(child_start(loop, quick, NULL, on_done, &none));
    assert_int_equal(loop_pause(loop, 300 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(none.calls, 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_status_lines_and_both_outputs),
        cmocka_unit_test(keeps_the_end_of_a_long_output),
        cmocka_unit_test(a_program_that_is_not_there),
        cmocka_unit_test(does_not_wait_for_a_daemon_that_holds_its_output),
        cmocka_unit_test(killed_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

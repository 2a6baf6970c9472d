/* Several children at once: output apart, statuses honest, none left behind. */
#include "base/buf.h"
#include "os/children.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#define COUNT 5

struct seen {
    struct buf out[COUNT], err_out[COUNT];
    size_t ended, running_max, ended_at_start[COUNT];
};

static void got(void *ctx, size_t child, bool is_err, struct str bytes)
{
    struct seen *s = ctx;
    buf_add_str(is_err ? &s->err_out[child] : &s->out[child], bytes);
}

static void ended(void *ctx, size_t child)
{
    (void)child;
    ((struct seen *)ctx)->ended++;
}

static struct child shell(const char *line)
{
    struct child c = {0};
    strv_add(&c.argv, "sh");
    strv_add(&c.argv, "-c");
    strv_add(&c.argv, line);
    return c;
}

static void all_run_and_end(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen seen = {0};
    struct child none = {.status = 0};
    struct child items[COUNT] = {shell("echo out; echo err >&2"), shell("exit 7"),
                                 shell("kill -9 $$"), none, shell("cat; echo end")};
    strv_add(&items[3].argv, "/no/such/program");
    struct children_request r = {
        .items = items, .count = COUNT, .at_once = 2, .output = got, .ended = ended, .ctx = &seen};
    assert_int_equal(children_run(loop, &r, NULL), 0);
    assert_int_equal(seen.ended, COUNT);
    assert_int_equal(items[0].status, 0);
    assert_string_equal(buf_text(&seen.out[0]), "out\n");
    assert_string_equal(buf_text(&seen.err_out[0]), "err\n");
    assert_int_equal(items[1].status, 7);
    assert_int_equal(items[2].status, 128 + 9);
    assert_int_equal(items[3].status, -1);
    assert_non_null(strstr(items[3].err.msg, "/no/such/program"));
    assert_string_equal(buf_text(&seen.out[4]), "end\n"); /* nothing to read */
    for (size_t i = 0; i < COUNT; i++) {
        child_done(&items[i]);
        buf_done(&seen.out[i]);
        buf_done(&seen.err_out[i]);
    }
    loop_free(loop);
}

static void cancel(void *loop)
{
    loop_cancel(loop);
}

static void a_cancel_ends_them(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen seen = {0};
    struct child items[3] = {shell("exec sleep 60"), shell("exec sleep 60"), shell("echo never")};
    struct children_request r = {
        .items = items, .count = 3, .at_once = 2, .output = got, .ended = ended, .ctx = &seen};
    struct timer *t = timer_start(loop, 50 * USEC_PER_MSEC, cancel, loop);
    struct err err = {0};
    usec_t began = clock_mono(clock_system());
    assert_int_equal(children_run(loop, &r, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_true(clock_mono(clock_system()) - began < 30 * USEC_PER_SEC);
    assert_int_equal(items[0].status, 128 + 15);
    assert_int_equal(seen.out[2].len, 0);
    timer_stop(t);
    for (size_t i = 0; i < 3; i++)
        child_done(&items[i]);
    loop_free(loop);
}

static void input_reaches_them_and_nobody_has_to_read_it(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct seen seen = {0};
    AUTO_BUF struct buf much = {0};
    for (size_t i = 0; i < 200000; i++)
        buf_adds(&much, "a line\n");
    struct child none = {.input = buf_view(&much)};
    struct child items[3] = {shell("wc -l"), shell("exit 3"), none};
    items[0].input = items[1].input = buf_view(&much);
    strv_add(&items[2].argv, "/no/such/program");
    struct children_request r = {
        .items = items, .count = 3, .at_once = 3, .output = got, .ended = ended, .ctx = &seen};
    assert_int_equal(children_run(loop, &r, NULL), 0);
    assert_string_equal(buf_text(&seen.out[0]), "200000\n");
    assert_int_equal(items[1].status, 3);
    assert_int_equal(items[2].status, -1);
    for (size_t i = 0; i < 3; i++) {
        child_done(&items[i]);
        buf_done(&seen.out[i]);
        buf_done(&seen.err_out[i]);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_reaches_them_and_nobody_has_to_read_it),
        cmocka_unit_test(all_run_and_end),
        cmocka_unit_test(a_cancel_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

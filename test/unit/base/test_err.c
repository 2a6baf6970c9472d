/* Errors keep their cause, whatever is put in front of it. */
#include "base/err.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void it_returns_minus_one_and_takes_null(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_FILE, "bad '%s'", "x"), -1);
    assert_int_equal(e.code, ERR_FILE);
    assert_string_equal(e.msg, "bad 'x'");
    assert_int_equal(err_wrap(&e, "at %d", 3), -1);
    assert_string_equal(e.msg, "at 3: bad 'x'");
    assert_int_equal(e.code, ERR_FILE);
    assert_int_equal(err_set(NULL, ERR_FILE, "x"), -1);
    assert_int_equal(err_set_sys(NULL, ENOENT, "x"), -1);
    assert_int_equal(err_set_origin(NULL, ERR_FILE, "x", "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
    assert_int_equal(err_copy(NULL, &e), -1);
    struct err copy;
    assert_int_equal(err_copy(&copy, &e), -1);
    assert_string_equal(copy.msg, e.msg);
}

static void the_systems_word_is_kept(void **state)
{
    (void)state;
    struct err e;
    err_set_sys(&e, ENOENT, "cannot open '%s'", "/x");
    assert_string_equal(e.msg, "cannot open '/x': No such file or directory");
    assert_int_equal(e.sys, ENOENT);
    assert_int_equal(e.code, ERR_IO);
    char path[5000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    err_set_sys(&e, EACCES, "cannot open '%s'", path);
    assert_true(strlen(e.msg) < sizeof e.msg);
    const char *cause = ": Permission denied";
    assert_string_equal(e.msg + strlen(e.msg) - strlen(cause), cause);
}

static void wrapping_drops_context_never_the_cause(void **state)
{
    (void)state;
    struct err e;
    err_set_origin(&e, ERR_QUOTA, "VcpuLimitExceeded", "the cause");
    for (int i = 0; i < 1000; i++) {
        err_wrap(&e, "context number %d", i);
        assert_true(strlen(e.msg) < sizeof e.msg);
        assert_string_equal(e.msg + strlen(e.msg) - 9, "the cause");
    }
    assert_true(strlen(e.msg) > sizeof e.msg - 64); /* and not before it must */
    assert_int_equal(e.code, ERR_QUOTA);
    assert_string_equal(e.origin, "VcpuLimitExceeded");
    char big[ERR_MESSAGE_MAX * 2];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    err_set(&e, ERR_IO, "the cause");
    err_wrap(&e, "%s", big);
    assert_string_equal(e.msg, "the cause");
    for (size_t n = 0; n < sizeof e.msg + 2; n++) { /* every length around the edge */
        err_set(&e, ERR_IO, "the cause");
        err_wrap(&e, "%.*s", (int)n, big);
        assert_string_equal(e.msg + strlen(e.msg) - 9, "the cause");
    }
}

static void a_message_may_quote_itself(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_PARTIAL, "outer: %s", e.msg);
    assert_string_equal(e.msg, "outer: inner");
    err_wrap(&e, "<%s>", e.msg);
    assert_string_equal(e.msg, "<outer: inner>: outer: inner");
}

static void the_table_is_whole(void **state)
{
    (void)state;
    static const int allowed[] = {0, 1, 2, 4, 5, 6, 130};
    for (int c = 0; c < ERR_CODE_COUNT; c++) {
        assert_non_null(err_name((enum err_code)c));
        bool found = false;
        for (size_t i = 0; i < COUNT_OF(allowed); i++)
            found = found || err_exit_status((enum err_code)c) == allowed[i];
        assert_true(found);
        for (int d = 0; d < c; d++)
            assert_string_not_equal(err_name((enum err_code)c), err_name((enum err_code)d));
        assert_int_equal(err_exit_status((enum err_code)c) == 0, c == ERR_NONE);
    }
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_int_equal(err_exit_status(ERR_CREDENTIALS), 4);
    assert_int_equal(err_exit_status(ERR_QUOTA), 5);
    assert_int_equal(err_exit_status(ERR_UNREACHABLE), 6);
    assert_int_equal(err_exit_status(ERR_CANCELLED), 130);
    assert_true(err_retryable(ERR_THROTTLED));
    assert_true(err_retryable(ERR_UNREACHABLE));
    assert_false(err_retryable(ERR_HOST_KEY));
    assert_false(err_retryable(ERR_AUTH));
    assert_false(err_retryable(ERR_CANCELLED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_returns_minus_one_and_takes_null),
        cmocka_unit_test(the_systems_word_is_kept),
        cmocka_unit_test(wrapping_drops_context_never_the_cause),
        cmocka_unit_test(a_message_may_quote_itself),
        cmocka_unit_test(the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

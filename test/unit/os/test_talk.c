/* A child that one talks to in lines: order, ends, silence and floods. */
#include "base/mem.h"
#include "os/talk.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define SOON (30 * USEC_PER_SEC)

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
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
    loop_free(loop);
    return 0;
}

static struct talk *start(const char *line)
{
    const char *const argv[] = {"sh", "-c", line, NULL};
    struct talk *t = NULL;
    assert_int_equal(talk_start(loop, argv, &t, NULL), 0);
    return t;
}

static void assert_hears(struct talk *t, const char *want)
{
    struct str line;
    struct err err = {0};
    if (talk_receive(t, SOON, &line, &err) != 0)
        fail_msg("%s", err.msg);
    if (!str_is(line, want))
        fail_msg("'%.*s', not '%s'", STR_FMT(line), want);
}

static void answers_come_line_by_line(void **state)
{
    (void)state;
    struct talk *t = start("while read -r x; do echo \"<$x>\"; echo; done");
    assert_int_equal(talk_send(t, STR("one"), NULL), 0);
    assert_int_equal(talk_send(t, STR("two words"), NULL), 0);
    assert_hears(t, "<one>");
    assert_hears(t, "");
    assert_hears(t, "<two words>");
    assert_hears(t, "");
    assert_int_equal(talk_send(t, STR("three"), NULL), 0);
    assert_hears(t, "<three>");
    talk_free(t);
}

static void large_messages_arrive(void **state)
{
    (void)state;
    struct talk *t = start("exec cat");
    size_t n = (size_t)3 << 20;
    AUTO_FREE char *text = mem_alloc(n + 1);
    memset(text, 'x', n);
    struct str line;
    for (int i = 0; i < 3; i++)
        assert_int_equal(talk_send(t, (struct str){text, n}, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(talk_receive(t, SOON, &line, NULL), 0);
        assert_true(str_is(line, text));
    }
    talk_free(t);
}

static void its_end_is_said_with_its_last_words(void **state)
{
    (void)state;
    struct talk *t = start("read -r x; echo last; echo first >&2; echo 'it broke' >&2; exit 3");
    assert_int_equal(talk_send(t, STR("go"), NULL), 0);
    assert_hears(t, "last");
    struct str line;
    struct err err = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(talk_receive(t, SOON, &line, &err), -1);
        assert_int_equal(err.code, ERR_REMOTE);
        assert_string_equal(err.msg,
                            "'sh' has ended with status 3; its last words: first it broke");
    }
    assert_int_equal(talk_send(t, STR("into the void"), NULL), 0);
    talk_free(t);
    t = start("kill -KILL $$");
    assert_int_equal(talk_receive(t, SOON, &line, &err), -1);
    assert_string_equal(err.msg, "'sh' was ended by signal 9");
    talk_free(t);
}

static void long_last_words_are_cut(void **state)
{
    (void)state;
    struct talk *t = start("i=0; while [ $i -lt 3000 ]; do echo \"line $i\" >&2; i=$((i+1)); done; "
                           "exit 1");
    struct str line;
    struct err err = {0};
    assert_int_equal(talk_receive(t, SOON, &line, &err), -1);
    assert_non_null(strstr(err.msg, "line 2999"));
    assert_null(strstr(err.msg, "line 1000"));
    talk_free(t);
}

static void silence_is_bounded(void **state)
{
    (void)state;
    struct talk *t = start("echo 'still thinking' >&2; exec sleep 60");
    struct str line;
    struct err err = {0};
    assert_int_equal(talk_receive(t, USEC_PER_SEC, &line, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.msg, "no answer from 'sh' within 1 s; its last words: still thinking");
    talk_free(t); /* and the child with it: see teardown */
}

static void a_line_without_end_is_refused(void **state)
{
    (void)state;
    struct talk *t = start("exec tr '\\0' x </dev/zero");
    struct str line;
    struct err err = {0};
    assert_int_equal(talk_receive(t, SOON, &line, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    talk_free(t);
}

static void a_missing_program_is_not_found(void **state)
{
    (void)state;
    const char *const argv[] = {"flambe-no-such-program", NULL};
    struct talk *t = NULL;
    struct err err = {0};
    assert_int_equal(talk_start(loop, argv, &t, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_null(t);
}

static void a_cancelled_loop_ends_the_wait(void **state)
{
    (void)state;
    struct talk *t = start("exec cat");
    loop_cancel(loop);
    struct str line;
    struct err err = {0};
    assert_int_equal(talk_receive(t, SOON, &line, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    talk_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_come_line_by_line, setup, teardown),
        cmocka_unit_test_setup_teardown(large_messages_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(its_end_is_said_with_its_last_words, setup, teardown),
        cmocka_unit_test_setup_teardown(long_last_words_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_program_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_loop_ends_the_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

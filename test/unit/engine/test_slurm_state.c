/* What becomes of a program, fact by fact. */
#include "engine/slurm_priv.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static struct slurm_view v;
static usec_t now;

static enum slurm_news tell(struct slurm_fact f)
{
    f.mono = now;
    f.wall = 1000000 + now;
    struct slurm_view before = v;
    return slurm_update(&before, &f, &v);
}

static enum slurm_news plain(enum slurm_fact_kind kind)
{
    return tell((struct slurm_fact){.kind = kind, .text = "why"});
}

static enum slurm_news start(void)
{
    struct slurm_start s = {.wall = 77, .host = "w1"};
    return tell((struct slurm_fact){.kind = SLURM_FACT_START, .start = &s});
}

static enum slurm_news record(enum engine_end end, int status, int number)
{
    struct engine_result r = {
        .id = 7, .end = end, .exit_status = status, .signal = number, .host = "w1"};
    return tell((struct slurm_fact){.kind = SLURM_FACT_END, .result = &r});
}

static enum slurm_news word(enum slurm_state state, int status, int number)
{
    struct slurm_word w = {.state = state, .exit_status = status, .signal = number, .node = "w1"};
    return tell((struct slurm_fact){.kind = SLURM_FACT_WORD, .word = &w});
}

static enum slurm_news at(usec_t later)
{
    now += later;
    return plain(SLURM_FACT_TIME);
}

static int begin(void **state)
{
    (void)state;
    v = slurm_view_new(7);
    now = 5;
    assert_int_equal(plain(SLURM_FACT_SUBMITTED), SLURM_NO_NEWS);
    return 0;
}

static void is_end(enum engine_end end, const char *message)
{
    assert_int_equal(v.phase, SLURM_OVER);
    assert_int_equal(v.result.id, 7);
    if (v.result.end != end || !strstr(v.result.message, message))
        fail_msg("%s: '%s', not %s: '%s'", engine_end_name(v.result.end), v.result.message,
                 engine_end_name(end), message);
    struct slurm_view over = v;
    assert_int_equal(word(SLURM_NODE_FAIL, -1, -1), SLURM_NO_NEWS); /* nothing comes after it */
    assert_int_equal(record(ENGINE_EXITED, 9, 0), SLURM_NO_NEWS);
    assert_int_equal(at(USEC_PER_HOUR), SLURM_NO_NEWS);
    assert_int_equal(over.result.end, v.result.end);
}

static void by_its_record(void **state)
{
    (void)state;
    assert_int_equal(start(), SLURM_BEGAN);
    assert_int_equal(start(), SLURM_NO_NEWS);
    assert_int_equal(at(USEC_PER_HOUR), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_EXITED, 3, 0), SLURM_ENDED);
    assert_int_equal(v.result.exit_status, 3);
    is_end(ENGINE_EXITED, "");
}

static void slurm_says_it_first(void **state)
{
    (void)state;
    assert_int_equal(start(), SLURM_BEGAN);
    assert_int_equal(word(SLURM_COMPLETED, 0, 0), SLURM_NO_NEWS);
    assert_int_equal(at(SLURM_RECORD_SOON + 1), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_EXITED, 0, 0), SLURM_ENDED);
    is_end(ENGINE_EXITED, "");
}

/* Which record says that a kill was Slurm's own, for its limit of memory? None: Slurm does. */
static void killed(void **state)
{
    assert_int_equal(start(), SLURM_BEGAN);
    assert_int_equal(record(ENGINE_SIGNALLED, -1, SIGKILL), SLURM_NO_NEWS);
    assert_int_equal(word(SLURM_OUT_OF_MEMORY, 0, 9), SLURM_ENDED);
    is_end(ENGINE_OUT_OF_MEMORY, "on w1");
    begin(state);
    assert_int_equal(word(SLURM_OUT_OF_MEMORY, 0, 9), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_SIGNALLED, -1, SIGKILL), SLURM_ENDED);
    is_end(ENGINE_OUT_OF_MEMORY, "on w1");
    begin(state);
    assert_int_equal(record(ENGINE_SIGNALLED, -1, SIGKILL), SLURM_NO_NEWS);
    assert_int_equal(word(SLURM_COMPLETED, 0, 0), SLURM_ENDED);
    is_end(ENGINE_SIGNALLED, "");
    begin(state);
    assert_int_equal(record(ENGINE_SIGNALLED, -1, SIGKILL), SLURM_NO_NEWS);
    assert_int_equal(at(SLURM_RECORD_SOON), SLURM_ENDED);
    is_end(ENGINE_SIGNALLED, "");
}

static void without_a_record(void **state)
{
    static const struct {
        bool begun;
        enum slurm_state state;
        int status, signal;
        enum engine_end end;
        const char *message;
    } rows[] = {
        {true, SLURM_NODE_FAIL, 0, 0, ENGINE_LOST, "its host w1 failed"},
        {false, SLURM_NODE_FAIL, 0, 0, ENGINE_LOST, "its host w1 failed"},
        {true, SLURM_CANCELLED, 0, 15, ENGINE_LOST, "somebody else"},
        {true, SLURM_OUT_OF_MEMORY, 0, 9, ENGINE_OUT_OF_MEMORY, "w1"},
        {true, SLURM_TIMEOUT, 0, 0, ENGINE_TIMED_OUT, "w1"},
        {true, SLURM_COMPLETED, 0, 0, ENGINE_LOST, "not recorded"},
        {true, SLURM_FAILED, 0, 9, ENGINE_LOST, "supervisor on w1 was ended by signal 9"},
        {true, SLURM_FAILED, 1, 0, ENGINE_LOST, "supervisor on w1 failed (status 1)"},
        {true, SLURM_FAILED, SLURM_EXIT_NO_RECORD, 0, ENGINE_LOST, "could not record its end"},
        {false, SLURM_FAILED, SLURM_EXIT_NO_RECORD, 0, ENGINE_LOST, "could not record its end"},
        {false, SLURM_FAILED, SLURM_EXIT_NO_SPEC, 0, ENGINE_LOST, "w1 did not find"},
        {false, SLURM_FAILED, 127, 0, ENGINE_NOT_STARTED, "not on w1"},
        {false, SLURM_FAILED, 126, 0, ENGINE_NOT_STARTED, "cannot be run there"},
        {false, SLURM_FAILED, 65, 0, ENGINE_NOT_STARTED, "status 65"},
        {false, SLURM_FAILED, 0, 11, ENGINE_LOST, "signal 11"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(state);
        if (rows[i].begun)
            assert_int_equal(start(), SLURM_BEGAN);
        enum slurm_news news = word(rows[i].state, rows[i].status, rows[i].signal);
        if (news == SLURM_NO_NEWS)
            news = at(SLURM_RECORD_LATE);
        assert_int_equal(news, SLURM_ENDED);
        assert_int_equal(v.result.started, rows[i].begun ? 77 : 0);
        assert_int_equal(v.result.exit_status, -1);
        assert_string_equal(v.result.host, "w1");
        is_end(rows[i].end, rows[i].message);
    }
}

static void stopped(void **state)
{
    assert_int_equal(start(), SLURM_BEGAN);
    assert_int_equal(plain(SLURM_FACT_STOP), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_STOPPED, 7, 0), SLURM_ENDED);
    assert_int_equal(v.result.exit_status, 7);
    is_end(ENGINE_STOPPED, "");
    begin(state); /* it ended by itself before it heard of it */
    assert_int_equal(plain(SLURM_FACT_STOP), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_EXITED, 0, 0), SLURM_ENDED);
    is_end(ENGINE_EXITED, "");
    begin(state); /* nobody here asked for that */
    assert_int_equal(record(ENGINE_STOPPED, -1, 15), SLURM_ENDED);
    is_end(ENGINE_LOST, "on w1 by somebody else");
    begin(state); /* out of the queue */
    assert_int_equal(plain(SLURM_FACT_STOP), SLURM_NO_NEWS);
    assert_int_equal(plain(SLURM_FACT_ABSENT), SLURM_ENDED);
    is_end(ENGINE_STOPPED, "");
    v = slurm_view_new(7); /* before Slurm heard of it */
    assert_int_equal(plain(SLURM_FACT_STOP), SLURM_ENDED);
    is_end(ENGINE_STOPPED, "");
    begin(state);
    assert_int_equal(plain(SLURM_FACT_STOP), SLURM_NO_NEWS);
    assert_int_equal(word(SLURM_NODE_FAIL, -1, -1), SLURM_NO_NEWS);
    assert_int_equal(at(SLURM_RECORD_SOON), SLURM_ENDED);
    is_end(ENGINE_STOPPED, "");
}

static void absent(void **state)
{
    assert_int_equal(plain(SLURM_FACT_ABSENT), SLURM_NO_NEWS);
    assert_int_equal(word(SLURM_PENDING, -1, -1), SLURM_NO_NEWS); /* there it is */
    assert_int_equal(plain(SLURM_FACT_ABSENT), SLURM_NO_NEWS);
    assert_int_equal(plain(SLURM_FACT_ABSENT), SLURM_ENDED);
    is_end(ENGINE_LOST, "knows nothing");
    begin(state); /* what has ended may be forgotten while its record is waited for */
    assert_int_equal(word(SLURM_COMPLETED, 0, 0), SLURM_NO_NEWS);
    for (int i = 0; i < 5; i++)
        assert_int_equal(plain(SLURM_FACT_ABSENT), SLURM_NO_NEWS);
    assert_int_equal(record(ENGINE_EXITED, 0, 0), SLURM_ENDED);
}

static void others(void **state)
{
    struct engine_result r = {.id = 8, .end = ENGINE_EXITED};
    assert_int_equal(tell((struct slurm_fact){.kind = SLURM_FACT_END, .result = &r}),
                     SLURM_NO_NEWS); /* another program's record */
    assert_int_equal(plain(SLURM_FACT_REFUSED), SLURM_ENDED);
    is_end(ENGINE_NOT_STARTED, "why");
    begin(state);
    assert_int_equal(plain(SLURM_FACT_BROKEN), SLURM_ENDED);
    is_end(ENGINE_LOST, "why");
}

static void depth(void **state)
{
    (void)state;
    assert_int_equal(slurm_depth(0, 0), 2);
    assert_int_equal(slurm_depth(8, 0), 12);
    assert_int_equal(slurm_depth(24, 80), 24 + 6 + 2 + 240);
    assert_int_equal(slurm_depth(UINT32_MAX, 0), SLURM_LIVE_MAX);
    assert_int_equal(slurm_depth(1, UINT64_MAX), SLURM_LIVE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(by_its_record, begin),
        cmocka_unit_test_setup(slurm_says_it_first, begin),
        cmocka_unit_test_setup(killed, begin),
        cmocka_unit_test_setup(without_a_record, begin),
        cmocka_unit_test_setup(stopped, begin),
        cmocka_unit_test_setup(absent, begin),
        cmocka_unit_test_setup(others, begin),
        cmocka_unit_test(depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

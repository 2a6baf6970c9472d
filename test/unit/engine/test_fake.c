/* The fake engine keeps the contract of the real ones. */
#include "programs.h"

static int setup_fake(void **state)
{
    assert_int_equal(make_dir(state), 0);
    loop = loop_new();
    engine = engine_fake_new(loop, 2, &events);
    return 0;
}

static void turn(void)
{
    assert_int_equal(loop_pause(loop, 5 * USEC_PER_MSEC, NULL), 0);
}

static void programs_end_as_the_test_says(void **state)
{
    (void)state;
    char word[] = "echo";
    const char *argv[] = {word, "x", NULL};
    struct engine_program p = program(7, argv);
    assert_int_equal(engine_room(engine, 100, 100), 2);
    submit(&p);
    word[0] = 'X'; /* it was copied */
    assert_int_equal(started_count, 0);
    assert_int_equal(engine_room(engine, 1, 0), 1);
    turn();
    assert_int_equal(started_count, 1);
    assert_int_equal(engine_fake_count(engine), 1);
    assert_string_equal(engine_fake_program(engine, 0)->argv[0], "echo");
    assert_string_equal(engine_fake_program(engine, 0)->directory, dir);
    assert_null(engine_fake_program(engine, 1));
    p = program(8, argv);
    submit(&p);
    p.id = 9;
    struct err err = {0};
    assert_int_equal(engine_submit(engine, &p, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(engine_fake_stopped(engine, 8));
    engine_stop(engine, 8, 0);
    engine_stop(engine, 99, 0);
    assert_true(engine_fake_stopped(engine, 8));
    assert_false(engine_fake_stopped(engine, 7));
    struct engine_result r = {.id = 7, .end = ENGINE_EXITED, .exit_status = 3};
    engine_fake_end(engine, &r);
    assert_int_equal(ended_count, 0);
    assert_int_equal(engine_room(engine, 1, 0), 0);
    assert_int_equal(engine_fake_count(engine), 1);
    assert_int_equal(engine_fake_program(engine, 0)->id, 8);
    turn();
    assert_int_equal(ended_count, 1);
    assert_memory_equal(&results[0], &r, sizeof r);
    assert_int_equal(engine_room(engine, 1, 0), 1);
}

static void what_never_started_is_not_said_to_have(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("x"));
    submit(&p);
    struct engine_result r = {.id = 1, .end = ENGINE_NOT_STARTED, .exit_status = -1};
    engine_fake_end(engine, &r);
    turn();
    assert_int_equal(started_count, 0);
    assert_int_equal(ended_count, 1);
}

static void it_breaks(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("x"));
    submit(&p);
    struct err why = {0};
    err_set(&why, ERR_UNREACHABLE, "the supervisor is gone");
    engine_fake_break(engine, &why);
    assert_int_equal(broken_count, 0);
    turn();
    turn();
    assert_int_equal(broken_count, 1);
    assert_int_equal(results[0].end, ENGINE_LOST);
    assert_int_equal(engine_room(engine, 1, 0), 0);
    assert_int_equal(engine_submit(engine, &p, NULL), -1);
}

#define F(f) cmocka_unit_test_setup_teardown(f, setup_fake, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        F(programs_end_as_the_test_says),
        F(what_never_started_is_not_said_to_have),
        F(it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

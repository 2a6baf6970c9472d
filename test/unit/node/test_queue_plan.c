/* The queue's pure parts: turns, who is taken, deaths, and what an ending comes to. */
#include "base/mem.h"
#include "node/queue.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void ids_hold_the_order(void **state)
{
    (void)state;
    AUTO_FREE char *a = queue_id(false, 9, "b"), *b = queue_id(false, 10, "a");
    AUTO_FREE char *c = queue_id(true, 11, "a-b_c");
    assert_string_equal(a, "1-0000000009-b");
    assert_true(strcmp(a, b) < 0);
    assert_true(strcmp(c, a) < 0);
    bool ahead = false;
    uint64_t number = 0;
    struct str name = {0};
    assert_true(queue_read_id(str_of(c), &ahead, &number, &name));
    assert_true(ahead && number == 11 && str_is(name, "a-b_c"));
    static const char *const none[] = {"",
                                       "1",
                                       "1-0000000009",
                                       "1-0000000009-",
                                       "2-0000000009-a",
                                       "1-009-a",
                                       "1-00000000009-a",
                                       "1--000000009-a",
                                       "1-0000000009-../a",
                                       "1-0000000009-a.b",
                                       "lock"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        if (queue_read_id(str_of(none[i]), &ahead, &number, &name))
            fail_msg("'%s' is none", none[i]);
}

/* "running", "waiting", … in the order in which they are given. */
static struct queue_item item(const char *name, uint64_t number, bool ahead, bool turn)
{
    return (struct queue_item){.id = (char *)name,
                               .number = number,
                               .ahead = ahead,
                               .entry = {.name = (char *)name, .by = (char *)"me@laptop"},
                               .has_turn = turn,
                               .turn = {.began = 1700000000 * USEC_PER_SEC}};
}

static void the_one_that_runs_is_first_and_then_those_ahead(void **state)
{
    (void)state;
    struct queue_item items[] = {item("late", 8, false, false), item("runs", 5, false, true),
                                 item("forced", 9, true, false), item("early", 6, false, false)};
    struct queue q = {.items = items, .count = 4};
    queue_sort(&q);
    static const char *const want[] = {"runs", "forced", "early", "late"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(q.items[i].id, want[i]);
    struct queue none = {0};
    queue_sort(&none);
}

static void an_empty_queue_takes_anything(void **state)
{
    (void)state;
    struct queue q = {0};
    for (int i = 0; i < 4; i++) {
        struct queue_admission a;
        assert_int_equal(queue_admit(&q, "x", i & 1, i & 2, &a, NULL), 0);
        assert_null(a.ask);
        assert_null(a.drop);
    }
}

static void a_second_one_is_refused_with_what_runs(void **state)
{
    (void)state;
    struct queue_item items[] = {item("runs", 5, false, true), item("waits", 6, false, false)};
    struct queue q = {.items = items, .count = 2};
    struct queue_admission a;
    struct err err = {0};
    assert_int_equal(queue_admit(&q, "new", false, false, &a, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(err.msg, "'runs' runs on this cluster since 2023-11-14T22:13:20Z, started "
                                 "by me@laptop; 1 more waits");
    assert_int_equal(queue_admit(&q, "new", true, false, &a, &err), 0); /* --queue */
    assert_false(a.ahead);
    assert_null(a.ask);
    assert_int_equal(queue_admit(&q, "new", false, true, &a, &err), 0); /* --force */
    assert_true(a.ahead);
    assert_ptr_equal(a.ask, &items[0]);
    assert_null(a.drop);
    assert_int_equal(queue_admit(&q, "new", true, true, &a, &err), 0); /* both: it waits */
    assert_false(a.ahead);
    assert_null(a.ask);
}

static void one_of_the_same_name_gives_way_only_by_force(void **state)
{
    (void)state;
    struct queue_item items[] = {item("runs", 5, false, true), item("waits", 6, false, false)};
    struct queue q = {.items = items, .count = 2};
    struct queue_admission a;
    struct err err = {0};
    assert_int_equal(queue_admit(&q, "waits", true, false, &a, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.msg, "'waits' waits on this cluster already"));
    assert_int_equal(queue_admit(&q, "runs", true, false, &a, &err), -1);
    assert_int_equal(queue_admit(&q, "waits", true, true, &a, &err), 0);
    assert_ptr_equal(a.drop, &items[1]);
    assert_null(a.ask); /* what runs is another one */
    assert_int_equal(queue_admit(&q, "waits", false, true, &a, &err), 0);
    assert_ptr_equal(a.drop, &items[1]);
    assert_ptr_equal(a.ask, &items[0]);
    assert_int_equal(queue_admit(&q, "runs", true, true, &a, &err), 0);
    assert_ptr_equal(a.ask, &items[0]);
    assert_null(a.drop);
}

static void a_full_queue_takes_no_more(void **state)
{
    (void)state;
    struct queue_item *items = mem_array(QUEUE_MAX, sizeof *items);
    for (size_t i = 0; i < QUEUE_MAX; i++)
        items[i] = item("x", i, false, false);
    struct queue q = {.items = items, .count = QUEUE_MAX};
    struct queue_admission a;
    struct err err = {0};
    assert_int_equal(queue_admit(&q, "new", true, false, &a, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    free(items);
}

static void five_deaths_within_a_minute_are_the_end(void **state)
{
    (void)state;
    struct queue_turn t = {0};
    usec_t now = 1700000000 * USEC_PER_SEC, last = 0;
    for (int i = 1; i < QUEUE_DEATHS_MAX; i++) {
        usec_t pause = queue_death(&t, now += USEC_PER_SEC);
        assert_true(pause > last); /* longer each time */
        assert_true(pause <= 10 * USEC_PER_SEC);
        last = pause;
    }
    struct queue_turn soon = t, late = t;
    assert_int_equal(queue_death(&soon, now + USEC_PER_SEC), -1);
    assert_int_equal(soon.death_count, 5);
    /* The first of them is long past. */
    assert_true(queue_death(&late, now + QUEUE_DEATHS_SPAN - USEC_PER_SEC) > 0);
}

static void a_slow_row_of_deaths_goes_on_and_is_bounded(void **state)
{
    (void)state;
    struct queue_turn t = {0};
    usec_t now = 1700000000 * USEC_PER_SEC;
    int deaths = 0;
    while (queue_death(&t, now += 20 * USEC_PER_SEC) >= 0 && deaths < 2 * QUEUE_DEATHS_EVER)
        deaths++;
    assert_int_equal(deaths, QUEUE_DEATHS_EVER - 1);
}

static void an_ending_is_judged_by_the_store_first(void **state)
{
    (void)state;
    static const struct {
        struct queue_ending e;
        enum queue_verdict verdict;
        enum queue_outcome outcome;
    } cases[] = {
        {{.state = "finished"}, QUEUE_OVER, QUEUE_FINISHED},
        {{.state = "finished", .signal = 9}, QUEUE_OVER, QUEUE_FINISHED},
        {{.state = "finished", .quitting = true, .signal = 9}, QUEUE_OVER, QUEUE_FINISHED},
        {{.state = "finished", .asked = true, .ask = QUEUE_REMOVED}, QUEUE_OVER, QUEUE_FINISHED},
        {{.state = "failed", .exit_status = 1}, QUEUE_OVER, QUEUE_FAILED},
        {{.state = "failed", .signal = 9}, QUEUE_OVER, QUEUE_FAILED},
        {{.state = "stopped", .exit_status = 130}, QUEUE_OVER, QUEUE_STOPPED},
        {{.state = "stopped", .exit_status = 130, .asked = true, .ask = QUEUE_REPLACED},
         QUEUE_OVER,
         QUEUE_REPLACED},
        {{.state = "running", .signal = 9}, QUEUE_DIED, 0},
        {{.signal = 11}, QUEUE_DIED, 0},
        {{.state = "running", .signal = 9, .quitting = true}, QUEUE_GOES_ON, 0},
        {{.state = "running", .signal = 9, .asked = true, .ask = QUEUE_REMOVED},
         QUEUE_OVER,
         QUEUE_REMOVED},
        {{.state = "running", .exit_status = 1}, QUEUE_OVER, QUEUE_FAILED}, /* a full disk */
        {{.exit_status = 2}, QUEUE_OVER, QUEUE_FAILED},                     /* the file is wrong */
        {{.exit_status = 130}, QUEUE_OVER, QUEUE_STOPPED},                  /* before it began */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum queue_outcome outcome = QUEUE_OUTCOME_COUNT;
        enum queue_verdict v = queue_judge(&cases[i].e, &outcome);
        if (v != cases[i].verdict || (v == QUEUE_OVER && outcome != cases[i].outcome))
            fail_msg("case %zu: verdict %d, outcome %d", i, (int)v, (int)outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_hold_the_order),
        cmocka_unit_test(the_one_that_runs_is_first_and_then_those_ahead),
        cmocka_unit_test(an_empty_queue_takes_anything),
        cmocka_unit_test(a_second_one_is_refused_with_what_runs),
        cmocka_unit_test(one_of_the_same_name_gives_way_only_by_force),
        cmocka_unit_test(a_full_queue_takes_no_more),
        cmocka_unit_test(five_deaths_within_a_minute_are_the_end),
        cmocka_unit_test(a_slow_row_of_deaths_goes_on_and_is_bounded),
        cmocka_unit_test(an_ending_is_judged_by_the_store_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

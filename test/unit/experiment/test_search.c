/* Random search, and what the search by Optuna makes of a helper that is not what it should be;
 * Optuna itself is test/conformance/test_optuna.py's. */
#include "base/mem.h"
#include "experiment/search.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static struct dimension space[] = {
    {.name = (char *)"lr",
     .kind = DIMENSION_FLOAT,
     .lo = 1e-4,
     .hi = 1,
     .decimals = 10,
     .log = true,
     .parent = SIZE_MAX},
    {.name = (char *)"x",
     .kind = DIMENSION_FLOAT,
     .lo = -2,
     .hi = 2,
     .decimals = 2,
     .parent = SIZE_MAX},
    {.name = (char *)"n", .kind = DIMENSION_INT, .whole_lo = 1, .whole_hi = 4, .parent = SIZE_MAX},
    {.name = (char *)"size",
     .kind = DIMENSION_INT,
     .whole_lo = 1,
     .whole_hi = 8,
     .log = true,
     .parent = SIZE_MAX},
    {.name = (char *)"kind", .kind = DIMENSION_CATEGORY, .count = 3, .parent = SIZE_MAX},
    {.name = (char *)"inner",
     .kind = DIMENSION_CATEGORY,
     .count = 2,
     .parent = 4,
     .parent_element = 2},
};
#define DIMENSIONS COUNT_OF(space)

static struct search *make_random(uint64_t seed, const char *stage, size_t count)
{
    struct search_spec spec = {.kind = SEARCH_RANDOM, .trials = 100000};
    struct search_options o = {
        .dimensions = space, .dimension_count = count, .seed = seed, .stage = stage};
    struct search *s = NULL;
    assert_int_equal(search_new(&spec, &o, &s, NULL), 0);
    return s;
}

static void ask(struct search *s, size_t number, struct dimension_value *values)
{
    enum search_answer answer = SEARCH_END;
    assert_int_equal(s->ops->ask(s, number, values, &answer, NULL), 0);
    assert_int_equal(answer, SEARCH_TRIAL);
}

static bool same(const struct dimension_value *a, const struct dimension_value *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].unused != b[i].unused ||
            (!a[i].unused && (a[i].integer != b[i].integer || a[i].real != b[i].real)))
            return false;
    return true;
}

static void random_trials_depend_on_their_number_alone(void **state)
{
    (void)state;
    struct search *a = make_random(1, "train", DIMENSIONS), *b = make_random(1, "train", 3);
    struct search *seeded = make_random(2, "train", 3), *other = make_random(1, "test", 3);
    struct dimension_value x[DIMENSIONS], y[DIMENSIONS];
    for (size_t i = 0; i < 50; i++) {
        ask(a, i, x);
        ask(b, 49 - i, y);
        ask(b, i, y); /* whatever was asked before, and with fewer dimensions */
        assert_true(same(x, y, 3));
        ask(seeded, i, y);
        assert_false(same(x, y, 2));
        ask(other, i, y);
        assert_false(same(x, y, 2));
    }
    search_free(a);
    search_free(b);
    search_free(seeded);
    search_free(other);
}

/* 40,000 draws: shares within 5 standard deviations, 0.0125 at most. */
static void random_draws_are_fair(void **state)
{
    (void)state;
    enum { N = 40000 };
    struct search *s = make_random(7, "train", DIMENSIONS);
    size_t whole[4] = {0}, sizes[8] = {0}, kinds[3] = {0}, inner = 0, below = 0, negative = 0;
    for (size_t i = 0; i < N; i++) {
        struct dimension_value v[DIMENSIONS];
        ask(s, i, v);
        assert_true(v[0].real >= 1e-4 && v[0].real <= 1 && v[1].real >= -2 && v[1].real <= 2);
        assert_true(fabs(v[1].real * 100 - rint(v[1].real * 100)) < 1e-9);
        assert_in_range(v[2].integer, 1, 3);
        assert_in_range(v[3].integer, 1, 7);
        assert_in_range(v[4].integer, 0, 2);
        assert_int_equal(v[5].unused, v[4].integer != 2);
        below += v[0].real < 1e-2;
        negative += v[1].real < 0;
        whole[v[2].integer]++;
        sizes[v[3].integer]++;
        kinds[v[4].integer]++;
        inner += !v[5].unused && v[5].integer == 1;
    }
    for (int i = 1; i < 4; i++)
        assert_true(fabs((double)whole[i] / N - 1.0 / 3) < 0.0125);
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)kinds[i] / N - 1.0 / 3) < 0.0125);
    for (int i = 1; i < 8; i++) /* 1 has a third of the scale from 1 to 8, 7 a sixteenth */
        assert_true(fabs((double)sizes[i] / N - log2((i + 1.0) / i) / 3) < 0.0125);
    assert_true(fabs((double)below / N - 0.5) < 0.0125); /* the middle of the scale */
    assert_true(fabs((double)negative / N - 0.5) < 0.0125);
    assert_true(fabs((double)inner / N - 1.0 / 6) < 0.0125);
    search_free(s);
}

static void random_search_ends(void **state)
{
    (void)state;
    struct search_spec spec = {.kind = SEARCH_RANDOM, .trials = 2};
    struct search_options o = {.dimensions = space, .dimension_count = 1, .stage = "s"};
    struct search *s = NULL;
    struct dimension_value values[1];
    enum search_answer answer;
    bool stop = true;
    assert_int_equal(search_new(&spec, &o, &s, NULL), 0);
    ask(s, 1, values);
    assert_int_equal(s->ops->report(s, 1, 5, NAN, &stop, NULL), 0);
    assert_false(stop);
    assert_int_equal(s->ops->tell(s, 1, SEARCH_FAILED, false, 0, NULL), 0);
    assert_int_equal(s->ops->ask(s, 2, values, &answer, NULL), 0);
    assert_int_equal(answer, SEARCH_END);
    search_free(s);
    search_free(NULL);
}

/* ---- a helper that is not what it should be ---------------------------------------------------
 */

#define NEW_IS_FINE \
    "echo noise; echo; echo flambe-optuna 1; read -r x; echo '{\"id\": 1, \"ok\": 1}'\n"

static struct loop *loop;

static int make_loop(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    unsetenv("FLAMBE_PYTHON");
    return 0;
}

/* A program of these lines for the shell stands for Python. */
static int make_optuna(const char *lines, size_t count, struct search **out, struct err *err)
{
    char path[] = "/tmp/flambe-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    AUTO_FREE char *text = mem_printf("#!/bin/sh\n%s", lines);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    setenv("FLAMBE_PYTHON", path, 1);
    struct search_spec spec = {
        .kind = SEARCH_OPTUNA, .trials = 10, .sampler = (char *)"TPESampler"};
    struct search_options o = {
        .loop = loop, .dimensions = space, .dimension_count = count, .seed = 1, .stage = "s"};
    int rc = search_new(&spec, &o, out, err);
    unlink(path);
    return rc;
}

static void assert_no_start(const char *lines, enum err_code code, const char *words)
{
    struct search *s = NULL;
    struct err err = {0};
    assert_int_equal(make_optuna(lines, 1, &s, &err), -1);
    assert_null(s);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("no '%s' in: %s", words, err.msg);
}

static void a_helper_that_does_not_start_is_an_error(void **state)
{
    (void)state;
    assert_no_start("echo 'no such luck' >&2; exit 7\n", ERR_REMOTE,
                    "has ended with status 7; its last words: no such luck");
    assert_no_start("exec yes\n", ERR_PARSE, "prints something else");
    assert_no_start("echo flambe-optuna 1; read -r x; echo '{\"id\": 1, \"error\": \"missing\", "
                    "\"package\": \"optuna\"}'\n",
                    ERR_NOT_FOUND, "apt install python3-optuna");
    assert_no_start("echo flambe-optuna 1; read -r x; echo '{\"id\": 1, \"error\": \"missing\", "
                    "\"package\": \"a; rm -rf /\", \"message\": \"odd\"}'\n",
                    ERR_NOT_FOUND, "is missing: odd");
    assert_no_start("echo flambe-optuna 1; read -r x; echo '{\"id\": 1, \"error\": \"refused\", "
                    "\"message\": \"no\"}'\n",
                    ERR_FILE, "the search of stage 's': no");
    assert_no_start("echo flambe-optuna 1; read -r x; echo '{\"id\": 2, \"ok\": 1}'\n", ERR_PARSE,
                    "it answers no question");
    assert_no_start("echo flambe-optuna 1; read -r x; echo '{\"id\": 1}'\n", ERR_PARSE,
                    "it says nothing");
    setenv("FLAMBE_PYTHON", "flambe-no-such-python", 1);
    struct search_spec spec = {.kind = SEARCH_OPTUNA, .sampler = (char *)"TPESampler"};
    struct search_options o = {.loop = loop, .stage = "s"};
    struct search *s = NULL;
    struct err err = {0};
    assert_int_equal(search_new(&spec, &o, &s, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "pip install optuna"));
}

/* The answer to the first ask. */
static void assert_no_values(const char *answer)
{
    AUTO_FREE char *lines =
        mem_printf(NEW_IS_FINE "read -r x; echo '%s'; cat >/dev/null\n", answer);
    struct search *s = NULL;
    struct err err = {0};
    struct dimension_value values[3];
    enum search_answer what = SEARCH_WAIT;
    assert_int_equal(make_optuna(lines, 3, &s, &err), 0);
    for (int i = 0; i < 2; i++) { /* and it stays so */
        memset(&err, 0, sizeof err);
        if (s->ops->ask(s, 0, values, &what, &err) != -1)
            fail_msg("taken: %s", answer);
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, "is damaged"));
        assert_int_equal(what, SEARCH_WAIT);
    }
    search_free(s);
}

static void answers_are_checked(void **state)
{
    (void)state;
    assert_no_values("not JSON");
    assert_no_values("[]");
    assert_no_values("{\"id\": 2, \"ok\": 5}");
    assert_no_values("{\"id\": 2, \"ok\": {}}");
    assert_no_values("{\"id\": 2, \"ok\": {\"lr\": 0.1, \"x\": 1.0}}");
    assert_no_values("{\"id\": 2, \"ok\": {\"lr\": 2.0, \"x\": 1.0, \"n\": 1}}");
    assert_no_values("{\"id\": 2, \"ok\": {\"lr\": 0.1, \"x\": NaN, \"n\": 1}}");
    assert_no_values("{\"id\": 2, \"ok\": {\"lr\": 0.1, \"x\": 1.0, \"n\": 4}}");
    assert_no_values("{\"id\": 2, \"ok\": {\"lr\": 0.1, \"x\": 1.0, \"n\": 1, \"m\": 1}}");
    assert_no_values("{\"id\": 99, \"ok\": {\"lr\": 0.1, \"x\": 1.0, \"n\": 1}}");
}

static void good_answers_are_taken(void **state)
{
    (void)state;
    struct search *s = NULL;
    struct err err = {0};
    struct dimension_value v[3];
    enum search_answer what;
    bool stop = true;
    assert_int_equal(
        make_optuna(NEW_IS_FINE
                    "read -r x; echo '{\"id\": 1, \"ok\": 0}'\n"
                    "echo '{\"id\": 2, \"ok\": {\"lr\": 0.1, \"x\": 1.006, \"n\": 3}}'\n"
                    "read -r quiet; read -r x; "
                    "echo '{\"id\": 4, \"error\": \"failed\", \"message\": \"oh\"}'\n"
                    "read -r x; echo '{\"id\": 5, \"ok\": null}'; cat >/dev/null\n",
                    3, &s, &err),
        0);
    assert_int_equal(s->ops->ask(s, 0, v, &what, &err), 0); /* passes over the stale answer */
    assert_true(v[0].real == 0.1 && v[1].real == 1.01 && v[2].integer == 3);
    assert_int_equal(s->ops->report(s, 0, 1, INFINITY, &stop, &err), 0); /* without a pruner */
    assert_false(stop);
    assert_int_equal(s->ops->tell(s, 0, SEARCH_COMPLETE, true, 1, &err), -1);
    assert_string_equal(err.msg, "Optuna failed: oh");
    assert_int_equal(s->ops->tell(s, 0, SEARCH_COMPLETE, true, 1, &err), 0); /* it lives on */
    assert_int_equal(s->ops->ask(s, 10, v, &what, &err), 0);
    assert_int_equal(what, SEARCH_END);
    search_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trials_depend_on_their_number_alone),
        cmocka_unit_test(random_draws_are_fair),
        cmocka_unit_test(random_search_ends),
        cmocka_unit_test_setup_teardown(a_helper_that_does_not_start_is_an_error, make_loop,
                                        free_loop),
        cmocka_unit_test_setup_teardown(answers_are_checked, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(good_answers_are_taken, make_loop, free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

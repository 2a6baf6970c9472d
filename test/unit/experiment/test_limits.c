/* What a stage's trials are judged by and held to. */
#include "experiment/limits.h"
#include "fixture.h"

#define STAGE HEAD "  s: !Script\n    script: m\n"

static usec_t time_of(const char *text)
{
    AUTO_FREE char *file = mem_printf(STAGE "    time_limit: %s\n", text);
    struct experiment e;
    read_good(file, &e);
    usec_t limit = e.stages[0].time_limit;
    experiment_done(&e);
    return limit;
}

static uint64_t memory_of(const char *text)
{
    AUTO_FREE char *file = mem_printf(STAGE "    memory_limit: %s\n", text);
    struct experiment e;
    read_good(file, &e);
    uint64_t limit = e.stages[0].memory_limit;
    experiment_done(&e);
    return limit;
}

static void assert_refused(const char *key, const char *text, const char *words)
{
    AUTO_FREE char *file = mem_printf(STAGE "    %s: %s\n", key, text);
    AUTO_FREE char *said = read_bad(file);
    if (!strstr(said, words))
        fail_msg("%s: no '%s' in: %s", text, words, said);
}

static void spans_of_time_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {
        {"90", 90},        {"90s", 90},      {"90 s", 90},     {"\"90 sec\"", 90}, {"0.5", 0.5},
        {".5", 0.5},       {"1.5 h", 5400},  {"30 min", 1800}, {"30m", 1800},      {"1 hour", 3600},
        {"2 hours", 7200}, {"1 d", 86400},   {"1 day", 86400}, {"2 days", 172800}, {"1e3", 1000},
        {"1e9", 1e9},      {"0.001", 0.001},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (time_of(cases[i].text) != (usec_t)(cases[i].seconds * (double)USEC_PER_SEC))
            fail_msg("%s is %lld us", cases[i].text, (long long)time_of(cases[i].text));
}

static void amounts_of_memory_have_units(void **state)
{
    (void)state;
    assert_int_equal(memory_of("1000 kB"), 1000000);
    assert_int_equal(memory_of("512 MB"), 512000000);
    assert_int_equal(memory_of("2GB"), 2000000000);
    assert_int_equal(memory_of("1 TB"), 1000000000000);
    assert_int_equal(memory_of("1024 KiB"), 1048576);
    assert_int_equal(memory_of("4 MiB"), 4194304);
    assert_int_equal(memory_of("1.5 GiB"), 1610612736);
    assert_int_equal(memory_of("1 TiB"), 1099511627776);
    assert_int_equal(memory_of("1024K"), 1048576);
    assert_int_equal(memory_of("4M"), 4194304);
    assert_int_equal(memory_of("1G"), 1073741824);
    assert_int_equal(memory_of("1T"), 1099511627776);
}

static void what_is_no_amount_is_refused(void **state)
{
    (void)state;
    static const char *const times[] = {"0",      "-1",     "1e10", "1 fortnight", "s",     "1 s s",
                                        "nan",    ".inf",   "0x10", "\"\"",        "true",  "[1]",
                                        "{a: 1}", "!g [1]", "1 H",  "0.0001",      "\" 1\""};
    for (size_t i = 0; i < COUNT_OF(times); i++)
        assert_refused("time_limit", times[i], "'time_limit' is a span of time, not ");
    static const char *const sizes[] = {"512",   "999 kB", "1e16 MB", "1 mb",    "MB",
                                        "-1 GB", "true",   "[1]",     "0x10 GB", "1 GB GB"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_refused("memory_limit", sizes[i], "'memory_limit' is an amount of memory, not ");
    assert_refused("time_limit", "soon", "'soon'");
    assert_refused("time_limit", "soon", "write such as '90 s', '30 min', '2 h' or '1 d'");
    assert_refused("memory_limit", "[1]", "not a list");
    assert_refused("memory_limit", "1 kB", "at least 1 MB");
}

static void an_objective_has_a_mode_and_a_value(void **state)
{
    (void)state;
    struct experiment e;
    read_good(STAGE "    objective: {metric: val/loss, mode: min}\n", &e);
    assert_string_equal(e.stages[0].objective.metric, "val/loss");
    assert_false(e.stages[0].objective.maximize || e.stages[0].objective.best);
    experiment_done(&e);
    read_good(STAGE "    objective: {metric: acc, mode: max, value: best}\n", &e);
    assert_true(e.stages[0].objective.maximize && e.stages[0].objective.best);
    experiment_done(&e);
    read_good(STAGE "    time_limit:\n    memory_limit: null\n", &e);
    assert_null(e.stages[0].objective.metric);
    assert_int_equal(e.stages[0].time_limit, 0);
    assert_int_equal(e.stages[0].memory_limit, 0);
    experiment_done(&e);
}

static void what_is_no_objective_is_refused(void **state)
{
    (void)state;
    assert_refused("objective", "loss", "'objective' must be a map of keys, not ");
    assert_refused("objective", "loss", "write 'objective: {metric: loss, mode: min}'");
    assert_refused("objective", "!g [a]", "'objective' must be a map of keys");
    assert_refused("objective", "{metric: loss}", "'mode'");
    assert_refused("objective", "{mode: min}", "'metric'");
    assert_refused("objective", "{metric: loss, mode: less}", "'less'");
    assert_refused("objective", "{metric: loss, mode: min, value: first}", "'first'");
    assert_refused("objective", "{metric: \"\", mode: min}", "'metric'");
    assert_refused("objective", "{metric: loss, mode: min, goal: 1}", "'goal'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_time_have_units),
        cmocka_unit_test(amounts_of_memory_have_units),
        cmocka_unit_test(what_is_no_amount_is_refused),
        cmocka_unit_test(an_objective_has_a_mode_and_a_value),
        cmocka_unit_test(what_is_no_objective_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

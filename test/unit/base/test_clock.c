/* Time as text. */
#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void iso_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        usec_t wall; /* -1: malformed */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2015-08-30T12:36:00Z", 1440938160 * USEC_PER_SEC},
        {"2026-01-31T23:59:59Z", 1769903999 * USEC_PER_SEC},
        {"2024-02-29T00:00:00Z", 1709164800 * USEC_PER_SEC},
        {"2000-02-29T00:00:00Z", 951782400 * USEC_PER_SEC},
        {"2015-08-30T12:36:00.5Z", 1440938160 * USEC_PER_SEC + 500000},
        {"2015-08-30T12:36:00.000Z", 1440938160 * USEC_PER_SEC},
        {"2015-08-30T12:36:00.123456789Z", 1440938160 * USEC_PER_SEC + 123456},
        {"2015-08-30T12:36:00+00:00", 1440938160 * USEC_PER_SEC},
        {"2015-08-30T12:36:00UTC", 1440938160 * USEC_PER_SEC},
        {"2038-01-19T03:14:08Z", 2147483648 * USEC_PER_SEC},
        {"2023-02-29T00:00:00Z", -1},
        {"1900-02-29T00:00:00Z", -1},
        {"2015-13-01T00:00:00Z", -1},
        {"2015-00-01T00:00:00Z", -1},
        {"2015-04-31T00:00:00Z", -1},
        {"2015-08-00T00:00:00Z", -1},
        {"2015-08-30T24:00:00Z", -1},
        {"2015-08-30T12:60:00Z", -1},
        {"2015-08-30T12:36:61Z", -1},
        {"2015-08-30T12:36:00", -1},
        {"2015-08-30T12:36:00.Z", -1},
        {"2015-08-30T12:36:00+01:00", -1},
        {"2015-08-30 12:36:00Z", -1},
        {" 2015-08-30T12:36:00Z", -1},
        {"2015-08-30T12:36:00Z ", -1},
        {"2015-8-30T12:36:00Z", -1},
        {"2015-08-30T 2:36:00Z", -1},
        {"2015-08-30T-1:36:00Z", -1},
        {"-015-08-30T12:36:00Z", -1},
        {"15-08-30T12:36:00Z", -1},
        {"2015-08-30", -1},
        {"2015-08-30T12:36:0", -1},
        {"", -1},
        {"Z", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        usec_t wall = -1;
        bool ok = clock_parse_iso(str_of(rows[i].text), &wall);
        if (ok != (rows[i].wall >= 0) || wall != rows[i].wall)
            fail_msg("'%s': %lld", rows[i].text, (long long)wall);
    }
    usec_t wall;
    assert_false(clock_parse_iso((struct str){"2015-08-30T12:36:00Z\0x", 22}, &wall));
}

static void there_and_back(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Kolkata", 1); /* the user's zone must not matter */
    tzset();
    for (usec_t s = 0; s < 4000000000; s += 7654321) {
        char text[CLOCK_ISO_SIZE];
        usec_t back;
        clock_iso(s * USEC_PER_SEC + 999999, text);
        assert_true(clock_parse_iso(str_of(text), &back));
        assert_int_equal(back, s * USEC_PER_SEC);
    }
}

static void spans(void **state)
{
    (void)state;
    static const struct {
        usec_t span;
        const char *text;
    } rows[] = {
        {0, "0 s"},
        {-5, "0 s"},
        {300 * USEC_PER_MSEC, "0.3 s"},
        {1999 * USEC_PER_MSEC, "1.9 s"},
        {8 * USEC_PER_SEC, "8 s"},
        {9999 * USEC_PER_MSEC, "9.9 s"},
        {10 * USEC_PER_SEC, "10 s"},
        {59999 * USEC_PER_MSEC, "59 s"},
        {130 * USEC_PER_SEC, "2 min 10 s"},
        {USEC_PER_HOUR - 1, "59 min 59 s"},
        {200 * USEC_PER_MIN, "3 h 20 min"},
        {97 * USEC_PER_HOUR, "4 d 1 h"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[CLOCK_SPAN_SIZE];
        clock_span(rows[i].span, text);
        assert_string_equal(text, rows[i].text);
    }
    char text[CLOCK_SPAN_SIZE];
    clock_span(INT64_MAX, text);
    assert_true(strlen(text) < sizeof text);
}

static void the_systems_clock_runs(void **state)
{
    (void)state;
    usec_t a = clock_mono(clock_system());
    assert_true(clock_mono(clock_system()) >= a);
    assert_true(llabs(clock_wall(clock_system()) - (usec_t)time(NULL) * USEC_PER_SEC) <
                3 * USEC_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_times),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(spans),
        cmocka_unit_test(the_systems_clock_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Values as text: Python's own words for them. */
#include "base/mem.h"
#include "experiment/value.h"
#include "floats.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Python's words ---------------------------------------------------------------------------
 */

static void numbers_are_python_s(void **state)
{
    (void)state;
    size_t wrong = 0;
    assert_true(COUNT_OF(floats) >= 200);
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        AUTO_BUF struct buf text = {0};
        value_float(floats[i].value, &text);
        if (strcmp(buf_text(&text), floats[i].text) == 0)
            continue;
        print_message("%a is %s, not %s\n", floats[i].value, floats[i].text, buf_text(&text));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void assert_text(json_t *value, const char *want)
{
    AUTO_BUF struct buf text = {0};
    assert_non_null(value);
    value_text(value, &text);
    json_decref(value);
    assert_string_equal(buf_text(&text), want);
}

static json_t *parsed(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY, NULL);
}

static void what_json_has_no_number_for_is_text(void **state)
{
    (void)state;
    assert_text(value_real(NAN), "nan");
    assert_text(value_real(-NAN), "nan");
    assert_text(value_real(INFINITY), "inf");
    assert_text(value_real(-INFINITY), "-inf");
    assert_text(value_real(2), "2.0");
    AUTO_BUF struct buf text = {0};
    value_float(-INFINITY, &text);
    value_float(INFINITY, &text);
    value_float(NAN, &text);
    assert_string_equal(buf_text(&text), "-infinfnan");
}

static void single_values_are_as_str_has_them(void **state)
{
    (void)state;
    assert_text(parsed("null"), "None");
    assert_text(parsed("true"), "True");
    assert_text(parsed("false"), "False");
    assert_text(parsed("-9223372036854775808"), "-9223372036854775808");
    assert_text(parsed("1e-5"), "1e-05");
    assert_text(parsed("\"it's \\\"so\\\"\\n\""), "it's \"so\"\n");
    assert_text(parsed("\"\""), "");
}

static void lists_and_maps_are_as_str_has_them(void **state)
{
    (void)state;
    assert_text(parsed("[]"), "[]");
    assert_text(parsed("{}"), "{}");
    assert_text(parsed("[1, 2.0, \"a\", null, true, [false, {}], {\"b\": [1]}]"),
                "[1, 2.0, 'a', None, True, [False, {}], {'b': [1]}]");
    assert_text(parsed("{\"z\": 1, \"a\": \"x\", \"m\": {\"k\": 0.1}}"),
                "{'z': 1, 'a': 'x', 'm': {'k': 0.1}}");
}

static void text_within_lists_is_quoted_as_by_repr(void **state)
{
    (void)state;
    assert_text(parsed("[\"it's\"]"), "[\"it's\"]");
    assert_text(parsed("[\"say \\\"so\\\"\"]"), "['say \"so\"']");
    assert_text(parsed("[\"it's \\\"so\\\"\"]"), "['it\\'s \"so\"']");
    assert_text(parsed("[\"a\\\\b\\n\\t\\r\\u0001\\u007f\"]"), "['a\\\\b\\n\\t\\r\\x01\\x7f']");
    assert_text(parsed("[\"é\"]"), "['é']");
    assert_text(parsed("{\"it's\": 1}"), "{\"it's\": 1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_python_s),
        cmocka_unit_test(what_json_has_no_number_for_is_text),
        cmocka_unit_test(single_values_are_as_str_has_them),
        cmocka_unit_test(lists_and_maps_are_as_str_has_them),
        cmocka_unit_test(text_within_lists_is_quoted_as_by_repr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

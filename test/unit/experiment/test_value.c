/* Values as text: Python's own words for them. */
#include "base/mem.h"
#include "experiment/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void single_values_are_as_str_has_them(void **state)
{
    (void)state;
    assert_text(parsed("null"), "None");
    assert_text(parsed("true"), "True");
    assert_text(parsed("false"), "False");
    assert_text(parsed("-9223372036854775808"), "-9223372036854775808");
    assert_text(parsed("1e-5"), "1e-05");
    assert_text(parsed("0.30000000000000004"), "0.30000000000000004");
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
        cmocka_unit_test(single_values_are_as_str_has_them),
        cmocka_unit_test(lists_and_maps_are_as_str_has_them),
        cmocka_unit_test(text_within_lists_is_quoted_as_by_repr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* JSON from outside. */
#include "base/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void good(void **state)
{
    (void)state;
    json_auto_t *v = NULL;
    struct err err;
    assert_int_equal(json_parse(STR("{\"a\": \"x\", \"n\": 1, \"l\": []}"), 100, &v, &err), 0);
    assert_string_equal(json_text(v, "a"), "x");
    assert_null(json_text(v, "n"));
    assert_null(json_text(v, "none"));
    assert_null(json_text(json_object_get(v, "l"), "a"));
    AUTO_BUF struct buf compact = {0}, pretty = {0};
    json_write(v, false, &compact);
    assert_string_equal(buf_text(&compact), "{\"a\":\"x\",\"n\":1,\"l\":[]}");
    json_write(v, true, &pretty);
    assert_true(str_ends(buf_view(&pretty), "}\n"));
    assert_non_null(strstr(buf_text(&pretty), "\n  \"a\": \"x\""));
}

static void a_decimal_is_shown_as_it_was_written(void **state)
{
    (void)state;
    json_auto_t *v = json_pack("[f, f, f]", 0.0624, 0.1 + 0.2, 1e-3);
    AUTO_BUF struct buf pretty = {0};
    json_write(v, true, &pretty);
    assert_string_equal(buf_text(&pretty), "[\n  0.0624,\n  0.3,\n  0.001\n]\n");
    /* What is kept for ourselves comes back bit for bit. */
    AUTO_BUF struct buf compact = {0};
    json_write(v, false, &compact);
    json_auto_t *back = NULL;
    assert_int_equal(json_parse(buf_view(&compact), 100, &back, NULL), 0);
    assert_true(json_equal(v, back));
}

static void bad(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "{",
        "{}x",
        "{\"a\":1,\"a\":2}",
        "{'a':1}",
        "{\"a\":1,}",
        "[1e999]",
        "[\"\xff\"]",
        "[\"\\u0000\"]",
        "nul",
        "[01]",
        "{} {}",
        "[99999999999999999999]",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *v = NULL;
        struct err err = {0};
        if (json_parse(str_of(rows[i]), 100, &v, &err) != -1)
            fail_msg("taken: '%s'", rows[i]);
        assert_null(v);
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, "line 1"));
    }
    json_t *v = NULL;
    struct err err = {0};
    assert_int_equal(json_parse(STR("{}   "), 4, &v, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(json_parse((struct str){deep, sizeof deep}, sizeof deep, &v, &err), -1);
    assert_int_equal(err.code, ERR_PARSE);
}

static void text_of_any_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {{NULL, "null"},
                {"", "\"\""},
                {"plain \"\xc3\xa9\"", "\"plain \\\"\xc3\xa9\\\"\""},
                {"\xff", "\"\xef\xbf\xbd\""},
                {"a\xc3", "\"a\xef\xbf\xbd\""},
                {"\xed\xa0\x80z", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_auto_t *v = json_lossy(rows[i].text);
        AUTO_BUF struct buf have = {0};
        json_write(v, false, &have);
        assert_string_equal(buf_text(&have), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good),
                                       cmocka_unit_test(a_decimal_is_shown_as_it_was_written),
                                       cmocka_unit_test(bad), cmocka_unit_test(text_of_any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

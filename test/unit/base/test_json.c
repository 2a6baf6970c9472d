/* JSON from outside. */
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "floats.h"
#include <math.h>
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

/* The shortest digits that give the number again, not 0.10000000000000001 and not one of 15. */
static void a_decimal_is_shown_as_it_was_written(void **state)
{
    (void)state;
    json_auto_t *v = json_pack("[f, f, f, f, f]", 0.0624, 0.1 + 0.2, 1e-5, 0.1, 2.0);
    AUTO_BUF struct buf pretty = {0}, compact = {0};
    json_write(v, true, &pretty);
    assert_string_equal(buf_text(&pretty),
                        "[\n  0.0624,\n  0.30000000000000004,\n  1e-05,\n  0.1,\n  2.0\n]\n");
    json_write(v, false, &compact);
    assert_string_equal(buf_text(&compact), "[0.0624,0.30000000000000004,1e-05,0.1,2.0]");
    json_auto_t *rounded = json_pack("[o, o, o]", json_rounded(0.1 + 0.2), json_rounded(6 * 0.0104),
                                     json_rounded(-1e300));
    buf_clear(&compact);
    json_write(rounded, false, &compact);
    assert_string_equal(buf_text(&compact), "[0.3,0.0624,-1e+300]");
}

static void every_number_is_python_s_and_comes_back(void **state)
{
    (void)state;
    size_t wrong = 0;
    assert_true(COUNT_OF(floats) >= 200);
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        AUTO_BUF struct buf text = {0}, array = {0};
        number_write(floats[i].value, &text);
        json_auto_t *v = json_pack("[f]", floats[i].value), *back = NULL;
        json_write(v, true, &array);
        assert_int_equal(json_parse(buf_view(&array), 100, &back, NULL), 0);
        assert_true(json_equal(v, back));
        if (strcmp(buf_text(&text), floats[i].text) == 0)
            continue;
        print_message("%a is %s, not %s\n", floats[i].value, floats[i].text, buf_text(&text));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void what_json_has_no_number_for_is_text(void **state)
{
    (void)state;
    json_auto_t *v = json_pack("[o, o, o, o, o]", json_number(NAN), json_number(-NAN),
                               json_number(INFINITY), json_number(-INFINITY), json_number(2));
    AUTO_BUF struct buf text = {0};
    json_write(v, false, &text);
    assert_string_equal(buf_text(&text), "[\"nan\",\"nan\",\"inf\",\"-inf\",2.0]");
    buf_clear(&text);
    number_write(-INFINITY, &text);
    number_write(INFINITY, &text);
    number_write(NAN, &text);
    assert_string_equal(buf_text(&text), "-infinfnan");
}

/* The same bytes as jansson's own writer has, but for the fractions. */
static void the_form_is_jansson_s(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": [], \"b\": {}, \"c\": [1, -2, [true, false, null], {\"k\": {\"l\": [\"x\"]}}], "
        "\"\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\\u007f\": \"\\u0007\\u00e9 \\ud83d\\ude00 b f "
        "n\", "
        "\"big\": -9223372036854775808, \"\": \"\"}";
    json_auto_t *v = json_loads(text, 0, NULL);
    assert_non_null(v);
    AUTO_BUF struct buf pretty = {0}, compact = {0}, nul = {0};
    json_write(v, true, &pretty);
    json_write(v, false, &compact);
    AUTO_FREE char *want = json_dumps(v, JSON_INDENT(2));
    AUTO_FREE char *want_compact = json_dumps(v, JSON_COMPACT);
    buf_addc(&nul, '\n');
    AUTO_FREE char *lines = mem_printf("%s\n", want);
    assert_string_equal(buf_text(&pretty), lines);
    assert_string_equal(buf_text(&compact), want_compact);
    json_auto_t *zero = json_stringn("a\0b", 3);
    buf_clear(&nul);
    json_write(zero, false, &nul);
    assert_string_equal(buf_text(&nul), "\"a\\u0000b\"");
}

/* As Python's os.fsdecode() has them: json.loads() and open() give the file. */
static void bytes_that_are_no_text_are_kept(void **state)
{
    (void)state;
    static const char bytes[] = "/d\xff\xc3\xa9\xc3/\xed\xa0\x80";
    json_auto_t *v = json_stringn_nocheck(bytes, sizeof bytes - 1);
    AUTO_BUF struct buf text = {0};
    json_write(v, false, &text);
    assert_string_equal(buf_text(&text), "\"/d\\udcff\xc3\xa9\\udcc3/\\udced\\udca0\\udc80\"");
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
                                       cmocka_unit_test(every_number_is_python_s_and_comes_back),
                                       cmocka_unit_test(what_json_has_no_number_for_is_text),
                                       cmocka_unit_test(the_form_is_jansson_s),
                                       cmocka_unit_test(bytes_that_are_no_text_are_kept),
                                       cmocka_unit_test(bad),
                                       cmocka_unit_test(text_of_any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

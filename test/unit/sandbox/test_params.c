/* Parameters, XML and error shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "sandbox/api.h"
#include "sandbox/query_reply.h"
#include <stdlib.h>
#include <string.h>

static struct params *parse(const char *text)
{
    return params_parse(str_of(text));
}

static void test_names_and_values(void **state)
{
    (void)state;
    struct params *p = parse("Action=Run&A.1=x%20y+z&Empty=&Flag&B=%E2%82%AC&&C=a=b");
    assert_non_null(p);
    assert_string_equal(param(p, "Action"), "Run");
    assert_string_equal(param(p, "A.1"), "x y z");
    assert_string_equal(paramf(p, "A.%d", 1), "x y z");
    assert_string_equal(param(p, "Empty"), "");
    assert_string_equal(param(p, "Flag"), "");
    assert_string_equal(param(p, "B"), "\xe2\x82\xac");
    assert_string_equal(param(p, "C"), "a=b");
    assert_null(param(p, "D"));
    assert_true(param_any(p, "A."));
    assert_false(param_any(p, "A.1x"));
    assert_false(param_any(p, "Z"));
    params_free(p);
    p = parse("");
    assert_non_null(p);
    assert_null(param(p, "A"));
    assert_false(param_any(p, ""));
    params_free(p);
}

static void test_malformed_bodies(void **state)
{
    (void)state;
    static const char *const bad[] = {"A=%", "A=%4",    "A=%zz",     "A=%00",    "A=%ff",
                                      "=x",  "A=1&A=2", "%41=1&A=2", "A=%C3%28", "A\xff=1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct params *p = parse(bad[i]);
        if (p)
            fail_msg("taken: %s", bad[i]);
    }
    AUTO_BUF struct buf many = {0};
    for (int i = 0; i <= PARAMS_MAX; i++)
        buf_addf(&many, "P%d=1&", i);
    assert_null(params_parse(buf_view(&many)));
}

static void test_lists_flags_and_numbers(void **state)
{
    (void)state;
    struct params *p =
        parse("Id.1=a&Id.2=b&Id.4=d&N.member.1=x&N.member.2=y&T=true&U=TRUE&V=yes&I=7&"
              "J=7x&K=-3");
    AUTO_STRV struct strv ids = {0}, names = {0}, none = {0};
    int64_t n = 99;
    param_list(p, "Id", &ids);
    param_list(p, "N", &names);
    param_list(p, "Other", &none);
    assert_int_equal(ids.count, 2);
    assert_string_equal(ids.items[1], "b");
    assert_int_equal(names.count, 2);
    assert_string_equal(names.items[0], "x");
    assert_int_equal(none.count, 0);
    assert_true(param_true(p, "T"));
    assert_true(param_true(p, "U"));
    assert_false(param_true(p, "V"));
    assert_false(param_true(p, "W"));
    assert_true(param_int(p, "I", 0, 10, 1, &n));
    assert_int_equal(n, 7);
    assert_true(param_int(p, "Absent", 0, 10, 5, &n));
    assert_int_equal(n, 5);
    assert_false(param_int(p, "J", 0, 10, 1, &n));
    assert_false(param_int(p, "I", 8, 10, 1, &n));
    assert_true(param_int(p, "K", -5, 10, 1, &n));
    assert_int_equal(n, -3);
    params_free(p);
}

static char *canonical(const char *text)
{
    static const char *const except[] = {"ClientToken", NULL};
    struct params *p = parse(text);
    struct buf b = {0};
    params_canonical(p, except, &b);
    params_free(p);
    return buf_take(&b);
}

static void test_one_canonical_order(void **state)
{
    (void)state;
    AUTO_FREE char *one = canonical("B=2&A=1&ClientToken=x");
    AUTO_FREE char *same = canonical("A=1&ClientToken=y&B=%32");
    AUTO_FREE char *other = canonical("A=1&B=3");
    AUTO_FREE char *tricky = canonical("A=1%0AB%3D2");
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
    assert_string_not_equal(one, tricky);
}

static void test_parameters_from_json(void **state)
{
    (void)state;
    json_auto_t *j =
        json_pack("{s:s, s:[s,s], s:{s:i}, s:[{s:s}], s:b, s:f, s:n}", "Name", "a&b", "List", "x",
                  "y", "Deep", "N", 3, "Structs", "Key", "k", "Flag", 1, "Real", 0.5, "Null");
    struct params *p = params_of_json(j);
    assert_string_equal(param(p, "Name"), "a&b");
    assert_string_equal(param(p, "List.member.2"), "y");
    assert_string_equal(param(p, "Deep.N"), "3");
    assert_string_equal(param(p, "Structs.member.1.Key"), "k");
    assert_string_equal(param(p, "Flag"), "true");
    assert_string_equal(param(p, "Real"), "0.5");
    assert_null(param(p, "Null"));
    params_free(p);
    json_auto_t *deep = json_object();
    for (int i = 0; i < 20; i++) {
        json_t *above = json_object();
        json_object_set(above, "d", deep);
        json_decref(deep);
        deep = above;
    }
    json_t *leaf = deep;
    while (json_object_get(leaf, "d"))
        leaf = json_object_get(leaf, "d");
    json_object_set_new(leaf, "x", json_integer(1));
    assert_null(params_of_json(deep));
}

static void test_xml(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0};
    xml_open(&b, "a");
    xml_text(&b, "t", "<&>\"'\x01\n\xef\xbf\xbf\xe2\x82\xac");
    xml_text(&b, "none", NULL);
    xml_int(&b, "i", INT64_MIN);
    xml_bool(&b, "b", false);
    xml_time(&b, "when", 1700000000123456);
    xml_close(&b, "a");
    assert_string_equal(buf_text(&b), "<a><t>&lt;&amp;&gt;&quot;'?\n?\xe2\x82\xac</t>"
                                      "<i>-9223372036854775808</i><b>false</b>"
                                      "<when>2023-11-14T22:13:20.123Z</when></a>");
}

static void test_error_shapes(void **state)
{
    (void)state;
    struct api_reply ec2 = {.status = 200, .request_id = "id-1"};
    buf_adds(&ec2.body, "half an answer");
    assert_int_equal(api_fail(&ec2, 400, "Bad.Thing", "a < %d", 3), -1);
    assert_int_equal(api_fail(&ec2, 500, "Second", "is not heard"), -1);
    assert_int_equal(ec2.status, 400);
    assert_string_equal(ec2.code, "Bad.Thing");
    assert_string_equal(buf_text(&ec2.body),
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>"
                        "<Code>Bad.Thing</Code><Message>a &lt; 3</Message></Error></Errors>"
                        "<RequestID>id-1</RequestID></Response>");
    buf_done(&ec2.body);
    struct api_reply query = {.status = 200, .protocol = API_QUERY, .request_id = "id-2"};
    api_fail(&query, 500, "Worse", "text");
    assert_string_equal(buf_text(&query.body),
                        "<ErrorResponse><Error><Type>Receiver</Type><Code>Worse</Code><Message>text"
                        "</Message></Error><RequestId>id-2</RequestId></ErrorResponse>");
    buf_done(&query.body);
    struct api_reply json = {.status = 200, .protocol = API_JSON};
    api_fail(&json, 400, "X", "cut \xe2\x82");
    assert_string_equal(buf_text(&json.body), "{\"__type\":\"X\",\"message\":\"cut ??\"}");
    buf_done(&json.body);
    struct api_reply usual = {.status = 200};
    api_missing(&usual, "ImageId");
    assert_string_equal(usual.code, "MissingParameter");
    buf_done(&usual.body);
}

static void test_one_answer_in_two_languages(void **state)
{
    (void)state;
    struct api_request q = {.action = "Do", .request_id = "r"};
    struct api_reply xml = {.protocol = API_QUERY}, json = {.protocol = API_JSON};
    json_auto_t *j = json_pack("{s:[s], s:I, s:b, s:f, s:i}", "List", "<x>", "SomeTimestamp",
                               (json_int_t)1700000000500000, "Yes", 1, "Half", 0.5, "N", 3);
    query_answer(&q, &xml, "urn:x", j);
    query_answer(&q, &json, "urn:x", j);
    assert_string_equal(
        buf_text(&xml.body),
        "<DoResponse xmlns=\"urn:x\"><DoResult><List><member>&lt;x&gt;</member></List>"
        "<SomeTimestamp>2023-11-14T22:13:20.500Z</SomeTimestamp><Yes>true</Yes><Half>0.5</Half>"
        "<N>3</N></DoResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        "</DoResponse>");
    json_auto_t *back = NULL;
    assert_int_equal(json_parse(buf_view(&json.body), 4096, &back, NULL), 0);
    assert_true(json_real_value(json_object_get(back, "SomeTimestamp")) == 1700000000.5);
    assert_string_equal(json_string_value(json_array_get(json_object_get(back, "List"), 0)), "<x>");
    buf_done(&xml.body);
    buf_done(&json.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_values),
        cmocka_unit_test(test_malformed_bodies),
        cmocka_unit_test(test_lists_flags_and_numbers),
        cmocka_unit_test(test_one_canonical_order),
        cmocka_unit_test(test_parameters_from_json),
        cmocka_unit_test(test_xml),
        cmocka_unit_test(test_error_shapes),
        cmocka_unit_test(test_one_answer_in_two_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

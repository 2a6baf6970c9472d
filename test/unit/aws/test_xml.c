/* XML answers, good and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/xml.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static void test_tree(void **state)
{
    (void)state;
    struct xml *x;
    assert_int_equal(
        xml_parse(STR("<?xml version=\"1.0\"?><!-- c --><R xmlns=\"u\" a=\"b\"><set>\n <item><n>1"
                      "</n></item>\n <item><n>2</n><t>a&lt;b&#65;<![CDATA[&]]></t></item></set>"
                      "<e/><p:q>true</p:q></R>"),
                  &x, NULL),
        0);
    const struct xml_node *root = xml_root(x), *item = xml_items(root, "set");
    assert_string_equal(root->name, "R");
    assert_string_equal(root->text, "");
    assert_int_equal(xml_int(item, "n", -1), 1);
    item = item->next;
    assert_int_equal(xml_int(item, "n", -1), 2);
    assert_string_equal(xml_text(item, "t"), "a<bA&");
    assert_null(item->next);
    assert_string_equal(xml_text(root, "e"), "");
    assert_null(xml_dup(root, "e"));
    assert_null(xml_text(root, "nothing"));
    assert_null(xml_text(xml_child(root, "nothing"), "n"));
    assert_int_equal(xml_int(root, "e", 7), 7);
    assert_true(xml_is_true(root, "q")); /* without its prefix */
    AUTO_FREE char *copy = xml_dup(item, "t");
    xml_free(x);
    assert_string_equal(copy, "a<bA&");
}

static void refused(const char *text, enum err_code code, const char *says)
{
    struct xml *x;
    struct err err = {0};
    assert_int_equal(xml_parse(str_of(text), &x, &err), -1);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, says))
        fail_msg("%s", err.msg);
}

static void test_refused(void **state)
{
    (void)state;
    refused("", ERR_PARSE, "line 1");
    refused("not XML", ERR_PARSE, "line 1");
    refused("<a>", ERR_PARSE, "line 1");
    refused("<a>\n<b></a>", ERR_PARSE, "line 2");
    refused("<a/><b/>", ERR_PARSE, "line 1");
    refused("<a>&unknown;</a>", ERR_PARSE, "line 1");
    refused("<!DOCTYPE a [<!ENTITY x \"yyyy\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>", ERR_PARSE,
            "document types");
    refused("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", ERR_PARSE, "document types");
}

static void test_limits(void **state)
{
    (void)state;
    AUTO_BUF struct buf deep = {0};
    for (int i = 0; i <= XML_DEPTH_MAX; i++)
        buf_adds(&deep, "<a>");
    refused(buf_text(&deep), ERR_LIMIT, "nested");
    buf_clear(&deep);
    buf_adds(&deep, "<a>");
    for (size_t i = 0; i <= XML_NODES_MAX; i++)
        buf_adds(&deep, "<b/>");
    buf_adds(&deep, "</a>");
    refused(buf_text(&deep), ERR_LIMIT, "too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}

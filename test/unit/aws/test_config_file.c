/* AWS's configuration files, good and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/config_file.h"
#include "base/buf.h"
#include "base/mem.h"
#include <string.h>

static const char config[] = "\xef\xbb\xbf# a comment\r\n"
                             "[default]\r\n"
                             "Region = eu-west-1\r\n"
                             "key=a = b # not a comment\n"
                             "; another\n"
                             "\n"
                             "[profile dev]\n"
                             "region=us-west-2\n"
                             "services = mine\n"
                             "s3 =\n"
                             "  endpoint_url = http://s3\n"
                             "\taddressing_style=path\n"
                             "after = yes\n"
                             "long = one\n"
                             "  two\n"
                             "[ profile  \"my profile\" ] ; behind\n"
                             "region = x\n"
                             "[sso-session corp]\n"
                             "sso_region = us-east-1\n"
                             "[services mine]\n"
                             "ec2 =\n"
                             "  endpoint_url = http://ec2\n"
                             "[plain]\n"
                             "region = nowhere\n"
                             "[profile dev]\n"
                             "region = us-west-1\n";

static const char credentials[] = "[dev]\n"
                                  "aws_access_key_id = AKID\n"
                                  "region = from-credentials\n"
                                  "[plain]\n"
                                  "aws_access_key_id = PLAIN\n";

static struct config_file *load(void)
{
    struct config_file *f = config_file_new();
    struct err err = {0};
    assert_int_equal(config_file_add(f, "/c", str_of(config), false, &err), 0);
    assert_int_equal(config_file_add(f, "/k", str_of(credentials), true, &err), 0);
    return f;
}

#define GET(kind, section, key) config_file_get(f, kind, section, key)

static void test_values(void **state)
{
    (void)state;
    struct config_file *f = load();
    assert_string_equal(GET(CONFIG_PROFILE, "default", "region"), "eu-west-1");
    assert_string_equal(GET(CONFIG_PROFILE, "default", "key"), "a = b # not a comment");
    assert_string_equal(GET(CONFIG_PROFILE, "dev", "after"), "yes");
    assert_string_equal(GET(CONFIG_PROFILE, "dev", "long"), "one\ntwo");
    assert_string_equal(GET(CONFIG_PROFILE, "my profile", "region"), "x");
    assert_string_equal(GET(CONFIG_SSO_SESSION, "corp", "sso_region"), "us-east-1");
    assert_string_equal(config_file_get_sub(f, CONFIG_SERVICES, "mine", "ec2", "endpoint_url"),
                        "http://ec2");
    assert_string_equal(config_file_get_sub(f, CONFIG_PROFILE, "dev", "s3", "addressing_style"),
                        "path");
    assert_null(GET(CONFIG_PROFILE, "dev", "endpoint_url")); /* that is s3's */
    assert_null(GET(CONFIG_PROFILE, "dev", "nothing"));
    assert_null(GET(CONFIG_PROFILE, "nobody", "region"));
    config_file_free(f);
}

static void test_overlay(void **state)
{
    (void)state;
    struct config_file *f = load();
    assert_string_equal(GET(CONFIG_PROFILE, "dev", "region"), "from-credentials");
    assert_string_equal(config_file_origin(f, CONFIG_PROFILE, "dev", "region"), "/k");
    assert_string_equal(config_file_origin(f, CONFIG_PROFILE, "dev", "services"), "/c");
    assert_null(GET(CONFIG_PROFILE, "plain", "region")); /* [plain] is no profile in config */
    assert_string_equal(GET(CONFIG_PROFILE, "plain", "aws_access_key_id"), "PLAIN");
    assert_true(config_file_has(f, CONFIG_PROFILE, "my profile"));
    assert_false(config_file_has(f, CONFIG_PROFILE, "mine"));
    config_file_free(f);
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *says;
    } table[] = {
#define BAD(text, says) {text, sizeof text - 1, says}
        BAD("key = value\n", "/f:1: text before"),
        BAD("[default]\nwhat is this\n", "/f:2: neither"),
        BAD("[default]\n= value\n", "/f:2: neither"),
        BAD("[default\nk = v\n", "/f:1: a section that is not closed"),
        BAD("\n\n[]\n", "/f:3: a section without a name"),
        BAD("[a] b\n", "/f:1: text behind"),
        BAD("[a]\n  k = v\n", "/f:2: an indented line"),
        BAD("[a]\nk =\n  v\n", "/f:3: neither"),
        BAD("[a]\nk = \0v\n", "/f:2: a NUL byte"),
        BAD("[a]\nk = \xff\xfe\n", "/f:2: text that is not UTF-8"),
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct config_file *f = config_file_new();
        struct err err = {0};
        struct str text = {table[i].text, table[i].n};
        assert_int_equal(config_file_add(f, "/f", text, false, &err), -1);
        assert_int_equal(err.code, ERR_FILE);
        if (strncmp(err.msg, table[i].says, strlen(table[i].says)) != 0)
            fail_msg("%zu: %s", i, err.msg);
        config_file_free(f);
    }
}

/* A wrong line may hold a key: the message shows none of it. */
static void test_no_secret_in_message(void **state)
{
    (void)state;
    struct config_file *f = config_file_new();
    struct err err = {0};
    assert_int_equal(
        config_file_add(f, "/f", STR("[a]\naws_secret_access_key hunter2\n"), true, &err), -1);
    assert_null(strstr(err.msg, "hunter2"));
    config_file_free(f);
}

static void test_limits(void **state)
{
    (void)state;
    struct err err = {0};
    AUTO_BUF struct buf many = {0};
    for (int i = 0; i <= CONFIG_SECTIONS_MAX; i++)
        buf_addf(&many, "[%d]\n", i);
    struct config_file *f = config_file_new();
    assert_int_equal(config_file_add(f, "/f", buf_view(&many), true, &err), -1);
    assert_non_null(strstr(err.msg, "too many sections"));
    config_file_free(f);

    buf_clear(&many);
    buf_adds(&many, "[a]\nk = v\n");
    for (int i = 0; i < 100000; i++)
        buf_adds(&many, " more\n");
    f = config_file_new();
    assert_int_equal(config_file_add(f, "/f", buf_view(&many), true, &err), -1);
    assert_non_null(strstr(err.msg, "too long"));
    config_file_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_wrong),  cmocka_unit_test(test_no_secret_in_message),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}

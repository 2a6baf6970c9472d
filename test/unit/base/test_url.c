/* Secrets in URLs: found wherever a URL stands, and nothing else is taken for one. */
#include "base/mem.h"
#include "base/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static const struct {
    const char *text, *want;
} table[] = {
    {"https://host/a", "https://host/a"},
    {"https://user:pw@host/a?b=1#c", "https://user:***@host/a?b=1#c"},
    {"http://user@host/", "http://***@host/"}, /* it may be a token */
    {"https://ghp_x:@host/", "https://***:@host/"},
    {"https://ghp_x:x-oauth-basic@host/", "https://***:***@host/"},
    {"https://0123456789abcdefghij:x@host/", "https://***:***@host/"},
    {"https://:pw@host", "https://:***@host"},
    {"https://u:p@q@host/", "https://u:***@host/"},
    {"https://u:p/q@host/x", "https://u:***@host/x"},
    {"https://u:p#q?@host/x?token=1", "https://u:***@host/x?token=***"},
    {"https://host:8080/@scope/x", "https://host:8080/@scope/x"},
    {"https://[::1]:80/a@b", "https://[::1]:80/a@b"},
    {"https://host/r@v1.0", "https://host/r@v1.0"},
    {"git+https://oauth2:glpat@host/r.git@main#egg=r",
     "git+https://oauth2:***@host/r.git@main#egg=r"},
    {"git+ssh://git@host/me/r", "git+ssh://git@host/me/r"},
    {"ssh://me:pw@host/r", "ssh://me:***@host/r"},
    {"git@host:me/r.git", "git@host:me/r.git"},
    {"r @ https://u:p@h/r.zip", "r @ https://u:***@h/r.zip"},
    {"https://h/f?token=abc&v=2", "https://h/f?token=***&v=2"},
    {"https://h/f?v=2&X-Amz-Signature=ab;API_KEY=z#access_token=q",
     "https://h/f?v=2&X-Amz-Signature=***;API_KEY=***#access_token=***"},
    {"https://h/f?sig=ab%2Fc&key=1&keys=2&token=", "https://h/f?sig=***&key=***&keys=2&token="},
    {"s3://bucket/a?token=1", "s3://bucket/a?token=***"},
    {"two: 'https://a:b@c' and \"http://d:e@f/\".",
     "two: 'https://a:***@c' and \"http://d:***@f/\"."},
    {"{a: https://h/?token=x}, [https://h/?token=y], (https://h/?token=z).",
     "{a: https://h/?token=***}, [https://h/?token=***], (https://h/?token=***)."},
    {"a\nhttps://a:b\nc@d", "a\nhttps://a:b\nc@d"},
    {"://u:p@h", "://u:p@h"},
    {"x://", "x://"},
    {":", ":"},
    {"", ""},
};

static void secrets_are_masked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        AUTO_FREE char *have = url_masked(table[i].text);
        assert_string_equal(have, table[i].want);
        AUTO_FREE char *twice = url_masked(have);
        assert_string_equal(twice, have);
        assert_int_equal(url_has_secret(str_of(table[i].text)),
                         strcmp(table[i].text, table[i].want) != 0);
    }
}

static void a_line_keeps_its_columns(void **state)
{
    (void)state;
    char text[] = "a: https://user:word@h/?token=ab  # x";
    url_hide(text, strlen(text));
    assert_string_equal(text, "a: https://user:****@h/?token=**  # x");
}

static void they_are_found_in_what_others_write(void **state)
{
    (void)state;
    AUTO_BUF struct buf out = {0};
    url_mask_of(STR("git+https://me:hunter22@h/r"),
                STR("cloning with hunter22; https://you:other@h/ hunter2"), &out);
    assert_string_equal(buf_text(&out), "cloning with ***; https://you:***@h/ hunter2");
    buf_clear(&out);
    url_mask_of(STR("https://h/"), STR("as it is"), &out);
    assert_string_equal(buf_text(&out), "as it is");
    buf_clear(&out);
    url_mask_of(STR("https://u:abc@h/"), STR("abc"), &out); /* too short to mean it */
    assert_string_equal(buf_text(&out), "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(a_line_keeps_its_columns),
        cmocka_unit_test(they_are_found_in_what_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

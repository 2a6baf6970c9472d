/* Paths of links. The good and bad ones are those of the original's TestLinkParser and
 * TestLinkCreator (tests/unit/compile/test_compilable.py), and more. */
#include "base/mem.h"
#include "experiment/link.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_path(const char *text, const char *keys, const char *attributes)
{
    struct link_path p;
    const char *wrong = link_parse(str_of(text), &p);
    if (wrong)
        fail_msg("%s: %s", text, wrong);
    AUTO_FREE char *k = strv_join(&p.keys, "/"), *a = strv_join(&p.attributes, "/");
    assert_string_equal(k, keys);
    assert_string_equal(a, attributes);
    AUTO_BUF struct buf again = {0};
    link_write(&p, &again);
    assert_string_equal(buf_text(&again), text);
    link_path_done(&p);
}

static void paths_are_taken_apart_and_put_together(void **state)
{
    (void)state;
    assert_path("model", "model", "");
    assert_path("model.emb", "model", "emb");
    assert_path("model.emb.enc", "model", "emb/enc");
    assert_path("model[emb]", "model/emb", "");
    assert_path("model[emb][enc]", "model/emb/enc", "");
    assert_path("model[emb].attr1", "model/emb", "attr1");
    assert_path("model[emb][enc].attr1.attr2", "model/emb/enc", "attr1/attr2");
    assert_path("a[b.c]", "a/b.c", "");
}

static void white_space_around_is_nothing(void **state)
{
    (void)state;
    struct link_path p;
    assert_null(link_parse(STR("  model[ emb ]  "), &p));
    assert_string_equal(p.keys.items[1], "emb");
    link_path_done(&p);
}

static void assert_wrong(const char *text, const char *why)
{
    struct link_path p = {.keys.count = 99};
    const char *wrong = link_parse(str_of(text), &p);
    assert_non_null(wrong);
    assert_string_equal(wrong, why);
    assert_int_equal(p.keys.count, 99); /* untouched */
}

static void malformed_paths_say_why(void **state)
{
    (void)state;
    assert_wrong("modelemb][enc].attr1.attr2", "']' without a '[' before it");
    assert_wrong("model[emb]enc].attr1.attr2", "']' without a '[' before it");
    assert_wrong("model[emb[enc].attr1.attr2", "'[' within brackets");
    assert_wrong("model[emb][enc]attr1.attr2", "a '.' is missing behind ']'");
    assert_wrong("[emb]", "a link begins with the name of a stage or resource");
    assert_wrong(".attr2", "a link begins with the name of a stage or resource");
    assert_wrong("[emb][enc].attr1", "a link begins with the name of a stage or resource");
    assert_wrong("", "a link begins with the name of a stage or resource");
    assert_wrong("model[", "'[' without a ']' behind it");
    assert_wrong("model[]", "nothing between the brackets");
    assert_wrong("model.", "nothing behind the dot");
    assert_wrong("model..a", "nothing behind the dot");
    assert_wrong("model.a[b]", "brackets behind a dot");
}

static void both_tags_are_links(void **state)
{
    (void)state;
    assert_true(link_is_tag("!@"));
    assert_true(link_is_tag("!link"));
    assert_false(link_is_tag("!g"));
    assert_false(link_is_tag(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart_and_put_together),
        cmocka_unit_test(white_space_around_is_nothing),
        cmocka_unit_test(malformed_paths_say_why),
        cmocka_unit_test(both_tags_are_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

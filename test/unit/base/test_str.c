/* Views, numbers, wildcards, suggestions, UTF-8, lists. */
#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void wildcards_mean_what_ec2_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "*", true},
        {"", "?", true}, /* zero or one */
        {"", "a", false},
        {"a", "", false},
        {"a", "?", true},
        {"ab", "?", false},
        {"ab", "??", true},
        {"a", "a?", true},
        {"ab", "a?b", true},
        {"axb", "a?b", true},
        {"axxb", "a?b", false},
        {"abc", "a*", true},
        {"abc", "*c", true},
        {"abc", "*b*", true},
        {"abc", "a*b*c*", true},
        {"abc", "a*d", false},
        {"aab", "*ab", true},
        {"aXbXc", "a*X?c", true},
        {"mine_factory_12", "mine_factory_?", false},
        {"mine_factory_1", "mine_factory_?", true},
        {"mine_factory_12", "mine_*_1?", true},
        {"A", "a", false},
        {"a*b", "a\\*b", true},
        {"axb", "a\\*b", false},
        {"a?b", "a\\?b", true},
        {"ab", "a\\?b", false},
        {"a\\b", "a\\\\b", true},
        {"*amazon?\\", "\\*amazon\\?\\\\", true}, /* AWS's own example */
        {"a\\", "a\\", true},                     /* a lone one at the end is itself */
        {"ab", "a\\b", true},
        {"abc", "?*?", true},
        {"", "?*?", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "*a*a*a*a*a*a*a*a*a*a*b", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_match(str_of(rows[i].text), str_of(rows[i].pattern)) != rows[i].matches)
            fail_msg("'%s' against '%s'", rows[i].text, rows[i].pattern);
}

/* The definition itself, slow: the model for random patterns. */
static bool slow_match(const char *t, const char *p)
{
    if (*p == '\0')
        return *t == '\0';
    if (*p == '*')
        return slow_match(t, p + 1) || (*t && slow_match(t + 1, p));
    if (*p == '?')
        return slow_match(t, p + 1) || (*t && slow_match(t + 1, p + 1));
    if (*p == '\\' && p[1])
        return *t == p[1] && slow_match(t + 1, p + 2);
    return *t == *p && slow_match(t + 1, p + 1);
}

static void random_wildcards_agree_with_the_definition(void **state)
{
    (void)state;
    unsigned seed = 7;
    int matched = 0;
    for (int i = 0; i < 100000; i++) {
        char t[8] = "", p[7] = "";
        int n = rand_r(&seed) % 7, m = rand_r(&seed) % 6;
        for (int j = 0; j < n; j++)
            t[j] = "ab*\\"[rand_r(&seed) % 4];
        for (int j = 0; j < m; j++)
            p[j] = "ab*?\\"[rand_r(&seed) % 5];
        bool want = slow_match(t, p);
        matched += want;
        if (str_match(str_of(t), str_of(p)) != want)
            fail_msg("'%s' against '%s'", t, p);
    }
    assert_true(matched > 1000);
}

static void a_vicious_pattern_takes_no_time(void **state)
{
    (void)state;
    char text[1000], pattern[1000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    pattern[sizeof pattern - 1] = 'b';
    for (int i = 0; i < 10; i++)
        assert_false(
            str_match((struct str){text, sizeof text}, (struct str){pattern, sizeof pattern}));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min, max, value;
        bool ok;
    } rows[] = {
        {"0", 0, 10, 0, true},
        {"10", 0, 10, 10, true},
        {"11", 0, 10, 0, false},
        {"-1", 0, 10, 0, false},
        {"-1", -1, 10, -1, true},
        {"007", 0, 10, 7, true},
        {"-0", 0, 0, 0, true},
        {"9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, true},
        {"9223372036854775808", INT64_MIN, INT64_MAX, 0, false},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, true},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, 0, false},
        {"99999999999999999999999", INT64_MIN, INT64_MAX, 0, false},
        {"", 0, 10, 0, false},
        {"-", -10, 10, 0, false},
        {"+1", 0, 10, 0, false},
        {" 1", 0, 10, 0, false},
        {"1 ", 0, 10, 0, false},
        {"1a", 0, 10, 0, false},
        {"0x1", 0, 10, 0, false},
        {"1.0", 0, 10, 0, false},
        {"--1", -10, 10, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = 42;
        bool ok = str_to_i64(str_of(rows[i].text), rows[i].min, rows[i].max, &value);
        if (ok != rows[i].ok || value != (ok ? rows[i].value : 42))
            fail_msg("'%s'", rows[i].text);
    }
    int64_t value;
    assert_false(str_to_i64((struct str){"1\0", 2}, 0, 10, &value));
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t d;
    } rows[] = {
        {"", "", 0},
        {"a", "", 1},
        {"", "abc", 3},
        {"abc", "abc", 0},
        {"abc", "abd", 1},
        {"abc", "acb", 1},
        {"abc", "bac", 1},
        {"kitten", "sitting", 3},
        {"staus", "status", 1},
        {"ca", "abc", 3},
        {"zone", "zoen", 1},
        {"plan", "down", 3},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(str_distance(rows[i].a, rows[i].b), rows[i].d);
        assert_int_equal(str_distance(rows[i].b, rows[i].a), rows[i].d);
    }
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(str_distance(longer, "x"), 199);
    longer[64] = '\0';
    assert_int_equal(str_distance(longer, "x"), 63);
}

static void suggestions(void **state)
{
    (void)state;
    static const char *const verbs[] = {"plan", "status", "ssh", "exec", "cp", "down", "schema"};
    assert_string_equal(str_nearest("staus", verbs, COUNT_OF(verbs)), "status");
    assert_string_equal(str_nearest("downn", verbs, COUNT_OF(verbs)), "down");
    assert_string_equal(str_nearest("shema", verbs, COUNT_OF(verbs)), "schema");
    assert_string_equal(str_nearest("plna", verbs, COUNT_OF(verbs)), "plan");
    assert_null(str_nearest("terminate", verbs, COUNT_OF(verbs)));
    assert_null(str_nearest("xyzzy", verbs, COUNT_OF(verbs)));
    assert_null(str_nearest("", verbs, COUNT_OF(verbs)));
    assert_null(str_nearest("plan", verbs, 0));
}

static void utf8_boundaries(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int bad; /* -1: valid */
    } rows[] = {
        {"", 0, -1},
        {"a", 1, -1},
        {"\x7f", 1, -1},
        {"\0", 1, 0},
        {"a\0b", 3, 1},
        {"\x80", 1, 0},
        {"\xbf", 1, 0},
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xc2\x80", 2, -1},
        {"\xdf\xbf", 2, -1},
        {"\xc2", 1, 0},
        {"\xc2\x7f", 2, 0},
        {"\xc2\xc0", 2, 0},
        {"\xe0\x9f\xbf", 3, 0}, /* overlong */
        {"\xe0\xa0\x80", 3, -1},
        {"\xed\x9f\xbf", 3, -1},
        {"\xed\xa0\x80", 3, 0}, /* surrogates */
        {"\xed\xbf\xbf", 3, 0},
        {"\xee\x80\x80", 3, -1},
        {"\xef\xbf\xbf", 3, -1},
        {"\xe2\x82", 2, 0},
        {"\xe2\x28\xa1", 3, 0},
        {"\xe2\x82\x28", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xf0\x90\x80\x80", 4, -1},
        {"\xf4\x8f\xbf\xbf", 4, -1},
        {"\xf4\x90\x80\x80", 4, 0}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
        {"\xfe", 1, 0},
        {"\xf0\x9f\x98", 3, 0},
        {"\xf0\x9f\x98\x80", 4, -1},
        {"ok \xc3\xa9 \xff", 7, 6},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        /* on the heap at its exact size, so that a read beyond is seen */
        AUTO_FREE char *exact = malloc(rows[i].n ? rows[i].n : 1);
        memcpy(exact, rows[i].bytes, rows[i].n);
        size_t bad = 99;
        bool ok = str_is_utf8((struct str){exact, rows[i].n}, &bad);
        if (ok != (rows[i].bad < 0) || bad != (ok ? 99 : (size_t)rows[i].bad))
            fail_msg("row %zu: %d at %zu", i, ok, bad);
        assert_int_equal(str_is_utf8((struct str){exact, rows[i].n}, NULL), ok);
    }
}

/* Every code point in and out: the encoder here is the definition. */
static void utf8_of_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0x120000; c++) {
        char b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1;)
            b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (char)(n == 1 ? c : lead[n] | c >> 6 * (n - 1));
        bool want = c < 0x110000 && !(c >= 0xd800 && c < 0xe000);
        if (str_is_utf8((struct str){b, n}, NULL) != want)
            fail_msg("U+%04X", c);
    }
}

static void views(void **state)
{
    (void)state;
    assert_int_equal(str_of(NULL).n, 0);
    assert_true(str_is(str_trim(STR(" \t\r\n a b \v\f")), "a b"));
    assert_true(str_is(str_trim(STR("   ")), ""));
    assert_true(str_is(str_trim(STR("")), ""));
    assert_true(str_starts(STR("abc"), "ab"));
    assert_false(str_starts(STR("a"), "ab"));
    assert_true(str_ends(STR("abc"), "bc"));
    assert_false(str_ends(STR("c"), "bc"));
    assert_true(str_starts(STR("abc"), "") && str_ends(STR("abc"), ""));
    struct str rest = STR("a,,b");
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_true(str_is(str_cut(&rest, ','), "b"));
    assert_null(rest.p);
    rest = STR("a,");
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_non_null(rest.p); /* an empty last part */
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_null(rest.p);
}

static void lists(void **state)
{
    (void)state;
    AUTO_STRV struct strv v = {0}, w = {0};
    strv_sort(&v);
    AUTO_FREE char *none = strv_join(&v, ",");
    assert_string_equal(none, "");
    for (int i = 0; i < 100; i++)
        strv_take(&v, mem_printf("%02d", (i * 37) % 100));
    strv_sort(&v);
    for (int i = 0; i < 100; i++)
        assert_int_equal(atoi(v.items[i]), i);
    strv_add(&w, "x");
    strv_add_str(&w, STR("y"));
    strv_copy(&w, &w);
    AUTO_FREE char *joined = strv_join(&w, ", ");
    assert_string_equal(joined, "x, y, x, y");
    assert_true(strv_has(&w, "y"));
    assert_false(strv_has(&w, "z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_mean_what_ec2_says),
        cmocka_unit_test(random_wildcards_agree_with_the_definition),
        cmocka_unit_test(a_vicious_pattern_takes_no_time),
        cmocka_unit_test(numbers),
        cmocka_unit_test(distances),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(utf8_boundaries),
        cmocka_unit_test(utf8_of_every_code_point),
        cmocka_unit_test(views),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

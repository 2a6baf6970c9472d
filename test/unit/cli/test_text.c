/* Text for a terminal: what is let through, how wide it is, where it is cut. */
#include "cli/text.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

static struct buf out;

static const char *clean(struct str s, bool lines)
{
    buf_clear(&out);
    text_clean(s, lines, &out);
    return buf_text(&out);
}

static void control_characters_are_spelled_out(void **state)
{
    (void)state;
    assert_string_equal(clean(STR("plain, gr\xc3\xbc\xc3\x9f"), false),
                        "plain, gr\xc3\xbc\xc3\x9f");
    assert_string_equal(clean(STR("a\x1b[2Jb\r\x07"), false), "a\\x1b[2Jb\\x0d\\x07");
    assert_string_equal(clean(STR("a\tb\nc"), false), "a\\x09b\\x0ac");
    assert_string_equal(clean(STR("a\tb\nc"), true), "a\tb\nc");
    assert_string_equal(clean(STR("\xff\xc3"), true), "\\xff\\xc3");
    assert_string_equal(clean(STR("\xc2\x9b"
                                  "31m"),
                              false),
                        "\\xc2\\x9b31m"); /* CSI as one byte */
    assert_string_equal(clean(STR("\xe2\x80\xae"
                                  "gpj"),
                              false),
                        "\\xe2\\x80\\xaegpj");
    assert_string_equal(clean((struct str){"a\0b", 3}, true), "a\\x00b");
}

static const char *fit(const char *s, size_t width, bool pad)
{
    buf_clear(&out);
    text_fit(str_of(s), width, pad, &out);
    return buf_text(&out);
}

static void text_is_cut_and_padded_by_columns(void **state)
{
    (void)state;
    assert_string_equal(fit("abcdef", 6, true), "abcdef");
    assert_string_equal(fit("abcdef", 8, true), "abcdef  ");
    assert_string_equal(fit("abcdef", 8, false), "abcdef");
    assert_string_equal(fit("abcdefgh", 6, false), "abc...");
    assert_string_equal(fit("abcdefgh", 2, false), "..");
    assert_string_equal(fit("abcdefgh", 0, false), "");
    assert_int_equal(text_width(STR("gr\xc3\xbc\xc3\x9f")), 4);
    assert_int_equal(text_width(STR("\x1b[31mred\x1b[0m")), 3);
    assert_int_equal(text_width(STR("\xff\xfe")), 2);
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return;
    assert_int_equal(text_width(STR("\xe4\xb8\xad\xe6\x96\x87")), 4);
    assert_string_equal(fit("\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad", 5, true), "\xe4\xb8\xad...");
    assert_string_equal(fit("\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad", 4, true), " ...");
    setlocale(LC_CTYPE, "C");
}

static void styles(void **state)
{
    (void)state;
    buf_clear(&out);
    text_styled(STYLE_RED, true, STR("x"), &out);
    text_styled(STYLE_RED, false, STR("y"), &out);
    text_styled(STYLE_NONE, true, STR("z"), &out);
    assert_string_equal(buf_text(&out), "\x1b[31mx\x1b[0myz");
}

static void paragraphs_are_wrapped(void **state)
{
    (void)state;
    buf_clear(&out);
    text_wrap("one two three four\n\n  kept as it is, however long\nlast", 2, 12, &out);
    assert_string_equal(buf_text(&out),
                        "  one two\n  three four\n\n    kept as it is, however long\n  last\n");
    buf_clear(&out);
    text_wrap("averyveryverylongword x", 0, 5, &out);
    assert_string_equal(buf_text(&out), "averyveryverylongword\nx\n");
}

static const char *quote(const char *word)
{
    buf_clear(&out);
    text_shell_quote(word, &out);
    return buf_text(&out);
}

static void words_for_the_shell(void **state)
{
    (void)state;
    assert_string_equal(quote("plain-1.txt"), "plain-1.txt");
    assert_string_equal(quote(""), "''");
    assert_string_equal(quote("two words"), "'two words'");
    assert_string_equal(quote("it's"), "'it'\\''s'");
    assert_string_equal(quote("$HOME"), "'$HOME'");
    assert_string_equal(quote("~"), "'~'");
    assert_string_equal(quote("a\nb"), "'a\nb'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_spelled_out),
        cmocka_unit_test(text_is_cut_and_padded_by_columns),
        cmocka_unit_test(styles),
        cmocka_unit_test(paragraphs_are_wrapped),
        cmocka_unit_test(words_for_the_shell),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return failed;
}

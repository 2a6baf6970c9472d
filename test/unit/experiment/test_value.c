/* Values as text: Python's own words for them, and words that a real shell gives back. */
#include "base/mem.h"
#include "experiment/value.h"
#include "floats.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Python's words ---------------------------------------------------------------------------
 */

static void numbers_are_python_s(void **state)
{
    (void)state;
    size_t wrong = 0;
    assert_true(COUNT_OF(floats) >= 200);
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        AUTO_BUF struct buf text = {0};
        value_float(floats[i].value, &text);
        if (strcmp(buf_text(&text), floats[i].text) == 0)
            continue;
        print_message("%a is %s, not %s\n", floats[i].value, floats[i].text, buf_text(&text));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

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

static void what_json_has_no_number_for_is_text(void **state)
{
    (void)state;
    assert_text(value_real(NAN), "nan");
    assert_text(value_real(-NAN), "nan");
    assert_text(value_real(INFINITY), "inf");
    assert_text(value_real(-INFINITY), "-inf");
    assert_text(value_real(2), "2.0");
    AUTO_BUF struct buf text = {0};
    value_float(-INFINITY, &text);
    value_float(INFINITY, &text);
    value_float(NAN, &text);
    assert_string_equal(buf_text(&text), "-infinfnan");
}

static void single_values_are_as_str_has_them(void **state)
{
    (void)state;
    assert_text(parsed("null"), "None");
    assert_text(parsed("true"), "True");
    assert_text(parsed("false"), "False");
    assert_text(parsed("-9223372036854775808"), "-9223372036854775808");
    assert_text(parsed("1e-5"), "1e-05");
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

/* ---- a real shell -----------------------------------------------------------------------------
 */

/* The user's line, in which each byte 1 is a place for the text. */
static void fill(const char *line, struct str text, struct buf *out)
{
    struct shell_place place = {0};
    for (; *line; line++) {
        if (*line == 1) {
            shell_add(&place, text, out);
            continue;
        }
        shell_step(&place, *line);
        buf_addc(out, *line);
    }
}

/* What /bin/sh writes when it runs the line. */
static void run(const char *line, struct buf *out)
{
    char block[4096];
    size_t n;
    FILE *f = popen(line, "re");
    assert_non_null(f);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(out, block, n);
    assert_int_equal(pclose(f), 0);
}

/* `want`: what is printed, in which each byte 1 is the text. */
static void assert_line(const char *line, const char *text, const char *want)
{
    AUTO_BUF struct buf filled = {0}, got = {0}, wanted = {0};
    fill(line, str_of(text), &filled);
    run(buf_text(&filled), &got);
    for (; *want; want++) {
        if (*want == 1)
            buf_adds(&wanted, text);
        else
            buf_addc(&wanted, *want);
    }
    if (!str_eq(buf_view(&got), buf_view(&wanted)))
        fail_msg("line <%s>\ngot <%s>\nnot <%s>", buf_text(&filled), buf_text(&got),
                 buf_text(&wanted));
}

static void random_text(char *out, size_t size)
{
    static const char nasty[] = "'\"\\$`!*?~#;|&<>(){}[]=^% \t\n\n''\"\"\\\\$$ab0-\x01\x7f\xc3\xa9";
    size_t n = (size_t)rand() % (size - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = nasty[(size_t)rand() % (sizeof nasty - 1)];
    out[n] = '\0';
}

/* Each text as a word of its own and in the middle of one, in all three places. */
static void any_text_comes_out_of_the_shell_as_it_went_in(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 60; round++) {
        AUTO_BUF struct buf line = {0}, got = {0}, want = {0};
        buf_adds(&line, "printf '%s\\0'");
        for (int i = 0; i < 20; i++) {
            char text[14];
            random_text(text, sizeof text);
            fill(" \x01 a\x01z '\x01' 'a\x01z' \"\x01\" \"a\x01z\" a'b'\"c\"\x01", str_of(text),
                 &line);
            for (int k = 0; k < 3; k++) {
                buf_add(&want, text, strlen(text) + 1);
                buf_addf(&want, "a%sz%c", text, 0);
            }
            buf_addf(&want, "abc%s%c", text, 0);
        }
        run(buf_text(&line), &got);
        if (!str_eq(buf_view(&got), buf_view(&want)))
            fail_msg("the shell's words are not those of: %s", buf_text(&line));
    }
}

static void plain_text_is_left_plain(void **state)
{
    (void)state;
    AUTO_BUF struct buf out = {0};
    shell_add(&(struct shell_place){0}, STR("./a_b-c:1,2=+x@y%0.5"), &out);
    assert_string_equal(buf_text(&out), "./a_b-c:1,2=+x@y%0.5");
    buf_clear(&out);
    shell_add(&(struct shell_place){0}, STR(""), &out);
    assert_string_equal(buf_text(&out), "''");
}

/* The backslash would take the quote of the value for itself, and the rest would be the shell's. */
static void a_backslash_before_a_place_opens_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"abc", "a b", "$HOME", "$(echo x)", "'", "", "\n", "\\"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_line("printf '<%s>' \\\x01", texts[i], "<\x01>");
        assert_line("printf '<%s>' \"\\\x01\"", texts[i], "<\\\x01>");
        assert_line("printf '<%s>' '\\\x01'", texts[i], "<\\\x01>");
    }
    assert_line("printf '<%s>' \\\\\x01 \\'\x01 \"\\\"\x01\"", "a b", "<\\\x01><'\x01><\"\x01>");
}

static void a_variable_before_a_place_keeps_its_name(void **state)
{
    (void)state;
    assert_line("V=v; printf '<%s>' $V\x01 \"$V\x01\" \"x$V.\x01\" '$V\x01'", "abc",
                "<v\x01><v\x01><xv.\x01><$V\x01>");
    assert_line("V=v; printf '<%s>' $V\x01 \"$V\x01\"", "a b", "<v\x01><v\x01>");
}

static void comments_open_no_quotes(void **state)
{
    (void)state;
    assert_line("# it isn't one\nprintf '<%s>' \x01 a#\"\x01\" '# it' \x01", "a b",
                "<\x01><a#\x01><# it><\x01>");
    assert_line("printf x # \x01 is left alone\nprintf y", "a'\necho z", "xy");
}

static void a_command_within_the_line_has_quotes_of_its_own(void **state)
{
    (void)state;
    static const char *const texts[] = {"a b", "';echo x;'", "$HOME", "a)b", "\"", "\\"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_line("printf '<%s>' \"$(printf '[%s]' \x01)\"", texts[i], "<[\x01]>");
        assert_line("printf '<%s>' \"$(printf '[%s]' '\x01' \"\x01\")\x01\" \x01", texts[i],
                    "<[\x01][\x01]\x01><\x01>");
        assert_line("(printf '<%s>' \"$((1 + 2))\x01\"); printf '<%s>' \"\x01\"", texts[i],
                    "<3\x01><\x01>");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_python_s),
        cmocka_unit_test(what_json_has_no_number_for_is_text),
        cmocka_unit_test(single_values_are_as_str_has_them),
        cmocka_unit_test(lists_and_maps_are_as_str_has_them),
        cmocka_unit_test(text_within_lists_is_quoted_as_by_repr),
        cmocka_unit_test(any_text_comes_out_of_the_shell_as_it_went_in),
        cmocka_unit_test(plain_text_is_left_plain),
        cmocka_unit_test(a_backslash_before_a_place_opens_nothing),
        cmocka_unit_test(a_variable_before_a_place_keeps_its_name),
        cmocka_unit_test(comments_open_no_quotes),
        cmocka_unit_test(a_command_within_the_line_has_quotes_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Diagnostics: shape, order, caret, escapes, JSON. */
#include "base/json.h"
#include "base/mem.h"
#include "config/diag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void print_is(const struct diags *d, const char *want)
{
    AUTO_BUF struct buf out = {0};
    diags_print(d, false, &out);
    assert_string_equal(buf_text(&out), want);
}

/* One error at this place of this text is printed so. */
static void shows(const char *text, struct span at, const char *want)
{
    struct diags d;
    diags_init(&d, "f.yaml", str_of(text));
    diags_add(&d, at, mem_dup("oh"), NULL);
    print_is(&d, want);
    diags_done(&d);
}

static void the_shape(void **state)
{
    struct diags d;
    diags_init(&d, "aws-cluster.yaml", STR("!AWSCluster\n\nname: a\nfactorys_num: 2\n"));
    diags_add(&d, (struct span){4, 1, 12}, mem_dup("unknown key 'factorys_num'"),
              mem_dup("did you mean 'factories_num'?"));
    print_is(&d, "aws-cluster.yaml:4:1: error: unknown key 'factorys_num'\n"
                 "   4 | factorys_num: 2\n"
                 "     | ^~~~~~~~~~~~\n"
                 "  fix: did you mean 'factories_num'?\n"
                 "1 error\n");
    diags_done(&d);
}

static void sorted_by_position(void **state)
{
    struct diags d;
    diags_init(&d, "f.yaml", STR("a\nb\n"));
    print_is(&d, "");
    diags_add(&d, (struct span){2, 1, 1}, mem_dup("three"), NULL);
    diags_add(&d, (struct span){1, 2, 0}, mem_dup("two"), NULL);
    diags_add(&d, (struct span){2, 1, 1}, mem_dup("four"), NULL);
    diags_add(&d, (struct span){0}, mem_dup("one"), mem_dup("mend"));
    print_is(&d, "f.yaml: error: one\n"
                 "  fix: mend\n"
                 "f.yaml:1:2: error: two\n"
                 "   1 | a\n"
                 "     |  ^\n"
                 "f.yaml:2:1: error: three\n"
                 "   2 | b\n"
                 "     | ^\n"
                 "f.yaml:2:1: error: four\n"
                 "   2 | b\n"
                 "     | ^\n"
                 "4 errors\n");
    struct err err = {0};
    assert_int_equal(diags_check(&d, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_string_equal(err.msg, "'f.yaml' has 4 errors");
    diags_done(&d);
}

static void the_caret_stands_under_its_character(void **state)
{
    shows("\ta: b\n", (struct span){1, 5, 1},
          "f.yaml:1:5: error: oh\n   1 | \ta: b\n     | \t   ^\n1 error\n");
    shows("日本: x\n", (struct span){1, 5, 1},
          "f.yaml:1:5: error: oh\n   1 | 日本: x\n     |       ^\n1 error\n");
    shows("日本: x\n", (struct span){1, 1, 2},
          "f.yaml:1:1: error: oh\n   1 | 日本: x\n     | ^~~~\n1 error\n");
    shows("e\xcc\x81: x\n", (struct span){1, 5, 1},
          "f.yaml:1:5: error: oh\n   1 | e\xcc\x81: x\n     |    ^\n1 error\n");
    shows("\xef\xbb\xbf"
          "a: b\r\nc: d\r\n",
          (struct span){2, 4, 1}, "f.yaml:2:4: error: oh\n   2 | c: d\n     |    ^\n1 error\n");
    shows("a:", (struct span){1, 3, 0}, "f.yaml:1:3: error: oh\n   1 | a:\n     |   ^\n1 error\n");
    shows("a\n\n", (struct span){2, 1, 0}, "f.yaml:2:1: error: oh\n1 error\n");
    shows("a\n", (struct span){9, 1, 0}, "f.yaml:9:1: error: oh\n1 error\n");
}

static void control_characters_are_shown_escaped(void **state)
{
    shows("a\x1b[2Jb c\n", (struct span){1, 7, 1},
          "f.yaml:1:7: error: oh\n   1 | a\\x1b[2Jb c\n     |          ^\n1 error\n");
    shows("a\xe2\x80\xae"
          "b c\n",
          (struct span){1, 3, 1},
          "f.yaml:1:3: error: oh\n   1 | a\\u202eb c\n     |        ^\n1 error\n");
    struct diags d;
    diags_init(&d, "\x1b]0;x\xff.yaml", STR(""));
    diags_add(&d, (struct span){0}, mem_dup("bad \x07\n\t\xc2\x9b"), mem_dup("fix\r"));
    print_is(&d, "\\x1b]0;x\\xff.yaml: error: bad \\x07\\n\\t\\u009b\n  fix: fix\\r\n1 error\n");
    diags_done(&d);
}

static void long_lines_are_cut_around_the_caret(void **state)
{
    AUTO_BUF struct buf line = {0}, out = {0};
    for (int i = 0; i < 1000; i++)
        buf_addf(&line, "%d", i % 10);
    buf_adds(&line, "X\n");
    struct diags d;
    diags_init(&d, "f.yaml", buf_view(&line));
    diags_add(&d, (struct span){1, 1001, 1}, mem_dup("far"), NULL);
    diags_add(&d, (struct span){1, 1, 1001}, mem_dup("all"), NULL);
    diags_print(&d, false, &out);
    struct str rest = buf_view(&out);
    while (rest.p)
        assert_true(str_cut(&rest, '\n').n < 340);
    const char *far = strstr(buf_text(&out), "89X\n");
    assert_non_null(far);
    const char *line_start = far;
    while (line_start[-1] != '\n')
        line_start--;
    /* the ellipsis is three bytes and one column */
    long x_column = far + 2 - line_start - 2;
    const char *caret_line = strchr(far, '\n') + 1;
    assert_int_equal(strchr(caret_line, '^') - caret_line, x_column);
    diags_done(&d);
}

static void passwords_are_not_shown(void **state)
{
    AUTO_BUF struct buf out = {0};
    static const char text[] = "r: {a: https://me:hunter22@host/f, b: 1}\n";
    shows(text, (struct span){1, 36, 1},
          "f.yaml:1:36: error: oh\n"
          "   1 | r: {a: https://me:********@host/f, b: 1}\n"
          "     |                                    ^\n"
          "1 error\n");
    struct diags d;
    diags_init(&d, "f.yaml", str_of(text));
    AUTO_FREE char *quoted = diag_quote(STR("https://me:hunter22-and-much-more-that-goes-on-and-on-"
                                            "until-it-is-cut-far-before-the-host@host/"));
    assert_string_equal(quoted, "'https://me:***@host/'");
    diags_add(&d, (struct span){1, 1, 1}, mem_printf("no ftp://u:hunter22@h"),
              mem_printf("as https://u:hunter22@h"));
    diags_print(&d, false, &out);
    diags_json(&d, &out);
    assert_null(strstr(buf_text(&out), "hunter22"));
    assert_non_null(strstr(buf_text(&out), "no ftp://u:***@h"));
    diags_done(&d);
}

static void color_only_on_request(void **state)
{
    struct diags d;
    AUTO_BUF struct buf out = {0};
    diags_init(&d, "f.yaml", STR("a\n"));
    diags_add(&d, (struct span){1, 1, 1}, mem_dup("oh"), mem_dup("do"));
    diags_print(&d, true, &out);
    assert_non_null(strstr(buf_text(&out), "\033[1;31merror:\033[0m oh"));
    diags_done(&d);
}

static void more_than_can_be_kept_are_counted(void **state)
{
    struct diags d;
    AUTO_BUF struct buf out = {0};
    diags_init(&d, "f.yaml", STR(""));
    for (int i = 0; i < DIAGS_MAX + 7; i++)
        diags_add(&d, (struct span){i + 1, 1, 0}, mem_dup("oh"), mem_dup("do"));
    assert_true(diags_full(&d));
    assert_int_equal(d.count, DIAGS_MAX);
    assert_int_equal(diags_total(&d), DIAGS_MAX + 7);
    diags_print(&d, false, &out);
    assert_true(str_ends(buf_view(&out), "\n57 errors, the first 50 shown\n"));
    diags_done(&d);
}

static void unfit_text_is_not_shown(void **state)
{
    struct diags d;
    diags_init(&d, "f.yaml", STR("a\0b"));
    assert_string_equal(d.text, "");
    diags_done(&d);
    diags_init(&d, "f.yaml", STR("\xe9"));
    assert_string_equal(d.text, "");
    diags_add(&d, (struct span){1, 1, 1}, mem_dup("oh"), NULL);
    print_is(&d, "f.yaml:1:1: error: oh\n1 error\n");
    diags_done(&d);
}

static void as_json(void **state)
{
    struct diags d;
    AUTO_BUF struct buf out = {0};
    diags_init(&d, "f\xff.yaml", STR("a\n"));
    diags_add(&d, (struct span){2, 3, 1}, mem_dup("b"), NULL);
    diags_add(&d, (struct span){1, 1, 1}, mem_dup("a \"quoted\""), mem_dup("do"));
    diags_json(&d, &out);
    struct err err = {0};
    json_t *list = NULL;
    assert_int_equal(json_parse(buf_view(&out), 10000, &list, &err), 0);
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
    assert_string_equal(json_text(first, "file"), "f\\xff.yaml");
    assert_string_equal(json_text(first, "problem"), "a \"quoted\"");
    assert_string_equal(json_text(first, "fix"), "do");
    assert_int_equal(json_integer_value(json_object_get(second, "line")), 2);
    assert_int_equal(json_integer_value(json_object_get(second, "column")), 3);
    assert_true(json_is_null(json_object_get(second, "fix")));
    json_decref(list);
    diags_done(&d);
}

static void quotes_are_cut(void **state)
{
    AUTO_FREE char *shown = diag_quote(STR("a\x1b"
                                           "b"));
    assert_string_equal(shown, "'a\\x1bb'");
    AUTO_BUF struct buf b = {0};
    for (int i = 0; i < DIAG_QUOTE_MAX + 1; i++)
        buf_adds(&b, "é");
    AUTO_FREE char *cut = diag_quote(buf_view(&b));
    assert_int_equal(strlen(cut), 2 * DIAG_QUOTE_MAX + strlen("'…'"));
    assert_true(str_ends(str_of(cut), "é…'"));
}

static void lookups(void **state)
{
    struct diags d;
    struct err err = {0};
    diags_init(&d, "f.yaml", STR(""));
    assert_int_equal(diags_check(&d, &err), 0);
    assert_int_equal(err.code, ERR_NONE);
    diags_add(&d, (struct span){3, 4, 5}, mem_dup("x"), NULL);
    assert_true(diags_at(&d, (struct span){3, 4, 1}));
    assert_false(diags_at(&d, (struct span){3, 5, 5}));
    assert_int_equal(diags_check(&d, &err), -1);
    assert_string_equal(err.msg, "'f.yaml' has 1 error");
    diags_done(&d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shape),
        cmocka_unit_test(sorted_by_position),
        cmocka_unit_test(the_caret_stands_under_its_character),
        cmocka_unit_test(control_characters_are_shown_escaped),
        cmocka_unit_test(long_lines_are_cut_around_the_caret),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(color_only_on_request),
        cmocka_unit_test(more_than_can_be_kept_are_counted),
        cmocka_unit_test(unfit_text_is_not_shown),
        cmocka_unit_test(as_json),
        cmocka_unit_test(quotes_are_cut),
        cmocka_unit_test(lookups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

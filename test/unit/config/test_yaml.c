/* The YAML reader: core schema, positions, maxima, and what it says about bad text. */
#include "base/mem.h"
#include "config/yaml.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct parsed {
    struct diags diags;
    struct yaml_file file;
    struct err err;
    int r;
};

static struct parsed parse_bytes(struct str text)
{
    struct parsed p = {0};
    diags_init(&p.diags, "f.yaml", text);
    p.r = yaml_parse(text, &p.diags, &p.file, &p.err);
    return p;
}

static struct parsed parse(const char *text)
{
    return parse_bytes(str_of(text));
}

static void done(struct parsed *p)
{
    diags_done(&p->diags);
    if (p->r == 0)
        yaml_done(&p->file);
}

/* The first document of a text with nothing wrong. */
static const struct yaml_node *good(struct parsed *p, const char *text)
{
    *p = parse(text);
    assert_int_equal(p->r, 0);
    assert_int_equal(diags_total(&p->diags), 0);
    assert_int_equal(p->file.document_count, 1);
    return p->file.documents[0];
}

/* One thing is wrong with the text, here, and its words hold `words`. */
static void bad_bytes(struct str text, int line, int column, const char *words)
{
    struct parsed p = parse_bytes(text);
    assert_int_equal(diags_total(&p.diags), 1);
    if (!strstr(p.diags.items[0].problem, words))
        fail_msg("'%s' does not hold '%s'", p.diags.items[0].problem, words);
    assert_int_equal(p.diags.items[0].at.line, line);
    assert_int_equal(p.diags.items[0].at.column, column);
    if (p.r != 0)
        assert_int_equal(p.err.code, ERR_FILE);
    done(&p);
}

static void bad(const char *text, int line, int column, const char *words)
{
    bad_bytes(str_of(text), line, column, words);
}

static void kind_is(const char *text, enum yaml_kind kind)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, text);
    if (n->kind != kind)
        fail_msg("%s is %s, not %s", text, yaml_kind_name(n->kind), yaml_kind_name(kind));
    done(&p);
}

static void int_is(const char *text, int64_t value)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, text);
    assert_int_equal(n->kind, YAML_INT);
    assert_true(n->integer == value);
    assert_true(n->real == (double)value);
    done(&p);
}

static void float_is(const char *text, double value)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, text);
    assert_int_equal(n->kind, YAML_FLOAT);
    assert_true(n->real == value || (isnan(n->real) && isnan(value)));
    done(&p);
}

static void core_schema_integers(void **state)
{
    int_is("0", 0);
    int_is("010", 10);
    int_is("-7", -7);
    int_is("+12", 12);
    int_is("0o17", 15);
    int_is("0x1F", 31);
    int_is("9223372036854775807", INT64_MAX);
    int_is("-9223372036854775808", INT64_MIN);
    int_is("!!int 3", 3);
}

static void core_schema_floats(void **state)
{
    float_is("1e-3", 0.001);
    float_is("1.5", 1.5);
    float_is("100.", 100);
    float_is("-.5", -0.5);
    float_is("1E+2", 100);
    float_is(".inf", INFINITY);
    float_is("-.INF", -INFINITY);
    float_is(".NaN", NAN);
    float_is("!!float 3", 3);
}

static void core_schema_words(void **state)
{
    static const char *const strings[] = {
        "yes", "no",    "on",     "off",   "y",  "Null0", "tRue", "1_000",  "0b1", "1:30",
        "1e",  "1e+",   ".",      "+",     "0x", "0o8",   "-0x1", "-.",     "inf", ".i",
        "nan", "1.2.3", "'true'", "\"1\"", "~x", "!x 5",  "! 5",  "!!str 5"};
    for (size_t i = 0; i < COUNT_OF(strings); i++)
        kind_is(strings[i], YAML_STRING);
    static const char *const nulls[] = {"~", "null", "Null", "NULL", "---", "--- # x"};
    for (size_t i = 0; i < COUNT_OF(nulls); i++)
        kind_is(nulls[i], YAML_NULL);
    static const char *const truths[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    for (size_t i = 0; i < COUNT_OF(truths); i++)
        kind_is(truths[i], YAML_BOOL);
    kind_is("[]", YAML_LIST);
    kind_is("{}", YAML_MAP);
    kind_is("!!map {}", YAML_MAP);
}

static void numbers_that_do_not_fit_are_errors(void **state)
{
    bad("a: 9223372036854775808", 1, 4, "64-bit");
    bad("a: -9223372036854775809", 1, 4, "64-bit");
    bad("a: 0x8000000000000000", 1, 4, "64-bit");
    bad("a: 0o7777777777777777777777", 1, 4, "64-bit");
    bad("a: 1e999", 1, 4, "too large");
    struct parsed p = parse("a: 99999999999999999999");
    assert_int_equal(p.r, 0);
    assert_true(yaml_get(p.file.documents[0], "a")->bad);
    done(&p);
}

static void tags(void **state)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, "!AWSCluster\n\nname: !g [a, !s 3]\n");
    assert_string_equal(n->tag, "!AWSCluster");
    assert_int_equal(n->at.line, 1);
    assert_int_equal(n->at.column, 1);
    assert_int_equal(n->at.length, 11);
    const struct yaml_node *list = yaml_get(n, "name");
    assert_string_equal(list->tag, "!g");
    assert_null(list->items[0]->tag);
    assert_string_equal(list->items[1]->tag, "!s");
    assert_string_equal(list->items[1]->text, "3");
    assert_int_equal(list->items[1]->kind, YAML_STRING);
    done(&p);
    bad("a: !!int x", 1, 4, "the tag says a whole number");
    bad("a: !!str [b]", 1, 4, "cannot be tagged as text");
}

static void positions_count_characters_and_offsets_bytes(void **state)
{
    static const char text[] = "é: 日本\nk: {a: \"x\", b: [1, 2]}\nl:\n  - m\n  - n\n# end\n";
    struct parsed p;
    const struct yaml_node *n = good(&p, text);
    assert_int_equal(n->pairs[0].value->at.column, 4);
    assert_int_equal(n->pairs[0].value->at.length, 2);
    assert_int_equal(n->pairs[0].value->start, 4);
    assert_int_equal(n->pairs[0].value->end, 10);
    const struct yaml_node *map = yaml_get(n, "k"), *list = yaml_get(n, "l");
    assert_memory_equal(text + map->start, "{a: \"x\", b: [1, 2]}", map->end - map->start);
    assert_int_equal(yaml_get(map, "a")->at.length, 3);
    assert_true(yaml_get(map, "a")->quoted);
    assert_int_equal(list->at.line, 4);
    assert_int_equal(list->at.column, 3);
    assert_int_equal(list->end - list->start, strlen("- m\n  - n"));
    done(&p);
}

static void a_bom_and_any_line_break_are_fine(void **state)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, "\xef\xbb\xbf"
                                         "a: b\r\nc: d\re: 1\n");
    assert_int_equal(n->count, 3);
    assert_int_equal(n->pairs[0].key->start, 3);
    assert_int_equal(n->pairs[0].key->at.column, 1);
    assert_int_equal(n->pairs[2].key->at.line, 3);
    assert_int_equal(n->pairs[2].key->at.column, 1);
    done(&p);
}

static void aliases_are_the_same_node(void **state)
{
    struct parsed p;
    const struct yaml_node *n = good(&p, "a: &x [1, 2]\nb: *x\nc: {d: *x}\n");
    assert_ptr_equal(yaml_get(n, "a"), yaml_get(n, "b"));
    assert_ptr_equal(yaml_get(n, "a"), yaml_get(yaml_get(n, "c"), "d"));
    assert_int_equal(n->weight, 1 + 3 + 3 * 3 + 1 + 1);
    assert_int_equal(n->height, 3);
    done(&p);
    bad("a: *x", 1, 4, "no anchor 'x'");
    bad("a: &x [*x]", 1, 8, "stands inside the value it names");
    bad("a: &x 1\n---\nb: *x", 3, 4, "no anchor 'x'");
}

static void keys(void **state)
{
    bad("a: 1\nb: 2\na: 3\n", 3, 1, "'a' is here twice");
    bad("a: 1\n\"a\": 2\n", 2, 1, "'a' is here twice");
    bad("1: a\n'1': b\n", 2, 1, "'1' is here twice");
    bad("[a]: b\n", 1, 1, "a key cannot be a list");
    bad("? {a: b}\n: c\n", 1, 3, "a key cannot be a map");
    bad("x: &x\n  a: b\ny:\n  <<: *x\n", 4, 3, "merge keys");
    bad(": b\n", 1, 1, "a key is missing");
    struct parsed p = parse("a: 1\nb: 2\na: 3\n");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.file.documents[0]->count, 2);
    assert_int_equal(yaml_get(p.file.documents[0], "a")->integer, 1);
    assert_non_null(strstr(p.diags.items[0].fix, "line 1"));
    done(&p);
    const struct yaml_node *n = good(&p, "'<<': b\n\"\": c\n");
    assert_int_equal(n->count, 2);
    done(&p);
}

static void duplicates_are_found_among_many(void **state)
{
    struct buf b = {0};
    for (int i = 0; i < 5000; i++)
        buf_addf(&b, "key%d: v\n", i);
    buf_adds(&b, "key17: v\n");
    bad(buf_text(&b), 5001, 1, "'key17' is here twice");
    buf_done(&b);
}

static void text_that_is_no_text(void **state)
{
    bad_bytes(STR("a: b\nc: \xe9\n"), 2, 4, "0xe9");
    bad_bytes(STR("a: \xed\xa0\x80\n"), 1, 4, "0xed");
    bad_bytes(STR("a: b\0c\n"), 1, 5, "NUL");
    bad_bytes(STR("\xff\xfe"
                  "a\0"),
              0, 0, "UTF-16");
    bad_bytes(STR("a\0:\0"), 0, 0, "UTF-16");
    bad("a: \x1b[0m", 1, 4, "U+001B");
    bad("é: \x7f", 1, 4, "U+007F");
    bad("a: b\xe2\x80\xa8"
        "c",
        1, 5, "U+2028");
    bad("a: b\xc2\x85"
        "c",
        1, 5, "U+0085");
    bad("a: \xef\xbb\xbf", 1, 4, "U+FEFF");
}

static void tabs(void **state)
{
    bad("a:\n\tb: c\n", 2, 1, "a tab cannot indent");
    bad("a:\n  b: c\n\td: e\n", 3, 1, "a tab cannot indent");
    bad("a:\n  b: c\n \td: e\n", 3, 2, "a tab cannot indent");
    bad("- a\n\t- b: c\n\t- d\n", 2, 1, "a tab cannot indent");
    struct parsed p = parse("a:\n\tb: c\n\td: e\n \t\n\tf: g\n");
    assert_non_null(strstr(p.diags.items[0].fix, "3 more lines"));
    done(&p);
    good(&p, "a:\tb\nc: |\n  x:\n  \tmake\nd: [1,\n\t2]\ne: \"\n\tx\"\n");
    done(&p);
}

static void syntax(void **state)
{
    bad("a: [1, 2\nb: c\n", 1, 4, "'[' is never closed");
    bad("a: {b: c\n", 1, 4, "'{' is never closed");
    bad("a: \"b\nc: d\n", 1, 4, "quote is never closed");
    bad("a: b: c\n", 1, 5, "a ':' where no key can be");
    bad("ab\nc: d\n", 2, 2, "a ':' where no key can be");
    bad("a: b\nc\nd: e\n", 2, 1, "a key without ': '");
    bad("a: @b\n", 1, 4, "cannot begin with this");
    bad("a: \"\\q\"\n", 1, 5, "no such escape");
    bad("a:\n  b: c\n d: e\n", 3, 2, "not aligned");
    bad("%YAML 3.0\n---\na: b\n", 1, 1, "a version of YAML");
    bad("a: !x!y z\n", 1, 4, "an unknown tag prefix");
}

static void documents(void **state)
{
    struct parsed p = parse("a: 1\n---\nb: 2\n");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.file.document_count, 2);
    done(&p);
    p = parse("# only this\n");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.file.document_count, 0);
    done(&p);
    bad("a\n---\nb\n---\nc\n", 4, 1, "more than 2 documents");
}

static char *repeat(const char *head, const char *unit, size_t count, const char *tail)
{
    struct buf b = {0};
    buf_adds(&b, head);
    for (size_t i = 0; i < count; i++)
        buf_adds(&b, unit);
    buf_adds(&b, tail);
    return buf_take(&b);
}

static void depth_has_a_maximum(void **state)
{
    AUTO_FREE char *open = repeat("", "[", YAML_DEPTH_MAX, "");
    AUTO_FREE char *deepest = repeat(open, "]", YAML_DEPTH_MAX, "");
    struct parsed p;
    assert_int_equal(good(&p, deepest)->height, YAML_DEPTH_MAX);
    done(&p);
    AUTO_FREE char *deeper = repeat("[", deepest, 1, "]");
    bad(deeper, 1, YAML_DEPTH_MAX + 1, "nested deeper than 64");
}

static void maxima_of_aliases_and_bytes(void **state)
{
    AUTO_FREE char *most = repeat("a: &a x\nb: [", "*a,", YAML_ALIASES_MAX, "]\n");
    struct parsed p;
    good(&p, most);
    done(&p);
    AUTO_FREE char *more = repeat("a: &a x\nb: [", "*a,", YAML_ALIASES_MAX + 1, "]\n");
    bad(more, 2, 5 + 3 * YAML_ALIASES_MAX, "more than 1000 aliases");
    AUTO_FREE char *many = repeat("", "- a\n", YAML_NODES_MAX, "");
    bad(many, (int)YAML_NODES_MAX, 3, "more than 1000000 values");
    AUTO_FREE char *longest = repeat("#", "################", YAML_BYTES_MAX / 16, "");
    bad(longest, 0, 0, "longer than 16 MiB");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bad texts of 10 MB are answered at once; the bound is loose for sanitizers and busy machines. */
#define AT_ONCE_SECONDS 5

static void ten_megabytes_of_nesting(void **state)
{
    static const char *const units[] = {"[", "{", "[\n", "- ", "? ", "{\"\":[", "&a [", "!a ["};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        AUTO_FREE char *text = repeat("", units[i], ((size_t)10 << 20) / strlen(units[i]), "");
        double start = seconds();
        struct parsed p = parse(text);
        assert_int_equal(p.r, -1);
        assert_non_null(strstr(p.diags.items[0].problem, "nested deeper"));
        done(&p);
        assert_true(seconds() - start < AT_ONCE_SECONDS);
    }
}

static void an_alias_bomb(void **state)
{
    struct buf b = {0};
    buf_adds(&b, "x0: &x0 [l, l, l, l, l, l, l, l, l, l]\n");
    for (int i = 1; i < 30; i++)
        buf_addf(&b, "x%d: &x%d [*x%d, *x%d, *x%d, *x%d]\n", i, i, i - 1, i - 1, i - 1, i - 1);
    double start = seconds();
    struct parsed p = parse(buf_text(&b));
    assert_int_equal(p.r, -1);
    assert_non_null(strstr(p.diags.items[0].problem, "aliases make the file grow"));
    done(&p);
    assert_true(seconds() - start < AT_ONCE_SECONDS);
    buf_clear(&b);
    buf_adds(&b, "x0: &x0 [l]\n");
    for (int i = 1; i < 100; i++)
        buf_addf(&b, "x%d: &x%d [*x%d]\n", i, i, i - 1);
    p = parse(buf_text(&b));
    assert_int_equal(p.r, -1);
    assert_non_null(strstr(p.diags.items[0].problem, "aliases nest deeper"));
    done(&p);
    buf_done(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(core_schema_integers),
        cmocka_unit_test(core_schema_floats),
        cmocka_unit_test(core_schema_words),
        cmocka_unit_test(numbers_that_do_not_fit_are_errors),
        cmocka_unit_test(tags),
        cmocka_unit_test(positions_count_characters_and_offsets_bytes),
        cmocka_unit_test(a_bom_and_any_line_break_are_fine),
        cmocka_unit_test(aliases_are_the_same_node),
        cmocka_unit_test(keys),
        cmocka_unit_test(duplicates_are_found_among_many),
        cmocka_unit_test(text_that_is_no_text),
        cmocka_unit_test(tabs),
        cmocka_unit_test(syntax),
        cmocka_unit_test(documents),
        cmocka_unit_test(depth_has_a_maximum),
        cmocka_unit_test(maxima_of_aliases_and_bytes),
        cmocka_unit_test(ten_megabytes_of_nesting),
        cmocka_unit_test(an_alias_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

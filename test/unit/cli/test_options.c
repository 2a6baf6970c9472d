/* The option parser: every form an option may take, and every way to get one wrong. */
#include "cli/options.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

struct fields {
    bool all, recursive;
    int verbose;
    const char *output, *region;
};

static const char *const formats[] = {"text", "json", NULL};
static const struct option_row globals[] = {
    {"verbose", 'v', OPTION_COUNT, NULL, NULL, "more", offsetof(struct fields, verbose)},
    {"output", 'o', OPTION_TEXT, "FORMAT", formats, "form", offsetof(struct fields, output)},
    {"region", 0, OPTION_TEXT, "REGION", NULL, "where", offsetof(struct fields, region)},
};
static const struct option_row own[] = {
    {"all", 'a', OPTION_FLAG, NULL, NULL, "all", offsetof(struct fields, all)},
    {"recursive", 'r', OPTION_FLAG, NULL, NULL, "deep", offsetof(struct fields, recursive)},
};
static const struct option_table tables[] = {{globals, COUNT_OF(globals)}, {own, COUNT_OF(own)}};

struct parsed {
    int rc;
    struct fields f;
    struct operands o;
    struct err err;
};

static struct parsed parse(size_t limit, const char *const *argv)
{
    struct parsed p = {0};
    size_t argc = 0;
    while (argv[argc])
        argc++;
    p.rc = options_parse(tables, 2, limit, argc, argv, &p.f, &p.o, &p.err);
    return p;
}
#define PARSE(limit, ...) parse(limit, (const char *const[]){__VA_ARGS__, NULL})

static void every_form_of_a_value(void **state)
{
    (void)state;
    struct parsed p = PARSE(OPERANDS_ANY, "--output=json", "--region", "eu-west-1");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.f.output, "json");
    assert_string_equal(p.f.region, "eu-west-1");
    p = PARSE(OPERANDS_ANY, "-ojson");
    assert_string_equal(p.f.output, "json");
    p = PARSE(OPERANDS_ANY, "-o", "text", "--region=");
    assert_string_equal(p.f.output, "text");
    assert_string_equal(p.f.region, "");
    p = PARSE(OPERANDS_ANY, "--region", "--all");
    assert_string_equal(p.f.region, "--all");
    assert_false(p.f.all);
    p = PARSE(OPERANDS_ANY, "-o", "json", "-o", "text");
    assert_string_equal(p.f.output, "text");
}

static void clusters_of_letters(void **state)
{
    (void)state;
    struct parsed p = PARSE(OPERANDS_ANY, "-vvar", "-vojson");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.f.verbose, 3);
    assert_true(p.f.all);
    assert_true(p.f.recursive);
    assert_string_equal(p.f.output, "json");
}

static void options_among_and_after_operands(void **state)
{
    (void)state;
    struct parsed p = PARSE(OPERANDS_ANY, "mine", "-v", "2", "--all");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.o.count, 2);
    assert_string_equal(p.o.items[1], "2");
    assert_true(p.f.all);
    assert_true(p.o.dashes == OPERANDS_NO_DASHES);
    operands_done(&p.o);
}

static void two_dashes_end_options(void **state)
{
    (void)state;
    struct parsed p = PARSE(OPERANDS_ANY, "mine", "--", "-v", "--", "--all");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.o.count, 4);
    assert_int_equal(p.o.dashes, 1);
    assert_string_equal(p.o.items[1], "-v");
    assert_string_equal(p.o.items[2], "--");
    assert_int_equal(p.f.verbose, 0);
    operands_done(&p.o);
}

static void a_command_keeps_its_options(void **state)
{
    (void)state;
    struct parsed p = PARSE(1, "-v", "mine", "--all", "ls", "-v", "--", "-x");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.f.verbose, 1);
    assert_true(p.f.all);
    assert_int_equal(p.o.count, 5);
    assert_string_equal(p.o.items[2], "-v");
    assert_string_equal(p.o.items[3], "--");
    assert_true(p.o.dashes == OPERANDS_NO_DASHES);
    operands_done(&p.o);
    p = PARSE(1, "mine", "--", "ls", "--", "-v");
    assert_int_equal(p.o.dashes, 1);
    assert_int_equal(p.o.count, 4);
    operands_done(&p.o);
    p = PARSE(0, "exec", "-v", "--nonsense");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.o.count, 3);
    operands_done(&p.o);
}

static void a_single_dash_is_an_operand(void **state)
{
    (void)state;
    struct parsed p = PARSE(OPERANDS_ANY, "-", "");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.o.count, 2);
    operands_done(&p.o);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *argv[4];
        const char *says;
    } cases[] = {
        {{"--verbos"}, "unknown option '--verbos'; did you mean '--verbose'?"},
        {{"--zzzzzzzz"}, "unknown option '--zzzzzzzz'"},
        {{"--regio=x"}, "unknown option '--regio'; did you mean '--region'?"},
        {{"-x"}, "unknown option '-x'"},
        {{"-vx"}, "unknown option '-x' in '-vx'"},
        {{"--all=yes"}, "'--all' takes no value"},
        {{"--all="}, "'--all' takes no value"},
        {{"--region"}, "'--region' needs a value: REGION"},
        {{"-vo"}, "'-o' needs a value: FORMAT"},
        {{"-o", "jsn"}, "'--output' cannot be 'jsn'; did you mean 'json'?"},
        {{"-o", "binary!"}, "'--output' cannot be 'binary!'; it is one of 'text', 'json'"},
        {{"--ver"}, "unknown option '--ver'"}, /* no abbreviations */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parsed p = parse(OPERANDS_ANY, cases[i].argv);
        assert_int_equal(p.rc, -1);
        assert_int_equal(p.err.code, ERR_USAGE);
        assert_string_equal(p.err.msg, cases[i].says);
        assert_null(p.o.items);
    }
}

static void signatures(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0};
    options_signature(&globals[1], &b);
    buf_addc(&b, '|');
    options_signature(&globals[2], &b);
    buf_addc(&b, '|');
    options_signature(&own[0], &b);
    assert_string_equal(buf_text(&b), "-o, --output=FORMAT|--region=REGION|-a, --all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_value),
        cmocka_unit_test(clusters_of_letters),
        cmocka_unit_test(options_among_and_after_operands),
        cmocka_unit_test(two_dashes_end_options),
        cmocka_unit_test(a_command_keeps_its_options),
        cmocka_unit_test(a_single_dash_is_an_operand),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The order of variants, their names, and how many one may have. The nested cases are those of the
 * original's test_utils.py (divide_nested_grid_search_options). */
#include "fixture.h"
#include <sys/resource.h>
#include <time.h>

#define SCRIPT HEAD "  s: !Script\n    script: m\n    kwargs:\n"

static void assert_names(const char *text, const char *const *names, size_t count)
{
    struct experiment e;
    struct experiment_plan p;
    plan_good(text, &e, &p);
    assert_int_equal(p.stages[0].variants.total, count);
    for (size_t i = 0; i < count; i++)
        assert_name(&p, 0, i, names[i]);
    plan_free(&e, &p);
}

#define ASSERT_NAMES(text, ...)                           \
    do {                                                  \
        static const char *const names[] = {__VA_ARGS__}; \
        assert_names(text, names, COUNT_OF(names));       \
    } while (0)

static void no_options_are_one_variant(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      akw1: 8\n      akw2: {bkw1: 1, bkw2: 'hello'}\n", "0");
}

static void an_option_within_a_map_is_one(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      akw1: 8\n      akw2: {bkw1: !g [1, 3, 5], bkw2: 'hello'}\n",
                 "bkw1=1_0", "bkw1=3_1", "bkw1=5_2");
}

static void maps_are_alternatives(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      akw2: !g\n"
                        "        - {bkw1: 2, bkw2: 'first'}\n"
                        "        - {bkw1: 3, bkw2: 'second'}\n",
                 "akw2=alt1_0", "akw2=alt2_1");
}

static void options_within_alternatives_come_behind_each(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      akw2: !g\n"
                        "        - {bkw1: !g [4, 5], bkw2: 'first'}\n"
                        "        - {bkw1: 3, bkw2: !g ['second', 'third']}\n",
                 "akw2=alt1,bkw1=4_0", "akw2=alt1,bkw1=5_1", "akw2=alt2,bkw2=second_2",
                 "akw2=alt2,bkw2=third_3");
}

/* Counted by running the original: six trials. */
static void a_nested_option_is_expanded_first(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      a: !g [!g [1, 2], 3]\n      b: !g [x, y]\n", "a=1,b=x_0",
                 "a=2,b=x_1", "a=1,b=y_2", "a=2,b=y_3", "a=3,b=x_4", "a=3,b=y_5");
}

static void the_first_path_in_order_varies_fastest(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      b: !g [1, 2]\n      a: !g [x, y]\n", "a=x,b=1_0", "a=y,b=1_1",
                 "a=x,b=2_2", "a=y,b=2_3");
}

static void values_are_written_as_the_original_wrote_them(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      v: !g [1e-5, 0.123456789, 1.0, true, false, null, 010, 'yes']\n",
                 "v=1e-05_0", "v=0.12346_1", "v=1_2", "v=True_3", "v=False_4", "v=None_5", "v=10_6",
                 "v=yes_7");
}

static void what_would_break_a_name_is_escaped(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      \"k=,\": !g [\"a,b\", \"a/b\", \"a\\nb\", \"50%\", \"x=y\", \"é\", "
                        "\"\\x85\"]\n",
                 "k%3D%2C=a%2Cb_0", "k%3D%2C=a%2Fb_1", "k%3D%2C=a%0Ab_2", "k%3D%2C=50%25_3",
                 "k%3D%2C=x=y_4", "k%3D%2C=é_5", "k%3D%2C=%C2%85_6");
}

static void equal_values_have_names_of_their_own(void **state)
{
    (void)state;
    ASSERT_NAMES(SCRIPT "      v: !g [1.000001, 1.000002]\n", "v=1_0", "v=1_1");
}

static void long_names_are_cut(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0}, want = {0}, name = {0};
    buf_adds(&text, SCRIPT "      v: !g [\"");
    buf_adds(&want, "v=");
    for (int i = 0; i < 127; i++) {
        buf_addc(&text, 'a');
        buf_addc(&want, 'a');
    }
    buf_adds(&text, ",b\"]\n"); /* the comma's escape would be cut in two */
    buf_adds(&want, "_0");
    struct experiment e;
    struct experiment_plan p;
    plan_good(buf_text(&text), &e, &p);
    assert_name(&p, 0, 0, buf_text(&want));
    plan_free(&e, &p);

    buf_clear(&text);
    buf_adds(&text, SCRIPT "      v: !g [\"");
    for (int i = 0; i < 130; i++)
        buf_adds(&text, "\xf0\x9f\x94\xa5"); /* four bytes each */
    buf_adds(&text, "\"]\n");
    plan_good(buf_text(&text), &e, &p);
    variant_name(&p.stages[0].variants, 0, &name);
    assert_true(name.len <= VARIANT_NAME_BYTES_MAX + 2);
    assert_true(str_is_utf8(buf_view(&name), NULL));
    plan_free(&e, &p);
}

static void equal_keys_are_told_apart(void **state)
{
    (void)state;
    struct experiment e;
    struct experiment_plan p;
    plan_good(HEAD "  a: !Script\n    script: m\n    kwargs: {lr: !g [1, 2]}\n"
                   "  b: !Script\n    script: m\n    kwargs: {lr: !g [3], d: !@ a.dir}\n"
                   "  c: !Script\n    script: m\n    kwargs: {x: {k: !g [1]}, y: {k: !g [2]}}\n",
              &e, &p);
    assert_name(&p, 0, 1, "lr=2_1");
    assert_name(&p, 1, 1, "a.lr=2,b.lr=3_1");
    assert_name(&p, 2, 0, "c[kwargs][x][k]=1,c[kwargs][y][k]=2_0");
    plan_free(&e, &p);
}

static void too_many_variants_are_an_error(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0};
    buf_adds(&text, SCRIPT);
    for (int i = 0; i < 80; i++)
        buf_addf(&text, "      k%d: !g [1, 2]\n", i);
    struct experiment e;
    struct experiment_plan p;
    struct err err = {0};
    read_good(buf_text(&text), &e);
    assert_int_equal(experiment_plan_make(&e, &p, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_string_equal(err.msg, "stage 's': more than 10000000 variants");
    experiment_done(&e);
}

/* Doubling at each of 40 places: 2^40 ways to resolve them, refused after few. */
static void too_many_alternatives_are_an_error(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0};
    buf_adds(&text, SCRIPT);
    for (int i = 0; i < 40; i++)
        buf_addf(&text, "      k%d: !g [!g [1], 2]\n", i);
    struct experiment e;
    struct experiment_plan p;
    struct err err = {0};
    read_good(buf_text(&text), &e);
    assert_int_equal(experiment_plan_make(&e, &p, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    experiment_done(&e);
}

/* One `!g` of one `!g` of …: as many levels as YAML may have. */
static void deep_nesting_is_one_variant(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0};
    buf_adds(&text, SCRIPT "      k: ");
    for (int i = 0; i < 50; i++)
        buf_adds(&text, "!g [");
    buf_addc(&text, '1');
    for (int i = 0; i < 50; i++)
        buf_addc(&text, ']');
    buf_addc(&text, '\n');
    ASSERT_NAMES(buf_text(&text), "k=1_0");
}

/* 10 x 10 x 10 x 10 x 10, planned and all named, in under a second and 100 MB. */
static void a_hundred_thousand_are_soon_planned(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0}, name = {0};
    buf_adds(&text, SCRIPT);
    for (int i = 0; i < 5; i++)
        buf_addf(&text, "      k%d: !g [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.5]\n", i);
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    struct experiment e;
    struct experiment_plan p;
    plan_good(buf_text(&text), &e, &p);
    assert_int_equal(p.stages[0].variants.total, 100000);
    for (size_t i = 0; i < 100000; i++) {
        buf_clear(&name);
        variant_name(&p.stages[0].variants, i, &name);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_string_equal(buf_text(&name), "k0=1.5,k1=1.5,k2=1.5,k3=1.5,k4=1.5_99999");
    plan_free(&e, &p);
#ifndef __SANITIZE_ADDRESS__
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    assert_true(seconds < 1);
    assert_true(usage.ru_maxrss < 100000); /* KiB */
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_options_are_one_variant),
        cmocka_unit_test(an_option_within_a_map_is_one),
        cmocka_unit_test(maps_are_alternatives),
        cmocka_unit_test(options_within_alternatives_come_behind_each),
        cmocka_unit_test(a_nested_option_is_expanded_first),
        cmocka_unit_test(the_first_path_in_order_varies_fastest),
        cmocka_unit_test(values_are_written_as_the_original_wrote_them),
        cmocka_unit_test(what_would_break_a_name_is_escaped),
        cmocka_unit_test(equal_values_have_names_of_their_own),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(equal_keys_are_told_apart),
        cmocka_unit_test(too_many_variants_are_an_error),
        cmocka_unit_test(too_many_alternatives_are_an_error),
        cmocka_unit_test(deep_nesting_is_one_variant),
        cmocka_unit_test(a_hundred_thousand_are_soon_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Options: `!g`, `!s` and their draws. The cases of the original's test_options.py are among them.
 */
#include "experiment/random.h"
#include "fixture.h"
#include <math.h>

/* The only option of a script with `kwargs: {a: OPTION}`. */
static const struct choice *read_option(const char *option, struct experiment *e)
{
    AUTO_FREE char *text =
        mem_printf(HEAD "  s: !Script\n    script: m\n    kwargs:\n      a: %s\n", option);
    read_good(text, e);
    assert_int_equal(e->stages[0].space.choices.count, 1);
    return e->stages[0].space.choices.items[0];
}

static void assert_refused(const char *option, const char *words)
{
    AUTO_FREE char *text =
        mem_printf(HEAD "  s: !Script\n    script: m\n    kwargs:\n      a: %s\n", option);
    AUTO_FREE char *said = read_bad(text);
    if (!strstr(said, words))
        fail_msg("%s: no '%s' in: %s", option, words, said);
}

static void a_grid_has_its_values_in_order(void **state)
{
    (void)state;
    struct experiment e;
    const struct choice *c = read_option("!g [0, 1, 2, 3, 4]", &e);
    assert_int_equal(c->count, 5);
    for (size_t i = 0; i < c->count; i++)
        assert_int_equal(choice_value(c, i).integer, i);
    assert_string_equal(c->label, "s[kwargs][a]");
    experiment_done(&e);
}

static void whole_bounds_draw_whole_numbers_below_the_upper(void **state)
{
    (void)state;
    struct experiment e;
    const struct choice *c = read_option("!s [1, 10, 500, 10]", &e);
    bool seen[10] = {false};
    assert_int_equal(c->count, 500);
    for (size_t i = 0; i < c->count; i++) {
        struct choice_value v = choice_value(c, i);
        assert_int_equal(v.kind, YAML_INT);
        assert_in_range(v.integer, 1, 9);
        seen[v.integer] = true;
    }
    for (int i = 1; i < 10; i++)
        assert_true(seen[i]); /* 500 draws miss one of nine once in 10^24 */
    experiment_done(&e);
}

static void one_fractional_bound_draws_fractions(void **state)
{
    (void)state;
    const char *const options[] = {"!s [1, 10.1, 20]", "!s [1.1, 10.1, 20]", "!s [1.1, 10, 20]"};
    for (size_t k = 0; k < COUNT_OF(options); k++) {
        struct experiment e;
        const struct choice *c = read_option(options[k], &e);
        for (size_t i = 0; i < c->count; i++) {
            struct choice_value v = choice_value(c, i);
            assert_int_equal(v.kind, YAML_FLOAT);
            assert_true(v.real >= 1 && v.real <= 10.1);
        }
        experiment_done(&e);
    }
}

static void fractions_have_the_decimals_asked_for(void **state)
{
    (void)state;
    struct experiment e;
    const struct choice *c = read_option("!s [1, 10.1, 50, 2]", &e);
    bool fine = false;
    for (size_t i = 0; i < c->count; i++) {
        double hundred = choice_value(c, i).real * 100;
        assert_true(fabs(hundred - rint(hundred)) < 1e-6);
        fine = fine || fabs(hundred / 10 - rint(hundred / 10)) > 1e-6;
    }
    assert_true(fine); /* and not fewer */
    experiment_done(&e);
}

static void bad_draws_are_refused(void **state)
{
    (void)state;
    assert_refused("!s [1]", "'!s' with 1 entry;");
    assert_refused("!s [1, 10]", "how many to draw");
    assert_refused("!s [1, 10.1, 5, 1, 1]", "'!s' with 5 entries");
    assert_refused("!s [1, 10, 0]", "the number of draws of '!s' cannot be '0'");
    assert_refused("!s [1, 10, -1]", "the number of draws of '!s' cannot be '-1'");
    assert_refused("!s [1, 10, 2.5]", "the number of draws of '!s' cannot be '2.5'");
    assert_refused("!s [10, 1, 5]", "write the lower bound first");
    assert_refused("!s [3, 3, 5]", "nothing to draw from 3 to 3");
    assert_refused("!s [a, 3, 5]", "must be a number, not text");
    assert_refused("!s [.inf, 3, 5]", "an infinite one");
    assert_refused("!s [1, 3, 5, 99]", "the number of decimals");
    assert_refused("!s 5", "'!s' takes a list");
    assert_refused("!g []", "'!g' without values");
    assert_refused("!g 5", "'!g' takes a list");
}

static void the_widest_bounds_are_drawn_from(void **state)
{
    (void)state;
    struct experiment e;
    const struct choice *c = read_option("!s [-9223372036854775808, 9223372036854775807, 100]", &e);
    bool negative = false, positive = false;
    for (size_t i = 0; i < c->count; i++) {
        negative = negative || choice_value(c, i).integer < 0;
        positive = positive || choice_value(c, i).integer > 0;
    }
    assert_true(negative && positive);
    experiment_done(&e);
    c = read_option("!s [-1.7e308, 1.7e308, 10]", &e);
    for (size_t i = 0; i < c->count; i++)
        assert_true(isfinite(choice_value(c, i).real));
    experiment_done(&e);
}

/* The same seed and place draw the same; another option in the file changes nothing. */
static void draws_depend_on_seed_and_place_alone(void **state)
{
    (void)state;
    const char *const texts[] = {
        HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1000000, 3]}\nseed: 1\n",
        HEAD "  s: !Script\n    script: m\n    kwargs: {z: !s [0, 9, 2], a: !s [0, 1000000, "
             "3]}\nseed: 1\n",
        HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1000000, 3]}\nseed: 2\n",
    };
    int64_t first[3];
    for (size_t i = 0; i < 3; i++) {
        struct experiment e;
        read_good(texts[i], &e);
        const struct choice_list *l = &e.stages[0].space.choices;
        first[i] = choice_value(l->items[l->count - 1], 0).integer;
        experiment_done(&e);
    }
    assert_int_equal(first[0], first[1]);
    assert_int_not_equal(first[0], first[2]);
}

/* From the state 1, 2, 3, 4 the generator's first numbers can be worked out by hand:
 * rotl(2*5, 7) * 9 = 11520, then s[1] is 0. */
static void the_generator_is_the_published_one(void **state)
{
    (void)state;
    struct random r = {{1, 2, 3, 4}};
    assert_int_equal(random_u64(&r), 11520);
    assert_int_equal(random_u64(&r), 0);
    assert_int_equal(random_u64(&r), 1509978240);
    assert_int_equal(random_u64(&r), 1215971899390074240);
}

static void options_in_a_list_are_options(void **state)
{
    (void)state;
    struct experiment e;
    read_good(HEAD "  s: !Script\n    script: m\n    args: [a, !g [1, 2]]\n", &e);
    const struct choice *c = e.stages[0].space.choices.items[0];
    assert_string_equal(c->key, "args_1");
    assert_string_equal(c->label, "s[args][1]");
    experiment_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_has_its_values_in_order),
        cmocka_unit_test(whole_bounds_draw_whole_numbers_below_the_upper),
        cmocka_unit_test(one_fractional_bound_draws_fractions),
        cmocka_unit_test(fractions_have_the_decimals_asked_for),
        cmocka_unit_test(bad_draws_are_refused),
        cmocka_unit_test(the_widest_bounds_are_drawn_from),
        cmocka_unit_test(draws_depend_on_seed_and_place_alone),
        cmocka_unit_test(the_generator_is_the_published_one),
        cmocka_unit_test(options_in_a_list_are_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Options as dimensions, and values as picks again. */
#include "base/json.h"
#include "experiment/dimensions.h"
#include "fixture.h"

#define NESTED                                                                                    \
    HEAD "  s: !Script\n    script: m\n    args: [!g [x, y]]\n    kwargs:\n"                      \
         "      lr: !s [0.001, 0.1, 5, 3]\n"                                                      \
         "      model: !g [{kind: a, size: !g [1, 2]}, {kind: b, size: !s [1, 100, 2]}, plain]\n" \
         "      n: !g [!g [!g [1, 2], 3], 4]\n"

static void make(const char *text, const char *log, size_t earlier, struct experiment *e,
                 struct dimensions *d)
{
    AUTO_STRV struct strv names = {0};
    read_good(text, e);
    if (log)
        strv_add(&names, log);
    dimensions_make(&e->stages[0].space, &names, earlier, d);
}

static void nested_options_are_dimensions_with_parents(void **state)
{
    (void)state;
    struct experiment e;
    struct dimensions d;
    make(NESTED, "lr", 0, &e, &d);
    static const struct {
        const char *name;
        enum dimension_kind kind;
        size_t count, parent, element;
    } want[] = {
        {"s[args][0]", DIMENSION_CATEGORY, 2, SIZE_MAX, 0},
        {"s[kwargs][lr]", DIMENSION_FLOAT, 5, SIZE_MAX, 0},
        {"s[kwargs][model]", DIMENSION_CATEGORY, 3, SIZE_MAX, 0},
        {"s[kwargs][model][size]#0", DIMENSION_CATEGORY, 2, 2, 0},
        {"s[kwargs][model][size]#1", DIMENSION_INT, 2, 2, 1},
        {"s[kwargs][n]", DIMENSION_CATEGORY, 2, SIZE_MAX, 0},
        {"s[kwargs][n]#0", DIMENSION_CATEGORY, 2, 5, 0},
        {"s[kwargs][n]#0.0", DIMENSION_CATEGORY, 2, 6, 0},
    };
    assert_int_equal(d.count, COUNT_OF(want));
    for (size_t i = 0; i < d.count; i++) {
        assert_string_equal(d.items[i].name, want[i].name);
        assert_int_equal(d.items[i].kind, want[i].kind);
        assert_true(d.items[i].parent == want[i].parent);
        if (want[i].kind == DIMENSION_CATEGORY)
            assert_int_equal(d.items[i].count, want[i].count);
        if (want[i].parent != SIZE_MAX)
            assert_int_equal(d.items[i].parent_element, want[i].element);
        assert_int_equal(d.items[i].log, i == 1);
    }
    assert_true(d.items[1].lo == 0.001 && d.items[1].hi == 0.1);
    assert_int_equal(d.items[1].decimals, 3);
    assert_int_equal(d.items[4].whole_lo, 1);
    assert_int_equal(d.items[4].whole_hi, 100);
    dimensions_done(&d);
    experiment_done(&e);
}

static void values_are_picks_in_the_options_order(void **state)
{
    (void)state;
    struct experiment e;
    struct dimensions d;
    make(NESTED, NULL, 0, &e, &d);
    struct dimension_value values[8] = {
        {.integer = 1},  {.real = 0.05}, {.integer = 1}, {.unused = true},
        {.integer = 42}, {.integer = 0}, {.integer = 0}, {.integer = 1},
    };
    struct dimension_pick picks[8];
    assert_int_equal(dimensions_picks(&d, values, picks), 7);
    assert_string_equal(picks[0].choice->key, "args_0");
    assert_string_equal(picks[0].value.node->text, "y");
    assert_true(picks[1].value.kind == YAML_FLOAT && picks[1].value.real == 0.05);
    assert_null(picks[1].value.node);
    assert_string_equal(picks[2].choice->key, "model");
    assert_int_equal(picks[2].value.kind, YAML_MAP);
    assert_true(picks[3].value.kind == YAML_INT && picks[3].value.integer == 42);
    assert_true(space_is_option(picks[4].value.node)); /* an outer one first */
    assert_true(space_is_option(picks[5].value.node));
    assert_int_equal(picks[6].value.integer, 2);
    assert_true(dimensions_earlier(&d, values) == SIZE_MAX);
    dimensions_done(&d);
    experiment_done(&e);
}

static void earlier_combinations_are_one_more_category(void **state)
{
    (void)state;
    struct experiment e;
    struct dimensions d;
    make(HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [!g [1, 2], 3]}\n", NULL, 12, &e,
         &d);
    assert_int_equal(d.count, 3);
    assert_string_equal(d.items[0].name, DIMENSION_EARLIER);
    assert_int_equal(d.items[0].count, 12);
    assert_int_equal(d.items[2].parent, 1);
    struct dimension_value values[3] = {{.integer = 7}, {.integer = 1}, {.unused = true}};
    struct dimension_pick picks[3];
    assert_int_equal(dimensions_picks(&d, values, picks), 1);
    assert_int_equal(picks[0].value.integer, 3);
    assert_int_equal(dimensions_earlier(&d, values), 7);
    dimensions_done(&d);
    experiment_done(&e);
}

static void log_names_keys_and_labels(void **state)
{
    (void)state;
    struct experiment e;
    struct dimensions d;
    const char *text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [1, 2, 1], b: {a: !s "
                            "[1, 2, 1]}}\n";
    make(text, "a", 0, &e, &d);
    assert_true(d.items[0].log && d.items[1].log);
    dimensions_done(&d);
    experiment_done(&e);
    make(text, "s[kwargs][b][a]", 0, &e, &d);
    assert_true(!d.items[0].log && d.items[1].log);
    dimensions_done(&d);
    experiment_done(&e);
}

static void json_holds_what_means_something(void **state)
{
    (void)state;
    struct experiment e;
    struct dimensions d;
    make(NESTED, NULL, 0, &e, &d);
    struct dimension_value values[8] = {
        {.integer = 0},   {.real = 0.25 / 3}, {.integer = 2},   {.unused = true},
        {.unused = true}, {.integer = 1},     {.unused = true}, {.unused = true},
    };
    json_auto_t *object = dimensions_to_json(d.items, d.count, values);
    assert_int_equal(json_object_size(object), 4);
    AUTO_BUF struct buf text = {0};
    json_write(object, false, &text);
    json_auto_t *again = NULL;
    assert_int_equal(json_parse(buf_view(&text), BUF_MAX_DEFAULT, &again, NULL), 0);
    struct dimension_value got[8];
    assert_int_equal(dimensions_from_json(d.items, d.count, again, got, NULL), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(got[i].unused, values[i].unused);
        assert_int_equal(got[i].integer, values[i].integer);
        assert_true(got[i].real == values[i].real);
    }
    dimensions_done(&d);
    experiment_done(&e);
}

static void other_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"s[kwargs][a]\": 0}",
        "{\"s[kwargs][a]\": 2, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": -1, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": 0.0, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": true, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": null, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 9, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 0, \"s[kwargs][c]\": 1}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 0.49}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1.51}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": \"1\"}",
        "{\"s[kwargs][a]\": 0, \"s[kwargs][b]\": 1, \"s[kwargs][c]\": 1, \"d\": 1}",
    };
    struct experiment e;
    struct dimensions d;
    make(HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [x, y], b: !s [1, 9, 1], c: !s "
              "[0.5, 1.5, 1]}\n",
         NULL, 0, &e, &d);
    struct dimension_value values[3];
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        json_auto_t *object = json_loads(bad[i], 0, NULL);
        struct err err = {0};
        assert_non_null(object);
        if (dimensions_from_json(d.items, d.count, object, values, &err) != -1)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_PARSE);
    }
    json_auto_t *good =
        json_pack("{s:i, s:i, s:i}", "s[kwargs][a]", 1, "s[kwargs][b]", 8, "s[kwargs][c]", 1);
    assert_int_equal(dimensions_from_json(d.items, d.count, good, values, NULL), 0);
    assert_true(values[2].real == 1);
    dimensions_done(&d);
    experiment_done(&e);
}

static void rounding_stays_within_the_bounds(void **state)
{
    (void)state;
    struct dimension d = {.kind = DIMENSION_FLOAT, .lo = 1e-12, .hi = 0.26, .decimals = 1};
    assert_true(dimension_round(&d, 0.14) == 0.1);
    assert_true(dimension_round(&d, 0.25999) == 0.26);
    assert_true(dimension_round(&d, 0.01) == 1e-12); /* a logarithm of 0 would follow */
    d = (struct dimension){.kind = DIMENSION_FLOAT, .lo = -1.7e308, .hi = 1.7e308, .decimals = 15};
    assert_true(dimension_round(&d, 1.5e308) == 1.5e308);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_options_are_dimensions_with_parents),
        cmocka_unit_test(values_are_picks_in_the_options_order),
        cmocka_unit_test(earlier_combinations_are_one_more_category),
        cmocka_unit_test(log_names_keys_and_labels),
        cmocka_unit_test(json_holds_what_means_something),
        cmocka_unit_test(other_json_is_refused),
        cmocka_unit_test(rounding_stays_within_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A trial's values: options chosen, links followed. The cases of options within options are those
 * of the original's test_utils.py, of links those of TestLinkCreator. */
#include "trial.h"

#define SCRIPT "    script: m\n"

/* ---- values -----------------------------------------------------------------------------------
 */

static void assert_value(const char *text, const char *stage, size_t index, const char *key,
                         const char *want)
{
    struct trial t;
    trial_set_up(&t, text, stage, index);
    const struct stage *s = t.p.stages[t.values.stage].stage;
    const struct yaml_node *node = yaml_get(s->node, key);
    json_auto_t *value = trial_value(&t.values, key, node);
    assert_non_null(value);
    char *have = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    assert_string_equal(have, want);
    free(have);
    trial_tear_down(&t);
}

#define KWARGS(text) HEAD "  s: !Script\n" SCRIPT "    kwargs: " text "\n"

static void values_are_of_the_file_s_kinds(void **state)
{
    (void)state;
    assert_value(
        KWARGS("{z: 1, a: 1.5, t: x, n: null, b: true, l: [1, [2]], m: {k: .inf, j: -.inf, "
               "i: .nan}, o: 010, e: ''}"),
        "s", 0, "kwargs",
        "{\"z\":1,\"a\":1.5,\"t\":\"x\",\"n\":null,\"b\":true,\"l\":[1,[2]],\"m\":{\"k\":"
        "\"inf\",\"j\":\"-inf\",\"i\":\"nan\"},\"o\":10,\"e\":\"\"}");
    struct trial t;
    trial_set_up(&t, KWARGS("{a: 1}"), "s", 0);
    assert_null(trial_value(&t.values, "args", t.e.stages[0].args)); /* not in the file */
    trial_tear_down(&t);
}

static void an_option_is_the_variant_s_value(void **state)
{
    (void)state;
    static const char text[] = KWARGS("{a: 8, b: {c: !g [1, x, null, 2.5, true], d: hello}}");
    static const char *const want[] = {"1", "\"x\"", "null", "2.5", "true"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        AUTO_FREE char *all = mem_printf("{\"a\":8,\"b\":{\"c\":%s,\"d\":\"hello\"}}", want[i]);
        assert_value(text, "s", i, "kwargs", all);
    }
    assert_value(KWARGS("{a: !s [3, 4, 2]}"), "s", 1, "kwargs", "{\"a\":3}");
    assert_value(KWARGS("{a: !s [0.25, 0.26, 2, 1]}"), "s", 0, "kwargs", "{\"a\":0.3}");
}

static void options_within_options_are_resolved(void **state)
{
    (void)state;
    static const char text[] = KWARGS("{a: !g [{b: !g [4, 5], c: x}, {b: 3, c: !g [y, z]}]}");
    static const char *const want[] = {"{\"b\":4,\"c\":\"x\"}", "{\"b\":5,\"c\":\"x\"}",
                                       "{\"b\":3,\"c\":\"y\"}", "{\"b\":3,\"c\":\"z\"}"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        AUTO_FREE char *all = mem_printf("{\"a\":%s}", want[i]);
        assert_value(text, "s", i, "kwargs", all);
    }
    assert_value(KWARGS("{a: !g [!g [1, !g [2, 3]], [!g [4, 5], 6]]}"), "s", 2, "kwargs",
                 "{\"a\":3}");
    assert_value(KWARGS("{a: !g [!g [1, !g [2, 3]], [!g [4, 5], 6]]}"), "s", 4, "kwargs",
                 "{\"a\":[5,6]}");
}

static void options_in_lists_are_resolved(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "  s: !Script\n" SCRIPT "    args: [a, !g [1, 2], {k: [!g [x, y]]}]\n";
    assert_value(text, "s", 0, "args", "[\"a\",1,{\"k\":[\"x\"]}]");
    assert_value(text, "s", 3, "args", "[\"a\",2,{\"k\":[\"y\"]}]");
    assert_value(HEAD "  s: !Script\n" SCRIPT "    args: !g [[1], [2, !g [3, 4]]]\n", "s", 2,
                 "args", "[2,4]");
}

/* One node at two places is two options. */
static void an_alias_chooses_for_itself(void **state)
{
    (void)state;
    static const char text[] = KWARGS("{a: &x !g [1, 2], b: *x}");
    assert_value(text, "s", 0, "kwargs", "{\"a\":1,\"b\":1}");
    assert_value(text, "s", 1, "kwargs", "{\"a\":2,\"b\":1}");
    assert_value(text, "s", 2, "kwargs", "{\"a\":1,\"b\":2}");
    static const char nested[] = KWARGS("{a: !g [&x !g [1, 2], *x]}");
    assert_value(nested, "s", 3, "kwargs", "{\"a\":2}");
}

/* ---- links ------------------------------------------------------------------------------------
 */

#define MODEL                                                                       \
    "  model: !Script\n" SCRIPT "    kwargs: {emb: {dim: !g [10, 20], k: [7, 8]}, " \
    "n: !g [1, [2, 3]], s: t}\n    outputs: {weights: out/w.bin}\n"
#define COMMAND "  cmd: !Command\n    command: [sh]\n    params: {lr: !g [0.1, 0.2]}\n"

static void assert_link(const char *link, size_t index, const char *want)
{
    AUTO_FREE char *text =
        mem_printf(HEAD MODEL COMMAND "  t: !Script\n" SCRIPT "    args: [%s]\n", link);
    AUTO_FREE char *list = mem_printf("[%s]", want);
    assert_value(text, "t", index, "args", list);
}

static void links_lead_to_what_the_earlier_trial_had(void **state)
{
    (void)state;
    assert_link("!@ 'model[kwargs][emb][dim]'", 1, "20");
    assert_link("!link 'model[kwargs][emb][dim]'", 2, "10");
    assert_link("!@ 'model[kwargs][emb][k][1]'", 0, "8");
    assert_link("!@ 'model[kwargs][emb][k]'", 0, "[7,8]");
    assert_link("!@ 'model[kwargs][n]'", 2, "[2,3]");
    assert_link("!@ 'model[script]'", 0, "\"m\"");
}

static void a_parameter_s_name_alone_is_enough(void **state)
{
    (void)state;
    assert_link("!@ 'model[emb][dim]'", 1, "20");
    assert_link("!@ 'model[s]'", 0, "\"t\"");
    assert_link("!@ 'cmd[lr]'", 1, "0.2");
    assert_link("!@ 'cmd[params][lr]'", 0, "0.1");
    assert_link("!@ 'cmd[command]'", 0, "[\"sh\"]"); /* its own key comes first */
}

static void links_lead_to_directories_and_outputs(void **state)
{
    (void)state;
    assert_link("!@ model", 0, "\"/r/model\"");
    assert_link("!@ model.dir", 0, "\"/r/model\"");
    assert_link("!@ model.weights", 0, "\"/r/model/out/w.bin\"");
    assert_link("!@ cmd.dir", 0, "\"/r/cmd\"");
}

static void links_lead_within_the_stage(void **state)
{
    (void)state;
    static const char text[] = KWARGS("{a: !g [1, 2], c: {d: [5, 6]}, b: !@ 's[kwargs][a]', e: !@ "
                                      "'s[c][d][0]', f: !@ 's[a]'}");
    assert_value(text, "s", 1, "kwargs", "{\"a\":2,\"c\":{\"d\":[5,6]},\"b\":2,\"e\":5,\"f\":2}");
}

/* Through a stage between, whose link is its own. */
static void a_link_to_a_link_is_followed(void **state)
{
    (void)state;
    static const char text[] = HEAD MODEL
        "  a: !Script\n" SCRIPT "    kwargs: {dim: !@ 'model[emb][dim]', d: !@ model.dir}\n"
        "  b: !Script\n" SCRIPT "    kwargs: {dim: !@ 'a[dim]', d: !@ 'a[d]', own: !g [1, 2]}\n";
    assert_value(text, "b", 1, "kwargs", "{\"dim\":10,\"d\":\"/r/model\",\"own\":2}");
    assert_value(text, "b", 2, "kwargs", "{\"dim\":20,\"d\":\"/r/model\",\"own\":1}");
}

static void links_within_options_are_followed(void **state)
{
    (void)state;
    static const char text[] =
        HEAD MODEL "  t: !Script\n" SCRIPT "    kwargs: {x: !g [!@ model.dir, !@ 'model[s]', 3]}\n";
    static const char *const want[] = {"\"/r/model\"", "\"t\"", "3"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        AUTO_FREE char *all = mem_printf("{\"x\":%s}", want[i]);
        assert_value(text, "t", i * 4, "kwargs", all);
    }
}

static void links_lead_to_resources(void **state)
{
    (void)state;
    static const char text[] = "!Experiment\nname: x\nresources: {data: /, web: 'http://h/x'}\n"
                               "pipeline:\n  s: !Script\n" SCRIPT
                               "    args: [!@ web, !@ data]\n    kwargs: {d: !@ data}\n";
    assert_value(text, "s", 0, "args", "[\"/got/web\",\"/got/data\"]");
    assert_value(text, "s", 0, "kwargs", "{\"d\":\"/got/data\"}");
}

/* ---- back to the variant ----------------------------------------------------------------------
 */

static void assert_inverse(const char *text, size_t stage, size_t total)
{
    struct experiment e;
    struct experiment_plan p;
    plan_good(text, &e, &p);
    const struct variants *v = &p.stages[stage].variants;
    assert_int_equal(v->total, total);
    for (size_t i = 0; i < v->total; i++) {
        struct assignment a = {0};
        size_t index = SIZE_MAX;
        options_of(v, i, &a);
        assert_true(assignment_variant(&a, v, &index));
        assert_int_equal(index, i);
        assignment_done(&a);
    }
    plan_free(&e, &p);
}

static void every_variant_is_found_again(void **state)
{
    (void)state;
    assert_inverse(KWARGS("{a: 1}"), 0, 1);
    assert_inverse(KWARGS("{a: !g [1, 1, 1], b: !s [0, 1, 5]}"), 0, 15);
    assert_inverse(KWARGS("{a: !g [!g [1, 2], 3], b: !g [x, y]}"), 0, 6);
    assert_inverse(KWARGS("{a: !g [!g [1, 2], 3, 4, 5], b: !g [x, y]}"), 0, 10);
    assert_inverse(KWARGS("{a: &x !g [1, 2], b: *x, c: !g [*x, !g [*x, {k: *x}]]}"), 0, 24);
    assert_inverse(
        KWARGS("{a: !g [{b: !g [4, 5], c: !g [1, 2, 3]}, {b: 3, c: !g [y, z]}, 0], z: !g "
               "[[!g [1, 2], !g [3, 4]], 5]}"),
        0, 45);
    assert_inverse(HEAD MODEL COMMAND "  t: !Script\n" SCRIPT
                                      "    args: [!@ model, !@ cmd, !g [1, 2, 3]]\n",
                   2, 24);
}

/* Of a later stage's options the earlier stage's variant is found. */
static void the_earlier_stage_s_variant_is_found(void **state)
{
    (void)state;
    struct experiment e;
    struct experiment_plan p;
    plan_good(HEAD MODEL COMMAND "  t: !Script\n" SCRIPT
                                 "    args: [!@ model, !@ cmd, !g [1, 2, 3]]\n",
              &e, &p);
    size_t seen[4] = {0};
    for (size_t i = 0; i < 24; i++) {
        struct assignment a = {0};
        size_t index;
        options_of(&p.stages[2].variants, i, &a);
        assert_true(assignment_variant(&a, &p.stages[0].variants, &index));
        struct assignment earlier = {0};
        options_of(&p.stages[0].variants, index, &earlier);
        assert_true(assignment_agrees(&earlier, &a) && assignment_agrees(&a, &earlier));
        seen[index]++;
        assignment_done(&earlier);
        options_of(&p.stages[0].variants, (index + 1) % 4, &earlier);
        assert_false(assignment_agrees(&earlier, &a));
        assignment_done(&earlier);
        assignment_done(&a);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(seen[i], 6);
    struct assignment none = {0};
    size_t index = 77;
    assert_false(assignment_variant(&none, &p.stages[0].variants, &index));
    assert_true(assignment_agrees(&none, &none));
    plan_free(&e, &p);
}

static void an_option_is_found_by_its_place(void **state)
{
    (void)state;
    struct trial t;
    trial_set_up(&t, KWARGS("{a: &x !g [1, 2], b: *x}"), "s", 1);
    assert_int_equal(t.options.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct choice *c = t.options.items[i].choice;
        assert_ptr_equal(assignment_find(&t.options, c->path, c->node), &t.options.items[i]);
    }
    const struct choice *c = t.options.items[0].choice;
    assert_null(assignment_find(&t.options, "s", c->node));
    assert_null(assignment_find(&t.options, c->path, t.e.stages[0].node));
    trial_tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_of_the_file_s_kinds),
        cmocka_unit_test(an_option_is_the_variant_s_value),
        cmocka_unit_test(options_within_options_are_resolved),
        cmocka_unit_test(options_in_lists_are_resolved),
        cmocka_unit_test(an_alias_chooses_for_itself),
        cmocka_unit_test(links_lead_to_what_the_earlier_trial_had),
        cmocka_unit_test(a_parameter_s_name_alone_is_enough),
        cmocka_unit_test(links_lead_to_directories_and_outputs),
        cmocka_unit_test(links_lead_within_the_stage),
        cmocka_unit_test(a_link_to_a_link_is_followed),
        cmocka_unit_test(links_within_options_are_followed),
        cmocka_unit_test(links_lead_to_resources),
        cmocka_unit_test(every_variant_is_found_again),
        cmocka_unit_test(the_earlier_stage_s_variant_is_found),
        cmocka_unit_test(an_option_is_found_by_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a file says of a stage's search and scheduler. The errors are golden files. */
#include "fixture.h"

#define STAGE                                                                                  \
    "pipeline:\n  s: !Script\n    script: m\n    kwargs: {lr: !s [0.1, 1, 2], n: !g [1, 2]}\n" \
    "    objective: {metric: acc, mode: max}\n"

static void read_stage(const char *lines, struct experiment *e)
{
    AUTO_FREE char *text = mem_printf("!Experiment\nname: x\n%s" STAGE, lines);
    read_good(text, e);
}

static void a_grid_is_the_default(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "search:\n  s: !grid\n", "search: {s: !grid {}}\n",
                                        "search:\n  s: !ray.BasicVariantGenerator\n"};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct experiment e;
        read_stage(lines[i], &e);
        assert_int_equal(e.stages[0].search.kind, SEARCH_GRID);
        assert_false(search_needs_objective(&e.stages[0].search));
        experiment_done(&e);
    }
}

static void random_and_optuna_are_read(void **state)
{
    (void)state;
    struct experiment e;
    read_stage("search: {s: !random {trials: 50, log: [lr]}}\n", &e);
    const struct search_spec *s = &e.stages[0].search;
    assert_int_equal(s->kind, SEARCH_RANDOM);
    assert_int_equal(s->trials, 50);
    assert_true(strv_has(&s->log, "lr"));
    assert_false(search_needs_objective(s));
    experiment_done(&e);
    read_stage("search:\n  s: !optuna\n    trials: 7\n    sampler_options: {a: [1, 2.5, null], b: "
               "{c: true, d: \"é\"}}\n    pruner: MedianPruner\n    log: ['s[kwargs][lr]']\n",
               &e);
    s = &e.stages[0].search;
    assert_int_equal(s->kind, SEARCH_OPTUNA);
    assert_int_equal(s->trials, 7);
    assert_string_equal(s->sampler, "TPESampler");
    assert_string_equal(s->sampler_options, "{\"a\":[1,2.5,null],\"b\":{\"c\":true,\"d\":\"é\"}}");
    assert_string_equal(s->pruner, "MedianPruner");
    assert_null(s->pruner_options);
    assert_true(search_needs_objective(s));
    experiment_done(&e);
}

static void samplers_have_short_names(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"tpe", "TPESampler"}, {"random", "RandomSampler"}, {"cmaes", "CmaEsSampler"}};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_FREE char *lines =
            mem_printf("search: {s: !optuna {trials: 1, sampler: %s}}\n", names[i][0]);
        struct experiment e;
        read_stage(lines, &e);
        assert_string_equal(e.stages[0].search.sampler, names[i][1]);
        experiment_done(&e);
    }
}

static void asha_has_its_defaults(void **state)
{
    (void)state;
    struct experiment e;
    read_stage("schedulers:\n  s: !asha\n", &e);
    const struct scheduler_spec *s = &e.stages[0].scheduler;
    assert_int_equal(s->kind, SCHEDULER_ASHA);
    assert_true(scheduler_needs_metric(s));
    assert_null(s->metric);
    assert_null(s->time_attr);
    assert_false(s->mode_given);
    assert_int_equal(s->max_t, 0);
    assert_int_equal(s->grace_period, 1);
    assert_true(s->reduction_factor == 4);
    assert_int_equal(s->brackets, 1);
    experiment_done(&e);
}

static void asha_s_keys_are_read(void **state)
{
    (void)state;
    struct experiment e;
    read_stage("schedulers:\n  s: !ray.HyperBandScheduler\n    reward_attr: acc\n    time_attr: "
               "training_iteration\n    max_t: 81\n",
               &e);
    const struct scheduler_spec *s = &e.stages[0].scheduler;
    assert_string_equal(s->metric, "acc");
    assert_true(s->mode_given && s->maximize);
    assert_null(s->time_attr);
    assert_int_equal(s->max_t, 81);
    assert_false(scheduler_needs_metric(s));
    experiment_done(&e);
    read_stage(
        "schedulers:\n  s: !asha {metric: loss, mode: min, time_attr: epoch, grace_period: 2, "
        "reduction_factor: 1.5, brackets: 3}\n",
        &e);
    s = &e.stages[0].scheduler;
    assert_string_equal(s->metric, "loss");
    assert_true(s->mode_given && !s->maximize);
    assert_string_equal(s->time_attr, "epoch");
    assert_int_equal(s->grace_period, 2);
    assert_true(s->reduction_factor == 1.5);
    assert_int_equal(s->brackets, 3);
    experiment_done(&e);
    read_stage("schedulers:\n  s: !fifo\n", &e);
    s = &e.stages[0].scheduler;
    assert_int_equal(s->kind, SCHEDULER_NONE);
    assert_false(scheduler_needs_metric(s));
    experiment_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_is_the_default),     cmocka_unit_test(random_and_optuna_are_read),
        cmocka_unit_test(samplers_have_short_names), cmocka_unit_test(asha_has_its_defaults),
        cmocka_unit_test(asha_s_keys_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

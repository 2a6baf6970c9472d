/* How stages inherit variants through links. The counts of the first test were got by running the
 * original. */
#include "fixture.h"

#define BY_LOSS "    objective: {metric: loss, mode: min}\n"
#define MODEL                                   \
    "  model: !Script\n    script: m\n" BY_LOSS \
    "    kwargs: {hidden: !g [1, 2, 3], layers: !g [1, 2]}\n"
#define TRAINER                                   \
    "  trainer: !Script\n    script: m\n" BY_LOSS \
    "    kwargs: {model: !@ model.dir, lr: !g [0.1, 0.2]}\n"
#define EVALUATOR "  evaluator: !Script\n    script: m\n    args: [!@ trainer.dir]\n"
#define BOTH "  both: !Script\n    script: m\n    args: [!@ trainer.dir, !link model.dir]\n"
#define ALONE "  alone: !Script\n    script: m\n"
#define PIPELINE HEAD MODEL TRAINER EVALUATOR BOTH ALONE

static void assert_trials(const char *text, const size_t *want, size_t count, size_t total)
{
    struct experiment e;
    struct experiment_plan p;
    plan_good(text, &e, &p);
    assert_int_equal(p.count, count);
    for (size_t i = 0; i < count; i++)
        if (p.stages[i].trials != want[i])
            fail_msg("%s: %zu trials, not %zu", e.stages[i].name, p.stages[i].trials, want[i]);
    assert_int_equal(p.total, total);
    plan_free(&e, &p);
}

static void each_stage_of_the_closure_counts_once(void **state)
{
    (void)state;
    static const size_t want[] = {6, 12, 12, 12, 1};
    assert_trials(PIPELINE, want, 5, 43);
}

static void a_reduced_stage_bounds_the_later_ones(void **state)
{
    (void)state;
    static const size_t want[] = {6, 12, 2, 2, 1};
    assert_trials(PIPELINE "reduce: {trainer: 2}\n", want, 5, 23);
}

/* 2 models kept, times 2 rates; 1 trainer kept of those. */
static void reductions_follow_each_other(void **state)
{
    (void)state;
    static const size_t want[] = {6, 4, 1, 1, 1};
    assert_trials(PIPELINE "reduce: {model: 2, trainer: 1}\n", want, 5, 13);
}

static void to_keep_more_than_there_are_is_to_keep_all(void **state)
{
    (void)state;
    static const size_t want[] = {6, 12, 12, 12, 1};
    assert_trials(PIPELINE "reduce: {model: 6, trainer: 99}\n", want, 5, 43);
}

static void resumed_stages_are_not_run(void **state)
{
    (void)state;
    static const size_t want[] = {6, 12, 12, 12, 1};
    assert_trials(PIPELINE "resume: trainer\n", want, 5, 25);
    assert_trials(PIPELINE "resume: [trainer, alone]\n", want, 5, 30);
}

static void a_link_to_a_parameter_inherits_too(void **state)
{
    (void)state;
    struct experiment e;
    struct experiment_plan p;
    plan_good(HEAD MODEL "  t: !Script\n    script: m\n    kwargs: {h: !@ 'model[kwargs][hidden]', "
                         "own: !g [1, 2], same: !@ 't[own]'}\n",
              &e, &p);
    assert_int_equal(p.stages[1].variants.total, 12);
    assert_true(p.stages[1].needs[0]);
    assert_false(p.stages[1].needs[1]);
    assert_name(&p, 1, 1, "hidden=2,layers=1,own=1_1");
    plan_free(&e, &p);
}

static void resources_bring_no_variants(void **state)
{
    (void)state;
    struct experiment e;
    struct experiment_plan p;
    plan_good("!Experiment\nname: x\nresources: {data: /}\npipeline:\n" MODEL
              "  t: !Script\n    script: m\n    kwargs: {d: !@ data}\n",
              &e, &p);
    assert_int_equal(p.stages[1].variants.total, 1);
    assert_int_equal(e.stages[1].space.links[0].target, LINK_RESOURCE);
    plan_free(&e, &p);
}

#define SEARCHED "search: {model: !random {trials: 50}}\n"

/* 50 models, times 2 rates; the options that no search draws are variants still. */
static void a_searched_stage_counts_its_draws(void **state)
{
    (void)state;
    static const size_t want[] = {50, 100, 100, 100, 1};
    assert_trials(PIPELINE SEARCHED, want, 5, 351);
    struct experiment e;
    struct experiment_plan p;
    plan_good(PIPELINE SEARCHED, &e, &p);
    static const size_t variants[] = {1, 2, 2, 2, 1};
    static const bool drawn[] = {true, true, true, true, false};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(p.stages[i].variants.total, variants[i]);
        assert_int_equal(p.stages[i].drawn, drawn[i]);
        assert_false(p.stages[i].at_most);
    }
    plan_free(&e, &p);
}

static void a_searched_stage_may_be_reduced(void **state)
{
    (void)state;
    static const size_t want[] = {50, 6, 2, 2, 1};
    assert_trials(PIPELINE SEARCHED "reduce: {model: 3, trainer: 2}\n", want, 5, 61);
    static const size_t all[] = {50, 100, 100, 100, 1};
    assert_trials(PIPELINE SEARCHED "reduce: {model: 50}\n", all, 5, 351);
}

/* Each of its trials has some earlier combination: they do not multiply. */
static void a_search_draws_of_earlier_variants(void **state)
{
    (void)state;
    static const size_t want[] = {6, 20, 20, 20, 1};
    assert_trials(PIPELINE "search: {trainer: !random {trials: 20}}\n", want, 5, 67);
    static const size_t both[] = {50, 20, 20, 20, 1};
    assert_trials(PIPELINE "search: {model: !random {trials: 50}, trainer: !random {trials: 20}}\n",
                  both, 5, 111);
    struct experiment e;
    struct experiment_plan p;
    plan_good(PIPELINE "search: {trainer: !random {trials: 20}}\n", &e, &p);
    assert_int_equal(p.stages[1].variants.total, 6); /* from which it draws */
    assert_int_equal(p.stages[2].variants.total, 1);
    plan_free(&e, &p);
}

/* Both have their own model: what fits together is known when they have run. */
static void two_searches_of_one_closure_are_a_bound(void **state)
{
    (void)state;
    static const char text[] =
        HEAD MODEL "  a: !Script\n    script: m\n    kwargs: {m: !@ model.dir, x: !s [0, 1.5, 1]}\n"
                   "  b: !Script\n    script: m\n    kwargs: {m: !@ model.dir, x: !s [0, 1.5, 1]}\n"
                   "  c: !Script\n    script: m\n    args: [!@ a.dir, !@ b.dir]\n"
                   "search: {a: !random {trials: 4}, b: !random {trials: 5}}\n";
    static const size_t want[] = {6, 4, 5, 20};
    assert_trials(text, want, 4, 35);
    struct experiment e;
    struct experiment_plan p;
    plan_good(text, &e, &p);
    assert_true(p.stages[3].at_most && p.at_most);
    plan_free(&e, &p);
}

/* A search needs no numbers in advance, so that they are not too many. */
static void searched_options_are_not_multiplied(void **state)
{
    (void)state;
    static const size_t want[] = {9};
    assert_trials(HEAD
                  "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1.5, 100000], b: !s [0, "
                  "1.5, 100000]}\nsearch: {s: !random {trials: 9}}\n",
                  want, 1, 9);
    struct experiment e;
    struct experiment_plan p;
    struct err err = {0};
    read_good(HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1.5, 1]}\n"
                   "  t: !Script\n    script: m\n    kwargs: {a: !@ s.dir, b: !s [0, 1, 100]}\n"
                   "search: {s: !random {trials: 1000000}}\n",
              &e);
    assert_int_equal(experiment_plan_make(&e, &p, &err), -1);
    assert_string_equal(err.msg, "stage 't': more than 10000000 trials");
    assert_int_equal(err.code, ERR_FILE);
    experiment_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_of_the_closure_counts_once),
        cmocka_unit_test(a_reduced_stage_bounds_the_later_ones),
        cmocka_unit_test(reductions_follow_each_other),
        cmocka_unit_test(to_keep_more_than_there_are_is_to_keep_all),
        cmocka_unit_test(resumed_stages_are_not_run),
        cmocka_unit_test(a_link_to_a_parameter_inherits_too),
        cmocka_unit_test(resources_bring_no_variants),
        cmocka_unit_test(a_searched_stage_counts_its_draws),
        cmocka_unit_test(a_searched_stage_may_be_reduced),
        cmocka_unit_test(a_search_draws_of_earlier_variants),
        cmocka_unit_test(two_searches_of_one_closure_are_a_bound),
        cmocka_unit_test(searched_options_are_not_multiplied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

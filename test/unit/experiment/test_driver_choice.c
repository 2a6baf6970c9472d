/* The driver: which trials later stages see, what a search draws, what a scheduler ends early. */
#include "drive.h"
#include <limits.h>

#define BASE(mode)                                                                      \
    HEAD "  s: !Script\n    script: m\n    objective: {metric: loss, mode: " mode "}\n" \
         "    kwargs: {a: !g [1, 2, 3, 4, 5]}\n"                                        \
         "  t: !Script\n    script: m\n    args: [!@ s.dir, !@ 's[a]']\n"

/* What the later stage's programs were given, as "3:a=3_2 ". */
static bool report_losses(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    static const double losses[] = {2, 1, 3, 1, 1};
    (void)r;
    if (t->stage == 0) {
        drive_report_loss(d, t, losses[t->number]);
        return true;
    }
    const struct engine_program *p = engine_fake_program(d->engine, 0);
    AUTO_FREE char *stage = mem_printf("%s/s/", d->run.directory);
    assert_true(str_starts(str_of(p->argv[3]), stage));
    buf_addf(&d->said, "%s:%s ", p->argv[4], p->argv[3] + strlen(stage));
    return true;
}

static void assert_built_on(struct drive *d, const char *text, const char *want)
{
    d->text = text;
    d->began = report_losses;
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), want);
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    assert_int_equal(fs_remove_tree(results, NULL), 0);
}

/* ---- links ------------------------------------------------------------------------------------
 */

static bool check_inherited(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    const struct engine_program *p = engine_fake_program(d->engine, 0);
    int hidden, layers;
    d->n += t->stage == 0 ? 1 : t->stage == 4 ? 10000 : 100;
    if (t->stage == 4)
        return true;
    const char *options = strstr(t->name, "hidden=");
    assert_non_null(options);
    assert_int_equal(sscanf(options, "hidden=%d,layers=%d", &hidden, &layers), 2);
    AUTO_FREE char *want = mem_printf("hidden=%d,layers=%d", hidden, layers);
    for (size_t i = 3; p->argv[i]; i++)
        if (p->argv[i][0] == '/' && !strstr(p->argv[i], want))
            fail_msg("%s is built on %s", t->name, p->argv[i]);
    return true;
}

/* As many as the original runs: 6, 12, 12, 12 and 1; each on the earlier trials of its options. */
static void each_trial_builds_on_those_of_its_options(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  model: !Script\n    script: m\n"
                   "    kwargs: {hidden: !g [1, 2, 3], layers: !g [1, 2]}\n"
                   "  trainer: !Script\n    script: m\n"
                   "    kwargs: {model: !@ model.dir, rate: !g [0.1, 0.2]}\n"
                   "  evaluator: !Script\n    script: m\n    args: [!@ trainer.dir]\n"
                   "  both: !Script\n    script: m\n    args: [!@ trainer.dir, !link model.dir]\n"
                   "  alone: !Script\n    script: m\n";
    d->began = check_inherited;
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 6 + 3 * 12 * 100 + 10000);
}

/* ---- reduce -----------------------------------------------------------------------------------
 */

/* Of equals the first. */
static void the_best_are_kept(void **state)
{
    struct drive *d = *state;
    assert_built_on(d, BASE("min"), "1:a=1_0 2:a=2_1 3:a=3_2 4:a=4_3 5:a=5_4 ");
    assert_built_on(d, BASE("min") "reduce: {s: 1}\n", "2:a=2_1 ");
    assert_built_on(d, BASE("min") "reduce: {s: 2}\n", "2:a=2_1 4:a=4_3 ");
    assert_built_on(d, BASE("min") "reduce: {s: 4}\n", "1:a=1_0 2:a=2_1 4:a=4_3 5:a=5_4 ");
    assert_built_on(d, BASE("max") "reduce: {s: 1}\n", "3:a=3_2 ");
    assert_built_on(d, BASE("max") "reduce: {s: 3}\n", "1:a=1_0 2:a=2_1 3:a=3_2 ");
    assert_built_on(d, BASE("min") "reduce: {s: 9}\n", "1:a=1_0 2:a=2_1 3:a=3_2 4:a=4_3 5:a=5_4 ");
}

/* The best trial fails after its report; the one before reports nothing. */
static bool report_and_fail(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    if (t->stage == 0 && t->number == 0)
        return true;
    if (t->stage == 0 && t->number == 2) {
        drive_report_loss(d, t, -100);
        *r = drive_exit(1);
        return true;
    }
    return report_losses(d, t, r);
}

static void what_failed_or_reported_nothing_is_not_kept(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 4}\nstop_on_failure: false\n";
    d->began = report_and_fail;
    drive(d, ERR_PARTIAL);
    assert_string_equal(buf_text(&d->said), "it reported no 'loss';2:a=2_1 4:a=4_3 5:a=5_4 ");
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_string_equal(t.warning, "it reported no 'loss'");
    assert_false(t.has_objective);
    store_trial_done(&t);
    store_close(s);
}

static void where_none_reported_there_is_nothing_to_keep(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 2}\n";
    drive(d, ERR_PARTIAL);
    assert_string_equal(d->err.msg,
                        "no trial of 's' reported 'loss', by which the best are to be kept");
    assert_null(strstr(buf_text(&d->log), "[t"));
}

static bool report_twice(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    static const double first[] = {5, 1, 3, 4, 6}, second[] = {2, 9, 8, 7, 9};
    if (t->stage == 0) {
        drive_report_loss(d, t, first[t->number]);
        drive_report_loss(d, t, second[t->number]);
        return true;
    }
    return report_losses(d, t, r);
}

static void the_last_or_the_best_value_counts(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 1}\n";
    d->began = report_twice;
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), "1:a=1_0 ");
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    assert_int_equal(fs_remove_tree(results, NULL), 0);
    d->text = HEAD "  s: !Script\n    script: m\n    objective: {metric: loss, mode: min, value: "
                   "best}\n    kwargs: {a: !g [1, 2, 3, 4, 5]}\n"
                   "  t: !Script\n    script: m\n    args: [!@ s.dir, !@ 's[a]']\nreduce: {s: 1}\n";
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), "2:a=2_1 ");
}

static void a_later_driver_keeps_the_same(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 2}\n";
    d->began = report_losses;
    d->n = 0;
    drive_open(d);
    loop_cancel(d->loop);
    drive_run(d, ERR_CANCELLED); /* before anything */
    drive_close(d);
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), "2:a=2_1 4:a=4_3 ");
}

/* A trial's earlier attempt is not its result. */
static bool only_the_first_reports(struct drive *d, const struct store_trial *t,
                                   struct engine_result *r)
{
    if (t->stage == 0 && t->number == 0 && t->attempts == 1) {
        drive_report_loss(d, t, -5);
        *r = drive_exit(1);
        return true;
    }
    if (t->stage == 0 && t->number == 0)
        return true;
    return report_losses(d, t, r);
}

static void what_an_earlier_attempt_reported_is_void(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 1}\n";
    d->began = only_the_first_reports;
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), "it reported no 'loss';2:a=2_1 ");
}

/* With a checkpoint the program goes on, and what it reported before stands. */
static bool goes_on_from_a_checkpoint(struct drive *d, const struct store_trial *t,
                                      struct engine_result *r)
{
    if (t->stage == 0 && t->number == 0 && t->attempts == 1) {
        AUTO_FREE char *in = mem_printf("output__x/s/%s/checkpoint/w", t->name);
        free(place_write(d->place, in, 0600, "x"));
        drive_report(d, t, "{\"step\": 1, \"loss\": 9}");
        drive_report(d, t, "{\"step\": 2, \"loss\": -1}");
        *r = drive_exit(1);
        return true;
    }
    if (t->stage == 0 && t->number == 0) {
        drive_report(d, t, "{\"step\": 3, \"loss\": -2}");
        return true;
    }
    return report_losses(d, t, r);
}

static bool note_point(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)wall;
    buf_addf(ctx, "%lld=%g ", (long long)step, value);
    return true;
}

static void what_was_reported_before_a_checkpoint_stands(void **state)
{
    struct drive *d = *state;
    d->text = BASE("min") "reduce: {s: 1}\n";
    d->began = goes_on_from_a_checkpoint;
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), "1:a=1_0 ");
    AUTO_BUF struct buf points = {0};
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_int_equal(store_each_point(s, t.id, "loss", note_point, &points, NULL), 0);
    assert_string_equal(buf_text(&points), "1=9 2=-1 3=-2 ");
    store_trial_done(&t);
    store_close(s);
}

/* ---- search -----------------------------------------------------------------------------------
 */

#define SEARCHED                                                                                   \
    HEAD "  e: !Script\n    script: m\n    kwargs: {z: !g [7, 8]}\n"                               \
         "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1000000, 1], e: !@ e.dir}\n" BY_LOSS \
         "  t: !Script\n    script: m\n    args: [!@ 's[a]', !@ 'e[z]', !@ s.dir, !@ e.dir, "      \
         "!g [x, y]]\nsearch: {s: !random {trials: 6}}\n"

static bool note_program(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    const struct engine_program *p = engine_fake_program(d->engine, 0);
    if (t->stage == 1) {
        AUTO_FREE char *line = mem_printf("{\"loss\": %s}", p->argv[4]);
        drive_report(d, t, line); /* its own draw */
    }
    buf_addf(&d->said, "%d", t->stage);
    for (size_t i = 3; p->argv[i]; i++) {
        const char *slash = strrchr(p->argv[i], '/');
        buf_addf(&d->said, " %s", slash ? slash + 1 : p->argv[i]);
    }
    buf_addc(&d->said, '\n');
    return true;
}

/* Each later trial's values and directories belong together. */
static void a_search_feeds_later_stages(void **state)
{
    struct drive *d = *state;
    d->text = SEARCHED;
    d->began = note_program;
    drive(d, ERR_NONE);
    struct str rest = buf_view(&d->said);
    int seen[3] = {0}, sevens = 0;
    while (rest.n) {
        AUTO_FREE char *line = str_dup(str_cut(&rest, '\n'));
        int stage, a, z;
        char dir[128], earlier[128], own[8];
        assert_int_equal(sscanf(line, "%d", &stage), 1);
        seen[stage]++;
        if (stage == 2) {
            assert_int_equal(
                sscanf(line, "%d %d %d %127s %127s %7s", &stage, &a, &z, dir, earlier, own), 6);
            AUTO_FREE char *begin = mem_printf("a=%d,", a), *end = mem_printf("z=%d_", z);
            AUTO_FREE char *both = mem_printf("z=%d,", z);
            if (!strstr(dir, begin) && !strstr(dir, "a="))
                fail_msg("%s", line);
            assert_true(str_starts(str_of(earlier), end));
            assert_true(strstr(dir, both) || strstr(dir, end));
            sevens += z == 7;
        }
    }
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 6);
    assert_int_equal(seen[2], 12);
    assert_true(sevens > 0 && sevens < 12);
}

static void a_search_draws_the_same_again(void **state)
{
    struct drive *d = *state;
    d->text = SEARCHED;
    d->began = note_program;
    drive(d, ERR_NONE);
    AUTO_FREE char *first = mem_dup(buf_text(&d->said));
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    assert_int_equal(fs_remove_tree(results, NULL), 0);
    drive(d, ERR_NONE);
    assert_string_equal(buf_text(&d->said), first);
}

/* In several drivers the same as in one. */
static bool two_a_session(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    if (++d->n == 2)
        driver_drain(d->driver);
    return note_program(d, t, r);
}

static void a_search_goes_on_where_it_was(void **state)
{
    struct drive *d = *state;
    AUTO_BUF struct buf all = {0};
    d->text = SEARCHED;
    d->began = note_program;
    drive(d, ERR_NONE);
    AUTO_FREE char *whole = mem_dup(buf_text(&d->said));
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    assert_int_equal(fs_remove_tree(results, NULL), 0);
    d->began = two_a_session;
    enum err_code code = ERR_CANCELLED;
    for (int i = 0; i < 20 && code == ERR_CANCELLED; i++) {
        d->n = 0;
        drive_open(d);
        code = driver_run(d->driver, &d->err) == -1 ? d->err.code : ERR_NONE;
        drive_close(d);
        buf_adds(&all, buf_text(&d->said));
    }
    assert_int_equal(code, ERR_NONE);
    assert_string_equal(buf_text(&all), whole);
}

static void a_reduced_search_is_the_best_of_it(void **state)
{
    struct drive *d = *state;
    d->text = SEARCHED "reduce: {s: 1}\n";
    d->began = note_program;
    drive(d, ERR_NONE);
    int least = INT_MAX, later = 0;
    struct str rest = buf_view(&d->said);
    while (rest.n) {
        AUTO_FREE char *line = str_dup(str_cut(&rest, '\n'));
        int stage, a;
        char word[8];
        if (sscanf(line, "%d %7s %d", &stage, word, &a) == 3 && stage == 1)
            least = a < least ? a : least;
        if (sscanf(line, "%d %d", &stage, &a) == 2 && stage == 2) {
            assert_int_equal(a, least);
            later++;
        }
    }
    assert_int_equal(later, 2);
}

/* ---- early stop -------------------------------------------------------------------------------
 */

#define ASHA                                                                          \
    HEAD "  s: !Script\n    script: m\n" BY_LOSS "    kwargs: {a: !g [1, 2, 3, 4]}\n" \
         "  t: !Script\n    script: m\n    args: [!@ s.dir]\n"                        \
         "schedulers: {s: !asha {grace_period: 1, max_t: 100, reduction_factor: 2}}\n"

/* The first reports 1, and each later one a greater loss. */
static bool worse_and_worse(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    d->n = 0;
    if (t->stage == 0) {
        AUTO_FREE char *line = mem_printf("{\"step\": 1, \"loss\": %d}",
                                          d->m ? 9 - (int)t->number : 1 + (int)t->number);
        drive_report(d, t, line);
    }
    return t->stage == 1;
}

/* A program ends when it is asked to, or after it was watched for a while. */
static void end_if_stopped(struct drive *d)
{
    if (engine_fake_count(d->engine) == 0)
        return;
    uint64_t id = engine_fake_program(d->engine, 0)->id;
    if (engine_fake_stopped(d->engine, id))
        drive_end(d, 0, (struct engine_result){.end = ENGINE_STOPPED, .exit_status = -1});
    else if (++d->n % 5 == 0)
        drive_end(d, 0, drive_exit(0));
}

static void the_worse_are_stopped_early_and_are_results(void **state)
{
    struct drive *d = *state;
    d->text = ASHA;
    d->began = worse_and_worse;
    d->tick = end_if_stopped;
    drive_open(d);
    drive_run(d, ERR_NONE);
    assert_int_equal(driver_status(d->driver)->stages[0].by_state[TRIAL_STOPPED], 3);
    assert_int_equal(driver_status(d->driver)->stages[0].by_state[TRIAL_SUCCESS], 1);
    drive_close(d);
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:stopped*1 0/a=3_2:stopped*1 0/a=4_3:stopped*1 "
                     "1/a=1_0:success*1 1/a=2_1:success*1 1/a=3_2:success*1 1/a=4_3:success*1 ");
    assert_run_state(d, "finished");
}

static void the_better_go_on(void **state)
{
    struct drive *d = *state;
    d->text = ASHA;
    d->began = worse_and_worse;
    d->tick = end_if_stopped;
    d->m = 1; /* each better than the one before */
    drive(d, ERR_NONE);
    assert_null(strstr(buf_text(&d->log), "stopped"));
}

/* What the first session's trials reached counts in the second. */
static bool drains_at_once(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    if (t->number == 0)
        driver_drain(d->driver);
    return worse_and_worse(d, t, r);
}

static void a_later_driver_compares_with_what_was(void **state)
{
    struct drive *d = *state;
    d->text = ASHA;
    d->began = drains_at_once;
    d->tick = end_if_stopped;
    drive(d, ERR_CANCELLED);
    assert_trials(d, "0/a=1_0:success*1 ");
    d->began = worse_and_worse;
    drive(d, ERR_NONE);
    assert_non_null(strstr(buf_text(&d->log), "-a=2_1:stopped"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, drive_set_up, drive_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_trial_builds_on_those_of_its_options),
        T(the_best_are_kept),
        T(what_failed_or_reported_nothing_is_not_kept),
        T(where_none_reported_there_is_nothing_to_keep),
        T(the_last_or_the_best_value_counts),
        T(a_later_driver_keeps_the_same),
        T(what_an_earlier_attempt_reported_is_void),
        T(what_was_reported_before_a_checkpoint_stands),
        T(a_search_feeds_later_stages),
        T(a_search_draws_the_same_again),
        T(a_search_goes_on_where_it_was),
        T(a_reduced_search_is_the_best_of_it),
        T(the_worse_are_stopped_early_and_are_results),
        T(the_better_go_on),
        T(a_later_driver_compares_with_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

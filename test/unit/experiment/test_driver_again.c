/* The driver, after another: one that was killed, one that finished. */
#include "drive.h"
#include "engine/record_priv.h"
#include <sys/wait.h>

#define THREE(values) \
    HEAD "  s: !Script\n    script: m\n" BY_LOSS "    kwargs: {a: !g [" values "]}\n"
#define LATER "  t: !Script\n    script: m\n    args: [!@ s.dir]\n"

/* ---- after a kill -----------------------------------------------------------------------------
 */

/* In a process of its own, which is gone without a word as the test says. */
static void drive_and_be_killed(struct drive *d)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        drive_open(d);
        (void)!driver_run(d->driver, &d->err);
        fprintf(stderr, "it ended: %s\n", d->err.msg);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool killed_at_the_third(struct drive *d, const struct store_trial *t,
                                struct engine_result *r)
{
    (void)r;
    if (t->stage == 0)
        drive_report_loss(d, t, 7 - (double)t->number);
    if (t->number == 2)
        _exit(0);
    return t->number == 0;
}

/* a=1 has ended, a=2 and a=3 were running. */
static void leave_two_running(struct drive *d, const char *text)
{
    d->text = text;
    d->room = 2;
    d->began = killed_at_the_third;
    drive_and_be_killed(d);
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:running*1 0/a=3_2:running*1 ");
    d->began = NULL;
    d->room = 1;
}

static void what_was_running_is_run_again(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3, 4"));
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=2_1 -a=2_1:success +a=3_2 -a=3_2:success +a=4_3 -a=4_3:success ]s ");
    assert_attempts(d, 0, 0, "1:exited:0 ");
    assert_attempts(d, 0, 1, "1:interrupted:-1 2:exited:0 ");
    assert_attempts(d, 0, 2, "1:interrupted:-1 2:exited:0 ");
    assert_run_state(d, "finished");
}

static bool always_fails(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)d, (void)t;
    *r = drive_exit(1);
    return true;
}

static void to_be_killed_is_no_failure_of_the_trial(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3"));
    d->began = always_fails;
    drive(d, ERR_PARTIAL);
    assert_attempts(d, 0, 1, "1:interrupted:-1 2:exited:1 3:exited:1 "); /* max_failures: 1 */
}

/* How the last driver's program came to its end, as the engine records it. */
static char *record_end(struct drive *d, int64_t number, struct engine_result r)
{
    char *path = fs_join(d->place->dir, "output__x/ends");
    struct store *s = drive_store(d);
    struct store_trial t;
    struct record record;
    assert_int_equal(store_trial(s, 0, number, &t, NULL), 0);
    r.id = (uint64_t)t.id << 20 | (uint64_t)t.attempts;
    r.started = t.started;
    r.ended = t.started + 5 * USEC_PER_SEC;
    store_trial_done(&t);
    store_close(s);
    assert_int_equal(record_open(&record, path, NULL), 0);
    assert_int_equal(record_append(&record, &r), 0);
    record_close(&record);
    return path;
}

static void what_had_ended_unseen_is_taken_as_ended(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3") LATER "reduce: {s: 1}\n");
    AUTO_FREE char *ends = record_end(d, 1, (struct engine_result){.end = ENGINE_EXITED});
    free(record_end(d, 2, (struct engine_result){.end = ENGINE_EXITED, .exit_status = 3}));
    d->record = ends;
    drive(d, ERR_NONE);
    /* the failure is tried again; it reported 5, and its next attempt nothing; a=2 6, a=1 7 */
    assert_log(d, "[s -a=2_1:success -a=3_2:pending +a=3_2 -a=3_2:success ]s [t +a=2_1 "
                  "-a=2_1:success ]t ");
    assert_attempts(d, 0, 1, "1:exited:0 ");
    assert_attempts(d, 0, 2, "1:exited:3 2:exited:0 ");
    AUTO_FREE char *result = fs_join(d->place->dir, "output__x/s/a=2_1/result.json");
    assert_true(fs_exists(result));
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 1, &t, NULL), 0);
    assert_true(t.has_objective && t.objective == 6);
    store_trial_done(&t);
    store_close(s);
}

static const struct engine_ops *fake;

/* The engine still has the program of an earlier process. */
static bool adopts(struct engine *e, uint64_t id)
{
    static const char *const nothing[] = {"x", NULL};
    struct engine_program p = {
        .id = id, .argv = nothing, .env = nothing, .directory = "/", .console = "/dev/null"};
    return fake->submit(e, &p, NULL) == 0;
}

static void what_outlived_the_driver_goes_on(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3") LATER "reduce: {s: 1}\n");
    d->room = 4; /* for more than goes on: that is not begun a second time */
    drive_open(d);
    fake = d->engine->ops;
    struct engine_ops ops = *fake;
    ops.adopt = adopts;
    d->engine->ops = &ops;
    drive_run(d, ERR_NONE);
    drive_close(d);
    assert_log(d, "[s +a=2_1 +a=3_2 -a=2_1:success -a=3_2:success ]s [t +a=3_2 -a=3_2:success ]t ");
    assert_attempts(d, 0, 1, "1:exited:0 ");
    assert_attempts(d, 0, 2, "1:exited:0 "); /* once, and what it reported counts */
}

/* Of an attempt before, or of what has ended since: not this one's. */
static void an_earlier_attempt_s_record_is_not_this_one_s(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3"));
    AUTO_FREE char *ends =
        record_end(d, 1, (struct engine_result){.end = ENGINE_LOST, .exit_status = -1});
    d->record = ends;
    d->room = 2;
    d->began = killed_at_the_third;
    drive_and_be_killed(d); /* a=2 was lost and is run again, when it is killed with a=3 */
    d->began = NULL;
    drive(d, ERR_NONE);
    assert_attempts(d, 0, 1, "1:lost:-1 2:interrupted:-1 3:exited:0 ");
    assert_attempts(d, 0, 0, "1:exited:0 ");
}

/* The last driver was told to stop, and killed before it could say so. */
static void who_was_stopped_unseen_is_run_again(void **state)
{
    struct drive *d = *state;
    leave_two_running(d, THREE("1, 2, 3") "max_failures: 0\n");
    AUTO_FREE char *ends =
        record_end(d, 1, (struct engine_result){.end = ENGINE_STOPPED, .exit_status = -1});
    d->record = ends;
    drive(d, ERR_NONE);
    assert_attempts(d, 0, 1, "1:interrupted:-1 2:exited:0 ");
}

static bool killed_in_the_second_stage(struct drive *d, const struct store_trial *t,
                                       struct engine_result *r)
{
    (void)d, (void)r;
    if (t->stage == 1 && t->number == 1)
        _exit(0);
    return true;
}

static void earlier_stages_are_not_run_again(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") LATER;
    d->began = killed_in_the_second_stage;
    drive_and_be_killed(d);
    d->began = NULL;
    drive(d, ERR_NONE);
    assert_log(d, "[s ]s [t +a=2_1 -a=2_1:success ]t ");
}

static bool killed_at_some_point(struct drive *d, const struct store_trial *t,
                                 struct engine_result *r)
{
    (void)t;
    if (d->n-- == 0)
        _exit(0);
    *r = drive_exit(rand() % 4 == 0);
    return rand() % 3 != 0;
}

static void end_some(struct drive *d)
{
    if (engine_fake_count(d->engine))
        drive_end(d, 0, drive_exit(0));
}

/* Killed again and again at its every beginning, it comes to its end, with each trial done once. */
static void kills_at_every_point_lose_nothing(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2, 3, 4, 5, 6") LATER "max_failures: -1\n";
    d->room = 3;
    d->tick = end_some;
    d->began = killed_at_some_point;
    for (int i = 0; i < 12; i++) {
        srand((unsigned)i);
        d->n = i % 3;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            drive_open(d);
            (void)!driver_run(d->driver, &d->err);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    d->n = -1;
    d->began = NULL;
    drive_open(d);
    int rc = driver_run(d->driver, &d->err);
    const struct driver_status *s = driver_status(d->driver);
    assert_int_equal(rc, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s->stages[i].by_state[TRIAL_SUCCESS], 6);
        assert_int_equal(s->stages[i].by_state[TRIAL_RUNNING], 0);
        assert_int_equal(s->stages[i].by_state[TRIAL_PENDING], 0);
    }
    drive_close(d);
}

static void failed_trials_get_another_chance(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") "max_failures: 0\n";
    d->began = always_fails;
    drive(d, ERR_PARTIAL);
    d->began = NULL;
    drive_open(d);
    drive_run(d, ERR_NONE);
    assert_int_equal(driver_status(d->driver)->stages[0].by_state[TRIAL_SUCCESS], 2);
    assert_int_equal(driver_status(d->driver)->stages[0].by_state[TRIAL_FAILURE], 0);
    drive_close(d);
    assert_trials(d, "0/a=1_0:success*2 0/a=2_1:success*2 ");
}

/* ---- reuse ------------------------------------------------------------------------------------
 */

static bool reports(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    const struct engine_program *p =
        engine_fake_program(d->engine, engine_fake_count(d->engine) - 1);
    if (t->stage == 0)
        drive_report_loss(d, t, strtod(p->argv[4], NULL));
    AUTO_FREE char *in = mem_printf("output__x/%s/%s/mine", d->e.stages[t->stage].name, t->name);
    free(place_write(d->place, in, 0600, "x"));
    d->n++;
    return true;
}

static bool in_results(struct drive *d, const char *name)
{
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    AUTO_FREE char *path = fs_join(results, name);
    return fs_exists(path);
}

static void unchanged_trials_are_taken_from_the_earlier_run(void **state)
{
    struct drive *d = *state;
    d->began = reports;
    d->text = THREE("1, 2, 3") LATER;
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 6);
    d->text = THREE("3, 4, 1") LATER;
    d->reuse = true;
    drive_open(d);
    drive_run(d, ERR_NONE);
    const struct driver_stage *s = &driver_status(d->driver)->stages[0];
    assert_int_equal(s->by_state[TRIAL_SUCCESS], 3);
    assert_true(s->has_best && s->best == 1);
    assert_string_equal(s->best_name, "a=1_2"); /* taken from the earlier run */
    drive_close(d);
    assert_log(d, "[s +a=4_1 -a=4_1:success ]s [t +a=4_1 -a=4_1:success ]t ");
    assert_string_equal(buf_text(&d->said),
                        "stage 's': 2 taken from the earlier run, 1 run: the stage's text has "
                        "changed;stage 't': 2 taken from the earlier run, 1 run: an earlier "
                        "stage's trials or the options differ;");
    assert_trials(d, "0/a=3_0:success*1 0/a=4_1:success*1 0/a=1_2:success*1 "
                     "1/a=3_0:success*1 1/a=4_1:success*1 1/a=1_2:success*1 ");
    assert_true(in_results(d, "s/a=3_0/mine") && in_results(d, "s/a=1_2/mine") &&
                in_results(d, "t/a=1_2/mine"));
    assert_false(in_results(d, ".earlier")); /* all is done: what was not taken is removed */
    assert_false(in_results(d, "s/a=2_1"));
}

static void nothing_changed_is_nothing_run(void **state)
{
    struct drive *d = *state;
    d->began = reports;
    d->text = THREE("1, 2, 3") LATER "reduce: {s: 1}\n";
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 4);
    d->reuse = true;
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 4);
    assert_log(d, "[s ]s [t ]t ");
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 4);
}

/* What was built on a trial that is run anew is run anew. */
static void what_follows_a_change_is_run_too(void **state)
{
    struct drive *d = *state;
    free(place_write(d->place, "data.txt", 0600, "1"));
    d->text = HEAD "  s: !Script\n    script: m\n    args: [data.txt]\n    kwargs: {a: !g [1, 2]}\n"
                   "  t: !Script\n    script: m\n    args: [!@ s.dir]\n"
                   "  u: !Script\n    script: m\n";
    drive(d, ERR_NONE);
    free(place_write(d->place, "data.txt", 0600, "2"));
    d->reuse = true;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:success ]s "
                  "[t +a=1_0 -a=1_0:success +a=2_1 -a=2_1:success ]t [u ]u ");
    assert_string_equal(buf_text(&d->said),
                        "stage 's': 2 run: 'data.txt' has changed;stage 't': 2 run: an earlier "
                        "stage's trials or the options differ;stage 'u': 1 taken from the "
                        "earlier run;");
}

static void without_reuse_nothing_is_taken(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2");
    d->began = reports;
    drive(d, ERR_NONE);
    AUTO_FREE char *results = fs_join(d->place->dir, "output__x");
    assert_int_equal(fs_remove_tree(results, NULL), 0);
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 4);
}

static bool second_fails(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)d;
    *r = drive_exit(t->number == 1 && t->stage == 0);
    return true;
}

static void failures_are_not_taken(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") "max_failures: 0\n";
    d->began = second_fails;
    drive(d, ERR_PARTIAL);
    d->text = THREE("1, 2") "max_failures: 0\nmerge_plot: false\n";
    d->began = NULL;
    d->reuse = true;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=2_1 -a=2_1:success ]s ");
}

static bool drains(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    driver_drain(d->driver);
    return t->id != 0;
}

static void a_reuse_that_was_interrupted_goes_on(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2, 3");
    drive(d, ERR_NONE);
    d->text = THREE("4, 2, 3");
    d->reuse = true;
    d->began = drains;
    drive(d, ERR_CANCELLED);
    assert_log(d, "[s +a=4_0 -a=4_0:success ");
    assert_true(in_results(d, ".earlier/1/s/a=2_1"));
    d->began = NULL;
    drive(d, ERR_NONE);
    assert_log(d, "[s ]s ");
    assert_false(in_results(d, ".earlier"));
}

static void a_search_s_trials_are_taken_too(void **state)
{
    struct drive *d = *state;
    d->began = reports;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1.5, 1]}\n" BY_LOSS LATER
                   "search: {s: !random {trials: 5}}\n";
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 10);
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1.5, 1]}\n" BY_LOSS LATER
                   "search: {s: !random {trials: 8}}\n";
    d->reuse = true;
    d->n = 0;
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 6);
    assert_non_null(strstr(buf_text(&d->said), "5 taken from the earlier run, 3 run"));
}

/* What was taken is what new trials are compared with. a=1 ends at once. */
static bool reports_steps(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    AUTO_FREE char *line =
        mem_printf("{\"step\": 1, \"epoch\": 3, \"loss\": %d}", (int)strtol(t->name + 2, NULL, 10));
    drive_report(d, t, line);
    return d->reuse == false || t->number == 0;
}

static void end_if_stopped(struct drive *d)
{
    if (engine_fake_count(d->engine) == 0)
        return;
    bool stopped = engine_fake_stopped(d->engine, engine_fake_program(d->engine, 0)->id);
    if (stopped)
        drive_end(d, 0, (struct engine_result){.end = ENGINE_STOPPED, .exit_status = -1});
    else if (++d->m == 10)
        drive_end(d, 0, drive_exit(0));
}

static void assert_compared(struct drive *d, const char *first, const char *then)
{
    d->text = first;
    d->reuse = false;
    d->began = reports_steps;
    drive(d, ERR_NONE);
    d->text = then;
    d->reuse = true;
    d->tick = end_if_stopped;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=15_1 -a=15_1:stopped ]s ");
}

static void a_scheduler_compares_with_what_was_taken(void **state)
{
    struct drive *d = *state;
    assert_compared(d, THREE("1, 12") "schedulers: {s: !asha {grace_period: 1}}\n",
                    THREE("1, 15") "schedulers: {s: !asha {grace_period: 1}}\n");
}

/* The step would be below the first rung. */
static void it_compares_by_the_clock_of_the_file(void **state)
{
    struct drive *d = *state;
    assert_compared(d,
                    THREE("1, 12") "schedulers: {s: !asha {grace_period: 3, time_attr: epoch}}\n",
                    THREE("1, 15") "schedulers: {s: !asha {grace_period: 3, time_attr: epoch}}\n");
}

/* The reason names what changed, though an earlier stage had ended in a driver before. */
static void what_changed_is_told_after_an_interrupted_run_too(void **state)
{
    struct drive *d = *state;
    free(place_write(d->place, "data.txt", 0600, "1"));
    d->text = HEAD "  s: !Script\n    script: m\n    args: [data.txt]\n"
                   "  t: !Script\n    script: m\n    args: [!@ s.dir, !g [1, 2]]\n";
    d->began = killed_in_the_second_stage;
    drive_and_be_killed(d);
    d->began = NULL;
    drive(d, ERR_NONE);
    free(place_write(d->place, "data.txt", 0600, "2"));
    d->reuse = true;
    drive(d, ERR_NONE);
    assert_true(str_starts(buf_view(&d->said), "stage 's': 1 run: 'data.txt' has changed;"));
}

/* ---- resume -----------------------------------------------------------------------------------
 */

static void a_resumed_stage_is_taken_whatever_changed(void **state)
{
    struct drive *d = *state;
    free(place_write(d->place, "data.txt", 0600, "1"));
    d->text = HEAD
        "  s: !Script\n    script: m\n    args: [data.txt]\n    kwargs: {a: !g [1, 2]}\n" LATER;
    drive(d, ERR_NONE);
    free(place_write(d->place, "data.txt", 0600, "2"));
    d->text =
        HEAD "  s: !Script\n    script: m\n    args: [data.txt]\n    kwargs: {a: !g [2, 1]}\n" LATER
             "resume: s\n";
    drive(d, ERR_NONE);
    assert_log(d, "[s ]s [t +a=2_0 -a=2_0:success +a=1_1 -a=1_1:success ]t ");
}

static void a_resumed_stage_must_be_there(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") LATER;
    drive(d, ERR_NONE);
    d->text = THREE("1, 2, 3") LATER "resume: s\n";
    drive(d, ERR_FILE);
    assert_string_equal(d->err.msg, "stage 's': 'resume' takes 's' from the earlier run, which has "
                                    "no result of its trial 'a=3_2'");
}

static void without_an_earlier_run_there_is_nothing_to_resume(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") LATER "resume: s\n";
    drive(d, ERR_FILE);
    assert_non_null(strstr(d->err.msg, "no result of its trial 'a=1_0'"));
}

static void a_resumed_trial_whose_directory_is_gone_is_an_error(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2") LATER;
    drive(d, ERR_NONE);
    AUTO_FREE char *directory = fs_join(d->place->dir, "output__x/s/a=2_1");
    assert_int_equal(fs_remove_tree(directory, NULL), 0);
    d->text = THREE("1, 2") LATER "resume: s\n";
    drive(d, ERR_FILE);
    assert_string_equal(d->err.msg,
                        "stage 's': the directory of the earlier run's trial 'a=2_1' is gone");
}

/* With reuse it is run again. */
static void a_reused_trial_whose_directory_is_gone_is_run(void **state)
{
    struct drive *d = *state;
    d->text = THREE("1, 2");
    drive(d, ERR_NONE);
    AUTO_FREE char *directory = fs_join(d->place->dir, "output__x/s/a=2_1");
    assert_int_equal(fs_remove_tree(directory, NULL), 0);
    d->reuse = true;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=2_1 -a=2_1:success ]s ");
}

#define T(f) cmocka_unit_test_setup_teardown(f, drive_set_up, drive_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_running_is_run_again),
        T(to_be_killed_is_no_failure_of_the_trial),
        T(what_had_ended_unseen_is_taken_as_ended),
        T(what_outlived_the_driver_goes_on),
        T(an_earlier_attempt_s_record_is_not_this_one_s),
        T(who_was_stopped_unseen_is_run_again),
        T(earlier_stages_are_not_run_again),
        T(kills_at_every_point_lose_nothing),
        T(failed_trials_get_another_chance),
        T(unchanged_trials_are_taken_from_the_earlier_run),
        T(nothing_changed_is_nothing_run),
        T(what_follows_a_change_is_run_too),
        T(without_reuse_nothing_is_taken),
        T(failures_are_not_taken),
        T(a_reuse_that_was_interrupted_goes_on),
        T(a_search_s_trials_are_taken_too),
        T(a_scheduler_compares_with_what_was_taken),
        T(it_compares_by_the_clock_of_the_file),
        T(what_changed_is_told_after_an_interrupted_run_too),
        T(a_resumed_stage_is_taken_whatever_changed),
        T(a_resumed_stage_must_be_there),
        T(without_an_earlier_run_there_is_nothing_to_resume),
        T(a_resumed_trial_whose_directory_is_gone_is_an_error),
        T(a_reused_trial_whose_directory_is_gone_is_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The driver: which trials begin, in which order, and what becomes of those that fail.
 * (test_driver_again.c: a later driver; test_driver_choice.c: which trials later stages see.) */
#include "drive.h"
#include <malloc.h>
#include <sqlite3.h>

#define FIVE HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2, 3, 4, 5]}\n"
#define ONE HEAD "  s: !Script\n    script: m\n"
#define TWO_STAGES                                                      \
    HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2, 3]}\n" \
         "  t: !Script\n    script: m\n    args: [!@ s.dir, !g [x, y]]\n"

/* ---- order ------------------------------------------------------------------------------------
 */

static void trials_begin_in_order(void **state)
{
    struct drive *d = *state;
    d->text = TWO_STAGES;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:success +a=3_2 -a=3_2:success ]s "
                  "[t +a=1,args_1=x_0 -a=1,args_1=x_0:success +a=2,args_1=x_1 "
                  "-a=2,args_1=x_1:success +a=3,args_1=x_2 -a=3,args_1=x_2:success "
                  "+a=1,args_1=y_3 -a=1,args_1=y_3:success +a=2,args_1=y_4 "
                  "-a=2,args_1=y_4:success +a=3,args_1=y_5 -a=3,args_1=y_5:success ]t ");
    assert_int_equal(d->most, 1);
    assert_run_state(d, "finished");
}

/* Ends the oldest as soon as two run. */
static bool when_two_run(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)t;
    if (engine_fake_count(d->engine) == 2)
        drive_end(d, 0, *r);
    return false;
}

static void end_the_oldest(struct drive *d)
{
    if (engine_fake_count(d->engine))
        drive_end(d, 0, drive_exit(0));
}

static void as_many_run_as_there_is_room_for(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->room = 2;
    d->began = when_two_run;
    d->tick = end_the_oldest;
    drive(d, ERR_NONE);
    assert_non_null(strstr(buf_text(&d->log), "[s +a=1_0 +a=2_1 -a=1_0:success "));
    const char *at = buf_text(&d->log);
    for (int i = 0; i < 5; i++) {
        AUTO_FREE char *begun = mem_printf("+a=%d_%d ", i + 1, i);
        at = strstr(at, begun); /* in order */
        assert_non_null(at);
    }
    assert_int_equal(d->most, 2);
}

static bool later(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)d, (void)t, (void)r;
    return false;
}

static void one_at_a_time_is_one_at_a_time(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n";
    d->room = 4;
    d->one_at_a_time = true;
    d->began = later;
    d->tick = end_the_oldest;
    drive(d, ERR_NONE);
    assert_int_equal(d->most, 1);
}

/* A stage begins when the one before has ended, linked or not. */
static void stages_follow_each_other(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n  t: !Script\n    script: m\n";
    d->room = 4;
    d->began = later;
    d->tick = end_the_oldest;
    drive(d, ERR_NONE);
    assert_log(d, "[s +0 -0:success ]s [t +0 -0:success ]t ");
}

/* ---- what the engine gets ---------------------------------------------------------------------
 */

static bool has_env(const struct engine_program *p, const char *entry)
{
    for (size_t i = 0; p->env[i]; i++)
        if (strcmp(p->env[i], entry) == 0)
            return true;
    return false;
}

static bool look_at_program(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
    const struct engine_program *p = engine_fake_program(d->engine, 0);
    AUTO_FREE char *directory = drive_directory(d, t->stage, t->name);
    AUTO_FREE char *console = fs_join(directory, "console.out");
    AUTO_FREE char *params = fs_join(directory, "params.json");
    AUTO_FREE char *dir = mem_printf("FLAMBE_DIR=%s", directory);
    AUTO_FREE char *attempt = mem_printf("FLAMBE_ATTEMPT=%d", t->attempts);
    assert_string_equal(p->argv[0], "/py");
    assert_string_equal(p->argv[3], "--a");
    assert_string_equal(p->argv[4], "2.5");
    assert_null(p->argv[5]);
    assert_string_equal(p->directory, d->place->dir);
    assert_string_equal(p->console, console);
    assert_int_equal(p->cpus, 2);
    assert_int_equal(p->gpus, 0);
    assert_int_equal(p->time_limit, 90 * USEC_PER_SEC);
    assert_int_equal(p->memory_limit, 2000000);
    assert_true(has_env(p, dir) && has_env(p, "PATH=/usr/bin:/bin") &&
                has_env(p, "FLAMBE_TRIAL=0") && has_env(p, "FLAMBE=/flambe"));
    assert_true(has_env(p, attempt));
    assert_true(fs_exists(params));
    *r = drive_exit(d->n++ == 0 ? 1 : 0);
    return true;
}

static void the_engine_gets_the_program_and_its_limits(void **state)
{
    struct drive *d = *state;
    d->text = "!Experiment\nname: x\ndevices: {cpu: 2}\npipeline:\n  s: !Script\n    script: m\n"
              "    time_limit: 90\n    memory_limit: 2 MB\n    kwargs: {a: 2.5}\n";
    d->began = look_at_program;
    drive(d, ERR_NONE);
    assert_int_equal(d->n, 2);
}

static bool say_host(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)d, (void)t;
    r->started = 1000 * USEC_PER_SEC;
    r->ended = 1004 * USEC_PER_SEC;
    r->user_time = 5;
    r->system_time = 6;
    r->memory_peak = 7;
    r->console_dropped = 8;
    snprintf(r->host, sizeof r->host, "node3");
    return true;
}

static void what_the_engine_says_is_kept(void **state)
{
    struct drive *d = *state;
    d->text = ONE;
    d->began = say_host;
    drive(d, ERR_NONE);
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_int_equal(t.started, 1000 * USEC_PER_SEC);
    assert_int_equal(t.ended, 1004 * USEC_PER_SEC);
    assert_int_equal(t.user_time, 5);
    assert_int_equal(t.system_time, 6);
    assert_int_equal(t.memory_peak, 7);
    assert_string_equal(t.host, "node3");
    assert_string_equal(t.end, "exited");
    assert_string_equal(t.warning, "8 bytes of its output were left out");
    assert_int_equal(strlen(t.fingerprint), 64);
    store_trial_done(&t);
    store_close(s);
    AUTO_FREE char *result = fs_join(d->place->dir, "output__x/s/0/result.json");
    assert_true(fs_exists(result));
}

/* ---- failures ---------------------------------------------------------------------------------
 */

/* The second trial (number 1) fails n times. */
static bool second_fails(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    *r = drive_exit(t->stage == 0 && t->number == 1 && d->n-- > 0 ? 3 : 0);
    return true;
}

static void a_failed_trial_is_tried_again(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2, 3]}\n";
    d->began = second_fails;
    d->n = 1;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:pending +a=2_1 -a=2_1:success +a=3_2 "
                  "-a=3_2:success ]s ");
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:success*2 0/a=3_2:success*1 ");
    assert_attempts(d, 0, 1, "1:exited:3 2:exited:0 ");
}

static void a_trial_that_fails_too_often_has_failed(void **state)
{
    struct drive *d = *state;
    d->text = TWO_STAGES;
    d->began = second_fails;
    d->n = 2;
    drive(d, ERR_PARTIAL);
    assert_string_equal(d->err.msg, "1 of 3 trials of 's' failed");
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:pending +a=2_1 -a=2_1:failure +a=3_2 "
                  "-a=3_2:success ]s ");
    assert_run_state(d, "failed");
    struct store *s = drive_store(d);
    struct store_stage *stages;
    size_t count;
    assert_int_equal(store_stages(s, &stages, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(stages[0].state, STAGE_FAILED);
    assert_int_equal(stages[1].state, STAGE_PENDING);
    store_stages_free(stages, count);
    store_close(s);
}

static void without_retries_the_first_failure_is_the_last(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\nmax_failures: 0\n";
    d->began = second_fails;
    d->n = 1;
    drive(d, ERR_PARTIAL);
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:failure*1 ");
}

/* At once, then after 0.1 s, 0.2 s, 0.4 s. */
static void pauses_between_failures_grow(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\nmax_failures: -1\n";
    d->began = second_fails;
    d->n = 5;
    usec_t began = clock_mono(clock_system());
    drive(d, ERR_NONE);
    usec_t span = clock_mono(clock_system()) - began;
    assert_true(span >= 1500 * USEC_PER_MSEC && span < 10 * USEC_PER_SEC);
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:success*6 ");
}

/* Meanwhile the others run. */
static void a_pause_holds_up_no_other(void **state)
{
    struct drive *d = *state;
    d->text =
        HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2, 3, 4]}\nmax_failures: 3\n";
    d->began = second_fails;
    d->n = 2;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:pending +a=2_1 -a=2_1:pending +a=3_2 "
                  "-a=3_2:success +a=4_3 -a=4_3:success +a=2_1 -a=2_1:success ]s ");
}

static void with_failures_allowed_later_stages_run_without_them(void **state)
{
    struct drive *d = *state;
    d->text = TWO_STAGES "stop_on_failure: false\nmax_failures: 0\n";
    d->began = second_fails;
    d->n = 1;
    drive(d, ERR_PARTIAL);
    assert_string_equal(d->err.msg, "1 trial failed");
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:failure +a=3_2 -a=3_2:success ]s "
                  "[t +a=1,args_1=x_0 -a=1,args_1=x_0:success +a=3,args_1=x_2 "
                  "-a=3,args_1=x_2:success +a=1,args_1=y_3 -a=1,args_1=y_3:success "
                  "+a=3,args_1=y_5 -a=3,args_1=y_5:success ]t ");
    assert_run_state(d, "failed");
}

static bool all_of_the_first_fail(struct drive *d, const struct store_trial *t,
                                  struct engine_result *r)
{
    (void)d;
    *r = drive_exit(t->stage == 0);
    return true;
}

static void where_all_failed_nothing_is_left_to_run(void **state)
{
    struct drive *d = *state;
    d->text = TWO_STAGES "stop_on_failure: false\nmax_failures: 0\n";
    d->began = all_of_the_first_fail;
    drive_open(d);
    drive_run(d, ERR_PARTIAL);
    assert_string_equal(d->err.msg, "3 trials failed");
    assert_int_equal(driver_status(d->driver)->stages[1].planned, 0);
    assert_non_null(strstr(buf_text(&d->log), "]s [t ]t "));
    drive_close(d);
}

/* ---- other ends -------------------------------------------------------------------------------
 */

/* n attempts are lost. */
static bool is_lost(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)t;
    if (d->n-- > 0)
        *r = (struct engine_result){.end = ENGINE_LOST, .exit_status = -1};
    return true;
}

static void a_lost_trial_is_run_again_and_is_no_failure(void **state)
{
    struct drive *d = *state;
    d->text = ONE "max_failures: 0\n";
    d->began = is_lost;
    d->n = 10;
    drive(d, ERR_NONE);
    assert_trials(d, "0/0:success*11 ");
}

static void a_trial_that_is_lost_again_and_again_has_failed(void **state)
{
    struct drive *d = *state;
    d->text = ONE "max_failures: -1\n";
    d->began = is_lost;
    d->n = 1000;
    drive(d, ERR_PARTIAL);
    assert_trials(d, "0/0:failure*11 ");
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_string_equal(t.warning, "its host died 11 times");
    store_trial_done(&t);
    store_close(s);
}

static bool ends_badly(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    static const enum engine_end ends[] = {ENGINE_NOT_STARTED, ENGINE_SIGNALLED, ENGINE_TIMED_OUT,
                                           ENGINE_OUT_OF_MEMORY, ENGINE_STOPPED};
    *r = (struct engine_result){.end = ends[t->number], .exit_status = -1};
    r->signal = r->end == ENGINE_SIGNALLED ? 11 : 0;
    if (r->end == ENGINE_NOT_STARTED)
        snprintf(r->message, sizeof r->message, "no such program");
    (void)d;
    return true;
}

static void every_other_end_is_a_failure(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->began = ends_badly;
    drive(d, ERR_PARTIAL);
    assert_string_equal(d->err.msg, "5 of 5 trials of 's' failed");
    for (int i = 0; i < 5; i++) {
        struct engine_result r;
        struct store_trial t = {.number = i};
        ends_badly(d, &t, &r);
        AUTO_FREE char *want =
            mem_printf("1:%s:-1 2:%s:-1 ", engine_end_name(r.end), engine_end_name(r.end));
        assert_attempts(d, 0, i, want);
    }
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_string_equal(t.message, "no such program");
    store_trial_done(&t);
    store_close(s);
}

static bool breaks_at_the_second(struct drive *d, const struct store_trial *t,
                                 struct engine_result *r)
{
    (void)r;
    if (t->number == 0)
        return true;
    struct err why = {0};
    err_set(&why, ERR_UNREACHABLE, "the supervisor is gone");
    engine_fake_break(d->engine, &why);
    return false;
}

static void a_broken_engine_ends_the_run_and_keeps_what_has_ended(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->began = breaks_at_the_second;
    drive(d, ERR_UNREACHABLE);
    assert_string_equal(d->err.msg, "stage 's': the supervisor is gone");
    d->began = NULL;
    drive(d, ERR_NONE);
    assert_null(strstr(buf_text(&d->log), "+a=1_0"));
    assert_non_null(strstr(buf_text(&d->log), "+a=2_1"));
}

/* In one turn: the end of a trial, and the engine's. */
static bool ends_and_breaks(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    if (t->number == 0)
        return false;
    drive_end(d, 0, drive_exit(0));
    return breaks_at_the_second(d, t, r);
}

static void an_end_in_the_engine_s_last_words_is_kept(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->room = 2;
    d->began = ends_and_breaks;
    drive(d, ERR_UNREACHABLE);
    struct store *s = drive_store(d);
    struct store_trial t;
    assert_int_equal(store_trial(s, 0, 0, &t, NULL), 0);
    assert_int_equal(t.state, TRIAL_SUCCESS);
    store_trial_done(&t);
    store_close(s);
}

/* Room comes later, as where others use the machine too. */
static size_t no_room_at_first(const struct engine *e, int cpus, int gpus);
static struct drive *crowded;
static struct engine_ops crowded_ops;
static const struct engine_ops *real_ops;

static size_t no_room_at_first(const struct engine *e, int cpus, int gpus)
{
    return crowded->n++ < 3 ? 0 : real_ops->room(e, cpus, gpus);
}

static void share_engine(struct drive *d,
                         size_t (*room)(const struct engine *e, int cpus, int gpus))
{
    crowded = d;
    real_ops = d->engine->ops;
    crowded_ops = *real_ops;
    crowded_ops.room = room;
    d->engine->ops = &crowded_ops;
}

static void room_is_waited_for(void **state)
{
    struct drive *d = *state;
    d->text = ONE;
    drive_open(d);
    share_engine(d, no_room_at_first);
    drive_run(d, ERR_NONE);
    drive_close(d);
    assert_log(d, "[s +0 -0:success ]s ");
}

static bool second_goes_on(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)d;
    if (t->number == 1)
        return false;
    if (t->attempts < 4)
        *r = drive_exit(1);
    return true;
}

static size_t counted_room(const struct engine *e, int cpus, int gpus)
{
    crowded->n++;
    return real_ops->room(e, cpus, gpus);
}

static void end_at_the_tenth_tick(struct drive *d)
{
    if (engine_fake_count(d->engine) && ++d->m == 10)
        drive_end(d, 0, drive_exit(0));
}

/* The first is to be tried again after a pause, which ends while the second has the only place. */
static void one_that_is_due_without_room_does_not_keep_the_driver_awake(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n"
                   "max_failures: 5\n";
    d->began = second_goes_on;
    d->tick = end_at_the_tenth_tick;
    drive_open(d);
    share_engine(d, counted_room);
    drive_run(d, ERR_NONE);
    drive_close(d);
    if (d->n > 150) /* some for each turn, and a turn for each of the ten ticks */
        fail_msg("%d turns", d->n);
}

/* ---- ending it from outside -------------------------------------------------------------------
 */

static bool drains_at_the_second(struct drive *d, const struct store_trial *t,
                                 struct engine_result *r)
{
    (void)r;
    if (t->number == 1)
        driver_drain(d->driver);
    return t->number == 0;
}

static void a_drained_run_ends_what_runs_and_goes_on_later(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->began = drains_at_the_second;
    d->tick = end_the_oldest;
    drive_open(d);
    drive_run(d, ERR_CANCELLED);
    assert_true(driver_status(d->driver)->draining);
    drive_close(d);
    assert_log(d, "[s +a=1_0 -a=1_0:success +a=2_1 -a=2_1:success ");
    assert_run_state(d, "stopped");
    d->began = NULL;
    drive(d, ERR_NONE);
    assert_log(d, "[s +a=3_2 -a=3_2:success +a=4_3 -a=4_3:success +a=5_4 -a=5_4:success ]s ");
}

static void a_drain_with_the_last_trial_is_a_success(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n";
    d->began = drains_at_the_second;
    d->tick = end_the_oldest;
    drive(d, ERR_NONE);
    assert_run_state(d, "finished");
}

static void a_drain_between_stages_begins_none(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n"
                   "  t: !Script\n    script: m\n";
    d->began = drains_at_the_second;
    d->tick = end_the_oldest;
    drive(d, ERR_CANCELLED);
    assert_null(strstr(buf_text(&d->log), "[t"));
    assert_run_state(d, "stopped");
}

static void fail_the_oldest(struct drive *d)
{
    if (engine_fake_count(d->engine))
        drive_end(d, 0, drive_exit(1));
}

static void a_drain_tries_no_trial_again(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n";
    d->began = drains_at_the_second;
    d->tick = fail_the_oldest;
    drive(d, ERR_CANCELLED);
    assert_trials(d, "0/a=1_0:success*1 0/a=2_1:pending*1 ");
}

/* As Ctrl-C twice: what was asked to end, ends. */
static void stop_all(struct drive *d)
{
    driver_stop(d->driver);
    for (size_t i = engine_fake_count(d->engine); i-- > 0;)
        if (engine_fake_stopped(d->engine, engine_fake_program(d->engine, i)->id))
            drive_end(d, i, (struct engine_result){.end = ENGINE_STOPPED, .exit_status = -1});
}

static void a_stop_ends_what_runs(void **state)
{
    struct drive *d = *state;
    d->text = FIVE "max_failures: 0\n";
    d->room = 2;
    d->began = later;
    d->tick = stop_all;
    drive(d, ERR_CANCELLED);
    assert_run_state(d, "stopped");
    assert_trials(d, "0/a=1_0:pending*1 0/a=2_1:pending*1 ");
    d->began = NULL;
    d->tick = NULL;
    drive(d, ERR_NONE); /* which was nobody's failure */
    assert_attempts(d, 0, 0, "1:interrupted:-1 2:exited:0 ");
}

/* None is left to begin, but none has ended by itself either. */
static void a_stop_of_the_last_trials_is_no_success(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !g [1, 2]}\n";
    d->room = 2;
    d->began = later;
    d->tick = stop_all;
    drive(d, ERR_CANCELLED);
    assert_run_state(d, "stopped");
    assert_null(strstr(buf_text(&d->log), "]s"));
    d->began = NULL;
    d->tick = NULL;
    drive(d, ERR_NONE);
    assert_run_state(d, "finished");
}

static void cancel(struct drive *d)
{
    loop_cancel(d->loop);
}

static void a_cancelled_loop_leaves_trials_for_the_next_driver(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->room = 2;
    d->began = later;
    d->tick = cancel;
    drive(d, ERR_CANCELLED);
    assert_run_state(d, "stopped");
    assert_trials(d, "0/a=1_0:pending*1 0/a=2_1:pending*1 ");
    d->began = NULL;
    d->tick = NULL;
    drive(d, ERR_NONE);
    assert_attempts(d, 0, 1, "1:interrupted:-1 2:exited:0 ");
}

/* ---- status -----------------------------------------------------------------------------------
 */

static bool with_losses(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    static const double losses[] = {3, 1, 0, 5, 4};
    if (t->stage == 1)
        return true;
    drive_report_loss(d, t, losses[t->number]);
    r->started = 1000 * USEC_PER_SEC;
    r->ended = 1010 * USEC_PER_SEC;
    *r = t->number == 2 ? drive_exit(1) : *r;
    return t->number < 3 || d->n;
}

static void look_at_status(struct drive *d)
{
    const struct driver_status *s = driver_status(d->driver);
    if (engine_fake_count(d->engine) == 0 || d->n++)
        return;
    assert_int_equal(s->count, 2);
    assert_int_equal(s->stages[0].state, STAGE_RUNNING);
    assert_int_equal(s->stages[0].planned, 5);
    assert_int_equal(s->stages[0].by_state[TRIAL_SUCCESS], 2);
    assert_int_equal(s->stages[0].by_state[TRIAL_FAILURE], 1);
    assert_int_equal(s->stages[0].by_state[TRIAL_RUNNING], 1);
    assert_int_equal(s->stages[0].by_state[TRIAL_PENDING], 1);
    assert_string_equal(s->stages[0].metric, "loss");
    assert_true(s->stages[0].has_best);
    assert_true(s->stages[0].best == 1);
    assert_string_equal(s->stages[0].best_name, "a=2_1");
    assert_int_equal(s->stages[1].state, STAGE_PENDING);
    assert_int_equal(s->stages[1].planned, 1);
    assert_int_equal(s->stages[1].by_state[TRIAL_PENDING], 1);
    assert_int_equal(s->stages[1].time_left, -1);
    assert_int_equal(s->time_left, -1); /* of the second stage nothing is known */
    assert_true(s->began > 0);
    driver_drain(d->driver);
    drive_end(d, 0, drive_exit(0));
}

static void the_status_has_the_numbers(void **state)
{
    struct drive *d = *state;
    d->text = HEAD "  s: !Script\n    script: m\n" BY_LOSS "    kwargs: {a: !g [1, 2, 3, 4, 5]}\n"
                   "  t: !Script\n    script: m\nmax_failures: 0\n";
    d->began = with_losses;
    d->tick = look_at_status;
    drive(d, ERR_CANCELLED);
    assert_int_equal(d->n, 1);
    d->began = NULL;
    d->tick = NULL;
    drive_open(d);
    assert_int_equal(driver_status(d->driver)->stages[0].state, STAGE_PENDING);
    d->began = with_losses;
    drive_run(d, ERR_PARTIAL);
    const struct driver_status *s = driver_status(d->driver);
    assert_int_equal(s->stages[0].state, STAGE_FAILED);
    assert_int_equal(s->stages[0].by_state[TRIAL_SUCCESS], 4);
    assert_int_equal(s->stages[0].by_state[TRIAL_PENDING], 0);
    assert_int_equal(s->stages[0].time_left, 0);
    assert_string_equal(s->stages[0].best_name, "a=2_1"); /* of the earlier session */
    drive_close(d);
}

static void look_at_time_left(struct drive *d)
{
    const struct driver_stage *s = &driver_status(d->driver)->stages[0];
    size_t count = engine_fake_count(d->engine);
    if (count == 2 && s->by_state[TRIAL_SUCCESS] == 0) {
        assert_int_equal(s->time_left, -1);
        drive_end(
            d, 0,
            (struct engine_result){.started = 1000 * USEC_PER_SEC, .ended = 1010 * USEC_PER_SEC});
    } else if (count == 2 && d->n++ == 0) {
        assert_int_equal(s->by_state[TRIAL_PENDING], 2);
        /* two to come and two half done, of 10 s each, by two at once */
        assert_int_equal(s->time_left, 15 * USEC_PER_SEC);
        assert_int_equal(driver_status(d->driver)->time_left, 15 * USEC_PER_SEC);
    } else {
        end_the_oldest(d);
    }
}

static void the_time_left_is_estimated(void **state)
{
    struct drive *d = *state;
    d->text = FIVE;
    d->room = 2;
    d->began = later;
    d->tick = look_at_time_left;
    drive(d, ERR_NONE);
    assert_true(d->n > 0);
}

/* ---- many -------------------------------------------------------------------------------------
 */

#ifdef __SANITIZE_ADDRESS__
#define MANY 500
#else
#define MANY 6000
#endif

#ifndef __SANITIZE_ADDRESS__
/* Without SQLite's, whose cache of pages fills up to its bound. */
static double own_memory(void)
{
    return (double)mallinfo2().uordblks - (double)sqlite3_memory_used();
}
#endif

static bool measure(struct drive *d, const struct store_trial *t, struct engine_result *r)
{
    (void)r;
#ifndef __SANITIZE_ADDRESS__
    if (t->number == 1000)
        d->x = own_memory();
    if (t->number == MANY - 1000)
        d->x = own_memory() - d->x;
#else
    (void)t;
#endif
    d->n++;
    return true;
}

/* The log of events is the test's own: it is emptied. */
static void forget(struct drive *d, const struct store_trial *t)
{
    (void)t;
    buf_clear(&d->log);
}

static void many_trials_take_no_more_memory_than_few(void **state)
{
    struct drive *d = *state;
    AUTO_FREE char *text =
        mem_printf(HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1.5, %d]}\n", MANY);
    d->text = text;
    d->room = 8;
    d->began = measure;
    d->ended = forget;
    usec_t began = clock_mono(clock_system());
    drive(d, ERR_NONE);
    print_message("# %d trials in %.1f s, %.0f bytes more\n", d->n,
                  (double)(clock_mono(clock_system()) - began) / (double)USEC_PER_SEC, d->x);
    assert_int_equal(d->n, MANY);
    assert_true(d->x < 300000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, drive_set_up, drive_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(trials_begin_in_order),
        T(as_many_run_as_there_is_room_for),
        T(one_at_a_time_is_one_at_a_time),
        T(stages_follow_each_other),
        T(the_engine_gets_the_program_and_its_limits),
        T(what_the_engine_says_is_kept),
        T(a_failed_trial_is_tried_again),
        T(a_trial_that_fails_too_often_has_failed),
        T(without_retries_the_first_failure_is_the_last),
        T(pauses_between_failures_grow),
        T(a_pause_holds_up_no_other),
        T(with_failures_allowed_later_stages_run_without_them),
        T(where_all_failed_nothing_is_left_to_run),
        T(a_lost_trial_is_run_again_and_is_no_failure),
        T(a_trial_that_is_lost_again_and_again_has_failed),
        T(every_other_end_is_a_failure),
        T(a_broken_engine_ends_the_run_and_keeps_what_has_ended),
        T(an_end_in_the_engine_s_last_words_is_kept),
        T(room_is_waited_for),
        T(one_that_is_due_without_room_does_not_keep_the_driver_awake),
        T(a_drained_run_ends_what_runs_and_goes_on_later),
        T(a_drain_with_the_last_trial_is_a_success),
        T(a_drain_between_stages_begins_none),
        T(a_drain_tries_no_trial_again),
        T(a_stop_ends_what_runs),
        T(a_stop_of_the_last_trials_is_no_success),
        T(a_cancelled_loop_leaves_trials_for_the_next_driver),
        T(the_status_has_the_numbers),
        T(the_time_left_is_estimated),
        T(many_trials_take_no_more_memory_than_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

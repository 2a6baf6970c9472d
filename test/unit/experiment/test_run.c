/* The results directory: begun, gone on with, begun again, refused. */
#include "earlier.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- what it is to be -------------------------------------------------------------------------
 */

static void a_run_begins_where_there_is_nothing(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *deep = fs_join(p->dir, "a/b");
    struct run r;
    struct run_options o = options(p, text);
    o.save_path = deep;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_int_equal(r.seed, 5);
    AUTO_FREE char *want = run_directory(deep, "x"), *real = realpath(want, NULL);
    assert_string_equal(r.directory, real);
    assert_fact(&r, "file", text);
    assert_fact(&r, "name", "x");
    assert_fact(&r, "path", "/x.yaml");
    assert_fact(&r, "seed", "5");
    run_close(&r);
    run_close(&r); /* closed is legal */
}

static void the_same_file_goes_on_until_all_is_done(void **state)
{
    struct place *p = *state;
    static const enum run_state states[] = {RUN_RUNNING, RUN_STOPPED, RUN_FAILED};
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        struct run r;
        struct run_options o = options(p, text);
        leave(p, text, states[i]);
        o.seed = 99;
        o.reuse = i == 1; /* which changes nothing here */
        open_good(p, &o, &r);
        assert_int_equal(r.kind, RUN_GOES_ON);
        assert_int_equal(r.seed, 5); /* the first run's */
        assert_int_equal(trials_of(&r), 1);
        assert_fact(&r, "seed", "5");
        assert_true(has(p, "s/a=1_0/result.json"));
        run_close(&r);
        AUTO_FREE char *all = in_results(p, "");
        assert_int_equal(fs_remove_tree(all, NULL), 0);
    }
}

static void results_do_not_give_way_unasked(void **state)
{
    struct place *p = *state;
    leave(p, text, RUN_FINISHED);
    struct run_options o = options(p, text);
    assert_refused(p, &o, ERR_EXISTS, "the experiment has run already: '");
    o.resumes = true; /* the same file: there is nothing to resume */
    assert_refused(p, &o, ERR_EXISTS, "the experiment has run already: '");
    o = options(p, other);
    assert_refused(p, &o, ERR_EXISTS, "an experiment of this name but another file has run: '");
    assert_true(has(p, "s/a=1_0/result.json"));
    struct store *s;
    AUTO_FREE char *directory = in_results(p, "");
    assert_int_equal(store_open(directory, STORE_READ, &s, NULL), 0);
    AUTO_FREE char *file = store_get(s, "file");
    assert_string_equal(file, text); /* still the old one */
    store_close(s);
}

static void another_file_is_refused_while_the_first_is_unfinished(void **state)
{
    struct place *p = *state;
    leave(p, text, RUN_STOPPED);
    struct run_options o = options(p, other);
    assert_refused(p, &o, ERR_EXISTS, "another file has run");
}

static void reuse_puts_the_earlier_run_aside(void **state)
{
    struct place *p = *state;
    struct run r;
    leave(p, text, RUN_FINISHED);
    struct run_options o = options(p, other);
    o.reuse = true;
    o.seed = 99;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS_AGAIN);
    assert_int_equal(r.seed, 5);
    assert_int_equal(trials_of(&r), 0);
    assert_fact(&r, "file", other);
    assert_false(has(p, "s"));
    struct store_retired old;
    struct err err = {0};
    assert_int_equal(store_find_retired(r.store, "f", NULL, NULL, &old, &err), 0);
    AUTO_FREE char *result = mem_printf("%s/result.json", old.path);
    assert_string_equal(old.path, ".earlier/1/s/a=1_0");
    assert_true(has(p, result));
    store_retired_done(&old);
    run_close(&r);
    open_good(p, &o, &r); /* which is not done now: it goes on */
    assert_int_equal(r.kind, RUN_GOES_ON);
    run_close(&r);
}

static void a_file_that_resumes_puts_it_aside_too(void **state)
{
    struct place *p = *state;
    struct run r;
    leave(p, text, RUN_FINISHED);
    struct run_options o = options(p, other);
    o.resumes = true;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS_AGAIN);
    run_close(&r);
}

/* Killed between the retirement in the store and the move of the directories. */
static void a_move_that_was_cut_short_is_done_at_the_next_begin(void **state)
{
    struct place *p = *state;
    struct run r;
    struct err err = {0};
    int64_t generation;
    leave(p, text, RUN_FINISHED);
    struct run_options o = options(p, other);
    AUTO_FREE char *directory = in_results(p, "");
    struct store *s;
    assert_int_equal(store_open(directory, STORE_WRITE, &s, &err), 0);
    assert_int_equal(store_retire(s, &generation, &err), 0);
    assert_int_equal(store_set(s, "retiring", "gone\ns\n", &err), 0);
    assert_int_equal(store_set(s, "file", other, &err), 0);
    assert_int_equal(store_set(s, STORE_STATE, run_state_name(RUN_RUNNING), &err), 0);
    assert_int_equal(store_commit(s, &err), 0);
    store_close(s);
    assert_true(has(p, "s/a=1_0"));
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_GOES_ON);
    assert_false(has(p, "s"));
    assert_true(has(p, ".earlier/1/s/a=1_0/result.json"));
    assert_fact(&r, "retiring", "");
    run_close(&r);
}

static void no_earlier_stage_leads_out_of_the_results(void **state)
{
    struct place *p = *state;
    static const char *const facts[][2] = {
        {"../../mine", "1"}, {"..", "1"}, {"s/../../../mine", "1"}, {"s", "../../mine"}, {"s", ""}};
    AUTO_FREE char *mine = place_write(p, "mine/file", 0600, "x");
    leave(p, text, RUN_STOPPED);
    AUTO_FREE char *directory = in_results(p, "");
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        struct run r = {0};
        struct err err = {0};
        struct store *s;
        struct run_options o = options(p, text);
        assert_int_equal(store_open(directory, STORE_WRITE, &s, &err), 0);
        assert_int_equal(store_set(s, "retiring", facts[i][0], &err), 0);
        assert_int_equal(store_set(s, "generation", facts[i][1], &err), 0);
        assert_int_equal(store_commit(s, &err), 0);
        store_close(s);
        assert_int_equal(run_open(p->loop, &o, &r, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, "was not written by flambe"));
        assert_true(fs_exists(mine));
        assert_true(has(p, "s/a=1_0/result.json"));
    }
}

/* ---- --force ----------------------------------------------------------------------------------
 */

/* The run has a stage 's' with a trial's directory in it. */
static void begin_stage(struct place *p, struct run *r)
{
    struct store_stage stage = {.id = 0, .name = (char *)"s", .state = STAGE_RUNNING};
    assert_int_equal(store_put_stage(r->store, &stage, NULL), 0);
    assert_int_equal(store_commit(r->store, NULL), 0);
    put(p, "s/a=1_0/result.json", "{}");
}

/* An order that is carried out by several processes removes the earlier results only once. */
static void force_removes_once_an_order(void **state)
{
    struct place *p = *state;
    struct run r;
    leave(p, text, RUN_STOPPED);
    struct run_options o = options(p, text);
    o.force = true;
    o.order = "7-x";
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_fact(&r, RUN_ORDER, "7-x");
    assert_int_equal(run_keep(&r, NULL), 0);
    begin_stage(p, &r);
    run_close(&r);
    open_good(p, &o, &r); /* the process died, and another goes on */
    assert_int_equal(r.kind, RUN_GOES_ON);
    assert_true(has(p, "s/a=1_0/result.json"));
    run_close(&r);
    o.order = "8-x";
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_false(has(p, "s"));
    run_close(&r);
}

/* ---- a state apart ----------------------------------------------------------------------------
 */

static bool has_entry(const char *directory, const char *name)
{
    AUTO_FREE char *path = fs_join(directory, name);
    return fs_exists(path);
}

static void the_state_may_be_apart(void **state)
{
    struct place *p = *state;
    struct run r;
    AUTO_FREE char *apart = fs_join(p->dir, "state/x"), *lock = fs_join(apart, RUN_LOCK_FILE);
    AUTO_FREE char *other_file = place_write(p, "state/x/other", 0600, "");
    struct run_options o = options(p, text);
    o.state = apart;
    open_good(p, &o, &r);
    AUTO_FREE char *real = realpath(apart, NULL);
    assert_string_equal(r.state, real);
    struct lock_holder holder;
    assert_int_equal(lock_holder(lock, &holder, NULL), 0);
    assert_int_equal(holder.pid, getpid());
    assert_false(has(p, STORE_FILE));
    assert_false(has(p, RUN_LOCK_FILE));
    AUTO_FREE char *found = run_state_directory(r.directory), *there = realpath(found, NULL);
    assert_string_equal(there, real);
    begin_stage(p, &r);
    run_close(&r);
    o.state = NULL; /* it is found again */
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_GOES_ON);
    assert_string_equal(r.state, real);
    run_close(&r);
    o.force = true;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_string_equal(r.state, real);
    assert_false(has(p, "s"));
    run_close(&r); /* it has not begun: all is put back */
    assert_true(has(p, "s/a=1_0/result.json"));
    o.force = false;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_GOES_ON);
    run_close(&r);
    o.force = true;
    open_good(p, &o, &r);
    assert_int_equal(run_keep(&r, NULL), 0);
    run_close(&r);
    assert_false(has(p, "s") || has(p, ".replaced"));
    assert_false(has_entry(apart, ".replaced"));
    assert_true(fs_exists(other_file)); /* which is not flambe's */
}

static void results_with_their_own_state_do_not_change_to_one_apart(void **state)
{
    struct place *p = *state;
    leave(p, text, RUN_STOPPED);
    AUTO_FREE char *apart = fs_join(p->dir, "state");
    struct run_options o = options(p, text);
    o.state = apart;
    assert_refused(p, &o, ERR_EXISTS, "has its state in it");
    assert_true(has(p, STORE_FILE));
    assert_false(has(p, RUN_STATE_LINK));
}

/* ---- trouble ----------------------------------------------------------------------------------
 */

static void a_damaged_state_is_told_and_left_alone(void **state)
{
    struct place *p = *state;
    leave(p, text, RUN_STOPPED);
    AUTO_FREE char *path = in_results(p, STORE_FILE);
    static const char junk[] = "this is no database, but somebody may still save some of it";
    put(p, STORE_FILE, junk);
    struct run_options o = options(p, text);
    assert_refused(p, &o, ERR_PARSE, STORE_FILE);
    o.reuse = true;
    assert_refused(p, &o, ERR_PARSE, STORE_FILE);
    AUTO_BUF struct buf bytes = {0};
    assert_int_equal(fs_read(path, 1 << 20, &bytes, NULL), 0);
    assert_string_equal(buf_text(&bytes), junk);
    assert_true(has(p, "s/a=1_0/result.json"));
    o.reuse = false;
    o.force = true; /* the way out */
    struct run r;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_true(has(p, "s/a=1_0/result.json")); /* no state says whose it is */
    run_close(&r);
    AUTO_STRV struct strv stages = {0};
    strv_add(&stages, "s"); /* but the file that is run does */
    o.stages = &stages;
    open_good(p, &o, &r);
    assert_false(has(p, "s"));
    keep_good(&r);
    run_close(&r);
}

static void only_one_works_on_a_directory(void **state)
{
    struct place *p = *state;
    struct run r;
    struct run_options o = options(p, text);
    int ready[2], done[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        AUTO_FREE char *lock = in_results(p, RUN_LOCK_FILE), *dir = in_results(p, "");
        struct lock *l;
        char c = 'x';
        if (fs_mkdirs(dir, 0700, NULL) == -1 || lock_take(lock, &l, NULL) == -1)
            c = '!';
        (void)!write(ready[1], &c, 1);
        close(done[1]);
        (void)!read(done[0], &c, 1);
        _exit(0);
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    o.force = true;
    AUTO_FREE char *holder = mem_printf("%d", (int)pid);
    usec_t began = clock_mono(loop_clock(p->loop));
    assert_refused(p, &o, ERR_CONFLICT, holder);
    assert_true(clock_mono(loop_clock(p->loop)) - began < 5 * USEC_PER_SEC); /* not waited for */
    assert_false(has(p, STORE_FILE));
    close(done[0]);
    close(done[1]);
    close(ready[0]);
    close(ready[1]);
    waitpid(pid, NULL, 0);
    open_good(p, &o, &r);
    run_close(&r);
}

/* A driver that was killed, whose programs still are being ended by its supervisor. */
static void what_a_killed_run_leaves_is_waited_for(void **state)
{
    struct place *p = *state;
    struct run r;
    struct run_options o = options(p, text);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        AUTO_FREE char *lock = in_results(p, RUN_LOCK_FILE), *dir = in_results(p, "");
        struct lock *l;
        if (fs_mkdirs(dir, 0700, NULL) == -1 || lock_take(lock, &l, NULL) == -1)
            _exit(1);
        if (fork() == 0) { /* the supervisor: it holds the lock on */
            (void)!write(ready[1], "x", 1);
            usleep(300000);
            _exit(0);
        }
        _exit(0);
    }
    char c;
    waitpid(pid, NULL, 0);
    assert_int_equal(read(ready[0], &c, 1), 1);
    usec_t began = clock_mono(loop_clock(p->loop));
    open_good(p, &o, &r);
    assert_true(clock_mono(loop_clock(p->loop)) - began >= USEC_PER_SEC / 10);
    run_close(&r);
    close(ready[0]);
    close(ready[1]);
}

/* ---- the resolved file ------------------------------------------------------------------------
 */

static char *resolved_of(struct place *p, const char *file, struct experiment *e)
{
    struct run r;
    struct err err = {0};
    struct run_options o = options(p, file);
    o.force = true;
    read_good(file, e);
    open_good(p, &o, &r);
    if (run_write_resolved(&r, e, str_of(file), &err) == -1)
        fail_msg("%s", err.msg);
    AUTO_FREE char *path = fs_join(r.directory, RUN_RESOLVED_FILE);
    struct buf bytes = {0};
    assert_int_equal(fs_read(path, 1 << 20, &bytes, NULL), 0);
    run_close(&r);
    return buf_take(&bytes);
}

static void write_options(const struct variants *v, size_t index, struct buf *out)
{
    struct pick *picks = mem_array(v->picks_max + 1, sizeof *picks);
    size_t n = variant_picks(v, index, picks);
    for (size_t i = 0; i < n; i++) {
        struct choice_value c = choice_value(picks[i].choice, picks[i].element);
        buf_addf(out, "%s=%d,%lld,%a ", picks[i].choice->label, (int)c.kind, (long long)c.integer,
                 c.real);
    }
    free(picks);
}

/* Read back, it has the same variants, each with the same values; `seed`: its own. */
static void assert_same_variants(struct place *p, const char *file, uint64_t seed)
{
    struct experiment e, again;
    struct experiment_plan plan, second;
    struct err err = {0};
    struct diags diags;
    struct experiment_options machine = on_machine;
    machine.seed = seed;
    AUTO_FREE char *resolved = resolved_of(p, file, &e);
    if (experiment_parse("r.yaml", str_of(resolved), &machine, &again, &diags, &err) == -1)
        fail_msg("%s\n%s", err.msg, resolved);
    diags_done(&diags);
    assert_int_equal(experiment_plan_make(&e, &plan, &err), 0);
    assert_int_equal(experiment_plan_make(&again, &second, &err), 0);
    for (size_t s = 0; s < plan.count; s++) {
        const struct variants *a = &plan.stages[s].variants, *b = &second.stages[s].variants;
        assert_int_equal(a->total, b->total);
        for (size_t i = 0; i < a->total; i++) {
            AUTO_BUF struct buf x = {0}, y = {0};
            write_options(a, i, &x);
            write_options(b, i, &y);
            assert_string_equal(buf_text(&x), buf_text(&y));
        }
    }
    plan_free(&e, &plan);
    plan_free(&again, &second);
}

static void drawn_numbers_take_the_place_of_draws(void **state)
{
    struct place *p = *state;
    struct experiment e;
    static const char file[] = "# mine\n" HEAD "  s: !Script\n    script: m\n    kwargs:\n"
                               "      a: !s [3, 4, 2]   # whole\n      b: !g [1, 2]\n"
                               "      c: !s [0.75, 0.751, 1, 1]\n      d:\n        !s [5, 6, 1]\n";
    AUTO_FREE char *resolved = resolved_of(p, file, &e);
    assert_string_equal(resolved, "# Resolved from 'x.yaml'; numbers were drawn with the seed 7.\n"
                                  "# mine\n" HEAD "  s: !Script\n    script: m\n    kwargs:\n"
                                  "      a: !g [3, 3]   # whole\n      b: !g [1, 2]\n"
                                  "      c: !g [0.8]\n      d:\n        !g [5]\n");
    experiment_done(&e);
}

static void the_resolved_file_gives_the_same_trials(void **state)
{
    struct place *p = *state;
    static const char *const files[] = {
        HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1000000, 3], b: !s [0, 1.5, 4], "
             "c: !s [-1, 1.5, 3, 2], d: !s [0.5, 1.5, 2, 0], e: !s [-5, 5, 4]}\n",
        HEAD "  s: !Script\n    script: m\n    args: [!g [!s [0, 9, 2], [!s [0, 9.5, 3]], 1]]\n"
             "  t: !Script\n    script: m\n    args: [!@ s.dir, !s [1e-9, 1e-3, 5, 15]]\n",
        HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [1.0e+17, 9.0e+17, 3, 0], b: !s "
             "[-1.7e+308, 1.7e+308, 3], c: !s [1.0e+15, 9.0e+15, 3, 0]}\n",
    };
    for (size_t i = 0; i < COUNT_OF(files); i++)
        assert_same_variants(p, files[i], 1234);
}

/* Each place of an alias drew numbers of its own, for which the one text has no room. */
static void an_alias_of_a_draw_stays(void **state)
{
    struct place *p = *state;
    struct experiment e;
    static const char file[] =
        HEAD "  s: !Script\n    script: m\n    kwargs:\n      a: &x !s [0, 1000000, 2]\n"
             "      b: *x\n      c: !s [3, 4, 1]\n";
    AUTO_FREE char *resolved = resolved_of(p, file, &e);
    experiment_done(&e);
    assert_non_null(strstr(resolved, "a: &x !s [0, 1000000, 2]\n      b: *x\n      c: !g [3]\n"));
    assert_non_null(strstr(resolved, "\n!Experiment\nseed: 7\nname: x\n"));
    assert_same_variants(p, file, 1234);
}

/* Without the seed a search, and an alias, would draw others from the resolved file. */
static void the_seed_is_kept_for_what_is_drawn_later(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *file, *want;
    } cases[] = {
        {"!Experiment\n# mine\n  seed: -1 # any\n  name: x\n  pipeline: {s: !Script {script: m, "
         "kwargs: {a: !s [0, 9, 1]}}}\n  search: {s: !random {trials: 3}}\n",
         "!Experiment\n# mine\n  seed: 7 # any\n  name: x\n"},
        {"!Experiment\n  name: x\n  pipeline: {s: !Script {script: m, kwargs: {a: !s [0, 9, 1]}}}\n"
         "  search: {s: !random {trials: 3}}\n",
         "!Experiment\n  seed: 7\n  name: x\n"},
        {"!Experiment # {\n# {\n name: x\n pipeline: {s: !Script {script: m, kwargs: {a: &a !s [0, "
         "9, "
         "1], b: *a}}}\n",
         "# {\n seed: 7\n name: x\n"},
        {"!Experiment # mine\n{ # {\n\"name\": x, pipeline: {s: !Script {script: m, kwargs: {a: &a "
         "!s [0, 9, "
         "1], "
         "b: *a}}}}\n",
         "mine\n{ # {\nseed: 7, \"name\": x"},
        {"h: ./.\n---\n!Experiment {name: x, pipeline: {s: !Script {script: m, kwargs: {a: &a !s "
         "[0, "
         "9, 1], b: *a}}}}\n",
         "h: ./.\n---\n!Experiment {seed: 7, name: x"},
        {"!Experiment\nname: x\nseed: 3\npipeline: {s: !Script {script: m, kwargs: {a: !s [0, 9, "
         "1]}}}\nsearch: {s: !random {trials: 3}}\n",
         "seed 3.\n!Experiment\nname: x\nseed: 3\npipeline"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct experiment e, again;
        struct err err = {0};
        struct diags diags;
        AUTO_FREE char *resolved = resolved_of(p, cases[i].file, &e);
        if (!strstr(resolved, cases[i].want))
            fail_msg("%s", resolved);
        struct experiment_options machine = on_machine;
        machine.seed = 1234;
        if (experiment_parse("r.yaml", str_of(resolved), &machine, &again, &diags, &err) == -1)
            fail_msg("%s\n%s", err.msg, resolved);
        diags_done(&diags);
        assert_int_equal(again.drawn_with, e.drawn_with);
        experiment_done(&e);
        experiment_done(&again);
    }
}

static void what_a_search_draws_stays(void **state)
{
    struct place *p = *state;
    struct experiment e;
    static const char file[] = HEAD "  s: !Script\n    script: m\n    kwargs: {a: !s [0, 1, 1]}\n"
                                    "  t: !Script\n    script: m\n    kwargs: {a: !s [3, 4, "
                                    "1]}\nsearch: {s: !random {trials: 3}}\n";
    AUTO_FREE char *resolved = resolved_of(p, file, &e);
    assert_non_null(strstr(resolved, "{a: !s [0, 1, 1]}"));
    assert_non_null(strstr(resolved, "{a: !g [3]}"));
    experiment_done(&e);
}

static void extensions_stay_in_front(void **state)
{
    struct place *p = *state;
    assert_same_variants(
        p, "lib: /\n---\n" HEAD "  s: !Script\n    script: m\n    args: [!s [0, 1000, 2]]\n", 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_run_begins_where_there_is_nothing),
        T(the_same_file_goes_on_until_all_is_done),
        T(results_do_not_give_way_unasked),
        T(another_file_is_refused_while_the_first_is_unfinished),
        T(reuse_puts_the_earlier_run_aside),
        T(a_file_that_resumes_puts_it_aside_too),
        T(a_move_that_was_cut_short_is_done_at_the_next_begin),
        T(no_earlier_stage_leads_out_of_the_results),
        T(force_removes_once_an_order),
        T(the_state_may_be_apart),
        T(results_with_their_own_state_do_not_change_to_one_apart),
        T(a_damaged_state_is_told_and_left_alone),
        T(only_one_works_on_a_directory),
        T(what_a_killed_run_leaves_is_waited_for),
        T(drawn_numbers_take_the_place_of_draws),
        T(the_resolved_file_gives_the_same_trials),
        T(the_seed_is_kept_for_what_is_drawn_later),
        T(an_alias_of_a_draw_stays),
        T(what_a_search_draws_stays),
        T(extensions_stay_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

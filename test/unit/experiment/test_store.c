/* The store: what is committed stays, what is damaged is called so, and readers see whole states.
 */
#include "storing.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- facts and stages -------------------------------------------------------------------------
 */

static void facts_are_kept_and_replaced(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    assert_fact(s, "name", NULL);
    good(store_set(s, "name", "first", &err));
    good(store_set(s, "name", "it's \"this\"; DROP TABLE fact", &err));
    good(store_set(s, "none", NULL, &err));
    good(store_commit(s, &err));
    good(store_commit(s, &err)); /* nothing to do */
    good(store_set(s, "lost", "x", &err));
    store_close(s);
    s = opened(STORE_READ);
    assert_fact(s, "name", "it's \"this\"; DROP TABLE fact");
    assert_fact(s, "none", NULL);
    assert_fact(s, "lost", NULL); /* closing commits nothing */
    assert_int_equal(store_set(s, "name", "x", &err), -1);
    store_close(s);
    store_close(NULL);
}

static void a_state_is_what_was_written_and_who_is_at_work(void **state)
{
    (void)state;
    assert_int_equal(run_state_now("finished", false), RUN_FINISHED);
    assert_int_equal(run_state_now("stopped", false), RUN_STOPPED);
    assert_int_equal(run_state_now("failed", false), RUN_FAILED);
    assert_int_equal(run_state_now("running", false), RUN_INTERRUPTED);
    assert_int_equal(run_state_now(NULL, false), RUN_INTERRUPTED);
    assert_int_equal(run_state_now("of a later version", false), RUN_INTERRUPTED);
    assert_int_equal(run_state_now("finished", true), RUN_RUNNING);
    assert_string_equal(run_state_name(RUN_INTERRUPTED), "interrupted");
}

static void stages_stand_in_the_pipelines_order(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    struct store_stage b = {.id = 1, .name = (char *)"b", .state = STAGE_RUNNING, .planned = 12};
    struct store_stage a = {.id = 0,
                            .name = (char *)"a",
                            .planned = 1000000,
                            .at_most = true,
                            .metric = (char *)"loss",
                            .maximize = true,
                            .best = true,
                            .fingerprint = (char *)"{}",
                            .note = (char *)"taken from the earlier run"};
    good(store_put_stage(s, &b, &err));
    good(store_put_stage(s, &a, &err));
    b.state = STAGE_DONE;
    good(store_put_stage(s, &b, &err));
    good(store_commit(s, &err));
    struct store_stage *all;
    size_t count;
    good(store_stages(s, &all, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(all[0].name, "a");
    assert_true(all[0].at_most && all[0].maximize && all[0].best && all[0].planned == 1000000);
    assert_string_equal(all[0].metric, "loss");
    assert_string_equal(all[0].note, a.note);
    assert_string_equal(stage_state_name(all[1].state), "success");
    assert_null(all[1].metric);
    store_stages_free(all, count);
    store_close(s);
}

/* ---- trials -----------------------------------------------------------------------------------
 */

static void a_trial_comes_back_as_it_went(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    struct store_trial t = {.stage = 2,
                            .number = 7,
                            .name = (char *)"lr=0.1_7",
                            .params = (char *)"{\"lr\": 0.1}",
                            .fingerprint = (char *)"f",
                            .state = TRIAL_RUNNING,
                            .attempts = 2,
                            .started = 5,
                            .host = (char *)"here",
                            .gpus = (char *)"0,1"};
    good(store_put_trial(s, &t, &err));
    t.state = TRIAL_FAILURE;
    t.ended = 9;
    t.end = (char *)"time limit";
    t.exit_status = -1;
    t.signal = 9;
    t.message = (char *)"it passed its limit";
    t.user_time = 11;
    t.system_time = 12;
    t.memory_peak = (uint64_t)1 << 62;
    t.has_objective = true;
    t.objective = -INFINITY;
    t.warning = (char *)"w";
    good(store_put_trial(s, &t, &err));
    good(store_commit(s, &err));
    struct store_trial have;
    good(store_trial(s, 2, 7, &have, &err));
    assert_true(have.id == t.id && have.state == TRIAL_FAILURE && have.attempts == 2);
    assert_true(have.started == 5 && have.ended == 9 && have.exit_status == -1);
    assert_true(have.signal == 9 && have.user_time == 11 && have.system_time == 12);
    assert_true(have.memory_peak == (uint64_t)1 << 62);
    assert_true(have.has_objective && isinf(have.objective) && have.objective < 0);
    assert_string_equal(have.name, t.name);
    assert_string_equal(have.params, t.params);
    assert_string_equal(have.fingerprint, "f");
    assert_string_equal(have.end, "time limit");
    assert_string_equal(have.message, t.message);
    assert_string_equal(have.host, "here");
    assert_string_equal(have.gpus, "0,1");
    assert_string_equal(have.warning, "w");
    store_trial_done(&have);
    assert_int_equal(store_trial(s, 2, 8, &have, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    t.number = 8; /* a row has its place for good */
    assert_int_equal(store_put_trial(s, &t, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    store_close(s);
}

static void trials_are_counted_and_sorted(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    static const double objectives[] = {3, NAN, INFINITY, 1};
    for (int i = 0; i < 4; i++) {
        int64_t id = add_trial(s, 0, i, objectives[i]);
        if (i != 1)
            point(s, id, "acc", 1, 10 - i);
    }
    add_trial(s, 1, 0, 0);
    struct store_counts counts;
    good(store_counts(s, 0, &counts, &err));
    assert_true(counts.by_state[TRIAL_SUCCESS] == 4 && counts.by_state[TRIAL_RUNNING] == 0);
    struct store_query q = {.stage = 0, .state = -1};
    assert_order(s, &q, "0 1 2 3 ");
    q.order = "";
    assert_order(s, &q, "3 0 2 1 ");
    q.descending = true;
    assert_order(s, &q, "2 0 3 1 ");
    q.order = "acc";
    assert_order(s, &q, "0 2 3 1 ");
    q.order = "no such metric";
    assert_order(s, &q, "0 1 2 3 ");
    q.time = STORE_DURATION;
    assert_order(s, &q, "0 1 2 3 ");
    q.descending = false;
    assert_order(s, &q, "3 2 1 0 ");
    q.limit = 2;
    q.offset = 1;
    assert_order(s, &q, "2 1 ");
    q = (struct store_query){.stage = -1, .state = TRIAL_SUCCESS, .time = STORE_STARTED};
    assert_order(s, &q, "0 1 2 3 0 ");
    q = (struct store_query){.stage = -1, .state = TRIAL_FAILURE};
    assert_order(s, &q, "");
    q = (struct store_query){.stage = -1, .state = -1, .name = "x=2_2"};
    assert_order(s, &q, "2 ");
    store_close(s);
}

static void retired_trials_are_taken_or_dropped(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    struct store_stage g = {.name = (char *)"train", .fingerprint = (char *)"{}"};
    good(store_put_stage(s, &g, &err));
    int64_t taken = add_trial(s, 0, 0, 1), gone = add_trial(s, 0, 1, 2);
    point(s, taken, "a", 1, 1);
    point(s, gone, "b", 1, 1);
    struct store_trial t;
    good(store_trial(s, 0, 0, &t, &err));
    free(t.fingerprint);
    t.fingerprint = mem_dup("f");
    t.state = TRIAL_SUCCESS;
    good(store_put_trial(s, &t, &err));
    store_trial_done(&t);
    int64_t generation;
    good(store_retire(s, &generation, &err));
    assert_int_equal(generation, 1);
    struct store_query q = {.stage = -1, .state = -1};
    assert_order(s, &q, "");

    struct store_retired r;
    assert_int_equal(store_find_retired(s, "no such", NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    good(store_find_retired(s, "f", NULL, NULL, &r, &err));
    assert_int_equal(r.id, taken);
    assert_true(str_starts(str_of(r.path), ".earlier/1/train/"));
    AUTO_FREE char *before = store_retired_stage(s, "train");
    assert_string_equal(before, "{}");
    g.id = 2;
    good(store_put_stage(s, &g, &err));
    good(store_adopt(s, r.id, 2, 7, "new", &err));
    store_retired_done(&r);
    good(store_retire(s, &generation, &err)); /* a second one beside the first */
    assert_int_equal(generation, 2);
    good(store_find_retired(s, "f", NULL, NULL, &r, &err));
    good(store_adopt(s, r.id, 2, 7, "new", &err));
    store_retired_done(&r);
    good(store_drop_retired(s, &err));
    good(store_commit(s, &err));
    assert_order(s, &q, "7 ");
    assert_metrics(s, taken, "a:1[1..1] 1 1 1;");
    assert_metrics(s, gone, "");
    store_close(s);
}

static void note_attempt(void *ctx, const struct store_attempt *a)
{
    buf_addf(ctx, "%d %s %d %s;", a->number, a->end ? a->end : "-", a->exit_status,
             a->message ? a->message : "-");
}

static void attempts_are_a_history(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1);
    struct store_attempt first = {.number = 1, .end = (char *)"exited", .exit_status = 3},
                         second = {.number = 2, .message = (char *)"m"};
    good(store_add_attempt(s, id, &first, &err));
    good(store_add_attempt(s, id, &second, &err));
    AUTO_BUF struct buf have = {0};
    good(store_each_attempt(s, id, note_attempt, &have, &err));
    assert_string_equal(buf_text(&have), "1 exited 3 -;2 - 0 m;");
    store_close(s);
}

/* ---- metrics ----------------------------------------------------------------------------------
 */

static void note_end(void *ctx, const struct store_end *e)
{
    buf_addf(ctx, "%s %d %s %s;", e->trial.name, e->attempt.number,
             trial_state_name(e->trial.state), e->last ? "last" : "before");
}

/* For who looks on: what has come since the last look, each end once. */
static void ends_are_told_once_each(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1), other = add_trial(s, 0, 1, 1), after = 0, count;
    struct store_attempt a = {.number = 1, .end = (char *)"exited", .exit_status = 3},
                         running = {.number = 1};
    struct store_trial t;
    good(store_trial(s, 0, 0, &t, &err));
    AUTO_FREE char *name = mem_dup(t.name);
    AUTO_BUF struct buf told = {0}, want = {0};
    usec_t sum = -1;
    good(store_add_attempt(s, id, &a, &err));
    good(store_add_attempt(s, other, &running, &err)); /* which has not ended */
    t.attempts = 2;
    t.state = TRIAL_RUNNING;
    good(store_put_trial(s, &t, &err));
    good(store_each_end(s, &after, note_end, &told, &err));
    good(store_each_end(s, &after, note_end, &told, &err)); /* nothing new */
    a.number = 2;
    good(store_add_attempt(s, id, &a, &err));
    t.state = TRIAL_FAILURE;
    t.started = 5;
    t.ended = 12;
    good(store_put_trial(s, &t, &err));
    good(store_each_end(s, &after, note_end, &told, &err));
    buf_addf(&want, "%s 1 pending before;%s 2 failure last;", name, name);
    assert_string_equal(buf_text(&told), buf_text(&want));
    good(store_spent(s, 0, &sum, &count, &err));
    assert_true(count >= 1 && sum >= 7);
    good(store_spent(s, 7, &sum, &count, &err));
    assert_true(count == 0 && sum == 0);
    store_trial_done(&t);
    store_close(s);
}

static void a_step_that_goes_back_voids_what_came_after_it(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1), other = add_trial(s, 0, 1, 1);
    for (int i = 1; i <= 5; i++)
        point(s, id, "loss", i, 10 * i);
    point(s, id, "acc", 5, 1);
    point(s, other, "loss", 9, 9);
    assert_metrics(s, id, "acc:1[5..5] 1 1 1;loss:5[1..5] 50 10 50;");
    point(s, id, "loss", 3, -1);
    assert_points(s, id, "loss", "1=10 2=20 3=-1 ");
    assert_metrics(s, id, "acc:1[5..5] 1 1 1;loss:3[1..3] -1 -1 20;");
    good(store_purge(s, id, 3, &err));
    assert_metrics(s, id, "loss:2[1..2] 20 10 20;");
    good(store_purge(s, id, INT64_MIN, &err));
    assert_metrics(s, id, "");
    assert_points(s, id, "loss", "");
    assert_metrics(s, other, "loss:1[9..9] 9 9 9;");
    point(s, id, "loss", INT64_MIN, 1);
    point(s, id, "loss", INT64_MAX, 2);
    assert_points(s, id, "loss", "-9223372036854775808=1 9223372036854775807=2 ");
    store_close(s);
}

static void nan_and_infinity_are_values(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1);
    point(s, id, "n", 1, NAN);
    assert_metrics(s, id, "n:1[1..1] nan nan nan;");
    point(s, id, "n", 2, 4);
    point(s, id, "n", 3, NAN);
    assert_metrics(s, id, "n:3[1..3] nan 4 4;");
    point(s, id, "i", 1, -INFINITY);
    point(s, id, "i", 2, INFINITY);
    good(store_commit(s, &err));
    assert_metrics(s, id, "i:2[1..2] inf -inf inf;n:3[1..3] nan 4 4;");
    assert_points(s, id, "n", "1=nan 2=4 3=nan ");
    assert_points(s, id, "no such tag", "");
    store_close(s);
}

static bool stop_at_once(void *ctx, int64_t step, usec_t wall, double value)
{
    (void)step;
    (void)wall;
    (void)value;
    return ++*(int *)ctx < 2;
}

static void a_reader_may_stop_early(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    int64_t id = add_trial(s, 0, 0, 1);
    for (int i = 0; i < 10; i++)
        point(s, id, "a", i, i);
    int seen = 0;
    good(store_each_point(s, id, "a", stop_at_once, &seen, &err));
    assert_int_equal(seen, 2);
    good(store_commit(s, &err)); /* no statement is left open */
    store_close(s);
}

/* ---- readers and crashes ----------------------------------------------------------------------
 */

static void a_reader_sees_what_is_committed_beside_a_writer(void **state)
{
    (void)state;
    struct store *w = opened(STORE_CREATE);
    add_trial(w, 0, 0, 1);
    good(store_commit(w, &err));
    struct store *r = opened(STORE_READ);
    add_trial(w, 0, 1, 1);
    struct store_query q = {.stage = -1, .state = -1};
    assert_order(r, &q, "0 ");
    good(store_commit(w, &err));
    assert_order(r, &q, "0 1 ");
    struct store_trial t = {.stage = 5, .name = (char *)"x"};
    assert_int_equal(store_put_trial(r, &t, &err), -1);
    store_close(r);
    store_close(w);
}

static void what_is_committed_survives_a_kill(void **state)
{
    (void)state;
    store_close(opened(STORE_CREATE));
    int pid = fork();
    if (pid == 0) {
        struct store *s = opened(STORE_WRITE);
        add_trial(s, 0, 0, 1);
        good(store_commit(s, &err));
        add_trial(s, 0, 1, 1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    struct store_query q = {.stage = -1, .state = -1};
    struct store *s = opened(STORE_READ);
    assert_order(s, &q, "0 ");
    store_close(s);
    s = opened(STORE_WRITE);
    assert_order(s, &q, "0 ");
    store_close(s);
}

static void results_of_another_user_can_be_read(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct store *s = opened(STORE_CREATE);
    add_trial(s, 0, 4, 1);
    good(store_commit(s, &err));
    store_close(s);
    assert_int_equal(chmod(dir, 0755), 0);
    int pid = fork();
    if (pid == 0) {
        bool ok = setgid(65534) == 0 && setuid(65534) == 0;
        AUTO_BUF struct buf have = {0};
        struct store_query q = {.stage = -1, .state = -1};
        ok = ok && store_open(dir, STORE_READ, &s, &err) == 0 &&
             store_each_trial(s, &q, note_number, &have, &err) == 0;
        _exit(ok && strcmp(buf_text(&have), "4 ") == 0 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void a_failed_change_is_not_half_committed(void **state)
{
    (void)state;
    struct store *s = opened(STORE_CREATE);
    add_trial(s, 0, 0, 1);
    good(store_commit(s, &err));
    struct store_trial twice = {.stage = 0, .number = 0, .name = (char *)"x"};
    assert_int_equal(store_put_trial(s, &twice, &err), -1);
    assert_int_equal(twice.id, 0);
    assert_int_equal(err.code, ERR_IO);
    add_trial(s, 0, 1, 1); /* a refusal alone spoils nothing */
    good(store_commit(s, &err));
    struct store_query q = {.stage = -1, .state = -1};
    assert_order(s, &q, "0 1 ");
    store_close(s);
}

/* ---- a full disk ------------------------------------------------------------------------------
 */

/* Writes until it fails; says how many trials were committed before, by the exit status. */
static void fill(int sys)
{
    struct store *s = opened(STORE_WRITE);
    AUTO_FREE char *text = mem_alloc(4097);
    memset(text, 'x', 4096);
    int committed = 0;
    bool failed = false;
    for (int n = 0; n < 200 && !failed; n++) {
        struct store_trial t = {.stage = 0, .number = n, .name = text, .params = text};
        err = (struct err){0};
        failed = store_put_trial(s, &t, &err) == -1 || store_commit(s, &err) == -1;
        committed += !failed;
    }
    if (!failed || err.code != ERR_IO || err.sys != sys)
        _exit(255);
    _exit(committed);
}

static void assert_kept(int status)
{
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255 && WEXITSTATUS(status) > 0);
    struct store *s = opened(STORE_WRITE);
    struct store_counts counts;
    good(store_counts(s, 0, &counts, &err));
    assert_int_equal(counts.by_state[TRIAL_PENDING], WEXITSTATUS(status));
    add_trial(s, 1, 1, 1); /* and it goes on where there is room */
    good(store_commit(s, &err));
    store_close(s);
}

static void a_file_that_may_not_grow_keeps_what_was_committed(void **state)
{
    (void)state;
    store_close(opened(STORE_CREATE));
    int pid = fork();
    if (pid == 0) {
        struct rlimit limit = {300000, 300000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        fill(EFBIG);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_kept(status);
}

static void a_full_disk_keeps_what_was_committed(void **state)
{
    (void)state;
    if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=1m") == -1)
        skip();
    store_close(opened(STORE_CREATE));
    int pid = fork();
    if (pid == 0)
        fill(ENOSPC);
    int status;
    waitpid(pid, &status, 0);
    good(mount("none", dir, "tmpfs", MS_REMOUNT, "size=8m"));
    assert_kept(status);
    assert_int_equal(umount(dir), 0);
}

/* Many changes in one commit: pages are written out before it, and fail there already. */
static void a_large_change_on_a_full_disk_is_not_half_done(void **state)
{
    (void)state;
    store_close(opened(STORE_CREATE));
    int pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1000000, 1000000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        struct store *s = opened(STORE_WRITE);
        AUTO_FREE char *text = mem_alloc(65537);
        memset(text, 'x', 65536);
        int failures = 0;
        for (int n = 0; n < 400; n++) {
            struct store_trial t = {.stage = 0, .number = n, .name = text, .params = text};
            failures += store_put_trial(s, &t, NULL) == -1;
        }
        limit.rlim_cur = limit.rlim_max; /* later changes would have room again */
        bool kept = store_commit(s, &err) == 0;
        _exit(kept || !failures || err.sys != EFBIG ? 1 : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    struct store *s = opened(STORE_READ);
    struct store_query q = {.stage = -1, .state = -1};
    assert_order(s, &q, "");
    store_close(s);
}

/* ---- damaged files ----------------------------------------------------------------------------
 */

static void make_store(int trials)
{
    struct store *s = opened(STORE_CREATE);
    for (int i = 0; i < trials; i++)
        point(s, add_trial(s, 0, i, i), "loss", 1, i);
    good(store_commit(s, &err));
    store_close(s);
}

static void write_at(off_t at, const void *bytes, size_t n)
{
    AUTO_FREE char *path = db_path();
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static void no_results_are_not_found(void **state)
{
    (void)state;
    refused(STORE_READ, ERR_NOT_FOUND, "has no results of flambe");
    refused(STORE_WRITE, ERR_NOT_FOUND, "has no results of flambe");
    make_store(1);
    refused(STORE_CREATE, ERR_IO, "File exists");
    struct store *s = opened(STORE_READ); /* and is not harmed by that */
    store_close(s);
}

static void a_damaged_header_is_said(void **state)
{
    (void)state;
    make_store(10);
    AUTO_FREE char *path = db_path();
    AUTO_BUF struct buf whole = {0};
    good(fs_read(path, BUF_MAX_DEFAULT, &whole, &err));
    write_at(0, "this is no database at all", 26);
    refused(STORE_READ, ERR_PARSE, "damaged");
    refused(STORE_WRITE, ERR_PARSE, "--force");
    good(fs_write_atomic(path, 0644, STR(""), &err));
    refused(STORE_READ, ERR_PARSE, "damaged");
    refused(STORE_WRITE, ERR_PARSE, "damaged");
    good(fs_write_atomic(path, 0644, STR("x"), &err));
    refused(STORE_READ, ERR_PARSE, "damaged");
    for (size_t n = 50; n < whole.len; n += 1500) {
        good(fs_write_atomic(path, 0644, (struct str){whole.data, n}, &err));
        refused(STORE_WRITE, ERR_PARSE, "damaged");
    }
}

static void a_newer_version_is_left_alone(void **state)
{
    (void)state;
    make_store(1);
    write_at(60, "\0\0\0\3", 4); /* user_version, as SQLite's file format has it */
    refused(STORE_READ, ERR_CONFLICT, "newer flambe");
    refused(STORE_WRITE, ERR_CONFLICT, "newer flambe");
    write_at(68, "abcd", 4); /* the application's number */
    refused(STORE_READ, ERR_PARSE, "damaged");
}

/* Whatever is flipped: a writer refuses it or the content is whole; a reader ends and says so. */
static void flipped_bytes_crash_nothing(void **state)
{
    (void)state;
    make_store(300);
    AUTO_FREE char *path = db_path();
    AUTO_BUF struct buf whole = {0};
    good(fs_read(path, BUF_MAX_DEFAULT, &whole, &err));
    int said = 0;
    for (size_t at = 4096; at < whole.len; at += 997) {
        write_at((off_t)at, "\xff\xfe\xfd\x7f\xff\xff\xff\xff", 8);
        struct store *s = NULL;
        if (store_open(dir, STORE_READ, &s, &err) == 0) {
            AUTO_BUF struct buf out = {0};
            AUTO_STRV struct strv tags = {0};
            struct store_query q = {.stage = 0, .state = -1, .order = "loss"};
            said += store_each_trial(s, &q, note_number, &out, &err) == -1;
            for (int64_t id = 1; id < 300; id += 13)
                said += store_each_metric(s, id, note_metric, &out, &err) == -1 ||
                        store_each_point(s, id, "loss", note_point, &out, &err) == -1;
            said += store_tags(s, -1, 100, &tags, &err) == -1;
            store_close(s);
        } else {
            said++;
        }
        if (store_open(dir, STORE_WRITE, &s, &err) == 0)
            store_close(s);
        else
            said++;
        good(fs_write_atomic(path, 0644, buf_view(&whole), &err));
    }
    assert_true(said > 0);
}

/* ---- size -------------------------------------------------------------------------------------
 */

static bool count_one(void *ctx, const struct store_trial *t)
{
    (void)t;
    ++*(int64_t *)ctx;
    return true;
}

static void a_hundred_thousand_trials(void **state)
{
    (void)state;
    enum { TRIALS = 100000 };
    struct store *s = opened(STORE_CREATE);
    usec_t began = clock_mono(clock_system());
    for (int i = 0; i < TRIALS; i++) {
        point(s, add_trial(s, 0, i, i % 1000), "loss", 1, i);
        if (i % 1000 == 999)
            good(store_commit(s, &err));
    }
    print_message("# %d trials written in %.2f s\n", TRIALS, seconds_since(began));
    began = clock_mono(clock_system());
    int64_t seen = 0;
    struct store_query q = {.stage = 0, .state = -1, .order = "loss", .descending = true};
    good(store_each_trial(s, &q, count_one, &seen, &err));
    assert_int_equal(seen, TRIALS);
    print_message("# read by a metric in %.2f s\n", seconds_since(began));
    began = clock_mono(clock_system());
    struct store_counts counts;
    for (int i = 0; i < 10; i++)
        good(store_counts(s, 0, &counts, &err));
    assert_int_equal(counts.by_state[TRIAL_SUCCESS], TRIALS);
    print_message("# counted 10 times in %.3f s\n", seconds_since(began));
    store_close(s);
    began = clock_mono(clock_system());
    store_close(opened(STORE_WRITE));
    print_message("# checked and opened in %.2f s\n", seconds_since(began));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(facts_are_kept_and_replaced),
        T(a_state_is_what_was_written_and_who_is_at_work),
        T(stages_stand_in_the_pipelines_order),
        T(a_trial_comes_back_as_it_went),
        T(trials_are_counted_and_sorted),
        T(retired_trials_are_taken_or_dropped),
        T(attempts_are_a_history),
        T(ends_are_told_once_each),
        T(a_step_that_goes_back_voids_what_came_after_it),
        T(nan_and_infinity_are_values),
        T(a_reader_may_stop_early),
        T(a_reader_sees_what_is_committed_beside_a_writer),
        T(what_is_committed_survives_a_kill),
        T(results_of_another_user_can_be_read),
        T(a_failed_change_is_not_half_committed),
        T(a_file_that_may_not_grow_keeps_what_was_committed),
        T(a_full_disk_keeps_what_was_committed),
        T(a_large_change_on_a_full_disk_is_not_half_done),
        T(no_results_are_not_found),
        T(a_damaged_header_is_said),
        T(a_newer_version_is_left_alone),
        T(flipped_bytes_crash_nothing),
        T(a_hundred_thousand_trials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

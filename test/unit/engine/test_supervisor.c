/* What is left of programs when they, their driver, or their supervisor end: nothing. */
#include "programs.h"
#include <fcntl.h>
#include <sys/file.h>

/* A daemon: its parents end, it has a session of its own, and it writes its number to "daemon". */
#define DAEMON(what) "(setsid sh -c 'echo $$ >daemon; " what "' >&- 2>&- &); "
/* The same without the environment that it was given. */
#define BARE_DAEMON "(setsid env -i /bin/sh -c 'echo $$ >daemon; exec /bin/sleep 60' &); "
#define UNTIL_READY "while ! [ -s daemon ]; do sleep 0.01; done; "

static void what_it_left_in_its_group_ends(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("sh -c 'echo $$ >pid; sleep 60' & " /* holds the pipe */
                                            "while ! [ -s pid ]; do sleep 0.01; done; exit 3"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->exit_status, 3);
    assert_true(r->ended - r->started < 20 * USEC_PER_SEC);
    assert_false(is_alive(wait_pid("pid")));
}

static void a_daemon_of_it_ends(void **state)
{
    (void)state;
    static const char *const lines[] = {
        DAEMON("exec sleep 60") UNTIL_READY "exit 4",
        DAEMON("trap \"\" TERM HUP; sleep 60 & sleep 60") UNTIL_READY "exit 4",
        BARE_DAEMON UNTIL_READY "exit 4",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct engine_program p = program(i, SH(lines[i]));
        const struct engine_result *r = run(&p);
        assert_int_equal(r->exit_status, 4);
        assert_string_equal(r->message, "");
        pid_t pid = wait_pid("daemon");
        assert_true(pid > 1);
        assert_false(is_alive(pid));
        AUTO_FREE char *path = in_dir("daemon");
        assert_int_equal(unlink(path), 0);
    }
}

static void a_daemon_lives_as_long_as_its_program(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH(DAEMON("exec sleep 60") UNTIL_READY "exec sleep 60"));
    submit(&p);
    pid_t daemon_pid = wait_pid("daemon");
    for (uint64_t id = 2; id < 5; id++) { /* others end meanwhile */
        struct engine_program other = program(id, SH("sleep 60 & exit 0"));
        assert_int_equal(run(&other)->exit_status, 0);
    }
    assert_true(is_alive(daemon_pid));
    engine_stop(engine, 1, 30 * USEC_PER_SEC); /* reaches the daemon, too */
    assert_int_equal(wait_ended(4)->end, ENGINE_STOPPED);
    assert_false(is_alive(daemon_pid));
}

static void a_daemon_ends_with_its_program_while_others_run(void **state)
{
    (void)state;
    struct engine_program other = program(1, SH("exec sleep 60"));
    submit(&other);
    struct engine_program p = program(2, SH(DAEMON("exec sleep 60") UNTIL_READY "exit 4"));
    assert_int_equal(run(&p)->exit_status, 4);
    assert_false(is_alive(wait_pid("daemon")));
    engine_stop(engine, 1, 0);
    assert_int_equal(wait_ended(2)->id, 1);
}

static void the_time_limit_ends_daemons(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH(DAEMON("exec sleep 60") "sleep 60"));
    p.time_limit = USEC_PER_SEC;
    assert_int_equal(run(&p)->end, ENGINE_TIMED_OUT);
    assert_false(is_alive(wait_pid("daemon")));
}

static void a_tree_that_forks_on_ends(void **state)
{
    (void)state;
    struct engine_program p =
        program(1, SH("f() { setsid sh -c \"echo \\$\\$ >>all; sleep 60 & sleep 60\" & }; "
                      "for i in 1 2 3 4 5 6 7 8; do f; (f); done; sleep 0.5; exit 0"));
    assert_int_equal(run(&p)->exit_status, 0);
    AUTO_FREE char *text = text_of("all");
    int count = 0;
    for (char *at = text; *at; count++) {
        assert_false(is_alive((pid_t)strtol(at, &at, 10)));
        at += *at == '\n';
    }
    assert_int_equal(count, 16);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static bool wait_dead(pid_t pid)
{
    for (int i = 0; i < 1000 && is_alive(pid); i++)
        usleep(10000);
    return !is_alive(pid);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    return (pid_t)strtol(strrchr(text, ')') + 4, NULL, 10);
}

static void the_supervisor_is_hard_to_end(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo $$ >pid; exec sleep 60"));
    submit(&p);
    pid_t pid = wait_pid("pid");
    pid_t supervisor = parent_of(pid);
    assert_int_not_equal(supervisor, getpid());
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGXFSZ};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        assert_int_equal(kill(supervisor, numbers[i]), 0);
    struct engine_program other = program(2, SH("exit 0"));
    assert_int_equal(run(&other)->end, ENGINE_EXITED);
    assert_true(is_alive(pid));
    assert_int_not_equal(getsid(supervisor), getsid(0));
}

static void a_killed_supervisor_is_reported(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo $$ >pid; sh -c 'echo $$ >child; sleep 60'; :"));
    submit(&p);
    struct engine_program q = program(2, SH("exec sleep 60"));
    submit(&q);
    wait_started(2);
    pid_t child = wait_pid("child");
    pid_t pid = wait_pid("pid");
    assert_int_equal(kill(parent_of(pid), SIGKILL), 0);
    assert_int_equal(wait_ended(2)->end, ENGINE_LOST);
    assert_int_equal(results[0].end, ENGINE_LOST);
    assert_int_equal(results[0].id, 1);
    assert_int_equal(broken_count, 1);
    assert_true(wait_dead(pid));
    assert_true(wait_dead(child));
    struct err err = {0};
    assert_int_equal(engine_room(engine, 1, 0), 0);
    assert_int_equal(engine_submit(engine, &p, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    engine_stop(engine, 1, 0);
    (void)!loop_pause(loop, USEC_PER_SEC / 10, NULL);
    assert_int_equal(ended_count, 2);
    assert_int_equal(broken_count, 1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static int take_lock(void)
{
    AUTO_FREE char *path = in_dir("lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A driver with a program that runs on, one that ignores SIGTERM, one with a daemon, and one that
 * has ended, of whose end it learns nothing, for it stands still. */
static void drive(void)
{
    AUTO_FREE char *record = in_dir("record");
    struct engine_local_options o = {.cpus = 8, .record = record, .keep_fd = take_lock()};
    loop = loop_new();
    if (o.keep_fd < 0 || engine_local_new(loop, &o, &events, &engine, NULL) == -1)
        _exit(1);
    struct engine_program p = program(1, SH("echo $$ >pid1; exec sleep 60"));
    submit(&p);
    p = program(2, SH("trap '' TERM HUP INT; echo $$ >pid2; while :; do sleep 1; done"));
    submit(&p);
    p = program(3, SH(DAEMON("exec sleep 60") "echo $$ >pid3; sleep 60"));
    submit(&p);
    p = program(4, SH("while ! [ -e stopped ]; do sleep 0.02; done; exit 7"));
    submit(&p);
    p = program(5, SH("exit 8"));
    submit(&p);
    wait_ended(1);
    wait_started(5);
    raise(SIGSTOP);
    _exit(2);
}

struct replayed {
    struct engine_result items[16];
    size_t count;
};

static void on_replayed(void *ctx, const struct engine_result *r)
{
    struct replayed *all = ctx;
    assert_true(all->count < 16);
    all->items[all->count++] = *r;
}

static void a_killed_driver_takes_all_with_it(void **state)
{
    (void)state;
    pid_t driver = fork();
    if (driver == 0)
        drive();
    int status;
    loop = loop_new();
    assert_int_equal(waitpid(driver, &status, WUNTRACED), driver);
    assert_true(WIFSTOPPED(status));
    pid_t pids[] = {wait_pid("pid1"), wait_pid("pid2"), wait_pid("pid3"), wait_pid("daemon")};
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        assert_true(is_alive(pids[i]));
    AUTO_FREE char *stopped = in_dir("stopped");
    assert_int_equal(fs_write_atomic(stopped, 0600, STR(""), NULL), 0);
    usleep(300000); /* the fourth ends now, and its driver does not hear of it */
    assert_int_equal(kill(driver, SIGKILL), 0);
    assert_int_equal(waitpid(driver, &status, 0), driver);
    int fd;
    for (int i = 0; (fd = take_lock()) < 0 && i < 2000; i++)
        usleep(5000);
    assert_true(fd >= 0);
    for (size_t i = 0; i < COUNT_OF(pids); i++) /* the lock came free only then */
        assert_false(is_alive(pids[i]));
    close(fd);
    AUTO_FREE char *record = in_dir("record");
    struct replayed all = {0};
    assert_int_equal(engine_local_replay(record, on_replayed, &all, NULL), 0);
    assert_int_equal(all.count, 2); /* those that were killed are interrupted, not ended */
    assert_int_equal(all.items[0].id, 5);
    assert_int_equal(all.items[0].exit_status, 8);
    assert_int_equal(all.items[1].id, 4);
    assert_int_equal(all.items[1].exit_status, 7);
    loop_free(loop);
}

/* Where the driver cannot help, since it stands still, the kernel ends them. */
static void a_killed_supervisor_takes_its_programs_with_it(void **state)
{
    (void)state;
    pid_t driver = fork();
    if (driver == 0)
        drive();
    int status;
    loop = loop_new();
    assert_int_equal(waitpid(driver, &status, WUNTRACED), driver);
    assert_true(WIFSTOPPED(status));
    pid_t pids[] = {wait_pid("pid1"), wait_pid("pid2"), wait_pid("pid3")};
    pid_t daemon_pid = wait_pid("daemon");
    assert_int_equal(kill(parent_of(pids[0]), SIGKILL), 0);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        assert_true(wait_dead(pids[i]));
    kill(daemon_pid, SIGKILL); /* this one is nobody's now */
    assert_int_equal(kill(driver, SIGKILL), 0);
    assert_int_equal(waitpid(driver, &status, 0), driver);
    loop_free(loop);
}

static void free_ends_all_and_leaves_a_record(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH(DAEMON("exec sleep 60") UNTIL_READY "exit 5"));
    run(&p);
    AUTO_FREE char *path = in_dir("daemon");
    assert_int_equal(unlink(path), 0);
    p = program(
        2, SH(DAEMON("exec sleep 60") "trap '' TERM; echo $$ >pid; while :; do sleep 1; done"));
    submit(&p);
    pid_t pid = wait_pid("pid"), daemon_pid = wait_pid("daemon");
    pid_t supervisor = parent_of(pid);
    engine_free(engine);
    engine = NULL;
    assert_false(is_alive(pid));
    assert_false(is_alive(daemon_pid));
    assert_int_equal(kill(supervisor, 0), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(ended_count, 1);
    AUTO_FREE char *record = in_dir("record");
    struct replayed all = {0};
    assert_int_equal(engine_local_replay(record, on_replayed, &all, NULL), 0);
    assert_int_equal(all.count, 1);
    assert_memory_equal(&all.items[0], &results[0], sizeof results[0]);
}

static int bare_teardown(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_it_left_in_its_group_ends),
        T(a_daemon_of_it_ends),
        T(a_daemon_lives_as_long_as_its_program),
        T(a_daemon_ends_with_its_program_while_others_run),
        T(the_time_limit_ends_daemons),
        T(a_tree_that_forks_on_ends),
        T(the_supervisor_is_hard_to_end),
        T(a_killed_supervisor_is_reported),
        T(free_ends_all_and_leaves_a_record),
        cmocka_unit_test_setup_teardown(a_killed_supervisor_takes_its_programs_with_it, make_dir,
                                        bare_teardown),
        cmocka_unit_test_setup_teardown(a_killed_driver_takes_all_with_it, make_dir, bare_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

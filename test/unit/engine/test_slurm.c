/* The Slurm engine and its wrapper over a Slurm of shell scripts (fake_slurm.sh), which does what
 * the real one does not do when asked. test/e2e/test_engine_slurm.py has the real one. */
#include "programs.h"
#include <sys/stat.h>

static char self[512];

static void put(const char *name, const char *text)
{
    AUTO_FREE char *path = in_dir(name);
    assert_int_equal(fs_write_atomic(path, 0600, str_of(text), NULL), 0);
}

static void drop(const char *name)
{
    AUTO_FREE char *path = in_dir(name);
    assert_int_equal(unlink(path), 0);
}

static struct err broken_by;

static void note_broken(void *ctx, const struct err *err)
{
    (void)ctx;
    broken_by = *err;
    broken_count++;
}

static bool is_broken(void *ctx)
{
    (void)ctx;
    return broken_count > 0;
}

static bool is_counted(void *ctx)
{
    (void)ctx;
    return engine_room(engine, 1, 0) > 2;
}

static void open_engine(usec_t patience)
{
    AUTO_FREE char *state = in_dir("engine"), *ended = in_dir("ended");
    const struct engine_events e = {on_started, on_ended, note_broken, NULL};
    struct engine_slurm_options o = {.directory = state,
                                     .wrapper = self,
                                     .ended_jobs = ended,
                                     .look_every = USEC_PER_SEC,
                                     .patience = patience};
    struct err err = {0};
    if (engine_slurm_new(loop, &o, &e, &engine, &err) == -1)
        fail_msg("%s", err.msg);
    if (patience)
        return;
    assert_int_equal(loop_wait(loop, is_counted, NULL, 20 * USEC_PER_SEC, NULL), 0);
}

static void link_programs(void)
{
    static const char *const names[] = {"sbatch", "squeue", "scancel", "sinfo", "scontrol"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_FREE char *name = mem_printf("bin/%s", names[i]), *path = in_dir(name);
        assert_int_equal(symlink(SOURCE_ROOT "/test/unit/engine/fake_slurm.sh", path), 0);
    }
}

static int begin_slurm(void **state)
{
    assert_int_equal(make_dir(state), 0);
    AUTO_FREE char *bin = in_dir("bin"), *jobs = in_dir("jobs");
    AUTO_FREE char *path = mem_printf("%s:/usr/local/bin:/usr/bin:/bin", bin);
    assert_int_equal(mkdir(bin, 0700) + mkdir(jobs, 0700), 0);
    link_programs();
    setenv("PATH", path, 1);
    setenv("HOME", dir, 1);
    loop = loop_new();
    open_engine(0);
    return 0;
}

static int end_slurm(void **state)
{
    (void)state;
    engine_free(engine);
    int rc = fs_remove_tree(dir, NULL);
    for (int i = 0; rc == -1 && i < 200; i++) { /* the last tasks' shells are still writing */
        (void)!loop_pause(loop, 50 * USEC_PER_MSEC, NULL);
        rc = fs_remove_tree(dir, NULL);
    }
    loop_free(loop);
    return rc;
}

static void ends(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("exit 3"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->end, ENGINE_EXITED);
    assert_int_equal(r->exit_status, 3);
    assert_string_equal(r->host, "n1");
    assert_true(r->started > 0 && r->ended >= r->started);
    p = program(2, SH("kill -KILL $$")); /* the record waits for Slurm's word */
    r = run(&p);
    assert_int_equal(r->end, ENGINE_SIGNALLED);
    assert_int_equal(r->signal, SIGKILL);
    p = program(3, (const char *const[]){"no-such-x", NULL});
    r = run(&p);
    assert_int_equal(r->end, ENGINE_NOT_STARTED);
    assert_string_equal(r->message, "on n1: no such program: 'no-such-x' is not in PATH");
    assert_int_equal(started_count, 2);
}

static void arrays(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 7; id++) {
        struct engine_program p = program(id, SH("exit 0"));
        p.cpus = id == 4 ? 2 : 1;
        p.time_limit = id == 7 ? USEC_PER_HOUR : 0;
        submit(&p);
    }
    struct err err = {0};
    struct engine_program p = program(1, SH("exit 0"));
    assert_int_equal(engine_submit(engine, &p, &err), -1);
    assert_non_null(strstr(err.msg, "under way already"));
    (void)wait_ended(7);
    AUTO_FREE char *arguments = text_of("arguments");
    assert_non_null(strstr(arguments, "--array=0-2")); /* of 1, 2, 3, 5 and 6 three */
    assert_non_null(strstr(arguments, "--array=0-1")); /* the other two */
    assert_non_null(strstr(arguments, "--cpus-per-task=2"));
    assert_non_null(strstr(arguments, "--time=65"));
}

static void gpus(void **state)
{
    (void)state;
    put("gpus", "1,3");
    struct engine_program p = program(1, SH("echo $CUDA_VISIBLE_DEVICES $FLAMBE_GPUS"));
    p.gpus = 2;
    assert_int_equal(engine_room(engine, 1, 2), 3);
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
    AUTO_FREE char *out = text_of("out");
    assert_string_equal(out, "1,3 2\n");
    assert_string_equal(seen_gpus[1], "1,3");
    put("gpus", "1"); /* Slurm gave less than was asked for */
    p.id = 2;
    assert_int_equal(run(&p)->end, ENGINE_NOT_STARTED);
    assert_non_null(strstr(wait_ended(2)->message, "on n1: Slurm gave it 1 of 2 GPUs"));
    p.id = 3; /* one that wants none sees none */
    p.gpus = 0;
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
    AUTO_FREE char *none = text_of("out");
    assert_string_equal(none, "0\n");
}

static void refused(void **state)
{
    (void)state;
    put("refuse", "not \x1b[1mtoday");
    struct engine_program p = program(1, SH("exit 0"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->end, ENGINE_NOT_STARTED);
    assert_string_equal(r->message, "Slurm refused it: not ?[1mtoday");
    drop("refuse");
    p = program(2, SH("exit 0"));
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
}

static void stopped(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("trap 'exit 9' TERM; while :; do sleep 0.02; done"));
    submit(&p);
    wait_started(1);
    (void)!loop_pause(loop, USEC_PER_SEC / 5, NULL); /* for the trap */
    engine_stop(engine, 1, 20 * USEC_PER_SEC);
    const struct engine_result *r = wait_ended(1);
    assert_int_equal(r->end, ENGINE_STOPPED);
    assert_int_equal(r->exit_status, 9);
    p = program(2, SH("trap '' TERM; sleep 100"));
    submit(&p);
    wait_started(2);
    engine_stop(engine, 2, 0);
    assert_int_equal(wait_ended(2)->end, ENGINE_STOPPED);
    put("hold", "");
    p = program(3, SH("exit 0"));
    submit(&p);
    (void)!loop_pause(loop, USEC_PER_SEC, NULL);
    engine_stop(engine, 3, USEC_PER_HOUR);
    r = wait_ended(3);
    assert_int_equal(r->end, ENGINE_STOPPED);
    assert_int_equal(r->started, 0);
    p = program(4, SH("exit 0"));
    submit(&p);
    engine_stop(engine, 4, USEC_PER_HOUR); /* in the turn of its submission */
    assert_int_equal(ended_count, 3);      /* told from the loop, never from within a call */
    assert_int_equal(wait_ended(4)->end, ENGINE_STOPPED);
}

/* The directory of records cannot be written to: the host says so by its status alone. */
static void no_record(void **state)
{
    (void)state;
    AUTO_FREE char *records = in_dir("engine/records");
    assert_int_equal(rmdir(records), 0);
    struct engine_program p = program(1, SH("exit 0"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->end, ENGINE_LOST);
    assert_string_equal(r->message, "n1 could not record its end in the shared directory");
}

static void no_description(void **state)
{
    (void)state;
    put("hold", "");
    struct engine_program p = program(1, SH("exit 0"));
    submit(&p);
    (void)!loop_pause(loop, USEC_PER_SEC, NULL);
    AUTO_FREE char *line = mem_printf("HOME=%s; for f in $HOME/engine/specs/*; do "
                                      "%s trial $f 7; mv $f $f.gone; "
                                      "%s trial $f 0; echo $?; done >$HOME/said 2>&1",
                                      dir, self, self);
    pid_t pid = fork();
    if (pid == 0)
        _exit(execl("/bin/sh", "sh", "-c", line, (char *)NULL));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    AUTO_FREE char *said = text_of("said");
    assert_non_null(strstr(said, "64\n"));
    assert_non_null(strstr(said, "cannot read"));
    engine_stop(engine, 1, 0);
    assert_int_equal(wait_ended(1)->end, ENGINE_STOPPED);
}

/* Nobody waits for its end any more, and another attempt of it may run: it is not to go on. */
static void given_up(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo $$ >pid; exec sleep 100"));
    submit(&p);
    pid_t pid = wait_pid("pid");
    wait_started(1);
    engine_detach(engine);
    AUTO_FREE char *specs = in_dir("engine/specs");
    assert_int_equal(fs_remove_tree(specs, NULL), 0);
    for (int i = 0; i < 600 && is_alive(pid); i++)
        (void)!loop_pause(loop, 50 * USEC_PER_MSEC, NULL);
    assert_false(is_alive(pid));
    open_engine(0);
    assert_false(engine_adopt(engine, 1));
}

static void gone_from_the_queue(void **state)
{
    (void)state;
    put("hold", "");
    struct engine_program p = program(1, SH("exit 0"));
    submit(&p);
    (void)!loop_pause(loop, USEC_PER_SEC, NULL);
    put("jobs/1_0", "0 GONE\n");
    const struct engine_result *r = wait_ended(1);
    assert_int_equal(r->end, ENGINE_LOST);
    assert_string_equal(r->message, "Slurm knows nothing of its job");
}

static void silent(void **state)
{
    (void)state;
    engine_free(engine);
    put("silent", "");
    open_engine(3 * USEC_PER_SEC);
    struct engine_program p = program(1, SH("exit 0"));
    submit(&p);
    assert_int_equal(loop_wait(loop, is_broken, NULL, 60 * USEC_PER_SEC, NULL), 0);
    assert_string_equal(broken_by.msg,
                        "Slurm has not answered for 3 s: scontrol: error: no answer");
    assert_int_equal(wait_ended(1)->end, ENGINE_LOST);
    assert_int_equal(engine_room(engine, 1, 0), 0);
}

static void no_host_is_up(void **state)
{
    (void)state;
    engine_free(engine);
    put("hold", "");
    put("down", "");
    open_engine(3 * USEC_PER_SEC);
    struct engine_program p = program(1, SH("exit 0"));
    submit(&p);
    assert_int_equal(loop_wait(loop, is_broken, NULL, 60 * USEC_PER_SEC, NULL), 0);
    assert_string_equal(broken_by.msg, "no host has taken programs for 3 s: n1 is down* (Not "
                                       "responding), n2 is drained (mine)");
    assert_int_equal(wait_ended(1)->end, ENGINE_LOST);
}

/* With no list of ended jobs the queue tells. */
static void no_word(void **state)
{
    (void)state;
    put("no_word", "");
    struct engine_program p = program(1, SH("kill -KILL $PPID; sleep 100"));
    submit(&p);
    const struct engine_result *r = wait_ended(1);
    assert_int_equal(r->end, ENGINE_LOST);
    assert_non_null(strstr(r->message, "n1"));
}

static void adopted(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("sleep 2; exit 4"));
    submit(&p);
    p = program(2, SH("sleep 100"));
    submit(&p);
    wait_started(2);
    engine_detach(engine);
    open_engine(0);
    assert_false(engine_adopt(engine, 3));
    assert_true(engine_adopt(engine, 1));
    assert_int_equal(ended_count, 0);
    assert_int_equal(wait_ended(1)->exit_status, 4);
    wait_started(3); /* of 1, a second time */
    p = program(5, SH("exit 0"));
    submit(&p);
    assert_false(engine_adopt(engine, 2)); /* too late: it is being ended */
    (void)wait_ended(2);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "trial") == 0) {
        struct err err = {0};
        loop = loop_new();
        int status = engine_slurm_trial(loop, argv[2], (unsigned)strtoul(argv[3], NULL, 10), &err);
        if (status)
            fprintf(stderr, "%s\n", err.msg);
        loop_free(loop);
        return status;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return 77; /* the tests of this room's own parts need no /proc */
#define S(f) cmocka_unit_test_setup_teardown(f, begin_slurm, end_slurm)
    const struct CMUnitTest tests[] = {
        S(ends),     S(arrays),    S(gpus),           S(refused),
        S(stopped),  S(no_record), S(no_description), S(gone_from_the_queue),
        S(given_up), S(silent),    S(no_host_is_up),  S(no_word),
        S(adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

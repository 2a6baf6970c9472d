/* Programs under the local engine: how they start, what they get, how they end. */
#include "os/core.h"
#include "programs.h"
#include <sys/resource.h>
#include <sys/stat.h>

static void ends(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum engine_end end;
        int status, signal;
    } rows[] = {
        {"exit 0", ENGINE_EXITED, 0, 0},
        {"exit 3", ENGINE_EXITED, 3, 0},
        {"exit 255", ENGINE_EXITED, 255, 0},
        {"kill -KILL $$", ENGINE_SIGNALLED, -1, SIGKILL},
        {"kill -TERM $$", ENGINE_SIGNALLED, -1, SIGTERM},
        {"kill -INT $$", ENGINE_SIGNALLED, -1, SIGINT}, /* its signals are as they were meant */
        {"kill -PIPE $$", ENGINE_SIGNALLED, -1, SIGPIPE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct engine_program p = program(i, SH(rows[i].line));
        const struct engine_result *r = run(&p);
        assert_int_equal(r->id, i);
        assert_int_equal(r->end, rows[i].end);
        assert_int_equal(r->exit_status, rows[i].status);
        assert_int_equal(r->signal, rows[i].signal);
        assert_true(r->started > 0 && r->ended >= r->started);
        assert_true(r->memory_peak > 100000);
        assert_string_equal(r->message, "");
    }
    assert_int_equal(started_count, COUNT_OF(rows));
}

static void cpu_time_is_counted(void **state)
{
    (void)state;
    struct engine_program p =
        program(1, SH("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 0"));
    const struct engine_result *r = run(&p);
    assert_true(r->user_time + r->system_time > 10 * USEC_PER_MSEC);
    assert_true(r->user_time + r->system_time <= 2 * (r->ended - r->started) + USEC_PER_SEC);
}

static void not_started(const struct engine_program *p, const char *why)
{
    size_t started = started_count;
    const struct engine_result *r = run(p);
    assert_int_equal(r->end, ENGINE_NOT_STARTED);
    assert_int_equal(r->exit_status, -1);
    assert_int_equal(r->started, 0);
    assert_int_equal(started_count, started);
    if (!strstr(r->message, why))
        fail_msg("'%s' does not say '%s'", r->message, why);
}

static void what_cannot_start(void **state)
{
    (void)state;
    struct engine_program p = program(1, (const char *const[]){"no-such-x", NULL});
    not_started(&p, "no such program: 'no-such-x' is not in PATH");
    p = program(1, (const char *const[]){"/no/such/x", NULL});
    not_started(&p, "no such program: '/no/such/x'");
    p = program(1, (const char *const[]){"/tmp", NULL});
    not_started(&p, "cannot run '/tmp': Permission denied");
    AUTO_FREE char *script = in_dir("script");
    assert_int_equal(fs_write_atomic(script, 0600, STR("#!/bin/sh\nexit 0\n"), NULL), 0);
    p = program(1, (const char *const[]){script, NULL});
    not_started(&p, "Permission denied");
    assert_int_equal(fs_write_atomic(script, 0700, STR("exit 0\n"), NULL), 0);
    not_started(&p, "a script needs a first line");
    assert_int_equal(fs_write_atomic(script, 0700, STR("#!/no/such\n"), NULL), 0);
    not_started(&p, "what its first line names is not there");
    p = program(1, SH("exit 0"));
    p.directory = "/no/such/directory";
    not_started(&p, "cannot start in the directory '/no/such/directory': No such file");
    p = program(1, SH("exit 0"));
    p.console = "/no/such/out";
    not_started(&p, "cannot write the output to '/no/such/out'");
    AUTO_FREE char *fifo = in_dir("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    p.console = "/dev/null"; /* a device stays what it is */
    not_started(&p, "cannot write the output");
    p.console = fifo; /* what an earlier attempt left gives way to a file */
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
    struct stat st;
    assert_int_equal(lstat(fifo, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    p = program(1, SH("exit 0"));
    assert_int_equal(run(&p)->end, ENGINE_EXITED); /* and all is well afterwards */
}

static void its_environment_and_place(void **state)
{
    (void)state;
    const char *const env[] = {"X=y z", "PATH=/nowhere:/usr/bin:/bin", "FLAMBE_CPUS=77", NULL};
    struct engine_program p = program(
        5,
        SH("echo "
           "\"$X|$HOME|$OMP_NUM_THREADS|$FLAMBE_CPUS|$FLAMBE_GPUS|${CUDA_VISIBLE_DEVICES-no}\";"
           "pwd; cat; ls /proc/self/fd | wc -l; echo wrong >&2; umask; ps -o pid=,pgid=,sid= $$"));
    p.env = env;
    p.cpus = 2;
    mode_t before = umask(022);
    umask(before);
    assert_int_equal(run(&p)->exit_status, 0);
    AUTO_FREE char *text = text_of("out");
    long pid, group, session;
    char head[256];
    snprintf(head, sizeof head, "y z||2|2|0|no\n%s\n4\nwrong\n%04o\n", dir, (unsigned)before);
    assert_memory_equal(text, head, strlen(head));
    assert_int_equal(sscanf(text + strlen(head), "%ld %ld %ld", &pid, &group, &session), 3);
    assert_int_equal(pid, group);
    assert_int_equal(pid, session);
    const char *const threads[] = {"PATH=/bin", "OMP_NUM_THREADS=9", NULL};
    p = program(6, SH("echo $OMP_NUM_THREADS"));
    p.env = threads;
    assert_int_equal(run(&p)->exit_status, 0);
    AUTO_FREE char *second = text_of("out");
    assert_string_equal(second, "9\n"); /* the file was emptied before */
    const char *const empty_path[] = {"PATH=/nowhere", NULL};
    p.env = empty_path;
    not_started(&p, "not in PATH");
    p.env = (const char *const[]){NULL};
    assert_int_equal(run(&p)->exit_status, 0); /* the usual places, then */
}

static void gpus_are_handed_out_and_come_back(void **state)
{
    (void)state;
    engine_free(engine);
    begin(8, (const char *const[]){"0", "GPU-b", "5", NULL});
    struct engine_program p[5];
    const char *const *show = SH("echo \"=$CUDA_VISIBLE_DEVICES=$FLAMBE_GPUS\"; cat go 2>&-; "
                                 "while ! [ -e go ]; do sleep 0.02; done");
    for (size_t i = 0; i < 4; i++) {
        p[i] = program(i, show);
        p[i].gpus = i == 0 ? 2 : i == 3 ? 0 : 1;
    }
    p[0].console = in_dir("out0"), p[1].console = in_dir("out1"), p[3].console = in_dir("out3");
    submit(&p[0]);
    assert_int_equal(engine_room(engine, 1, 2), 0);
    assert_int_equal(engine_room(engine, 1, 1), 1);
    submit(&p[1]);
    struct err err = {0};
    assert_int_equal(engine_submit(engine, &p[2], &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    submit(&p[3]);
    wait_started(3);
    assert_string_equal(seen_gpus[0], "0,GPU-b");
    assert_string_equal(seen_gpus[1], "5");
    assert_string_equal(seen_gpus[3], "");
    AUTO_FREE char *go = in_dir("go");
    assert_int_equal(fs_write_atomic(go, 0600, STR(""), NULL), 0);
    wait_ended(3);
    AUTO_FREE char *out0 = text_of("out0"), *out1 = text_of("out1"), *out3 = text_of("out3");
    assert_string_equal(out0, "=0,GPU-b=2\n");
    assert_string_equal(out1, "=5=1\n");
    assert_string_equal(out3, "==0\n"); /* none, where there are some */
    assert_int_equal(engine_room(engine, 1, 3), 1);
    p[4] = program(4, show);
    p[4].gpus = 3;
    run(&p[4]);
    assert_string_equal(seen_gpus[4], "0,GPU-b,5");
    for (size_t i = 0; i < 4; i += i == 1 ? 2 : 1)
        free((char *)(uintptr_t)p[i].console);
}

static void room_is_what_fits(void **state)
{
    (void)state;
    assert_int_equal(engine_room(engine, 1, 0), 4);
    assert_int_equal(engine_room(engine, 3, 0), 1);
    assert_int_equal(engine_room(engine, 5, 0), 0);
    assert_int_equal(engine_room(engine, 1, 1), 0);
    assert_true(engine_room(engine, 0, 0) > 100);
    struct engine_program p = program(1, SH("sleep 60"));
    p.cpus = 3;
    submit(&p);
    assert_int_equal(engine_room(engine, 1, 0), 1);
    assert_int_equal(engine_room(engine, 2, 0), 0);
    struct err err = {0};
    p.cpus = 1;
    assert_int_equal(engine_submit(engine, &p, &err), -1); /* the same id */
    p = program(2, SH("exit 0"));
    p.cpus = 2;
    assert_int_equal(engine_submit(engine, &p, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    engine_stop(engine, 1, 0);
    wait_ended(1);
    assert_int_equal(engine_room(engine, 4, 0), 1);
}

/* The trouble of one program, and not the engine's. */
static void what_is_no_program_is_not_started(void **state)
{
    (void)state;
    size_t n = (size_t)9 << 20;
    AUTO_FREE char *word = mem_alloc(n);
    memset(word, 'x', n - 1);
    struct engine_program p = program(1, (const char *const[]){"true", word, NULL});
    not_started(&p, "longer than 8 MiB; large values can be read from the file $FLAMBE_PARAMS");
    assert_int_equal(engine_room(engine, 1, 0), 4); /* what it took came back */
    word[7 << 20] = '\0';
    not_started(&p, "longer than this machine takes; large values can be read from");
    p.argv = (const char *const[]){NULL};
    not_started(&p, "its command is empty");
    p.argv = (const char *const[]){"", NULL};
    not_started(&p, "its command is empty");
    p.argv = (const char *const[]){"", "'script' is no text", NULL};
    not_started(&p, "'script' is no text");
    p = program(1, SH("exit 0"));
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
    AUTO_FREE char *record = in_dir("record");
    size_t before = ended_count; /* a driver that was killed is told of each */
    assert_int_equal(engine_local_replay(record, on_ended, NULL, NULL), 0);
    assert_int_equal(ended_count - before, before);
}

/* This process's credentials are not to be on the disk; the program's core is the user's. */
static void core_dumps_are_as_the_user_has_them(void **state)
{
    (void)state;
    struct rlimit own, now, limit;
    assert_int_equal(getrlimit(RLIMIT_CORE, &own), 0);
    limit = own;
    limit.rlim_cur = 5 * 512;
    if (own.rlim_max != RLIM_INFINITY && own.rlim_max < limit.rlim_cur)
        skip();
    engine_free(engine);
    assert_int_equal(setrlimit(RLIMIT_CORE, &limit), 0);
    core_forbid();
    core_forbid(); /* once more changes nothing */
    assert_int_equal(getrlimit(RLIMIT_CORE, &now), 0);
    assert_int_equal(now.rlim_cur, 0);
    begin(4, NULL);
    struct engine_program p = program(1, SH("grep 'Max core' /proc/self/limits"));
    assert_int_equal(run(&p)->exit_status, 0);
    AUTO_FREE char *text = text_of("out");
    long soft;
    assert_int_equal(sscanf(text, "Max core file size %ld", &soft), 1);
    assert_int_equal(soft, 5 * 512);
    assert_int_equal(setrlimit(RLIMIT_CORE, &own), 0);
}

static void stopping(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("sleep 60"));
    submit(&p);
    wait_started(1);
    usec_t begun = clock_mono(clock_system());
    engine_stop(engine, 99, 0); /* unknown: passed over */
    engine_stop(engine, 1, 30 * USEC_PER_SEC);
    const struct engine_result *r = wait_ended(1);
    assert_int_equal(r->end, ENGINE_STOPPED);
    assert_int_equal(r->signal, SIGTERM);
    p = program(2, SH("trap '' TERM; echo >ready; while :; do sleep 0.1; done"));
    submit(&p);
    (void)wait_pid("ready");
    engine_stop(engine, 2, USEC_PER_SEC / 2);
    r = wait_ended(2);
    assert_int_equal(r->end, ENGINE_STOPPED);
    assert_int_equal(r->signal, SIGKILL);
    p = program(3, SH("trap 'exit 7' TERM; echo >ready3; while :; do sleep 0.05; done"));
    submit(&p);
    (void)wait_pid("ready3");
    engine_stop(engine, 3, 30 * USEC_PER_SEC);
    r = wait_ended(3);
    assert_int_equal(r->end, ENGINE_STOPPED);
    assert_int_equal(r->exit_status, 7);
    p = program(4, SH("kill -STOP $$; exit 1")); /* one that stands still hears it, too */
    submit(&p);
    wait_started(4);
    (void)!loop_pause(loop, USEC_PER_SEC / 5, NULL);
    engine_stop(engine, 4, 30 * USEC_PER_SEC);
    assert_int_equal(wait_ended(4)->end, ENGINE_STOPPED);
    p = program(5, SH("exit 6")); /* stopped when it has ended by itself */
    submit(&p);
    wait_started(5);
    usleep(300000);
    engine_stop(engine, 5, 0);
    r = wait_ended(5);
    assert_int_equal(r->end, ENGINE_EXITED);
    assert_int_equal(r->exit_status, 6);
    assert_true(clock_mono(clock_system()) - begun < 20 * USEC_PER_SEC);
}

static void the_time_limit(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("sleep 60"));
    p.time_limit = USEC_PER_SEC / 4;
    usec_t begun = clock_mono(clock_system());
    const struct engine_result *r = run(&p);
    usec_t took = clock_mono(clock_system()) - begun;
    assert_int_equal(r->end, ENGINE_TIMED_OUT);
    assert_int_equal(r->signal, SIGTERM);
    assert_true(took >= USEC_PER_SEC / 4 && took < 4 * USEC_PER_SEC);
    p = program(2, SH("trap '' TERM; while :; do sleep 0.1; done"));
    p.time_limit = USEC_PER_SEC / 4;
    begun = clock_mono(clock_system());
    r = run(&p);
    took = clock_mono(clock_system()) - begun;
    assert_int_equal(r->end, ENGINE_TIMED_OUT);
    assert_int_equal(r->signal, SIGKILL);
    assert_true(took >= 5 * USEC_PER_SEC && took < 15 * USEC_PER_SEC);
    p = program(3, SH("exit 4"));
    p.time_limit = 60 * USEC_PER_SEC;
    assert_int_equal(run(&p)->end, ENGINE_EXITED);
}

#define EAT "python3 -c 'import sys,time; x=bytearray(int(sys.argv[1])<<20); time.sleep(30)' "

static void the_memory_limit(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH(EAT "300"));
    p.memory_limit = (uint64_t)150 << 20;
    const struct engine_result *r = run(&p);
    assert_int_equal(r->end, ENGINE_OUT_OF_MEMORY);
    assert_int_equal(r->signal, SIGKILL);
    assert_true(r->ended - r->started < 10 * USEC_PER_SEC);
    /* of all its processes together */
    p = program(2, SH(EAT "100 & setsid " EAT "100 & wait"));
    p.memory_limit = (uint64_t)170 << 20;
    assert_int_equal(run(&p)->end, ENGINE_OUT_OF_MEMORY);
    /* what forked processes share counts once */
    p = program(3, SH("python3 -c 'import os,time\n"
                      "x=bytearray(100<<20)\n"
                      "for turn in range(8):\n"
                      "  for i in range(4):\n"
                      "    if os.fork()==0: time.sleep(0.2+i*0.01); os._exit(0)\n"
                      "  for i in range(4): os.wait()'"));
    p.memory_limit = (uint64_t)200 << 20;
    r = run(&p);
    assert_int_equal(r->end, ENGINE_EXITED);
    assert_int_equal(r->exit_status, 0);
}

static void thousands_in_sequence(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct engine_program p = program(0, (const char *const[]){"true", NULL});
    usec_t begun = clock_mono(clock_system());
    size_t next = 0;
    while (ended_count < COUNT) {
        for (; next < COUNT && engine_room(engine, 1, 0) > 0; next++) {
            p.id = next + PROGRAMS_MAX;
            submit(&p);
        }
        assert_int_equal(wait_ended(ended_count + 1)->exit_status, 0);
    }
    usec_t took = clock_mono(clock_system()) - begun;
    print_message("# %d programs, %.3f ms each\n", COUNT, (double)took / COUNT / 1000);
    p = program(1, SH("ls /proc/$PPID/fd | wc -l"));
    assert_int_equal(run(&p)->exit_status, 0);
    AUTO_FREE char *text = text_of("out");
    long fds = strtol(text, NULL, 10);
    assert_in_range(fds, 5, 16); /* the supervisor leaks none */
}

static void out_of_descriptors(void **state)
{
    (void)state;
    engine_free(engine);
    struct rlimit before, low = {40, 40};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low.rlim_max = before.rlim_max;
    pid_t pid = fork(); /* the hard limit does not come back */
    if (pid == 0) {
        low.rlim_max = 40;
        (void)setrlimit(RLIMIT_NOFILE, &low);
        begin(100, NULL);
        struct engine_program p = program(0, SH("ulimit -n; sleep 3"));
        for (uint64_t id = 0; id < 30; id++) {
            p.id = id;
            submit(&p);
        }
        wait_ended(30);
        size_t refused = 0, well = 0;
        for (size_t i = 0; i < 30; i++) {
            refused += results[i].end == ENGINE_NOT_STARTED &&
                       strstr(results[i].message, "Too many open files");
            well += results[i].end == ENGINE_EXITED;
        }
        engine_free(engine);
        _exit(refused >= 5 && well >= 5 && refused + well == 30 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    engine = NULL;
}

static void cancel(void *ctx)
{
    loop_cancel(ctx);
}

static void a_cancelled_loop_still_frees(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo $$ >pid; exec sleep 60"));
    submit(&p);
    pid_t pid = wait_pid("pid");
    struct timer *t = timer_start(loop, 0, cancel, loop);
    size_t one = 1;
    assert_int_equal(loop_wait(loop, has_ended, &one, USEC_PER_MIN, NULL), -1);
    timer_stop(t);
    assert_true(is_alive(pid));
    engine_free(engine);
    engine = NULL;
    assert_false(is_alive(pid));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
    assert_int_equal(ended_count, 0);
    engine_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ends),
        T(cpu_time_is_counted),
        T(what_cannot_start),
        T(its_environment_and_place),
        T(gpus_are_handed_out_and_come_back),
        T(room_is_what_fits),
        T(what_is_no_program_is_not_started),
        T(core_dumps_are_as_the_user_has_them),
        T(stopping),
        T(the_time_limit),
        T(the_memory_limit),
        T(thousands_in_sequence),
        T(out_of_descriptors),
        T(a_cancelled_loop_still_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The output of programs: all of it up to a limit, whatever they do, and whatever the disk does. */
#include "engine/console_priv.h"
#include "programs.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#define MIB ((uint64_t)1 << 20)

static uint64_t size_of(const char *name)
{
    AUTO_FREE char *text = text_of(name);
    return strlen(text);
}

static void both_streams_and_those_of_children(void **state)
{
    (void)state;
    struct engine_program p =
        program(1, SH("echo one; sh -c 'echo two >&2'; (sleep 0.1; echo three)"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->console_dropped, 0);
    AUTO_FREE char *text = text_of("out");
    assert_string_equal(text, "one\ntwo\nthree\n");
}

static void it_can_be_read_meanwhile(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo 42; exec sleep 60"));
    submit(&p);
    assert_int_equal(wait_pid("out"), 42);
    engine_stop(engine, 1, 0);
    wait_ended(1);
}

static void a_flood_is_bounded(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("echo first; yes | head -c 40000000; echo last"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->exit_status, 0);
    uint64_t all = 40000000 + 6 + 5;
    assert_int_equal(r->console_dropped, all - ENGINE_CONSOLE_MAX);
    assert_string_equal(r->message, "");
    AUTO_FREE char *text = text_of("out");
    char line[80];
    int n = snprintf(line, sizeof line, "\n[flambe: %llu bytes of output left out here]\n",
                     (unsigned long long)r->console_dropped);
    assert_int_equal(strlen(text), ENGINE_CONSOLE_MAX + (size_t)n);
    assert_memory_equal(text, "first\ny\ny\n", 10);
    assert_string_equal(text + strlen(text) - 7, "y\nlast\n");
    assert_memory_equal(text + ENGINE_CONSOLE_MAX - CONSOLE_TAIL, line, (size_t)n);
}

static void up_to_the_limit_nothing_is_missing(void **state)
{
    (void)state;
    struct engine_program p = program(1, SH("head -c 16777215 /dev/zero | tr '\\0' x; echo"));
    const struct engine_result *r = run(&p);
    assert_int_equal(r->console_dropped, 0);
    assert_int_equal(size_of("out"), ENGINE_CONSOLE_MAX);
    p = program(2, SH("head -c 16777216 /dev/zero | tr '\\0' x; echo"));
    r = run(&p);
    assert_int_equal(r->console_dropped, 1);
    assert_true(size_of("out") > ENGINE_CONSOLE_MAX);
}

/* In a process of its own, whose files cannot grow past 1 MiB, as on a full disk. */
static int on_a_full_disk(void)
{
    struct rlimit limit = {MIB, MIB};
    if (setrlimit(RLIMIT_FSIZE, &limit) == -1)
        return 2;
    signal(SIGXFSZ, SIG_IGN);
    begin(4, NULL);
    struct engine_program p = program(1, SH("yes | head -c 3000000; exit 5"));
    const struct engine_result *r = run(&p);
    if (r->end != ENGINE_EXITED || r->exit_status != 5)
        return 3;
    if (r->console_dropped != 3000000 - MIB)
        return 4;
    if (!strstr(r->message, "its output could not be written: File too large"))
        return 5;
    p = program(2, SH("exit 6")); /* the supervisor lives */
    if (run(&p)->exit_status != 6)
        return 6;
    engine_free(engine);
    return 0;
}

static void a_full_disk_stops_nothing(void **state)
{
    (void)state;
    engine_free(engine);
    engine = NULL;
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_a_full_disk());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(size_of("out"), 0); /* of the second program */
}

static void space_that_comes_back_is_used(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("direct");
    struct console c;
    assert_int_equal(console_open(&c, path, NULL), 0);
    console_take(&c, "before\n", 7);
    int file = c.fd;
    c.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    console_take(&c, "lost\n", 5);
    console_take(&c, "too\n", 4);
    close(c.fd);
    c.fd = file;
    console_take(&c, "after\n", 6);
    console_close(&c);
    assert_int_equal(c.dropped, 9);
    assert_int_equal(c.sys, ENOSPC);
    AUTO_FREE char *text = text_of("direct");
    assert_string_equal(text, "before\n\n[flambe: 9 bytes of output left out here]\nafter\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(both_streams_and_those_of_children),
        T(it_can_be_read_meanwhile),
        T(a_flood_is_bounded),
        T(up_to_the_limit_nothing_is_missing),
        T(a_full_disk_stops_nothing),
        T(space_that_comes_back_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Children: how they end, and what they say. */
#include "base/mem.h"
#include "os/proc.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
    loop_free(loop);
    return 0;
}

#define SH(line) ((const char *const[]){"sh", "-c", (line), NULL})

static int run(const char *line, struct str input, struct proc_result *r, struct err *err)
{
    return proc_run(loop, SH(line), NULL, input, 30 * USEC_PER_SEC, r, err);
}

static void ends(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status, signal;
    } rows[] = {
        {"exit 0", 0, 0},
        {"exit 3", 3, 0},
        {"exit 255", 255, 0},
        {"kill -KILL $$", -1, SIGKILL},
        {"kill -TERM $$", -1, SIGTERM},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct proc_result r;
        assert_int_equal(run(rows[i].line, STR(""), &r, NULL), 0);
        assert_int_equal(r.exit_status, rows[i].status);
        assert_int_equal(r.signal, rows[i].signal);
        proc_result_done(&r);
    }
}

static void streams(void **state)
{
    (void)state;
    struct proc_result r;
    assert_int_equal(run("cat; echo wrong >&2", STR("in\0put"), &r, NULL), 0);
    assert_int_equal(r.out.len, 6);
    assert_string_equal(buf_text(&r.err_out), "wrong\n");
    proc_result_done(&r);
    assert_int_equal(run("cat", STR(""), &r, NULL), 0); /* no input is an end */
    assert_int_equal(r.out.len, 0);
    proc_result_done(&r);
    const char *const env[] = {"PATH=/usr/bin:/bin", "X=y", NULL};
    assert_int_equal(proc_run(loop, SH("echo $X$HOME"), env, STR(""), USEC_FOREVER, &r, NULL), 0);
    assert_string_equal(buf_text(&r.out), "y\n");
    proc_result_done(&r);
    assert_int_equal(run("trap - PIPE; yes | head -1; kill -PIPE $$", STR(""), &r, NULL), 0);
    assert_int_equal(r.signal, SIGPIPE); /* children have SIGPIPE's default back */
    proc_result_done(&r);
}

static void large_streams_both_ways(void **state)
{
    (void)state;
    size_t n = (size_t)8 << 20;
    AUTO_FREE char *bytes = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    struct proc_result r;
    assert_int_equal(run("cat", (struct str){bytes, n}, &r, NULL), 0);
    assert_int_equal(r.out.len, n);
    assert_memory_equal(r.out.data, bytes, n);
    proc_result_done(&r);
    /* a child that does not read its input */
    assert_int_equal(run("exit 4", (struct str){bytes, n}, &r, NULL), 0);
    assert_int_equal(r.exit_status, 4);
    proc_result_done(&r);
    assert_int_equal(run("head -c 30000000 /dev/zero; exit 5", STR(""), &r, NULL), 0);
    assert_int_equal(r.exit_status, 5); /* read to its end, kept up to the maximum */
    assert_int_equal(r.out.len, PROC_OUTPUT_MAX);
    assert_true(r.out.overflowed);
    proc_result_done(&r);
}

static void what_cannot_run(void **state)
{
    (void)state;
    struct proc_result r = {.exit_status = 42};
    struct err err;
    const char *const missing[] = {"no-such-program-x", NULL};
    assert_int_equal(proc_run(loop, missing, NULL, STR(""), USEC_FOREVER, &r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no-such-program-x"));
    const char *const directory[] = {"/tmp", NULL};
    assert_int_equal(proc_run(loop, directory, NULL, STR(""), USEC_FOREVER, &r, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(r.exit_status, 42); /* untouched */
}

static void too_long(void **state)
{
    (void)state;
    struct proc_result r;
    struct err err;
    usec_t start = clock_mono(clock_system());
    const char *const argv[] = {"sleep", "60", NULL};
    assert_int_equal(proc_run(loop, argv, NULL, STR(""), USEC_PER_SEC / 5, &r, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "sleep"));
    /* a grandchild that holds the pipes open */
    assert_int_equal(
        proc_run(loop, SH("sleep 7 & sleep 7"), NULL, STR(""), USEC_PER_SEC / 5, &r, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(clock_mono(clock_system()) - start < 5 * USEC_PER_SEC);
}

static void cancel(void *ctx)
{
    loop_cancel(ctx);
}

static void a_cancel_ends_it(void **state)
{
    (void)state;
    struct timer *t = timer_start(loop, USEC_PER_SEC / 5, cancel, loop);
    struct proc_result r;
    struct err err;
    const char *const argv[] = {"sleep", "60", NULL};
    assert_int_equal(proc_run(loop, argv, NULL, STR(""), USEC_FOREVER, &r, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    timer_stop(t);
    loop_shield(loop); /* clean-up may still run programs */
    assert_int_equal(run("exit 0", STR(""), &r, &err), 0);
    proc_result_done(&r);
    loop_unshield(loop);
}

struct told {
    int count, status;
    enum err_code code;
    char out[64];
};

static void tell(void *ctx, const struct proc_result *r, const struct err *why)
{
    struct told *t = ctx;
    t->count++;
    t->code = why ? why->code : ERR_NONE;
    t->status = r ? r->exit_status : -2;
    snprintf(t->out, sizeof t->out, "%s", r ? buf_text(&r->out) : "");
}

static bool is_told(void *ctx)
{
    return ((const struct told *)ctx)->count > 0;
}

static void from_within_the_loop(void **state)
{
    (void)state;
    const char *const missing[] = {"no-such-program-x", NULL};
    struct told a = {0}, b = {0}, c = {0}, d = {0};
    char input[] = "hello";
    (void)proc_start(loop, SH("cat; exit 3"), NULL, str_of(input), USEC_FOREVER, tell, &a);
    memset(input, 'x', sizeof input - 1); /* it was copied */
    (void)proc_start(loop, missing, NULL, STR(""), USEC_FOREVER, tell, &b);
    (void)proc_start(loop, SH("sleep 7 & sleep 7"), NULL, STR(""), USEC_PER_SEC / 5, tell, &c);
    struct proc *cancelled = proc_start(loop, SH("sleep 7"), NULL, STR(""), USEC_FOREVER, tell, &d);
    assert_int_equal(a.count + b.count + c.count + d.count, 0);
    proc_cancel(cancelled);
    assert_int_equal(loop_wait(loop, is_told, &a, 5 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(loop_wait(loop, is_told, &b, 5 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(loop_wait(loop, is_told, &c, 5 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(a.status, 3);
    assert_string_equal(a.out, "hello");
    assert_int_equal(b.code, ERR_NOT_FOUND);
    assert_int_equal(c.code, ERR_TIMEOUT);
    assert_int_equal(loop_wait(loop, is_told, &d, 5 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(d.code, ERR_CANCELLED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ends),     T(streams),          T(large_streams_both_ways), T(what_cannot_run),
        T(too_long), T(a_cancel_ends_it), T(from_within_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

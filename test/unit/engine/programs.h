/* Programs under a local engine, and what is known of them: shared by the tests of this room. */
#ifndef FLAMBE_TEST_ENGINE_PROGRAMS_H
#define FLAMBE_TEST_ENGINE_PROGRAMS_H

#include "base/buf.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "os/fs.h"
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

#define PROGRAMS_MAX 64
#define SH(line) ((const char *const[]){"sh", "-c", (line), NULL})

static const char *const plain_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};

static struct loop *loop;
static struct engine *engine;
static char dir[64];
static struct engine_result results[PROGRAMS_MAX];
static size_t ended_count, started_count, broken_count;
static char seen_gpus[PROGRAMS_MAX][64]; /* by the program's id */

static inline void on_started(void *ctx, uint64_t id, const char *host, const char *gpus,
                              usec_t wall)
{
    (void)ctx, (void)host;
    assert_true(wall > 0);
    started_count++;
    if (id < PROGRAMS_MAX)
        snprintf(seen_gpus[id], sizeof seen_gpus[id], "%s", gpus);
}

static inline void on_ended(void *ctx, const struct engine_result *r)
{
    (void)ctx;
    results[ended_count++ % PROGRAMS_MAX] = *r;
}

static inline void on_broken(void *ctx, const struct err *err)
{
    (void)ctx;
    assert_non_null(strstr(err->msg, "supervisor"));
    broken_count++;
}

static const struct engine_events events = {
    .started = on_started, .ended = on_ended, .broken = on_broken};

static inline char *in_dir(const char *name)
{
    return fs_join(dir, name);
}

static inline void begin(int cpus, const char *const *gpus)
{
    AUTO_FREE char *record = in_dir("record");
    struct engine_local_options o = {.cpus = cpus, .gpus = gpus, .record = record, .keep_fd = -1};
    struct err err = {0};
    if (engine_local_new(loop, &o, &events, &engine, &err) == -1)
        fail_msg("%s", err.msg);
}

static inline int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-engine-XXXXXX");
    ended_count = started_count = broken_count = 0;
    engine = NULL;
    return mkdtemp(dir) ? 0 : -1;
}

static inline int setup(void **state)
{
    assert_int_equal(make_dir(state), 0);
    loop = loop_new();
    begin(4, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    engine_free(engine);
    loop_free(loop);
    return fs_remove_tree(dir, NULL);
}

/* A program by its line of shell, with its output in the file "out". */
static inline struct engine_program program(uint64_t id, const char *const *argv)
{
    static char console[96];
    snprintf(console, sizeof console, "%s/out", dir);
    return (struct engine_program){
        .id = id, .argv = argv, .env = plain_env, .directory = dir, .console = console, .cpus = 1};
}

static inline void submit(const struct engine_program *p)
{
    struct err err = {0};
    if (engine_submit(engine, p, &err) == -1)
        fail_msg("%s", err.msg);
}

static inline bool has_ended(void *ctx)
{
    return ended_count >= *(const size_t *)ctx;
}

static inline bool has_started(void *ctx)
{
    return started_count >= *(const size_t *)ctx;
}

/* Waits until so many have ended in all, and returns the last. */
static inline const struct engine_result *wait_ended(size_t count)
{
    struct err err = {0};
    if (loop_wait(loop, has_ended, &count, 60 * USEC_PER_SEC, &err) == -1)
        fail_msg("%zu of %zu programs have ended: %s", ended_count, count, err.msg);
    return &results[(count - 1) % PROGRAMS_MAX];
}

static inline void wait_started(size_t count)
{
    assert_int_equal(loop_wait(loop, has_started, &count, 60 * USEC_PER_SEC, NULL), 0);
}

static inline const struct engine_result *run(const struct engine_program *p)
{
    submit(p);
    return wait_ended(ended_count + 1);
}

static inline char *text_of(const char *name)
{
    AUTO_FREE char *path = in_dir(name);
    struct buf text = {0};
    assert_int_equal(fs_read(path, (size_t)64 << 20, &text, NULL), 0);
    return buf_take(&text);
}

/* Waits for a file that a program writes a process's number to, and reads it. */
static inline pid_t wait_pid(const char *name)
{
    AUTO_FREE char *path = in_dir(name);
    for (int i = 0; i < 1000; i++) {
        if (fs_exists(path)) {
            AUTO_FREE char *text = text_of(name);
            if (strchr(text, '\n'))
                return (pid_t)strtol(text, NULL, 10);
        }
        (void)!loop_pause(loop, 10 * USEC_PER_MSEC, NULL);
    }
    fail_msg("'%s' does not appear", name);
    return -1;
}

/* Whether the process runs: a zombie that nobody waits for does not. */
static inline bool is_alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    const char *state = n ? strrchr(text, ')') : NULL;
    return state && state[2] != 'Z' && state[2] != 'X';
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

/* The Slurm engine without a driver: a program that test/e2e/test_engine_slurm.py drives.
 *
 *   slurm_tool trial SPEC INDEX              the wrapper in a job
 *   slurm_tool engine DIRECTORY WRAPPER JOBS [look=MS] [patience=MS] [partition=NAME] [grace=MS]
 *
 * JOBS is Slurm's list of ended jobs, or "-". The engine reads commands from standard input, one a
 * line, its words separated by tabs, and prints "started …" and "ended …" as they come:
 *
 *   submit ID CPUS GPUS TIME-MS MEMORY DIRECTORY CONSOLE ARGUMENT…
 *   many FIRST COUNT DIRECTORY ARGUMENT…     as there is room; output to DIRECTORY/ID.out
 *   stop ID GRACE-MS    adopt ID    room CPUS GPUS    free    detach */
#include "base/buf.h"
#include "base/mem.h"
#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 64
#define REFILL (5 * USEC_PER_MSEC)

static struct loop *loop;
static struct engine *engine;
static uv_poll_t input;
static struct buf pending;
static struct timer *refill;
static bool quit, detach;
static const char *env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "FROM_SPEC=yes", NULL, NULL};

/* What `many` has left. */
static uint64_t next, last;
static char *many_directory, *many_argv[WORDS_MAX];

static void on_started(void *ctx, uint64_t id, const char *host, const char *gpus, usec_t wall)
{
    (void)ctx;
    printf("started\t%" PRIu64 "\t%s\t%s\t%d\n", id, host, gpus, wall > 0);
}

static void more(void *ctx);

static void refill_soon(void)
{
    if (!refill && next < last)
        refill = timer_start(loop, 0, more, NULL);
}

static void on_ended(void *ctx, const struct engine_result *r)
{
    (void)ctx;
    printf("ended\t%" PRIu64 "\t%s\t%d\t%d\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\n", r->id,
           engine_end_name(r->end), r->exit_status, r->signal, r->host, r->message, r->memory_peak,
           r->console_dropped, r->started ? r->ended - r->started : -1);
    refill_soon();
}

static void on_broken(void *ctx, const struct err *err)
{
    (void)ctx;
    printf("broken\t%s\n", err->msg);
}

static void submit(uint64_t id, int cpus, int gpus, usec_t time, uint64_t memory, const char *dir,
                   const char *console, char **argv)
{
    struct err err = {0};
    struct engine_program p = {.id = id,
                               .argv = (const char *const *)argv,
                               .env = env,
                               .directory = dir,
                               .console = console,
                               .cpus = cpus,
                               .gpus = gpus,
                               .time_limit = time,
                               .memory_limit = memory};
    if (engine_submit(engine, &p, &err) == -1)
        printf("refused\t%" PRIu64 "\t%s\n", id, err.msg);
}

static void more(void *ctx)
{
    (void)ctx;
    timer_stop(refill);
    refill = NULL;
    size_t room = engine_room(engine, 1, 0);
    for (; next < last && room > 0; room--, next++) {
        AUTO_FREE char *console = mem_printf("%s/%" PRIu64 ".out", many_directory, next);
        submit(next, 1, 0, 0, 0, many_directory, console, many_argv);
    }
    if (next < last)
        refill = timer_start(loop, REFILL, more, NULL);
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static void obey(char **w, int n)
{
    if (strcmp(w[0], "submit") == 0 && n >= 9) {
        submit(number(w[1]), (int)number(w[2]), (int)number(w[3]),
               (usec_t)number(w[4]) * USEC_PER_MSEC, number(w[5]), w[6], w[7], w + 8);
    } else if (strcmp(w[0], "many") == 0 && n >= 5) {
        next = number(w[1]);
        last = next + number(w[2]);
        many_directory = mem_dup(w[3]);
        for (int i = 4; i <= n; i++)
            many_argv[i - 4] = mem_dup(w[i]);
        refill_soon();
    } else if (strcmp(w[0], "stop") == 0 && n == 3) {
        engine_stop(engine, number(w[1]), (usec_t)number(w[2]) * USEC_PER_MSEC);
    } else if (strcmp(w[0], "adopt") == 0 && n == 2) {
        printf("adopted\t%s\t%d\n", w[1], engine_adopt(engine, number(w[1])));
    } else if (strcmp(w[0], "room") == 0 && n == 3) {
        printf("room\t%zu\n", engine_room(engine, (int)number(w[1]), (int)number(w[2])));
    } else if (strcmp(w[0], "free") == 0 || strcmp(w[0], "detach") == 0) {
        detach = w[0][0] == 'd';
        quit = true;
    } else {
        printf("error\t%s\n", w[0]);
    }
}

static void take_line(char *line)
{
    char *w[WORDS_MAX + 1], *rest = line;
    int n = 0;
    while (n < WORDS_MAX && (w[n] = strsep(&rest, "\t")))
        n++;
    w[n] = NULL;
    if (n)
        obey(w, n);
    fflush(stdout);
}

static void readable(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    char block[4096];
    ssize_t n = read(STDIN_FILENO, block, sizeof block);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        uv_poll_stop(p);
        quit = true;
        return;
    }
    if (n > 0)
        buf_add(&pending, block, (size_t)n);
    char *end;
    while (pending.len && (end = memchr(pending.data, '\n', pending.len))) {
        size_t length = (size_t)(end - pending.data);
        AUTO_FREE char *line = mem_dup_n(pending.data, length);
        buf_consume(&pending, length + 1);
        take_line(line);
    }
}

static bool is_over(void *ctx)
{
    (void)ctx;
    return quit;
}

static usec_t option(char **argv, const char *name)
{
    size_t n = strlen(name);
    for (; *argv; argv++) {
        if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=')
            return (usec_t)number(*argv + n + 1) * USEC_PER_MSEC;
    }
    return 0;
}

static int run_engine(char **argv)
{
    struct err err = {0};
    struct engine_slurm_options o = {.directory = argv[0],
                                     .wrapper = argv[1],
                                     .ended_jobs = strcmp(argv[2], "-") ? argv[2] : NULL,
                                     .look_every = option(argv + 3, "look"),
                                     .patience = option(argv + 3, "patience"),
                                     .stop_grace = option(argv + 3, "grace")};
    const struct engine_events events = {on_started, on_ended, on_broken, NULL};
    for (char **a = argv + 3; *a; a++) {
        if (strncmp(*a, "partition=", 10) == 0)
            o.partition = *a + 10;
    }
    env[2] = getenv("TOOL_ENV"); /* one more variable of the programs, or none */
    if (engine_slurm_new(loop, &o, &events, &engine, &err) == -1) {
        printf("error\t%s\n", err.msg);
        return 1;
    }
    printf("ready\n");
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    uv_poll_init(loop_uv(loop), &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, readable);
    (void)!loop_wait(loop, is_over, NULL, USEC_FOREVER, NULL);
    uv_poll_stop(&input);
    timer_stop(refill);
    if (detach)
        engine_detach(engine);
    else
        engine_free(engine);
    printf("bye\n");
    buf_done(&pending);
    free(many_directory);
    for (int i = 0; i < WORDS_MAX; i++)
        free(many_argv[i]);
    return 0;
}

int main(int argc, char **argv)
{
    loop = loop_new();
    int status = 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct err err = {0};
    if (argc == 4 && strcmp(argv[1], "trial") == 0) {
        status = engine_slurm_trial(loop, argv[2], (unsigned)number(argv[3]), &err);
        if (status)
            fprintf(stderr, "%s\n", err.msg);
    } else if (argc >= 5 && strcmp(argv[1], "engine") == 0) {
        status = run_engine(argv + 2);
    }
    loop_free(loop);
    return status;
}

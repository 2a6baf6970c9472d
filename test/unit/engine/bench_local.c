/* Not a test: prints what the local engine adds to a short program.
 *     bench_local [COUNT] [AT ONCE]
 * Beside it, in the same run: the same programs by vfork and exec alone, and by xargs. Wall time
 * suffers from what else the machine does; CPU time, of all processes involved, does less. */
#include "base/mem.h"
#include "engine/engine.h"
#include "os/fs.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t under_way;
static char dir[256]; /* stays to the end: making files is dear where some were just removed */

static void on_ended(void *ctx, const struct engine_result *r)
{
    (void)ctx;
    under_way--;
    if (r->end != ENGINE_EXITED || r->exit_status != 0) {
        fprintf(stderr, "program %llu: %s %s\n", (unsigned long long)r->id, engine_end_name(r->end),
                r->message);
        exit(1);
    }
}

static bool has_room(void *ctx)
{
    return engine_room(ctx, 1, 0) > 0;
}

static bool none_left(void *ctx)
{
    (void)ctx;
    return under_way == 0;
}

static double cpu_of(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e3 +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

static double by_engine(size_t count, int at_once)
{
    struct loop *loop = loop_new();
    AUTO_FREE char *record = fs_join(dir, "record");
    struct engine_local_options o = {.cpus = at_once, .record = record, .keep_fd = -1};
    struct engine_events events = {.ended = on_ended};
    struct engine *e;
    struct err err;
    if (engine_local_new(loop, &o, &events, &e, &err) == -1)
        exit(1);
    static const char *const argv[] = {"/bin/true", NULL};
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    usec_t begun = clock_mono(clock_system());
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *console = mem_printf("%s/%zu", dir, i);
        struct engine_program p = {
            .id = i, .argv = argv, .env = env, .directory = "/tmp", .console = console, .cpus = 1};
        if (loop_wait(loop, has_room, e, USEC_FOREVER, NULL) == -1 ||
            engine_submit(e, &p, &err) == -1)
            exit(1);
        under_way++;
    }
    if (loop_wait(loop, none_left, NULL, USEC_FOREVER, NULL) == -1)
        exit(1);
    double took = (double)(clock_mono(clock_system()) - begun);
    engine_free(e);
    loop_free(loop);
    return took / (double)count;
}

/* As few steps as it takes to run a program. */
static double by_vfork(size_t count, int at_once)
{
    usec_t begun = clock_mono(clock_system());
    int running = 0;
    for (size_t i = 0; i < count; i++) {
        if (running == at_once && wait(NULL) > 0)
            running--;
        pid_t pid = vfork();
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        running++;
    }
    while (wait(NULL) > 0)
        ;
    return (double)(clock_mono(clock_system()) - begun) / (double)count;
}

static double by_xargs(size_t count, int at_once)
{
    AUTO_FREE char *line = mem_printf("seq %zu | xargs -P%d -n1 /bin/true", count, at_once);
    usec_t begun = clock_mono(clock_system());
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        exit(1);
    return (double)(clock_mono(clock_system()) - begun) / (double)count;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    int at_once = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 2;
    static const struct {
        const char *name;
        double (*run)(size_t count, int at_once);
    } ways[] = {{"engine", by_engine}, {"xargs", by_xargs}, {"vfork", by_vfork}};
    const char *tmp = getenv("TMPDIR");
    AUTO_FREE char *base = mem_printf("%s/flambe-bench-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(base))
        return 1;
    printf("ms each of %zu programs, %d at once: wall time (CPU time)\n", count, at_once);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            snprintf(dir, sizeof dir, "%s/%d%s", base, round, ways[i].name);
            if (mkdir(dir, 0700) == -1)
                return 1;
            double cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
            double wall = ways[i].run(count, at_once) / 1000;
            cpu = (cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu) / (double)count;
            printf("%s %.3f (%.3f)  ", ways[i].name, wall, cpu);
        }
        printf("\n");
    }
    return fs_remove_tree(base, NULL) == 0 ? 0 : 1;
}

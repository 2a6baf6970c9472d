/* See engines.h. */
#include "node/engines.h"
#include "base/mem.h"
#include "experiment/fetch.h"
#include "node/entry.h"
#include "os/fs.h"
#include "os/proc.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define ENGINE_PLACE "engine" /* below the shared tree: what the engine's jobs need */
/* Where cluster/slurm_conf.c has Slurm write a line for each job that ends. */
#define ENDED_JOBS "/var/lib/flambe/slurm/jobcomp.log"
#define PROGRAM "/opt/flambe/bin/flambe-node"
#define SINFO_TIMEOUT (30 * USEC_PER_SEC)

static int make_slurm(const struct entry *entry, const struct carry_engine *e, struct engine **out,
                      struct err *err)
{
    AUTO_FREE char *up = fs_join(entry->save_path, "../" ENGINE_PLACE);
    AUTO_FREE char *directory = fs_join(up, entry->name);
    if (fs_mkdirs(directory, 0700, err) == -1)
        return -1;
    AUTO_FREE char *real = realpath(directory, NULL);
    if (!real)
        return err_set_sys(err, errno, "cannot use '%s'", directory);
    struct engine_slurm_options o = {
        .directory = real, .wrapper = PROGRAM, .ended_jobs = ENDED_JOBS, .partition = "flambe"};
    return engine_slurm_new(e->loop, &o, &e->events, out, err);
}

int node_make_engine(void *ctx, const struct carry_engine *e, struct engine **out, struct err *err)
{
    const struct entry *entry = ctx;
    return entry->engine == ENTRY_LOCAL ? carry_engine_local(NULL, e, out, err)
                                        : make_slurm(entry, e, out, err);
}

/* "4 gpu:2" or "4 (null)", "4 gpu:a10g:8(S:0-1)": a node's CPUs and its GPUs. */
bool node_read_sinfo(struct str line, int *cpus, int *gpus)
{
    int64_t n = 0;
    struct str rest = str_trim(line), first = str_cut(&rest, ' ');
    if (!str_to_i64(first, 1, INT_MAX, &n))
        return false;
    *cpus = (int)n;
    *gpus = 0;
    while (rest.p && rest.n) {
        struct str item = str_cut(&rest, ',');
        struct str name = str_cut(&item, ':');
        while (str_is(str_trim(name), "gpu") && item.p && item.n) {
            struct str part = str_cut(&item, ':');
            struct str number = str_cut(&part, '(');
            if (str_to_i64(number, 0, MACHINE_GPUS_MAX, &n)) {
                *gpus += (int)n;
                break;
            }
        }
    }
    return true;
}

/* A trial runs on one host: what the largest has is what a trial may ask for. */
struct machine node_machine(void *ctx, struct loop *loop)
{
    static const char *const argv[] = {"sinfo", "-h", "-N", "-o", "%c %G", NULL};
    const struct entry *entry = ctx;
    struct proc_result r = {0};
    struct machine m = {0};
    if (entry->engine == ENTRY_LOCAL)
        return machine_here(loop);
    if (proc_run(loop, argv, NULL, (struct str){0}, SINFO_TIMEOUT, &r, NULL) == 0) {
        struct str rest = buf_view(&r.out);
        while (rest.p && rest.n) {
            int cpus, gpus;
            if (!node_read_sinfo(str_cut(&rest, '\n'), &cpus, &gpus))
                continue;
            m.cpus = cpus > m.cpus ? cpus : m.cpus;
            m.gpus = gpus > m.gpus ? gpus : m.gpus;
        }
        proc_result_done(&r);
    }
    if (!m.cpus) /* Slurm does not answer: it will say itself what it cannot do */
        m.cpus = INT_MAX;
    return m;
}

/* A host fetches nothing: what is on the net was brought here before the entry was. */
static int refuse(void *ctx, const char *url, const char *destination, fetch_progress_fn *progress,
                  void *progress_ctx, struct fetched *out, struct err *err)
{
    (void)ctx, (void)url, (void)destination, (void)progress, (void)progress_ctx, (void)out;
    return err_set(err, ERR_NOT_FOUND, "the entry does not say where it is on this host");
}

int node_find_resources(void *ctx, struct loop *loop, const struct experiment *e,
                        const char *directory, struct strv *paths, struct err *err)
{
    (void)ctx, (void)loop;
    struct fetcher nobody = {refuse, NULL};
    return resources_fetch(e, directory, &nobody, NULL, paths, err);
}

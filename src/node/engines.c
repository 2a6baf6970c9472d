/* See engines.h. */
#include "node/engines.h"
#include "base/mem.h"
#include "experiment/fetch.h"
#include "node/config.h"
#include "node/entry.h"
#include "os/fs.h"
#include "os/proc.h"
#include <stdlib.h>
#include <string.h>

#define WRAPPER "/opt/flambe/bin/flambe-node" /* on every host */
#define ENDED_JOBS "/var/lib/flambe/slurm/jobcomp.log"
#define SINFO_TIMEOUT (20 * USEC_PER_SEC)
#define SINFO_TRIES 3
#define SINFO_PAUSE (3 * USEC_PER_SEC)
#define COUNT_MAX 100000

/* ---- what the cluster has ---------------------------------------------------------------------
 */

/* "gpu:2", "gpu:tesla:4(S:0-1),shard:8", "(null)": how many GPUs. */
static int64_t count_gpus(struct str gres)
{
    int64_t sum = 0;
    while (gres.p) {
        struct str one = str_trim(str_cut(&gres, ','));
        struct str rest = str_cut(&one, '('), kind = str_cut(&rest, ':'), last = {0};
        while (rest.p)
            last = str_cut(&rest, ':');
        int64_t n;
        if (str_is(kind, "gpu") && str_to_i64(last, 0, COUNT_MAX, &n))
            sum += n;
    }
    return sum;
}

struct machine node_largest(struct str sinfo)
{
    struct machine m = {0};
    while (sinfo.p) {
        struct str gres = str_trim(str_cut(&sinfo, '\n')), cpus = str_cut(&gres, '|');
        int64_t n;
        if (!gres.p || !str_to_i64(cpus, 1, COUNT_MAX, &n))
            continue;
        int64_t gpus = count_gpus(gres);
        m.cpus = n > m.cpus ? (int)n : m.cpus;
        m.gpus = gpus > m.gpus ? (int)gpus : m.gpus;
    }
    return m;
}

/* The largest of the cluster's hosts: no trial is larger. */
static struct machine cluster_machine(struct loop *loop)
{
    static const char *const argv[] = {"sinfo", "--noheader", "--Node", "--format=%c|%G", NULL};
    for (int i = 0; i < SINFO_TRIES; i++) {
        struct proc_result r;
        struct machine m = {0};
        if (proc_run(loop, argv, NULL, STR(""), SINFO_TIMEOUT, &r, NULL) == 0) {
            if (r.exit_status == 0)
                m = node_largest(buf_view(&r.out));
            proc_result_done(&r);
        }
        if (m.cpus)
            return m;
        if (loop_pause(loop, SINFO_PAUSE, NULL) == -1)
            break;
    }
    return (struct machine){.cpus = COUNT_MAX}; /* Slurm itself says what does not fit */
}

struct machine node_machine(void *ctx, struct loop *loop)
{
    const struct entry *entry = ctx;
    return entry->engine == ENTRY_SLURM ? cluster_machine(loop) : machine_here(loop);
}

/* ---- engines ----------------------------------------------------------------------------------
 */

static int make_slurm(const struct entry *entry, const struct carry_engine *e, struct engine **out,
                      struct err *err)
{
    struct config config;
    if (config_load(CONFIG_FILE, &config, err) == -1)
        return -1;
    AUTO_FREE char *directory = mem_printf("%s/engine/%s", config.shared, entry->name);
    config_done(&config);
    struct engine_slurm_options o = {.directory = directory,
                                     .wrapper = WRAPPER,
                                     .ended_jobs = fs_exists(ENDED_JOBS) ? ENDED_JOBS : NULL};
    return engine_slurm_new(e->loop, &o, &e->events, out, err);
}

int node_make_engine(void *ctx, const struct carry_engine *e, struct engine **out, struct err *err)
{
    const struct entry *entry = ctx;
    return entry->engine == ENTRY_SLURM ? make_slurm(entry, e, out, err)
                                        : carry_engine_local(NULL, e, out, err);
}

/* ---- resources --------------------------------------------------------------------------------
 */

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

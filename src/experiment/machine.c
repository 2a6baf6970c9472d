/* See machine.h. */
#include "experiment/machine.h"
#include "base/mem.h"
#include "experiment/program.h"
#include "os/fs.h"
#include "os/proc.h"
#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CPUS_MAX 8192 /* the largest set that Linux is built for */
#define NVIDIA_SMI "nvidia-smi"

static int count_cpus(void)
{
    int count = 0;
#ifdef __linux__ /* those that this process may use */
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    if (set && sched_getaffinity(0, size, set) == 0)
        count = CPU_COUNT_S(size, set);
    if (set)
        CPU_FREE(set);
#endif
    if (count == 0)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

/* ---- GPUs -------------------------------------------------------------------------------------
 */

struct gpu {
    char *index, *uuid; /* uuid: NULL where it is not known */
};

struct gpus {
    struct gpu *items;
    size_t count, cap;
};

static void gpus_done(struct gpus *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->items[i].index);
        free(g->items[i].uuid);
    }
    free(g->items);
}

static void gpus_add(struct gpus *g, struct str index, struct str uuid)
{
    if (g->count >= MACHINE_GPUS_MAX)
        return;
    MEM_PUSH_ROOM(g->items, g->count, g->cap);
    g->items[g->count++] = (struct gpu){str_dup(index), uuid.n ? str_dup(uuid) : NULL};
}

bool machine_ask_nvidia(struct loop *loop, const char *fields, struct strv *lines)
{
    AUTO_FREE char *query = mem_printf("--query-gpu=%s", fields);
    const char *argv[] = {NVIDIA_SMI, query, "--format=csv,noheader,nounits", NULL};
    struct proc_result r;
    if (!program_is_in_path(NVIDIA_SMI) ||
        proc_run(loop, argv, NULL, STR(""), MACHINE_PATIENCE, &r, NULL) == -1)
        return false;
    bool ok = r.exit_status == 0;
    struct str rest = buf_view(&r.out);
    while (ok && rest.p && lines->count < MACHINE_GPUS_MAX) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.n)
            strv_add_str(lines, line);
    }
    proc_result_done(&r);
    return ok;
}

/* "0, GPU-6c5e…, NVIDIA A100-SXM4-80GB, 81920"; whatever else nvidia-smi says is no GPU. */
static void find_by_nvidia_smi(struct loop *loop, struct gpus *g)
{
    AUTO_STRV struct strv lines = {0};
    if (!machine_ask_nvidia(loop, "index,uuid,name,memory.total", &lines))
        return;
    for (size_t i = 0; i < lines.count; i++) {
        struct str rest = str_of(lines.items[i]);
        struct str index = str_trim(str_cut(&rest, ','));
        struct str uuid = str_trim(str_cut(&rest, ','));
        int64_t number;
        if (rest.p && str_to_i64(index, 0, MACHINE_GPUS_MAX - 1, &number) &&
            str_starts(uuid, "GPU-"))
            gpus_add(g, index, uuid);
    }
}

/* NVIDIA's driver makes one device file /dev/nvidiaN for each GPU. */
static void find_by_files(struct gpus *g)
{
    size_t count = 0;
    DIR *dir = opendir("/dev");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        struct str name = str_of(e->d_name);
        int64_t number;
        if (!str_starts(name, "nvidia"))
            continue;
        name = (struct str){name.p + 6, name.n - 6};
        count += str_to_i64(name, 0, MACHINE_GPUS_MAX - 1, &number);
    }
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < count; i++) { /* CUDA counts from 0, whatever the files' numbers */
        AUTO_FREE char *index = mem_printf("%zu", i);
        gpus_add(g, str_of(index), STR(""));
    }
}

/* The GPU that a word of CUDA_VISIBLE_DEVICES names: an index, or the beginning of a UUID that only
 * one has; g->count where there is none. */
static size_t find_named(const struct gpus *g, struct str word)
{
    size_t found = g->count;
    bool by_uuid = str_starts(word, "GPU-");
    for (size_t i = 0; i < g->count; i++) {
        const struct gpu *one = &g->items[i];
        if (!by_uuid && str_is(word, one->index))
            return i;
        if (!by_uuid || !one->uuid || strncmp(one->uuid, word.p, word.n) != 0)
            continue;
        if (found != g->count)
            return g->count;
        found = i;
    }
    return found;
}

/* As CUDA reads the variable: what stands behind a word that names nothing is not looked at. */
static void choose_visible(const struct gpus *g, const char *visible, struct strv *ids)
{
    struct str rest = str_of(visible);
    AUTO_FREE bool *taken = mem_array(g->count + 1, sizeof *taken);
    while (rest.p && ids->count < MACHINE_GPUS_MAX) {
        struct str word = str_trim(str_cut(&rest, ','));
        if (str_starts(word, "MIG-")) { /* a slice, which the query does not list */
            strv_add_str(ids, word);
            continue;
        }
        size_t i = find_named(g, word);
        if (i == g->count)
            return;
        if (!taken[i])
            strv_add(ids, str_starts(word, "GPU-") ? g->items[i].uuid : g->items[i].index);
        taken[i] = true;
    }
}

static void find_gpus(struct loop *loop, struct strv *ids)
{
    CLEANUP(gpus_done) struct gpus g = {0};
    if (program_is_in_path(NVIDIA_SMI))
        find_by_nvidia_smi(loop, &g);
    else if (fs_exists("/dev/nvidiactl"))
        find_by_files(&g);
    if (g.count == 0)
        return;
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible) {
        choose_visible(&g, visible, ids);
        return;
    }
    for (size_t i = 0; i < g.count; i++)
        strv_add(ids, g.items[i].index);
}

struct machine machine_here(struct loop *loop)
{
    struct machine m = {.cpus = count_cpus()};
    find_gpus(loop, &m.gpu_ids);
    m.gpus = (int)m.gpu_ids.count;
    return m;
}

void machine_done(struct machine *m)
{
    strv_done(&m->gpu_ids);
    *m = (struct machine){0};
}

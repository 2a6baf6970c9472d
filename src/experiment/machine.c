/* See machine.h. */
#include "experiment/machine.h"
#include "base/mem.h"
#include "base/str.h"
#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#define CPUS_MAX 8192 /* the largest set that Linux is built for */

static int count_cpus(void)
{
    int count = 0;
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    if (set && sched_getaffinity(0, size, set) == 0)
        count = CPU_COUNT_S(size, set);
    if (set)
        CPU_FREE(set);
    if (count == 0)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

/* NVIDIA's driver makes one device file /dev/nvidiaN for each GPU. */
static int count_gpus(void)
{
    int count = 0;
    DIR *dir = opendir("/dev");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        struct str name = str_of(e->d_name);
        int64_t number;
        if (!str_starts(name, "nvidia"))
            continue;
        name = (struct str){name.p + 6, name.n - 6};
        count += str_to_i64(name, 0, 1023, &number);
    }
    if (dir)
        closedir(dir);
    return count;
}

struct machine machine_here(void)
{
    return (struct machine){count_cpus(), count_gpus()};
}

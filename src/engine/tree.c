/* See tree_priv.h. The sources of the formats are proc_pid_stat(5), proc_pid_environ(5) and
 * proc_pid_smaps(5). */
#include "base/mem.h"
#include "engine/tree_priv.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRONMENT_MAX ((size_t)1 << 20) /* bytes of an environment that are looked at */

void tree_init(struct tree *t)
{
    *t = (struct tree){.proc_fd = -1, .children_fd = -1};
#ifdef __linux__
    t->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    t->children_fd = open(path, O_RDONLY | O_CLOEXEC);
#endif
}

void tree_done(struct tree *t)
{
    if (t->proc_fd >= 0)
        close(t->proc_fd);
    if (t->children_fd >= 0)
        close(t->children_fd);
    free(t->items);
    *t = (struct tree){.proc_fd = -1, .children_fd = -1};
}

/* Reads up to `max` bytes of a file of the process; returns how many, or -1. */
static ssize_t read_of(const struct tree *t, pid_t pid, const char *name, char *out, size_t max)
{
    char path[64];
    snprintf(path, sizeof path, "%ld/%s", (long)pid, name);
    int fd = t->proc_fd < 0 ? -1 : openat(t->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = 0;
    ssize_t k = 0;
    while (n < max && (k = read(fd, out + n, max - n)) > 0)
        n += (size_t)k;
    close(fd);
    return k < 0 ? -1 : (ssize_t)n;
}

bool tree_look(const struct tree *t, pid_t pid, struct tree_process *out)
{
    char text[1024];
    ssize_t n = read_of(t, pid, "stat", text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name before it may hold anything */
    long parent, group, session, pages;
    char state;
    if (!after || sscanf(after + 1,
                         " %c %ld %ld %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                         "%*d %*u %*u %ld",
                         &state, &parent, &group, &session, &pages) != 5)
        return false;
    *out = (struct tree_process){.pid = pid,
                                 .parent = (pid_t)parent,
                                 .group = (pid_t)group,
                                 .session = (pid_t)session,
                                 .state = state,
                                 .resident = (uint64_t)(pages > 0 ? pages : 0) *
                                             (uint64_t)sysconf(_SC_PAGESIZE)};
    return true;
}

void tree_scan(struct tree *t)
{
    t->count = 0;
    int fd = t->proc_fd < 0 ? -1 : openat(t->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) && t->count < TREE_PROCESSES_MAX) {
        struct tree_process p;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            !tree_look(t, (pid_t)strtol(entry->d_name, NULL, 10), &p))
            continue;
        MEM_PUSH_ROOM(t->items, t->count, t->cap);
        t->items[t->count++] = p;
    }
    closedir(dir);
}

static int by_pid(const void *a, const void *b)
{
    const struct tree_process *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

void tree_inherit(struct tree *t)
{
    if (t->count == 0)
        return;
    qsort(t->items, t->count, sizeof *t->items, by_pid);
    bool changed = true;
    while (changed) { /* each turn reaches a generation further at least */
        changed = false;
        for (size_t i = 0; i < t->count; i++) {
            struct tree_process *p = &t->items[i];
            struct tree_process key = {.pid = p->parent};
            if (p->owner)
                continue;
            const struct tree_process *parent =
                bsearch(&key, t->items, t->count, sizeof *t->items, by_pid);
            if (parent && parent->owner) {
                p->owner = parent->owner;
                changed = true;
            }
        }
    }
}

/* The same from the whole table, for kernels that keep no list of children. */
static size_t children_by_scan(struct tree *t, pid_t *out, size_t max)
{
    size_t count = 0;
    tree_scan(t);
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].parent != getpid())
            continue;
        if (count < max)
            out[count] = t->items[i].pid;
        count++;
    }
    return count;
}

size_t tree_children(struct tree *t, pid_t *out, size_t max)
{
    if (t->children_fd < 0)
        return children_by_scan(t, out, max);
    char block[4096];
    size_t count = 0;
    off_t at = 0;
    ssize_t n;
    pid_t number = 0;
    while ((n = pread(t->children_fd, block, sizeof block, at)) > 0) {
        at += n;
        for (ssize_t i = 0; i < n; i++) { /* "12 34 56 " */
            if (isdigit((unsigned char)block[i])) {
                number = number * 10 + (block[i] - '0');
                continue;
            }
            if (number && count < max)
                out[count] = number;
            count += number != 0;
            number = 0;
        }
    }
    return count;
}

bool tree_variable(const struct tree *t, pid_t pid, const char *name, char *out, size_t size)
{
    AUTO_FREE char *text = mem_alloc(ENVIRONMENT_MAX + 1);
    ssize_t n = read_of(t, pid, "environ", text, ENVIRONMENT_MAX);
    size_t k = strlen(name);
    for (const char *p = text; n > 0 && p < text + n; p += strlen(p) + 1) {
        if (strncmp(p, name, k) == 0 && p[k] == '=') {
            snprintf(out, size, "%s", p + k + 1);
            return true;
        }
    }
    return false;
}

uint64_t tree_proportional(const struct tree *t, pid_t pid, uint64_t fallback)
{
    char text[2048];
    struct tree_process p;
    ssize_t n = read_of(t, pid, "smaps_rollup", text, sizeof text - 1);
    if (n <= 0) /* not there before Linux 4.14, nor for a process that has ended meanwhile */
        return tree_look(t, pid, &p) && p.resident ? fallback : 0;
    text[n] = '\0';
    const char *line = strstr(text, "\nPss:");
    unsigned long long kib;
    if (!line || sscanf(line, "\nPss: %llu kB", &kib) != 1)
        return fallback;
    return (uint64_t)kib << 10;
}

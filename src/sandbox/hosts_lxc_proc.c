/* Containers as the kernel shows them: processes, cgroups, interfaces, mounts.
 *
 * lxc-stop, lxc-freeze and lxc-info would do the same at the price of a process each; these
 * return at once, as host_ops asks. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/hosts_lxc_priv.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROC_FILE_MAX ((size_t)8 << 20)

/* ---- processes ------------------------------------------------------------------------------- */

static bool read_cmdline(long pid, struct buf *out)
{
    AUTO_FREE char *path = mem_printf("/proc/%ld/cmdline", pid);
    buf_clear(out);
    if (fs_read(path, PROC_FILE_MAX, out, NULL) == -1)
        return false;
    for (size_t i = 0; i < out->len; i++) {
        if (out->data[i] == '\0')
            out->data[i] = ' ';
    }
    return out->len > 0;
}

/* A monitor calls itself "[lxc monitor] PATH NAME". */
static bool is_monitor(const char *cmdline, const char *name)
{
    return strncmp(cmdline, "[lxc monitor] ", 14) == 0 && strstr(cmdline, name);
}

pid_t lxc_find_monitor(const struct host *h)
{
    AUTO_FREE char *path = fs_join(h->dir, "pid");
    AUTO_BUF struct buf text = {0};
    int64_t pid;
    if (fs_read(path, 64, &text, NULL) == -1 ||
        !str_to_i64(str_trim(buf_view(&text)), 2, INT32_MAX, &pid))
        return 0;
    AUTO_BUF struct buf cmdline = {.max = PROC_FILE_MAX};
    if (!read_cmdline((long)pid, &cmdline) || !is_monitor(buf_text(&cmdline), h->name))
        return 0;
    return (pid_t)pid;
}

/* 'R', 'S', 'D' and so on, see proc(5); 'X' where there is no such process. */
static char process_state(long pid)
{
    AUTO_FREE char *path = mem_printf("/proc/%ld/stat", pid);
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, PROC_FILE_MAX, &text, NULL) == -1)
        return 'X';
    const char *end = strrchr(buf_text(&text), ')'); /* of the name, which may hold anything */
    return end && end[1] == ' ' && end[2] ? end[2] : 'X';
}

static bool is_dead(char state)
{
    return state == 'Z' || state == 'X';
}

/* A dead child does not count, though its parent has not asked for its end: lxc's monitor asks it
 * for messages that it awaits without end when the child was killed before it sent them. */
pid_t lxc_find_init(pid_t monitor)
{
    AUTO_FREE char *path = mem_printf("/proc/%ld/task/%ld/children", (long)monitor, (long)monitor);
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, PROC_FILE_MAX, &text, NULL) == -1)
        return 0;
    struct str rest = buf_view(&text);
    int64_t pid;
    while (str_to_i64(str_cut(&rest, ' '), 2, INT32_MAX, &pid)) {
        if (!is_dead(process_state((long)pid)))
            return (pid_t)pid;
    }
    return 0;
}

bool lxc_signal_init(const struct host *h, int number)
{
    if (h->state != LXC_RUNNING || h->monitor <= 0)
        return false;
    pid_t init = lxc_find_init(h->monitor);
    return init > 0 && kill(init, number) == 0;
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* Visits the mounted cgroup hierarchies; stops where fn says so. */
static bool each_hierarchy(bool (*fn)(void *ctx, const char *path, bool v2, const char *options),
                           void *ctx)
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[4096], where[1024], type[64], options[1024];
    bool stopped = false;
    while (f && !stopped && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %1023s %63s %1023s", where, type, options) != 3)
            continue;
        bool v2 = strcmp(type, "cgroup2") == 0;
        if (v2 || strcmp(type, "cgroup") == 0)
            stopped = fn(ctx, where, v2, options);
    }
    if (f)
        fclose(f);
    return stopped;
}

static bool has_memory(void *ctx, const char *path, bool v2, const char *options)
{
    (void)ctx, (void)options;
    AUTO_FREE char *controllers = fs_join(path, "cgroup.controllers");
    AUTO_BUF struct buf text = {0};
    return v2 && fs_read(controllers, 4096, &text, NULL) == 0 &&
           strstr(buf_text(&text), "memory") != NULL;
}

bool lxc_cgroup2_has_memory(void)
{
    return each_hierarchy(has_memory, NULL);
}

static bool write_word(const char *path, const char *word)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = write(fd, word, strlen(word));
    close(fd);
    return n > 0;
}

struct freezing {
    const char *name;
    bool on;
};

static bool freeze_in(void *ctx, const char *path, bool v2, const char *options)
{
    const struct freezing *f = ctx;
    if (!v2 && !strstr(options, "freezer"))
        return false;
    AUTO_FREE char *file =
        mem_printf("%s/lxc.payload.%s/%s", path, f->name, v2 ? "cgroup.freeze" : "freezer.state");
    if (v2)
        return write_word(file, f->on ? "1" : "0");
    return write_word(file, f->on ? "FROZEN" : "THAWED");
}

static bool set_freezer(const char *name, bool on)
{
    struct freezing f = {name, on};
    return each_hierarchy(freeze_in, &f);
}

int lxc_freeze(const struct host *h, bool on, struct err *err)
{
    if (h->state != LXC_RUNNING)
        return err_set(err, ERR_CONFLICT, "the host '%s' does not run", h->id);
    if (!set_freezer(h->name, on))
        return err_set(err, ERR_IO, "the host '%s' has no freezer cgroup", h->id);
    return 0;
}

/* Removes the directory and the cgroups below it; those that live on stay. */
static void remove_cgroup(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        AUTO_FREE char *child = fs_join(path, e->d_name);
        remove_cgroup(child);
    }
    if (d)
        closedir(d);
    (void)rmdir(path);
}

static bool remove_in(void *ctx, const char *path, bool v2, const char *options)
{
    (void)v2, (void)options;
    const char *name_start = ctx;
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        const char *dot = strncmp(e->d_name, "lxc.payload.", 12) == 0   ? e->d_name + 12
                          : strncmp(e->d_name, "lxc.monitor.", 12) == 0 ? e->d_name + 12
                                                                        : NULL;
        if (!dot || strncmp(dot, name_start, strlen(name_start)) != 0)
            continue;
        AUTO_FREE char *child = fs_join(path, e->d_name);
        remove_cgroup(child);
    }
    if (d)
        closedir(d);
    return false;
}

void lxc_remove_cgroups(const char *name_start)
{
    each_hierarchy(remove_in, (void *)name_start);
}

/* ---- leftovers ------------------------------------------------------------------------------- */

/* A child of an earlier process that makes or removes a disk below the directory. */
static bool is_helper(const char *cmdline, const char *dir)
{
    static const char *const programs[] = {"/sbin/mkfs.ext4 ", "mount ", "umount ", "rm "};
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        if (strncmp(cmdline, programs[i], strlen(programs[i])) == 0)
            return strstr(cmdline, dir) != NULL;
    }
    return false;
}

/* The container of the monitor that calls itself so. */
static struct str name_of_monitor(const char *cmdline)
{
    struct str text = str_trim(str_of(cmdline));
    for (size_t i = text.n; i-- > 0;) {
        if (text.p[i] == ' ')
            return (struct str){text.p + i + 1, text.n - i - 1};
    }
    return text;
}

/* A monitor cleans up behind its container when that is killed; it goes itself where nothing of
 * its container lives, since then it hangs or has only cgroups left to remove. Launchers and
 * helpers have nothing to clean. */
static void kill_leftover(long pid, const char *cmdline, bool monitor)
{
    pid_t init = monitor ? lxc_find_init((pid_t)pid) : 0;
    if (init > 0) {
        AUTO_FREE char *name = str_dup(name_of_monitor(cmdline));
        (void)set_freezer(name, false); /* a frozen process does not die */
    }
    kill(init > 0 ? init : (pid_t)pid, SIGKILL);
}

static void note_leftover(struct lxc_leftovers *found, long pid, const char *cmdline)
{
    found->count++;
    found->pids += (uint64_t)pid;
    if (found->count > 1)
        return;
    char words[LXC_LEFTOVER_WORDS + 1];
    struct str text = str_trim(str_of(cmdline));
    snprintf(words, sizeof words, "%.*s", STR_FMT(text));
    for (char *p = words; *p; p++) {
        if (!isprint((unsigned char)*p))
            *p = '?';
    }
    snprintf(found->example, sizeof found->example, "process %ld, '%s', state %c", pid, words,
             process_state(pid));
}

bool lxc_kill_leftovers(const char *name_start, const char *dir, struct lxc_leftovers *out)
{
    struct lxc_leftovers found = {0};
    DIR *d = opendir("/proc");
    if (!d)
        return false;
    AUTO_FREE char *below = mem_printf("%s/", dir);
    AUTO_BUF struct buf cmdline = {.max = PROC_FILE_MAX};
    const struct dirent *e;
    while ((e = readdir(d))) {
        int64_t pid;
        if (!str_to_i64(str_of(e->d_name), 2, INT32_MAX, &pid) ||
            !read_cmdline((long)pid, &cmdline))
            continue;
        const char *text = buf_text(&cmdline);
        bool monitor = is_monitor(text, name_start);
        bool launcher = strncmp(text, "lxc-start ", 10) == 0 && strstr(text, name_start);
        if (!monitor && !launcher && !is_helper(text, below))
            continue;
        note_leftover(&found, (long)pid, text);
        kill_leftover((long)pid, text, monitor);
    }
    closedir(d);
    if (out)
        *out = found;
    return found.count > 0;
}

/* ---- the network ----------------------------------------------------------------------------- */

int lxc_partition(const struct host *h, bool on, struct err *err)
{
    struct ifreq request = {0};
    lxc_veth_name(h->name, request.ifr_name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot make a socket");
    int rc = ioctl(fd, SIOCGIFFLAGS, &request);
    if (rc == 0) {
        request.ifr_flags = (short)(on ? request.ifr_flags & ~IFF_UP : request.ifr_flags | IFF_UP);
        rc = ioctl(fd, SIOCSIFFLAGS, &request);
    }
    int sys = errno;
    close(fd);
    return rc == 0 ? 0 : err_set_sys(err, sys, "cannot reach the interface of '%s'", h->id);
}

/* ---- mounts ---------------------------------------------------------------------------------- */

/* /proc/self/mounts writes space, tab, newline and backslash in octal. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && isdigit((unsigned char)p[1]) && isdigit((unsigned char)p[2]) &&
            isdigit((unsigned char)p[3])) {
            *to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

static void list_mounts(struct strv *out)
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char *line = NULL;
    size_t cap = 0;
    while (f && getline(&line, &cap, f) > 0) {
        struct str rest = str_of(line);
        (void)str_cut(&rest, ' ');
        AUTO_FREE char *where = str_dup(str_cut(&rest, ' '));
        unescape(where);
        strv_add(out, where);
    }
    free(line);
    if (f)
        fclose(f);
}

bool lxc_is_mounted(const char *path)
{
    AUTO_STRV struct strv mounts = {0};
    list_mounts(&mounts);
    return strv_has(&mounts, path);
}

void lxc_unmount_below(const char *dir)
{
    AUTO_STRV struct strv mounts = {0};
    AUTO_FREE char *start = mem_printf("%s/", dir);
    list_mounts(&mounts);
    for (size_t i = mounts.count; i-- > 0;) {
        if (str_starts(str_of(mounts.items[i]), start))
            (void)umount2(mounts.items[i], MNT_DETACH | UMOUNT_NOFOLLOW);
    }
}

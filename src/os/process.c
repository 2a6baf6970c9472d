/* See process.h. A stamp is START@PLACE. On Linux START is in clock ticks since the boot
 * (proc_pid_stat(5), the 22nd field), and PLACE the boot with the namespace of the numbers. */
#include "os/process.h"
#include "os/fs.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __APPLE__
#include <libproc.h>
#include <sys/sysctl.h>
#endif

#define START_SIZE 48
#define PLACE_SIZE (PROCESS_STAMP_SIZE - START_SIZE)

#ifdef __APPLE__

/* False where there is no such process that has not ended. */
static bool find_start(pid_t pid, char out[START_SIZE])
{
    struct proc_bsdinfo info;
    if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof info) != (int)sizeof info ||
        info.pbi_status == SZOMB)
        return false;
    snprintf(out, START_SIZE, "%llu.%06llu", (unsigned long long)info.pbi_start_tvsec,
             (unsigned long long)info.pbi_start_tvusec);
    return true;
}

static bool find_place(char out[PLACE_SIZE])
{
    size_t size = PLACE_SIZE;
    return sysctlbyname("kern.bootsessionuuid", out, &size, NULL, 0) == 0;
}

#else

#define STAT_MAX ((size_t)4096)
#define FIELDS_BEFORE_START 19 /* from the state, which stands behind the name, to the start */

static bool find_start(pid_t pid, char out[START_SIZE])
{
    char path[48];
    AUTO_BUF struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (fs_read(path, STAT_MAX, &text, NULL) == -1)
        return false;
    const char *after = strrchr(buf_text(&text), ')'); /* the name may hold anything */
    if (!after || strlen(after) < 3)
        return false;
    struct str rest = str_of(after + 2);
    if (rest.p[0] == 'Z' || rest.p[0] == 'X')
        return false;
    for (int i = 0; i < FIELDS_BEFORE_START; i++)
        (void)str_cut(&rest, ' ');
    struct str start = str_cut(&rest, ' ');
    if (!start.n || start.n >= START_SIZE)
        return false;
    snprintf(out, START_SIZE, "%.*s", STR_FMT(start));
    return true;
}

static bool find_place(char out[PLACE_SIZE])
{
    AUTO_BUF struct buf boot = {0};
    char names[64];
    ssize_t n = readlink("/proc/self/ns/pid", names, sizeof names - 1); /* "pid:[4026531836]" */
    if (n <= 0 || fs_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL) == -1)
        return false;
    names[n] = '\0';
    struct str id = str_trim(buf_view(&boot));
    int len = snprintf(out, PLACE_SIZE, "%s-%.*s", names, STR_FMT(id));
    return len > 0 && len < PLACE_SIZE;
}

#endif

bool process_stamp(pid_t pid, char out[PROCESS_STAMP_SIZE])
{
    char start[START_SIZE], place[PLACE_SIZE];
    if (!find_start(pid, start) || !find_place(place))
        return false;
    int n = snprintf(out, PROCESS_STAMP_SIZE, "%s@%s", start, place);
    return n > 0 && n < PROCESS_STAMP_SIZE && !strpbrk(out, " \n");
}

enum process_life process_look(pid_t pid, struct str stamp)
{
    char start[START_SIZE], place[PLACE_SIZE];
    struct str there = stamp, then = str_cut(&there, '@');
    if (pid <= 0 || !there.p || !find_place(place) || !str_is(there, place))
        return PROCESS_UNKNOWN;
    if (find_start(pid, start))
        return str_is(then, start) ? PROCESS_LIVES : PROCESS_ENDED;
    /* Ended, unless /proc does not show other users' processes. */
    return kill(pid, 0) == -1 && errno == EPERM ? PROCESS_UNKNOWN : PROCESS_ENDED;
}

/* Where the system has them, a descriptor stands for the process: between the look and the signal
 * its number cannot become another's. */
static int hold(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

static int deliver(int fd, pid_t pid, int number)
{
#ifdef SYS_pidfd_send_signal
    if (fd >= 0)
        return (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
#else
    (void)fd;
#endif
    return kill(pid, number);
}

int process_signal(pid_t pid, struct str stamp, int number, bool *sent, struct err *err)
{
    int fd = pid > 0 ? hold(pid) : -1;
    bool lives = process_look(pid, stamp) == PROCESS_LIVES;
    int sys = lives && deliver(fd, pid, number) == -1 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (sys && sys != ESRCH)
        return err_set_sys(err, sys, "cannot signal process %ld", (long)pid);
    *sent = lives && !sys;
    return 0;
}

/* See lock.h. */
#include "os/lock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* How often a lock is tried that only lock_holder() has, for the length of two system calls. */
#define TRIES_MAX 1000

struct lock {
    int fd;
};

/* lock_holder() looks by taking the lock shared. So where a shared lock can be had, whoever is in
 * the way only looks, and is gone in a moment. */
static int take(int fd)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || flock(fd, LOCK_SH | LOCK_NB) == -1)
            return -1;
        (void)flock(fd, LOCK_UN);
        sched_yield();
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* The decimal number at the file's start; 0 where there is none. */
static pid_t read_pid(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    size_t digits = strspn(text, "0123456789");
    int64_t pid = 0;
    return str_to_i64((struct str){text, digits}, 1, INT_MAX, &pid) ? (pid_t)pid : 0;
}

int lock_take(const char *path, struct lock **out, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open the lock '%s'", path);
    if (take(fd) == -1) {
        int sys = errno;
        pid_t holder = sys == EWOULDBLOCK ? read_pid(fd) : 0;
        close(fd);
        if (sys != EWOULDBLOCK)
            return err_set_sys(err, sys, "cannot lock '%s'", path);
        if (!holder)
            return err_set(err, ERR_CONFLICT, "another flambe (process unknown) is at work on it");
        return err_set(err, ERR_CONFLICT, "another flambe (process %ld) is at work on it",
                       (long)holder);
    }
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == -1 || pwrite(fd, pid, (size_t)n, 0) != n) {
        int sys = errno;
        close(fd);
        return err_set_sys(err, sys, "cannot write the lock '%s'", path);
    }
    *out = mem_alloc(sizeof **out);
    (*out)->fd = fd;
    return 0;
}

int lock_fd(const struct lock *l)
{
    return l->fd;
}

void lock_release(struct lock *l)
{
    if (!l)
        return;
    close(l->fd); /* the file stays: removing it would race with the next taker */
    free(l);
}

int lock_holder(const char *path, pid_t *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        *out = 0;
        return 0;
    }
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open the lock '%s'", path);
    bool is_free = flock(fd, LOCK_SH | LOCK_NB) == 0;
    int sys = is_free ? 0 : errno;
    pid_t pid = is_free ? 0 : read_pid(fd);
    close(fd);
    if (sys && sys != EWOULDBLOCK)
        return err_set_sys(err, sys, "cannot look at the lock '%s'", path);
    *out = is_free || pid ? pid : LOCK_HOLDER_UNKNOWN;
    return 0;
}

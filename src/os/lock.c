/* See lock.h. */
#include "os/lock.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct lock {
    int fd;
};

int lock_take(const char *path, struct lock **out, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open the lock '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        int sys = errno;
        char holder[24] = "";
        ssize_t n = sys == EWOULDBLOCK ? pread(fd, holder, sizeof holder - 1, 0) : 0;
        holder[n > 0 ? n : 0] = '\0';
        holder[strspn(holder, "0123456789")] = '\0';
        close(fd);
        if (sys != EWOULDBLOCK)
            return err_set_sys(err, sys, "cannot lock '%s'", path);
        return err_set(err, ERR_CONFLICT, "another flambe (process %s) is at work on it",
                       holder[0] ? holder : "unknown");
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

void lock_release(struct lock *l)
{
    if (!l)
        return;
    close(l->fd); /* the file stays: removing it would race with the next taker */
    free(l);
}

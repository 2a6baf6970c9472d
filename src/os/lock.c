/* See lock.h. */
#include "os/lock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lock {
    int fd;
};

/* A lock of the open file description (fcntl(2)), over the whole file: as with flock(2) it goes
 * with the last descriptor, but who holds it can be asked for without taking it. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
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

/* Whoever may read the directory may ask who is at work there. */
int lock_take(const char *path, struct lock **out, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open the lock '%s'", path);
    struct flock lock = whole_file();
    if (fcntl(fd, F_OFD_SETLK, &lock) == -1) {
        int sys = errno;
        bool held = sys == EAGAIN || sys == EACCES;
        pid_t holder = held ? read_pid(fd) : 0;
        close(fd);
        if (!held)
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
    struct flock lock = whole_file();
    int sys = fcntl(fd, F_OFD_GETLK, &lock) == -1 ? errno : 0;
    pid_t pid = sys || lock.l_type == F_UNLCK ? 0 : read_pid(fd);
    close(fd);
    if (sys)
        return err_set_sys(err, sys, "cannot look at the lock '%s'", path);
    *out = lock.l_type == F_UNLCK || pid ? pid : LOCK_HOLDER_UNKNOWN;
    return 0;
}

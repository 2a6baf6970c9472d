/* See lock.h. The file has the number of the process that took the lock, and its stamp. */
#include "os/lock.h"
#include "base/mem.h"
#include "base/str.h"
#include "os/process.h"
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

struct taker {
    pid_t pid; /* 0: none is written */
    char stamp[PROCESS_STAMP_SIZE];
};

static struct taker read_taker(int fd)
{
    char text[PROCESS_STAMP_SIZE + 24];
    struct taker t = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    struct str rest = str_of(text), line = str_cut(&rest, '\n');
    struct str stamp = line, digits = str_cut(&stamp, ' ');
    int64_t pid = 0;
    if (str_to_i64(digits, 1, INT_MAX, &pid))
        t.pid = (pid_t)pid;
    if (stamp.p && stamp.n < sizeof t.stamp)
        memcpy(t.stamp, stamp.p, stamp.n);
    return t;
}

static int write_taker(int fd)
{
    char text[PROCESS_STAMP_SIZE + 24], stamp[PROCESS_STAMP_SIZE];
    bool known = process_stamp(getpid(), stamp);
    int n = snprintf(text, sizeof text, "%ld%s%s\n", (long)getpid(), known ? " " : "",
                     known ? stamp : "");
    return ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t)n, 0) != n ? -1 : 0;
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
        pid_t holder = held ? read_taker(fd).pid : 0;
        close(fd);
        if (!held)
            return err_set_sys(err, sys, "cannot lock '%s'", path);
        if (!holder)
            return err_set(err, ERR_CONFLICT, "another flambe (process unknown) is at work on it");
        return err_set(err, ERR_CONFLICT, "another flambe (process %ld) is at work on it",
                       (long)holder);
    }
    if (write_taker(fd) == -1) {
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

/* *held: and by whom, as it is written. */
static int look(const char *path, bool *held, struct taker *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *held = false;
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open the lock '%s'", path);
    struct flock lock = whole_file();
    int sys = fcntl(fd, F_OFD_GETLK, &lock) == -1 ? errno : 0;
    *held = !sys && lock.l_type != F_UNLCK;
    if (*held)
        *out = read_taker(fd);
    close(fd);
    return sys ? err_set_sys(err, sys, "cannot look at the lock '%s'", path) : 0;
}

int lock_holder(const char *path, struct lock_holder *out, struct err *err)
{
    struct taker t = {0};
    struct lock_holder h = {0};
    if (look(path, &h.held, &t, err) == -1)
        return -1;
    switch (process_look(t.pid, str_of(t.stamp))) {
    case PROCESS_LIVES:
        h.pid = t.pid;
        break;
    case PROCESS_ENDED:
        h.gone = t.pid;
        break;
    case PROCESS_UNKNOWN:
        break;
    }
    *out = h;
    return 0;
}

int lock_signal(const char *path, pid_t pid, int number, struct err *err)
{
    struct taker t = {0};
    bool held, sent;
    if (look(path, &held, &t, err) == -1)
        return -1;
    if (!held || t.pid != pid)
        return 0;
    return process_signal(pid, str_of(t.stamp), number, &sent, err);
}

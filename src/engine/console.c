/* See console_priv.h. */
#include "base/mem.h"
#include "engine/console_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX (ENGINE_CONSOLE_MAX - CONSOLE_TAIL)

int console_open(struct console *c, const char *path, struct err *err)
{
    /* A new file: an earlier attempt may have left a link or a FIFO of this name. A device
     * (/dev/null) stays, and is refused below. */
    struct stat there;
    bool ours = lstat(path, &there) == -1 || S_ISREG(there.st_mode) || S_ISLNK(there.st_mode) ||
                S_ISFIFO(there.st_mode);
    if (ours)
        unlink(path);
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
    int fd = open(path, flags, 0666);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot write the output to '%.120s'", path);
    struct stat st;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_IO, "cannot write the output to '%.120s': not a file", path);
    }
    *c = (struct console){.fd = fd};
    return 0;
}

/* Returns how many bytes went to the file. */
static size_t write_some(struct console *c, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t k = write(c->fd, bytes + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            c->sys = k < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)k;
    }
    return done;
}

/* Writes, behind a line about what is missing before it. */
static void put(struct console *c, const char *bytes, size_t n)
{
    if (n && c->gap) {
        char line[80];
        int k = snprintf(line, sizeof line,
                         "\n[flambe: %" PRIu64 " bytes of output left out here]\n", c->gap);
        if (write_some(c, line, (size_t)k) == (size_t)k)
            c->gap = 0;
    }
    size_t done = c->gap ? 0 : write_some(c, bytes, n);
    c->written += done;
    c->gap += n - done;
    c->dropped += n - done;
}

static void keep_in_tail(struct console *c, const char *bytes, size_t n)
{
    if (!c->tail)
        c->tail = mem_alloc(CONSOLE_TAIL);
    while (n) {
        size_t at = c->tail_in % CONSOLE_TAIL;
        size_t k = n < CONSOLE_TAIL - at ? n : CONSOLE_TAIL - at;
        memcpy(c->tail + at, bytes, k);
        c->tail_in += k;
        bytes += k;
        n -= k;
    }
}

void console_take(struct console *c, const char *bytes, size_t n)
{
    uint64_t seen = c->written + c->dropped;
    size_t head = seen >= HEAD_MAX ? 0 : (size_t)(HEAD_MAX - seen);
    if (head > n)
        head = n;
    put(c, bytes, head);
    if (n > head)
        keep_in_tail(c, bytes + head, n - head);
}

void console_close(struct console *c)
{
    if (c->tail) {
        size_t at = c->tail_in > CONSOLE_TAIL ? c->tail_in % CONSOLE_TAIL : 0;
        uint64_t lost = c->tail_in > CONSOLE_TAIL ? c->tail_in - CONSOLE_TAIL : 0;
        size_t kept = (size_t)(c->tail_in - lost);
        c->gap += lost;
        c->dropped += lost;
        put(c, c->tail + at, kept - at);
        put(c, c->tail, at);
        free(c->tail);
        c->tail = NULL;
    }
    if (c->fd >= 0 && close(c->fd) == -1 && errno != EINTR)
        c->sys = errno; /* some file systems only say now that they are full */
    c->fd = -1;
}

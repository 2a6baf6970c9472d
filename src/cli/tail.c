/* See tail.h. */
#include "cli/tail.h"
#include "base/buf.h"
#include "base/mem.h"
#include "cli/text.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)
#define FILE_CLOCK_LAG (20 * USEC_PER_MSEC) /* of files' times: the kernel's coarse clock */

/* Where the last `lines` lines begin, looked for from the end. */
static off_t last_lines(int fd, off_t size, int64_t lines, char *block)
{
    off_t at = size;
    bool at_end = true; /* the new line that ends the file ends its last line */
    while (lines > 0 && at > 0) {
        size_t want = at > (off_t)BLOCK ? BLOCK : (size_t)at;
        at -= (off_t)want;
        if (pread(fd, block, want, at) != (ssize_t)want)
            return size;
        for (size_t i = want; i > 0; i--) {
            bool ends = block[i - 1] == '\n' && !at_end;
            at_end = false;
            if (ends && --lines == 0)
                return at + (off_t)i;
        }
    }
    return lines > 0 ? 0 : size;
}

static int read_rest(struct tail *t, int fd, const char *path, char *block,
                     bool (*take)(void *ctx, struct str bytes), void *ctx, struct err *err)
{
    for (;;) {
        ssize_t n = pread(fd, block, BLOCK, t->offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_sys(err, errno, "cannot read '%s'", path);
        if (n == 0)
            return 0;
        t->offset += n;
        if (!take(ctx, (struct str){block, (size_t)n}))
            return 0;
    }
}

static usec_t written(const struct stat *st)
{
    return st->st_mtim.tv_sec * USEC_PER_SEC + st->st_mtim.tv_nsec / 1000;
}

void tail_restart(struct tail *t, usec_t since)
{
    t->offset = 0;
    t->since = since > FILE_CLOCK_LAG ? since - FILE_CLOCK_LAG : 0;
}

int tail_read(struct tail *t, const char *path, int64_t lines,
              bool (*take)(void *ctx, struct str bytes), void *ctx, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set_sys(err, errno, "cannot open '%s'", path);
    struct stat st;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_IO, "'%s' is not a file", path);
    }
    if (t->since && written(&st) < t->since) {
        close(fd);
        return 0;
    }
    AUTO_FREE char *block = mem_alloc(BLOCK);
    if (st.st_size < t->offset)
        t->offset = 0; /* the trial began again */
    else if (!t->begun && lines >= 0)
        t->offset = last_lines(fd, st.st_size, lines, block);
    t->begun = true;
    int rc = read_rest(t, fd, path, block, take, ctx, err);
    close(fd);
    return rc;
}

/* The length of a control sequence at the start of s: ESC [ … letter, ESC ] … BEL or ESC \, or ESC
 * and one character (ECMA-48). */
static size_t sequence_length(struct str s)
{
    if (s.n < 2 || s.p[0] != '\x1b')
        return 0;
    if (s.p[1] != '[' && s.p[1] != ']')
        return 2;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[1] == '[' && s.p[i] >= 0x40 && s.p[i] <= 0x7e)
            return i + 1;
        if (s.p[1] == ']' && (s.p[i] == '\a' || (s.p[i] == '\\' && s.p[i - 1] == '\x1b')))
            return i + 1;
    }
    return s.n;
}

void tail_clean_line(struct str line, struct buf *out)
{
    while (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    const char *over = line.n ? memrchr(line.p, '\r', line.n) : NULL;
    if (over)
        line = (struct str){over + 1, line.n - (size_t)(over + 1 - line.p)};
    struct buf kept = {0};
    while (line.n) {
        size_t skip = sequence_length(line);
        if (!skip)
            buf_addc(&kept, line.p[0]);
        skip = skip ? skip : 1;
        line = (struct str){line.p + skip, line.n - skip};
    }
    text_clean(buf_view(&kept), true, out);
    buf_done(&kept);
}

/* See console.h. */
#include "cli/console.h"
#include "base/buf.h"
#include "cli/text.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80
#define DEFAULT_HEIGHT 24

void console_init(struct console *c, int fd, bool color)
{
    *c = (struct console){.fd = fd, .tty = isatty(fd) == 1, .color = color};
}

void console_done(struct console *c)
{
    strv_done(&c->area);
}

void console_size(const struct console *c, size_t *width, size_t *height)
{
    struct winsize size = {0};
    if (!c->fixed_width && c->tty)
        (void)ioctl(c->fd, TIOCGWINSZ, &size);
    int w = c->fixed_width ? c->fixed_width : size.ws_col;
    int h = c->fixed_height ? c->fixed_height : size.ws_row;
    *width = w > 0 ? (size_t)w : DEFAULT_WIDTH;
    *height = h > 0 ? (size_t)h : DEFAULT_HEIGHT;
}

static void write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 &&
            errno == EAGAIN) { /* another program may share the terminal and set O_NONBLOCK */
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, -1) < 0 && errno != EINTR)
                return;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
}

/* The sequence that moves to the area's first line and clears from there. When the window became
 * narrower, terminals broke the area's lines into several: they are counted at today's width. */
static void add_erase(const struct console *c, struct buf *out)
{
    if (!c->area.count)
        return;
    size_t width, height, rows = 0;
    console_size(c, &width, &height);
    for (size_t i = 0; i < c->area.count; i++) {
        size_t w = text_width(str_of(c->area.items[i]));
        rows += w > width ? (w + width - 1) / width : 1;
    }
    if (rows >= height)
        rows = height - 1;
    buf_addf(out, "\r\x1b[%zuA\x1b[J", rows ? rows : 1);
}

static void add_area(const struct console *c, struct buf *out)
{
    for (size_t i = 0; i < c->area.count; i++)
        buf_addf(out, "%s\n", c->area.items[i]);
}

/* One write for all of it, so that nothing flickers. */
void console_lines(struct console *c, struct str text)
{
    if (c->on_lines) {
        c->on_lines(c->ctx, text);
        return;
    }
    struct buf out = {0};
    add_erase(c, &out);
    buf_add_str(&out, text);
    add_area(c, &out);
    write_all(c->fd, buf_view(&out));
    buf_done(&out);
}

void console_line(struct console *c, const char *fmt, ...)
{
    struct buf line = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&line, fmt, ap);
    va_end(ap);
    buf_addc(&line, '\n');
    console_lines(c, buf_view(&line));
    buf_done(&line);
}

void console_draw(struct console *c, struct strv *lines)
{
    if (c->tty) {
        struct buf out = {0};
        add_erase(c, &out);
        strv_done(&c->area);
        c->area = *lines;
        *lines = (struct strv){0};
        add_area(c, &out);
        if (c->on_area)
            c->on_area(c->ctx, &c->area);
        else
            write_all(c->fd, buf_view(&out));
        buf_done(&out);
    }
    strv_done(lines);
}

void console_erase(struct console *c)
{
    struct buf out = {0};
    add_erase(c, &out);
    if (!c->on_area)
        write_all(c->fd, buf_view(&out));
    buf_done(&out);
    strv_done(&c->area);
}

void console_keep(struct console *c)
{
    strv_done(&c->area);
}

/* See output.h. */
#include "cli/output.h"
#include "base/json.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

void output_write(struct output *o, struct str bytes)
{
    o->wrote = o->wrote || bytes.n;
    while (bytes.n && !o->failed) {
        ssize_t n = write(o->fd, bytes.p, bytes.n);
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = o->fd, .events = POLLOUT};
            if (poll(&wait, 1, -1) < 0 && errno != EINTR)
                o->failed = errno;
        } else if (n < 0 && errno != EINTR) {
            o->failed = errno;
        }
    }
}

bool output_is_read(struct output *o)
{
    struct pollfd look = {.fd = o->fd}; /* an error is told unasked */
    if (!o->failed && poll(&look, 1, 0) == 1 && (look.revents & POLLERR))
        o->failed = EPIPE;
    return !o->failed;
}

void output_printf(struct output *o, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    output_write(o, buf_view(&text));
    buf_done(&text);
}

void output_json(struct output *o, json_t *value)
{
    struct buf text = {0};
    json_write(value, true, &text);
    json_decref(value);
    output_write(o, buf_view(&text));
    buf_wipe(&text);
}

int output_close(struct output *o, struct err *err)
{
    /* A program started without standard output can do its work; only writing needs it. */
    if (!o->wrote)
        return 0;
    if (close(o->fd) != 0 && !o->failed)
        o->failed = errno;
    if (!o->failed)
        return 0;
    return err_set_sys(err, o->failed, "cannot write the result");
}

/* See child.h. */
#include "sandbox/child.h"
#include "base/buf.h"
#include "base/mem.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct child {
    uv_process_t process;
    uv_pipe_t pipe; /* its output */
    int open_handles;
    int exit_status;
    char block[4096];
    struct buf tail;
    struct buf partial; /* a line that has not ended yet */
    child_line_fn *line;
    child_done_fn *done;
    void *ctx;
};

static void closed(uv_handle_t *h)
{
    struct child *c = h->data;
    if (--c->open_handles)
        return;
    if (c->done)
        c->done(c->ctx, c->exit_status, buf_text(&c->tail));
    buf_done(&c->tail);
    buf_done(&c->partial);
    free(c);
}

static void close_handle(void *h)
{
    if (!uv_is_closing(h))
        uv_close(h, closed);
}

static void give_lines(struct child *c, const char *bytes, size_t n)
{
    if (!c->line)
        return;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            buf_addc(&c->partial, bytes[i]);
            continue;
        }
        if (c->partial.len && c->line)
            c->line(c->ctx, buf_text(&c->partial));
        buf_clear(&c->partial);
    }
}

static void took(struct child *c, const char *bytes, size_t n)
{
    give_lines(c, bytes, n);
    buf_add(&c->tail, bytes, n);
    if (c->tail.len > CHILD_OUTPUT_MAX)
        buf_consume(&c->tail, c->tail.len - CHILD_OUTPUT_MAX);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct child *c = h->data;
    *out = uv_buf_init(c->block, sizeof c->block);
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct child *c = s->data;
    if (n > 0)
        took(c, b->base, (size_t)n);
    else if (n < 0)
        close_handle(&c->pipe);
}

static void exited(uv_process_t *p, int64_t status, int signal_number)
{
    struct child *c = p->data;
    c->exit_status = signal_number ? -1 : (int)status;
    close_handle(&c->process);
    /* What it wrote last may still lie in the pipe; a daemon that it left behind may hold the
     * other end, so that the end of file is not waited for. */
    uv_os_fd_t fd;
    ssize_t n;
    if (!uv_is_closing((uv_handle_t *)&c->pipe) && uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0) {
        while ((n = read(fd, c->block, sizeof c->block)) > 0)
            took(c, c->block, (size_t)n);
        close_handle(&c->pipe);
    }
}

struct child *child_start(struct loop *loop, const char *const *argv, child_line_fn *line,
                          child_done_fn *done, void *ctx)
{
    struct child *c = mem_alloc(sizeof *c);
    c->exit_status = -1;
    c->line = line;
    c->done = done;
    c->ctx = ctx;
    c->open_handles = 2;
    c->process.data = c;
    c->pipe.data = c;
    uv_pipe_init(loop_uv(loop), &c->pipe, 0);
    /* Both outputs share one pipe, which libuv's own stdio pipes cannot. */
    int pair[2];
    if (uv_pipe(pair, UV_NONBLOCK_PIPE, 0) != 0 || uv_pipe_open(&c->pipe, pair[0]) != 0)
        abort();
    uv_stdio_container_t output = {.flags = UV_INHERIT_FD, .data.fd = pair[1]};
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, output, output};
    uv_process_options_t options = {.exit_cb = exited,
                                    .file = argv[0],
                                    .args = (char **)argv,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int rc = uv_spawn(loop_uv(loop), &c->process, &options);
    close(pair[1]);
    if (rc == 0) {
        uv_read_start((uv_stream_t *)&c->pipe, give_block, got);
        return c;
    }
    buf_addf(&c->tail, "cannot run '%s': %s", argv[0], uv_strerror(rc));
    close_handle(&c->process);
    close_handle(&c->pipe);
    return c;
}

void child_forget(struct child *c)
{
    if (!c)
        return;
    c->done = NULL;
    c->line = NULL;
}

void child_kill(struct child *c)
{
    if (c && !uv_is_closing((uv_handle_t *)&c->process))
        uv_process_kill(&c->process, SIGKILL);
}

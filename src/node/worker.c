/* See worker.h. */
#include "node/worker.h"
#include "base/mem.h"
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 32
#define BLOCK 4096
#define OUTPUT_WAIT (30 * USEC_PER_SEC) /* for who else may hold its standard output */

struct worker {
    struct loop *loop;
    uv_process_t child;
    uv_pipe_t pipe;
    bool exited, piping;
    int open_handles;
    int exit_status, signal_number;
    usec_t exited_at; /* monotonic */
    struct buf output;
    char block[BLOCK];
};

static void closed(uv_handle_t *h)
{
    struct worker *p = h->data;
    p->open_handles--;
}

static void on_exit_of(uv_process_t *child, int64_t status, int number)
{
    struct worker *p = child->data;
    p->exited = true;
    p->exited_at = clock_mono(loop_clock(p->loop));
    p->signal_number = number;
    p->exit_status = number ? 128 + number : (int)status;
    uv_close((uv_handle_t *)child, closed);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct worker *p = h->data;
    *out = uv_buf_init(p->block, sizeof p->block);
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct worker *p = s->data;
    if (n > 0)
        buf_add(&p->output, b->base, (size_t)n);
    if (n >= 0)
        return;
    p->piping = false;
    uv_close((uv_handle_t *)s, closed);
}

static int spawn(struct worker *p, const char *const *args, const char *const *env, struct err *err)
{
    size_t size = PATH_MAX, count = 1;
    AUTO_FREE char *program = mem_alloc(size);
    char *argv[ARGS_MAX + 2] = {program};
    for (size_t i = 0; args[i] && count <= ARGS_MAX; i++)
        argv[count++] = (char *)args[i];
    if (uv_exepath(program, &size) != 0)
        return err_set(err, ERR_IO, "cannot tell where flambe-node runs");
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    if (p->piping) {
        uv_pipe_init(loop_uv(p->loop), &p->pipe, 0);
        p->open_handles++;
        p->pipe.data = p;
        stdio[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[1].data.stream = (uv_stream_t *)&p->pipe;
    }
    uv_process_options_t o = {.file = program,
                              .args = argv,
                              .env = (char **)env,
                              .stdio = stdio,
                              .stdio_count = 3,
                              .flags = UV_PROCESS_DETACHED,
                              .exit_cb = on_exit_of};
    p->child.data = p;
    int rc = uv_spawn(loop_uv(p->loop), &p->child, &o);
    p->open_handles++;
    if (rc != 0) {
        p->exited = true;
        uv_close((uv_handle_t *)&p->child, closed);
        if (p->piping)
            uv_close((uv_handle_t *)&p->pipe, closed);
        p->piping = false;
        return err_set_sys(err, -rc, "cannot start '%s'", program);
    }
    if (p->piping)
        uv_read_start((uv_stream_t *)&p->pipe, give_block, got);
    return 0;
}

int worker_start(struct loop *loop, const char *const *args, const char *const *env,
                 bool keep_output, struct worker **out, struct err *err)
{
    struct worker *p = mem_alloc(sizeof *p);
    p->loop = loop;
    p->piping = keep_output;
    p->output.max = WORKER_OUTPUT_MAX;
    if (spawn(p, args, env, err) == -1) {
        worker_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

bool worker_ended(const struct worker *p)
{
    return p->exited &&
           (!p->piping || clock_mono(loop_clock(p->loop)) - p->exited_at > OUTPUT_WAIT);
}

void worker_signal(struct worker *p, int number)
{
    if (!p->exited)
        uv_process_kill(&p->child, number);
}

int worker_exit_status(const struct worker *p)
{
    return p->exit_status;
}

int worker_signal_number(const struct worker *p)
{
    return p->signal_number;
}

struct str worker_output(const struct worker *p)
{
    return buf_view(&p->output);
}

static bool is_closed(void *ctx)
{
    return ((struct worker *)ctx)->open_handles == 0;
}

void worker_free(struct worker *p)
{
    if (!p)
        return;
    worker_signal(p, SIGKILL);
    if (p->piping && p->exited) { /* somebody else holds the other end */
        p->piping = false;
        uv_close((uv_handle_t *)&p->pipe, closed);
    }
    loop_shield(p->loop);
    if (loop_wait(p->loop, is_closed, p, USEC_FOREVER, NULL) == -1)
        p->open_handles = 0; /* not reached: a shielded wait without end does not fail */
    loop_unshield(p->loop);
    buf_done(&p->output);
    free(p);
}

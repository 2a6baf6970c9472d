/* See proc.h. */
#include "os/proc.h"
#include "base/mem.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* One child; lives until its four handles have closed, and, under proc_run(), until that is done
 * with it. */
struct proc {
    uv_process_t process;
    uv_pipe_t pipes[3];
    uv_write_t write;
    char block[2][16384];
    struct proc_result result;
    bool exited;
    int open_handles;
    struct err why; /* code: it could not be started, or was killed here */
    /* Of proc_start(): */
    char *name;
    char *input;
    struct timer *timer;
    proc_done *done;
    void *ctx;
    bool alone; /* frees itself */
};

void proc_result_done(struct proc_result *r)
{
    buf_wipe(&r->out);
    buf_wipe(&r->err_out);
}

static void proc_free(struct proc *p)
{
    timer_stop(p->timer);
    proc_result_done(&p->result);
    free(p->name);
    free(p->input);
    free(p);
}

static void finish(struct proc *p)
{
    bool failed = p->why.code != ERR_NONE;
    p->done(p->ctx, failed ? NULL : &p->result, failed ? &p->why : NULL);
    proc_free(p);
}

static void closed(uv_handle_t *h)
{
    struct proc *p = h->data;
    if (--p->open_handles == 0 && p->alone)
        finish(p);
}

static void close_handle(void *h)
{
    if (!uv_is_closing(h))
        uv_close(h, closed);
}

static void exited(uv_process_t *process, int64_t status, int signal_number)
{
    struct proc *p = process->data;
    p->result.exit_status = signal_number ? -1 : (int)status;
    p->result.signal = signal_number;
    p->exited = true;
    close_handle(process);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct proc *p = h->data;
    int which = h == (uv_handle_t *)&p->pipes[1] ? 0 : 1;
    *out = uv_buf_init(p->block[which], sizeof p->block[which]);
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct proc *p = s->data;
    bool is_out = s == (uv_stream_t *)&p->pipes[1];
    if (n > 0)
        buf_add(is_out ? &p->result.out : &p->result.err_out, b->base, (size_t)n);
    else if (n < 0)
        close_handle(s);
}

static void written(uv_write_t *w, int status)
{
    (void)status; /* a child that does not read its input is free not to */
    struct proc *p = w->data;
    close_handle(&p->pipes[0]);
}

static void close_pipes(struct proc *p)
{
    for (int i = 0; i < 3; i++)
        close_handle(&p->pipes[i]);
}

/* Where it cannot be started that is in p->why, and the handles are closing. */
static struct proc *spawn(struct loop *loop, const char *const *argv, const char *const *env,
                          struct str input)
{
    struct proc *p = mem_alloc(sizeof *p);
    p->result = (struct proc_result){
        .exit_status = -1, .out = {.max = PROC_OUTPUT_MAX}, .err_out = {.max = PROC_OUTPUT_MAX}};
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        uv_pipe_init(loop_uv(loop), &p->pipes[i], 0);
        p->pipes[i].data = p;
        stdio[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&p->pipes[i];
    }
    p->open_handles = 4;
    p->process.data = p;
    uv_process_options_t options = {.exit_cb = exited,
                                    .file = argv[0],
                                    .args = (char **)argv,
                                    .env = (char **)env,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int rc = uv_spawn(loop_uv(loop), &p->process, &options);
    if (rc != 0) {
        err_set_sys(&p->why, -rc, "cannot run '%s'", argv[0]);
        if (rc == UV_ENOENT)
            p->why.code = ERR_NOT_FOUND;
        close_handle(&p->process);
        close_pipes(p);
        return p;
    }
    uv_read_start((uv_stream_t *)&p->pipes[1], give_block, got);
    uv_read_start((uv_stream_t *)&p->pipes[2], give_block, got);
    p->write.data = p;
    uv_buf_t bytes = uv_buf_init((char *)input.p, (unsigned)input.n);
    if (uv_write(&p->write, (uv_stream_t *)&p->pipes[0], &bytes, 1, written) != 0)
        close_handle(&p->pipes[0]);
    return p;
}

static void end(struct proc *p)
{
    if (!p->exited && !uv_is_closing((uv_handle_t *)&p->process))
        uv_process_kill(&p->process, SIGKILL);
    close_pipes(p); /* a grandchild may hold the other ends */
}

static bool all_closed(void *ctx)
{
    const struct proc *p = ctx;
    return p->open_handles == 0;
}

int proc_run(struct loop *loop, const char *const *argv, const char *const *env, struct str input,
             usec_t timeout, struct proc_result *out, struct err *err)
{
    struct proc *p = spawn(loop, argv, env, input);
    if (!p->why.code && loop_wait(loop, all_closed, p, timeout, &p->why) == -1) {
        err_wrap(&p->why, "'%s'", argv[0]);
        end(p);
    }
    loop_shield(loop);
    if (loop_wait(loop, all_closed, p, USEC_FOREVER, NULL) == -1 && !p->why.code)
        err_set(&p->why, ERR_INTERNAL, "lost '%s'", argv[0]);
    loop_unshield(loop);
    int rc = p->why.code ? err_copy(err, &p->why) : 0;
    if (rc == 0) {
        *out = p->result;
        p->result = (struct proc_result){0};
    }
    proc_free(p);
    return rc;
}

static void too_long(void *ctx)
{
    struct proc *p = ctx;
    err_set(&p->why, ERR_TIMEOUT, "'%s': timed out", p->name);
    end(p);
}

struct proc *proc_start(struct loop *loop, const char *const *argv, const char *const *env,
                        struct str input, usec_t timeout, proc_done *done, void *ctx)
{
    char *copy = mem_dup_n(input.p, input.n);
    struct proc *p = spawn(loop, argv, env, (struct str){copy, input.n});
    p->name = mem_dup(argv[0]);
    p->input = copy;
    p->done = done;
    p->ctx = ctx;
    p->alone = true;
    if (!p->why.code && timeout != USEC_FOREVER)
        p->timer = timer_start(loop, timeout, too_long, p);
    return p;
}

void proc_cancel(struct proc *p)
{
    if (!p)
        return;
    err_set(&p->why, ERR_CANCELLED, "cancelled");
    end(p);
}

/* See proc.h. */
#include "os/proc.h"
#include "base/mem.h"
#include <signal.h>
#include <string.h>

/* One run; lives on proc_run's stack until its four handles have closed. */
struct run {
    uv_process_t process;
    uv_pipe_t pipes[3];
    uv_write_t write;
    char block[2][16384];
    struct proc_result *result;
    bool exited;
    int open_handles;
};

void proc_result_done(struct proc_result *r)
{
    buf_wipe(&r->out);
    buf_wipe(&r->err_out);
}

static void closed(uv_handle_t *h)
{
    struct run *run = h->data;
    run->open_handles--;
}

static void close_handle(void *h)
{
    if (!uv_is_closing(h))
        uv_close(h, closed);
}

static void exited(uv_process_t *p, int64_t status, int signal_number)
{
    struct run *run = p->data;
    run->result->exit_status = signal_number ? -1 : (int)status;
    run->result->signal = signal_number;
    run->exited = true;
    close_handle(p);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct run *run = h->data;
    int which = h == (uv_handle_t *)&run->pipes[1] ? 0 : 1;
    *out = uv_buf_init(run->block[which], sizeof run->block[which]);
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct run *run = s->data;
    bool is_out = s == (uv_stream_t *)&run->pipes[1];
    if (n > 0)
        buf_add(is_out ? &run->result->out : &run->result->err_out, b->base, (size_t)n);
    else if (n < 0)
        close_handle(s);
}

static void written(uv_write_t *w, int status)
{
    (void)status; /* a child that does not read its input is free not to */
    struct run *run = w->data;
    close_handle(&run->pipes[0]);
}

static bool all_closed(void *ctx)
{
    const struct run *run = ctx;
    return run->open_handles == 0;
}

int proc_run(struct loop *loop, const char *const *argv, const char *const *env, struct str input,
             usec_t timeout, struct proc_result *out, struct err *err)
{
    struct proc_result result = {
        .exit_status = -1, .out = {.max = PROC_OUTPUT_MAX}, .err_out = {.max = PROC_OUTPUT_MAX}};
    AUTO_FREE struct run *run = mem_alloc(sizeof *run);
    run->result = &result;
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        uv_pipe_init(loop_uv(loop), &run->pipes[i], 0);
        run->pipes[i].data = run;
        stdio[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&run->pipes[i];
    }
    run->open_handles = 4;
    run->process.data = run;
    uv_process_options_t options = {.exit_cb = exited,
                                    .file = argv[0],
                                    .args = (char **)argv,
                                    .env = (char **)env,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int rc = uv_spawn(loop_uv(loop), &run->process, &options);
    struct err why = {0};
    if (rc != 0) {
        err_set_sys(&why, -rc, "cannot run '%s'", argv[0]);
        if (rc == UV_ENOENT)
            why.code = ERR_NOT_FOUND;
        close_handle(&run->process);
        for (int i = 0; i < 3; i++)
            close_handle(&run->pipes[i]);
    } else {
        uv_read_start((uv_stream_t *)&run->pipes[1], give_block, got);
        uv_read_start((uv_stream_t *)&run->pipes[2], give_block, got);
        run->write.data = run;
        uv_buf_t bytes = uv_buf_init((char *)input.p, (unsigned)input.n);
        if (uv_write(&run->write, (uv_stream_t *)&run->pipes[0], &bytes, 1, written) != 0)
            close_handle(&run->pipes[0]);
        if (loop_wait(loop, all_closed, run, timeout, &why) == -1) {
            err_wrap(&why, "'%s'", argv[0]);
            if (!run->exited)
                uv_process_kill(&run->process, SIGKILL);
            for (int i = 0; i < 3; i++) /* a grandchild may hold the other ends */
                close_handle(&run->pipes[i]);
        }
    }
    loop_shield(loop);
    if (loop_wait(loop, all_closed, run, USEC_FOREVER, NULL) == -1 && !why.code)
        err_set(&why, ERR_INTERNAL, "lost '%s'", argv[0]);
    loop_unshield(loop);
    if (why.code) {
        proc_result_done(&result);
        return err_copy(err, &why);
    }
    *out = result;
    return 0;
}

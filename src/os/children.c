/* See children.h. */
#include "os/children.h"
#include "base/mem.h"
#include <signal.h>

#define STATUS_SIGNAL 128
#define BLOCK_SIZE 65536

struct running {
    struct all *all;
    size_t index;
    uv_process_t process;
    uv_pipe_t pipes[2]; /* standard output and error */
    uv_pipe_t input;    /* only where there is some */
    uv_write_t write;
    int open_handles;
    bool exited;
};

struct all {
    struct loop *loop;
    const struct children_request *r;
    struct running *items;
    size_t started, ended;
    bool stopping;
    char block[BLOCK_SIZE]; /* one is enough: a read is passed on before the next one */
};

void child_done(struct child *c)
{
    strv_done(&c->argv);
}

static void start_more(struct all *all);

static void closed(uv_handle_t *h)
{
    struct running *run = h->data;
    struct all *all = run->all;
    if (--run->open_handles)
        return;
    all->ended++;
    if (all->r->ended)
        all->r->ended(all->r->ctx, run->index);
    start_more(all);
}

static void close_handle(void *h)
{
    if (!uv_is_closing(h))
        uv_close(h, closed);
}

static void exited(uv_process_t *p, int64_t status, int signal_number)
{
    struct running *run = p->data;
    run->exited = true;
    run->all->r->items[run->index].status =
        signal_number ? STATUS_SIGNAL + signal_number : (int)status;
    close_handle(p);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct running *run = h->data;
    *out = uv_buf_init(run->all->block, BLOCK_SIZE);
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct running *run = s->data;
    bool is_err = s == (uv_stream_t *)&run->pipes[1];
    if (n > 0)
        run->all->r->output(run->all->r->ctx, run->index, is_err, (struct str){b->base, (size_t)n});
    else if (n < 0)
        close_handle(s);
}

static void written(uv_write_t *w, int status)
{
    (void)status; /* a child that does not read its input is free not to */
    close_handle(&((struct running *)w->data)->input);
}

static void give_input(struct running *run, struct str input)
{
    uv_buf_t bytes = uv_buf_init((char *)input.p, (unsigned)input.n);
    run->write.data = run;
    if (uv_write(&run->write, (uv_stream_t *)&run->input, &bytes, 1, written) != 0)
        close_handle(&run->input);
}

static void start(struct all *all, size_t index)
{
    struct running *run = &all->items[index];
    struct child *c = &all->r->items[index];
    *run = (struct running){.all = all, .index = index};
    run->process.data = run;
    AUTO_FREE char **argv = mem_array(c->argv.count + 1, sizeof *argv);
    for (size_t i = 0; i < c->argv.count; i++)
        argv[i] = c->argv.items[i];
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
    for (int i = 0; i < 2; i++) {
        uv_pipe_init(loop_uv(all->loop), &run->pipes[i], 0);
        run->pipes[i].data = run;
        stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[i + 1].data.stream = (uv_stream_t *)&run->pipes[i];
    }
    run->open_handles = 3;
    if (c->input.n) {
        uv_pipe_init(loop_uv(all->loop), &run->input, 0);
        run->input.data = run;
        stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
        stdio[0].data.stream = (uv_stream_t *)&run->input;
        run->open_handles++;
    }
    uv_process_options_t options = {
        .exit_cb = exited, .file = argv[0], .args = argv, .stdio = stdio, .stdio_count = 3};
    int rc = uv_spawn(loop_uv(all->loop), &run->process, &options);
    if (rc != 0) {
        c->status = -1;
        err_set_sys(&c->err, -rc, "cannot run '%s'", argv[0]);
        close_handle(&run->process);
        if (c->input.n)
            close_handle(&run->input);
    } else if (c->input.n) {
        give_input(run, c->input);
    }
    for (int i = 0; i < 2; i++) {
        if (rc != 0)
            close_handle(&run->pipes[i]);
        else
            uv_read_start((uv_stream_t *)&run->pipes[i], give_block, got);
    }
}

static void start_more(struct all *all)
{
    while (!all->stopping && all->started < all->r->count &&
           all->started - all->ended < all->r->at_once)
        start(all, all->started++);
}

static bool all_ended(void *ctx)
{
    const struct all *all = ctx;
    return all->ended == all->started && (all->stopping || all->started == all->r->count);
}

int children_run(struct loop *loop, const struct children_request *r, struct err *err)
{
    AUTO_FREE struct all *all = mem_alloc(sizeof *all);
    AUTO_FREE struct running *items = mem_array(r->count + 1, sizeof *items);
    all->loop = loop;
    all->r = r;
    all->items = items;
    start_more(all);
    if (loop_wait(loop, all_ended, all, USEC_FOREVER, err) == 0)
        return 0;
    all->stopping = true;
    for (size_t i = 0; i < all->started; i++)
        if (!items[i].exited && uv_is_active((uv_handle_t *)&items[i].process))
            uv_process_kill(&items[i].process, SIGTERM);
    loop_shield(loop);
    int rc = loop_wait(loop, all_ended, all, USEC_FOREVER, NULL);
    loop_unshield(loop);
    return rc == 0 ? -1 : rc;
}

/* See loop.h. */
#include "os/loop.h"
#include "base/mem.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct loop {
    uv_loop_t uv;
    uv_signal_t signals[2]; /* SIGINT, SIGTERM */
    uv_timer_t wake;        /* bounds the turns of loop_wait */
    uv_prepare_t look;      /* looks at loop_wait's condition before a turn blocks */
    bool (*done)(void *ctx);
    void *done_ctx;
    bool signals_open;
    bool cancelled;
    int shields;
    void (*on_cancel)(void *ctx);
    void *on_cancel_ctx;
    void (*on_signal)(void *ctx, int count);
    void *on_signal_ctx;
    int signal_count;
};

struct timer {
    uv_timer_t uv;
    void (*fn)(void *ctx);
    void *ctx;
};

/* Writing to a pipe or socket whose reader is gone is an error to handle (EPIPE), not the end of
 * the program; libuv and libssh leave the choice to it. uv_spawn gives children the default back;
 * who calls exec without it does so itself. */
static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

struct loop *loop_new(void)
{
    ignore_sigpipe();
    struct loop *l = mem_alloc(sizeof *l);
    if (uv_loop_init(&l->uv) != 0 || uv_timer_init(&l->uv, &l->wake) != 0)
        abort();
    uv_prepare_init(&l->uv, &l->look);
    l->look.data = l;
    uv_unref((uv_handle_t *)&l->wake);
    uv_unref((uv_handle_t *)&l->look);
    return l;
}

static void close_if_open(uv_handle_t *h, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    uv_run(&l->uv, UV_RUN_NOWAIT); /* lets closing handles finish and call back */
    uv_walk(&l->uv, close_if_open, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_loop_close(&l->uv);
    free(l);
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

const struct clock *loop_clock(const struct loop *l)
{
    (void)l;
    return clock_system();
}

void loop_cancel(struct loop *l)
{
    if (l->cancelled)
        return;
    l->cancelled = true;
    if (l->on_cancel)
        l->on_cancel(l->on_cancel_ctx);
}

static void signalled(uv_signal_t *s, int number)
{
    (void)number;
    struct loop *l = s->data;
    if (l->on_signal) {
        l->on_signal(l->on_signal_ctx, ++l->signal_count);
        return;
    }
    if (l->cancelled)
        _exit(130);
    loop_cancel(l);
}

void loop_catch_signals(struct loop *l, void (*on_cancel)(void *ctx), void *ctx)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    l->on_cancel = on_cancel;
    l->on_cancel_ctx = ctx;
    if (l->signals_open)
        return;
    l->signals_open = true;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&l->uv, &l->signals[i]);
        l->signals[i].data = l;
        uv_signal_start(&l->signals[i], signalled, numbers[i]);
        uv_unref((uv_handle_t *)&l->signals[i]);
    }
}

void loop_on_signal(struct loop *l, void (*fn)(void *ctx, int count), void *ctx)
{
    l->on_signal = fn;
    l->on_signal_ctx = ctx;
    l->signal_count = 0;
}

bool loop_cancelled(const struct loop *l)
{
    return l->cancelled;
}

void loop_shield(struct loop *l)
{
    l->shields++;
}

void loop_unshield(struct loop *l)
{
    l->shields--;
}

/* Also stops a turn that has only just begun, which would block with no deadline left. */
static void woken(uv_timer_t *t)
{
    uv_stop(t->loop);
}

/* A turn runs the timers first and then blocks for the next event, so that what a timer made true
 * would go unseen until then. */
static void look(uv_prepare_t *p)
{
    struct loop *l = p->data;
    if ((l->cancelled && !l->shields) || l->done(l->done_ctx))
        uv_stop(&l->uv);
}

/* uv's milliseconds, rounded up, so that a timer never fires early. */
static uint64_t msec_up(usec_t span)
{
    return span <= 0 ? 0 : (uint64_t)(span / USEC_PER_MSEC) + (span % USEC_PER_MSEC != 0);
}

int loop_wait(struct loop *l, bool (*done)(void *ctx), void *ctx, usec_t timeout, struct err *err)
{
    const struct clock *clock = loop_clock(l);
    usec_t start = clock_mono(clock);
    /* The timer is the one handle that keeps a turn from blocking past the deadline; it is
     * referenced meanwhile, so that a loop with nothing else to do still waits. */
    uv_ref((uv_handle_t *)&l->wake);
    l->done = done;
    l->done_ctx = ctx;
    uv_prepare_start(&l->look, look);
    int rc = 0;
    while (!done(ctx)) {
        if (l->cancelled && !l->shields) {
            rc = err_set(err, ERR_CANCELLED, "cancelled");
            break;
        }
        usec_t left = USEC_PER_HOUR;
        if (timeout != USEC_FOREVER) {
            left = timeout - (clock_mono(clock) - start);
            if (left <= 0) {
                rc = err_set(err, ERR_TIMEOUT, "timed out");
                break;
            }
            if (left > USEC_PER_HOUR)
                left = USEC_PER_HOUR;
        }
        uv_update_time(&l->uv);
        uv_timer_start(&l->wake, woken, msec_up(left), 0);
        uv_run(&l->uv, UV_RUN_ONCE);
    }
    uv_prepare_stop(&l->look);
    uv_timer_stop(&l->wake);
    uv_unref((uv_handle_t *)&l->wake);
    return rc;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

int loop_pause(struct loop *l, usec_t span, struct err *err)
{
    struct err why = {0};
    if (loop_wait(l, never, NULL, span, &why) == -1 && why.code == ERR_CANCELLED)
        return err_copy(err, &why);
    return 0;
}

static void timer_fired(uv_timer_t *t)
{
    struct timer *timer = t->data;
    timer->fn(timer->ctx);
}

struct timer *timer_start(struct loop *l, usec_t after, void (*fn)(void *ctx), void *ctx)
{
    struct timer *t = mem_alloc(sizeof *t);
    t->fn = fn;
    t->ctx = ctx;
    uv_timer_init(&l->uv, &t->uv);
    t->uv.data = t;
    uv_update_time(&l->uv);
    uv_timer_start(&t->uv, timer_fired, msec_up(after), 0);
    return t;
}

static void timer_closed(uv_handle_t *h)
{
    free(h->data);
}

void timer_stop(struct timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, timer_closed);
}

/* The live table of `up`: redraws a terminal in place, writes plain lines elsewhere.
 *
 * Redrawing is by a timer, so that a burst of changes costs one redraw: DRAW_GAP after a change,
 * and every DRAW_IDLE so that the elapsed times go on. A change of the window's size redraws too.
 */
#include "base/mem.h"
#include "cli/hosttable.h"
#include "cli/session.h"
#include "cli/text.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define DRAW_GAP (100 * USEC_PER_MSEC)
#define DRAW_IDLE USEC_PER_SEC
#define PLAIN_HOSTS_MAX 20           /* with more, counts stand in for each host's lines */
#define PLAIN_GAP (5 * USEC_PER_SEC) /* between two lines of counts */

struct live {
    struct loop *loop;
    struct console *screen;
    struct hostview view;
    struct timer *timer;
    usec_t timer_at; /* monotonic: when the timer fires */
    usec_t drawn;    /* monotonic: the last redraw, or line of counts */
    uv_signal_t resize;
    bool resize_open;
    enum host_phase *said; /* plain: the phase last told of each host */
    size_t said_count;
};

static usec_t now(const struct live *l)
{
    return clock_mono(loop_clock(l->loop));
}

static void draw(struct live *l)
{
    size_t width, height;
    console_size(l->screen, &width, &height);
    struct strv lines = {0};
    hostview_render(&l->view, now(l), width, height, l->screen->color, &lines);
    console_draw(l->screen, &lines);
    l->drawn = now(l);
}

static void plan_draw(struct live *l, usec_t after);

static void fired(void *ctx)
{
    struct live *l = ctx;
    timer_stop(TAKE(l->timer));
    draw(l);
    plan_draw(l, DRAW_IDLE);
}

static void plan_draw(struct live *l, usec_t after)
{
    usec_t at = now(l) + after;
    if (l->timer && l->timer_at <= at)
        return;
    timer_stop(TAKE(l->timer));
    l->timer_at = at;
    l->timer = timer_start(l->loop, after, fired, l);
}

static void changed(struct live *l)
{
    usec_t since = now(l) - l->drawn;
    plan_draw(l, since >= DRAW_GAP ? 0 : DRAW_GAP - since);
}

static void resized(uv_signal_t *h, int number)
{
    (void)number;
    changed(h->data);
}

/* ---- without a terminal ------------------------------------------------------------------- */

static void say_host(struct live *l, size_t index)
{
    const struct cluster_host *h = &l->view.hosts.items[index];
    AUTO_BUF struct buf note = {0};
    if (h->note) {
        buf_adds(&note, ": ");
        text_clean(str_of(h->note), false, &note);
    }
    console_line(l->screen, "%s: %s%s", host_short_name(l->view.cluster, h),
                 host_phase_name(h->phase), buf_text(&note));
}

static void say_counts(struct live *l)
{
    AUTO_BUF struct buf text = {0};
    char took[CLOCK_SPAN_SIZE];
    clock_span(now(l) - l->view.began, took);
    hostview_counts(&l->view.hosts, &text);
    console_line(l->screen, "%zu hosts: %s (%s)", l->view.hosts.count, buf_text(&text), took);
    l->drawn = now(l);
}

/* Whether the host's phase is news, and remembers that it was told. */
static bool is_news(struct live *l, size_t index)
{
    const struct cluster_hosts *hosts = &l->view.hosts;
    if (l->said_count != hosts->count) {
        l->said = mem_grow(l->said, hosts->count, sizeof *l->said);
        for (; l->said_count < hosts->count; l->said_count++)
            l->said[l->said_count] = HOST_PLANNED;
        l->said_count = hosts->count;
    }
    if (l->said[index] == hosts->items[index].phase)
        return false;
    l->said[index] = hosts->items[index].phase;
    return true;
}

static void host_changed(void *ctx, const struct cluster_hosts *hosts, size_t index)
{
    struct live *l = ctx;
    hostview_set(&l->view, hosts, index);
    if (l->screen->tty) {
        changed(l);
        return;
    }
    if (index >= hosts->count || !is_news(l, index))
        return;
    bool failed = hosts->items[index].phase == HOST_FAILED;
    if (hosts->count <= PLAIN_HOSTS_MAX || failed)
        say_host(l, index);
    else if (now(l) - l->drawn >= PLAIN_GAP)
        say_counts(l);
}

static void replace_step(struct live *l, const char *text)
{
    free(l->view.step);
    l->view.step = mem_dup(text);
}

static void stepped(void *ctx, const char *text)
{
    struct live *l = ctx;
    replace_step(l, text);
    if (l->screen->tty) {
        changed(l);
        return;
    }
    AUTO_BUF struct buf clean = {0};
    text_clean(str_of(text), false, &clean);
    console_line(l->screen, "%s", buf_text(&clean));
}

static void warned(void *ctx, const char *text)
{
    struct live *l = ctx;
    AUTO_BUF struct buf line = {0};
    text_styled(STYLE_YELLOW, l->screen->color, STR("flambe: warning:"), &line);
    buf_addc(&line, ' ');
    text_clean(str_of(text), true, &line);
    console_line(l->screen, "%s", buf_text(&line));
}

struct live *live_new(struct loop *loop, struct console *screen, const char *cluster)
{
    setlocale(LC_CTYPE, ""); /* wcwidth() */
    struct live *l = mem_alloc(sizeof *l);
    l->loop = loop;
    l->screen = screen;
    l->view.cluster = cluster;
    l->view.began = now(l);
    l->drawn = l->view.began;
    if (!screen->tty)
        return l;
    if (uv_signal_init(loop_uv(loop), &l->resize) == 0) {
        l->resize.data = l;
        l->resize_open = true;
        uv_signal_start(&l->resize, resized, SIGWINCH);
        uv_unref((uv_handle_t *)&l->resize);
    }
    return l;
}

static bool is_closed(void *ctx)
{
    return !((struct live *)ctx)->resize_open;
}

static void closed(uv_handle_t *h)
{
    ((struct live *)h->data)->resize_open = false;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    timer_stop(l->timer);
    if (l->resize_open) {
        uv_close((uv_handle_t *)&l->resize, closed);
        loop_shield(l->loop);
        if (loop_wait(l->loop, is_closed, l, USEC_FOREVER, NULL) == -1)
            l->resize_open = false; /* not reached: a shielded wait without end does not fail */
        loop_unshield(l->loop);
    }
    console_erase(l->screen);
    hostview_done(&l->view);
    free(l->said);
    free(l);
}

void live_keep(struct live *l)
{
    if (!l->screen->tty)
        return;
    replace_step(l, NULL);
    draw(l);
    console_keep(l->screen);
}

void live_step(struct live *l, const char *fmt, ...)
{
    AUTO_BUF struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    stepped(l, buf_text(&text));
}

void live_watch(struct live *l, struct cluster_watch *watch)
{
    *watch =
        (struct cluster_watch){.host = host_changed, .step = stepped, .warn = warned, .ctx = l};
}

const struct cluster_hosts *live_hosts(const struct live *l)
{
    return &l->view.hosts;
}

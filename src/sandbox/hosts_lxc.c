/* Booted and light hosts: a host's life. See hosts_lxc_priv.h for what a host is made of.
 *
 *   OFF -> MAKING -> WAITING -> LAUNCHING -> RUNNING -> OFF … -> REMOVING
 *
 * Every step is a child process or a descriptor to wait for; go_on() is the one place that says
 * which comes next, and set_state() the one that changes the state. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/hosts_lxc_priv.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ASK_AGAIN (1 * USEC_PER_SEC)
#define CLEAR_EVERY (100 * USEC_PER_MSEC)
#define LOG_MAX ((size_t)256 << 10)
#define REASON_MAX 400

static void go_on(struct host *h);
static void launch_next(struct lxc *all);
static void carry_out(struct host *h);

static void set_state(struct host *h, enum lxc_state state)
{
    if (h->state == LXC_LAUNCHING && state != LXC_LAUNCHING)
        h->all->launching--;
    if (state == LXC_LAUNCHING)
        h->all->launching++;
    h->state = state;
}

static char *path_of(const struct host *h, const char *name)
{
    return fs_join(h->dir, name);
}

static void stop_timer(struct host *h)
{
    timer_stop(h->timer);
    h->timer = NULL;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void watch_closed(uv_handle_t *w)
{
    free(w);
}

static void unwatch(struct host *h)
{
    if (h->watch) {
        uv_poll_stop(h->watch);
        uv_close((uv_handle_t *)h->watch, watch_closed);
        h->watch = NULL;
    }
    if (h->pidfd >= 0)
        close(h->pidfd);
    h->pidfd = -1;
    h->monitor = 0;
}

/* The machine is off, by itself, by request or because it could not start (`why`). */
static void went_off(struct host *h, const char *why)
{
    unwatch(h);
    stop_timer(h);
    bool again = h->again && !why && !h->kill_wanted && !h->stop_wanted;
    h->again = h->kill_wanted = h->stop_wanted = false;
    set_state(h, LXC_OFF);
    launch_next(h->all);
    if (h->doomed)
        lxc_host_remove(h);
    else if (again)
        go_on(h);
    else
        h->events.ended(h->events.ctx, h, why); /* h may be gone after this */
}

/* ---- making the volume ----------------------------------------------------------------------- */

static void stepped(void *ctx, int exit_status, const char *output)
{
    struct host *h = ctx;
    h->child = NULL;
    if (exit_status == 0) {
        go_on(h);
        return;
    }
    struct str text = str_trim(str_of(output));
    AUTO_FREE char *why = mem_printf("its volume cannot be made: %.*s", STR_FMT(text));
    went_off(h, why);
}

static int make_volume(struct host *h, const char *path, struct err *err)
{
    AUTO_FREE char *fresh = mem_printf("%s.new", path);
    (void)unlink(fresh);
    FILE *f = fopen(fresh, "we");
    int64_t gb = h->volume_gb > 0 ? h->volume_gb : 8;
    if (gb > LXC_VOLUME_GB_MAX)
        gb = LXC_VOLUME_GB_MAX;
    if (!f || ftruncate(fileno(f), (off_t)(gb << 30)) == -1) {
        int sys = errno;
        if (f)
            fclose(f);
        return err_set_sys(err, sys, "cannot make '%s'", fresh);
    }
    fclose(f);
    /* No journal: nothing outlives a crash of the whole machine; lazy tables: 10 ms at any size. */
    const char *const argv[] = {"/sbin/mkfs.ext4",
                                "-q",
                                "-F",
                                "-m",
                                "0",
                                "-i",
                                "32768",
                                "-O",
                                "^has_journal,^resize_inode,sparse_super2",
                                "-E",
                                "lazy_itable_init=1,nodiscard",
                                fresh,
                                NULL};
    h->child = child_start(h->all->loop, argv, NULL, stepped, h);
    return 0;
}

/* The next missing piece of the disk is begun; *ready where nothing is missing. */
static int make_disk(struct host *h, bool *ready, struct err *err)
{
    *ready = false;
    AUTO_FREE char *image = path_of(h, "disk.img");
    AUTO_FREE char *fresh = mem_printf("%s.new", image);
    AUTO_FREE char *disk = path_of(h, "disk");
    if (h->kind == HOST_BOOTED && h->all->volumes && !fs_exists(image)) {
        if (!fs_exists(fresh) || !h->volume_made)
            return h->volume_made = true, make_volume(h, image, err);
        if (rename(fresh, image) == -1)
            return err_set_sys(err, errno, "cannot make '%s'", image);
    }
    if (fs_mkdirs(disk, 0755, err) == -1)
        return -1;
    if (fs_exists(image) && !lxc_is_mounted(disk)) {
        const char *const argv[] = {"mount", "-t", "ext4", "-o", "loop,noatime", image, disk, NULL};
        h->child = child_start(h->all->loop, argv, NULL, stepped, h);
        return 0;
    }
    if (!h->seeded && lxc_seed(h, err) == -1)
        return -1;
    h->seeded = true;
    *ready = true;
    return 0;
}

/* ---- launching ------------------------------------------------------------------------------- */

static void last_words(const struct host *h, const char *output, struct buf *out)
{
    AUTO_FREE char *path = path_of(h, "lxc.log");
    AUTO_BUF struct buf log = {.max = LOG_MAX};
    if (fs_read(path, LOG_MAX, &log, NULL) == -1 || !log.len)
        buf_adds(&log, output);
    /* The first error is the cause; lxc's later ones only follow from it. */
    const char *at = strstr(buf_text(&log), " ERROR ");
    struct str text = str_trim(str_of(at ? at + 7 : buf_text(&log)));
    if (at)
        text = str_trim(str_cut(&text, '\n'));
    if (text.n > REASON_MAX)
        text.n = REASON_MAX;
    buf_add_str(out, text);
}

static void monitor_ended(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    went_off(p->data, NULL);
}

int lxc_host_watch(struct host *h, pid_t monitor)
{
    int fd = (int)syscall(SYS_pidfd_open, monitor, 0);
    if (fd < 0)
        return -1;
    h->watch = mem_alloc(sizeof *h->watch);
    if (uv_poll_init(loop_uv(h->all->loop), h->watch, fd) != 0)
        abort(); /* out of memory */
    h->watch->data = h;
    h->pidfd = fd;
    h->monitor = monitor;
    uv_poll_start(h->watch, UV_READABLE, monitor_ended);
    h->hangs = false;
    set_state(h, LXC_RUNNING);
    return 0;
}

static void launched(void *ctx, int exit_status, const char *output)
{
    struct host *h = ctx;
    h->child = NULL;
    if (exit_status != 0) {
        AUTO_BUF struct buf why = {0};
        buf_adds(&why, "it cannot start: ");
        last_words(h, output, &why);
        went_off(h, buf_text(&why));
        return;
    }
    pid_t monitor = lxc_find_monitor(h);
    if (monitor == 0 || lxc_host_watch(h, monitor) == -1) {
        went_off(h, NULL); /* it has ended already */
        return;
    }
    launch_next(h->all);
    carry_out(h);
}

static int launch(struct host *h, struct err *err)
{
    AUTO_FREE char *config = path_of(h, "lxc.conf");
    AUTO_FREE char *pid = path_of(h, "pid");
    AUTO_FREE char *log = path_of(h, "lxc.log");
    AUTO_BUF struct buf text = {0};
    lxc_config(h, &text);
    (void)unlink(pid);
    (void)unlink(log);
    if (lxc_write(config, 0600, 0, buf_view(&text), err) == -1)
        return -1;
    const char *const argv[] = {"lxc-start", "-n",   h->name, "-P",    h->all->dir,
                                "-f",        config, "-d",    "-p",    pid,
                                "-o",        log,    "-l",    "ERROR", NULL};
    set_state(h, LXC_LAUNCHING);
    h->child = child_start(h->all->loop, argv, NULL, launched, h);
    return 0;
}

static void launch_next(struct lxc *all)
{
    /* The oldest first: the list has the newest in front. */
    while (all->launching < all->launching_max) {
        struct host *oldest = NULL;
        for (struct host *h = all->first; h; h = h->next) {
            if (h->state == LXC_WAITING)
                oldest = h;
        }
        if (!oldest)
            return;
        struct err err = {0};
        if (launch(oldest, &err) == -1)
            went_off(oldest, err.msg);
    }
}

static void go_on_later(void *ctx)
{
    struct host *h = ctx;
    stop_timer(h);
    go_on(h);
}

/* From OFF or MAKING towards RUNNING. */
static void go_on(struct host *h)
{
    struct err err = {0};
    bool ready;
    if (h->doomed || h->kill_wanted || h->stop_wanted) {
        went_off(h, NULL);
        return;
    }
    set_state(h, LXC_MAKING);
    if (make_disk(h, &ready, &err) == -1) {
        went_off(h, err.msg);
        return;
    }
    if (!ready)
        return;
    if (h->taken_up && lxc_kill_leftovers(h->name, h->dir, NULL)) {
        h->timer = timer_start(h->all->loop, CLEAR_EVERY, go_on_later, h);
        return;
    }
    if (h->taken_up)
        lxc_remove_cgroups(h->name); /* else lxc gives the new container others */
    h->taken_up = false;
    set_state(h, LXC_WAITING);
    launch_next(h->all);
}

void lxc_host_power_on(struct host *h)
{
    set_state(h, LXC_MAKING);
    stop_timer(h);
    h->timer = timer_start(h->all->loop, 0, go_on_later, h);
}

/* ---- requests -------------------------------------------------------------------------------- */

static usec_t now(const struct host *h)
{
    return clock_mono(loop_clock(h->all->loop));
}

static void kill_now(struct host *h)
{
    (void)!lxc_freeze(h, false, NULL); /* a frozen process does not die */
    if (lxc_signal_init(h, SIGKILL) || h->monitor <= 0)
        return;
    /* Nothing of the container lives: its monitor is about to end, or hangs. */
    if (h->hangs) {
        kill(h->monitor, SIGKILL);
        h->taken_up = true;
    }
    h->hangs = true;
}

static void ask_again(void *ctx)
{
    struct host *h = ctx;
    stop_timer(h);
    carry_out(h);
}

/* Does what has been asked of a running host, or asks once more, until it ends. */
static void carry_out(struct host *h)
{
    if (h->state != LXC_RUNNING || !(h->doomed || h->kill_wanted || h->stop_wanted || h->again))
        return;
    bool late = h->deadline && now(h) >= h->deadline;
    bool kill_it = h->doomed || h->kill_wanted || late || (h->again && h->kind == HOST_LIGHT);
    if (kill_it)
        kill_now(h);
    else if (h->stop_wanted) /* init may not listen yet: it is asked every second */
        lxc_signal_init(h, h->kind == HOST_LIGHT ? SIGTERM : SIGRTMIN + 3);
    stop_timer(h);
    h->timer = timer_start(h->all->loop, ASK_AGAIN, ask_again, h);
}

static void want(struct host *h, bool *what, usec_t bound)
{
    if (h->state == LXC_OFF || h->state == LXC_REMOVING)
        return;
    *what = true;
    h->deadline = now(h) + bound;
    if (h->state == LXC_WAITING || (h->state == LXC_MAKING && !h->child)) {
        set_state(h, LXC_MAKING);
        stop_timer(h);
        h->timer = timer_start(h->all->loop, 0, go_on_later, h);
        return;
    }
    carry_out(h);
}

void lxc_host_stop(struct host *h)
{
    want(h, &h->stop_wanted, h->kind == HOST_LIGHT ? LXC_STOP_BOUND_LIGHT : LXC_STOP_BOUND);
}

void lxc_host_kill(struct host *h)
{
    want(h, &h->kill_wanted, 0);
}

static void check_reboot(void *ctx)
{
    struct host *h = ctx;
    stop_timer(h);
    if (h->state != LXC_RUNNING || !h->rebooting)
        return;
    pid_t rebooting = h->rebooting;
    h->rebooting = 0;
    if (lxc_find_init(h->monitor) != rebooting)
        return; /* the monitor has started it again */
    h->again = true;
    kill_now(h);
}

void lxc_host_reboot(struct host *h)
{
    if (h->state != LXC_RUNNING)
        return;
    if (h->kind == HOST_LIGHT) {
        want(h, &h->again, 0);
        return;
    }
    h->rebooting = lxc_find_init(h->monitor);
    lxc_signal_init(h, SIGRTMIN + 5);
    stop_timer(h);
    h->timer = timer_start(h->all->loop, LXC_STOP_BOUND, check_reboot, h);
}

/* ---- removal --------------------------------------------------------------------------------- */

static void removed(void *ctx, int exit_status, const char *output)
{
    (void)exit_status, (void)output;
    struct host *h = ctx;
    h->child = NULL;
    lxc_remove_cgroups(h->name);
    lxc_host_free(h);
}

static void unmounted(void *ctx, int exit_status, const char *output)
{
    (void)exit_status, (void)output;
    struct host *h = ctx;
    AUTO_FREE char *shared = fs_join(h->all->shared, h->id);
    const char *const argv[] = {"rm", "-rf", "--one-file-system", h->dir, shared, NULL};
    h->child = child_start(h->all->loop, argv, NULL, removed, h);
}

void lxc_host_remove(struct host *h)
{
    set_state(h, LXC_REMOVING);
    AUTO_FREE char *disk = path_of(h, "disk");
    if (!lxc_is_mounted(disk)) {
        unmounted(h, 0, "");
        return;
    }
    const char *const argv[] = {"umount", "-l", disk, NULL};
    h->child = child_start(h->all->loop, argv, NULL, unmounted, h);
}

void lxc_host_destroy(struct host *h)
{
    h->doomed = true;
    if (h->state == LXC_OFF)
        lxc_host_remove(h);
    else
        want(h, &h->kill_wanted, 0);
}

void lxc_host_free(struct host *h)
{
    struct lxc *all = h->all;
    if (h->next)
        h->next->previous = h->previous;
    if (h->previous)
        h->previous->next = h->next;
    else
        all->first = h->next;
    set_state(h, LXC_OFF);
    unwatch(h);
    stop_timer(h);
    child_forget(h->child);
    free(h->id);
    free(h->name);
    free(h->dir);
    free(h->hostname);
    free(h->user);
    free(h->private_ip);
    free(h->public_ip);
    free(h->public_key);
    buf_wipe(&h->user_data);
    free(h);
}

/* The driver's half of the local engine: it hands out CPUs and GPUs, says to the supervisor what to
 * start and to stop, and passes on what that reports. See supervisor_priv.h for the other half. */
#include "base/digest.h"
#include "base/mem.h"
#include "engine/supervisor_priv.h"
#include "engine/wire_priv.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREE_MAX (20 * USEC_PER_SEC) /* for the supervisor to end everything */

/* A program under way. */
struct item {
    uint64_t id;
    pid_t pid; /* 0: not started yet */
    int cpus;
    size_t gpu_count;
    size_t *gpus; /* indices into struct local's */
    char *visible;
};

struct local {
    struct engine base; /* first */
    struct loop *loop;
    struct engine_events events;
    uv_pipe_t pipe;
    pid_t supervisor;
    char token[SUPERVISOR_TOKEN_SIZE];
    int free_cpus;
    struct strv gpus;
    bool *gpu_taken;
    size_t free_gpus;
    struct item **items;
    size_t count, cap;
    struct buf in;
    char block[SUPERVISOR_BLOCK];
    bool gone; /* the supervisor's end of the socket is closed */
    bool freeing;
    bool closed;
};

struct message {
    uv_write_t req;
    struct buf bytes;
};

static struct local *local_of(const struct engine *e)
{
    return (struct local *)(uintptr_t)e;
}

/* ---- what a program gets --------------------------------------------------------------------- */

static size_t local_room(const struct engine *e, int cpus, int gpus)
{
    const struct local *l = local_of(e);
    if (l->gone)
        return 0;
    size_t room = SUPERVISOR_TRIALS_MAX - l->count;
    if (cpus > 0 && (size_t)(l->free_cpus / cpus) < room)
        room = (size_t)(l->free_cpus / cpus);
    if (gpus > 0 && l->free_gpus / (size_t)gpus < room)
        room = l->free_gpus / (size_t)gpus;
    return room;
}

static struct item *find(const struct local *l, uint64_t id, size_t *at)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i]->id == id) {
            *at = i;
            return l->items[i];
        }
    }
    return NULL;
}

/* Takes CPUs and GPUs for the program, of which there are enough. */
static struct item *take(struct local *l, const struct engine_program *p)
{
    struct item *it = mem_alloc(sizeof *it);
    AUTO_STRV struct strv ids = {0};
    it->id = p->id;
    it->cpus = p->cpus;
    it->gpus = mem_array((size_t)p->gpus, sizeof *it->gpus);
    for (size_t i = 0; i < l->gpus.count && it->gpu_count < (size_t)p->gpus; i++) {
        if (l->gpu_taken[i])
            continue;
        l->gpu_taken[i] = true;
        it->gpus[it->gpu_count++] = i;
        strv_add(&ids, l->gpus.items[i]);
    }
    it->visible = strv_join(&ids, ",");
    l->free_cpus -= it->cpus;
    l->free_gpus -= it->gpu_count;
    MEM_PUSH_ROOM(l->items, l->count, l->cap);
    l->items[l->count++] = it;
    return it;
}

static void give_back(struct local *l, size_t at)
{
    struct item *it = l->items[at];
    for (size_t i = 0; i < it->gpu_count; i++)
        l->gpu_taken[it->gpus[i]] = false;
    l->free_cpus += it->cpus;
    l->free_gpus += it->gpu_count;
    for (size_t i = at + 1; i < l->count; i++) /* the order of submission stays */
        l->items[i - 1] = l->items[i];
    l->count--;
    free(it->gpus);
    free(it->visible);
    free(it);
}

static bool is_named(const char *variable, const char *name)
{
    size_t n = strlen(name);
    return strncmp(variable, name, n) == 0 && variable[n] == '=';
}

static bool is_ours(const struct local *l, const char *variable)
{
    return is_named(variable, SUPERVISOR_MARK) || is_named(variable, "FLAMBE_CPUS") ||
           is_named(variable, "FLAMBE_GPUS") ||
           (l->gpus.count && is_named(variable, "CUDA_VISIBLE_DEVICES"));
}

/* NULL-terminated. The mark comes first, where it is found soonest. */
static void make_env(const struct local *l, const struct engine_program *p, const char *visible,
                     struct strv *env)
{
    bool has_threads = false;
    strv_take(env, mem_printf("%s=%s.%" PRIu64, SUPERVISOR_MARK, l->token, p->id));
    for (const char *const *v = p->env; *v; v++) {
        has_threads = has_threads || is_named(*v, "OMP_NUM_THREADS");
        if (!is_ours(l, *v))
            strv_add(env, *v);
    }
    strv_take(env, mem_printf("FLAMBE_CPUS=%d", p->cpus));
    strv_take(env, mem_printf("FLAMBE_GPUS=%d", p->gpus));
    if (l->gpus.count)
        strv_take(env, mem_printf("CUDA_VISIBLE_DEVICES=%s", visible));
    if (!has_threads && p->cpus > 0)
        strv_take(env, mem_printf("OMP_NUM_THREADS=%d", p->cpus));
    strv_take(env, NULL);
}

/* ---- to the supervisor ----------------------------------------------------------------------- */

static void sent(uv_write_t *req, int status)
{
    (void)status; /* where the supervisor is gone, the reading end says so */
    struct message *m = req->data;
    buf_done(&m->bytes);
    free(m);
}

/* Takes the bytes. */
static void send_bytes(struct local *l, struct buf *bytes)
{
    struct message *m = mem_alloc(sizeof *m);
    m->req.data = m;
    m->bytes = *bytes;
    *bytes = (struct buf){0};
    uv_buf_t b = uv_buf_init(m->bytes.data, (unsigned)m->bytes.len);
    int rc = uv_write(&m->req, (uv_stream_t *)&l->pipe, &b, 1, sent);
    if (rc != 0)
        sent(&m->req, rc);
}

/* NULL where the program can be sent as it is, which is then in *frame. */
static const char *send_error(const struct engine_program *p, const struct strv *env,
                              struct buf *frame)
{
    if (!p->argv[0])
        return "its command is empty";
    if (!*p->argv[0])
        return p->argv[1] && *p->argv[1] ? p->argv[1] : "its command is empty";
    wire_put_program(frame, p, (const char *const *)env->items);
    return frame->overflowed ? "its arguments and its environment are longer than 8 MiB; large "
                               "values can be read from the file $FLAMBE_PARAMS"
                             : NULL;
}

static int local_submit(struct engine *e, const struct engine_program *p, struct err *err)
{
    struct local *l = local_of(e);
    size_t at;
    assert(p->cpus >= 0 && p->gpus >= 0);
    if (l->gone)
        return err_set(err, ERR_UNREACHABLE, "the supervisor of the programs is gone");
    if (find(l, p->id, &at))
        return err_set(err, ERR_INTERNAL, "program %" PRIu64 " is under way already", p->id);
    if (local_room(e, p->cpus, p->gpus) == 0)
        return err_set(err, ERR_LIMIT, "no room for a program of %d CPUs and %d GPUs", p->cpus,
                       p->gpus);
    const struct item *it = take(l, p);
    AUTO_STRV struct strv env = {0};
    AUTO_BUF struct buf frame = {.max = WIRE_FRAME_MAX};
    make_env(l, p, it->visible, &env);
    const char *why = send_error(p, &env, &frame);
    if (why) {
        struct wire_refuse refuse = {.id = p->id};
        snprintf(refuse.why, sizeof refuse.why, "%s", why);
        buf_done(&frame);
        wire_put(&frame, WIRE_REFUSE, &refuse, sizeof refuse);
    }
    send_bytes(l, &frame);
    return 0;
}

static void local_stop(struct engine *e, uint64_t id, usec_t grace)
{
    struct local *l = local_of(e);
    size_t at;
    if (l->gone || !find(l, id, &at))
        return;
    struct wire_stop stop = {.id = id, .grace = grace};
    AUTO_BUF struct buf frame = {0};
    wire_put(&frame, WIRE_STOP, &stop, sizeof stop);
    send_bytes(l, &frame);
}

/* ---- from the supervisor --------------------------------------------------------------------- */

static void reap_supervisor(struct local *l)
{
    kill(l->supervisor, SIGKILL); /* it is ending or hangs; its number is its own until the wait */
    while (waitpid(l->supervisor, NULL, 0) == -1 && errno == EINTR)
        ;
}

/* The kernel has killed the programs with their supervisor, but not what these started. */
static void break_down(struct local *l)
{
    uv_read_stop((uv_stream_t *)&l->pipe);
    l->gone = true;
    if (l->freeing)
        return;
    reap_supervisor(l);
    l->supervisor = -1;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i]->pid > 0)
            kill(-l->items[i]->pid, SIGKILL);
    }
    while (l->count) {
        struct engine_result r = {.id = l->items[0]->id,
                                  .end = ENGINE_LOST,
                                  .exit_status = -1,
                                  .ended = clock_wall(loop_clock(l->loop)),
                                  .message = "its supervisor died"};
        give_back(l, 0);
        l->events.ended(l->events.ctx, &r);
    }
    struct err err = {0};
    err_set(&err, ERR_UNREACHABLE, "the supervisor of the programs died");
    if (l->events.broken)
        l->events.broken(l->events.ctx, &err);
}

static bool hear(struct local *l, enum wire_type type, struct str payload)
{
    struct wire_started s;
    struct engine_result r;
    size_t at;
    if (type == WIRE_STARTED && wire_get(payload, &s, sizeof s)) {
        struct item *it = find(l, s.id, &at);
        if (!it)
            return false;
        it->pid = (pid_t)s.pid;
        if (l->events.started)
            l->events.started(l->events.ctx, s.id, "", it->visible, s.wall);
        return true;
    }
    if (type == WIRE_ENDED && wire_get(payload, &r, sizeof r) && find(l, r.id, &at)) {
        give_back(l, at);
        l->events.ended(l->events.ctx, &r);
        return true;
    }
    return false;
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct local *l = h->data;
    *out = uv_buf_init(l->block, sizeof l->block);
}

static void got(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct local *l = stream->data;
    if (n == 0)
        return;
    if (n < 0) {
        break_down(l);
        return;
    }
    if (l->freeing)
        return;
    buf_add(&l->in, b->base, (size_t)n);
    struct str rest = buf_view(&l->in);
    enum wire_type type;
    struct str payload;
    int rc;
    while ((rc = wire_frame(&rest, &type, &payload)) == 1) {
        if (!hear(l, type, payload)) {
            rc = -1;
            break;
        }
    }
    buf_consume(&l->in, l->in.len - rest.n);
    if (rc == -1)
        break_down(l);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static bool is_gone(void *ctx)
{
    const struct local *l = ctx;
    return l->gone;
}

static bool is_closed(void *ctx)
{
    const struct local *l = ctx;
    return l->closed;
}

static void closed(uv_handle_t *h)
{
    struct local *l = h->data;
    l->closed = true;
}

static void local_free(struct engine *e)
{
    struct local *l = local_of(e);
    uv_os_fd_t fd;
    l->freeing = true;
    loop_shield(l->loop);
    if (!l->gone && uv_fileno((uv_handle_t *)&l->pipe, &fd) == 0) {
        kill(l->supervisor, SIGCONT); /* somebody may have stopped it */
        (void)shutdown(fd, SHUT_WR);
        if (loop_wait(l->loop, is_gone, l, FREE_MAX, NULL) == -1)
            l->gone = true;
    }
    if (l->supervisor > 0)
        reap_supervisor(l);
    uv_close((uv_handle_t *)&l->pipe, closed);
    (void)!loop_wait(l->loop, is_closed, l, USEC_FOREVER, NULL); /* the next turn closes it */
    loop_unshield(l->loop);
    while (l->count)
        give_back(l, l->count - 1);
    free(l->items);
    free(l->gpu_taken);
    strv_done(&l->gpus);
    buf_done(&l->in);
    free(l);
}

static const struct engine_ops local_ops = {.name = "local",
                                            .room = local_room,
                                            .submit = local_submit,
                                            .stop = local_stop,
                                            .free = local_free};

/* Forks with all signals blocked, so that no handler of this process runs in the child. */
static pid_t fork_supervisor(const struct supervisor_options *o)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        supervisor_run(o);
    int sys = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = sys;
    return pid;
}

static int open_sockets(int fds[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
        return err_set_sys(err, errno, "cannot make a socket for the supervisor");
    for (int i = 0; i < 2; i++)
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    return 0;
}

static void set_up(struct local *l, struct loop *loop, const struct engine_local_options *o,
                   const struct engine_events *events)
{
    l->base.ops = &local_ops;
    l->loop = loop;
    l->events = *events;
    l->free_cpus = o->cpus;
    for (const char *const *id = o->gpus; id && *id; id++)
        strv_add(&l->gpus, *id);
    l->free_gpus = l->gpus.count;
    l->gpu_taken = mem_array(l->gpus.count, sizeof *l->gpu_taken);
    uv_pipe_init(loop_uv(loop), &l->pipe, 0);
    l->pipe.data = l;
}

int engine_local_new(struct loop *loop, const struct engine_local_options *o,
                     const struct engine_events *events, struct engine **out, struct err *err)
{
    struct supervisor_options so = {.keep_fd = o->keep_fd};
    int fds[2];
    if (record_open(&so.record, o->record, err) == -1)
        return -1;
    if (open_sockets(fds, err) == -1) {
        record_close(&so.record);
        return -1;
    }
    so.socket = fds[1];
    digest_random_hex(so.token, SUPERVISOR_TOKEN_SIZE - 1);
    pid_t pid = fork_supervisor(&so);
    int sys = errno;
    record_close(&so.record);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return err_set_sys(err, sys, "cannot start the supervisor");
    }
    struct local *l = mem_alloc(sizeof *l);
    set_up(l, loop, o, events);
    memcpy(l->token, so.token, sizeof l->token);
    l->supervisor = pid;
    if (uv_pipe_open(&l->pipe, fds[0]) != 0 ||
        uv_read_start((uv_stream_t *)&l->pipe, give_block, got) != 0)
        abort(); /* neither fails on a fresh socket */
    *out = &l->base;
    return 0;
}

/* The wrapper: what Slurm runs on a host for each program.
 *
 * It is a local engine of one program: that has the supervisor which bounds and ends it. What is
 * added here is where the program comes from, what Slurm gave it, and who is told of its end.
 *
 * SIGTERM (also from Slurm, when it ends a job) asks the program to end; SIGUSR2 ends it at once.
 * Both are told as ENGINE_STOPPED, and the engine knows whether it was it that asked. */
#include "base/mem.h"
#include "engine/record_priv.h"
#include "engine/slurm_priv.h"
#include "engine/wire_priv.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY (5 * USEC_PER_SEC) /* whether the engine has given it up */
#define RECORD_TRIES 30 /* to write the end, one a second: a server may be on its way back */
#define HOST_PREFIX_MAX 96

struct wrapper {
    struct loop *loop;
    struct slurm_task task;
    struct slurm_spec spec;
    struct slurm_row row;
    struct buf frame;
    struct engine_program program; /* views of `frame` */
    char host[SLURM_NODE_MAX];
    char *records; /* this host's file */
    char *lost;    /* is there when the engine has given it up */
    const char *path;
    char *held;  /* the other name of `path` */
    int missing; /* looks in a row that found neither */
    struct timer *look;
    struct engine *engine;
    bool ended;
    struct engine_result result;
};

/* ---- what to run ----------------------------------------------------------------------------- */

static int read_at(int fd, uint64_t at, size_t n, struct buf *out)
{
    AUTO_FREE char *bytes = mem_alloc(n + 1);
    size_t done = 0;
    while (done < n) {
        ssize_t k = pread(fd, bytes + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            errno = k == 0 ? EIO : errno;
            return -1;
        }
        done += (size_t)k;
    }
    buf_add(out, bytes, n);
    return 0;
}

static int read_parts(struct wrapper *w, int fd, unsigned index)
{
    AUTO_BUF struct buf head = {0}, row = {0};
    struct str payload, rest;
    enum wire_type type;
    errno = EBADMSG;
    if (read_at(fd, 0, SLURM_HEAD_SIZE, &head) == -1)
        return -1;
    if (!slurm_spec_head(buf_view(&head), &w->spec) || index >= w->spec.count) {
        errno = EBADMSG;
        return -1;
    }
    if (read_at(fd, SLURM_HEAD_SIZE + index * SLURM_ROW_SIZE, SLURM_ROW_SIZE, &row) == -1)
        return -1;
    if (!slurm_spec_row(buf_view(&row), &w->row)) {
        errno = EBADMSG;
        return -1;
    }
    if (read_at(fd, w->row.offset, (size_t)w->row.length, &w->frame) == -1)
        return -1;
    rest = buf_view(&w->frame);
    errno = EBADMSG;
    if (wire_frame(&rest, &type, &payload) != 1 || type != WIRE_START ||
        !wire_program_parse(payload, &w->program) || w->program.id != w->row.id)
        return -1;
    w->program.cpus = (int)w->row.cpus;
    w->program.gpus = (int)w->row.gpus;
    return 0;
}

static int read_spec(struct wrapper *w, const char *path, unsigned index, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot read '%s'", path);
    w->frame.max = WIRE_FRAME_MAX + 64;
    int rc = read_parts(w, fd, index);
    int sys = errno;
    close(fd);
    return rc == 0 ? 0 : err_set_sys(err, sys, "cannot read '%s'", path);
}

/* The array's name, from its file's; this host's, as Slurm has it. */
static int find_place(struct wrapper *w, const char *path, unsigned index, struct err *err)
{
    const char *name = strrchr(path, '/');
    const char *node = getenv("SLURMD_NODENAME"), *job = getenv("SLURM_ARRAY_JOB_ID");
    if (!name || !slurm_is_token(str_of(name + 1)))
        return err_set(err, ERR_USAGE, "'%s' is no description of programs", path);
    snprintf(w->task.token, sizeof w->task.token, "%s", name + 1);
    w->task.index = index;
    if (!job || !slurm_number(str_of(job), UINT64_MAX, &w->task.job))
        w->task.job = 0;
    if (node && *node && *node != '.' && !strchr(node, '/') && strlen(node) < sizeof w->host)
        snprintf(w->host, sizeof w->host, "%s", node);
    else if (gethostname(w->host, sizeof w->host - 1) == -1 || strchr(w->host, '/'))
        return err_set(err, ERR_INTERNAL, "this host has no name");
    /* DIRECTORY/specs/TOKEN */
    w->path = path;
    w->held = mem_printf("%s" SLURM_HOLD, path);
    w->lost = mem_printf("%s.%u." SLURM_LOST, path, index);
    w->records = mem_printf("%.*s/../records/%s", (int)(name - path), path, w->host);
    return 0;
}

/* ---- who is told ----------------------------------------------------------------------------- */

/* `sync`: it is on the server's disk when this returns. A start tells nothing that its end does not
 * tell again, so it does not wait for the disk. */
static int append(const struct wrapper *w, struct str line, bool sync)
{
    struct record r;
    struct err err = {0};
    if (record_open(&r, w->records, &err) == -1) {
        errno = err.sys ? err.sys : EIO;
        return -1;
    }
    int rc = record_append_line(&r, line);
    if (rc == 0 && sync && fsync(r.fd) == -1 && errno != EINVAL && errno != EROFS)
        rc = -1;
    int sys = errno;
    record_close(&r);
    errno = sys;
    return rc;
}

/* Where it cannot be written the program runs all the same: its end is what counts. */
static void on_started(void *ctx, uint64_t id, const char *host, const char *gpus, usec_t wall)
{
    (void)id, (void)host;
    struct wrapper *w = ctx;
    struct slurm_start start = {.wall = wall};
    AUTO_BUF struct buf line = {.max = SLURM_LINE_MAX};
    snprintf(start.host, sizeof start.host, "%s", w->host);
    snprintf(start.gpus, sizeof start.gpus, "%s", gpus);
    slurm_record_start(&w->task, &start, &line);
    (void)!append(w, buf_view(&line), false);
}

static void on_ended(void *ctx, const struct engine_result *result)
{
    struct wrapper *w = ctx;
    w->result = *result;
    w->ended = true;
}

static bool has_ended(void *ctx)
{
    const struct wrapper *w = ctx;
    return w->ended;
}

/* A message about a host says which. */
static void name_host(struct wrapper *w)
{
    struct engine_result *r = &w->result;
    char message[ENGINE_MESSAGE_MAX];
    snprintf(r->host, sizeof r->host, "%s", w->host);
    if (!r->message[0])
        return;
    memcpy(message, r->message, sizeof message);
    snprintf(r->message, sizeof r->message, "on %s: %.*s", w->host,
             (int)(sizeof message - HOST_PREFIX_MAX), message);
}

static int record_end(struct wrapper *w, struct err *err)
{
    AUTO_BUF struct buf line = {.max = SLURM_LINE_MAX};
    name_host(w);
    slurm_record_end(&w->task, &w->result, &line);
    int rc = append(w, buf_view(&line), true);
    for (int i = 1; rc == -1 && i < RECORD_TRIES && errno != ENOENT; i++) {
        int sys = errno;
        loop_shield(w->loop);
        (void)!loop_pause(w->loop, USEC_PER_SEC, NULL);
        loop_unshield(w->loop);
        errno = sys;
        rc = append(w, buf_view(&line), true);
    }
    return rc == 0 ? 0 : err_set_sys(err, errno, "cannot write '%s'", w->records);
}

/* ---- the run --------------------------------------------------------------------------------- */

static void on_signal(void *ctx, int count)
{
    (void)count;
    struct wrapper *w = ctx;
    if (w->engine)
        engine_stop(w->engine, w->program.id, w->spec.stop_grace);
}

static void on_kill(uv_signal_t *h, int number)
{
    (void)number;
    struct wrapper *w = h->data;
    if (w->engine)
        engine_stop(w->engine, w->program.id, 0);
}

/* Nothing is known of a file of which the server does not tell. */
static bool is_gone(const char *path)
{
    struct stat st;
    return lstat(path, &st) == -1 && errno == ENOENT;
}

/* Slurm may have taken this host for dead, and the engine may have started the program anew: two of
 * them must not write to one directory for long. */
static void look(void *ctx)
{
    struct wrapper *w = ctx;
    timer_stop(w->look);
    w->look = timer_start(w->loop, LOOK_EVERY, look, w);
    /* Between the two names it may be renamed, so one look is not enough. */
    w->missing = is_gone(w->path) && is_gone(w->held) ? w->missing + 1 : 0;
    if (w->missing > 1 || fs_exists(w->lost))
        engine_stop(w->engine, w->program.id, 0);
}

/* What Slurm has given, as a list for the local engine. A host that has GPUs of which the program
 * got none hides them from it. */
static bool list_gpus(const struct wrapper *w, struct strv *out)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (w->program.gpus == 0) {
        if (visible || fs_exists("/dev/nvidiactl") || fs_exists("/dev/nvidia0"))
            strv_add(out, "none");
        strv_take(out, NULL);
        return true;
    }
    struct str rest = str_of(visible);
    while (rest.p && rest.n) {
        struct str one = str_cut(&rest, ',');
        strv_add_str(out, one);
    }
    bool enough = out->count >= (size_t)w->program.gpus;
    strv_take(out, NULL);
    return enough;
}

static void fail(struct wrapper *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct wrapper *w, const char *fmt, ...)
{
    w->result = (struct engine_result){.id = w->program.id,
                                       .end = ENGINE_NOT_STARTED,
                                       .exit_status = -1,
                                       .ended = clock_wall(loop_clock(w->loop))};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->result.message, sizeof w->result.message, fmt, ap);
    va_end(ap);
    w->ended = true;
}

/* Ends with w->result. */
static void run(struct wrapper *w)
{
    AUTO_STRV struct strv gpus = {0};
    struct err err = {0};
    bool enough = list_gpus(w, &gpus);
    struct engine_local_options o = {
        .cpus = w->program.cpus, .gpus = (const char *const *)gpus.items, .keep_fd = -1};
    const struct engine_events events = {.started = on_started, .ended = on_ended, .ctx = w};
    if (!enough) {
        fail(w, "Slurm gave it %zu of %d GPUs", gpus.count - 1, w->program.gpus);
        return;
    }
    if (engine_local_new(w->loop, &o, &events, &w->engine, &err) == -1 ||
        engine_submit(w->engine, &w->program, &err) == -1) {
        fail(w, "%s", err.msg);
        return;
    }
    uv_signal_t kill_signal;
    uv_signal_init(loop_uv(w->loop), &kill_signal);
    kill_signal.data = w;
    uv_signal_start(&kill_signal, on_kill, SIGUSR2);
    loop_catch_signals(w->loop, NULL, NULL);
    loop_on_signal(w->loop, on_signal, w);
    w->look = timer_start(w->loop, LOOK_EVERY, look, w);
    (void)!loop_wait(w->loop, has_ended, w, USEC_FOREVER, NULL); /* nothing cancels it */
    timer_stop(w->look);
    uv_close((uv_handle_t *)&kill_signal, NULL);
    (void)!loop_pause(w->loop, 0, NULL);
}

int engine_slurm_trial(struct loop *loop, const char *spec, unsigned index, struct err *err)
{
    struct wrapper w = {.loop = loop};
    int status = SLURM_EXIT_RECORDED;
    if (find_place(&w, spec, index, err) == -1) {
        status = SLURM_EXIT_NO_RUN;
    } else if (read_spec(&w, spec, index, err) == -1) {
        status = SLURM_EXIT_NO_SPEC;
    } else {
        run(&w);
        if (record_end(&w, err) == -1)
            status = SLURM_EXIT_NO_RECORD;
        engine_free(w.engine);
    }
    wire_program_done(&w.program);
    buf_wipe(&w.frame);
    free(w.records);
    free(w.lost);
    free(w.held);
    return status;
}

/* One command on many hosts: a session each, opened in order and closed as soon as its command has
 * ended. See ssh.h. */
#include "base/mem.h"
#include "ssh/ssh.h"
#include <sys/resource.h>

/* Descriptors left for everything else in the program. */
#define DESCRIPTORS_KEPT 128
#define DESCRIPTORS_PER_SESSION 2
#define SESSIONS_MIN 16
#define SESSIONS_MAX 4096

struct host {
    struct fanout *fanout;
    size_t index;
    struct ssh_session *session;
};

struct fanout {
    const struct ssh_fanout_request *request;
    struct ssh_fanout_result *results;
    struct ssh_pool *pool;
    struct host *hosts;
    bool *done;
    size_t started, ended, sessions_max;
};

static void start_more(struct fanout *f);

static void host_ended(struct host *h, const struct ssh_exec_result *exec, const struct err *err)
{
    struct fanout *f = h->fanout;
    struct ssh_fanout_result *r = &f->results[h->index];
    if (exec)
        r->exec = *exec;
    if (err)
        r->err = *err;
    f->done[h->index] = true;
    f->ended++;
    ssh_session_free(TAKE(h->session));
    if (f->request->host_done)
        f->request->host_done(f->request->ctx, h->index, r);
    start_more(f);
}

static void exec_output(void *ctx, bool is_err, struct str bytes)
{
    struct host *h = ctx;
    h->fanout->request->output(h->fanout->request->ctx, h->index, is_err, bytes);
}

static void exec_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    host_ended(ctx, r, err);
}

static void connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    struct host *h = ctx;
    const struct ssh_fanout_request *request = h->fanout->request;
    if (err) {
        host_ended(h, NULL, err);
        return;
    }
    struct ssh_exec_request exec = {.command = request->command,
                                    .input = request->inputs ? request->inputs[h->index]
                                                             : request->input,
                                    .timeout = request->timeout,
                                    .output = request->output ? exec_output : NULL,
                                    .done = exec_done,
                                    .ctx = h};
    ssh_exec_start(s, &exec);
}

static void start_more(struct fanout *f)
{
    while (f->started < f->request->count && f->started - f->ended < f->sessions_max) {
        struct host *h = &f->hosts[f->started];
        *h = (struct host){.fanout = f, .index = f->started};
        const struct ssh_target *target = &f->request->targets[f->started++];
        h->session = ssh_session_open(f->pool, target, &f->request->connect, connected, h);
    }
}

static bool all_ended(void *ctx)
{
    const struct fanout *f = ctx;
    return f->ended == f->request->count;
}

/* As many as the descriptors allow; the pool has raised the soft limit to the hard one. */
static size_t sessions_allowed(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return SESSIONS_MIN;
    if (limit.rlim_cur >= DESCRIPTORS_KEPT + SESSIONS_MAX * DESCRIPTORS_PER_SESSION)
        return SESSIONS_MAX;
    if (limit.rlim_cur <= DESCRIPTORS_KEPT + SESSIONS_MIN * DESCRIPTORS_PER_SESSION)
        return SESSIONS_MIN;
    return ((size_t)limit.rlim_cur - DESCRIPTORS_KEPT) / DESCRIPTORS_PER_SESSION;
}

int ssh_fanout(struct loop *loop, const struct ssh_fanout_request *r,
               struct ssh_fanout_result *results, struct err *err)
{
    AUTO_FREE struct host *hosts = mem_array(r->count, sizeof *hosts);
    AUTO_FREE bool *done = mem_array(r->count, sizeof *done);
    struct fanout f = {.request = r, .results = results, .hosts = hosts, .done = done};
    for (size_t i = 0; i < r->count; i++)
        results[i] = (struct ssh_fanout_result){.exec = {.status = -1}};
    f.pool = ssh_pool_new(loop);
    f.sessions_max = sessions_allowed();
    start_more(&f);
    int rc = loop_wait(loop, all_ended, &f, USEC_FOREVER, err);
    for (size_t i = 0; i < r->count; i++)
        if (!done[i])
            err_set(&results[i].err, ERR_CANCELLED, "cancelled before '%s' had ended",
                    r->targets[i].label);
    ssh_pool_free(f.pool);
    return rc;
}

/* See remote.h. */
#include "ssh/remote.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define WHY_MAX 300

struct remote {
    struct loop *loop;
    const struct ssh_target *target;
    struct ssh_pool *pool; /* NULL: the session is the caller's */
    struct ssh_session *own, **session;
    bool connected, ended;
    struct err failure;
    /* of the command that runs */
    const struct remote_command *command;
    struct buf out, err_out, line;
    struct ssh_exec_result result;
};

static void on_connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)s;
    struct remote *r = ctx;
    r->connected = true;
    if (err)
        r->failure = *err;
}

static bool is_connected(void *ctx)
{
    return ((struct remote *)ctx)->connected;
}

int remote_open(struct loop *loop, const struct ssh_target *target,
                const struct ssh_identity *identity, usec_t timeout, struct remote **out,
                struct err *err)
{
    struct remote *r = mem_alloc(sizeof *r);
    struct ssh_connect_options o = {.identity = identity, .attempt_timeout = timeout};
    r->loop = loop;
    r->target = target;
    r->pool = ssh_pool_new(loop);
    r->session = &r->own;
    r->own = ssh_session_open(r->pool, target, &o, on_connected, r);
    int rc = loop_wait(loop, is_connected, r, USEC_FOREVER, err);
    if (rc == 0 && r->failure.code)
        rc = err_copy(err, &r->failure);
    if (rc == 0)
        *out = r;
    else
        remote_close(r);
    return rc;
}

struct remote *remote_over(struct loop *loop, const struct ssh_target *target,
                           struct ssh_session **session)
{
    struct remote *r = mem_alloc(sizeof *r);
    r->loop = loop;
    r->target = target;
    r->session = session;
    return r;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    ssh_session_free(r->own);
    if (r->pool)
        ssh_pool_free(r->pool);
    buf_done(&r->out);
    buf_done(&r->err_out);
    buf_done(&r->line);
    free(r);
}

const struct ssh_target *remote_target(const struct remote *r)
{
    return r->target;
}

static void on_output(void *ctx, bool is_err, struct str bytes)
{
    struct remote *r = ctx;
    if (is_err) {
        buf_add_str(&r->err_out, bytes);
        return;
    }
    buf_add_str(&r->out, bytes);
    while (r->command->line && bytes.p && bytes.n) {
        bool whole = memchr(bytes.p, '\n', bytes.n) != NULL;
        buf_add_str(&r->line, str_cut(&bytes, '\n'));
        if (!whole)
            break;
        r->command->line(r->command->ctx, buf_view(&r->line));
        buf_clear(&r->line);
    }
}

static void on_done(void *ctx, const struct ssh_exec_result *result, const struct err *err)
{
    struct remote *r = ctx;
    r->ended = true;
    r->result = *result;
    if (err)
        r->failure = *err;
}

static bool has_ended(void *ctx)
{
    return ((struct remote *)ctx)->ended;
}

/* The line after "flambe: error ", else the last one of standard error. */
static struct str reason(const struct remote *r)
{
    static const char mark[] = "flambe: error ";
    struct str rest = buf_view(&r->out), last = {NULL, 0};
    while (rest.p && rest.n) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (str_starts(line, mark))
            return (struct str){line.p + sizeof mark - 1, line.n - (sizeof mark - 1)};
    }
    rest = buf_view(&r->err_out);
    while (rest.p && rest.n) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.n)
            last = line;
    }
    return last.n ? last : STR("no reason given");
}

int remote_run(struct remote *r, const struct remote_command *c, struct buf *out, struct err *err)
{
    struct ssh_exec_request request = {.command = c->command,
                                       .input = c->input,
                                       .timeout = c->timeout,
                                       .output = on_output,
                                       .done = on_done,
                                       .ctx = r};
    buf_done(&r->out);
    buf_done(&r->err_out);
    buf_done(&r->line);
    r->out.max = r->line.max = REMOTE_OUTPUT_MAX;
    r->err_out.max = REMOTE_ERRORS_MAX;
    r->command = c;
    r->ended = false;
    r->failure = (struct err){0};
    ssh_exec_start(*r->session, &request);
    if (loop_wait(r->loop, has_ended, r, USEC_FOREVER, err) == -1) {
        ssh_session_free(TAKE(*r->session)); /* its callbacks are not to come any more */
        return -1;
    }
    if (r->failure.code)
        return err_copy(err, &r->failure);
    if (r->result.status != 0) {
        struct str why = reason(r);
        if (why.n > WHY_MAX)
            why.n = WHY_MAX;
        return err_set(err, ERR_REMOTE, "%s: %.*s", r->target->label, STR_FMT(why));
    }
    if (out)
        buf_add_str(out, buf_view(&r->out));
    return 0;
}

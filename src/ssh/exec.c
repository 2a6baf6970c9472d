/* Commands in a ready session: one channel each. See session.h.
 *
 * Output goes to the user straight from libssh's data callback, so nothing is kept here; a
 * session's turn is bounded by SSH_READS_PER_TURN. A command ends when the host closes its channel,
 * or, where the connection breaks first, when its status and the end of its output have both come.
 */
#include "base/mem.h"
#include "base/port.h"
#include "ssh/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum exec_state { EXEC_WAITING, EXEC_OPENING, EXEC_REQUESTING, EXEC_RUNNING };

struct ssh_exec {
    TAILQ_ENTRY(ssh_exec) all;
    struct ssh_session *session;
    char *command;
    char *input;
    size_t input_size, input_sent;
    bool input_ended;
    usec_t timeout;
    void (*output)(void *ctx, bool is_err, struct str bytes);
    void (*done)(void *ctx, const struct ssh_exec_result *r, const struct err *err);
    void *ctx;
    enum exec_state state;
    ssh_channel channel;
    struct ssh_channel_callbacks_struct callbacks;
    struct timer *deadline;
    bool has_result, got_eof, closed;
    struct ssh_exec_result result;
};

struct ssh_exec *ssh_exec_start(struct ssh_session *s, const struct ssh_exec_request *r)
{
    struct ssh_exec *e = mem_alloc(sizeof *e);
    e->session = s;
    e->command = mem_dup(r->command);
    e->input = mem_dup_n(r->input.p, r->input.n);
    e->input_size = r->input.n;
    e->timeout = r->timeout;
    e->output = r->output;
    e->done = r->done;
    e->ctx = r->ctx;
    e->result.status = -1;
    TAILQ_INSERT_TAIL(&s->execs, e, all);
    session_kick(s);
    return e;
}

static void exec_free(struct ssh_exec *e)
{
    struct ssh_session *s = e->session;
    TAILQ_REMOVE(&s->execs, e, all);
    timer_stop(e->deadline);
    if (e->channel) {
        s->open_execs--;
        /* The channel lives in libssh until the host has closed it, too. */
        ssh_remove_channel_callbacks(e->channel, &e->callbacks);
        ssh_channel_free(e->channel);
    }
    if (e->input_size)
        port_wipe(e->input, e->input_size); /* it may be a secret */
    free(e->input);
    free(e->command);
    free(e);
}

static void finish(struct ssh_exec *e, const struct err *err)
{
    void (*done)(void *, const struct ssh_exec_result *, const struct err *) = e->done;
    void *ctx = e->ctx;
    struct ssh_exec_result result = e->result;
    if (err)
        result = (struct ssh_exec_result){.status = -1};
    exec_free(e);
    done(ctx, &result, err);
}

void execs_fail(struct ssh_session *s, const struct err *err)
{
    size_t count = 0; /* what a callback adds now is failed at the next turn */
    struct ssh_exec *e;
    TAILQ_FOREACH(e, &s->execs, all)
    count++;
    while (count-- && !s->freed) {
        e = TAILQ_FIRST(&s->execs);
        finish(e, e->has_result && e->got_eof ? NULL : err);
    }
}

void execs_drop(struct ssh_session *s)
{
    struct ssh_exec *e;
    while ((e = TAILQ_FIRST(&s->execs)))
        exec_free(e);
}

static void timed_out(void *ctx)
{
    struct ssh_exec *e = ctx;
    struct ssh_session *s = e->session;
    char span[CLOCK_SPAN_SIZE];
    clock_span(e->timeout, span);
    struct err err;
    err_set(&err, ERR_TIMEOUT, "the command on '%s' did not end within %s", s->label, span);
    session_enter(s);
    if (e->state == EXEC_RUNNING) /* a plain request: not all servers heed it */
        (void)ssh_channel_request_send_signal(e->channel, "TERM");
    finish(e, &err);
    session_leave(s);
}

/* ---- libssh's callbacks, inside session_pump ---- */

static int on_data(ssh_session lib, ssh_channel channel, void *data, uint32_t len, int is_stderr,
                   void *ctx)
{
    (void)lib, (void)channel;
    struct ssh_exec *e = ctx;
    if (e->output && !e->session->freed)
        e->output(e->ctx, is_stderr != 0, (struct str){data, len});
    return (int)len;
}

static void on_eof(ssh_session lib, ssh_channel channel, void *ctx)
{
    (void)lib, (void)channel;
    ((struct ssh_exec *)ctx)->got_eof = true;
}

static void on_close(ssh_session lib, ssh_channel channel, void *ctx)
{
    (void)lib, (void)channel;
    ((struct ssh_exec *)ctx)->closed = true;
}

static void on_status(ssh_session lib, ssh_channel channel, int status, void *ctx)
{
    (void)lib, (void)channel;
    struct ssh_exec *e = ctx;
    e->result.status = status < 0 || status > 255 ? 255 : status;
    e->has_result = true;
}

static void on_signal(ssh_session lib, ssh_channel channel, const char *name, int core,
                      const char *message, const char *language, void *ctx)
{
    (void)lib, (void)channel, (void)core, (void)message, (void)language;
    struct ssh_exec *e = ctx;
    e->result.status = -1;
    size_t n = 0; /* RFC 4254 6.10: "KILL", "SEGV", "TERM@example.com" */
    for (; name && name[n] && n < sizeof e->result.signal - 1; n++) {
        bool plain = (name[n] >= 'A' && name[n] <= 'Z') || (name[n] >= '0' && name[n] <= '9');
        e->result.signal[n] = plain ? name[n] : '?';
    }
    e->result.signal[n] = '\0';
    if (n == 0)
        snprintf(e->result.signal, sizeof e->result.signal, "?");
    e->has_result = true;
}

/* ---- one step of one command ---- */

static void refuse(struct ssh_exec *e, const char *what)
{
    struct err err;
    char reason[256];
    wire_reason(e->session, reason, sizeof reason);
    err_set(&err, ERR_REJECTED, "'%s' %s: %s", e->session->label, what, reason);
    finish(e, &err);
}

static bool begin(struct ssh_exec *e)
{
    struct ssh_session *s = e->session;
    if (strlen(e->command) >= SSH_COMMAND_MAX) {
        struct err err;
        err_set(&err, ERR_LIMIT, "the command is longer than the %zu bytes allowed",
                SSH_COMMAND_MAX - 1);
        finish(e, &err);
        return false;
    }
    e->channel = ssh_channel_new(s->lib);
    if (!e->channel) {
        refuse(e, "opens no channel");
        return false;
    }
    s->open_execs++;
    e->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = e,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
        .channel_exit_status_function = on_status,
        .channel_exit_signal_function = on_signal,
    };
    ssh_callbacks_init(&e->callbacks);
    ssh_set_channel_callbacks(e->channel, &e->callbacks);
    e->state = EXEC_OPENING;
    if (e->timeout)
        e->deadline = timer_start(s->loop, e->timeout, timed_out, e);
    return true;
}

/* Gives libssh more of the input: no more than the host's window, and only when the socket has
 * taken what went before, so that nothing piles up here. */
static void feed(struct ssh_exec *e)
{
    struct ssh_session *s = e->session;
    while (e->input_sent < e->input_size) {
        if (ssh_get_poll_flags(s->lib) & SSH_WRITE_PENDING)
            return;
        size_t n = e->input_size - e->input_sent;
        size_t window = ssh_channel_window_size(e->channel);
        n = n < window ? n : window;
        n = n < SSH_INPUT_PER_TURN ? n : SSH_INPUT_PER_TURN;
        if (n == 0)
            return;
        int sent = ssh_channel_write(e->channel, e->input + e->input_sent, (uint32_t)n);
        if (sent < 0)
            e->input_sent =
                e->input_size; /* nobody reads it any more; how the command ends counts */
        else if (sent == 0)
            return;
        else
            e->input_sent += (size_t)sent;
    }
    e->input_ended = true;
    (void)ssh_channel_send_eof(e->channel);
}

static void step(struct ssh_exec *e)
{
    struct ssh_session *s = e->session;
    if (e->state == EXEC_WAITING && (s->open_execs >= SSH_EXECS_PER_SESSION || !begin(e)))
        return;
    if (e->state == EXEC_OPENING) {
        int rc = ssh_channel_open_session(e->channel);
        if (rc == SSH_AGAIN || !ssh_is_connected(s->lib))
            return;
        if (rc != SSH_OK) {
            refuse(e, "opens no channel");
            return;
        }
        e->state = EXEC_REQUESTING;
    }
    if (e->state == EXEC_REQUESTING) {
        int rc = ssh_channel_request_exec(e->channel, e->command);
        if (rc == SSH_AGAIN || !ssh_is_connected(s->lib))
            return;
        if (rc != SSH_OK) {
            refuse(e, "runs no command");
            return;
        }
        e->state = EXEC_RUNNING;
    }
    if (e->closed && e->has_result) {
        finish(e, NULL);
        return;
    }
    if (e->closed) {
        struct err err;
        err_set(&err, ERR_UNREACHABLE, "'%s' ended the command without saying how", s->label);
        finish(e, &err);
        return;
    }
    if (!e->input_ended)
        feed(e);
}

void execs_step(struct ssh_session *s)
{
    struct ssh_exec *next;
    for (struct ssh_exec *e = TAILQ_FIRST(&s->execs); e && !s->freed; e = next) {
        next = TAILQ_NEXT(e, all); /* a callback adds commands but removes none */
        step(e);
    }
}

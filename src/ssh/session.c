/* A session's life: attempts, one after another, until one is authenticated or none may follow;
 * then commands until the connection ends. See session.h for who may call what. */
#include "ssh/session.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_TIMEOUT_DEFAULT (20 * USEC_PER_SEC)
/* While a host boots its packets vanish, and the kernel repeats a lost SYN after 1, 3, 7, 15 s: a
 * fresh connection request every 2 s finds the host sooner. */
#define RETRIED_CONNECT_TIMEOUT (2 * USEC_PER_SEC)
#define BACKOFF_FIRST (100 * USEC_PER_MSEC)
#define BACKOFF_MAX (500 * USEC_PER_MSEC)
/* A refused key costs the host a handshake, and newer sshd hold it against the address. */
#define AUTH_BACKOFF_FIRST (1 * USEC_PER_SEC)
#define AUTH_BACKOFF_MAX (5 * USEC_PER_SEC)

/* The one place where a session's state changes. */
static void set_state(struct ssh_session *s, enum session_state state)
{
    s->state = state;
}

struct ssh_session *ssh_session_open(struct ssh_pool *pool, const struct ssh_target *target,
                                     const struct ssh_connect_options *o, ssh_connected_fn *done,
                                     void *ctx)
{
    struct ssh_session *s = mem_alloc(sizeof *s);
    s->pool = pool;
    s->loop = pool->loop;
    s->label = mem_dup(target->label ? target->label : target->address);
    s->address = mem_dup(target->address);
    s->user = mem_dup(target->user);
    s->port = target->port ? target->port : 22;
    s->options = *o;
    if (!s->options.attempt_timeout)
        s->options.attempt_timeout = ATTEMPT_TIMEOUT_DEFAULT;
    s->done = done;
    s->ctx = ctx;
    s->backoff = BACKOFF_FIRST;
    s->auth_backoff = AUTH_BACKOFF_FIRST;
    s->fd = s->poll_fd = -1;
    TAILQ_INIT(&s->execs);
    bool keyless = o->look && target->host_key_count == 0;
    if (!keyless &&
        pins_init(&s->pins, target->host_keys, target->host_key_count, &s->pins_err) == -1)
        s->pins = (struct pins){0}; /* told by the first attempt, from the loop */
    TAILQ_INSERT_TAIL(&pool->sessions, s, all);
    set_state(s, SESSION_WAITING);
    pool_want_attempt(s);
    return s;
}

static void destroy(struct ssh_session *s)
{
    execs_drop(s);
    wire_close(s);
    pins_done(&s->pins);
    free(s->label);
    free(s->address);
    free(s->user);
    free(s);
}

void ssh_session_free(struct ssh_session *s)
{
    if (!s || s->freed)
        return;
    s->freed = true;
    pool_release(s);
    TAILQ_REMOVE(&s->pool->sessions, s, all);
    s->pool = NULL;
    timer_stop(TAKE(s->timer));
    timer_stop(TAKE(s->kick));
    dial_stop(TAKE(s->dial));
    if (s->work)
        agent_filter_stop(TAKE(s->filter)); /* lets the thread go; agent_worked ends the session */
    else if (!s->busy)
        destroy(s);
}

void session_enter(struct ssh_session *s)
{
    s->busy++;
}

void session_leave(struct ssh_session *s)
{
    if (--s->busy)
        return;
    if (!s->freed)
        wire_update(s);
    else if (!s->work)
        destroy(s);
}

static usec_t now(const struct ssh_session *s)
{
    return clock_mono(loop_clock(s->loop));
}

static void retry(void *ctx)
{
    struct ssh_session *s = ctx;
    timer_stop(TAKE(s->timer));
    pool_want_attempt(s);
}

/* Whether another attempt follows this failure; if so it is on its way. */
static bool try_again(struct ssh_session *s, const struct err *why)
{
    bool auth = why->code == ERR_AUTH;
    bool worth = auth ? s->options.retry_auth : err_retryable(why->code);
    usec_t pause = auth ? s->auth_backoff : s->backoff;
    if (!worth || now(s) - s->started + pause >= s->options.retry_for)
        return false;
    if (auth)
        s->auth_backoff = pause * 3 / 2 < AUTH_BACKOFF_MAX ? pause * 3 / 2 : AUTH_BACKOFF_MAX;
    else
        s->backoff = pause * 3 / 2 < BACKOFF_MAX ? pause * 3 / 2 : BACKOFF_MAX;
    set_state(s, SESSION_WAITING);
    s->timer = timer_start(s->loop, pause, retry, s);
    return true;
}

/* The error as the user reads it: what could not be done, to whom, and the cause. */
static void describe(struct ssh_session *s, const struct err *why)
{
    struct err *e = &s->err;
    *e = *why;
    usec_t tried = now(s) - s->started;
    if (err_retryable(why->code) && s->options.retry_for) {
        char span[CLOCK_SPAN_SIZE];
        clock_span(tried, span);
        size_t n = strlen(e->msg);
        snprintf(e->msg + n, sizeof e->msg - n, " (tried for %s)", span);
    }
    if (why->code == ERR_HOST_KEY)
        err_wrap(e, "the host key of '%s' (%s port %d) does not match", s->label, s->address,
                 s->port);
    else if (why->code == ERR_AUTH)
        err_wrap(e, "cannot log in to '%s' (%s port %d) as '%s'", s->label, s->address, s->port,
                 s->user);
    else
        err_wrap(e, "cannot reach '%s' (%s port %d)", s->label, s->address, s->port);
}

static void attempt_failed(struct ssh_session *s, const struct err *why)
{
    timer_stop(TAKE(s->timer));
    dial_stop(TAKE(s->dial));
    if (s->work) { /* hands off libssh: the rest follows in session_worked */
        s->work_abort = *why;
        agent_filter_stop(TAKE(s->filter));
        return;
    }
    wire_close(s);
    pool_release(s);
    if (try_again(s, why))
        return;
    describe(s, why);
    set_state(s, SESSION_DEAD);
    session_enter(s);
    s->done(s->ctx, s, &s->err);
    session_leave(s);
}

void session_worked(struct ssh_session *s)
{
    if (s->freed)
        return;
    struct err abort = s->work_abort;
    s->work_abort.code = ERR_NONE;
    if (abort.code)
        attempt_failed(s, &abort);
    else
        session_pump(s);
}

static void attempt_timed_out(void *ctx)
{
    struct ssh_session *s = ctx;
    timer_stop(TAKE(s->timer));
    char span[CLOCK_SPAN_SIZE];
    clock_span(s->options.attempt_timeout, span);
    struct err err;
    if (s->state == SESSION_DIALLING)
        err_set(&err, ERR_TIMEOUT, "no connection within %s", span);
    else if (s->state == SESSION_GREETING)
        err_set(&err, ERR_TIMEOUT, "it takes connections but said nothing for %s", span);
    else if (s->state == SESSION_HANDSHAKE)
        err_set(&err, ERR_TIMEOUT, "the key exchange did not end within %s", span);
    else
        err_set(&err, ERR_TIMEOUT, "authentication did not end within %s", span);
    attempt_failed(s, &err);
}

static void dialled(void *ctx, int fd, const struct err *why)
{
    struct ssh_session *s = ctx;
    s->dial = NULL;
    struct err err = {0};
    if (fd < 0)
        attempt_failed(s, why);
    else if (wire_watch_greeting(s, fd, &err) == -1)
        attempt_failed(s, &err);
    else
        set_state(s, SESSION_GREETING);
}

void session_start_attempt(struct ssh_session *s)
{
    if (!s->started)
        s->started = now(s);
    if (s->pins_err.code) {
        attempt_failed(s, &s->pins_err);
        return;
    }
    usec_t connect = s->options.attempt_timeout;
    if (s->options.retry_for && connect > RETRIED_CONNECT_TIMEOUT)
        connect = RETRIED_CONNECT_TIMEOUT;
    set_state(s, SESSION_DIALLING);
    s->dial = dial_start(s->loop, s->address, s->port, connect, dialled, s);
    s->timer = timer_start(s->loop, s->options.attempt_timeout, attempt_timed_out, s);
}

/* The host has spoken (or hung up, which the handshake finds out). A host that stays silent never
 * takes up one of the handshakes. Waiting for one's turn does not count against the deadline. */
static void greeted(struct ssh_session *s)
{
    timer_stop(TAKE(s->timer));
    set_state(s, SESSION_QUEUED);
    wire_update(s);
    pool_want_handshake(s);
}

void session_start_handshake(struct ssh_session *s)
{
    s->timer = timer_start(s->loop, s->options.attempt_timeout, attempt_timed_out, s);
    set_state(s, SESSION_HANDSHAKE);
    session_enter(s);
    struct err err = {0};
    if (wire_open(s, &err) == -1)
        attempt_failed(s, &err);
    else
        session_pump(s);
    session_leave(s);
}

static void authenticate(struct ssh_session *s)
{
    struct err err = {0};
    int rc = wire_authenticate(s, &err);
    if (rc == 1)
        return;
    if (rc == -1) {
        attempt_failed(s, &err);
        return;
    }
    timer_stop(TAKE(s->timer));
    agent_filter_stop(TAKE(s->filter));
    pool_release(s);
    set_state(s, SESSION_READY);
    s->done(s->ctx, s, NULL);
}

static void shake_hands(struct ssh_session *s)
{
    struct err err = {0};
    int rc = wire_handshake(s, &err);
    if (rc == 1)
        return;
    if (rc == -1 || wire_check_host_key(s, &err) == -1) {
        attempt_failed(s, &err);
        return;
    }
    set_state(s, SESSION_AUTH);
    authenticate(s);
}

static void broke(struct ssh_session *s)
{
    char reason[256];
    wire_reason(s, reason, sizeof reason);
    err_set(&s->err, ERR_UNREACHABLE, "lost '%s' (%s port %d): %s", s->label, s->address, s->port,
            reason);
    set_state(s, SESSION_DEAD);
    execs_fail(s, &s->err);
    if (!s->freed)
        wire_close(s);
}

/* An idle session comes here, too: what the host sends unasked (keep-alives, new keys) is answered
 * inside libssh. */
static void serve(struct ssh_session *s)
{
    for (int i = 0; i < SSH_READS_PER_TURN && !s->freed; i++) {
        int rc = ssh_event_dopoll(s->event, 0);
        if (!s->freed)
            execs_step(s);
        if (s->freed)
            return;
        if (rc == SSH_ERROR || !ssh_is_connected(s->lib)) {
            broke(s);
            return;
        }
        if (rc == SSH_AGAIN)
            return;
    }
}

void session_pump(struct ssh_session *s)
{
    if (s->work || s->freed)
        return;
    session_enter(s);
    switch (s->state) {
    case SESSION_WAITING:
    case SESSION_DIALLING:
    case SESSION_QUEUED:
        break;
    case SESSION_GREETING:
        greeted(s);
        break;
    case SESSION_HANDSHAKE:
        shake_hands(s);
        break;
    case SESSION_AUTH:
        authenticate(s);
        break;
    case SESSION_READY:
        serve(s);
        break;
    case SESSION_DEAD:
        execs_fail(s, &s->err);
        break;
    }
    session_leave(s);
}

static void kicked(void *ctx)
{
    struct ssh_session *s = ctx;
    timer_stop(TAKE(s->kick));
    session_pump(s);
}

void session_kick(struct ssh_session *s)
{
    if (!s->kick && !s->freed)
        s->kick = timer_start(s->loop, 0, kicked, s);
}

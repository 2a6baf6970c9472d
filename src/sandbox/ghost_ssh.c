/* See ghost_ssh.h.
 *
 * libssh reports through callbacks from inside ssh_event_dopoll(); nothing is freed there. After
 * each turn pump() writes what waits, ends channels that are done, and drops a dead session. */
#include "sandbox/ghost_ssh.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_BLOCK 16384
#define FIRST_READ 65536 /* more than libssh's first window of 64000 */

struct ghost_session {
    struct ghost_door *door;
    struct ghost_session *next;
    ssh_session ssh;
    ssh_event event;
    uv_poll_t *poll; /* on a dup of the socket: libssh closes its own; freed by its close */
    int fd;
    struct timer *grace;
    struct ghost_exec *execs;
    struct ssh_server_callbacks_struct callbacks;
    bool authenticated, held;
};

struct ghost_door {
    struct loop *loop;
    const struct ghost_door_ops *ops;
    void *ctx;
    uv_poll_t *poll;
    int fd;
    struct ghost_session *sessions;
    size_t session_count;
    bool held;
};

static void pump(struct ghost_session *s);

/* ---- keys ------------------------------------------------------------------------------------ */

ssh_key ghost_key_new(void)
{
    ssh_key key = NULL;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK)
        abort(); /* no random bytes, or no memory */
    return key;
}

char *ghost_key_line(ssh_key key)
{
    char *text = NULL;
    if (ssh_pki_export_pubkey_base64(key, &text) != SSH_OK)
        abort();
    char *line = mem_printf("%s %s", ssh_key_type_to_char(ssh_key_type(key)), text);
    ssh_string_free_char(text);
    return line;
}

/* ---- channels -------------------------------------------------------------------------------- */

const struct ghost_door_ops *ghost_exec_door(const struct ghost_exec *x, void **ctx)
{
    *ctx = x->session->door->ctx;
    return x->session->door->ops;
}

struct loop *ghost_session_loop(const struct ghost_session *s)
{
    return s->door->loop;
}

static void exec_free(struct ghost_exec *x)
{
    timer_stop(x->timer);
    ssh_remove_channel_callbacks(x->channel, &x->callbacks);
    ssh_channel_free(x->channel);
    buf_done(&x->out);
    buf_done(&x->err_out);
    free(x);
}

static int on_data(ssh_session ssh, ssh_channel channel, void *data, uint32_t n, int is_stderr,
                   void *ctx)
{
    (void)ssh, (void)channel, (void)is_stderr;
    struct ghost_exec *x = ctx;
    /* Taking bytes makes libssh widen the window, which is a fault once the channel is closed. */
    return x->exit_sent ? 0 : (int)ghost_exec_input(x, data, n);
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *ctx)
{
    (void)ssh, (void)channel;
    struct ghost_exec *x = ctx;
    x->input_ended = true;
    if (x->work != GHOST_CAT) /* cat's input may still lie with libssh: see pump_exec */
        ghost_exec_input_end(x);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *ctx)
{
    (void)ssh, (void)channel;
    struct ghost_exec *x = ctx;
    x->closed = true;
}

static int on_exec(ssh_session ssh, ssh_channel channel, const char *command, void *ctx)
{
    (void)ssh, (void)channel;
    return ghost_exec_begin(ctx, command) ? 0 : 1;
}

static int on_env(ssh_session ssh, ssh_channel channel, const char *name, const char *value,
                  void *ctx)
{
    (void)ssh, (void)channel, (void)name, (void)value, (void)ctx;
    return 0; /* accepted and forgotten, as sshd does with most */
}

static ssh_channel on_open(ssh_session ssh, void *ctx)
{
    struct ghost_session *s = ctx;
    size_t count = 0;
    for (const struct ghost_exec *x = s->execs; x; x = x->next)
        count++;
    ssh_channel channel =
        s->authenticated && count < GHOST_CHANNELS_MAX ? ssh_channel_new(ssh) : NULL;
    if (!channel)
        return NULL;
    struct ghost_exec *x = mem_alloc(sizeof *x);
    x->session = s;
    x->channel = channel;
    x->callbacks.userdata = x;
    x->callbacks.channel_data_function = on_data;
    x->callbacks.channel_eof_function = on_eof;
    x->callbacks.channel_close_function = on_close;
    x->callbacks.channel_exec_request_function = on_exec;
    x->callbacks.channel_env_request_function = on_env;
    ssh_callbacks_init(&x->callbacks);
    ssh_set_channel_callbacks(channel, &x->callbacks);
    x->next = s->execs;
    s->execs = x;
    return channel;
}

/* Writing may make libssh read, and so append to the same buffer: it gets a copy. */
static void flush_one(struct ghost_exec *x, struct buf *b, bool is_stderr)
{
    char block[WRITE_BLOCK];
    while (b->len && !x->closed) {
        uint32_t len = (uint32_t)(b->len < sizeof block ? b->len : sizeof block);
        memcpy(block, b->data, len);
        int n = is_stderr ? ssh_channel_write_stderr(x->channel, block, len)
                          : ssh_channel_write(x->channel, block, len);
        if (n == SSH_ERROR)
            x->closed = true;
        if (n <= 0)
            return;
        buf_consume(b, (size_t)n);
    }
}

/* libssh widens a channel's window at its first data, even if the command is over by then, which is
 * a fault once the channel is closed; asked for more than the first window it widens it now. */
static void widen(struct ghost_exec *x)
{
    AUTO_FREE char *block = mem_alloc(FIRST_READ);
    x->widened = true;
    int n = ssh_channel_read_timeout(x->channel, block, FIRST_READ, 0, 0);
    if (n > 0 && x->work == GHOST_CAT)
        buf_add(&x->out, block, (size_t)n);
}

/* Writes what waits; where there is room again, takes the input that was left with libssh. */
static void pump_exec(struct ghost_exec *x)
{
    if (x->closed || x->exit_sent || x->work == GHOST_IDLE)
        return;
    if (!x->widened)
        widen(x);
    flush_one(x, &x->out, false);
    flush_one(x, &x->err_out, true);
    while (x->work == GHOST_CAT && x->out.len < GHOST_PENDING_MAX) {
        char block[WRITE_BLOCK];
        int n = ssh_channel_read_nonblocking(x->channel, block, sizeof block, 0);
        if (n <= 0)
            break;
        buf_add(&x->out, block, (size_t)n);
        flush_one(x, &x->out, false);
    }
    if (x->work == GHOST_CAT && x->input_ended && ssh_channel_poll(x->channel, 0) <= 0)
        ghost_exec_input_end(x);
    if (x->work != GHOST_DONE || x->out.len || x->err_out.len)
        return;
    x->exit_sent = true;
    ssh_channel_request_send_exit_status(x->channel, x->exit_status);
    ssh_channel_send_eof(x->channel);
    ssh_channel_close(x->channel);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void poll_closed(uv_handle_t *h)
{
    free(h);
}

static void session_free(struct ghost_session *s)
{
    struct ghost_door *d = s->door;
    for (struct ghost_session **at = &d->sessions; *at; at = &(*at)->next) {
        if (*at != s)
            continue;
        *at = s->next;
        break;
    }
    d->session_count--;
    timer_stop(s->grace);
    uv_poll_stop(s->poll);
    uv_close((uv_handle_t *)s->poll, poll_closed);
    while (s->execs) {
        struct ghost_exec *x = s->execs;
        s->execs = x->next;
        exec_free(x);
    }
    ssh_event_remove_session(s->event, s->ssh);
    ssh_event_free(s->event);
    ssh_disconnect(s->ssh);
    ssh_free(s->ssh);
    close(s->fd);
    free(s);
}

static void grace_over(void *ctx)
{
    session_free(ctx);
}

static int on_pubkey(ssh_session ssh, const char *user, ssh_key key, char state, void *ctx)
{
    (void)ssh;
    struct ghost_session *s = ctx;
    struct ghost_facts facts;
    s->door->ops->facts(s->door->ctx, &facts);
    if (strcmp(user, facts.user) != 0)
        return SSH_AUTH_DENIED;
    if (state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID)
        return SSH_AUTH_DENIED;
    for (size_t i = 0; i < facts.authorized_count; i++) {
        if (ssh_key_cmp(facts.authorized[i], key, SSH_KEY_CMP_PUBLIC) != 0)
            continue;
        s->authenticated = state == SSH_PUBLICKEY_STATE_VALID;
        return SSH_AUTH_SUCCESS;
    }
    return SSH_AUTH_DENIED;
}

static void on_ready(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct ghost_session *s = p->data;
    if (ssh_event_dopoll(s->event, 0) == SSH_ERROR) {
        session_free(s);
        return;
    }
    pump(s);
}

static void reap_execs(struct ghost_session *s)
{
    for (struct ghost_exec **at = &s->execs; *at;) {
        struct ghost_exec *x = *at;
        if (!x->closed) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        exec_free(x);
    }
}

static void pump(struct ghost_session *s)
{
    if (s->authenticated && s->grace) {
        timer_stop(s->grace);
        s->grace = NULL;
    }
    for (struct ghost_exec *x = s->execs; x; x = x->next)
        pump_exec(x);
    reap_execs(s);
    if (ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) {
        session_free(s);
        return;
    }
    if (s->door->held)
        return;
    int events = UV_READABLE;
    if (ssh_get_poll_flags(s->ssh) & SSH_WRITE_PENDING)
        events |= UV_WRITABLE;
    uv_poll_start(s->poll, events, on_ready);
}

void ghost_session_pump_later(struct ghost_session *s)
{
    pump(s); /* timers already come from the loop */
}

/* Gives libssh the connection with the ghost's key of this moment. The session owns fd from here,
 * also where this fails. */
static int session_accept(struct ghost_session *s, int fd)
{
    struct ghost_facts facts;
    s->door->ops->facts(s->door->ctx, &facts);
    bool no = false;
    ssh_key key = ssh_key_dup(facts.host_key);
    ssh_bind bind = ssh_bind_new();
    if (!bind || !key || ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
        ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) < 0) {
        ssh_key_free(key);
        ssh_bind_free(bind);
        close(fd);
        return -1;
    }
    int rc = ssh_bind_accept_fd(bind, s->ssh, fd);
    ssh_bind_free(bind); /* and with it the key */
    if (rc != SSH_OK)
        return -1;
    ssh_set_blocking(s->ssh, 0);
    ssh_set_auth_methods(s->ssh, SSH_AUTH_METHOD_PUBLICKEY);
    s->callbacks.userdata = s;
    s->callbacks.auth_pubkey_function = on_pubkey;
    s->callbacks.channel_open_request_session_function = on_open;
    ssh_callbacks_init(&s->callbacks);
    ssh_set_server_callbacks(s->ssh, &s->callbacks);
    return ssh_handle_key_exchange(s->ssh) == SSH_ERROR ? -1 : 0;
}

static void take_connection(struct ghost_door *d, int fd)
{
    int copy = d->session_count < GHOST_SESSIONS_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        close(fd);
        return;
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct ghost_session *s = mem_alloc(sizeof *s);
    s->door = d;
    s->fd = copy;
    s->ssh = ssh_new();
    s->event = ssh_event_new();
    s->poll = mem_alloc(sizeof *s->poll);
    if (!s->ssh || !s->event || uv_poll_init(loop_uv(d->loop), s->poll, copy) != 0)
        abort(); /* out of memory */
    s->poll->data = s;
    s->next = d->sessions;
    d->sessions = s;
    d->session_count++;
    s->grace = timer_start(d->loop, GHOST_LOGIN_GRACE, grace_over, s);
    if (session_accept(s, fd) == -1 || ssh_event_add_session(s->event, s->ssh) != SSH_OK) {
        session_free(s);
        return;
    }
    pump(s);
}

/* ---- doors ----------------------------------------------------------------------------------- */

static void on_connection(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct ghost_door *d = p->data;
    int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        take_connection(d, fd);
}

static int listen_at(const char *address, int port, int *out, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        return err_set(err, ERR_INTERNAL, "'%s' is no IPv4 address", address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot make a socket");
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == -1 || listen(fd, 64) == -1) {
        int sys = errno;
        close(fd);
        err_set_sys(err, sys, "cannot listen at %s:%d", address, port);
        if (err && sys == EADDRNOTAVAIL)
            err->code = ERR_NOT_FOUND;
        if (err && sys == EACCES)
            err->code = ERR_PERMISSION;
        return -1;
    }
    *out = fd;
    return 0;
}

int ghost_door_open(struct loop *loop, const char *address, int port,
                    const struct ghost_door_ops *ops, void *ctx, struct ghost_door **out,
                    struct err *err)
{
    int fd = -1;
    if (listen_at(address, port, &fd, err) == -1)
        return -1;
    struct ghost_door *d = mem_alloc(sizeof *d);
    d->loop = loop;
    d->ops = ops;
    d->ctx = ctx;
    d->fd = fd;
    d->poll = mem_alloc(sizeof *d->poll);
    if (uv_poll_init(loop_uv(loop), d->poll, fd) != 0)
        abort(); /* out of memory */
    d->poll->data = d;
    uv_poll_start(d->poll, UV_READABLE, on_connection);
    *out = d;
    return 0;
}

void ghost_door_close(struct ghost_door *d)
{
    if (!d)
        return;
    while (d->sessions)
        session_free(d->sessions);
    uv_poll_stop(d->poll);
    uv_close((uv_handle_t *)d->poll, poll_closed);
    close(d->fd);
    free(d);
}

void ghost_door_hold(struct ghost_door *d, bool on)
{
    d->held = on;
    if (on)
        uv_poll_stop(d->poll);
    else
        uv_poll_start(d->poll, UV_READABLE, on_connection);
    for (struct ghost_session *s = d->sessions, *next; s; s = next) {
        next = s->next;
        if (on)
            uv_poll_stop(s->poll);
        else
            pump(s);
    }
}

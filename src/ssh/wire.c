/* One attempt's connection: libssh, its socket, and uv's watch on it. See session.h.
 *
 * What libssh (0.9.6 to 0.11) does that this file is written around:
 *  - It makes the socket blocking again when it takes it over: undone after every step of the
 *    handshake, else a host that does not read would stop the loop.
 *  - It closes its descriptor at the first error, or only when it is freed: uv watches a dup.
 *  - It reads configuration and known_hosts files of the user unless told not to: they would change
 *    which keys are asked for. Ours are the pins, and they alone decide.
 *  - It blocks on the ssh-agent: that step runs in uv's thread pool. */
#include "base/mem.h"
#include "ssh/identity.h"
#include "ssh/session.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct poll_watch {
    uv_poll_t uv;
    struct ssh_session *s;
};

static void watch_closed(uv_handle_t *h)
{
    free(h->data);
}

static void polled(uv_poll_t *p, int status, int events)
{
    (void)events; /* whatever it is, libssh finds out by reading */
    struct ssh_session *s = ((struct poll_watch *)p->data)->s;
    if (status < 0)
        s->watched = 0; /* uv stops watching at a socket error; bytes may still be unread */
    session_pump(s);
}

static void watch_for(struct ssh_session *s, int events)
{
    if (s->watched == events)
        return;
    s->watched = events;
    if (events)
        uv_poll_start(&s->watch->uv, events, polled);
    else
        uv_poll_stop(&s->watch->uv);
}

int wire_watch_greeting(struct ssh_session *s, int fd, struct err *err)
{
    s->fd = fd;
    s->poll_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (s->poll_fd < 0)
        return err_set_sys(err, errno, "cannot open a connection");
    s->watch = mem_alloc(sizeof *s->watch);
    s->watch->s = s;
    s->watch->uv.data = s->watch;
    int rc = uv_poll_init(loop_uv(s->loop), &s->watch->uv, s->poll_fd);
    if (rc != 0) {
        free(TAKE(s->watch));
        return err_set_sys(err, -rc, "cannot watch a connection");
    }
    watch_for(s, UV_READABLE);
    return 0;
}

static int set_options(struct ssh_session *s)
{
    AUTO_BUF struct buf algorithms = {0};
    pins_algorithms(&s->pins, &algorithms);
    bool process_config = false;
    const struct {
        enum ssh_options_e option;
        const void *value;
    } options[] = {
        {SSH_OPTIONS_PROCESS_CONFIG, &process_config},
        {SSH_OPTIONS_HOST, s->address},
        {SSH_OPTIONS_USER, s->user},
        {SSH_OPTIONS_SSH_DIR, "/nonexistent"},
        {SSH_OPTIONS_KNOWNHOSTS, "/dev/null"},
        {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null"},
        {SSH_OPTIONS_HOSTKEYS, buf_text(&algorithms)},
        {SSH_OPTIONS_FD, &s->fd},
    };
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (ssh_options_set(s->lib, options[i].option, options[i].value) != 0)
            return -1;
    return 0;
}

int wire_open(struct ssh_session *s, struct err *err)
{
    s->lib = ssh_new();
    s->event = ssh_event_new();
    if (!s->lib || !s->event)
        return err_set(err, ERR_INTERNAL, "libssh cannot start a session");
    ssh_set_blocking(s->lib, 0);
    if (set_options(s) == -1)
        return err_set(err, ERR_INTERNAL, "libssh refuses its options: %s", ssh_get_error(s->lib));
    return 0;
}

int wire_handshake(struct ssh_session *s, struct err *err)
{
    int rc = ssh_connect(s->lib);
    if (s->fd >= 0) { /* the first step: libssh has taken the socket */
        s->fd = -1;
        ssh_event_add_session(s->event, s->lib);
    }
    (void)fcntl(s->poll_fd, F_SETFL, O_RDWR | O_NONBLOCK);
    if (rc == SSH_OK)
        return 0;
    if (rc == SSH_AGAIN)
        return 1;
    char reason[256];
    wire_reason(s, reason, sizeof reason);
    return err_set(err, ERR_UNREACHABLE, "%s", reason);
}

int wire_check_host_key(struct ssh_session *s, struct err *err)
{
    ssh_key shown = NULL;
    if (ssh_get_server_publickey(s->lib, &shown) != SSH_OK)
        return err_set(err, ERR_HOST_KEY, "it shows no host key; nothing was sent to it");
    if (s->options.look) {
        free(*s->options.look);
        *s->options.look = public_line_of(shown);
        err_set(err, ERR_HOST_KEY, "it shows a key of %s", public_type_name(shown));
        ssh_key_free(shown);
        return -1;
    }
    bool known = pins_have(&s->pins, shown);
    AUTO_FREE char *line = known ? NULL : public_line_of(shown);
    AUTO_FREE char *fingerprint = line ? ssh_fingerprint(line) : NULL;
    AUTO_BUF struct buf pinned = {0};
    if (!known) {
        pins_text(&s->pins, &pinned);
        err_set(err, ERR_HOST_KEY,
                "it shows %s (%s), but its key is %s: another machine may be answering in its "
                "place; nothing was sent to it",
                fingerprint ? fingerprint : "a key", public_type_name(shown), buf_text(&pinned));
    }
    ssh_key_free(shown);
    return known ? 0 : -1;
}

static void agent_work(uv_work_t *work)
{
    struct ssh_session *s = work->data;
    s->work_result = ssh_userauth_agent(s->lib, NULL);
}

static void agent_worked(uv_work_t *work, int status)
{
    (void)status;
    struct ssh_session *s = work->data;
    free(work);
    s->work = NULL;
    s->work_ready = true;
    session_enter(s); /* where it was freed meanwhile, leaving ends it */
    session_worked(s);
    session_leave(s);
}

/* As ssh_userauth_publickey, through the agent. */
static int agent_step(struct ssh_session *s, struct err *err)
{
    const struct ssh_identity *id = s->options.identity;
    if (s->work_ready) {
        s->work_ready = false;
        return s->work_result;
    }
    if (!s->filter) {
        int fd;
        if (agent_filter_start(s->loop, id->agent_path, buf_view(&id->blob), &fd, &s->filter,
                               err) == -1)
            return SSH_AUTH_ERROR;
        if (ssh_set_agent_socket(s->lib, fd) != SSH_OK) {
            close(fd);
            err_set(err, ERR_INTERNAL, "libssh refuses the agent's socket");
            return SSH_AUTH_ERROR;
        }
    }
    s->work = mem_alloc(sizeof *s->work);
    s->work->data = s;
    if (uv_queue_work(loop_uv(s->loop), s->work, agent_work, agent_worked) != 0)
        abort(); /* only a missing function makes it fail */
    return SSH_AUTH_AGAIN;
}

int wire_authenticate(struct ssh_session *s, struct err *err)
{
    const struct ssh_identity *id = s->options.identity;
    struct err why = {0};
    int rc = id->key ? ssh_userauth_publickey(s->lib, NULL, id->key) : agent_step(s, &why);
    switch (rc) {
    case SSH_AUTH_SUCCESS:
        return 0;
    case SSH_AUTH_AGAIN:
        return 1;
    case SSH_AUTH_DENIED:
        return err_set(err, ERR_AUTH, "it refuses the key %s", id->sha256);
    case SSH_AUTH_PARTIAL:
        return err_set(err, ERR_AUTH, "it takes the key %s but asks for more than a key",
                       id->sha256);
    default:
        break;
    }
    if (why.code)
        return err_copy(err, &why);
    if (!ssh_is_connected(s->lib)) {
        char reason[256];
        wire_reason(s, reason, sizeof reason);
        return err_set(err, ERR_UNREACHABLE, "%s, during authentication", reason);
    }
    return err_set(err, ERR_AUTH, "the key %s cannot be used: %s", id->sha256,
                   id->key ? ssh_get_error(s->lib) : "the ssh-agent does not sign with it");
}

void wire_update(struct ssh_session *s)
{
    if (!s->watch)
        return;
    int events = 0;
    if (s->state == SESSION_GREETING)
        events = UV_READABLE;
    else if (s->lib && s->fd < 0 && !s->work)
        events = UV_READABLE | (ssh_get_poll_flags(s->lib) & SSH_WRITE_PENDING ? UV_WRITABLE : 0);
    watch_for(s, events);
}

void wire_close(struct ssh_session *s)
{
    if (s->watch)
        uv_close((uv_handle_t *)&s->watch->uv, watch_closed);
    s->watch = NULL;
    s->watched = 0;
    /* Without ssh_disconnect: after it libssh leaves a socket that it was given open for good. */
    ssh_event_free(s->event);
    ssh_free(s->lib);
    s->event = NULL;
    s->lib = NULL;
    agent_filter_stop(TAKE(s->filter));
    s->work_ready = false;
    if (s->fd >= 0)
        close(s->fd);
    if (s->poll_fd >= 0)
        close(s->poll_fd);
    s->fd = s->poll_fd = -1;
}

void wire_reason(struct ssh_session *s, char *out, size_t size)
{
    const char *said = ssh_get_error(s->lib);
    if (said[0] == '\0')
        said = "the connection broke";
    else if (strcmp(said, "Socket error: disconnected") == 0)
        said = "the host closed the connection";
    snprintf(out, size, "%s", said);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
}

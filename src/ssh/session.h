/* What pool.c, session.c, wire.c and exec.c share. Private to this room.
 *
 * libssh is never entered from a public function: those only note what is wanted and ask for a
 * pump. All of libssh runs in session_pump(), called by the loop. Users are called back from there
 * and may free the session: it is then only marked (`freed`) and goes when the pump is done. */
#ifndef FLAMBE_SSH_SESSION_H
#define FLAMBE_SSH_SESSION_H

#include "ssh/agent.h"
#include "ssh/dial.h"
#include "ssh/hostkey.h"
#include "ssh/ssh.h"
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <sys/queue.h>

/* Attempts under way at once, TCP to authenticated: bounds the sockets, and is larger than
 * SSH_HANDSHAKES_MAX so that hosts that do not answer keep nobody from shaking hands. */
#define SSH_ATTEMPTS_MAX 256
/* Socket reads (4 KiB each inside libssh) in one callback of one session, so that a host that
 * floods takes its turn like the others: what it sent beyond stays in the kernel. */
#define SSH_READS_PER_TURN 16
/* Commands side by side in one session; more wait. OpenSSH's MaxSessions is 10. */
#define SSH_EXECS_PER_SESSION 8
/* Standard input given to libssh at once; more follows when the socket has taken it. */
#define SSH_INPUT_PER_TURN ((size_t)64 << 10)
/* Linux takes no longer single argument, and the remote `sh -c` gets the command as one. */
#define SSH_COMMAND_MAX ((size_t)128 << 10)

enum session_state {
    SESSION_WAITING,   /* for a free attempt, or for the time to try again */
    SESSION_DIALLING,  /* TCP */
    SESSION_GREETING,  /* for the host's first byte */
    SESSION_QUEUED,    /* for a free handshake */
    SESSION_HANDSHAKE, /* key exchange; ends with the host key compared */
    SESSION_AUTH,
    SESSION_READY,
    SESSION_DEAD, /* `err` says why */
};

TAILQ_HEAD(session_list, ssh_session);
TAILQ_HEAD(exec_list, ssh_exec);

struct ssh_pool {
    struct loop *loop;
    struct session_list sessions;
    struct session_list attempts;   /* waiting to start one */
    struct session_list handshakes; /* waiting to start one */
    size_t attempts_running, handshakes_running;
    struct timer *kick;
};

struct poll_watch; /* uv's handle, which outlives its session until uv has closed it */

struct ssh_session {
    struct ssh_pool *pool;
    struct loop *loop;
    TAILQ_ENTRY(ssh_session) all;
    TAILQ_ENTRY(ssh_session) queue;
    bool queued_attempt, queued_handshake; /* in the pool's lists */
    bool holds_attempt, holds_handshake;   /* counted by the pool */
    enum session_state state;
    char *label, *address, *user;
    int port;
    struct pins pins;
    struct err pins_err; /* set where the pins are no good */
    struct ssh_connect_options options;
    ssh_connected_fn *done;
    void *ctx;
    usec_t started; /* monotonic; 0 before the first attempt */
    usec_t backoff, auth_backoff;
    struct timer *timer; /* the attempt's deadline, or the time to try again */
    struct timer *kick;  /* a pump asked for by a public function */
    struct dial *dial;

    int fd;      /* connected, until libssh has taken it over */
    int poll_fd; /* a dup: libssh closes its own whenever it likes */
    struct poll_watch *watch;
    int watched; /* uv's events */
    ssh_session lib;
    ssh_event event;
    struct agent_filter *filter; /* where the key is in an agent */
    uv_work_t *work;             /* libssh is in a worker thread: hands off until it is back */
    int work_result;
    bool work_ready;       /* work_result is new */
    struct err work_abort; /* the attempt ended while a worker thread had libssh */

    int busy;   /* depth of calls that may call back */
    bool freed; /* by a callback, or while a worker thread has libssh */
    struct err err;
    struct exec_list execs;
    size_t open_execs;
};

/* ---- pool.c ---- */
void pool_want_attempt(struct ssh_session *s);
void pool_want_handshake(struct ssh_session *s);
/* Gives back whatever the session holds or waits for. */
void pool_release(struct ssh_session *s);
void pool_release_handshake(struct ssh_session *s);

/* ---- session.c ---- */
void session_start_attempt(struct ssh_session *s); /* the pool: your turn */
void session_start_handshake(struct ssh_session *s);
void session_enter(struct ssh_session *s);
void session_leave(struct ssh_session *s); /* may free s */
void session_kick(struct ssh_session *s);  /* a pump soon, from the loop */
void session_pump(struct ssh_session *s);
void session_worked(struct ssh_session *s); /* libssh is back from the worker thread */

/* ---- wire.c: libssh and the socket of one attempt ---- */
/* Watches the socket for the host's first byte; takes the fd. */
int wire_watch_greeting(struct ssh_session *s, int fd, struct err *err) MUST_CHECK;
/* Gives the socket to libssh. */
int wire_open(struct ssh_session *s, struct err *err) MUST_CHECK;
/* Advances; 0 done, 1 not yet, -1 failed. */
int wire_handshake(struct ssh_session *s, struct err *err) MUST_CHECK;
int wire_check_host_key(struct ssh_session *s, struct err *err) MUST_CHECK;
int wire_authenticate(struct ssh_session *s, struct err *err) MUST_CHECK;
/* Tells uv what to wait for; nothing while a worker thread has libssh. */
void wire_update(struct ssh_session *s);
void wire_close(struct ssh_session *s);
/* libssh's reason as one printable line; what a host sent may be in it. */
void wire_reason(struct ssh_session *s, char *out, size_t size);

/* ---- exec.c ---- */
/* Advances all commands of a ready session; may call back. */
void execs_step(struct ssh_session *s);
/* Ends all with the error. */
void execs_fail(struct ssh_session *s, const struct err *err);
/* Frees all without calling back. */
void execs_drop(struct ssh_session *s);

#endif

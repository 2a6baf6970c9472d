/* The SSH server that answers for ghosts: libssh's server side, without blocking, on the loop.
 *
 * Private to hosts_ghost.c and ghost_ssh*.c. One listening socket a ghost; one libssh session a
 * connection; a ghost's commands are the short table in ghost_exec.c, and no program is ever run.
 */
#ifndef FLAMBE_SANDBOX_GHOST_SSH_H
#define FLAMBE_SANDBOX_GHOST_SSH_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#define GHOST_SESSIONS_MAX 32 /* of one ghost; more are refused */
#define GHOST_CHANNELS_MAX 64 /* of one session; more are refused */
#define GHOST_LOGIN_GRACE (60 * USEC_PER_SEC)
#define GHOST_PENDING_MAX ((size_t)256 << 10) /* bytes waiting to go out on one channel */

struct ghost_door;

/* What a door asks of the ghost that it belongs to. */
struct ghost_facts {
    const char *hostname, *user;
    ssh_key host_key;          /* shown to clients; borrowed, and may change */
    const ssh_key *authorized; /* borrowed */
    size_t authorized_count;
};

struct ghost_door_ops {
    void (*facts)(void *ctx, struct ghost_facts *out);
    /* As on a real host, in two steps, so that a client that dies between them is not locked out.
     * The first makes the new host key, once, and gives its public line, which the caller frees;
     * the second shows it from then on. */
    char *(*next_host_key)(void *ctx);
    void (*serve_next_key)(void *ctx);
    void (*power_off)(void *ctx); /* asked for from inside; acts later, from the loop */
    void (*reboot)(void *ctx);
};

/* Listens at address:port. ERR_NOT_FOUND where this machine has no such address; ERR_PERMISSION
 * where the port is not allowed. */
int ghost_door_open(struct loop *loop, const char *address, int port,
                    const struct ghost_door_ops *ops, void *ctx, struct ghost_door **out,
                    struct err *err) MUST_CHECK;
/* Drops the sessions and stops listening; NULL is legal. */
void ghost_door_close(struct ghost_door *d);
/* Neither accepts nor reads nor writes while `on`: a partition, or a hang. */
void ghost_door_hold(struct ghost_door *d, bool on);
/* A new ed25519 key; "ssh-ed25519 AAAA…" of a key (the caller frees). */
ssh_key ghost_key_new(void);
char *ghost_key_line(ssh_key key);

/* ---- inside: ghost_ssh.c and ghost_exec.c ---------------------------------------------------- */

struct ghost_session;

/* What one channel runs; chosen by its command. */
enum ghost_work {
    GHOST_IDLE,
    GHOST_CAT,
    GHOST_READ,
    GHOST_CONTACT,
    GHOST_ACTIVATE,
    GHOST_SLEEP,
    GHOST_DONE
};

struct ghost_exec {
    struct ghost_session *session;
    struct ghost_exec *next;
    ssh_channel channel;
    struct ssh_channel_callbacks_struct callbacks;
    struct timer *timer;
    struct buf out, err_out; /* waiting to go out */
    enum ghost_work work;
    int exit_status;
    bool widened, input_ended, exit_sent, closed;
};

/* Begins a command; false where the channel runs one already. */
bool ghost_exec_begin(struct ghost_exec *x, const char *command);
/* How many bytes were taken; the rest comes again. */
size_t ghost_exec_input(struct ghost_exec *x, const char *bytes, size_t n);
void ghost_exec_input_end(struct ghost_exec *x);
const struct ghost_door_ops *ghost_exec_door(const struct ghost_exec *x, void **ctx);
void ghost_session_pump_later(struct ghost_session *s); /* from a timer */
struct loop *ghost_session_loop(const struct ghost_session *s);

#endif

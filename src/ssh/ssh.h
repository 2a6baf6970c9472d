/* SSH to many hosts at once over libssh, on the loop. Host keys are always checked, against pins.
 *
 * A pool holds the sessions; a session connects (trying again while the host boots, if asked),
 * authenticates, and then runs commands one after another or side by side. Everything is
 * asynchronous: callbacks come from the loop, never from inside the function that started it. */
#ifndef FLAMBE_SSH_SSH_H
#define FLAMBE_SSH_SSH_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "os/loop.h"

/* ---- the user's key ---------------------------------------------------------------------- */

struct ssh_identity;

/* Reads a private key file. Errors name the file and say what to type: missing (ERR_NOT_FOUND),
 * readable by others (ERR_FILE: "chmod 600 …"), not a key, or encrypted while no agent at
 * SSH_AUTH_SOCK holds it (ERR_FILE: "ssh-add …"). An encrypted key that the agent holds is used
 * through the agent. */
int ssh_identity_load(const char *path, struct ssh_identity **out, struct err *err) MUST_CHECK;
void ssh_identity_free(struct ssh_identity *id); /* NULL is legal */
/* "ssh-ed25519 AAAA…", no comment. */
const char *ssh_identity_public(const struct ssh_identity *id);
/* Whether EC2's fingerprint (DescribeKeyPairs) can be this key's: SHA-1 of the PKCS#8 private key
 * and MD5 of the public key for RSA, SHA-256 for ED25519 (with or without the "SHA256:" prefix). */
bool ssh_identity_matches_ec2(const struct ssh_identity *id, const char *fingerprint);

/* ---- host keys --------------------------------------------------------------------------- */

/* A fresh ed25519 key pair: *private_pem is an OpenSSH private key file (wiped by its owner),
 * *public_line is "ssh-ed25519 AAAA…". */
int ssh_keygen_ed25519(struct buf *private_pem, struct buf *public_line,
                       struct err *err) MUST_CHECK;
/* Whether the line is "TYPE BASE64[ COMMENT]" of a key that parses; what a host says is hostile. */
bool ssh_public_line_valid(struct str line);
/* "SHA256:…" of a public line; the caller frees; NULL if malformed. */
char *ssh_fingerprint(const char *public_line);

/* The keys that a known_hosts file of OpenSSH's has for the host at this port (0: 22): "TYPE
 * BASE64" lines, none twice. Hashed names, patterns and [host]:port are understood; of a line with
 * a negated pattern, and of a certificate authority's, nothing is taken. `revoked` gets the keys of
 * @revoked lines. A missing file has none. */
struct strv;
int ssh_known_keys(const char *path, const char *host, int port, struct strv *keys,
                   struct strv *revoked, struct err *err) MUST_CHECK;

/* ---- sessions ---------------------------------------------------------------------------- */

#define SSH_HANDSHAKES_MAX 64 /* in flight at once; more wait their turn */

struct ssh_pool;
struct ssh_session;
struct ssh_exec;

struct ssh_pool *ssh_pool_new(struct loop *loop);
/* Ends all sessions without calling back, and frees; never from a callback. NULL is legal. */
void ssh_pool_free(struct ssh_pool *pool);

struct ssh_target {
    const char *label;   /* how messages call the host: "mine_factory_1" */
    const char *address; /* numeric, or a name to resolve */
    int port;            /* 0: 22 */
    const char *user;
    const char *const *host_keys; /* pinned public lines; the host must show one of these */
    size_t host_key_count;        /* at least 1 */
};

struct ssh_connect_options {
    const struct ssh_identity *identity; /* outlives the pool */
    usec_t attempt_timeout;              /* of one attempt, TCP to authenticated; 0: 20 s */
    usec_t retry_for; /* go on trying while refused, unreachable or timed out; 0: one attempt.
                       * A host key or authentication failure is never tried again, except that
                       * authentication is while `retry_auth`: cloud-init may not have put the
                       * key in place yet. */
    bool retry_auth;
    /* Not NULL: the host's key is looked at and no more. It gets the public line of the key that
     * the host has proved to hold (the caller frees), and the session ends with ERR_HOST_KEY
     * whatever key that is: nothing is authenticated. The target may then have no keys; those that
     * it has say which types to ask for first. */
    char **look;
};

/* err is NULL once authenticated. ERR_HOST_KEY's message names the pinned and the shown
 * fingerprint. After an error the session is dead and waits for ssh_session_free. */
typedef void ssh_connected_fn(void *ctx, struct ssh_session *s, const struct err *err);

/* Copies the target. (Not called ssh_connect: libssh exports that name.) */
struct ssh_session *ssh_session_open(struct ssh_pool *pool, const struct ssh_target *target,
                                     const struct ssh_connect_options *o, ssh_connected_fn *done,
                                     void *ctx);
/* Ends the session and what runs in it, without calling back; from a callback, too. NULL is
 * legal. */
void ssh_session_free(struct ssh_session *s);

struct ssh_exec_result {
    int status;      /* exit status; -1 where a signal ended it or err is set */
    char signal[16]; /* "KILL", or "" */
};

struct ssh_exec_request {
    const char *command; /* given to the remote user's shell as it is */
    struct str input;    /* sent to its standard input, then closed; copied */
    usec_t timeout;      /* from when it is begun: a session runs 8 at a time; 0: none */
    /* May be NULL. `is_err` tells standard error from standard output. */
    void (*output)(void *ctx, bool is_err, struct str bytes);
    /* Exactly one call. err (ERR_UNREACHABLE, ERR_TIMEOUT) where the connection failed,
     * ERR_REJECTED where the host runs no command, ERR_LIMIT where it is too long (128 KiB); a
     * command that ended badly is not an error: look at the result. */
    void (*done)(void *ctx, const struct ssh_exec_result *r, const struct err *err);
    void *ctx;
};

/* The session must be connected. */
struct ssh_exec *ssh_exec_start(struct ssh_session *s, const struct ssh_exec_request *r);

/* ---- the keys of many hosts ---------------------------------------------------------------- */

struct ssh_looked {
    char *line; /* what the host shows; the caller frees; NULL where err is set */
    struct err err;
};

/* Looks at the host keys of all targets at once: one attempt each, within `timeout`. Nothing that
 * is seen is trusted. results[count] is filled. Fails only with ERR_CANCELLED. */
int ssh_look(struct loop *loop, const struct ssh_target *targets, size_t count, usec_t timeout,
             struct ssh_looked *results, struct err *err) MUST_CHECK;

/* ---- one command on many hosts ----------------------------------------------------------- */

struct ssh_fanout_result {
    struct err err; /* code ERR_NONE where the command ran to its end */
    struct ssh_exec_result exec;
};

struct ssh_fanout_request {
    const struct ssh_target *targets;
    size_t count;
    struct ssh_connect_options connect;
    const char *command;
    struct str input;
    const struct str *inputs; /* or one for each target, instead; NULL: `input` */
    usec_t timeout;
    void (*output)(void *ctx, size_t host, bool is_err, struct str bytes);
    void (*host_done)(void *ctx, size_t host, const struct ssh_fanout_result *r); /* may be NULL */
    void *ctx;
};

/* Runs the command on all hosts and waits for all; results[count] is filled. Fails only with
 * ERR_CANCELLED: what went wrong on a host is in its result. Each session is closed as soon as its
 * command has ended, so that memory follows what is in flight. */
int ssh_fanout(struct loop *loop, const struct ssh_fanout_request *r,
               struct ssh_fanout_result *results, struct err *err) MUST_CHECK;

#endif

/* One host, one connection, commands one after another that are waited for. */
#ifndef FLAMBE_SSH_REMOTE_H
#define FLAMBE_SSH_REMOTE_H

#include "ssh/ssh.h"

#define REMOTE_OUTPUT_MAX ((size_t)16 << 20)
#define REMOTE_ERRORS_MAX ((size_t)16 << 10)

struct remote;

/* Connects, in one attempt. The target and the identity outlive it. */
int remote_open(struct loop *loop, const struct ssh_target *target,
                const struct ssh_identity *identity, usec_t timeout, struct remote **out,
                struct err *err) MUST_CHECK;
/* The same over the caller's own connection, which outlives it. Where a command is cancelled,
 * *session is freed and NULL. */
struct remote *remote_over(struct loop *loop, const struct ssh_target *target,
                           struct ssh_session **session);
void remote_close(struct remote *r); /* NULL is legal */
const struct ssh_target *remote_target(const struct remote *r);

struct remote_command {
    const char *command; /* for the user's shell there */
    struct str input;
    usec_t timeout;
    /* Each line of standard output, as it comes; NULL: it is collected. */
    void (*line)(void *ctx, struct str line);
    void *ctx;
};

/* `out` gets standard output (may be NULL). ERR_REMOTE where the command ends with another status
 * than 0, with the last line of its standard error, or "flambe: error WHY" of its output. */
int remote_run(struct remote *r, const struct remote_command *c, struct buf *out,
               struct err *err) MUST_CHECK;

#endif

/* A TCP connection, made on the loop: name, addresses one after another, deadline. Private to this
 * room: libssh's own connect blocks on names and ignores its timeout. */
#ifndef FLAMBE_SSH_DIAL_H
#define FLAMBE_SSH_DIAL_H

#include "base/err.h"
#include "os/loop.h"

struct dial;

/* fd is a connected non-blocking socket that now belongs to the callee, or -1 and err says why:
 * ERR_UNREACHABLE, ERR_TIMEOUT, or ERR_IO where this machine is at fault (out of sockets). */
typedef void dial_done_fn(void *ctx, int fd, const struct err *err);

/* `timeout` is for each address; a name is resolved in uv's thread pool. Calls back from the loop,
 * once, and is gone then. */
struct dial *dial_start(struct loop *loop, const char *address, int port, usec_t timeout,
                        dial_done_fn *done, void *ctx);
/* No call back follows. NULL is legal. */
void dial_stop(struct dial *d);

#endif

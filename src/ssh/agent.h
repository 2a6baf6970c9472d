/* The ssh-agent: does it hold a key, and signing with that key alone. Private to this room.
 * Protocol: draft-ietf-sshm-ssh-agent. */
#ifndef FLAMBE_SSH_AGENT_H
#define FLAMBE_SSH_AGENT_H

#include "base/err.h"
#include "base/str.h"
#include "os/loop.h"

/* Whether the agent at the socket `path` holds the public key blob. False, too, where no agent
 * answers within a few seconds. */
bool agent_holds(const char *path, struct str blob);

/* A door to the agent that shows one key only: a user with ten keys in the agent would otherwise be
 * thrown out by the host (MaxAuthTries 6) before ours had its turn. One end of a socket pair goes
 * to libssh, which blocks on it and so runs in a worker thread; the loop serves the other end. */
struct agent_filter;
/* *fd is for ssh_set_agent_socket(), which takes it over. The strings outlive the filter. */
int agent_filter_start(struct loop *loop, const char *path, struct str blob, int *fd,
                       struct agent_filter **out, struct err *err) MUST_CHECK;
/* Closes the loop's end: a thread that waits at the other end is let go. NULL is legal. */
void agent_filter_stop(struct agent_filter *f);

#endif

/* A child that one talks to in lines: each message is a line on its standard input, each answer a
 * line on its standard output. Its standard error is kept for messages about its end.
 *
 * The child is in a session of its own, so that Ctrl-C at the terminal is not its business. It is
 * to end when its standard input does: that is how it learns that this process is gone. */
#ifndef FLAMBE_OS_TALK_H
#define FLAMBE_OS_TALK_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

#define TALK_LINE_MAX ((size_t)16 << 20)   /* bytes of its answers, not yet taken */
#define TALK_QUEUE_MAX ((size_t)256 << 20) /* sent and not yet taken by the child */
#define TALK_ERRORS_MAX ((size_t)4096)     /* the last bytes of its standard error */

struct talk;

/* Starts argv, found in PATH. ERR_NOT_FOUND where there is no such program. */
int talk_start(struct loop *loop, const char *const *argv, struct talk **out,
               struct err *err) MUST_CHECK;
/* Ends the child, at once, and waits until it is gone. NULL is legal. */
void talk_free(struct talk *t);
/* Queues the line, without its end; copied. ERR_LIMIT where the child has stopped to read. */
int talk_send(struct talk *t, struct str line, struct err *err) MUST_CHECK;
/* Waits for the next line of the child, without its end; *line is good until the next call.
 * ERR_REMOTE where the child has ended, with how it did and its last words; ERR_TIMEOUT where no
 * line came in time; ERR_LIMIT where it says too much. All three are final. */
int talk_receive(struct talk *t, usec_t timeout, struct str *line, struct err *err) MUST_CHECK;

#endif

/* A child process that the loop need not wait for: started, watched, reported once.
 *
 * os/proc.h runs a child on the program's main path; hosts are made and ended from callbacks, where
 * nothing may wait. */
#ifndef FLAMBE_SANDBOX_CHILD_H
#define FLAMBE_SANDBOX_CHILD_H

#include "base/str.h"
#include "os/loop.h"

struct child;

#define CHILD_OUTPUT_MAX ((size_t)4096) /* of its output, the tail that is kept */

/* `exit_status` is -1 where a signal ended it or it could not be started. `output` is the tail of
 * its standard output and error together. From the loop, exactly once, unless forgotten. */
typedef void child_done_fn(void *ctx, int exit_status, const char *output);
typedef void child_line_fn(void *ctx, const char *line);

/* Standard input is empty. `line` (may be NULL) gets each line as it comes. */
struct child *child_start(struct loop *loop, const char *const *argv, child_line_fn *line,
                          child_done_fn *done, void *ctx);
/* The process goes on and is reaped; nothing is called any more. NULL is legal. */
void child_forget(struct child *c);
void child_kill(struct child *c); /* done() still follows */

#endif

/* Child processes on the loop. No shell is between: argv goes to execvp as it is. */
#ifndef FLAMBE_OS_PROC_H
#define FLAMBE_OS_PROC_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

struct proc_result {
    int exit_status; /* -1 where a signal ended it */
    int signal;      /* or 0 */
    struct buf out;
    struct buf err_out;
};

void proc_result_done(struct proc_result *r);

#define PROC_OUTPUT_MAX ((size_t)16 << 20)

/* Runs argv to its end with `input` on its standard input and collects its output. A program that
 * cannot be started, the timeout (the child is killed) and a cancelled loop are errors; a non-zero
 * exit is not. `env` replaces the environment unless NULL. */
int proc_run(struct loop *loop, const char *const *argv, const char *const *env, struct str input,
             usec_t timeout, struct proc_result *out, struct err *err) MUST_CHECK;

/* ---- from within the loop -------------------------------------------------------------------- */

struct proc;

/* Called once, from the loop. `result` is NULL where it could not be started, took too long
 * (it is killed then) or was cancelled: `why` says which. Else `why` is NULL, and the result is the
 * callee's only during the call. */
typedef void proc_done(void *ctx, const struct proc_result *result, const struct err *why);

/* The same as proc_run(), but returns at once. `input` is copied. */
struct proc *proc_start(struct loop *loop, const char *const *argv, const char *const *env,
                        struct str input, usec_t timeout, proc_done *done, void *ctx);
/* Kills it, where it has not ended; `done` is told ERR_CANCELLED, soon. NULL is legal; not for one
 * whose `done` has been called. */
void proc_cancel(struct proc *p);

#endif

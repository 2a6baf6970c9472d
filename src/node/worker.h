/* A child of the service: this very program with other arguments, watched and signalled. */
#ifndef FLAMBE_NODE_WORKER_H
#define FLAMBE_NODE_WORKER_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

#define WORKER_OUTPUT_MAX ((size_t)16 << 20) /* what is more is read and dropped */

struct worker;

/* Starts this program with `args` (NULL-terminated, without argv[0]) and `env` (NULL: this
 * process's). Standard input is empty and standard error this process's own; standard output is
 * kept where `keep_output`, else this process's own too. The child leads a session of its own. */
int worker_start(struct loop *loop, const char *const *args, const char *const *env,
                 bool keep_output, struct worker **out, struct err *err) MUST_CHECK;
bool worker_ended(const struct worker *p);        /* and all of its output is here */
void worker_signal(struct worker *p, int number); /* nothing where it has ended */
/* Of one that has ended. */
int worker_exit_status(const struct worker *p);   /* 128 and more for a signal */
int worker_signal_number(const struct worker *p); /* or 0 */
struct str worker_output(const struct worker *p);
/* Kills it where it runs, waits for its end, and frees; NULL is legal. */
void worker_free(struct worker *p);

#endif

/* A child of the service: this very program with other arguments, watched and signalled. */
#ifndef FLAMBE_NODE_PROCESS_H
#define FLAMBE_NODE_PROCESS_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

#define PROCESS_OUTPUT_MAX ((size_t)16 << 20) /* what is more is read and dropped */

struct process;

/* Starts this program with `args` (NULL-terminated, without argv[0]) and `env` (NULL: this
 * process's). Standard input is empty and standard error this process's own; standard output is
 * kept where `keep_output`, else this process's own too. The child leads a session of its own. */
int process_start(struct loop *loop, const char *const *args, const char *const *env,
                  bool keep_output, struct process **out, struct err *err) MUST_CHECK;
bool process_ended(const struct process *p);        /* and all of its output is here */
void process_signal(struct process *p, int number); /* nothing where it has ended */
/* Of one that has ended. */
int process_exit_status(const struct process *p);   /* 128 and more for a signal */
int process_signal_number(const struct process *p); /* or 0 */
struct str process_output(const struct process *p);
/* Kills it where it runs, waits for its end, and frees; NULL is legal. */
void process_free(struct process *p);

#endif

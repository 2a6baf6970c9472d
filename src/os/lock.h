/* A lock file: one flambe at a time works on one cluster, or on one experiment's results, from this
 * machine. Held by the open file (an open file description lock, fcntl(2)), so that it goes with
 * the process however that ends. */
#ifndef FLAMBE_OS_LOCK_H
#define FLAMBE_OS_LOCK_H

#include "base/err.h"
#include <sys/types.h>

struct lock;

/* ERR_CONFLICT, with the holder's pid in the message, where another process holds it. */
int lock_take(const char *path, struct lock **out, struct err *err) MUST_CHECK;
void lock_release(struct lock *l); /* NULL is legal */
/* For a child that is to hold it too, until it ends; its pid is not written. */
int lock_fd(const struct lock *l);

#define LOCK_HOLDER_UNKNOWN ((pid_t)-1) /* somebody: who has not been written yet */

/* Who holds it now: 0 for nobody (a missing file too). The process may be gone where a child of it
 * keeps the lock until its own work is done. Disturbs nobody who takes the lock meanwhile. */
int lock_holder(const char *path, pid_t *out, struct err *err) MUST_CHECK;

#endif

/* A lock file: one flambe at a time works on one cluster from this machine.
 * Held by flock(2), so that it goes with the process however that ends. */
#ifndef FLAMBE_OS_LOCK_H
#define FLAMBE_OS_LOCK_H

#include "base/err.h"

struct lock;

/* ERR_CONFLICT, with the holder's pid in the message, where another process holds it. */
int lock_take(const char *path, struct lock **out, struct err *err) MUST_CHECK;
void lock_release(struct lock *l); /* NULL is legal */

#endif

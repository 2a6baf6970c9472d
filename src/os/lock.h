/* A lock file: one flambe at a time works on one cluster, or on one experiment's results, from this
 * machine. Held by the open file (an open file description lock, fcntl(2)), so that it goes with
 * the process however that ends. */
#ifndef FLAMBE_OS_LOCK_H
#define FLAMBE_OS_LOCK_H

#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

struct lock;

/* ERR_CONFLICT, with the holder's pid in the message, where another process holds it. */
int lock_take(const char *path, struct lock **out, struct err *err) MUST_CHECK;
void lock_release(struct lock *l); /* NULL is legal */
/* For a child that is to hold it too, until it ends; its pid is not written. */
int lock_fd(const struct lock *l);

/* Who holds a lock. Where it is held and neither number is set, it is not known by whom: nothing is
 * written yet, or it is held on another machine or in another container. */
struct lock_holder {
    bool held;
    pid_t pid;  /* who took it, proven to live; else 0 */
    pid_t gone; /* who took it and has ended: a child keeps it until its own work is done; else 0 */
};

/* A missing file is held by nobody. Disturbs nobody who takes the lock meanwhile. */
int lock_holder(const char *path, struct lock_holder *out, struct err *err) MUST_CHECK;
/* Signals the process that took it, if that is `pid` still, and nobody else. One that has ended
 * meanwhile, or let the lock go, is not signalled, and no error. */
int lock_signal(const char *path, pid_t pid, int number, struct err *err) MUST_CHECK;

#endif

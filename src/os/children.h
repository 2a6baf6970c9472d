/* Several child programs side by side, with their output as it comes. */
#ifndef FLAMBE_OS_CHILDREN_H
#define FLAMBE_OS_CHILDREN_H

#include "os/loop.h"

struct child {
    struct strv argv;
    struct str input; /* for its standard input; lives as long as the child */
    /* Filled at its end. */
    int status;     /* exit status; 128 plus the number for a signal; -1 where it did not start */
    struct err err; /* why it did not start */
};

struct children_request {
    struct child *items;
    size_t count;
    size_t at_once;
    void (*output)(void *ctx, size_t child, bool is_err, struct str bytes);
    void (*ended)(void *ctx, size_t child); /* may be NULL */
    void *ctx;
};

/* Runs all of them to their ends. Fails only with ERR_CANCELLED: then those that run are sent
 * SIGTERM, and waited for. */
int children_run(struct loop *loop, const struct children_request *r, struct err *err) MUST_CHECK;
void child_done(struct child *c);

#endif

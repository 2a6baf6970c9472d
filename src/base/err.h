/* Errors: one caller-owned value, filled by the function that fails.
 *
 * Every function that can fail takes a `struct err *` as its last parameter and returns 0 or -1 (or
 * NULL for a pointer). On success the error is untouched; on failure the outputs are untouched.
 * A NULL `struct err *` is legal and means that the caller does not care why.
 *
 * The code says what kind of failure it is; err_exit_status() and err_retryable() read one table in
 * err.c, so that neither the exit status nor a retry ever depends on a message's words. */
#ifndef FLAMBE_BASE_ERR_H
#define FLAMBE_BASE_ERR_H

#include "base/attr.h"
#include <stdarg.h>
#include <stdbool.h>

enum err_code {
    ERR_NONE = 0,
    ERR_INTERNAL,    /* a bug, or the impossible */
    ERR_IO,          /* a local file or socket; `sys` holds errno */
    ERR_USAGE,       /* the command line */
    ERR_FILE,        /* a file the user wrote is wrong */
    ERR_PARSE,       /* bytes from outside are malformed */
    ERR_LIMIT,       /* a named maximum of ours is passed */
    ERR_CREDENTIALS, /* none, malformed, expired, or not accepted */
    ERR_CLOCK_SKEW,  /* AWS says that our clock is wrong */
    ERR_PERMISSION,  /* accepted, but not allowed */
    ERR_QUOTA,       /* the account's quota */
    ERR_CAPACITY,    /* the zone has no such machine now */
    ERR_THROTTLED,   /* asked too often */
    ERR_SERVER,      /* the server failed (5xx) */
    ERR_REJECTED,    /* the server refuses this request for good (other 4xx) */
    ERR_NOT_FOUND,
    ERR_EXISTS,
    ERR_UNREACHABLE, /* no connection, or it broke */
    ERR_TIMEOUT,
    ERR_HOST_KEY,  /* a host showed a key that is not its own: never retried */
    ERR_AUTH,      /* the host refused our key */
    ERR_REMOTE,    /* a command on a host failed */
    ERR_CONFLICT,  /* two clusters of one name, another flambe at work, … */
    ERR_BUSY,      /* a cluster runs another experiment */
    ERR_PARTIAL,   /* some of it was done */
    ERR_CANCELLED, /* Ctrl-C or SIGTERM */
    ERR_CODE_COUNT,
};

#define ERR_ORIGIN_MAX 64
#define ERR_MESSAGE_MAX 1024

struct err {
    enum err_code code;
    int sys;                     /* errno, or 0 */
    bool unsure;                 /* what failed may have had its effect, at an earlier try */
    char origin[ERR_ORIGIN_MAX]; /* the server's own code, such as "VcpuLimitExceeded", or "" */
    char msg[ERR_MESSAGE_MAX];   /* lower case, the problem first, no full stop */
};

/* Sets the error and returns -1, so that `return err_set(err, …)` reads as one line. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same from errno value `sys`; appends ": " and its text. */
int err_set_sys(struct err *err, int sys, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with the server's own code in `origin`. */
int err_set_origin(struct err *err, enum err_code code, const char *origin, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Puts "context: " in front of the message. Where the room is too small the context goes, never
 * the cause. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Copies `from` into `to` (either may be NULL) and returns -1. */
int err_copy(struct err *to, const struct err *from);

const char *err_name(enum err_code code); /* "throttled" */
int err_exit_status(enum err_code code);  /* 1, 2, 4, 5, 6 or 130; see doc/flambe.1.scd */
bool err_retryable(enum err_code code);

#endif

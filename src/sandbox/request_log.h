/* The request log: one JSON object a line for each API request, in DIR/requests.jsonl. It holds no
 * secret: neither parameters nor signatures. */
#ifndef FLAMBE_SANDBOX_REQUEST_LOG_H
#define FLAMBE_SANDBOX_REQUEST_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

struct request_log;

/* Past this size the file becomes PATH.1 and a new one begins. */
#define REQUEST_LOG_MAX ((int64_t)64 << 20)

struct request_log_line {
    usec_t time, took;
    const char *service, *action; /* or NULL */
    int status;                   /* 0: dropped without an answer */
    const char *code;             /* of an error, or NULL */
    const char *request_id;
    const char *fault;  /* the fault on demand that acted, or NULL */
    struct str attempt; /* the SDK's "attempt=1; max=3", or empty */
};

int request_log_open(const char *path, struct request_log **out, struct err *err) MUST_CHECK;
void request_log_close(struct request_log *l);
void request_log_add(struct request_log *l,
                     const struct request_log_line *line); /* NULL is legal */

#endif

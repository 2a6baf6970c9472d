/* The operator's side of control.c: finds the running sandbox of a directory and asks it. */
#ifndef FLAMBE_SANDBOX_CLIENT_H
#define FLAMBE_SANDBOX_CLIENT_H

#include "base/err.h"
#include "os/loop.h"
#include <jansson.h>

/* What DIR/control.json says of the process that runs, or ran last. */
struct client_facts {
    int port;
    char *token, *region, *hosts;
};
int client_facts(const char *dir, struct client_facts *out, struct err *err) MUST_CHECK;
void client_facts_done(struct client_facts *f);

/* Sends the command with its arguments (borrowed) and waits; *out is the answer, to be freed by the
 * caller. ERR_NOT_FOUND where no sandbox runs in `dir`; the command's own failures are ERR_USAGE or
 * ERR_REJECTED. */
int client_call(struct loop *loop, const char *dir, const char *command, const json_t *args,
                json_t **out, struct err *err) MUST_CHECK;
/* Whether a process holds the directory's lock. */
bool client_is_held(const char *dir);

#endif

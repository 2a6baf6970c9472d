/* The front of the sandbox: HTTP requests in, answers out.
 *
 * A request is parsed, its signature is verified, the faults have their say, the action runs, the
 * world is saved, and the answer goes out. Each API request leaves one line in the request log. */
#ifndef FLAMBE_SANDBOX_SERVER_H
#define FLAMBE_SANDBOX_SERVER_H

#include "base/err.h"
#include "net/httpd.h"
#include "sandbox/faults.h"
#include "sandbox/identity.h"
#include "sandbox/services.h"

struct server;

struct server_options {
    struct loop *loop;
    const struct clock *clock;
    const char *region, *account;
    const struct service *services; /* NULL-name-terminated */
    struct identities *identities;
    struct faults *faults;
    const char *log_path; /* NULL: no request log */
    int port;             /* on 127.0.0.1; 0: any free one */
    /* The account that requests are about; it may be another after a reset. */
    struct world *(*world)(void *ctx);
    /* Before each request, and after it when the action changes things: the world is saved. */
    void (*advance)(void *ctx);
    int (*save)(void *ctx, struct err *err);
    /* Requests under /_sandbox/. */
    void (*control)(void *ctx, struct httpd_request *r);
    /* The zone of a subnet, or NULL: for faults of a zone. May be NULL. */
    const char *(*subnet_zone)(void *ctx, const char *subnet_id);
    void *ctx;
};

int server_start(const struct server_options *o, struct server **out, struct err *err) MUST_CHECK;
/* Requests that are held are dropped. NULL is legal. */
void server_stop(struct server *s);
int server_port(const struct server *s);
void server_drop_held(struct server *s); /* their connections break */
/* Lets all held requests go on; returns how many there were. */
int server_release(struct server *s);
int server_held(const struct server *s);
/* Runs an action as the account's owner would, without a request: for the operator's commands. */
void server_run(struct server *s, const struct service *service, const struct api_action *action,
                const struct params *params, struct api_reply *reply);

#endif

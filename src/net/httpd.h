/* The HTTP server: libmicrohttpd with epoll, driven by the loop.
 *
 * A handler gets a whole request (its body is bounded) and answers now, or keeps the request and
 * answers later from the loop. */
#ifndef FLAMBE_NET_HTTPD_H
#define FLAMBE_NET_HTTPD_H

#include "base/err.h"
#include "base/str.h"
#include "os/loop.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct httpd;
struct httpd_request;

#define HTTPD_BODY_MAX ((size_t)4 << 20)

struct httpd_options {
    struct sockaddr_storage address; /* port 0: any free one */
    int listen_fd;                   /* an already bound and listening socket, or -1 */
    size_t body_max;                 /* bytes; 0: HTTPD_BODY_MAX; a longer body gets 413 */
    /* Called once a request, from the loop. */
    void (*handle)(void *ctx, struct httpd_request *request);
    void *ctx;
};

int httpd_start(struct loop *loop, const struct httpd_options *o, struct httpd **out,
                struct err *err) MUST_CHECK;
void httpd_stop(struct httpd *h); /* drops open requests; NULL is legal */
int httpd_port(const struct httpd *h);

/* All views live until the request is answered. */
struct str httpd_method(const struct httpd_request *r);
struct str httpd_path(const struct httpd_request *r);  /* as sent, still escaped, no query */
struct str httpd_query(const struct httpd_request *r); /* as sent, without the '?' */
struct str httpd_body(const struct httpd_request *r);
struct str httpd_header(const struct httpd_request *r, const char *name); /* empty if absent */
/* Visits all headers in the order of arrival; values come without white space around them. */
void httpd_headers(const struct httpd_request *r,
                   void (*fn)(void *ctx, struct str name, struct str value), void *ctx);
const struct sockaddr *httpd_peer(const struct httpd_request *r);
void httpd_set_user_data(struct httpd_request *r, void *data); /* the handler's own */
void *httpd_user_data(const struct httpd_request *r);

/* Each ends the request. `headers` are "Name: value" lines, NULL-terminated, or NULL. */
void httpd_answer(struct httpd_request *r, int status, const char *const *headers, struct str body);
/* Closes the connection without an answer (a fault on demand). */
void httpd_drop(struct httpd_request *r);

#endif

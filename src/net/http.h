/* The HTTP client: libcurl's multi interface on the loop, HTTP/1.1, connections kept.
 *
 * Retrying, signing and understanding answers belong to the caller. */
#ifndef FLAMBE_NET_HTTP_H
#define FLAMBE_NET_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

struct http;
struct http_call;

struct http_options {
    const char *ca_bundle; /* a PEM file, or NULL for the system's */
    const char *user_agent;
    usec_t connect_timeout; /* 0: HTTP_CONNECT_TIMEOUT */
    size_t max_in_flight;   /* 0: HTTP_MAX_IN_FLIGHT; more wait in a queue */
};

#define HTTP_CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define HTTP_TIMEOUT (60 * USEC_PER_SEC)
#define HTTP_MAX_IN_FLIGHT 64
#define HTTP_BODY_MAX ((size_t)64 << 20)
#define HTTP_HEADERS_MAX ((size_t)64 << 10)

struct http_response;

/* Takes a body while it comes, in place of the response: of any length, held nowhere. */
struct http_sink {
    /* Before the first byte: whether this answer's body is for the sink. False: it is collected, as
     * without one, such as the words of an error. */
    bool (*wants)(void *ctx, const struct http_response *head);
    /* In order. -1 ends the call with `err`. */
    int (*take)(void *ctx, struct str bytes, struct err *err);
    void *ctx;
};

struct http_request {
    const char *method;         /* "GET", "POST", "PUT" */
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value" lines, NULL-terminated; NULL for none */
    struct str body;
    usec_t timeout; /* of the whole call, once it leaves the queue; 0: HTTP_TIMEOUT */
    bool no_proxy;  /* for link-local metadata services; loopback never has one */
    bool once;      /* on a connection of its own: libcurl repeats a request by itself, and says
                     * nothing, where a connection that was used before breaks under it */
    const struct http_sink *sink; /* NULL: none; lives until the call has ended */
    usec_t stall; /* in place of `timeout`, where not 0: ERR_TIMEOUT where not a byte a second comes
                   * for so long; whole seconds */
};

struct http_response {
    int status;         /* 200, 404, … */
    struct buf headers; /* raw lines, "Name: value\r\n", without the status line */
    struct buf body;
    char *redirect; /* where a 3xx leads, as a whole URL; or NULL */
};

/* The value of a response header (ASCII case ignored), trimmed; empty view where it is absent. */
struct str http_header(const struct http_response *r, const char *name);

/* Opens libcurl (by dlopen, once). ERR_IO with what to install where it is missing. */
int http_new(struct loop *loop, const struct http_options *o, struct http **out,
             struct err *err) MUST_CHECK;
/* Cancels what is in flight (without calling back) and frees; NULL is legal. */
void http_free(struct http *http);
struct loop *http_loop(const struct http *http);
/* "https://host:port" of a URL, which is all of it that a message may show: the rest may hold a
 * secret. */
struct str http_origin(const char *url);

/* Exactly one of response and err is not NULL, and both live only during the call. err is
 * ERR_UNREACHABLE (no connection, or it broke), ERR_TIMEOUT or ERR_LIMIT; TLS trust failures are
 * ERR_REJECTED. */
typedef void http_done_fn(void *ctx, const struct http_response *response, const struct err *err);

/* Copies the request. The callback comes from the loop, exactly once, unless cancelled. */
struct http_call *http_start(struct http *http, const struct http_request *request,
                             http_done_fn *done, void *ctx);
void http_cancel(struct http_call *call); /* no callback after this */

/* Start and wait in one. The caller frees the response with http_response_done. */
int http_run(struct http *http, const struct http_request *request, struct http_response *out,
             struct err *err) MUST_CHECK;
void http_response_done(struct http_response *r);

#endif

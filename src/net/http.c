/* See http.h. libcurl's multi interface says which sockets and which timeout it waits for; libuv
 * waits for them.
 *
 * Invariants: a call is in exactly one of three lists (queued, active, finished) until its callback
 * runs or it is cancelled; callbacks run only from deliver(), which no libcurl callback reaches, so
 * that a callback may start and cancel calls freely. Handles that libuv still has to close are
 * memory of their own, so that http_free() need not wait for it. */
#include "net/http.h"
#include "base/mem.h"
#include "base/port.h"
#include "net/curl_open.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_list {
    struct http_call *first, *last;
};

struct http {
    const struct curl_api *curl;
    struct loop *loop;
    CURLM *multi;
    uv_timer_t *timer; /* libcurl's timeout */
    uv_timer_t *kick;  /* delivers what finished outside of libcurl */
    char *ca_bundle, *user_agent;
    usec_t connect_timeout;
    size_t max_in_flight, in_flight;
    struct http_list queued, active, finished;
    bool delivering;
};

/* One socket that libcurl watches. */
struct watch {
    uv_poll_t poll;
    struct http *http;
    curl_socket_t fd;
};

struct http_call {
    struct http *http;
    struct http_list *list;
    struct http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body; /* of the request; may hold a secret */
    char *url, *method;
    usec_t timeout, stall;
    const struct http_sink *sink;
    struct err refused; /* by the sink */
    bool no_proxy, once, has_content_type, body_over, headers_over, body_begun, to_sink;
    char why[CURL_ERROR_SIZE];
    struct http_response response;
    struct err err; /* code ERR_NONE where there is a response */
    http_done_fn *done;
    void *ctx;
};

static void list_add(struct http_list *l, struct http_call *c)
{
    c->list = l;
    c->prev = l->last;
    c->next = NULL;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
}

static void list_remove(struct http_call *c)
{
    struct http_list *l = c->list;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        l->last = c->prev;
    c->list = NULL;
}

struct str http_header(const struct http_response *r, const char *name)
{
    struct str rest = buf_view(&r->headers);
    size_t n = strlen(name);
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
            return str_trim((struct str){line.p + n + 1, line.n - n - 1});
    }
    return (struct str){NULL, 0};
}

void http_response_done(struct http_response *r)
{
    buf_wipe(&r->headers);
    buf_wipe(&r->body);
    free(r->redirect);
    r->redirect = NULL;
}

/* Takes the call out of whatever holds it and frees it. */
static void call_free(struct http_call *c)
{
    struct http *h = c->http;
    if (c->list == &h->active) {
        h->curl->multi_remove_handle(h->multi, c->easy);
        h->in_flight--;
    }
    if (c->list)
        list_remove(c);
    if (c->easy)
        h->curl->easy_cleanup(c->easy);
    h->curl->slist_free_all(c->headers);
    buf_wipe(&c->body);
    http_response_done(&c->response);
    free(c->url);
    free(c->method);
    free(c);
}

struct str http_origin(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *user = port_memrchr(host, '@', n);
    if (user) /* and a password, maybe: not shown, and the scheme in front with it */
        return (struct str){user + 1, n - (size_t)(user + 1 - host)};
    return (struct str){url, (size_t)(host - url) + n};
}

/* Whether the URL's host is this machine: no proxy is ever between. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    if (!host)
        return false;
    host += 3;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    struct str s = {host, n};
    return str_is(s, "localhost") || str_is(s, "[::1]") ||
           (str_starts(s, "127.") && strspn(host, "0123456789.") == n);
}

static const char *reason(const struct http_call *c, CURLcode code)
{
    return c->why[0] ? c->why : c->http->curl->easy_strerror(code);
}

static void set_failure(struct http_call *c, CURLcode code)
{
    const struct curl_api *curl = c->http->curl;
    struct str at = http_origin(c->url);
    long sys = 0;
    double connected = 0;
    curl->easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &sys);
    curl->easy_getinfo(c->easy, CURLINFO_CONNECT_TIME, &connected);
    if (c->refused.code) {
        c->err = c->refused;
        return;
    }
    if (c->body_over) {
        err_set(&c->err, ERR_LIMIT, "the answer of '%.*s' is longer than the %zu bytes allowed",
                STR_FMT(at), HTTP_BODY_MAX);
        return;
    }
    if (c->headers_over) {
        err_set(&c->err, ERR_LIMIT, "the headers of '%.*s' are longer than the %zu bytes allowed",
                STR_FMT(at), HTTP_HEADERS_MAX);
        return;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (connected > 0)
            err_set(&c->err, ERR_TIMEOUT, "no answer from '%.*s' in time", STR_FMT(at));
        else
            err_set(&c->err, ERR_UNREACHABLE, "cannot connect to '%.*s' in time", STR_FMT(at));
        return;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        err_set(&c->err, ERR_UNREACHABLE, "cannot find '%.*s': %s", STR_FMT(at), reason(c, code));
        return;
    case CURLE_COULDNT_CONNECT:
        if (sys)
            err_set_sys(&c->err, (int)sys, "cannot connect to '%.*s'", STR_FMT(at));
        else
            err_set(&c->err, ERR_UNREACHABLE, "cannot connect to '%.*s': %s", STR_FMT(at),
                    reason(c, code));
        c->err.code = ERR_UNREACHABLE;
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        err_set(&c->err, ERR_REJECTED, "'%.*s' is not trusted: %s", STR_FMT(at), reason(c, code));
        return;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        err_set(&c->err, ERR_REJECTED, "not an http or https address that works: '%.*s': %s",
                STR_FMT(at), reason(c, code));
        return;
    default:
        err_set(&c->err, ERR_UNREACHABLE, "the connection to '%.*s' broke: %s", STR_FMT(at),
                reason(c, code));
    }
}

static int status_of(const struct http_call *c)
{
    long status = 0;
    c->http->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
    struct http_call *c = ctx;
    if (!c->body_begun) {
        c->body_begun = true;
        c->response.status = status_of(c);
        c->to_sink = c->sink && c->sink->wants(c->sink->ctx, &c->response);
    }
    if (c->to_sink) {
        struct str bytes = {p, size * count};
        return c->sink->take(c->sink->ctx, bytes, &c->refused) == 0 ? bytes.n : 0;
    }
    buf_add(&c->response.body, p, size * count);
    c->body_over = c->response.body.overflowed;
    return c->body_over ? 0 : size * count;
}

static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
    struct http_call *c = ctx;
    struct str line = {p, size * count};
    if (str_starts(line, "HTTP/")) /* a new answer: the one before was "100 Continue" */
        buf_clear(&c->response.headers);
    else if (str_trim(line).n)
        buf_add_str(&c->response.headers, line);
    c->headers_over = c->response.headers.overflowed;
    return c->headers_over ? 0 : line.n;
}

static void set_options(struct http_call *c)
{
    struct http *h = c->http;
    __typeof__(h->curl->easy_setopt) set = h->curl->easy_setopt;
    CURL *e = c->easy;
    set(e, CURLOPT_PRIVATE, c);
    set(e, CURLOPT_ERRORBUFFER, c->why);
    set(e, CURLOPT_URL, c->url);
    set(e, CURLOPT_PATH_AS_IS, 1L); /* what is signed is what is sent */
    set(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    set(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set(e, CURLOPT_FOLLOWLOCATION, 0L);
    set(e, CURLOPT_SSL_VERIFYPEER, 1L);
    set(e, CURLOPT_SSL_VERIFYHOST, 2L);
    set(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (c->stall) {
        set(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
        set(e, CURLOPT_LOW_SPEED_TIME, (long)(c->stall / USEC_PER_SEC));
    } else {
        set(e, CURLOPT_TIMEOUT_MS, (long)(c->timeout / USEC_PER_MSEC));
    }
    set(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(h->connect_timeout / USEC_PER_MSEC));
    set(e, CURLOPT_WRITEFUNCTION, on_body);
    set(e, CURLOPT_WRITEDATA, c);
    set(e, CURLOPT_HEADERFUNCTION, on_header);
    set(e, CURLOPT_HEADERDATA, c);
    set(e, CURLOPT_USERAGENT, h->user_agent);
    if (h->ca_bundle)
        set(e, CURLOPT_CAINFO, h->ca_bundle);
    if (c->no_proxy || is_loopback(c->url))
        set(e, CURLOPT_PROXY, ""); /* the environment's is not looked at */
    /* CURLOPT_NOSIGNAL stays off: libcurl then keeps SIGPIPE from us around its own writes. Its
     * resolver is a thread, so it sets no alarm. */
    if (c->body.len || strcmp(c->method, "GET") != 0) {
        set(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
        set(e, CURLOPT_POSTFIELDS, buf_text(&c->body));
    }
    if (c->once)
        set(e, CURLOPT_FRESH_CONNECT, 1L);
    set(e, CURLOPT_CUSTOMREQUEST, c->method);
    set(e, CURLOPT_HTTPHEADER, c->headers);
}

static void add_header(struct http_call *c, const char *line)
{
    struct curl_slist *more = c->http->curl->slist_append(c->headers, line);
    if (more)
        c->headers = more;
    if (strncasecmp(line, "content-type:", 13) == 0)
        c->has_content_type = true;
}

static void on_kick(uv_timer_t *t);

/* Has deliver() run from the loop. */
static void finish(struct http_call *c)
{
    struct http *h = c->http;
    list_add(&h->finished, c);
    uv_timer_start(h->kick, on_kick, 0, 0);
}

/* Moves queued calls to libcurl, as far as the limit allows. */
static void feed(struct http *h)
{
    while (h->queued.first && h->in_flight < h->max_in_flight) {
        struct http_call *c = h->queued.first;
        list_remove(c);
        c->easy = h->curl->easy_init();
        if (c->easy)
            set_options(c);
        if (!c->easy || h->curl->multi_add_handle(h->multi, c->easy) != CURLM_OK) {
            err_set(&c->err, ERR_INTERNAL, "libcurl takes no more calls");
            finish(c);
            continue;
        }
        list_add(&h->active, c);
        h->in_flight++;
    }
}

/* Moves what libcurl has finished to the finished list. */
static void collect(struct http *h)
{
    CURLMsg *m;
    int left;
    while ((m = h->curl->multi_info_read(h->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        struct http_call *c = NULL;
        h->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
        c->response.status = status_of(c);
        char *redirect = NULL;
        h->curl->easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &redirect);
        c->response.redirect = mem_dup(redirect);
        if (code != CURLE_OK)
            set_failure(c, code);
        list_remove(c);
        h->in_flight--;
        h->curl->multi_remove_handle(h->multi, c->easy);
        list_add(&h->finished, c);
    }
}

static void deliver(struct http *h)
{
    if (h->delivering)
        return;
    h->delivering = true;
    while (h->finished.first) {
        struct http_call *c = h->finished.first;
        list_remove(c);
        if (c->err.code)
            c->done(c->ctx, NULL, &c->err);
        else
            c->done(c->ctx, &c->response, NULL);
        call_free(c);
    }
    h->delivering = false;
    feed(h);
}

static void on_kick(uv_timer_t *t)
{
    deliver(t->data);
}

static void act(struct http *h, curl_socket_t fd, int events)
{
    int running;
    h->curl->multi_socket_action(h->multi, fd, events, &running);
    collect(h);
    deliver(h);
}

static void on_timer(uv_timer_t *t)
{
    act(t->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(uv_poll_t *p, int status, int events)
{
    struct watch *w = p->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(w->http, w->fd, flags);
}

/* libcurl wants to be called in `ms`; -1: not at all. */
static int set_timer(CURLM *multi, long ms, void *ctx)
{
    struct http *h = ctx;
    if (ms < 0)
        return uv_timer_stop(h->timer);
    /* libcurl does not ask again for a timeout that came too early, and libuv's clock is cut to
     * milliseconds: one more is never too early. */
    uv_update_time(loop_uv(h->loop));
    return uv_timer_start(h->timer, on_timer, (uint64_t)(ms ? ms + 1 : 0), 0);
}

static void watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int set_watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct http *h = ctx;
    struct watch *w = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            h->curl->multi_assign(h->multi, fd, NULL);
            uv_close((uv_handle_t *)&w->poll, watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = mem_alloc(sizeof *w);
        w->http = h;
        w->fd = fd;
        if (uv_poll_init_socket(loop_uv(h->loop), &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        h->curl->multi_assign(h->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_socket);
}

static uv_timer_t *timer_make(struct http *h)
{
    uv_timer_t *t = mem_alloc(sizeof *t);
    uv_timer_init(loop_uv(h->loop), t);
    t->data = h;
    return t;
}

static void timer_closed(uv_handle_t *t)
{
    free(t);
}

int http_new(struct loop *loop, const struct http_options *o, struct http **out, struct err *err)
{
    const struct curl_api *curl = curl_open(err);
    if (!curl)
        return -1;
    CURLM *multi = curl->multi_init();
    if (!multi)
        return err_set(err, ERR_IO, "libcurl does not start");
    struct http *h = mem_alloc(sizeof *h);
    h->curl = curl;
    h->loop = loop;
    h->multi = multi;
    h->ca_bundle = mem_dup(o->ca_bundle);
    h->user_agent = mem_dup(o->user_agent ? o->user_agent : "flambe/" FLAMBE_VERSION);
    h->connect_timeout = o->connect_timeout ? o->connect_timeout : HTTP_CONNECT_TIMEOUT;
    h->max_in_flight = o->max_in_flight ? o->max_in_flight : HTTP_MAX_IN_FLIGHT;
    h->timer = timer_make(h);
    h->kick = timer_make(h);
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_watch);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, h);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, h);
    curl->multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)h->max_in_flight);
    *out = h;
    return 0;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    struct http_list *lists[] = {&h->queued, &h->active, &h->finished};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        while (lists[i]->first)
            call_free(lists[i]->first);
    h->curl->multi_cleanup(h->multi); /* closes the watches, too */
    uv_close((uv_handle_t *)h->timer, timer_closed);
    uv_close((uv_handle_t *)h->kick, timer_closed);
    free(h->ca_bundle);
    free(h->user_agent);
    free(h);
}

struct loop *http_loop(const struct http *h)
{
    return h->loop;
}

struct http_call *http_start(struct http *h, const struct http_request *r, http_done_fn *done,
                             void *ctx)
{
    struct http_call *c = mem_alloc(sizeof *c);
    c->http = h;
    c->method = mem_dup(r->method);
    c->url = mem_dup(r->url);
    c->timeout = r->timeout ? r->timeout : HTTP_TIMEOUT;
    c->no_proxy = r->no_proxy;
    c->once = r->once;
    c->stall = r->stall;
    c->sink = r->sink;
    c->done = done;
    c->ctx = ctx;
    c->response.headers.max = HTTP_HEADERS_MAX;
    c->response.body.max = HTTP_BODY_MAX;
    buf_add(&c->body, r->body.p, r->body.n);
    for (size_t i = 0; r->headers && r->headers[i]; i++)
        add_header(c, r->headers[i]);
    add_header(c, "Expect:");
    if (!c->has_content_type)
        add_header(c, "Content-Type:"); /* libcurl's default would be a form */
    list_add(&h->queued, c);
    feed(h);
    return c;
}

void http_cancel(struct http_call *c)
{
    if (!c)
        return;
    struct http *h = c->http;
    call_free(c);
    uv_timer_start(h->kick, on_kick, 0, 0); /* its place goes to the next in the queue */
}

/* What http_run() waits for. */
struct waiting {
    bool done;
    struct http_response response;
    struct err err;
};

static void on_done(void *ctx, const struct http_response *response, const struct err *err)
{
    struct waiting *w = ctx;
    w->done = true;
    if (err) {
        w->err = *err;
        return;
    }
    w->response.status = response->status;
    w->response.redirect = mem_dup(response->redirect);
    buf_add_str(&w->response.headers, buf_view(&response->headers));
    buf_add_str(&w->response.body, buf_view(&response->body));
}

static bool is_done(void *ctx)
{
    const struct waiting *w = ctx;
    return w->done;
}

int http_run(struct http *h, const struct http_request *request, struct http_response *out,
             struct err *err)
{
    struct waiting w = {.response = {.headers.max = HTTP_HEADERS_MAX, .body.max = HTTP_BODY_MAX}};
    struct http_call *call = http_start(h, request, on_done, &w);
    if (loop_wait(h->loop, is_done, &w, USEC_FOREVER, err) == -1) {
        http_cancel(call);
        return -1;
    }
    if (w.err.code)
        return err_copy(err, &w.err);
    *out = w.response;
    return 0;
}

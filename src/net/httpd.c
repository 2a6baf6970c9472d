/* The HTTP server (see httpd.h): libmicrohttpd's external epoll mode on the loop.
 *
 * libmicrohttpd keeps all its descriptors in one epoll set; the loop polls that set and a timer
 * carries MHD_get_timeout(). A request that its handler keeps is a suspended connection: answering
 * resumes it, and the library then calls serve() once more, which queues what was left for it. */
#include "net/httpd.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4000u
#define CONNECTION_MEMORY ((size_t)64 << 10) /* bytes: request line and headers must fit */
#define IDLE_SECONDS 300u
#define BACKLOG 1024
/* A body that is too long is read and thrown away up to this many bytes, so that its sender sees
 * the answer; beyond it the connection is closed. */
#define DISCARD_MAX ((size_t)64 << 20)

enum answer_state { ANSWER_NONE, ANSWER_READY, ANSWER_DROP };

struct httpd_request {
    struct httpd *server;
    struct MHD_Connection *connection;
    struct httpd_request *next, **link; /* the server's list of open requests */
    char *uri;                          /* as sent */
    char *method;
    struct buf body;
    size_t discarded;
    bool seen;     /* the headers have come */
    bool too_long; /* the body is */
    bool handled;  /* the handler was called */
    bool suspended;
    enum answer_state state;
    struct MHD_Response *response;
    int status;
    void *user_data;
};

struct httpd {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
    int port;
    size_t body_max;
    void (*handle)(void *ctx, struct httpd_request *request);
    void *ctx;
    struct httpd_request *open;
    bool stopping;
};

static void run(struct httpd *h);

/* ---- a request's life ----------------------------------------------------------------------- */

static struct httpd_request *request_new(struct httpd *h, const char *uri,
                                         struct MHD_Connection *connection)
{
    struct httpd_request *r = mem_alloc(sizeof *r);
    r->server = h;
    r->connection = connection;
    r->uri = mem_dup(uri);
    r->body.max = h->body_max;
    r->next = h->open;
    r->link = &h->open;
    if (h->open)
        h->open->link = &r->next;
    h->open = r;
    return r;
}

static void *request_begun(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    return request_new(ctx, uri, connection);
}

static void request_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                              enum MHD_RequestTerminationCode why)
{
    (void)ctx, (void)connection, (void)why;
    struct httpd_request *r = *slot;
    if (!r)
        return;
    *slot = NULL;
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    if (r->response)
        MHD_destroy_response(r->response);
    free(r->uri);
    free(r->method);
    buf_wipe(&r->body);
    free(r);
}

static struct MHD_Response *make_response(const char *const *headers, struct str body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.n, (void *)body.p, MHD_RESPMEM_MUST_COPY);
    if (!response)
        abort();
    for (; headers && *headers; headers++) {
        struct str rest = str_of(*headers);
        AUTO_FREE char *name = str_dup(str_cut(&rest, ':'));
        AUTO_FREE char *value = str_dup(str_trim(rest));
        MHD_add_response_header(response, name, value);
    }
    return response;
}

static void prepare(struct httpd_request *r, int status, const char *const *headers,
                    struct str body)
{
    r->response = make_response(headers, body);
    r->status = status;
    r->state = ANSWER_READY;
}

static enum MHD_Result deliver(struct httpd_request *r)
{
    if (r->state == ANSWER_DROP)
        return MHD_NO;
    return MHD_queue_response(r->connection, (unsigned)r->status, r->response);
}

static bool declares_too_much(struct httpd_request *r)
{
    struct str text = httpd_header(r, "Content-Length");
    int64_t n = 0;
    return text.n && (!str_to_i64(text, 0, INT64_MAX, &n) || n > (int64_t)DISCARD_MAX);
}

static void refuse_body(struct httpd_request *r)
{
    static const char *const headers[] = {"Content-Type: text/plain", NULL};
    prepare(r, MHD_HTTP_CONTENT_TOO_LARGE, headers, STR("the request is too long\n"));
}

static enum MHD_Result take_body(struct httpd_request *r, const char *data, size_t *size)
{
    size_t room = r->server->body_max - r->body.len;
    if (r->too_long || *size > room) {
        r->too_long = true;
        r->discarded += *size;
        if (r->discarded > DISCARD_MAX)
            return MHD_NO;
    } else {
        buf_add(&r->body, data, *size);
    }
    *size = 0;
    return MHD_YES;
}

/* The library calls this when the headers are there, for each piece of the body, when the request
 * is whole, and after a resume. */
static enum MHD_Result serve(void *ctx, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **slot)
{
    (void)url, (void)version;
    struct httpd *h = ctx;
    struct httpd_request *r = *slot;
    if (!r)
        r = *slot = request_new(h, url, connection);
    if (h->stopping)
        return MHD_NO;
    if (!r->seen) {
        r->seen = true;
        r->method = mem_dup(method);
        if (!declares_too_much(r))
            return MHD_YES;
        refuse_body(r);
        return deliver(r);
    }
    if (*size)
        return take_body(r, data, size);
    if (!r->handled) {
        r->handled = true;
        if (r->too_long)
            refuse_body(r);
        else
            h->handle(h->ctx, r);
    }
    if (r->state != ANSWER_NONE)
        return deliver(r);
    r->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void timer_fired(uv_timer_t *t);

/* Nothing in the epoll set tells of a resumed connection: the timer lets the library look. */
static void go_on(struct httpd_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->connection);
    uv_timer_start(&r->server->timer, timer_fired, 0, 0);
}

void httpd_answer(struct httpd_request *r, int status, const char *const *headers, struct str body)
{
    if (r->state != ANSWER_NONE)
        return;
    prepare(r, status, headers, body);
    go_on(r);
}

void httpd_drop(struct httpd_request *r)
{
    if (r->state != ANSWER_NONE)
        return;
    r->state = ANSWER_DROP;
    go_on(r);
}

/* ---- what a handler may ask ----------------------------------------------------------------- */

struct str httpd_method(const struct httpd_request *r)
{
    return str_of(r->method);
}

struct str httpd_path(const struct httpd_request *r)
{
    struct str rest = str_of(r->uri);
    return str_cut(&rest, '?');
}

struct str httpd_query(const struct httpd_request *r)
{
    struct str rest = str_of(r->uri);
    str_cut(&rest, '?');
    return rest.p ? rest : STR("");
}

struct str httpd_body(const struct httpd_request *r)
{
    return buf_view(&r->body);
}

struct header_visit {
    void (*fn)(void *ctx, struct str name, struct str value);
    void *ctx;
};

static enum MHD_Result visit_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t name_n, const char *value, size_t value_n)
{
    (void)kind;
    const struct header_visit *v = ctx;
    v->fn(v->ctx, (struct str){name, name_n}, str_trim((struct str){value ? value : "", value_n}));
    return MHD_YES;
}

void httpd_headers(const struct httpd_request *r,
                   void (*fn)(void *ctx, struct str name, struct str value), void *ctx)
{
    struct header_visit v = {fn, ctx};
    MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, visit_header, &v);
}

struct header_search {
    const char *name;
    struct str value;
    bool found;
};

static void match_header(void *ctx, struct str name, struct str value)
{
    struct header_search *s = ctx;
    size_t n = strlen(s->name);
    if (s->found || name.n != n || strncasecmp(name.p, s->name, n) != 0)
        return;
    s->found = true;
    s->value = value;
}

struct str httpd_header(const struct httpd_request *r, const char *name)
{
    struct header_search s = {.name = name, .value = STR("")};
    httpd_headers(r, match_header, &s);
    return s.value;
}

const struct sockaddr *httpd_peer(const struct httpd_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

void httpd_set_user_data(struct httpd_request *r, void *data)
{
    r->user_data = data;
}

void *httpd_user_data(const struct httpd_request *r)
{
    return r->user_data;
}

/* ---- the library on the loop ---------------------------------------------------------------- */

static void timer_fired(uv_timer_t *t)
{
    run(t->data);
}

static void polled(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    run(p->data);
}

static void run(struct httpd *h)
{
    MHD_run(h->daemon);
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        uv_timer_start(&h->timer, timer_fired, ms, 0);
    else
        uv_timer_stop(&h->timer);
}

/* Paths stay as they were sent: their readers decide about escapes. */
static size_t keep_escaped(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx, (void)connection;
    return strlen(text);
}

static int open_socket(const struct sockaddr_storage *address, struct err *err)
{
    socklen_t size =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = port_socket(address->ss_family, SOCK_STREAM, true);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot make a socket to listen on");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int sys = errno;
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool six = address->ss_family == AF_INET6;
    inet_ntop(address->ss_family, six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
              text, sizeof text);
    close(fd);
    return err_set_sys(err, sys, "cannot listen on %s port %d", text,
                       ntohs(six ? v6->sin6_port : v4->sin_port));
}

static int port_of(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
        return 0;
    if (ss.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
    return ss.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&ss)->sin_port) : 0;
}

static struct MHD_Daemon *open_daemon(struct httpd *h, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, serve, h, MHD_OPTION_LISTEN_SOCKET,
        (MHD_socket)fd, MHD_OPTION_URI_LOG_CALLBACK, request_begun, h, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

int httpd_start(struct loop *loop, const struct httpd_options *o, struct httpd **out,
                struct err *err)
{
    int fd = o->listen_fd >= 0 ? o->listen_fd : open_socket(&o->address, err);
    if (fd < 0)
        return -1;
    struct httpd *h = mem_alloc(sizeof *h);
    h->loop = loop;
    h->port = port_of(fd);
    h->body_max = o->body_max ? o->body_max : HTTPD_BODY_MAX;
    h->handle = o->handle;
    h->ctx = o->ctx;
    h->daemon = open_daemon(h, fd);
    const union MHD_DaemonInfo *info =
        h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(loop_uv(loop), &h->poll, info->epoll_fd) != 0) {
        if (h->daemon)
            MHD_stop_daemon(h->daemon);
        free(h);
        return err_set(err, ERR_INTERNAL, "cannot start the HTTP server");
    }
    uv_timer_init(loop_uv(loop), &h->timer);
    h->poll.data = h->timer.data = h;
    h->open_handles = 2;
    uv_poll_start(&h->poll, UV_READABLE, polled);
    *out = h;
    return 0;
}

int httpd_port(const struct httpd *h)
{
    return h->port;
}

static void handle_closed(uv_handle_t *handle)
{
    struct httpd *h = handle->data;
    if (--h->open_handles == 0)
        free(h);
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    /* The library refuses to stop while a connection is suspended. */
    h->stopping = true;
    for (struct httpd_request *r = h->open; r; r = r->next)
        go_on(r);
    MHD_run(h->daemon);
    uv_poll_stop(&h->poll);
    uv_timer_stop(&h->timer);
    uv_close((uv_handle_t *)&h->poll, handle_closed);
    uv_close((uv_handle_t *)&h->timer, handle_closed);
    MHD_stop_daemon(h->daemon);
}

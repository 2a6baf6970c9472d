/* See dial.h. */
#include "ssh/dial.h"
#include "base/mem.h"
#include "base/port.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIAL_ADDRESSES_MAX 8

/* A host that dies without a word (its instance killed, its network cut) is noticed after
 * KEEPALIVE_IDLE + KEEPALIVE_COUNT * KEEPALIVE_INTERVAL seconds, and what was sent to it is given
 * up after UNACKED_MAX_MSEC. */
#define KEEPALIVE_IDLE 15
#define KEEPALIVE_INTERVAL 5
#define KEEPALIVE_COUNT 3
#define UNACKED_MAX_MSEC 30000

/* uv calls back for a name even where nobody waits any more, so the request has its own life. */
struct lookup {
    uv_getaddrinfo_t req;
    struct dial *dial; /* NULL: stopped */
};

struct poller {
    uv_poll_t uv;
    struct dial *dial;
};

struct dial {
    struct loop *loop;
    int port;
    usec_t timeout;
    dial_done_fn *done;
    void *ctx;
    struct sockaddr_storage addresses[DIAL_ADDRESSES_MAX];
    size_t count, next;
    struct lookup *lookup;
    struct timer *timer; /* the start, or the deadline of the address being tried */
    struct poller *poller;
    int fd;
    struct err err; /* of the last address */
};

static void poller_closed(uv_handle_t *h)
{
    free(h->data);
}

/* Forgets the address being tried; closes the socket unless it is given away before. */
static void drop_socket(struct dial *d)
{
    timer_stop(TAKE(d->timer));
    if (d->poller)
        uv_close((uv_handle_t *)&d->poller->uv, poller_closed);
    d->poller = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

void dial_stop(struct dial *d)
{
    if (!d)
        return;
    drop_socket(d);
    if (d->lookup) {
        d->lookup->dial = NULL;
        uv_cancel((uv_req_t *)&d->lookup->req);
    }
    free(d);
}

static void finish(struct dial *d, int fd)
{
    dial_done_fn *done = d->done;
    void *ctx = d->ctx;
    struct err err = d->err;
    dial_stop(d);
    done(ctx, fd, fd >= 0 ? NULL : &err);
}

static void set_options(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL, count = KEEPALIVE_COUNT;
    unsigned unacked = UNACKED_MAX_MSEC;
    /* Each is an improvement, none a need: a refusal is no error. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof unacked);
}

static void note_failure(struct dial *d, int sys)
{
    bool ours = sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM;
    if (ours) {
        err_set_sys(&d->err, sys, "cannot open a connection");
        return;
    }
    char text[128] = "";
    const char *said = strerror_r(sys, text, sizeof text);
    char small[128];
    size_t n = strnlen(said, sizeof small - 1);
    memcpy(small, said, n);
    small[n] = '\0';
    if (small[0] >= 'A' && small[0] <= 'Z')
        small[0] = (char)(small[0] - 'A' + 'a'); /* "connection refused" */
    err_set(&d->err, sys == ETIMEDOUT ? ERR_TIMEOUT : ERR_UNREACHABLE, "%s", small);
    d->err.sys = sys;
}

static void try_next(struct dial *d);

static void timed_out(void *ctx)
{
    struct dial *d = ctx;
    drop_socket(d);
    err_set(&d->err, ERR_TIMEOUT, "no answer to the connection request");
    try_next(d);
}

static void writable(uv_poll_t *p, int status, int events)
{
    (void)events;
    struct dial *d = ((struct poller *)p->data)->dial;
    int sys = 0;
    socklen_t size = sizeof sys;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &sys, &size) == -1)
        sys = errno;
    if (sys == 0 && status < 0)
        sys = -status;
    if (sys == 0) {
        int fd = d->fd;
        d->fd = -1;
        finish(d, fd);
        return;
    }
    drop_socket(d);
    note_failure(d, sys);
    try_next(d);
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* Starts on one address; -1 where it failed at once (d->err is set). */
static int try_address(struct dial *d, const struct sockaddr_storage *a)
{
    d->fd = port_socket(a->ss_family, SOCK_STREAM, true);
    if (d->fd < 0) {
        note_failure(d, errno);
        return -1;
    }
    set_options(d->fd);
    if (connect(d->fd, (const struct sockaddr *)a, address_size(a)) == -1 && errno != EINPROGRESS) {
        note_failure(d, errno);
        drop_socket(d);
        return -1;
    }
    d->poller = mem_alloc(sizeof *d->poller);
    d->poller->dial = d;
    d->poller->uv.data = d->poller;
    int rc = uv_poll_init(loop_uv(d->loop), &d->poller->uv, d->fd);
    if (rc != 0) {
        free(TAKE(d->poller));
        note_failure(d, -rc);
        drop_socket(d);
        return -1;
    }
    uv_poll_start(&d->poller->uv, UV_WRITABLE, writable);
    d->timer = timer_start(d->loop, d->timeout, timed_out, d);
    return 0;
}

static void try_next(struct dial *d)
{
    while (d->next < d->count)
        if (try_address(d, &d->addresses[d->next++]) == 0)
            return;
    finish(d, -1);
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = req->data;
    struct dial *d = lookup->dial;
    free(lookup);
    if (d) {
        d->lookup = NULL;
        for (const struct addrinfo *a = list; a && d->count < DIAL_ADDRESSES_MAX; a = a->ai_next)
            memcpy(&d->addresses[d->count++], a->ai_addr, a->ai_addrlen);
        if (status != 0)
            err_set(&d->err, ERR_UNREACHABLE, "cannot resolve the name: %s", uv_strerror(status));
        try_next(d);
    }
    uv_freeaddrinfo(list);
}

static void begin(void *ctx)
{
    struct dial *d = ctx;
    timer_stop(TAKE(d->timer));
    if (d->count) {
        try_next(d);
        return;
    }
    if (d->lookup)
        return;
    finish(d, -1);
}

/* Whether the address is numeric; then it needs no thread. */
static bool parse_numeric(struct dial *d, const char *address)
{
    struct sockaddr_storage *a = &d->addresses[0];
    if (uv_ip4_addr(address, d->port, (struct sockaddr_in *)a) != 0 &&
        uv_ip6_addr(address, d->port, (struct sockaddr_in6 *)a) != 0)
        return false;
    d->count = 1;
    return true;
}

struct dial *dial_start(struct loop *loop, const char *address, int port, usec_t timeout,
                        dial_done_fn *done, void *ctx)
{
    struct dial *d = mem_alloc(sizeof *d);
    *d = (struct dial){
        .loop = loop, .port = port, .timeout = timeout, .done = done, .ctx = ctx, .fd = -1};
    if (!parse_numeric(d, address)) {
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        AUTO_FREE char *service = mem_printf("%d", port);
        d->lookup = mem_alloc(sizeof *d->lookup);
        d->lookup->dial = d;
        d->lookup->req.data = d->lookup;
        int rc = uv_getaddrinfo(loop_uv(loop), &d->lookup->req, resolved, address, service, &hints);
        if (rc == 0)
            return d;
        free(TAKE(d->lookup));
        err_set(&d->err, ERR_UNREACHABLE, "cannot resolve the name: %s", uv_strerror(rc));
    }
    d->timer = timer_start(loop, 0, begin, d);
    return d;
}

/* An HTTP server inside a test: a TCP listener on the test's own loop, which hands each whole
 * request to a function that writes the raw answer. Included by tests, once each. */
#ifndef TEST_FAKE_HTTP_H
#define TEST_FAKE_HTTP_H

#include "base/buf.h"
#include "base/mem.h"
#include "os/loop.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct fake_http {
    uv_tcp_t server;
    int port;
    /* Writes the answer, status line and all, to `reply`. Nothing: the connection stays open
     * without one, or is dropped where *drop is set. */
    void (*answer)(void *ctx, struct str request, struct buf *reply, bool *drop);
    void *ctx;
    int connections, requests;
    struct fake_client *clients;
    bool closed;
};

struct fake_client {
    uv_tcp_t tcp;
    struct fake_http *fake;
    struct fake_client *next;
    struct buf in;
    char block[65536];
    bool closed, drop;
};

struct fake_write {
    uv_write_t write;
    struct buf text;
    struct fake_client *client;
};

static void fake_closed(uv_handle_t *h)
{
    *(bool *)h->data = true;
}

static void fake_client_close(struct fake_client *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    c->tcp.data = &c->closed;
    uv_close((uv_handle_t *)&c->tcp, fake_closed);
}

static void fake_written(uv_write_t *w, int status)
{
    (void)status;
    struct fake_write *f = w->data;
    if (f->client->drop)
        fake_client_close(f->client);
    buf_done(&f->text);
    free(f);
}

/* The value of a header of a raw request; empty where it is absent. */
static inline struct str fake_header(struct str request, const char *name)
{
    struct str rest = request;
    size_t n = strlen(name);
    while (rest.p) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.n == 0)
            break;
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
            return str_trim((struct str){line.p + n + 1, line.n - n - 1});
    }
    return STR("");
}

/* What stands behind the empty line. */
static inline struct str fake_body(struct str request)
{
    const char *end = memmem(request.p, request.n, "\r\n\r\n", 4);
    if (!end)
        return STR("");
    return (struct str){end + 4, (size_t)(request.p + request.n - end - 4)};
}

static inline void fake_reply(struct buf *reply, int status, const char *headers, const char *body)
{
    buf_addf(reply, "HTTP/1.1 %d Fake\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body),
             headers, body);
}

static void fake_take(struct fake_client *c)
{
    const char *end;
    while (c->in.len && (end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4))) {
        size_t head = (size_t)(end - c->in.data) + 4;
        int64_t body = 0;
        if (!str_to_i64(fake_header(buf_view(&c->in), "Content-Length"), 0, 1 << 30, &body))
            body = 0;
        if (c->in.len < head + (size_t)body)
            return;
        struct fake_write *f = mem_alloc(sizeof *f);
        f->client = c;
        f->text.max = (size_t)1 << 30;
        c->fake->requests++;
        c->fake->answer(c->fake->ctx, (struct str){c->in.data, head + (size_t)body}, &f->text,
                        &c->drop);
        buf_consume(&c->in, head + (size_t)body);
        if (f->text.len) {
            uv_buf_t bytes = uv_buf_init(f->text.data, (unsigned)f->text.len);
            f->write.data = f;
            uv_write(&f->write, (uv_stream_t *)&c->tcp, &bytes, 1, fake_written);
            if (c->drop)
                return;
            continue;
        }
        buf_done(&f->text);
        free(f);
        if (c->drop) {
            fake_client_close(c);
            return;
        }
    }
}

static void fake_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct fake_client *c = h->data;
    *out = uv_buf_init(c->block, sizeof c->block);
}

static void fake_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct fake_client *c = s->data;
    if (n < 0) {
        fake_client_close(c);
        return;
    }
    buf_add(&c->in, b->base, (size_t)n);
    fake_take(c);
}

static void fake_connected(uv_stream_t *server, int status)
{
    (void)status;
    struct fake_http *f = server->data;
    struct fake_client *c = mem_alloc(sizeof *c);
    c->fake = f;
    c->next = f->clients;
    f->clients = c;
    f->connections++;
    uv_tcp_init(server->loop, &c->tcp);
    c->tcp.data = c;
    uv_accept(server, (uv_stream_t *)&c->tcp);
    uv_read_start((uv_stream_t *)&c->tcp, fake_block, fake_read);
}

static inline void
fake_start(struct fake_http *f, struct loop *loop,
           void (*answer)(void *ctx, struct str request, struct buf *reply, bool *drop), void *ctx)
{
    *f = (struct fake_http){.answer = answer, .ctx = ctx};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int n = sizeof at;
    if (uv_tcp_init(loop_uv(loop), &f->server) ||
        uv_tcp_bind(&f->server, (struct sockaddr *)&at, 0) ||
        uv_listen((uv_stream_t *)&f->server, 64, fake_connected) ||
        uv_tcp_getsockname(&f->server, (struct sockaddr *)&at, &n))
        abort();
    f->server.data = f;
    f->port = ntohs(at.sin_port);
}

static bool fake_all_closed(void *ctx)
{
    struct fake_http *f = ctx;
    for (struct fake_client *c = f->clients; c; c = c->next)
        if (!c->closed)
            return false;
    return f->closed;
}

static inline void fake_stop(struct fake_http *f, struct loop *loop)
{
    f->server.data = &f->closed;
    uv_close((uv_handle_t *)&f->server, fake_closed);
    for (struct fake_client *c = f->clients; c; c = c->next)
        fake_client_close(c);
    if (loop_wait(loop, fake_all_closed, f, 5 * USEC_PER_SEC, NULL) == -1)
        abort();
    while (f->clients) {
        struct fake_client *next = f->clients->next;
        buf_done(&f->clients->in);
        free(f->clients);
        f->clients = next;
    }
}

#endif

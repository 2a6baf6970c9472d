/* The HTTP server, spoken to by plain sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/httpd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 5000

enum mode { MODE_TELL, MODE_KEEP, MODE_DROP, MODE_DATE };

struct fixture {
    struct loop *loop;
    struct httpd *server;
    enum mode mode;
    struct httpd_request *kept;
    int handled;
    struct sockaddr_storage peer;
};

static void add_header(void *ctx, struct str name, struct str value)
{
    buf_addf(ctx, "[%.*s=%.*s]", STR_FMT(name), STR_FMT(value));
}

static void tell(struct httpd_request *r)
{
    static const char *const headers[] = {"Content-Type: text/plain", "X-Mark:  spaced ", NULL};
    AUTO_BUF struct buf b = {0};
    buf_addf(&b, "%.*s|%.*s|%.*s|%.*s|", STR_FMT(httpd_method(r)), STR_FMT(httpd_path(r)),
             STR_FMT(httpd_query(r)), STR_FMT(httpd_body(r)));
    httpd_headers(r, add_header, &b);
    struct str mark = httpd_header(r, "x-MARK");
    buf_addf(&b, "|%.*s", STR_FMT(mark));
    httpd_answer(r, 200, headers, buf_view(&b));
}

static void handle(void *ctx, struct httpd_request *r)
{
    struct fixture *f = ctx;
    static const char *const date[] = {"Date: Thu, 01 Jan 1970 00:00:00 GMT", NULL};
    f->handled++;
    assert_null(httpd_user_data(r));
    httpd_set_user_data(r, f);
    assert_ptr_equal(httpd_user_data(r), f);
    if (httpd_peer(r)->sa_family == AF_INET)
        memcpy(&f->peer, httpd_peer(r), sizeof(struct sockaddr_in));
    switch (f->mode) {
    case MODE_TELL:
        tell(r);
        break;
    case MODE_KEEP:
        f->kept = r;
        break;
    case MODE_DROP:
        httpd_drop(r);
        break;
    case MODE_DATE:
        httpd_answer(r, 404, date, STR(""));
        break;
    }
}

static struct httpd_options options(struct fixture *f)
{
    struct httpd_options o = {.listen_fd = -1, .handle = handle, .ctx = f, .body_max = 1000};
    struct sockaddr_in *a = (struct sockaddr_in *)&o.address;
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return o;
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->loop = loop_new();
    struct httpd_options o = options(f);
    if (httpd_start(f->loop, &o, &f->server, NULL) == -1)
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    httpd_stop(f->server);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void turn(struct fixture *f)
{
    assert_int_equal(loop_pause(f->loop, USEC_PER_MSEC, NULL), 0);
}

static int dial_port(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static int dial(struct fixture *f)
{
    return dial_port(httpd_port(f->server));
}

static void say(struct fixture *f, int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        } else if (errno != EAGAIN) {
            return; /* the server has had enough */
        }
        turn(f);
    }
}

/* Reads until `until` has come, or the end; true at the end. */
static bool hear(struct fixture *f, int fd, const char *until, struct buf *out)
{
    char block[4096];
    for (int i = 0; i < PATIENCE_MS; i++) {
        ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
        if (n > 0)
            buf_add(out, block, (size_t)n);
        if (until && strstr(buf_text(out), until))
            return false;
        turn(f);
    }
    fail_msg("no answer; so far: %s", buf_text(out));
    return false;
}

/* One request on a connection of its own; what came back until its end. */
static char *ask(struct fixture *f, const char *text)
{
    struct buf out = {0};
    int fd = dial(f);
    say(f, fd, str_of(text));
    hear(f, fd, NULL, &out);
    close(fd);
    return buf_take(&out);
}

#define CLOSE "Host: h\r\nConnection: close\r\n"

static void test_views_of_a_request(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *got = ask(f, "POST /a%20b/../c?x=%41&y HTTP/1.1\r\n" CLOSE
                                 "X-Mark:  one two \r\nContent-Length: 5\r\n\r\nhello");
    assert_non_null(strstr(got, "HTTP/1.1 200 "));
    assert_non_null(strstr(got, "X-Mark: spaced\r\n"));
    assert_non_null(strstr(got, "\r\n\r\nPOST|/a%20b/../c|x=%41&y|hello|[Host=h][Connection=close]"
                                "[X-Mark=one two][Content-Length=5]|one two"));
    assert_int_equal(((struct sockaddr_in *)&f->peer)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void test_a_chunked_body(void **state)
{
    AUTO_FREE char *got =
        ask(*state, "POST / HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_non_null(strstr(got, "POST|/||abcde|"));
}

static void test_one_connection_serves_many(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF struct buf out = {0};
    int fd = dial(f);
    say(f, fd, STR("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_false(hear(f, fd, "GET|/2|", &out));
    assert_non_null(strstr(buf_text(&out), "GET|/1|"));
    say(f, fd, STR("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_false(hear(f, fd, "GET|/3|", &out));
    close(fd);
    assert_int_equal(f->handled, 3);
}

static void test_an_answer_may_come_later(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF struct buf out = {0};
    f->mode = MODE_KEEP;
    int fd = dial(f);
    say(f, fd, STR("POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"));
    for (int i = 0; i < PATIENCE_MS && !f->kept; i++)
        turn(f);
    assert_non_null(f->kept);
    assert_int_equal(recv(fd, (char[1]){0}, 1, MSG_DONTWAIT), -1);
    assert_true(str_is(httpd_body(f->kept), "ok"));
    httpd_answer(f->kept, 201, NULL, STR("late"));
    assert_false(hear(f, fd, "late", &out));
    assert_non_null(strstr(buf_text(&out), "201"));
    assert_int_equal(f->handled, 1);
    close(fd);
}

static void test_dropping(void **state)
{
    struct fixture *f = *state;
    f->mode = MODE_DROP;
    AUTO_FREE char *now = ask(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(now, "");
    AUTO_BUF struct buf out = {0};
    f->mode = MODE_KEEP;
    int fd = dial(f);
    say(f, fd, STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (int i = 0; i < PATIENCE_MS && !f->kept; i++)
        turn(f);
    httpd_drop(f->kept);
    assert_true(hear(f, fd, NULL, &out));
    assert_int_equal(out.len, 0);
    close(fd);
}

static void test_a_client_that_goes_while_it_waits(void **state)
{
    struct fixture *f = *state;
    f->mode = MODE_KEEP;
    int fd = dial(f);
    say(f, fd, STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (int i = 0; i < PATIENCE_MS && !f->kept; i++)
        turn(f);
    close(fd);
    turn(f);
    httpd_answer(f->kept, 200, NULL, STR("nobody hears this"));
    turn(f);
    f->mode = MODE_TELL;
    AUTO_FREE char *got = ask(f, "GET /next HTTP/1.1\r\n" CLOSE "\r\n");
    assert_non_null(strstr(got, "GET|/next|"));
}

static void test_stopping_with_a_request_open(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF struct buf out = {0};
    f->mode = MODE_KEEP;
    int fd = dial(f);
    say(f, fd, STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (int i = 0; i < PATIENCE_MS && !f->kept; i++)
        turn(f);
    httpd_stop(f->server);
    f->server = NULL;
    assert_true(hear(f, fd, NULL, &out));
    assert_int_equal(out.len, 0);
    close(fd);
}

static void test_bodies_of_the_greatest_length(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *body = mem_printf("%01000d", 7);
    AUTO_FREE char *fits =
        mem_printf("POST / HTTP/1.1\r\n" CLOSE "Content-Length: 1000\r\n\r\n%s", body);
    AUTO_FREE char *got = ask(f, fits);
    assert_non_null(strstr(got, " 200 "));
    assert_non_null(strstr(got, body));
    AUTO_FREE char *long_one =
        mem_printf("POST / HTTP/1.1\r\n" CLOSE "Content-Length: 1001\r\n\r\n%s1", body);
    AUTO_FREE char *refused = ask(f, long_one);
    assert_non_null(strstr(refused, " 413 "));
    AUTO_FREE char *chunked =
        mem_printf("POST / HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n"
                   "3e8\r\n%s\r\n1\r\nx\r\n0\r\n\r\n",
                   body);
    AUTO_FREE char *refused_too = ask(f, chunked);
    assert_non_null(strstr(refused_too, " 413 "));
    AUTO_FREE char *huge =
        ask(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n");
    assert_non_null(strstr(huge, " 413 "));
    assert_int_equal(f->handled, 1);
}

static void test_malformed_requests(void **state)
{
    struct fixture *f = *state;
    static const char *const pieces[] = {
        "\x01\x02\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\ncut",
        "GET / HTTP/1.1\r\nHo",
        "GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        AUTO_BUF struct buf out = {0};
        int fd = dial(f);
        say(f, fd, str_of(pieces[i]));
        shutdown(fd, SHUT_WR);
        hear(f, fd, NULL, &out);
        close(fd);
    }
    AUTO_BUF struct buf long_line = {0};
    buf_adds(&long_line, "GET /");
    for (int i = 0; i < 100000; i++)
        buf_addc(&long_line, 'x');
    buf_adds(&long_line, " HTTP/1.1\r\n\r\n");
    AUTO_FREE char *refused = ask(f, buf_text(&long_line));
    assert_null(strstr(refused, " 200 "));
    f->handled = 0;
    AUTO_FREE char *got = ask(f, "GET /still HTTP/1.1\r\n" CLOSE "\r\n");
    assert_non_null(strstr(got, "GET|/still|"));
    assert_int_equal(f->handled, 1);
}

static void test_a_date_of_the_handlers_own(void **state)
{
    struct fixture *f = *state;
    f->mode = MODE_DATE;
    AUTO_FREE char *got = ask(f, "GET / HTTP/1.1\r\n" CLOSE "\r\n");
    const char *first = strstr(got, "\r\nDate: ");
    assert_non_null(first);
    assert_memory_equal(first, "\r\nDate: Thu, 01 Jan 1970", 24);
    assert_null(strstr(first + 4, "\r\nDate: "));
}

static void test_a_taken_port(void **state)
{
    struct fixture *f = *state;
    struct httpd_options o = options(f);
    struct httpd *second = NULL;
    struct err err = {0};
    ((struct sockaddr_in *)&o.address)->sin_port = htons((uint16_t)httpd_port(f->server));
    assert_int_equal(httpd_start(f->loop, &o, &second, &err), -1);
    assert_int_equal(err.sys, EADDRINUSE);
    assert_non_null(strstr(err.msg, "127.0.0.1 port "));
    assert_null(second);
}

static void test_a_socket_from_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct httpd_options o = options(f);
    struct httpd *second = NULL;
    AUTO_BUF struct buf out = {0};
    o.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(o.listen_fd, (struct sockaddr *)&o.address, sizeof(struct sockaddr_in)),
                     0);
    assert_int_equal(listen(o.listen_fd, 5), 0);
    assert_int_equal(httpd_start(f->loop, &o, &second, NULL), 0);
    assert_true(httpd_port(second) > 0);
    assert_int_not_equal(httpd_port(second), httpd_port(f->server));
    int fd = dial_port(httpd_port(second));
    say(f, fd, STR("GET /there HTTP/1.1\r\n" CLOSE "\r\n"));
    hear(f, fd, NULL, &out);
    assert_non_null(strstr(buf_text(&out), "GET|/there|"));
    close(fd);
    httpd_stop(second);
}

static void test_ipv6(void **state)
{
    struct fixture *f = *state;
    struct httpd_options o = {.listen_fd = -1, .handle = handle, .ctx = f};
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)&o.address;
    struct httpd *second = NULL;
    struct err err = {0};
    AUTO_BUF struct buf out = {0};
    a->sin6_family = AF_INET6;
    a->sin6_addr = in6addr_loopback;
    if (httpd_start(f->loop, &o, &second, &err) == -1) {
        assert_true(err.sys == EADDRNOTAVAIL || err.sys == EAFNOSUPPORT);
        skip(); /* this machine has no IPv6 */
    }
    a->sin6_port = htons((uint16_t)httpd_port(second));
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)a, sizeof *a), 0);
    say(f, fd, STR("GET /six HTTP/1.1\r\n" CLOSE "\r\n"));
    hear(f, fd, NULL, &out);
    assert_non_null(strstr(buf_text(&out), "GET|/six|"));
    close(fd);
    httpd_stop(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_views_of_a_request),
        TEST(test_a_chunked_body),
        TEST(test_one_connection_serves_many),
        TEST(test_an_answer_may_come_later),
        TEST(test_dropping),
        TEST(test_a_client_that_goes_while_it_waits),
        TEST(test_stopping_with_a_request_open),
        TEST(test_bodies_of_the_greatest_length),
        TEST(test_malformed_requests),
        TEST(test_a_date_of_the_handlers_own),
        TEST(test_a_taken_port),
        TEST(test_a_socket_from_elsewhere),
        TEST(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

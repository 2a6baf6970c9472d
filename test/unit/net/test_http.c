/* The HTTP client against a server in the same process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "fake_http.h"
#include "net/http.h"

struct world {
    struct loop *loop;
    struct http *http;
    struct fake_http fake;
    struct buf last; /* the last request */
    int mode;
};

enum {
    MODE_ECHO,
    MODE_HOLD,
    MODE_DROP,
    MODE_REDIRECT,
    MODE_GARBAGE,
    MODE_LONG_HEADERS,
    MODE_LONG_BODY,
    MODE_CONTINUE,
    MODE_SHORT_BODY
};

static void answer(void *ctx, struct str request, struct buf *reply, bool *drop)
{
    struct world *w = ctx;
    buf_clear(&w->last);
    buf_add_str(&w->last, request);
    switch (w->mode) {
    case MODE_ECHO:
        fake_reply(reply, 200, "X-One:  two \r\nx-three: four\r\n", "hello");
        return;
    case MODE_DROP:
        *drop = true;
        return;
    case MODE_REDIRECT:
        fake_reply(reply, 302, "Location: http://127.0.0.1:1/\r\n", "");
        return;
    case MODE_GARBAGE:
        buf_adds(reply, "this is no HTTP\r\n\r\n");
        *drop = true;
        return;
    case MODE_LONG_HEADERS:
        buf_adds(reply, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (int i = 0; i < 1500; i++)
            buf_addf(reply, "X-%d: %060d\r\n", i, i);
        buf_adds(reply, "\r\n");
        *drop = true;
        return;
    case MODE_LONG_BODY:
        buf_addf(reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", HTTP_BODY_MAX + 1);
        for (size_t n = 0; n <= HTTP_BODY_MAX; n += 4096) {
            static const char block[4096];
            buf_add(reply, block, sizeof block);
        }
        *drop = true;
        return;
    case MODE_CONTINUE:
        buf_adds(reply, "HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n");
        fake_reply(reply, 200, "X-Late: yes\r\n", "after");
        return;
    case MODE_SHORT_BODY:
        buf_adds(reply, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all");
        *drop = true;
        return;
    default:
        return;
    }
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    struct http_options o = {.max_in_flight = 4};
    w->loop = loop_new();
    fake_start(&w->fake, w->loop, answer, w);
    assert_int_equal(http_new(w->loop, &o, &w->http, NULL), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    http_free(w->http);
    fake_stop(&w->fake, w->loop);
    loop_free(w->loop);
    buf_done(&w->last);
    free(w);
    return 0;
}

static int get(struct world *w, struct http_response *r, struct err *err)
{
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/some/../path?x=%%20y", w->fake.port);
    return http_run(w->http, &(struct http_request){.method = "GET", .url = url}, r, err);
}

static void test_get(void **state)
{
    struct world *w = *state;
    struct http_response r;
    assert_int_equal(get(w, &r, NULL), 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(buf_text(&r.body), "hello");
    assert_true(str_is(http_header(&r, "x-one"), "two"));
    assert_true(str_is(http_header(&r, "X-Three"), "four"));
    assert_null(http_header(&r, "X-Thr").p);
    assert_true(str_starts(buf_view(&w->last), "GET /some/../path?x=%20y HTTP/1.1\r\n"));
    assert_int_equal(fake_header(buf_view(&w->last), "Content-Type").n, 0);
    assert_true(str_starts(fake_header(buf_view(&w->last), "User-Agent"), "flambe/"));
    http_response_done(&r);
}

static void test_post_and_put(void **state)
{
    struct world *w = *state;
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/", w->fake.port);
    const char *headers[] = {"X-A: b", NULL};
    AUTO_BUF struct buf body = {0};
    for (int i = 0; i < 500000; i++)
        buf_adds(&body, "body"); /* long enough for libcurl's 100-continue, which must not be */
    struct http_request q = {
        .method = "POST", .url = url, .headers = headers, .body = buf_view(&body)};
    struct http_response r;
    assert_int_equal(http_run(w->http, &q, &r, NULL), 0);
    http_response_done(&r);
    assert_true(str_eq(fake_body(buf_view(&w->last)), buf_view(&body)));
    assert_true(str_is(fake_header(buf_view(&w->last), "X-A"), "b"));
    assert_int_equal(fake_header(buf_view(&w->last), "Expect").n, 0);
    assert_int_equal(fake_header(buf_view(&w->last), "Content-Type").n, 0);

    q = (struct http_request){.method = "PUT", .url = url};
    assert_int_equal(http_run(w->http, &q, &r, NULL), 0);
    http_response_done(&r);
    assert_true(str_starts(buf_view(&w->last), "PUT / HTTP/1.1"));
    assert_true(str_is(fake_header(buf_view(&w->last), "Content-Length"), "0"));
}

static void test_connection_is_kept(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++) {
        struct http_response r;
        assert_int_equal(get(w, &r, NULL), 0);
        http_response_done(&r);
    }
    assert_int_equal(w->fake.connections, 1);
    assert_int_equal(w->fake.requests, 5);
}

static void test_no_redirect(void **state)
{
    struct world *w = *state;
    struct http_response r;
    w->mode = MODE_REDIRECT;
    assert_int_equal(get(w, &r, NULL), 0);
    assert_int_equal(r.status, 302);
    http_response_done(&r);
}

static void test_continue(void **state)
{
    struct world *w = *state;
    struct http_response r;
    w->mode = MODE_CONTINUE;
    assert_int_equal(get(w, &r, NULL), 0);
    assert_int_equal(r.status, 200);
    assert_true(str_is(http_header(&r, "X-Late"), "yes"));
    assert_null(http_header(&r, "X-Early").p);
    http_response_done(&r);
}

static void test_failures(void **state)
{
    static const struct {
        int mode;
        enum err_code code;
        const char *words;
    } table[] = {{MODE_DROP, ERR_UNREACHABLE, "broke"},
                 {MODE_SHORT_BODY, ERR_UNREACHABLE, "broke"},
                 {MODE_GARBAGE, ERR_REJECTED, "HTTP/0.9"},
                 {MODE_LONG_HEADERS, ERR_LIMIT, "headers"},
                 {MODE_LONG_BODY, ERR_LIMIT, "longer"}};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response r;
        struct err err = {0};
        w->mode = table[i].mode;
        assert_int_equal(get(w, &r, &err), -1);
        if (!strstr(err.msg, table[i].words))
            fail_msg("mode %d: %s", table[i].mode, err.msg);
        assert_int_equal(err.code, table[i].code);
        assert_null(strstr(err.msg, "path?")); /* no more of a URL than its origin */
    }
    w->mode = MODE_ECHO; /* and it goes on */
    struct http_response r;
    assert_int_equal(get(w, &r, NULL), 0);
    http_response_done(&r);
}

static void test_timeout(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct http_response r;
    w->mode = MODE_HOLD;
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/", w->fake.port);
    struct http_request q = {.method = "GET", .url = url, .timeout = 100 * USEC_PER_MSEC};
    usec_t start = clock_mono(clock_system());
    assert_int_equal(http_run(w->http, &q, &r, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(clock_mono(clock_system()) - start < 5 * USEC_PER_SEC);
}

static void test_bad_addresses(void **state)
{
    static const struct {
        const char *url;
        enum err_code code;
    } table[] = {{"http://127.0.0.1:1/", ERR_UNREACHABLE},
                 {"file:///etc/passwd", ERR_REJECTED},
                 {"ftp://127.0.0.1/", ERR_REJECTED},
                 {"http://", ERR_REJECTED},
                 {"http://no-such-host.invalid/", ERR_UNREACHABLE}};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response r;
        struct err err = {0};
        struct http_request q = {.method = "GET", .url = table[i].url, .no_proxy = true};
        assert_int_equal(http_run(w->http, &q, &r, &err), -1);
        if (err.code != table[i].code)
            fail_msg("%s: %s: %s", table[i].url, err_name(err.code), err.msg);
    }
}

/* ---- many at once -----------------------------------------------------------------------------
 */

struct many {
    int done, failed;
    struct http_call *victim;
    bool inside_start;
};

static void counted(void *ctx, const struct http_response *r, const struct err *err)
{
    struct many *m = ctx;
    assert_false(m->inside_start);
    assert_true(!r != !err);
    m->done++;
    m->failed += err != NULL;
    if (m->victim) { /* cancelling from a callback is allowed */
        http_cancel(m->victim);
        m->victim = NULL;
    }
}

static bool all_done(void *ctx)
{
    const struct many *m = ctx;
    return m->done == 19;
}

static void test_many(void **state)
{
    struct world *w = *state;
    struct many m = {.inside_start = true};
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/", w->fake.port);
    struct http_request q = {.method = "GET", .url = url};
    for (int i = 0; i < 20; i++) {
        struct http_call *c = http_start(w->http, &q, counted, &m);
        if (i == 19)
            m.victim = c;
    }
    m.inside_start = false;
    assert_int_equal(loop_wait(w->loop, all_done, &m, 10 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(m.failed, 0);
    assert_true(w->fake.connections <= 4); /* max_in_flight */
    assert_int_equal(loop_pause(w->loop, 20 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(m.done, 19);
}

static void test_free_in_flight(void **state)
{
    struct world *w = *state;
    struct many m = {0};
    struct http *http;
    struct http_options o = {.max_in_flight = 2};
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/", w->fake.port);
    struct http_request q = {.method = "GET", .url = url};
    w->mode = MODE_HOLD;
    assert_int_equal(http_new(w->loop, &o, &http, NULL), 0);
    for (int i = 0; i < 5; i++)
        http_start(http, &q, counted, &m);
    assert_int_equal(loop_pause(w->loop, 50 * USEC_PER_MSEC, NULL), 0);
    http_free(http);
    assert_int_equal(loop_pause(w->loop, 10 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(m.done, 0);
}

static void test_cancelled_loop(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct http_response r;
    w->mode = MODE_HOLD;
    loop_cancel(w->loop);
    assert_int_equal(get(w, &r, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    loop_shield(w->loop); /* for the tear-down */
}

/* A proxy of the environment is never between us and this machine. */
static void test_loopback_goes_past_the_proxy(void **state)
{
    struct world *w = *state;
    struct http_response r;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(get(w, &r, NULL), 0);
    http_response_done(&r);
    struct err err = {0};
    struct http_request q = {.method = "GET", .url = "http://192.0.2.1/"};
    assert_int_equal(http_run(w->http, &q, &r, &err), -1); /* and is used elsewhere */
    assert_int_equal(err.code, ERR_UNREACHABLE);
    unsetenv("http_proxy");
}

static void test_tls(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct http_response r;
    AUTO_FREE char *url = mem_printf("https://127.0.0.1:%d/", w->fake.port);
    struct http_request q = {.method = "GET", .url = url, .timeout = 2 * USEC_PER_SEC};
    assert_int_equal(http_run(w->http, &q, &r, &err), -1); /* the fake speaks no TLS */
    struct http *http;
    struct http_options o = {.ca_bundle = "/nonexistent.pem"};
    assert_int_equal(http_new(w->loop, &o, &http, NULL), 0);
    assert_int_equal(http_run(http, &q, &r, &err), -1);
    assert_int_equal(err.code, ERR_REJECTED);
    http_free(http);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_get),
        T(test_post_and_put),
        T(test_connection_is_kept),
        T(test_no_redirect),
        T(test_continue),
        T(test_failures),
        T(test_timeout),
        T(test_bad_addresses),
        T(test_many),
        T(test_free_in_flight),
        T(test_cancelled_loop),
        T(test_loopback_goes_past_the_proxy),
        T(test_tls),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}

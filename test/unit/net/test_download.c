/* Files over HTTP: whole or not there, gone on with where the server allows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "fake_http.h"
#include "net/download.h"
#include "os/fs.h"
#include <unistd.h>

#define LENGTH 200000

enum mode {
    MODE_RANGES,
    MODE_PLAIN,       /* knows no ranges */
    MODE_WEAK,        /* a weak ETag, and at first half of what it promised */
    MODE_CUT,         /* ends after half of what it promised */
    MODE_STALL,       /* holds after half */
    MODE_CHANGED,     /* the first half is of another version */
    MODE_WRONG_RANGE, /* sends other bytes than asked for */
    MODE_AROUND,      /* leads to itself */
    MODE_AWAY,        /* leads to /moved */
    MODE_STATUS,
};

struct world {
    struct loop *loop;
    struct http *http;
    struct fake_http fake;
    enum mode mode;
    int status, requests;
    struct buf content, last;
    char dir[64], *path, *part, *note, *url;
    uint64_t so_far, total;
};

static void body(struct world *w, struct buf *reply, size_t from, const char *etag, bool *drop)
{
    size_t n = LENGTH - from;
    buf_addf(reply, "HTTP/1.1 %d Fake\r\nContent-Length: %zu\r\n", from ? 206 : 200, n);
    if (etag)
        buf_addf(reply, "ETag: %s\r\n", etag);
    if (from)
        buf_addf(reply, "Content-Range: bytes %zu-%d/%d\r\n",
                 w->mode == MODE_WRONG_RANGE ? from - 1 : from, LENGTH - 1, LENGTH);
    buf_adds(reply, "\r\n");
    bool half = (w->mode == MODE_CUT && n > 1000) || w->mode == MODE_STALL;
    if ((w->mode == MODE_CHANGED || w->mode == MODE_WEAK) && w->requests == 1)
        half = true;
    buf_add(reply, w->content.data + from, half ? n / 2 : n);
    *drop = half && w->mode != MODE_STALL;
}

static void answer(void *ctx, struct str request, struct buf *reply, bool *drop)
{
    struct world *w = ctx;
    int64_t from = 0;
    w->requests++;
    buf_clear(&w->last);
    buf_add_str(&w->last, request);
    struct str range = fake_header(request, "Range");
    const char *etag = w->mode == MODE_PLAIN                        ? NULL
                       : w->mode == MODE_WEAK                       ? "W/\"one\""
                       : w->mode == MODE_CHANGED && w->requests > 1 ? "\"two\""
                                                                    : "\"one\"";
    if (w->mode == MODE_STATUS) {
        fake_reply(reply, w->status, "", "words");
        return;
    }
    if (w->mode == MODE_AROUND || (w->mode == MODE_AWAY && str_starts(request, "GET /a"))) {
        fake_reply(reply, 307, w->mode == MODE_AWAY ? "Location: moved\r\n" : "Location: /a\r\n",
                   "x");
        return;
    }
    if (range.n && etag && str_is(fake_header(request, "If-Range"), etag) &&
        str_to_i64((struct str){range.p + 6, range.n - 7}, 0, INT64_MAX, &from) && from >= LENGTH) {
        buf_addf(reply,
                 "HTTP/1.1 416 Fake\r\nContent-Length: 0\r\nContent-Range: bytes */%d\r\n\r\n",
                 LENGTH);
        return;
    }
    body(w, reply, (size_t)from, etag, drop);
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    struct http_options o = {0};
    w->loop = loop_new();
    fake_start(&w->fake, w->loop, answer, w);
    assert_int_equal(http_new(w->loop, &o, &w->http, NULL), 0);
    for (int i = 0; w->content.len < LENGTH; i++)
        buf_addf(&w->content, "%07d\n", i);
    memcpy(w->dir, "/tmp/flambe-download-XXXXXX", 28);
    assert_non_null(mkdtemp(w->dir));
    w->path = fs_join(w->dir, "f");
    w->part = fs_join(w->dir, "f.part");
    w->note = fs_join(w->dir, "f.part.etag");
    w->url = mem_printf("http://u:p@127.0.0.1:%d/a?key=secret", w->fake.port);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    http_free(w->http);
    fake_stop(&w->fake, w->loop);
    loop_free(w->loop);
    assert_int_equal(fs_remove_tree(w->dir, NULL), 0);
    buf_done(&w->content);
    buf_done(&w->last);
    free(w->path);
    free(w->part);
    free(w->note);
    free(w->url);
    free(w);
    return 0;
}

static void progress(void *ctx, uint64_t so_far, uint64_t total)
{
    struct world *w = ctx;
    w->so_far = so_far;
    w->total = total;
}

static int get(struct world *w, struct err *err)
{
    struct download_order o = {.url = w->url,
                               .path = w->path,
                               .stall = USEC_PER_SEC,
                               .delay = 1000,
                               .progress = progress,
                               .ctx = w};
    struct download_result r;
    if (download_run(w->http, &o, &r, err) == -1)
        return -1;
    assert_int_equal(r.size, LENGTH);
    download_result_done(&r);
    return 0;
}

static void assert_there(struct world *w)
{
    AUTO_BUF struct buf text = {0};
    assert_int_equal(fs_read(w->path, LENGTH, &text, NULL), 0);
    assert_true(str_eq(buf_view(&text), buf_view(&w->content)));
    assert_false(fs_exists(w->part));
    assert_false(fs_exists(w->note));
}

static void write_part(struct world *w, size_t n, const char *etag)
{
    AUTO_FREE char *note = mem_printf("%s\n%s\n", w->url, etag);
    struct str bytes = {w->content.data, n};
    assert_int_equal(fs_write_atomic(w->part, 0644, bytes, NULL), 0);
    assert_int_equal(fs_write_atomic(w->note, 0644, str_of(note), NULL), 0);
}

static void test_whole(void **state)
{
    struct world *w = *state;
    enum mode modes[] = {MODE_RANGES, MODE_PLAIN, MODE_AWAY};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        w->mode = modes[i];
        assert_int_equal(get(w, NULL), 0);
        assert_there(w);
        assert_int_equal(w->so_far, LENGTH);
        assert_int_equal(w->total, LENGTH);
        unlink(w->path);
    }
    assert_true(str_starts(buf_view(&w->last), "GET /moved HTTP"));
}

static void test_goes_on(void **state)
{
    struct world *w = *state;
    write_part(w, 1000, "\"one\"");
    assert_int_equal(get(w, NULL), 0);
    assert_true(str_is(fake_header(buf_view(&w->last), "Range"), "bytes=1000-"));
    assert_int_equal(w->requests, 1);
    assert_there(w);
}

static void test_part_of_another_version(void **state)
{
    struct world *w = *state;
    write_part(w, 1000, "\"zero\"");
    assert_int_equal(get(w, NULL), 0);
    assert_int_equal(w->requests, 1); /* the whole file came at once */
    assert_there(w);
    unlink(w->path);
    assert_int_equal(fs_write_atomic(w->part, 0644, STR("what is this"), NULL), 0); /* no note */
    assert_int_equal(get(w, NULL), 0);
    assert_int_equal(fake_header(buf_view(&w->last), "Range").n, 0);
    assert_there(w);
}

static void test_part_is_all(void **state)
{
    struct world *w = *state;
    write_part(w, LENGTH, "\"one\"");
    assert_int_equal(get(w, NULL), 0);
    assert_there(w);
    write_part(w, LENGTH - 1, "\"one\"");
    buf_addc(&w->content, 'x'); /* a part longer than the file */
    write_part(w, LENGTH + 1, "\"one\"");
    w->content.len--;
    assert_int_equal(get(w, NULL), 0);
    assert_there(w);
    buf_addc(&w->content, 'x');
    write_part(w, LENGTH + 1, "\"zero\""); /* and of another version */
    w->content.len--;
    assert_int_equal(get(w, NULL), 0);
    assert_there(w);
}

static void test_cut(void **state)
{
    struct world *w = *state;
    w->mode = MODE_CUT;
    assert_int_equal(get(w, NULL), 0);
    assert_true(w->requests > 5); /* more than tries without progress are allowed */
    assert_there(w);
}

static void test_weak(void **state)
{
    struct world *w = *state;
    w->mode = MODE_WEAK;
    assert_int_equal(get(w, NULL), 0);
    assert_int_equal(w->requests, 2);
    assert_int_equal(fake_header(buf_view(&w->last), "Range").n, 0);
    assert_there(w);
}

static void test_changed_between(void **state)
{
    struct world *w = *state;
    w->mode = MODE_CHANGED;
    assert_int_equal(get(w, NULL), 0);
    assert_int_equal(w->requests, 2);
    assert_there(w);
}

static void test_wrong_range(void **state)
{
    struct world *w = *state;
    w->mode = MODE_WRONG_RANGE;
    write_part(w, 1000, "\"one\"");
    assert_int_equal(get(w, NULL), 0); /* from the start, at the second try */
    assert_int_equal(w->requests, 2);
    assert_there(w);
}

static void test_stall(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct download_order o = {.url = w->url, .path = w->path, .stall = USEC_PER_SEC};
    w->mode = MODE_STALL;
    struct download *d = download_start(w->http, &o, NULL);
    usec_t start = clock_mono(clock_system());
    while (!download_ended(d))
        assert_int_equal(loop_pause(w->loop, 50 * USEC_PER_MSEC, NULL), 0);
    struct http_response r;
    struct download_result got;
    assert_int_equal(download_end(d, &r, &got, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(clock_mono(clock_system()) - start < 20 * USEC_PER_SEC);
    assert_false(fs_exists(w->path));
    assert_true(fs_exists(w->part)); /* to go on with */
}

static void test_refusals(void **state)
{
    static const struct {
        int status;
        enum err_code code;
        const char *words;
        int requests;
    } table[] = {{404, ERR_NOT_FOUND, "there is no '127.0.0.1", 1},
                 {403, ERR_PERMISSION, "may not be read", 1},
                 {401, ERR_PERMISSION, "may not be read", 1},
                 {418, ERR_REJECTED, "status 418", 1},
                 {304, ERR_REJECTED, "status 304", 1},
                 {503, ERR_SERVER, "status 503", DOWNLOAD_TRIES}};
    struct world *w = *state;
    w->mode = MODE_STATUS;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct err err = {0};
        w->status = table[i].status;
        w->requests = 0;
        assert_int_equal(get(w, &err), -1);
        assert_int_equal(err.code, table[i].code);
        if (!strstr(err.msg, table[i].words) || strstr(err.msg, "secret") || strstr(err.msg, "u:p"))
            fail_msg("%s", err.msg);
        assert_int_equal(w->requests, table[i].requests);
        assert_false(fs_exists(w->path));
        assert_false(fs_exists(w->part));
    }
}

static void test_redirects_without_end(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->mode = MODE_AROUND;
    assert_int_equal(get(w, &err), -1);
    assert_int_equal(err.code, ERR_REJECTED);
    assert_non_null(strstr(err.msg, "more than 10 redirects"));
    assert_int_equal(w->requests, 11);
}

static void test_no_place(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    free(w->path);
    w->path = fs_join(w->dir, "none/f");
    assert_int_equal(get(w, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(w->requests, 0);
}

static void test_cancelled(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->mode = MODE_STALL;
    loop_cancel(w->loop);
    assert_int_equal(get(w, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    loop_shield(w->loop); /* for the tear-down */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_whole),     T(test_goes_on),  T(test_part_of_another_version), T(test_part_is_all),
        T(test_cut),       T(test_weak),     T(test_changed_between),         T(test_wrong_range),
        T(test_stall),     T(test_refusals), T(test_redirects_without_end),   T(test_no_place),
        T(test_cancelled),
    };
    return cmocka_run_group_tests_name("download", tests, NULL, NULL);
}

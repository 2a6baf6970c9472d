/* An experiment's way out to the net: which URL goes which way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "../net/fake_http.h"
#include "cli/net_fetch.h"
#include "os/fs.h"

static void answer(void *ctx, struct str request, struct buf *reply, bool *drop)
{
    (void)drop;
    strv_add_str((struct strv *)ctx, (struct str){request.p, strcspn(request.p, "\r")});
    if (str_starts(request, "GET /bucket/tree/ ") || str_starts(request, "GET /gone"))
        fake_reply(reply, 404, "", "<Error><Code>NoSuchKey</Code></Error>");
    else if (str_starts(request, "GET /bucket?"))
        fake_reply(reply, 200, "",
                   "<ListBucketResult><Contents><Key>tree/a</Key><Size>5</Size></Contents>"
                   "</ListBucketResult>");
    else
        fake_reply(reply, 200, "ETag: \"e\"\r\n", "bytes");
}

static void assert_holds(const char *path)
{
    AUTO_BUF struct buf text = {0};
    assert_int_equal(fs_read(path, 100, &text, NULL), 0);
    assert_string_equal(buf_text(&text), "bytes");
}

static void test_ways(void **state)
{
    (void)state;
    char dir[] = "/tmp/flambe-test-fetch-XXXXXX";
    AUTO_STRV struct strv asked = {0};
    struct cli cli = {0};
    struct net_fetch n;
    struct fake_http fake;
    struct fetched got;
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    struct loop *loop = loop_new();
    fake_start(&fake, loop, answer, &asked);
    AUTO_FREE char *origin = mem_printf("http://127.0.0.1:%d", fake.port);
    AUTO_FREE char *web = mem_printf("%s/data.csv", origin);
    AUTO_FREE char *gone = mem_printf("%s/gone", origin);
    AUTO_FREE char *file = fs_join(dir, "file"), *tree = fs_join(dir, "tree");
    AUTO_FREE char *inner = fs_join(tree, "a"), *other = fs_join(dir, "other");
    setenv("HOME", dir, 1);
    setenv("AWS_ENDPOINT_URL", origin, 1);
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "key", 1);
    net_fetch_init(&n, &cli, loop);
    struct fetcher f = net_fetch_fetcher(&n);

    assert_int_equal(f.fetch(f.ctx, web, file, NULL, NULL, &got, &err), 0);
    assert_null(n.aws); /* not asked for yet */
    assert_int_equal(got.size, 5);
    assert_string_equal(got.etag, "\"e\"");
    free(got.etag);
    assert_holds(file);
    assert_int_equal(f.fetch(f.ctx, "s3://bucket/tree/", tree, NULL, NULL, &got, &err), 0);
    assert_int_equal(got.size, 5);
    assert_null(got.etag);
    assert_holds(inner);
    assert_int_equal(f.fetch(f.ctx, "s3://bucket/object", other, NULL, NULL, &got, &err), 0);
    free(got.etag);
    assert_holds(other);
    assert_int_equal(f.fetch(f.ctx, gone, file, NULL, NULL, &got, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(asked.items[0], "GET /data.csv HTTP/1.1");
    assert_string_equal(asked.items[2], "GET /bucket/tree/a HTTP/1.1");

    net_fetch_done(&n);
    fake_stop(&fake, loop);
    loop_free(loop);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ways)};
    return cmocka_run_group_tests_name("net_fetch", tests, NULL, NULL);
}

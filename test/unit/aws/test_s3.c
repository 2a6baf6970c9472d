/* S3: addresses, regions, failures, hostile listings; against a server in the same process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/s3.h"
#include "aws/s3_priv.h"
#include "aws_world.h"

static void open_bucket(struct world *w, const char *name, struct s3_bucket **b)
{
    if (!w->aws)
        assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_int_equal(s3_open(w->aws, name, b, NULL), 0);
}

/* ---- addresses --------------------------------------------------------------------------------
 */

static void assert_url(struct world *w, const char *bucket, const char *key, const char *want)
{
    struct s3_bucket *b;
    struct s3_request q;
    open_bucket(w, bucket, &b);
    assert_int_equal(s3_request_make(b, key, "", &q, NULL), 0);
    assert_string_equal(q.url, want);
    assert_true(str_starts(str_of(q.lines[0]), "Host: "));
    s3_request_done(&q);
    s3_close(b);
}

static void test_addresses(void **state)
{
    struct world *w = *state;
    world_set_keys();
    world_set("AWS_ENDPOINT_URL", "");
    world_set("AWS_REGION", "eu-west-1");
    assert_url(w, "my-bucket", "a b/\xc3\xbc+//..",
               "https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B//..");
    assert_url(w, "my-bucket", "", "https://my-bucket.s3.eu-west-1.amazonaws.com/");
    assert_url(w, "my.bucket", "k", "https://s3.eu-west-1.amazonaws.com/my.bucket/k");
    assert_url(w, "Old_Bucket", "", "https://s3.eu-west-1.amazonaws.com/Old_Bucket");
    aws_close(TAKE(w->aws));
    world_set("AWS_REGION", "cn-north-1");
    assert_url(w, "my-bucket", "k", "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/k");
    aws_close(TAKE(w->aws));
    world_set("AWS_ENDPOINT_URL", "http://127.0.0.1:9000/all");
    assert_url(w, "my-bucket", "k", "http://127.0.0.1:9000/all/my-bucket/k");
    aws_close(TAKE(w->aws));
    world_set("AWS_ENDPOINT_URL_S3", "https://minio:9000");
    assert_url(w, "my-bucket", "/k", "https://minio:9000/my-bucket//k");
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const bad[] = {"s3://",      "s3:///key",   "s3://a",     "s3://../x",
                                      "http://a/b", "s3://ab%c/x", "s3://-ab/x", "s3://a@bc/x"};
    char *bucket, *key;
    struct err err = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(s3_parse_url(bad[i], &bucket, &key, &err), -1);
        assert_int_equal(err.code, ERR_FILE);
    }
    assert_int_equal(s3_parse_url("s3://abc//k/", &bucket, &key, NULL), 0);
    assert_string_equal(bucket, "abc");
    assert_string_equal(key, "/k/");
    free(bucket);
    free(key);
    assert_int_equal(s3_parse_url("s3://abc", &bucket, &key, NULL), 0);
    assert_string_equal(key, "");
    free(bucket);
    free(key);
}

static void test_lines(void **state)
{
    struct world *w = *state;
    struct s3_bucket *b;
    struct s3_request q;
    open_bucket(w, "bucket", &b); /* nothing is set up: no signature */
    assert_int_equal(s3_request_make(b, "k", "", &q, NULL), 0);
    assert_int_equal(q.count, 1);
    s3_request_done(&q);
    s3_close(b);
    aws_close(TAKE(w->aws));
    world_set_keys();
    world_set("AWS_SESSION_TOKEN", "token-env");
    open_bucket(w, "bucket", &b);
    assert_int_equal(s3_request_make(b, "k", "", &q, NULL), 0);
    assert_int_equal(q.count, 5);
    assert_string_equal(q.lines[4], "X-Amz-Security-Token: token-env");
    assert_non_null(strstr(q.lines[3], "/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;"
                                       "x-amz-date;x-amz-security-token, "));
    s3_request_done(&q);
    s3_close(b);
    aws_close(TAKE(w->aws));
    world_set("AWS_SECRET_ACCESS_KEY", ""); /* half of a pair is a mistake, not "none" */
    assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_int_equal(s3_open(w->aws, "bucket", &b, NULL), -1);
}

/* ---- failures ---------------------------------------------------------------------------------
 */

#define PAGE "<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>"

static void reply_page(struct buf *reply, const char *inner)
{
    AUTO_FREE char *body = mem_printf(PAGE, inner);
    fake_reply(reply, 200, "", body);
}

static void reply_error(struct buf *reply, int status, const char *headers, const char *inner)
{
    AUTO_FREE char *body = mem_printf("<Error>%s<Message>Words.</Message></Error>", inner);
    fake_reply(reply, status, headers, body);
}

static int list(struct world *w, const char *prefix, struct s3_objects *out, struct err *err)
{
    struct s3_bucket *b;
    open_bucket(w, "bucket", &b);
    int rc = s3_list(b, prefix, out, err);
    s3_close(b);
    return rc;
}

static bool signed_for(struct world *w, const char *region)
{
    AUTO_FREE char *scope = mem_printf("/%s/s3/aws4_request", region);
    return memmem(w->last.data, w->last.len, scope, strlen(scope)) != NULL;
}

static void other_region(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)request, (void)drop;
    if (w->step == 1)
        reply_error(reply, 301, "x-amz-bucket-region: eu-west-1\r\n",
                    "<Code>PermanentRedirect</Code>");
    else if (w->step == 2 && signed_for(w, "eu-west-1"))
        reply_error(reply, 400, "",
                    "<Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region>");
    else if (signed_for(w, "ap-south-1"))
        reply_page(reply, "");
    else
        fake_reply(reply, 500, "", "");
}

static void test_other_region(void **state)
{
    struct world *w = *state;
    struct s3_objects l;
    world_set_keys();
    w->answer = other_region;
    assert_int_equal(list(w, "", &l, NULL), 0);
    assert_int_equal(w->step, 3);
    s3_objects_done(&l);
}

static void never_here(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)request, (void)drop;
    reply_error(reply, 301,
                w->step % 2 ? "x-amz-bucket-region: eu-west-1\r\n"
                            : "x-amz-bucket-region: us-east-1\r\n",
                "<Code>PermanentRedirect</Code>");
}

static void bad_region(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)w, (void)request, (void)drop;
    reply_error(reply, 301, "x-amz-bucket-region: evil.example/x?\r\n",
                "<Code>PermanentRedirect</Code>");
}

static void test_no_region_in_the_end(void **state)
{
    struct world *w = *state;
    struct s3_objects l;
    struct err err = {0};
    world_set_keys();
    w->answer = never_here;
    assert_int_equal(list(w, "", &l, &err), -1);
    assert_int_equal(err.code, ERR_REJECTED);
    assert_int_equal(w->step, 4);
    w->answer = bad_region;
    w->step = 0;
    assert_int_equal(list(w, "", &l, &err), -1);
    assert_int_equal(w->step, 1);
    assert_string_equal(err.origin, "PermanentRedirect");
}

static void in_trouble(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)request;
    if (w->step == 1)
        reply_error(reply, 503, "", "<Code>SlowDown</Code>");
    else if (w->step == 2)
        *drop = true;
    else
        reply_page(reply, "");
}

static void denied(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)w, (void)request, (void)drop;
    reply_error(reply, 403, "", "<Code>AccessDenied</Code>");
}

static void test_failures(void **state)
{
    struct world *w = *state;
    struct s3_objects l;
    struct err err = {0};
    w->answer = in_trouble;
    assert_int_equal(list(w, "", &l, NULL), 0);
    assert_int_equal(w->step, 3);
    assert_non_null(strstr(buf_text(&w->trace), "s3 ListObjectsV2 #1 503 SlowDown again\n"));
    s3_objects_done(&l);
    w->answer = denied;
    w->step = 0;
    assert_int_equal(list(w, "", &l, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_int_equal(w->step, 1);
    assert_non_null(strstr(err.msg, "asked without AWS credentials"));
}

/* ---- listings ---------------------------------------------------------------------------------
 */

static void two_pages(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)drop;
    if (w->step == 1) {
        assert_true(
            str_starts(request, "GET /bucket?encoding-type=url&list-type=2&prefix=p%26%2B "));
        fake_reply(
            reply, 200, "",
            "<ListBucketResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
            "<NextContinuationToken>a+b/c=</NextContinuationToken><Contents><Key>p%26%2B+x"
            "</Key><Size>5</Size><ETag>\"e\"</ETag></Contents></ListBucketResult>");
        return;
    }
    assert_true(str_starts(request, "GET /bucket?continuation-token=a%2Bb%2Fc%3D&encoding-type="));
    reply_page(reply, "<Contents><Key>p&amp;+y%20</Key></Contents>");
}

static void test_pages(void **state)
{
    struct world *w = *state;
    struct s3_objects l;
    w->answer = two_pages;
    assert_int_equal(list(w, "p&+", &l, NULL), 0);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[0].key, "p&+ x");
    assert_int_equal(l.items[0].size, 5);
    assert_string_equal(l.items[0].etag, "\"e\"");
    assert_string_equal(l.items[1].key, "p&+y%20"); /* this page is not escaped */
    s3_objects_done(&l);
}

static const char *hostile;

static void hostile_listing(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)w, (void)drop;
    assert_true(str_starts(request, "GET /bucket?")); /* and no object */
    AUTO_FREE char *inner = mem_printf("<Contents><Key>p/good</Key></Contents><Contents><Key>%s"
                                       "</Key></Contents><EncodingType>url</EncodingType>",
                                       hostile);
    reply_page(reply, inner);
}

static void test_hostile_keys(void **state)
{
    static const char *const keys[] = {"p/../evil",   "p/..",          "p/a/../../../evil",
                                       "p//etc/evil", "../evil",       "/etc/evil",
                                       "p/a/./b",     "p/%2e%2e/evil", "p//",
                                       "q/evil",      "p/a//"};
    struct world *w = *state;
    AUTO_FREE char *place = fs_join(w->dir, "in/tree");
    AUTO_FREE char *in = fs_join(w->dir, "in");
    w->answer = hostile_listing;
    assert_int_equal(world_open(w, NULL, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct s3_fetched f;
        struct err err = {0};
        hostile = keys[i];
        assert_int_equal(s3_fetch(w->aws, "s3://bucket/p/", place, NULL, NULL, &f, &err), -1);
        if (err.code != ERR_REJECTED && err.code != ERR_PARSE)
            fail_msg("%s: %s", keys[i], err.msg);
        assert_false(fs_exists(in));
    }
}

static void flaky_objects(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    struct str range = fake_header(request, "Range");
    (void)w;
    if (str_starts(request, "GET /bucket?")) {
        reply_page(reply, "<Contents><Key>p/f</Key><Size>10</Size><ETag>\"e\"</ETag></Contents>");
    } else if (!range.n) {
        buf_adds(reply, "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\n01234");
        *drop = true;
    } else {
        assert_true(str_is(range, "bytes=5-"));
        assert_true(str_is(fake_header(request, "If-Range"), "\"e\""));
        buf_adds(reply, "HTTP/1.1 206 OK\r\nETag: \"e\"\r\nContent-Length: 5\r\n"
                        "Content-Range: bytes 5-9/10\r\n\r\n56789");
    }
}

static void test_goes_on(void **state)
{
    struct world *w = *state;
    struct s3_fetched f;
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *place = fs_join(w->dir, "tree");
    AUTO_FREE char *file = fs_join(place, "f");
    world_set_keys();
    w->answer = flaky_objects;
    assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_int_equal(s3_fetch(w->aws, "s3://bucket/p/", place, NULL, NULL, &f, NULL), 0);
    assert_true(f.is_tree);
    assert_int_equal(f.size, 10);
    s3_fetched_done(&f);
    assert_int_equal(fs_read(file, 100, &text, NULL), 0);
    assert_string_equal(buf_text(&text), "0123456789");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_addresses),
        T(test_urls),
        T(test_lines),
        T(test_other_region),
        T(test_no_region_in_the_end),
        T(test_failures),
        T(test_pages),
        T(test_hostile_keys),
        T(test_goes_on),
    };
    return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}

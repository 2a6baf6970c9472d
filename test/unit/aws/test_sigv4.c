/* AWS's published vectors, each a test of its own; see sigv4-vectors/README. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/sigv4.h"
#include "base/mem.h"
#include "os/fs.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS SOURCE_ROOT "/test/unit/aws/sigv4-vectors"
#define VECTORS_EXPECTED 34

static void read_vector(const char *name, const char *suffix, struct buf *out)
{
    AUTO_FREE char *path = mem_printf("%s/%s.%s", VECTORS, name, suffix);
    assert_int_equal(fs_read(path, 1 << 20, out, NULL), 0);
    while (out->len && (out->data[out->len - 1] == '\r' || out->data[out->len - 1] == '\n'))
        out->data[--out->len] = '\0'; /* as the suite's files end, or not */
}

struct vector {
    struct sigv4_request request;
    struct sigv4_header headers[32];
    struct secret *token;
};

/* Takes a request of the suite apart. A line that starts with a blank goes on with the header
 * above; the lines are one buffer, so that the value's view just grows. */
static void parse(struct str text, struct vector *v)
{
    struct str line = str_cut(&text, '\n');
    size_t method = (size_t)((const char *)memchr(line.p, ' ', line.n) - line.p);
    v->request.method = (struct str){line.p, method};
    struct str target = {line.p + method + 1, line.n - method - 1 - strlen(" HTTP/1.1")};
    v->request.path = str_cut(&target, '?');
    v->request.query = target.p ? target : STR("");
    while (text.p && text.n) {
        line = str_cut(&text, '\n');
        if (line.n == 0)
            break;
        if (line.p[0] == ' ') {
            struct sigv4_header *last = &v->headers[v->request.header_count - 1];
            last->value.n = (size_t)(line.p + line.n - last->value.p);
            continue;
        }
        struct str value = line, name = str_cut(&value, ':');
        if (str_is(name, "X-Amz-Date"))
            continue;
        if (str_is(name, "X-Amz-Security-Token")) {
            v->token = secret_new(str_trim(value));
            continue;
        }
        v->headers[v->request.header_count++] = (struct sigv4_header){name, value};
    }
    v->request.headers = v->headers;
    v->request.body = text.p ? text : STR("");
}

/* The token of a canonical request, or NULL. */
static struct secret *token_of(struct str text)
{
    while (text.p) {
        struct str value = str_cut(&text, '\n'), name = str_cut(&value, ':');
        if (str_is(name, "x-amz-security-token") && value.p)
            return secret_new(value);
    }
    return NULL;
}

static void test_vector(void **state)
{
    const char *name = *state;
    AUTO_BUF struct buf req = {0};
    AUTO_BUF struct buf creq = {0};
    AUTO_BUF struct buf sts = {0};
    AUTO_BUF struct buf authz = {0};
    AUTO_FREE char *path = mem_printf("%s/%s.req", VECTORS, name);
    assert_int_equal(fs_read(path, 1 << 20, &req, NULL), 0);
    read_vector(name, "creq", &creq);
    read_vector(name, "sts", &sts);
    read_vector(name, "authz", &authz);
    struct vector v = {0};
    parse(buf_view(&req), &v);
    if (!v.token) /* one vector keeps its token apart from the request */
        v.token = token_of(buf_view(&creq));
    CLEANUP(secret_freep)
    struct secret *key = secret_new(STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    usec_t time;
    assert_true(clock_parse_iso(STR("2015-08-30T12:36:00Z"), &time));
    struct sigv4_signer signer = {.access_key_id = STR("AKIDEXAMPLE"),
                                  .secret_key = key,
                                  .session_token = v.token,
                                  .region = "us-east-1",
                                  .service = "service",
                                  .time = time};
    struct sigv4_result result;
    sigv4_sign(&v.request, &signer, &result);
    assert_string_equal(buf_text(&result.canonical_request), buf_text(&creq));
    assert_string_equal(buf_text(&result.string_to_sign), buf_text(&sts));
    assert_string_equal(buf_text(&result.authorization), buf_text(&authz));
    assert_string_equal(result.date, "20150830T123600Z");
    sigv4_result_done(&result);
    secret_free(v.token);
}

static void test_all_are_there(void **state)
{
    assert_int_equal((uintptr_t)*state, VECTORS_EXPECTED);
}

/* What must not be signed, since it changes on the way. */
static void test_unsigned_headers(void **state)
{
    (void)state;
    CLEANUP(secret_freep) struct secret *key = secret_new(STR("k"));
    struct sigv4_header headers[] = {{STR("Host"), STR("h")},
                                     {STR("User-Agent"), STR("u")},
                                     {STR("expect"), STR("100-continue")},
                                     {STR("Connection"), STR("close")},
                                     {STR("Transfer-Encoding"), STR("chunked")}};
    struct sigv4_request r = {.method = STR("POST"),
                              .path = STR(""),
                              .query = STR(""),
                              .headers = headers,
                              .header_count = COUNT_OF(headers)};
    struct sigv4_signer s = {
        .access_key_id = STR("a"), .secret_key = key, .region = "r", .service = "s"};
    struct sigv4_result result;
    sigv4_sign(&r, &s, &result);
    assert_non_null(strstr(buf_text(&result.authorization), "SignedHeaders=host;x-amz-date,"));
    assert_non_null(strstr(buf_text(&result.canonical_request), "POST\n/\n\n"));
    sigv4_result_done(&result);
}

static void test_raw_path(void **state)
{
    (void)state;
    CLEANUP(secret_freep) struct secret *key = secret_new(STR("k"));
    struct sigv4_request r = {.method = STR("GET"), .path = STR("/a//../b%20c"), .raw_path = true};
    struct sigv4_signer s = {
        .access_key_id = STR("a"), .secret_key = key, .region = "r", .service = "s"};
    struct sigv4_result result;
    sigv4_sign(&r, &s, &result);
    assert_non_null(strstr(buf_text(&result.canonical_request), "GET\n/a//../b%2520c\n"));
    sigv4_result_done(&result);
}

/* The examples of S3's own documentation ("Authenticating Requests: Using the Authorization
 * Header"), and a path that is neither normalized nor escaped twice. */
static void test_s3(void **state)
{
    (void)state;
    CLEANUP(secret_freep)
    struct secret *key = secret_new(STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    struct str nothing = STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct sigv4_header headers[] = {{STR("Host"), STR("examplebucket.s3.amazonaws.com")},
                                     {STR("x-amz-content-sha256"), nothing},
                                     {STR("Range"), STR("bytes=0-9")}};
    struct sigv4_signer s = {.access_key_id = STR("AKIAIOSFODNN7EXAMPLE"),
                             .secret_key = key,
                             .region = "us-east-1",
                             .service = "s3",
                             .time = 1369353600 * USEC_PER_SEC};
    struct sigv4_request r = {.method = STR("GET"),
                              .path = STR("/test.txt"),
                              .headers = headers,
                              .header_count = 3,
                              .path_as_sent = true};
    struct sigv4_result result;
    sigv4_sign(&r, &s, &result);
    assert_non_null(
        strstr(buf_text(&result.authorization),
               "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
    sigv4_result_done(&result);

    r.path = STR("");
    r.query = STR("max-keys=2&prefix=J");
    r.header_count = 2;
    sigv4_sign(&r, &s, &result);
    assert_non_null(
        strstr(buf_text(&result.authorization),
               "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
    sigv4_result_done(&result);

    r.path = STR("/a//../b%20c");
    sigv4_sign(&r, &s, &result);
    assert_non_null(strstr(buf_text(&result.canonical_request), "GET\n/a//../b%20c\n"));
    sigv4_result_done(&result);
}

int main(void)
{
    struct CMUnitTest tests[128] = {cmocka_unit_test(test_unsigned_headers),
                                    cmocka_unit_test(test_raw_path), cmocka_unit_test(test_s3)};
    size_t count = 3, vectors = 0;
    AUTO_STRV struct strv names = {0};
    DIR *dir = opendir(VECTORS);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct str name = str_of(e->d_name);
        if (str_ends(name, ".req"))
            strv_add_str(&names, (struct str){name.p, name.n - 4});
    }
    if (dir)
        closedir(dir);
    strv_sort(&names);
    for (; vectors < names.count && count < COUNT_OF(tests) - 1; vectors++)
        tests[count++] = (struct CMUnitTest){names.items[vectors], test_vector, NULL, NULL,
                                             names.items[vectors]};
    tests[count++] = (struct CMUnitTest){"all vectors are there", test_all_are_there, NULL, NULL,
                                         (void *)(uintptr_t)vectors};
    return _cmocka_run_group_tests("sigv4", tests, count, NULL, NULL);
}

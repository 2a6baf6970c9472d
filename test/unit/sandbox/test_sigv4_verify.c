/* The verifier against AWS's published vectors: the example of the General Reference (IAM's
 * ListUsers) and the signature version 4 test suite, whose key is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "base/mem.h"
#include "sandbox/sigv4_verify.h"
#include <string.h>

#define SCOPE "Credential=AKIDEXAMPLE/20150830/us-east-1/"
#define SUITE "AWS4-HMAC-SHA256 " SCOPE "service/aws4_request, SignedHeaders="
#define HEADERS_MAX 8

struct vector {
    const char *method, *path, *query, *body;
    const char *headers[HEADERS_MAX][2]; /* beside the host and the date */
    const char *authorization;
    const char *host; /* NULL: the suite's */
};

static const struct vector vectors[] = {
    {"GET",
     "/",
     "Action=ListUsers&Version=2010-05-08",
     "",
     {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}},
     "AWS4-HMAC-SHA256 " SCOPE "iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
     "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
     "iam.amazonaws.com"},
    {"GET",
     "/",
     "",
     "",
     {{0}},
     SUITE "host;x-amz-date, "
           "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
     NULL},
    {"GET",
     "/",
     "Param2=value2&Param1=value1",
     "",
     {{0}},
     SUITE "host;x-amz-date, "
           "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
     NULL},
    {"POST",
     "/",
     "",
     "",
     {{0}},
     SUITE "host;x-amz-date, "
           "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
     NULL},
    {"POST",
     "/",
     "",
     "Param1=value1",
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     SUITE "content-type;host;x-amz-date, "
           "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
     NULL},
};

static usec_t then(void)
{
    usec_t t = 0;
    assert_true(clock_parse_iso(STR("2015-08-30T12:36:00Z"), &t));
    return t;
}

static enum sigv4_result check(const struct vector *v, const char *key, usec_t now, char *why)
{
    struct sigv4_header headers[HEADERS_MAX + 2] = {
        {STR("Host"), str_of(v->host ? v->host : "example.amazonaws.com")},
        {STR("X-Amz-Date"), STR("20150830T123600Z")}};
    size_t count = 2;
    for (size_t i = 0; i < HEADERS_MAX && v->headers[i][0]; i++)
        headers[count++] =
            (struct sigv4_header){str_of(v->headers[i][0]), str_of(v->headers[i][1])};
    struct sigv4_request q = {.method = str_of(v->method),
                              .path = str_of(v->path),
                              .query = str_of(v->query),
                              .body = str_of(v->body),
                              .headers = headers,
                              .header_count = count};
    struct sigv4_auth auth;
    enum sigv4_result result = sigv4_parse(str_of(v->authorization), &auth, why);
    if (result != SIGV4_OK)
        return result;
    struct secret *secret = secret_new(str_of(key));
    result = sigv4_check(&q, &auth, secret, now, why);
    secret_free(secret);
    return result;
}

static const char key[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static void test_published_vectors(void **state)
{
    (void)state;
    char why[SIGV4_WHY_SIZE] = "";
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        if (check(&vectors[i], key, then(), why) != SIGV4_OK)
            fail_msg("vector %zu: %s", i, why);
        assert_int_equal(check(&vectors[i], "another", then(), why), SIGV4_MISMATCH);
    }
}

static void test_what_may_not_be_changed(void **state)
{
    (void)state;
    char why[SIGV4_WHY_SIZE];
    struct vector v = vectors[4];
    v.body = "Param1=value2";
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.method = "PUT";
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.path = "/other";
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.query = "a=b";
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.headers[0][1] = "text/plain";
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.headers[0][0] = NULL; /* a signed header is missing */
    assert_int_equal(check(&v, key, then(), why), SIGV4_MISMATCH);
    v = vectors[4];
    v.headers[1][0] = "x-amz-security-token";
    v.headers[1][1] = "token";
    assert_int_equal(check(&v, key, then(), why), SIGV4_UNSIGNED_HEADER);
    assert_non_null(strstr(why, "x-amz-security-token"));
    v = vectors[1];
    v.authorization = SUITE "x-amz-date, Signature="
                            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_int_equal(check(&v, key, then(), why), SIGV4_UNSIGNED_HEADER);
}

static void test_what_may_be_written_in_other_ways(void **state)
{
    (void)state;
    char why[SIGV4_WHY_SIZE] = "";
    struct vector v = vectors[2];
    v.query = "Param%31=value1&Param2=value2"; /* in order, and an escape that need not be */
    assert_int_equal(check(&v, key, then(), why), SIGV4_OK);
    v.path = "/x/../";
    assert_int_equal(check(&v, key, then(), why), SIGV4_OK);
    v = vectors[4];
    v.headers[0][1] = "   application/x-www-form-urlencoded  ";
    assert_int_equal(check(&v, key, then(), why), SIGV4_OK);
}

static void test_time(void **state)
{
    (void)state;
    char why[SIGV4_WHY_SIZE];
    const struct vector *v = &vectors[1];
    assert_int_equal(check(v, key, then() + SIGV4_SKEW, why), SIGV4_OK);
    assert_int_equal(check(v, key, then() - SIGV4_SKEW, why), SIGV4_OK);
    assert_int_equal(check(v, key, then() + SIGV4_SKEW + USEC_PER_SEC, why), SIGV4_EXPIRED);
    assert_string_equal(why, "Signature expired: 20150830T123600Z is now earlier than "
                             "20150830T123601Z (20150830T125101Z - 15 min.)");
    assert_int_equal(check(v, key, then() - SIGV4_SKEW - USEC_PER_SEC, why), SIGV4_EARLY);
    struct vector other_day = *v;
    other_day.authorization =
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150829/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_int_equal(check(&other_day, key, then(), why), SIGV4_MISMATCH);
    assert_non_null(strstr(why, "Credential scope"));
}

#define GOOD_SIGNATURE "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

static void test_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sigv4_result result;
    } table[] = {
        {"", SIGV4_MISSING},
        {"Basic dTpw", SIGV4_MISSING},
        {"AWS4-HMAC-SHA256", SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 ,,,=,= ,", SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request, SignedHeaders=host",
         SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request, "
         "SignedHeaders=host, " GOOD_SIGNATURE,
         SIGV4_OK},
        {"AWS4-HMAC-SHA256 SignedHeaders=host," GOOD_SIGNATURE
         ",Credential=a/20150830/r/s/aws4_request",
         SIGV4_OK},
        {"AWS4-HMAC-SHA256 Credential=a/2015083/r/s/aws4_request, "
         "SignedHeaders=host, " GOOD_SIGNATURE,
         SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4, SignedHeaders=host, " GOOD_SIGNATURE,
         SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 Credential=a/20150830//s/aws4_request, "
         "SignedHeaders=host, " GOOD_SIGNATURE,
         SIGV4_INCOMPLETE},
        {"AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request, SignedHeaders=host, "
         "Signature=5FA00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
         SIGV4_INCOMPLETE},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct sigv4_auth auth;
        char why[SIGV4_WHY_SIZE];
        if (sigv4_parse(str_of(table[i].text), &auth, why) != table[i].result)
            fail_msg("otherwise than expected: %s", table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_what_may_not_be_changed),
        cmocka_unit_test(test_what_may_be_written_in_other_ways),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

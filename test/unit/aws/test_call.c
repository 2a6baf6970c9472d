/* The machinery below every call: retries, clock, credentials, pages, endpoints, messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/ec2.h"
#include "aws_world.h"

static const char no_regions[] =
    "<DescribeRegionsResponse><regionInfo><item><regionName>r-1</regionName></item></regionInfo>"
    "</DescribeRegionsResponse>";

static int regions(struct world *w, struct err *err)
{
    AUTO_STRV struct strv names = {0};
    return ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, err);
}

static void open_with_keys(struct world *w)
{
    world_set_keys();
    world_set("AWS_REGION", "us-east-1");
    assert_int_equal(world_open(w, NULL, NULL), 0);
}

/* ---- signing ----------------------------------------------------------------------------------
 */

static void answer_ok(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    fake_reply(reply, 200, "", no_regions);
}

static void test_request(void **state)
{
    struct world *w = *state;
    w->answer = answer_ok;
    world_set("AWS_SESSION_TOKEN", "token-env");
    open_with_keys(w);
    assert_int_equal(regions(w, NULL), 0);
    struct str r = buf_view(&w->last);
    assert_true(str_starts(r, "POST / HTTP/1.1\r\n"));
    assert_true(str_is(fake_body(r), "Action=DescribeRegions&Version=2016-11-15"));
    assert_true(
        str_is(fake_header(r, "Content-Type"), "application/x-www-form-urlencoded; charset=utf-8"));
    struct str auth = fake_header(r, "Authorization");
    assert_true(str_starts(auth, "AWS4-HMAC-SHA256 Credential=AKIDENV/"));
    assert_non_null(memmem(auth.p, auth.n, "/us-east-1/ec2/aws4_request, ", 29));
    assert_non_null(memmem(auth.p, auth.n,
                           "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token", 62));
    assert_true(str_is(fake_header(r, "X-Amz-Security-Token"), "token-env"));
    assert_string_equal(buf_text(&w->trace), "ec2 DescribeRegions #1 200 ok\n");
}

/* ---- retries ----------------------------------------------------------------------------------
 */

static void answer_third(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (w->step == 1) /* on a fresh connection: on a kept one libcurl itself tries once more */
        *drop = true;
    else if (w->step == 2)
        world_ec2_error(reply, 503, "", "Unavailable", "Try again.");
    else
        answer_ok(w, request, reply, drop);
}

static void test_retries(void **state)
{
    struct world *w = *state;
    w->answer = answer_third;
    open_with_keys(w);
    assert_int_equal(regions(w, NULL), 0);
    assert_int_equal(w->step, 3);
    assert_string_equal(w->bodies.items[0], w->bodies.items[2]);
    assert_string_equal(buf_text(&w->trace), "ec2 DescribeRegions #1 0  again\n"
                                             "ec2 DescribeRegions #2 503 Unavailable again\n"
                                             "ec2 DescribeRegions #3 200 ok\n");
}

static void answer_throttle(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (w->step == 1)
        world_ec2_error(reply, 503, "", "RequestLimitExceeded", "Request limit exceeded.");
    else
        answer_ok(w, request, reply, drop);
}

static void test_throttled(void **state)
{
    struct world *w = *state;
    w->answer = answer_throttle;
    open_with_keys(w);
    assert_int_equal(regions(w, NULL), 0);
    assert_int_equal(w->step, 2);
    assert_true(w->aws->rate.on);
    assert_int_equal(w->aws->quota.left, RETRY_QUOTA_MAX);
}

/* The codes that no retry helps are asked for once, whatever status they come with. */
static const struct {
    int status;
    const char *code, *message;
    enum err_code is;
    const char *says;
} finals[] = {
    {500, "InsufficientInstanceCapacity", "We have no m5.large.", ERR_CAPACITY,
     "DescribeRegions: we have no m5.large"},
    {400, "VcpuLimitExceeded", "You have requested more vCPU.", ERR_QUOTA,
     "DescribeRegions: you have requested more vCPU"},
    {403, "UnauthorizedOperation", "You are not authorized.", ERR_PERMISSION,
     "DescribeRegions: you are not authorized"},
    {400, "InvalidKeyPair.NotFound", "The key pair 'nope' does not exist", ERR_NOT_FOUND,
     "DescribeRegions: the key pair 'nope' does not exist"},
    {401, "AuthFailure", "AWS was not able to validate the provided access credentials",
     ERR_CREDENTIALS,
     "DescribeRegions: the credentials of the environment (AWS_ACCESS_KEY_ID) are refused: AWS was "
     "not able to validate the provided access credentials"},
    {400, "InvalidParameterValue", "Value (x) for parameter y is invalid.", ERR_REJECTED,
     "DescribeRegions: value (x) for parameter y is invalid"},
    {400, "InvalidGroup.Duplicate", "It exists.", ERR_EXISTS, "DescribeRegions: it exists"},
    {400, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", ERR_REJECTED,
     "DescribeRegions: request would have succeeded, but DryRun flag is set"},
    {400, "SomethingLimitExceeded", "Too\nmuch&#10;of it.", ERR_QUOTA,
     "DescribeRegions: too much of it"},
};
static size_t final_at;

static void answer_final(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    world_ec2_error(reply, finals[final_at].status, "", finals[final_at].code,
                    finals[final_at].message);
}

static void test_final_errors(void **state)
{
    struct world *w = *state;
    w->answer = answer_final;
    open_with_keys(w);
    for (final_at = 0; final_at < COUNT_OF(finals); final_at++) {
        struct err err = {0};
        int before = w->step;
        assert_int_equal(regions(w, &err), -1);
        assert_int_equal(w->step, before + 1);
        assert_int_equal(err.code, finals[final_at].is);
        assert_string_equal(err.origin, finals[final_at].code);
        assert_string_equal(err.msg, finals[final_at].says);
    }
}

static void answer_lost_then_no(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)request;
    if (w->step == 2)
        *drop = true;
    else if (w->step == 1)
        fake_reply(reply, 200, "", "<RunInstancesResponse/>");
    else
        world_ec2_error(reply, 403, "", "UnauthorizedOperation", "You are not authorized.");
}

/* A no says nothing of an earlier try whose answer was lost: the caller must hear of that one, also
 * where the connection had been used before and libcurl would have tried again in silence. */
static void test_a_no_after_a_lost_answer_is_unsure(void **state)
{
    struct world *w = *state;
    struct ec2_instances l = {0};
    struct err err = {0};
    w->answer = answer_lost_then_no;
    open_with_keys(w);
    assert_int_equal(ec2_run_instances_end(ec2_run_instances(w->aws, STR("A=1")), &l, &err), 0);
    assert_int_equal(ec2_run_instances_end(ec2_run_instances(w->aws, STR("A=1")), &l, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_true(err.unsure);
    assert_int_equal(w->step, 3);
    assert_int_equal(ec2_run_instances_end(ec2_run_instances(w->aws, STR("A=1")), &l, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_false(err.unsure);
}

static void answer_nonsense(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    fake_reply(reply, w->step == 1 ? 418 : 200, "", "<html><b>A proxy's page</html>");
}

static void test_nonsense(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->answer = answer_nonsense;
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(err.code, ERR_REJECTED);
    assert_non_null(strstr(err.msg, "HTTP status 418"));
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(err.code, ERR_PARSE);
}

/* ---- the clock --------------------------------------------------------------------------------
 */

static bool skew_heals;
static const char *skew_date; /* an hour and years behind us */

static void answer_skew(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    AUTO_FREE char *headers = mem_printf("Date: %s\r\n", skew_date);
    if (w->step > 1 && skew_heals)
        answer_ok(w, request, reply, drop);
    else
        world_ec2_error(reply, 400, headers, "RequestExpired", "Request has expired.");
}

static void test_clock_is_corrected(void **state)
{
    struct world *w = *state;
    w->answer = answer_skew;
    skew_heals = true;
    skew_date = "Wed, 05 Mar 2025 10:20:30 GMT";
    open_with_keys(w);
    assert_int_equal(regions(w, NULL), 0);
    assert_int_equal(w->step, 2); /* at once, and signed by the server's clock */
    assert_true(str_starts(fake_header(buf_view(&w->last), "X-Amz-Date"), "20250305T1020"));
    assert_int_equal(regions(w, NULL), 0);
    assert_int_equal(w->step, 3); /* and it stays so */
}

static void test_clock_is_named(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->answer = answer_skew;
    skew_heals = false;
    skew_date = "Wed, 05 Mar 2025 10:20:30 GMT";
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(w->step, 2);
    assert_int_equal(err.code, ERR_CLOCK_SKEW);
    assert_string_equal(err.origin, "RequestExpired");
    assert_non_null(strstr(err.msg, "this machine's clock is "));
    assert_non_null(strstr(err.msg, "ahead of AWS's"));
}

static void test_no_skew(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    static char now[64];
    time_t t = time(NULL);
    strftime(now, sizeof now, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&t));
    w->answer = answer_skew;
    skew_heals = false;
    skew_date = now;
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(w->step, 1);
    assert_int_equal(err.code, ERR_CREDENTIALS);
    assert_non_null(strstr(err.msg, "are refused as expired"));
}

/* ---- denials ----------------------------------------------------------------------------------
 */

static bool may_decode;

static void answer_denial(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    struct str body = fake_body(request);
    if (str_starts(body, "Action=DescribeRegions")) {
        world_ec2_error(reply, 403, "", "UnauthorizedOperation",
                        "You are not authorized to perform this operation. Encoded authorization "
                        "failure message: abc_DEF-123");
        return;
    }
    assert_non_null(memmem(body.p, body.n, "EncodedMessage=abc_DEF-123", 26));
    if (may_decode)
        fake_reply(reply, 200, "",
                   "<DecodeAuthorizationMessageResponse><DecodeAuthorizationMessageResult>"
                   "<DecodedMessage>{\"allowed\":false,\"explicitDeny\":false,\"context\":{"
                   "\"principal\":{\"arn\":\"arn:aws:iam::1:user/me\"},\"action\":\"ec2:"
                   "DescribeRegions\",\"resource\":\"*\"}}</DecodedMessage>"
                   "</DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>");
    else
        fake_reply(reply, 403, "",
                   "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
                   "<Message>no</Message></Error></ErrorResponse>");
}

static void test_denial_is_decoded(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->answer = answer_denial;
    may_decode = true;
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_string_equal(err.origin, "UnauthorizedOperation");
    assert_string_equal(err.msg, "DescribeRegions: not allowed: 'arn:aws:iam::1:user/me' has no "
                                 "ec2:DescribeRegions on '*': no policy allows it");
}

static void test_denial_stays(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    w->answer = answer_denial;
    may_decode = false;
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_string_equal(err.msg,
                        "DescribeRegions: you are not authorized to perform this operation");
}

/* ---- several at once --------------------------------------------------------------------------
 */

static void test_side_by_side(void **state)
{
    struct world *w = *state;
    w->answer = answer_ok;
    open_with_keys(w);
    struct aws_call *calls[10];
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        calls[i] = ec2_describe_regions(w->aws);
    for (size_t i = COUNT_OF(calls); i-- > 0;) {
        AUTO_STRV struct strv names = {0};
        assert_int_equal(ec2_describe_regions_end(calls[i], &names, NULL), 0);
        assert_int_equal(names.count, 1);
    }
    assert_int_equal(w->step, 10);
}

static void answer_never(struct world *w, struct str request, struct buf *reply, bool *drop)
{
}

static void test_cancelled(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    AUTO_STRV struct strv names = {0};
    w->answer = answer_never;
    open_with_keys(w);
    struct aws_call *call = ec2_describe_regions(w->aws);
    assert_int_equal(loop_pause(w->loop, 20 * USEC_PER_MSEC, NULL), 0);
    loop_cancel(w->loop);
    assert_int_equal(ec2_describe_regions_end(call, &names, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    loop_shield(w->loop);
}

static void test_unreachable(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    world_set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    world_set("AWS_MAX_ATTEMPTS", "1");
    open_with_keys(w);
    assert_int_equal(regions(w, &err), -1);
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_string_equal(
        err.msg, "DescribeRegions: cannot connect to 'http://127.0.0.1:1': Connection refused");
}

/* ---- endpoints and region ---------------------------------------------------------------------
 */

static void expect_endpoint(struct world *w, const char *service, const char *url)
{
    world_set_keys();
    struct err err = {0};
    if (world_open(w, NULL, &err) == -1)
        fail_msg("%s", err.msg);
    assert_string_equal(aws_endpoint(w->aws, service), url);
    aws_close(w->aws);
    w->aws = NULL;
}

static void test_endpoints(void **state)
{
    struct world *w = *state;
    world_set("AWS_ENDPOINT_URL", "");
    world_set("AWS_REGION", "eu-central-1");
    expect_endpoint(w, "ec2", "https://ec2.eu-central-1.amazonaws.com/");
    expect_endpoint(w, "cloudwatch", "https://monitoring.eu-central-1.amazonaws.com/");
    expect_endpoint(w, "pricing", "https://api.pricing.us-east-1.amazonaws.com/");
    world_set("AWS_REGION", "cn-north-1");
    expect_endpoint(w, "sts", "https://sts.cn-north-1.amazonaws.com.cn/");
    world_set("AWS_REGION", "us-gov-west-1");
    expect_endpoint(w, "ssm", "https://ssm.us-gov-west-1.amazonaws.com/");
    world_write(w, ".aws/config",
                "[default]\nendpoint_url = http://Profile:80\nservices = s\n[services s]\nec2 =\n"
                "  endpoint_url = https://Services:443/base\n");
    expect_endpoint(w, "ec2", "https://services/base");
    expect_endpoint(w, "sts", "http://profile/");
    world_set("AWS_ENDPOINT_URL", "http://127.0.0.1:5000");
    expect_endpoint(w, "ec2", "http://127.0.0.1:5000/");
    world_set("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:6000/");
    expect_endpoint(w, "ec2", "http://127.0.0.1:6000/");
    expect_endpoint(w, "sts", "http://127.0.0.1:5000/");
    world_set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    expect_endpoint(w, "ec2", "https://ec2.us-gov-west-1.amazonaws.com/");
}

static void test_bad_settings(void **state)
{
    static const struct {
        const char *name, *value, *says;
    } table[] = {
        {"AWS_ENDPOINT_URL", "localhost:5000", "AWS_ENDPOINT_URL: 'localhost:5000' is no http"},
        {"AWS_ENDPOINT_URL", "http://u:p@h/", "AWS_ENDPOINT_URL: an endpoint's URL is"},
        {"AWS_ENDPOINT_URL_STS", "http:///", "AWS_ENDPOINT_URL_STS: the URL"},
        {"AWS_REGION", "us east", "'us east' is no region's name"},
        {"AWS_REGION", "evil.example/", "is no region's name"},
        {"AWS_MAX_ATTEMPTS", "many", "max_attempts"},
        {"AWS_CA_BUNDLE", "/no/such.pem", "no such file: '/no/such.pem'"},
        {"AWS_PROFILE", "nobody", "no profile 'nobody' (of AWS_PROFILE)"},
    };
    struct world *w = *state;
    size_t base = world_env_count;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct err err = {0};
        world_env_count = base;
        world_set(table[i].name, table[i].value);
        assert_int_equal(world_open(w, NULL, &err), -1);
        if (!strstr(err.msg, table[i].says))
            fail_msg("%s: %s", table[i].value, err.msg);
    }
    world_env_count = base;
    world_write(w, ".aws/config", "[default]\nregion us-east-1\n");
    struct err err = {0};
    assert_int_equal(world_open(w, NULL, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_non_null(strstr(err.msg, "/.aws/config:2: "));
}

static void test_region(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_string_equal(aws_region(w->aws), "us-east-1");
    aws_close(w->aws);
    world_write(w, ".aws/config",
                "[default]\nregion = eu-west-3\n[profile p]\nregion = eu-north-1\n");
    assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_string_equal(aws_region(w->aws), "eu-west-3");
    aws_close(w->aws);
    assert_int_equal(world_open(w, "p", NULL), 0);
    assert_string_equal(aws_region(w->aws), "eu-north-1");
    aws_close(w->aws);
    world_set("AWS_DEFAULT_REGION", "ap-south-1");
    assert_int_equal(world_open(w, "p", NULL), 0);
    assert_string_equal(aws_region(w->aws), "ap-south-1");
    aws_close(w->aws);
    world_set("AWS_REGION", "ap-south-2");
    struct aws_options o = {.loop = w->loop, .getenv = world_getenv};
    assert_int_equal(aws_open(&o, &w->aws, NULL), 0);
    assert_string_equal(aws_region(w->aws), "ap-south-2");
    aws_close(w->aws);
    o.region = "us-west-1";
    assert_int_equal(aws_open(&o, &w->aws, NULL), 0);
    assert_string_equal(aws_region(w->aws), "us-west-1");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_request),
        T(test_retries),
        T(test_throttled),
        T(test_final_errors),
        T(test_a_no_after_a_lost_answer_is_unsure),
        T(test_nonsense),
        T(test_clock_is_corrected),
        T(test_clock_is_named),
        T(test_no_skew),
        T(test_denial_is_decoded),
        T(test_denial_stays),
        T(test_side_by_side),
        T(test_cancelled),
        T(test_unreachable),
        T(test_endpoints),
        T(test_bad_settings),
        T(test_region),
    };
    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}

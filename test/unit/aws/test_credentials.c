/* Where the keys come from: every provider, their order, refreshing, and what is said when there
 * are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/ec2.h"
#include "aws_world.h"

#define FAR "2099-01-01T00:00:00Z"

static const char role_answer[] =
    "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%sResult><Credentials>"
    "<AccessKeyId>%s</AccessKeyId><SecretAccessKey>secret-role</SecretAccessKey>"
    "<SessionToken>token-role</SessionToken><Expiration>%s</Expiration></Credentials>"
    "</%sResult></%sResponse>";

static void reply_role(struct buf *reply, const char *action, const char *id, const char *expires)
{
    AUTO_FREE char *body = mem_printf(role_answer, action, action, id, expires, action, action);
    fake_reply(reply, 200, "", body);
}

static bool body_has(struct str request, const char *text)
{
    struct str body = fake_body(request);
    return memmem(body.p, body.n, text, strlen(text)) != NULL;
}

static bool signed_by(struct str request, const char *id)
{
    AUTO_FREE char *text = mem_printf("AWS4-HMAC-SHA256 Credential=%s/", id);
    return str_starts(fake_header(request, "Authorization"), text);
}

static void expect_source(struct world *w, const char *profile, const char *says)
{
    char source[256];
    struct err err = {0};
    aws_close(TAKE(w->aws));
    if (world_open(w, profile, &err) == -1 ||
        aws_credentials_source(w->aws, source, sizeof source, &err) == -1)
        fail_msg("%s", err.msg);
    if (!strstr(source, says))
        fail_msg("'%s' is not of '%s'", source, says);
}

static void expect_failure(struct world *w, const char *profile, enum err_code code,
                           const char *says)
{
    char source[256];
    struct err err = {0};
    aws_close(TAKE(w->aws));
    assert_int_equal(world_open(w, profile, NULL), 0);
    assert_int_equal(aws_credentials_source(w->aws, source, sizeof source, &err), -1);
    if (!strstr(err.msg, says))
        fail_msg("%s", err.msg);
    assert_int_equal(err.code, code);
}

/* ---- environment and files --------------------------------------------------------------------
 */

static const char both_files[] = "[default]\naws_access_key_id = AKIDCONFIG\n"
                                 "aws_secret_access_key = s\n[profile p]\naws_access_key_id = "
                                 "AKIDP\naws_secret_access_key = s\n[profile half]\n"
                                 "aws_access_key_id = AKIDHALF\n";

static void test_order(void **state)
{
    struct world *w = *state;
    world_write(w, ".aws/config", both_files);
    expect_source(w, NULL, "profile 'default' in '/tmp/flambe-test-aws-");
    assert_string_equal(w->aws->credentials.access_key_id, "AKIDCONFIG");
    world_write(w, ".aws/credentials",
                "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = t\n");
    expect_source(w, NULL, "/.aws/credentials");
    assert_string_equal(w->aws->credentials.access_key_id, "AKIDFILE");
    assert_true(str_is(secret_expose(w->aws->credentials.secret_key), "t"));
    world_set_keys();
    expect_source(w, NULL, "the environment");
    world_set("AWS_PROFILE", "p"); /* does not drop the environment's keys */
    expect_source(w, NULL, "the environment");
    expect_source(w, "p", "profile 'p'"); /* an argument does */
    assert_string_equal(w->aws->credentials.access_key_id, "AKIDP");
    assert_int_equal(w->step, 0);
}

static void test_half_keys(void **state)
{
    struct world *w = *state;
    world_write(w, ".aws/config", both_files);
    expect_failure(w, "half", ERR_CREDENTIALS,
                   "has no aws_secret_access_key; to set it: aws configure --profile half");
    world_set("AWS_ACCESS_KEY_ID", "AKID");
    expect_failure(w, NULL, ERR_CREDENTIALS, "AWS_SECRET_ACCESS_KEY is not; to set it: export");
}

static void test_environment_expired(void **state)
{
    struct world *w = *state;
    world_set_keys();
    world_set("AWS_CREDENTIAL_EXPIRATION", FAR);
    expect_source(w, NULL, "the environment");
    world_set("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z");
    expect_failure(w, NULL, ERR_CREDENTIALS, "expired at 2020-01-01T00:00:00Z");
    world_set("AWS_CREDENTIAL_EXPIRATION", "tomorrow");
    expect_failure(w, NULL, ERR_CREDENTIALS, "not 'tomorrow'");
}

static void test_none(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    AUTO_STRV struct strv names = {0};
    expect_failure(w, NULL, ERR_CREDENTIALS, "no AWS credentials; looked at the environment");
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, &err), -1);
    static const char *const says[] = {"AWS_ACCESS_KEY_ID",
                                       "profile 'default'",
                                       "/.aws/credentials",
                                       "/.aws/config",
                                       "metadata service",
                                       "'aws configure'",
                                       "export "};
    for (size_t i = 0; i < COUNT_OF(says); i++)
        assert_non_null(strstr(err.msg, says[i]));
    assert_int_equal(err.code, ERR_CREDENTIALS);
    assert_int_equal(w->step, 0);
}

/* ---- roles ------------------------------------------------------------------------------------
 */

static const char roles[] =
    "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n"
    "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id = e&x\n"
    "role_session_name = me\nduration_seconds = 1800\n"
    "[profile second]\nrole_arn = arn:aws:iam::1:role/second\nsource_profile = role\n"
    "[profile a]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = b\n"
    "[profile b]\nrole_arn = arn:aws:iam::1:role/b\nsource_profile = a\n"
    "[profile self]\nrole_arn = arn:aws:iam::1:role/self\nsource_profile = self\n"
    "aws_access_key_id = AKIDSELF\naws_secret_access_key = s\n"
    "[profile mfa]\nrole_arn = arn:aws:iam::1:role/m\nsource_profile = base\nmfa_serial = x\n"
    "[profile both]\nrole_arn = r\nsource_profile = base\ncredential_source = Environment\n"
    "[profile neither]\nrole_arn = r\n"
    "[profile lost]\nrole_arn = r\nsource_profile = nobody\n"
    "[profile env]\nrole_arn = arn:aws:iam::1:role/env\ncredential_source = Environment\n"
    "[profile odd]\nrole_arn = r\ncredential_source = Sky\n"
    "[profile long]\nrole_arn = r\nsource_profile = base\nduration_seconds = 5\n";

static void answer_role(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (body_has(request, "role%2Fr&"))
        reply_role(reply, "AssumeRole", "ASIAROLE", FAR);
    else if (body_has(request, "Action=AssumeRole"))
        reply_role(reply, "AssumeRole", "ASIAOTHER", FAR);
    else
        fake_reply(reply, 200, "", "<R/>");
}

static void test_role(void **state)
{
    struct world *w = *state;
    w->answer = answer_role;
    world_write(w, ".aws/config", roles);
    expect_source(w, "role", "role 'arn:aws:iam::1:role/r' of profile 'role'");
    assert_int_equal(w->step, 1);
    assert_true(signed_by(buf_view(&w->last), "AKIDBASE"));
    assert_string_equal(w->bodies.items[0],
                        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole"
                        "%2Fr&RoleSessionName=me&ExternalId=e%26x&DurationSeconds=1800");
    AUTO_STRV struct strv names = {0};
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_true(signed_by(buf_view(&w->last), "ASIAROLE"));
    assert_true(str_is(fake_header(buf_view(&w->last), "X-Amz-Security-Token"), "token-role"));
}

static void test_role_chain(void **state)
{
    struct world *w = *state;
    w->answer = answer_role;
    world_write(w, ".aws/config", roles);
    expect_source(w, "second", "role/second");
    assert_int_equal(w->step, 2);
    assert_true(signed_by(buf_view(&w->last), "ASIAROLE"));
    expect_source(w, "self", "role/self"); /* with keys, a profile may name itself */
    assert_true(signed_by(buf_view(&w->last), "AKIDSELF"));
    world_set_keys();
    expect_source(w, "env", "role/env");
    assert_true(signed_by(buf_view(&w->last), "AKIDENV"));
}

static void test_role_mistakes(void **state)
{
    struct world *w = *state;
    w->answer = answer_role;
    world_write(w, ".aws/config", roles);
    expect_failure(w, "a", ERR_FILE, "goes round in a circle");
    expect_failure(w, "both", ERR_FILE, "both: it needs exactly one");
    expect_failure(w, "neither", ERR_FILE, "neither: it needs exactly one");
    expect_failure(w, "lost", ERR_FILE, "there is no profile 'nobody'");
    expect_failure(w, "odd", ERR_FILE, "not 'Sky'");
    expect_failure(w, "long", ERR_FILE, "duration_seconds");
    expect_failure(w, "mfa", ERR_CREDENTIALS,
                   "eval \"$(aws configure export-credentials --profile mfa --format env)\"");
    assert_int_equal(w->step, 0);
}

static void answer_denied(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    fake_reply(reply, 403, "",
               "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: x "
               "is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>");
}

static void test_role_denied(void **state)
{
    struct world *w = *state;
    w->answer = answer_denied;
    world_write(w, ".aws/config", roles);
    expect_failure(
        w, "role", ERR_PERMISSION,
        "cannot assume 'arn:aws:iam::1:role/r' of profile 'role': AssumeRole: user: x is "
        "not authorized");
}

/* ---- web identity -----------------------------------------------------------------------------
 */

static void answer_web(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    assert_int_equal(fake_header(request, "Authorization").n, 0); /* is not signed */
    reply_role(reply, "AssumeRoleWithWebIdentity", "ASIAWEB", FAR);
}

static void test_web_identity(void **state)
{
    struct world *w = *state;
    w->answer = answer_web;
    world_write(w, "token", "the.web.token\n");
    AUTO_FREE char *path = fs_join(w->dir, "token");
    AUTO_FREE char *config =
        mem_printf("[profile web]\nrole_arn = arn:aws:iam::1:role/w\nweb_identity_token_file = %s\n"
                   "role_session_name = s\n",
                   path);
    world_write(w, ".aws/config", config);
    expect_source(w, "web", "by the web identity token in '");
    assert_string_equal(w->bodies.items[0],
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3A"
                        "iam%3A%3A1%3Arole%2Fw&RoleSessionName=s&WebIdentityToken=the.web.token");
    world_set("AWS_WEB_IDENTITY_TOKEN_FILE", path);
    expect_failure(w, NULL, ERR_CREDENTIALS, "AWS_ROLE_ARN");
    world_set("AWS_ROLE_ARN", "arn:aws:iam::1:role/env");
    expect_source(w, NULL, "role/env");
    world_set("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token");
    expect_failure(w, NULL, ERR_CREDENTIALS, "/no/such/token");
}

/* ---- SSO --------------------------------------------------------------------------------------
 */

static const char sso[] = "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\n"
                          "sso_role_name = Admin Role\n"
                          "[sso-session corp]\nsso_start_url = https://x/start\nsso_region = "
                          "eu-west-1\n"
                          "[profile old]\nsso_start_url = https://old/start\nsso_region = "
                          "us-east-1\nsso_account_id = 1\nsso_role_name = R\n"
                          "[profile bad]\nsso_session = nobody\n"
                          "[profile short]\nsso_start_url = https://x\nsso_region = us-east-1\n";

/* printf corp | sha1sum */
#define CORP ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"

static bool sso_refuse;

static void answer_sso(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (str_starts(request, "POST /token ")) {
        assert_true(body_has(request, "\"refreshToken\":\"refresh-1\""));
        if (sso_refuse)
            fake_reply(reply, 400, "", "{\"error\":\"invalid_grant\"}");
        else
            fake_reply(reply, 200, "",
                       "{\"accessToken\":\"fresh\",\"expiresIn\":28800,\"refreshToken\":\"refresh-2"
                       "\",\"tokenType\":\"Bearer\"}");
        return;
    }
    assert_true(str_starts(request, "GET /federation/credentials?role_name="));
    if (str_is(fake_header(request, "x-amz-sso_bearer_token"), "revoked"))
        fake_reply(reply, 401, "x-amzn-ErrorType: UnauthorizedException\r\n",
                   "{\"message\":\"Session token not found or invalid\"}");
    else
        fake_reply(reply, 200, "",
                   "{\"roleCredentials\":{\"accessKeyId\":\"ASIASSO\",\"secretAccessKey\":\"s\","
                   "\"sessionToken\":\"t\",\"expiration\":4070908800000}}");
}

static void write_token(struct world *w, const char *name, const char *token, const char *expires)
{
    AUTO_FREE char *text = mem_printf(
        "{\"startUrl\":\"x\",\"region\":\"eu-west-1\",\"accessToken\":\"%s\",\"expiresAt\":\"%s\","
        "\"clientId\":\"c\",\"clientSecret\":\"cs\",\"registrationExpiresAt\":\"" FAR "\","
        "\"refreshToken\":\"refresh-1\"}",
        token, expires);
    world_write(w, name, text);
}

static void test_sso(void **state)
{
    struct world *w = *state;
    w->answer = answer_sso;
    world_write(w, ".aws/config", sso);
    expect_failure(w, "dev", ERR_CREDENTIALS,
                   "there is no SSO token; to get a new one: aws sso login --profile dev");
    write_token(w, CORP, "valid", FAR);
    expect_source(w, "dev", "SSO, profile 'dev'");
    assert_string_equal(w->aws->credentials.access_key_id, "ASIASSO");
    assert_true(w->aws->credentials.expires == 4070908800 * USEC_PER_SEC);
    assert_int_equal(w->step, 1);
    assert_true(str_starts(
        buf_view(&w->last),
        "GET /federation/credentials?role_name=Admin%20Role&account_id=111122223333 HTTP"));
    write_token(w, CORP, "revoked", FAR);
    expect_failure(w, "dev", ERR_CREDENTIALS,
                   "refused as expired; to get a new one: aws sso login");
}

static void test_sso_refresh(void **state)
{
    struct world *w = *state;
    w->answer = answer_sso;
    sso_refuse = false;
    world_write(w, ".aws/config", sso);
    write_token(w, CORP, "stale", "2020-01-01T00:00:00UTC");
    expect_source(w, "dev", "SSO");
    assert_int_equal(w->step, 2);
    assert_true(str_is(fake_header(buf_view(&w->last), "x-amz-sso_bearer_token"), "fresh"));
    AUTO_FREE char *path = fs_join(w->dir, CORP);
    AUTO_BUF struct buf cache = {0};
    assert_int_equal(fs_read(path, 1 << 20, &cache, NULL), 0); /* kept, with all else in it */
    assert_non_null(strstr(buf_text(&cache), "\"fresh\""));
    assert_non_null(strstr(buf_text(&cache), "\"refresh-2\""));
    assert_non_null(strstr(buf_text(&cache), "\"clientSecret\":\"cs\""));
    expect_source(w, "dev", "SSO"); /* and used from there */
    assert_int_equal(w->step, 3);

    sso_refuse = true;
    write_token(w, CORP, "stale", "2020-01-01T00:00:00Z");
    expect_failure(w, "dev", ERR_CREDENTIALS, "aws sso login --profile dev");
}

static void test_sso_mistakes(void **state)
{
    struct world *w = *state;
    w->answer = answer_sso;
    world_write(w, ".aws/config", sso);
    expect_failure(w, "bad", ERR_FILE, "there is no [sso-session nobody]");
    expect_failure(w, "short", ERR_FILE, "has no sso_account_id");
    expect_failure(w, "old", ERR_CREDENTIALS, "aws sso login --profile old");
    world_write(w, CORP, "{\"accessToken\":");
    expect_failure(w, "dev", ERR_CREDENTIALS, "malformed");
    assert_int_equal(w->step, 0);
}

/* ---- a program --------------------------------------------------------------------------------
 */

static void expect_process(struct world *w, const char *line, const char *says, bool works)
{
    AUTO_FREE char *config = mem_printf("[profile p]\ncredential_process = %s\n", line);
    world_write(w, ".aws/config", config);
    if (works)
        expect_source(w, "p", says);
    else
        expect_failure(w, "p", ERR_CREDENTIALS, says);
}

static void test_process(void **state)
{
    struct world *w = *state;
    expect_process(w,
                   "printf '%s' '{\"Version\": 1, \"AccessKeyId\": \"AKIDPROC\", "
                   "\"SecretAccessKey\": \"$(x) s\", \"SessionToken\": \"t\", \"Expiration\": "
                   "\"" FAR "\"}'",
                   "credential_process of profile 'p'", true);
    assert_string_equal(w->aws->credentials.access_key_id, "AKIDPROC");
    assert_true(str_is(secret_expose(w->aws->credentials.secret_key), "$(x) s")); /* no shell */
    assert_true(w->aws->credentials.expires > 0);
    expect_process(w, "sh -c \"echo 'log in first' >&2; exit 3\"",
                   "failed with status 3: log in first", false);
    expect_process(w, "echo hello", "does not print JSON", false);
    expect_process(w, "echo '{\"Version\": 2}'", "\"Version\": 1", false);
    expect_process(w, "echo '{\"Version\": 1, \"AccessKeyId\": \"a\"}'", "no AccessKeyId", false);
    expect_process(w, "/no/such/program", "cannot run '/no/such/program'", false);
    AUTO_FREE char *config = mem_printf("[profile p]\ncredential_process = a 'b\n");
    world_write(w, ".aws/config", config);
    expect_failure(w, "p", ERR_FILE, "a quote that is not closed");
}

/* ---- container and machine --------------------------------------------------------------------
 */

static void answer_container(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (w->step == 1)
        fake_reply(reply, 500, "", "later");
    else if (!str_is(fake_header(request, "Authorization"), "Basic abc"))
        fake_reply(reply, 403, "", "no");
    else
        fake_reply(reply, 200, "",
                   "{\"AccessKeyId\":\"ASIACONT\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                   "\"Expiration\":\"" FAR "\"}");
}

static void test_container(void **state)
{
    struct world *w = *state;
    w->answer = answer_container;
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/creds", w->fake.port);
    AUTO_FREE char *token = fs_join(w->dir, "token");
    world_write(w, "token", "Basic abc\n");
    world_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    world_set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    expect_source(w, NULL, "the container's endpoint");
    assert_int_equal(w->step, 2); /* after one 500 */
    world_set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "");
    world_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc\r\nX-Evil: yes");
    expect_failure(w, NULL, ERR_CREDENTIALS, "line break");
    world_set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "");
    expect_failure(w, NULL, ERR_CREDENTIALS, "status 403");
    static const char *const bad[] = {"http://example.com/", "http://127.0.0.1.example.com/",
                                      "ftp://127.0.0.1/", "http://169.254.170.20/"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        world_set("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i]);
        expect_failure(w, NULL, ERR_CREDENTIALS, "AWS_CONTAINER_CREDENTIALS_FULL_URI is https://");
    }
    world_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
    expect_failure(w, NULL, ERR_CREDENTIALS, "starts with '/'");
}

static const char *imds_expires;

static void answer_imds(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (str_starts(request, "PUT /latest/api/token ")) {
        assert_true(fake_header(request, "X-aws-ec2-metadata-token-ttl-seconds").n > 0);
        fake_reply(reply, 200, "", "imds-token");
        return;
    }
    if (str_starts(request, "POST ")) {
        if (body_has(request, "DescribeRegions") && w->step == 4)
            world_ec2_error(reply, 400, "", "RequestExpired", "Request has expired.");
        else
            fake_reply(reply, 200, "", "<R/>");
        return;
    }
    assert_true(str_is(fake_header(request, "X-aws-ec2-metadata-token"), "imds-token"));
    if (str_starts(request, "GET /latest/meta-data/placement/region "))
        fake_reply(reply, 200, "", "eu-south-1");
    else if (str_starts(request, "GET /latest/meta-data/iam/security-credentials/ "))
        fake_reply(reply, 200, "", "my-role\n");
    else {
        assert_true(str_starts(request, "GET /latest/meta-data/iam/security-credentials/my-role "));
        AUTO_FREE char *body = mem_printf(
            "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAIMDS%d\",\"SecretAccessKey\":\"s\","
            "\"Token\":\"t\",\"Expiration\":\"%s\"}",
            w->step, imds_expires);
        fake_reply(reply, 200, "", body);
    }
}

static void set_imds(struct world *w)
{
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/", w->fake.port);
    world_set("AWS_EC2_METADATA_DISABLED", "");
    world_set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
    w->answer = answer_imds;
    imds_expires = FAR;
}

static void test_imds(void **state)
{
    struct world *w = *state;
    set_imds(w);
    expect_source(w, NULL, "the instance's role 'my-role'");
    assert_string_equal(aws_region(w->aws), "eu-south-1");
    world_set("AWS_REGION", "us-east-1");
    w->step = 0;
    expect_source(w, NULL, "my-role");
    assert_int_equal(w->step, 3);
}

/* Refused as expired whatever their expiry says: fetched anew, once. */
static void test_refused_as_expired(void **state)
{
    struct world *w = *state;
    AUTO_STRV struct strv names = {0};
    set_imds(w);
    world_set("AWS_REGION", "us-east-1");
    assert_int_equal(world_open(w, NULL, NULL), 0);
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_int_equal(w->step, 8); /* token, role, keys, refused, token, role, keys, good */
    assert_true(signed_by(buf_view(&w->last), "ASIAIMDS7"));
}

/* Less than ten minutes left: fetched again before the next call; where that fails, the old ones go
 * on as long as they hold. */
static void test_refresh_in_time(void **state)
{
    struct world *w = *state;
    AUTO_STRV struct strv names = {0};
    char soon[CLOCK_ISO_SIZE];
    set_imds(w);
    world_set("AWS_REGION", "us-east-1");
    clock_iso(clock_wall(clock_system()) + 5 * USEC_PER_MIN, soon);
    assert_int_equal(world_open(w, NULL, NULL), 0);
    w->step = 10;
    imds_expires = soon;
    char source[128];
    assert_int_equal(aws_credentials_source(w->aws, source, sizeof source, NULL), 0);
    assert_int_equal(w->step, 13);
    imds_expires = FAR;
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_int_equal(w->step, 17);
    assert_true(signed_by(buf_view(&w->last), "ASIAIMDS16"));
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_int_equal(w->step, 18);

    w->aws->credentials.expires = clock_wall(clock_system()) + 5 * USEC_PER_MIN;
    imds_expires = "never";
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_true(signed_by(buf_view(&w->last), "ASIAIMDS16"));
    int before = w->step;
    assert_int_equal(ec2_describe_regions_end(ec2_describe_regions(w->aws), &names, NULL), 0);
    assert_int_equal(w->step, before + 1); /* nor is it tried with every call */
}

/* Several calls want credentials at once: they are fetched once. */
static void test_fetched_once(void **state)
{
    struct world *w = *state;
    set_imds(w);
    world_set("AWS_REGION", "us-east-1");
    assert_int_equal(world_open(w, NULL, NULL), 0);
    w->step = 10;
    struct aws_call *calls[5];
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        calls[i] = ec2_describe_regions(w->aws);
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        AUTO_STRV struct strv names = {0};
        assert_int_equal(ec2_describe_regions_end(calls[i], &names, NULL), 0);
    }
    assert_int_equal(w->step, 18); /* 3 + 5 */
}

/* No secret in any trace or error on the way. */
static void test_no_secret_is_told(void **state)
{
    struct world *w = *state;
    w->answer = answer_denied;
    world_write(
        w, ".aws/config",
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = hunter2\n"
        "aws_session_token = hunter3\n[profile role]\nrole_arn = r\nsource_profile = base\n");
    char source[256];
    struct err err = {0};
    assert_int_equal(world_open(w, "role", NULL), 0);
    assert_int_equal(aws_credentials_source(w->aws, source, sizeof source, &err), -1);
    assert_null(strstr(err.msg, "hunter"));
    assert_true(w->trace.len > 0);
    assert_null(strstr(buf_text(&w->trace), "hunter"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_order),
        T(test_half_keys),
        T(test_environment_expired),
        T(test_none),
        T(test_role),
        T(test_role_chain),
        T(test_role_mistakes),
        T(test_role_denied),
        T(test_web_identity),
        T(test_sso),
        T(test_sso_refresh),
        T(test_sso_mistakes),
        T(test_process),
        T(test_container),
        T(test_imds),
        T(test_refused_as_expired),
        T(test_refresh_in_time),
        T(test_fetched_once),
        T(test_no_secret_is_told),
    };
    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}

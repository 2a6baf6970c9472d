/* Credentials of IAM Identity Center (SSO): the token that `aws sso login` left in its cache,
 * changed for a role's keys. See credentials.h.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html and botocore. */
#include "aws/aws_priv.h"
#include "aws/errors.h"
#include "aws/sigv4.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_REFRESH_BEFORE (15 * USEC_PER_MIN)
#define TOKEN_FILE_MAX ((size_t)1 << 20)

struct sso {
    const char *profile, *session, *start_url, *region, *account, *role;
    char *cache_path;
};

bool credentials_sso_applies(const struct aws *aws, const char *profile)
{
    return credentials_key(aws, profile, "sso_session") ||
           credentials_key(aws, profile, "sso_start_url");
}

static int login_needed(const struct sso *s, struct err *err, const char *why)
{
    return err_set(err, ERR_CREDENTIALS,
                   "profile '%s': %s; to get a new one: aws sso login --profile %s", s->profile,
                   why, s->profile);
}

static char *cache_path(const struct aws *aws, const char *key)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    if (EVP_Digest(key, strlen(key), raw, &n, EVP_sha1(), NULL) != 1)
        abort();
    digest_hex(raw, n, hex);
    const char *home = aws_env(aws, "HOME");
    return mem_printf("%s/.aws/sso/cache/%s.json", home ? home : fs_home(), hex);
}

static int read_settings(const struct aws *aws, const char *profile, struct sso *out,
                         struct err *err)
{
    struct sso s = {.profile = profile,
                    .session = credentials_key(aws, profile, "sso_session"),
                    .start_url = credentials_key(aws, profile, "sso_start_url"),
                    .region = credentials_key(aws, profile, "sso_region"),
                    .account = credentials_key(aws, profile, "sso_account_id"),
                    .role = credentials_key(aws, profile, "sso_role_name")};
    if (s.session) {
        if (!config_file_has(aws->config, CONFIG_SSO_SESSION, s.session))
            return err_set(err, ERR_FILE, "profile '%s': there is no [sso-session %s] in '%s'",
                           profile, s.session, aws->config_path);
        s.start_url = config_file_get(aws->config, CONFIG_SSO_SESSION, s.session, "sso_start_url");
        s.region = config_file_get(aws->config, CONFIG_SSO_SESSION, s.session, "sso_region");
    }
    const char *missing = !s.start_url || !*s.start_url ? "sso_start_url"
                          : !s.region || !*s.region     ? "sso_region"
                          : !s.account                  ? "sso_account_id"
                          : !s.role                     ? "sso_role_name"
                                                        : NULL;
    if (missing)
        return err_set(
            err, ERR_FILE,
            "profile '%s' uses SSO and has no %s; to set it: aws configure sso --profile %s",
            profile, missing, profile);
    if (!aws_region_is_sound(s.region))
        return err_set(err, ERR_FILE, "profile '%s': '%s' is no region's name (sso_region)",
                       profile, s.region);
    s.cache_path = cache_path(aws, s.session ? s.session : s.start_url);
    *out = s;
    return 0;
}

/* One request to a service of SSO, whose answer is JSON. */
static int ask(struct aws *aws, const struct http_request *request, struct json_t **out,
               struct err *err)
{
    struct http *http = aws_http(aws, err);
    struct http_response r;
    if (!http || http_run(http, request, &r, err) == -1)
        return -1;
    int rc;
    if (r.status == 200)
        rc = json_parse(buf_view(&r.body), CREDENTIALS_ANSWER_MAX, out, err);
    else
        rc = aws_error_set(err, r.status, buf_view(&r.body), http_header(&r, "x-amzn-ErrorType"));
    http_response_done(&r);
    return rc;
}

static usec_t time_of(const json_t *token, const char *key)
{
    usec_t at;
    const char *text = json_text(token, key);
    return text && clock_parse_iso(str_of(text), &at) ? at : 0;
}

/* Puts the fresh token into the cache, where aws finds it, too. */
static void store(struct aws *aws, const struct sso *s, json_t *token, const json_t *fresh)
{
    char expires[CLOCK_ISO_SIZE];
    usec_t span = json_integer_value(json_object_get(fresh, "expiresIn")) * USEC_PER_SEC;
    clock_iso(aws_now(aws) + span, expires);
    json_object_set(token, "accessToken", json_object_get(fresh, "accessToken"));
    json_object_set_new(token, "expiresAt", json_string(expires));
    if (json_text(fresh, "refreshToken"))
        json_object_set(token, "refreshToken", json_object_get(fresh, "refreshToken"));
    struct buf text = {0};
    json_write(token, false, &text);
    if (fs_write_atomic(s->cache_path, 0600, buf_view(&text), NULL) == -1) {
        /* a cache that cannot be written costs one more refresh, later */
    }
    buf_wipe(&text);
}

static int refresh(struct aws *aws, const struct sso *s, json_t *token, struct err *err)
{
    const char *client = json_text(token, "clientId"), *secret = json_text(token, "clientSecret");
    const char *refresh_token = json_text(token, "refreshToken");
    if (!s->session || !client || !secret || !refresh_token ||
        time_of(token, "registrationExpiresAt") <= aws_now(aws))
        return login_needed(s, err, "the SSO token has expired");
    struct aws_url base = {0};
    if (aws_find_endpoint(aws, &aws_sso_oidc, s->region, &base, err) == -1)
        return -1;
    json_auto_t *body = json_pack("{s:s, s:s, s:s, s:s}", "grantType", "refresh_token", "clientId",
                                  client, "clientSecret", secret, "refreshToken", refresh_token);
    struct buf text = {0};
    json_write(body, false, &text);
    AUTO_FREE char *url = mem_printf("%stoken", base.url);
    const char *headers[] = {"Content-Type: application/json", NULL};
    struct http_request request = {
        .method = "POST", .url = url, .headers = headers, .body = buf_view(&text)};
    json_auto_t *fresh = NULL;
    int rc = ask(aws, &request, &fresh, err);
    buf_wipe(&text);
    aws_url_done(&base);
    if (rc == -1)
        return login_needed(s, err, "the SSO token has expired and cannot be refreshed");
    if (!json_text(fresh, "accessToken"))
        return login_needed(s, err, "the refreshed SSO token is malformed");
    store(aws, s, token, fresh);
    return 0;
}

static int read_token(struct aws *aws, const struct sso *s, struct json_t **out, struct err *err)
{
    struct buf text = {0};
    struct err why = {0};
    if (fs_read(s->cache_path, TOKEN_FILE_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? login_needed(s, err, "there is no SSO token")
                                         : err_copy(err, &why);
    json_t *token = NULL;
    int rc = json_parse(buf_view(&text), TOKEN_FILE_MAX, &token, NULL);
    buf_wipe(&text);
    if (rc == -1 || !json_text(token, "accessToken") || !time_of(token, "expiresAt")) {
        json_decref(token);
        return login_needed(s, err, "the SSO token in the cache is malformed");
    }
    usec_t expires = time_of(token, "expiresAt");
    if (expires - TOKEN_REFRESH_BEFORE <= aws_now(aws) && refresh(aws, s, token, &why) == -1 &&
        expires <= aws_now(aws)) {
        json_decref(token);
        return err_copy(err, &why);
    }
    *out = token;
    return 0;
}

static int take_role(const json_t *answer, struct credentials *out, struct err *err)
{
    const json_t *role = json_object_get(answer, "roleCredentials");
    const char *id = json_text(role, "accessKeyId"), *key = json_text(role, "secretAccessKey");
    const char *token = json_text(role, "sessionToken");
    json_int_t expires_ms = json_integer_value(json_object_get(role, "expiration"));
    if (!id || !key || !token || expires_ms <= 0 || expires_ms > INT64_MAX / USEC_PER_MSEC)
        return err_set(err, ERR_PARSE, "SSO's answer has no credentials");
    *out = (struct credentials){.access_key_id = mem_dup(id),
                                .secret_key = secret_new(str_of(key)),
                                .session_token = secret_new(str_of(token)),
                                .expires = expires_ms * USEC_PER_MSEC};
    return 0;
}

static int ask_role(struct aws *aws, const struct sso *s, const char *token,
                    struct credentials *out, struct err *err)
{
    struct aws_url base = {0};
    if (aws_find_endpoint(aws, &aws_sso, s->region, &base, err) == -1)
        return -1;
    struct buf url = {0}, header = {0};
    buf_addf(&url, "%sfederation/credentials?role_name=", base.url);
    sigv4_escape(str_of(s->role), "", &url);
    buf_adds(&url, "&account_id=");
    sigv4_escape(str_of(s->account), "", &url);
    buf_addf(&header, "x-amz-sso_bearer_token: %s", token);
    const char *headers[] = {buf_text(&header), NULL};
    struct http_request request = {.method = "GET", .url = buf_text(&url), .headers = headers};
    json_auto_t *answer = NULL;
    struct err why = {0};
    int rc = ask(aws, &request, &answer, &why);
    buf_done(&url);
    buf_wipe(&header);
    aws_url_done(&base);
    if (rc == -1 && aws_error_may_be_expired(&why))
        return login_needed(s, err, "the SSO token is refused as expired");
    if (rc == -1) {
        err_copy(err, &why);
        return err_wrap(err, "cannot get the role '%s' of account '%s' by SSO", s->role,
                        s->account);
    }
    return take_role(answer, out, err);
}

int credentials_from_sso(struct aws *aws, const char *profile, struct credentials *out,
                         struct err *err)
{
    struct sso s = {0};
    if (read_settings(aws, profile, &s, err) == -1)
        return -1;
    json_auto_t *token = NULL;
    struct err why = {0};
    int rc = read_token(aws, &s, &token, &why);
    if (rc == 0)
        rc = ask_role(aws, &s, json_text(token, "accessToken"), out, &why);
    if (rc == 0)
        out->source = mem_printf("SSO, profile '%s'", profile);
    free(s.cache_path);
    if (why.code == ERR_NOT_FOUND) /* the profile is set up for SSO: the chain ends here */
        why.code = ERR_CREDENTIALS;
    return rc == 0 ? 0 : err_copy(err, &why);
}

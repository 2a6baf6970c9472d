/* Credentials that STS gives for others: AssumeRole (a profile with role_arn and a source) and
 * AssumeRoleWithWebIdentity (a token in a file). See credentials.h. */
#include "aws/call.h"
#include "aws/imds.h"
#include "aws/query.h"
#include "aws/xml.h"
#include "base/mem.h"
#include "os/fs.h"
#include <string.h>

#define ROLE_CHAIN_MAX 8
#define WEB_TOKEN_MAX ((size_t)64 << 10)
#define ROLE_SECONDS_MIN 900
#define ROLE_SECONDS_MAX 43200

/* Reads Credentials out of STS's answer `result_name`. */
static int take_credentials(struct str text, const char *result_name, struct credentials *out,
                            struct err *err)
{
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(text, &x, err) == -1)
        return -1;
    const struct xml_node *c = xml_child(xml_child(xml_root(x), result_name), "Credentials");
    const char *id = xml_text(c, "AccessKeyId"), *key = xml_text(c, "SecretAccessKey");
    const char *token = xml_text(c, "SessionToken"), *expires = xml_text(c, "Expiration");
    usec_t at;
    if (!id || !key || !token || !expires || !clock_parse_iso(str_of(expires), &at))
        return err_set(err, ERR_PARSE, "STS's answer has no credentials");
    *out = (struct credentials){.access_key_id = mem_dup(id),
                                .secret_key = secret_new(str_of(key)),
                                .session_token = secret_new(str_of(token)),
                                .expires = at};
    return 0;
}

static void add_session_name(struct aws *aws, const char *name, struct buf *body)
{
    AUTO_FREE char *ours = mem_printf("flambe-%lld", (long long)(aws_now(aws) / USEC_PER_SEC));
    query_add(body, "RoleSessionName", name ? name : ours);
}

static int add_duration(const struct aws *aws, const char *profile, struct buf *body,
                        struct err *err)
{
    const char *text = credentials_key(aws, profile, "duration_seconds");
    int64_t seconds;
    if (!text)
        return 0;
    if (!str_to_i64(str_of(text), ROLE_SECONDS_MIN, ROLE_SECONDS_MAX, &seconds))
        return err_set(err, ERR_FILE,
                       "duration_seconds of profile '%s' is a number from %d to %d, not '%s'",
                       profile, ROLE_SECONDS_MIN, ROLE_SECONDS_MAX, text);
    query_add_int(body, "DurationSeconds", seconds);
    return 0;
}

/* ---- AssumeRole -------------------------------------------------------------------------------
 */

bool credentials_role_applies(const struct aws *aws, const char *profile)
{
    return credentials_key(aws, profile, "role_arn") &&
           !credentials_key(aws, profile, "web_identity_token_file");
}

static int from_source(struct aws *aws, const char *profile, const char *source,
                       struct credentials *out, struct err *err)
{
    if (strcmp(source, "Environment") == 0)
        return credentials_from_env(aws, out, err);
    if (strcmp(source, "EcsContainer") == 0)
        return credentials_from_container(aws, out, err);
    if (strcmp(source, "Ec2InstanceMetadata") == 0)
        return imds_credentials(aws, out, err);
    return err_set(err, ERR_FILE,
                   "credential_source of profile '%s' is Environment, EcsContainer or "
                   "Ec2InstanceMetadata, not '%s'",
                   profile, source);
}

static int assume(struct aws *aws, const char *profile, struct strv *visited,
                  struct credentials *out, struct err *err);

/* The keys that ask for the role. */
static int find_source(struct aws *aws, const char *profile, struct strv *visited,
                       struct credentials *out, struct err *err)
{
    const char *from = credentials_key(aws, profile, "source_profile");
    const char *source = credentials_key(aws, profile, "credential_source");
    if (!from == !source)
        return err_set(err, ERR_FILE,
                       "profile '%s' has role_arn and %s: it needs exactly one of source_profile "
                       "and credential_source",
                       profile, from ? "both" : "neither");
    if (source)
        return from_source(aws, profile, source, out, err);
    if (!config_file_has(aws->config, CONFIG_PROFILE, from))
        return err_set(err, ERR_FILE, "source_profile of profile '%s': there is no profile '%s'",
                       profile, from);
    bool has_keys = credentials_has_keys(aws, from);
    if (has_keys) /* as in botocore: keys go before a role, and a profile may name itself so */
        return credentials_from_keys(aws, from, out, err);
    if (strv_has(visited, from))
        return err_set(err, ERR_FILE, "source_profile goes round in a circle at profile '%s'",
                       from);
    if (credentials_role_applies(aws, from))
        return assume(aws, from, visited, out, err);
    return credentials_from_profile(aws, from, out, err);
}

static int ask_role(struct aws *aws, const char *profile, const struct credentials *by,
                    struct credentials *out, struct err *err)
{
    AUTO_BUF struct buf body = {0};
    struct buf text = {0};
    const char *role = credentials_key(aws, profile, "role_arn");
    query_add(&body, "RoleArn", role);
    add_session_name(aws, credentials_key(aws, profile, "role_session_name"), &body);
    query_add(&body, "ExternalId", credentials_key(aws, profile, "external_id"));
    if (add_duration(aws, profile, &body, err) == -1)
        return -1;
    int rc = aws_call_now(aws, &aws_sts, "AssumeRole", by, buf_view(&body), &text, err);
    if (rc == 0)
        rc = take_credentials(buf_view(&text), "AssumeRoleResult", out, err);
    buf_wipe(&text);
    if (rc == -1)
        return err_wrap(err, "cannot assume '%s' of profile '%s'", role, profile);
    out->source = mem_printf("role '%s' of profile '%s'", role, profile);
    return 0;
}

static int assume(struct aws *aws, const char *profile, struct strv *visited,
                  struct credentials *out, struct err *err)
{
    strv_add(visited, profile);
    if (visited->count > ROLE_CHAIN_MAX)
        return err_set(err, ERR_FILE, "more than %d roles in a row at profile '%s'", ROLE_CHAIN_MAX,
                       profile);
    if (credentials_key(aws, profile, "mfa_serial"))
        return err_set(
            err, ERR_CREDENTIALS,
            "profile '%s' asks for an MFA code (mfa_serial), which flambe cannot ask you "
            "for; let aws do it: eval \"$(aws configure export-credentials --profile %s "
            "--format env)\"",
            profile, profile);
    struct credentials by;
    if (find_source(aws, profile, visited, &by, err) == -1)
        return -1;
    int rc = ask_role(aws, profile, &by, out, err);
    credentials_done(&by);
    return rc;
}

int credentials_from_role(struct aws *aws, const char *profile, struct credentials *out,
                          struct err *err)
{
    AUTO_STRV struct strv visited = {0};
    struct err why = {0};
    if (assume(aws, profile, &visited, out, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND) /* the profile asks for a role: the chain ends here */
        why.code = ERR_CREDENTIALS;
    return err_copy(err, &why);
}

/* ---- web identity -----------------------------------------------------------------------------
 */

struct web {
    const char *token_file, *role, *session;
    bool from_env;
};

static struct web find_web(const struct aws *aws, const char *profile, bool with_env)
{
    struct web w = {0};
    if (with_env)
        w = (struct web){aws_env(aws, "AWS_WEB_IDENTITY_TOKEN_FILE"), aws_env(aws, "AWS_ROLE_ARN"),
                         aws_env(aws, "AWS_ROLE_SESSION_NAME"), true};
    if (!w.token_file)
        w = (struct web){credentials_key(aws, profile, "web_identity_token_file"),
                         credentials_key(aws, profile, "role_arn"),
                         credentials_key(aws, profile, "role_session_name"), false};
    return w;
}

bool credentials_web_applies(const struct aws *aws, const char *profile, bool with_env)
{
    return find_web(aws, profile, with_env).token_file != NULL;
}

int credentials_from_web(struct aws *aws, const char *profile, bool with_env,
                         struct credentials *out, struct err *err)
{
    struct web w = find_web(aws, profile, with_env);
    if (!w.role)
        return err_set(err, ERR_CREDENTIALS, "a web identity token file is set, %s is not",
                       w.from_env ? "AWS_ROLE_ARN" : "role_arn");
    struct buf token = {0}, body = {0}, text = {0};
    AUTO_FREE char *path = fs_expand_home(w.token_file);
    struct err why = {0};
    if (fs_read(path, WEB_TOKEN_MAX, &token, &why) == -1) {
        err_copy(err, &why);
        if (err)
            err->code = ERR_CREDENTIALS;
        return err_wrap(err, "cannot read the web identity token");
    }
    const struct credentials nobody = {.source = (char *)"the web identity token"};
    query_add(&body, "RoleArn", w.role);
    add_session_name(aws, w.session, &body);
    query_add_str(&body, "WebIdentityToken", str_trim(buf_view(&token)));
    int rc = aws_call_now(aws, &aws_sts, "AssumeRoleWithWebIdentity", &nobody, buf_view(&body),
                          &text, err);
    if (rc == 0)
        rc = take_credentials(buf_view(&text), "AssumeRoleWithWebIdentityResult", out, err);
    buf_wipe(&token);
    buf_wipe(&body);
    buf_wipe(&text);
    if (rc == 0)
        out->source = mem_printf("role '%s' by the web identity token in '%s'", w.role, path);
    return rc;
}

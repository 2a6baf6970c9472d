/* See credentials.h. The chain, and the providers that look into the environment and the files. */
#include "aws/credentials.h"
#include "aws/aws_priv.h"
#include "aws/imds.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

void credentials_done(struct credentials *c)
{
    free(c->access_key_id);
    secret_free(c->secret_key);
    secret_free(c->session_token);
    free(c->source);
    *c = (struct credentials){0};
}

int credentials_from_json(struct str text, const char *token_key, struct credentials *out,
                          struct err *err)
{
    json_t *root = NULL;
    if (json_parse(text, CREDENTIALS_ANSWER_MAX, &root, err) == -1)
        return -1;
    const char *id = json_text(root, "AccessKeyId");
    const char *key = json_text(root, "SecretAccessKey");
    const char *token = json_text(root, token_key);
    const char *expires = json_text(root, "Expiration");
    const char *message = json_text(root, "Message");
    usec_t at = 0;
    int rc = 0;
    if (!id || !key || !*id || !*key)
        rc = err_set(err, ERR_CREDENTIALS, "no AccessKeyId and SecretAccessKey in the answer%s%s",
                     message ? ": " : "", message ? message : "");
    else if (expires && !clock_parse_iso(str_of(expires), &at))
        rc = err_set(err, ERR_CREDENTIALS, "cannot read the Expiration '%s'", expires);
    if (rc == 0) {
        *out = (struct credentials){.access_key_id = mem_dup(id),
                                    .secret_key = secret_new(str_of(key)),
                                    .session_token = token ? secret_new(str_of(token)) : NULL,
                                    .expires = at};
    }
    json_decref(root);
    return rc;
}

/* ---- the environment --------------------------------------------------------------------------
 */

static bool env_applies(struct aws *aws)
{
    return !aws->profile_given && (aws_env(aws, "AWS_ACCESS_KEY_ID") != NULL ||
                                   aws_env(aws, "AWS_SECRET_ACCESS_KEY") != NULL);
}

int credentials_from_env(struct aws *aws, struct credentials *out, struct err *err)
{
    const char *id = aws_env(aws, "AWS_ACCESS_KEY_ID");
    const char *key = aws_env(aws, "AWS_SECRET_ACCESS_KEY");
    const char *token = aws_env(aws, "AWS_SESSION_TOKEN");
    const char *expires = aws_env(aws, "AWS_CREDENTIAL_EXPIRATION");
    if (!token)
        token = aws_env(aws, "AWS_SECURITY_TOKEN"); /* its old name */
    if (!id || !key)
        return err_set(err, ERR_CREDENTIALS, "%s is set, %s is not; to set it: export %s=…",
                       id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                       id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    usec_t at = 0;
    if (expires && !clock_parse_iso(str_of(expires), &at))
        return err_set(err, ERR_CREDENTIALS,
                       "AWS_CREDENTIAL_EXPIRATION is a time such as 2026-01-31T23:59:59Z, not '%s'",
                       expires);
    if (at && at <= aws_now(aws))
        return err_set(
            err, ERR_CREDENTIALS,
            "the credentials in the environment expired at %s (AWS_CREDENTIAL_EXPIRATION); "
            "set new ones, or unset AWS_ACCESS_KEY_ID to use a profile",
            expires);
    *out = (struct credentials){.access_key_id = mem_dup(id),
                                .secret_key = secret_new(str_of(key)),
                                .session_token = token ? secret_new(str_of(token)) : NULL,
                                .source = mem_dup("the environment (AWS_ACCESS_KEY_ID)")};
    return 0;
}

/* ---- static keys of a profile -----------------------------------------------------------------
 */

const char *credentials_key(const struct aws *aws, const char *profile, const char *key)
{
    const char *value = config_file_get(aws->config, CONFIG_PROFILE, profile, key);
    return value && *value ? value : NULL;
}

bool credentials_has_keys(const struct aws *aws, const char *profile)
{
    return credentials_key(aws, profile, "aws_access_key_id") ||
           credentials_key(aws, profile, "aws_secret_access_key");
}

static bool keys_are_in(const struct aws *aws, const char *profile, const char *path)
{
    const char *key = credentials_key(aws, profile, "aws_access_key_id") ? "aws_access_key_id"
                                                                         : "aws_secret_access_key";
    const char *origin = config_file_origin(aws->config, CONFIG_PROFILE, profile, key);
    return credentials_has_keys(aws, profile) && origin && strcmp(origin, path) == 0;
}

int credentials_from_keys(struct aws *aws, const char *profile, struct credentials *out,
                          struct err *err)
{
    const char *id = credentials_key(aws, profile, "aws_access_key_id");
    const char *key = credentials_key(aws, profile, "aws_secret_access_key");
    const char *token = credentials_key(aws, profile, "aws_session_token");
    const char *path = config_file_origin(aws->config, CONFIG_PROFILE, profile,
                                          id ? "aws_access_key_id" : "aws_secret_access_key");
    if (!id || !key)
        return err_set(err, ERR_CREDENTIALS,
                       "profile '%s' in '%s' has no %s; to set it: aws configure --profile %s",
                       profile, path, id ? "aws_secret_access_key" : "aws_access_key_id", profile);
    *out = (struct credentials){.access_key_id = mem_dup(id),
                                .secret_key = secret_new(str_of(key)),
                                .session_token = token ? secret_new(str_of(token)) : NULL,
                                .source = mem_printf("profile '%s' in '%s'", profile, path)};
    return 0;
}

static bool shared_applies(struct aws *aws)
{
    return keys_are_in(aws, aws->profile, aws->credentials_path);
}

static bool config_applies(struct aws *aws)
{
    return keys_are_in(aws, aws->profile, aws->config_path);
}

static int keys_fetch(struct aws *aws, struct credentials *out, struct err *err)
{
    return credentials_from_keys(aws, aws->profile, out, err);
}

/* ---- the others, for the chosen profile -------------------------------------------------------
 */

static bool role_applies(struct aws *aws)
{
    return credentials_role_applies(aws, aws->profile);
}

static int role_fetch(struct aws *aws, struct credentials *out, struct err *err)
{
    return credentials_from_role(aws, aws->profile, out, err);
}

static bool web_applies(struct aws *aws)
{
    return credentials_web_applies(aws, aws->profile, !aws->profile_given);
}

static int web_fetch(struct aws *aws, struct credentials *out, struct err *err)
{
    return credentials_from_web(aws, aws->profile, !aws->profile_given, out, err);
}

static bool sso_applies(struct aws *aws)
{
    return credentials_sso_applies(aws, aws->profile);
}

static int sso_fetch(struct aws *aws, struct credentials *out, struct err *err)
{
    return credentials_from_sso(aws, aws->profile, out, err);
}

static bool process_applies(struct aws *aws)
{
    return aws_profile_get(aws, "credential_process") != NULL;
}

static int process_fetch(struct aws *aws, struct credentials *out, struct err *err)
{
    return credentials_from_process(aws, aws->profile, out, err);
}

static bool container_applies(struct aws *aws)
{
    return credentials_container_applies(aws);
}

static bool imds_applies(struct aws *aws)
{
    return imds_is_enabled(aws);
}

int credentials_from_profile(struct aws *aws, const char *profile, struct credentials *out,
                             struct err *err)
{
    if (credentials_web_applies(aws, profile, false))
        return credentials_from_web(aws, profile, false, out, err);
    if (credentials_sso_applies(aws, profile))
        return credentials_from_sso(aws, profile, out, err);
    if (credentials_has_keys(aws, profile))
        return credentials_from_keys(aws, profile, out, err);
    if (credentials_key(aws, profile, "credential_process"))
        return credentials_from_process(aws, profile, out, err);
    return err_set(err, ERR_CREDENTIALS,
                   "profile '%s' has no credentials; to set them: aws configure --profile %s",
                   profile, profile);
}

/* ---- the chain --------------------------------------------------------------------------------
 */

/* In botocore's order. */
static const struct credentials_provider chain[] = {
    {false, env_applies, credentials_from_env},
    {true, role_applies, role_fetch},
    {true, web_applies, web_fetch},
    {true, sso_applies, sso_fetch},
    {false, shared_applies, keys_fetch},
    {true, process_applies, process_fetch},
    {false, config_applies, keys_fetch},
    {true, container_applies, credentials_from_container},
    {true, imds_applies, imds_credentials},
};

static bool expired(const struct aws *aws, usec_t margin)
{
    const struct credentials *c = &aws->credentials;
    return c->expires && c->expires - margin <= aws_now(aws);
}

bool credentials_usable(const struct aws *aws)
{
    if (!aws->credentials.access_key_id || aws->credentials_stale || expired(aws, 0))
        return false;
    return !expired(aws, CREDENTIALS_REFRESH_BEFORE) || aws_now(aws) < aws->refresh_after;
}

static void keep(struct aws *aws, const struct credentials_provider *p, struct credentials *fresh)
{
    credentials_done(&aws->credentials);
    aws->credentials = *fresh;
    aws->provider = p;
    aws->credentials_stale = false;
}

void credentials_try_now(struct aws *aws)
{
    if (aws->credentials.access_key_id)
        return;
    for (size_t i = 0; i < COUNT_OF(chain); i++) {
        if (!chain[i].applies(aws))
            continue;
        struct credentials fresh;
        if (!chain[i].waits && chain[i].fetch(aws, &fresh, NULL) == 0)
            keep(aws, &chain[i], &fresh);
        return; /* what waits, or fails, is credentials_resolve()'s */
    }
}

static int nothing_found(const struct aws *aws, struct err *err)
{
    AUTO_BUF struct buf places = {0};
    if (!aws->profile_given)
        buf_adds(&places, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), ");
    buf_addf(&places,
             "profile '%s' in '%s' and '%s' (keys, role_arn, web identity, SSO, "
             "credential_process), the container's endpoint",
             aws->profile, aws->credentials_path, aws->config_path);
    buf_adds(&places, imds_is_enabled(aws) ? ", the EC2 metadata service"
                                           : " (the EC2 metadata service is disabled)");
    return err_set(err, ERR_CREDENTIALS,
                   "no AWS credentials; looked at %s; to set them: 'aws configure', or "
                   "'export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…'",
                   buf_text(&places));
}

static int run_chain(struct aws *aws, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(chain); i++) {
        if (!chain[i].applies(aws))
            continue;
        struct credentials fresh;
        struct err why = {0};
        if (chain[i].fetch(aws, &fresh, &why) == 0) {
            keep(aws, &chain[i], &fresh);
            return 0;
        }
        if (why.code != ERR_NOT_FOUND)
            return err_copy(err, &why);
    }
    aws->no_credentials = true;
    return nothing_found(aws, err);
}

int credentials_resolve(struct aws *aws, struct err *err)
{
    struct err why = {0};
    aws->no_credentials = false;
    aws->resolving = true;
    int rc = run_chain(aws, &why);
    aws->resolving = false;
    if (rc == 0)
        return 0;
    bool still_hold = aws->credentials.access_key_id && !aws->credentials_stale && !expired(aws, 0);
    if (still_hold && why.code != ERR_CANCELLED) {
        aws->refresh_after = aws_now(aws) + CREDENTIALS_REFRESH_PAUSE;
        return 0;
    }
    return err_copy(err, &why);
}

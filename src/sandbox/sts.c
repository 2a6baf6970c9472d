/* The Security Token Service: who is calling, and temporary credentials.
 *
 * Every role of the account may be assumed by every identity of it: the sandbox has no IAM. A role
 * of another account may not. https://docs.aws.amazon.com/STS/latest/APIReference/ */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/identity.h"
#include "sandbox/query_reply.h"
#include <stdio.h>
#include <string.h>

#define XMLNS "https://sts.amazonaws.com/doc/2011-06-15/"
#define DURATION_MIN 900
#define DURATION_MAX 43200
#define DURATION_CHAINED 3600
#define DURATION_DEFAULT 3600
#define ENCODED_MAX ((size_t)10240)

static void get_caller_identity(struct world *w, const struct api_request *q, struct api_reply *r)
{
    (void)w;
    query_begin(q, r, XMLNS, true);
    xml_text(&r->body, "Arn", q->user_arn);
    xml_text(&r->body, "UserId", q->user_id);
    xml_text(&r->body, "Account", q->account);
    query_end(q, r, true);
}

/* ---- roles ---------------------------------------------------------------------------------- */

struct session {
    struct str role; /* its name, without a path */
    const char *name, *arn;
    usec_t expires;
};

static bool is_session_name(const char *name)
{
    size_t n = strlen(name);
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-";
    return n >= 2 && n <= 64 && strspn(name, plain) == n;
}

/* "arn:aws:iam::ACCOUNT:role/PATH/NAME"; the name, or empty. */
static struct str role_name(const char *arn, const char *account)
{
    AUTO_FREE char *prefix = mem_printf("arn:aws:iam::%s:role/", account);
    struct str rest = str_of(arn);
    if (!str_starts(rest, prefix))
        return STR("");
    rest.p += strlen(prefix);
    rest.n -= strlen(prefix);
    struct str name = rest;
    while (rest.p)
        name = str_cut(&rest, '/');
    return name;
}

static int read_session(const struct api_request *q, struct api_reply *r, struct session *out)
{
    out->arn = param(q->params, "RoleArn");
    out->name = param(q->params, "RoleSessionName");
    if (!out->arn)
        return query_invalid(r, "roleArn", NULL, "Member must not be null");
    if (strlen(out->arn) < 20)
        return query_invalid(r, "roleArn", out->arn,
                             "Member must have length greater than or equal to 20");
    if (strncmp(out->arn, "arn:", 4) != 0)
        return api_fail(r, 400, "ValidationError", "%.200s is invalid", out->arn);
    if (!out->name || !is_session_name(out->name))
        return query_invalid(r, "roleSessionName", out->name,
                             "Member must satisfy regular expression pattern: [\\w+=,.@-]*");
    int64_t seconds;
    if (!param_int(q->params, "DurationSeconds", DURATION_MIN, DURATION_MAX, DURATION_DEFAULT,
                   &seconds))
        return query_invalid(r, "durationSeconds", param(q->params, "DurationSeconds"),
                             "Member must have value between 900 and 43200");
    if (str_starts(str_of(q->access_key), "ASIA") && seconds > DURATION_CHAINED)
        return api_fail(r, 400, "ValidationError",
                        "The requested DurationSeconds exceeds the 1 hour session limit for roles "
                        "assumed by role chaining");
    out->expires = q->now + seconds * USEC_PER_SEC;
    out->role = role_name(out->arn, q->account);
    if (out->role.n == 0)
        return api_fail(r, 403, "AccessDenied",
                        "User: %s is not authorized to perform: sts:%s on resource: %.200s",
                        q->user_arn, q->action, out->arn);
    return 0;
}

static void write_session(const struct api_request *q, struct api_reply *r, const struct session *s)
{
    /* A role's id is the same in every session of it. */
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(s->arn), hash);
    for (char *p = hash; *p; p++)
        *p = (char)(*p >= 'a' ? *p - 'a' + 'A' : *p == '0' || *p == '1' ? *p + 2 : *p);
    AUTO_FREE char *user_id = mem_printf("AROA%.17s:%s", hash, s->name);
    AUTO_FREE char *arn =
        mem_printf("arn:aws:sts::%s:assumed-role/%.*s/%s", q->account, STR_FMT(s->role), s->name);
    struct identity_grant grant = {0};
    identities_issue(q->identities, arn, user_id, s->expires, &grant);
    struct buf *b = &r->body;
    xml_open(b, "Credentials");
    xml_text(b, "AccessKeyId", grant.access_key);
    xml_text(b, "SecretAccessKey", secret_expose(grant.secret).p);
    xml_text(b, "SessionToken", grant.token);
    xml_time(b, "Expiration", s->expires / USEC_PER_SEC * USEC_PER_SEC);
    xml_close(b, "Credentials");
    xml_open(b, "AssumedRoleUser");
    xml_text(b, "AssumedRoleId", user_id);
    xml_text(b, "Arn", arn);
    xml_close(b, "AssumedRoleUser");
    identity_grant_done(&grant);
}

static void assume_role(struct world *w, const struct api_request *q, struct api_reply *r)
{
    (void)w;
    struct session s;
    if (read_session(q, r, &s) == -1)
        return;
    query_begin(q, r, XMLNS, true);
    write_session(q, r, &s);
    query_end(q, r, true);
}

/* The payload of a JSON Web Token (RFC 7519), unverified: whoever can reach the sandbox may have
 * the role; or NULL. */
static json_t *token_payload(const char *token)
{
    struct str rest = str_of(token);
    struct str header = str_cut(&rest, '.');
    struct str payload = str_cut(&rest, '.');
    if (!rest.p || header.n == 0 || payload.n == 0)
        return NULL;
    AUTO_BUF struct buf text = {0}, plain = {0};
    for (size_t i = 0; i < payload.n; i++) {
        char c = payload.p[i];
        buf_addc(&text, (char)(c == '-' ? '+' : c == '_' ? '/' : c));
    }
    while (text.len % 4)
        buf_addc(&text, '=');
    json_t *j = NULL;
    if (!digest_unbase64(buf_view(&text), &plain) ||
        json_parse(buf_view(&plain), ENCODED_MAX * 2, &j, NULL) == -1)
        return NULL;
    return j;
}

static void assume_role_with_web_identity(struct world *w, const struct api_request *q,
                                          struct api_reply *r)
{
    (void)w;
    struct session s;
    if (read_session(q, r, &s) == -1)
        return;
    const char *token = param(q->params, "WebIdentityToken");
    if (!token) {
        query_invalid(r, "webIdentityToken", NULL, "Member must not be null");
        return;
    }
    json_auto_t *payload = token_payload(token);
    if (!payload) {
        api_fail(r, 400, "InvalidIdentityToken",
                 "The ID Token provided is not a valid JWT. (You may see this error if you sent an "
                 "Access Token)");
        return;
    }
    int64_t expires = json_integer_value(json_object_get(payload, "exp"));
    if (expires && expires * USEC_PER_SEC < q->now) {
        api_fail(r, 400, "ExpiredTokenException", "Token expired");
        return;
    }
    const char *subject = json_text(payload, "sub"), *issuer = json_text(payload, "iss");
    query_begin(q, r, XMLNS, true);
    write_session(q, r, &s);
    xml_text(&r->body, "SubjectFromWebIdentityToken", subject ? subject : "unknown");
    xml_text(&r->body, "Provider", issuer);
    query_end(q, r, true);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void decode_authorization_message(struct world *w, const struct api_request *q,
                                         struct api_reply *r)
{
    (void)w;
    const char *encoded = param(q->params, "EncodedMessage");
    AUTO_BUF struct buf plain = {.max = ENCODED_MAX};
    json_auto_t *j = NULL;
    if (!encoded || strlen(encoded) > ENCODED_MAX || !digest_unbase64(str_of(encoded), &plain) ||
        json_parse(buf_view(&plain), ENCODED_MAX, &j, NULL) == -1 ||
        !json_object_get(j, "allowed")) {
        api_fail(r, 400, "InvalidAuthorizationMessageException",
                 "The message could not be decoded");
        return;
    }
    query_begin(q, r, XMLNS, true);
    xml_text(&r->body, "DecodedMessage", buf_text(&plain));
    query_end(q, r, true);
}

const struct api_action sts_actions[] = {
    {"AssumeRole", assume_role, false},
    {"AssumeRoleWithWebIdentity", assume_role_with_web_identity, false},
    {"DecodeAuthorizationMessage", decode_authorization_message, false},
    {"GetCallerIdentity", get_caller_identity, false},
    {NULL, NULL, false},
};

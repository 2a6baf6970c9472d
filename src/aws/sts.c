/* STS: who am I (aws.h), and why am I denied (call.h). */
#include "aws/call.h"
#include "aws/query.h"
#include "aws/xml.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

struct who {
    bool asked;
    struct aws_identity identity;
};

void aws_identity_done(struct aws_identity *i)
{
    free(i->account);
    free(i->arn);
    free(i->user_id);
    *i = (struct aws_identity){0};
}

static bool request(void *state, struct buf *body)
{
    (void)body;
    struct who *w = state;
    bool first = !w->asked;
    w->asked = true;
    return first;
}

static int answer(void *state, struct str text, struct err *err)
{
    struct who *w = state;
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(text, &x, err) == -1)
        return -1;
    const struct xml_node *result = xml_child(xml_root(x), "GetCallerIdentityResult");
    if (!xml_text(result, "Account") || !xml_text(result, "Arn"))
        return err_set(err, ERR_PARSE, "the answer has no account and ARN");
    aws_identity_done(&w->identity);
    w->identity = (struct aws_identity){.account = xml_dup(result, "Account"),
                                        .arn = xml_dup(result, "Arn"),
                                        .user_id = xml_dup(result, "UserId")};
    return 0;
}

static void who_free(void *state)
{
    struct who *w = state;
    aws_identity_done(&w->identity);
    free(w);
}

static const struct aws_call_ops get_caller_identity = {.service = &aws_sts,
                                                        .action = "GetCallerIdentity",
                                                        .request = request,
                                                        .answer = answer,
                                                        .free = who_free};

struct aws_call *sts_get_caller_identity(struct aws *aws)
{
    return aws_call_start(aws, &get_caller_identity, mem_alloc(sizeof(struct who)));
}

int sts_get_caller_identity_end(struct aws_call *c, struct aws_identity *out, struct err *err)
{
    struct who *w = aws_call_wait(c, &get_caller_identity, err);
    if (!w)
        return -1;
    *out = w->identity;
    w->identity = (struct aws_identity){0};
    aws_call_free(c);
    return 0;
}

/* {"allowed": false, "explicitDeny": false, "context": {"principal": {"arn": …}, "action":
 * "ec2:RunInstances", "resource": …}} */
static void say_denial(const char *action, struct str decoded, struct err *err)
{
    json_auto_t *root = NULL;
    if (json_parse(decoded, BUF_MAX_DEFAULT, &root, NULL) == -1)
        return;
    const json_t *context = json_object_get(root, "context");
    const char *missing = json_text(context, "action");
    const char *resource = json_text(context, "resource");
    const char *who = json_text(json_object_get(context, "principal"), "arn");
    if (!missing)
        return;
    char origin[ERR_ORIGIN_MAX];
    snprintf(origin, sizeof origin, "%s", err->origin);
    err_set_origin(
        err, ERR_PERMISSION, origin, "%s: not allowed: '%.300s' has no %.100s on '%.300s': %s",
        action, who ? who : "this identity", missing, resource ? resource : "*",
        json_is_true(json_object_get(root, "explicitDeny")) ? "a policy denies it explicitly"
                                                            : "no policy allows it");
}

void sts_explain_denial(struct aws *aws, const char *action, const char *encoded, struct err *err)
{
    AUTO_BUF struct buf body = {0};
    AUTO_BUF struct buf text = {0};
    CLEANUP(xml_freep) struct xml *x = NULL;
    query_add(&body, "EncodedMessage", encoded);
    /* best effort: whoever is denied one action is often denied this one, too */
    if (aws_call_now(aws, &aws_sts, "DecodeAuthorizationMessage", &aws->credentials,
                     buf_view(&body), &text, NULL) == -1 ||
        xml_parse(buf_view(&text), &x, NULL) == -1)
        return;
    const char *decoded =
        xml_text(xml_child(xml_root(x), "DecodeAuthorizationMessageResult"), "DecodedMessage");
    if (decoded)
        say_denial(action, str_of(decoded), err);
}

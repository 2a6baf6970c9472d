/* STS: who am I. See aws.h. */
#include "aws/call.h"
#include "aws/xml.h"
#include "base/mem.h"
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

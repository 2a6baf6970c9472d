/* See query_reply.h. */
#include "sandbox/query_reply.h"

void query_begin(const struct api_request *q, struct api_reply *r, const char *xmlns,
                 bool has_result)
{
    buf_addf(&r->body, "<%sResponse xmlns=\"%s\">", q->action, xmlns);
    if (has_result)
        buf_addf(&r->body, "<%sResult>", q->action);
}

void query_end(const struct api_request *q, struct api_reply *r, bool has_result)
{
    if (has_result)
        buf_addf(&r->body, "</%sResult>", q->action);
    xml_open(&r->body, "ResponseMetadata");
    xml_text(&r->body, "RequestId", q->request_id);
    xml_close(&r->body, "ResponseMetadata");
    buf_addf(&r->body, "</%sResponse>", q->action);
}

int query_invalid(struct api_reply *r, const char *name, const char *value, const char *constraint)
{
    const char *quote = value ? "'" : "";
    return api_fail(r, 400, "ValidationError",
                    "1 validation error detected: Value %s%.200s%s at '%s' failed to satisfy "
                    "constraint: %s",
                    quote, value ? value : "null", quote, name, constraint);
}

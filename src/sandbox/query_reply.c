/* See query_reply.h. */
#include "sandbox/query_reply.h"
#include "base/json.h"

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

static bool is_time(const char *name, const json_t *value)
{
    return json_is_integer(value) && str_ends(str_of(name), "Timestamp");
}

static void write_xml(struct buf *b, const char *name, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (is_time(name, value)) {
        xml_time(b, name, json_integer_value(value));
    } else if (json_is_object(value) || json_is_array(value)) {
        xml_open(b, name);
        json_object_foreach((json_t *)value, key, member) write_xml(b, key, member);
        json_array_foreach(value, i, member) write_xml(b, "member", member);
        xml_close(b, name);
    } else if (json_is_string(value)) {
        xml_text(b, name, json_string_value(value));
    } else if (json_is_integer(value)) {
        xml_int(b, name, json_integer_value(value));
    } else if (json_is_real(value)) {
        buf_addf(b, "<%s>%.17g</%s>", name, json_real_value(value), name);
    } else if (json_is_boolean(value)) {
        xml_bool(b, name, json_is_true(value));
    }
}

/* A copy with its times as seconds, which is how JSON services write them. */
static json_t *with_seconds(const char *name, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (is_time(name, value))
        return json_real((double)json_integer_value(value) / (double)USEC_PER_SEC);
    if (json_is_object(value)) {
        json_t *j = json_object();
        json_object_foreach((json_t *)value, key, member)
            json_object_set_new(j, key, with_seconds(key, member));
        return j;
    }
    if (json_is_array(value)) {
        json_t *j = json_array();
        json_array_foreach(value, i, member)
            json_array_append_new(j, with_seconds("member", member));
        return j;
    }
    return json_incref((json_t *)value);
}

void query_answer(const struct api_request *q, struct api_reply *r, const char *xmlns,
                  const json_t *result)
{
    const char *key;
    json_t *member;
    if (r->protocol == API_JSON) {
        json_auto_t *none = json_object();
        json_auto_t *j = with_seconds("", result ? result : none);
        json_write(j, false, &r->body);
        return;
    }
    query_begin(q, r, xmlns, result != NULL);
    json_object_foreach((json_t *)result, key, member) write_xml(&r->body, key, member);
    query_end(q, r, result != NULL);
}

int query_invalid(struct api_reply *r, const char *name, const char *value, const char *constraint)
{
    const char *quote = value ? "'" : "";
    return api_fail(r, 400, "ValidationError",
                    "1 validation error detected: Value %s%.200s%s at '%s' failed to satisfy "
                    "constraint: %s",
                    quote, value ? value : "null", quote, name, constraint);
}

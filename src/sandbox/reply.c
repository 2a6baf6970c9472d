/* Errors in the shape of the service that is asked. */
#include "base/json.h"
#include "sandbox/api.h"
#include <stdio.h>

#define MESSAGE_MAX 4096

static void ec2_error(struct api_reply *r, const char *code, const char *message)
{
    struct buf *b = &r->body;
    buf_adds(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>");
    xml_text(b, "Code", code);
    xml_text(b, "Message", message);
    buf_adds(b, "</Error></Errors>");
    xml_text(b, "RequestID", r->request_id ? r->request_id : "");
    xml_close(b, "Response");
}

static void query_error(struct api_reply *r, const char *code, const char *message)
{
    struct buf *b = &r->body;
    xml_open(b, "ErrorResponse");
    xml_open(b, "Error");
    xml_text(b, "Type", r->status < 500 ? "Sender" : "Receiver");
    xml_text(b, "Code", code);
    xml_text(b, "Message", message);
    xml_close(b, "Error");
    xml_text(b, "RequestId", r->request_id ? r->request_id : "");
    xml_close(b, "ErrorResponse");
}

static void json_error(struct api_reply *r, const char *code, const char *message)
{
    json_auto_t *j = json_object();
    json_object_set_new(j, "__type", json_string(code));
    json_object_set_new(j, "message", json_string(message));
    json_write(j, false, &r->body);
}

int api_fail(struct api_reply *r, int status, const char *code, const char *fmt, ...)
{
    if (r->failed)
        return -1;
    char message[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    size_t bad; /* a cut value may end within a character */
    while (!str_is_utf8(str_of(message), &bad))
        message[bad] = '?';
    r->failed = true;
    r->status = status;
    snprintf(r->code, sizeof r->code, "%s", code);
    buf_clear(&r->body);
    switch (r->protocol) {
    case API_EC2:
        ec2_error(r, code, message);
        break;
    case API_QUERY:
        query_error(r, code, message);
        break;
    case API_JSON:
        json_error(r, code, message);
        break;
    }
    return -1;
}

int api_missing(struct api_reply *r, const char *parameter)
{
    return api_fail(r, 400, "MissingParameter", "The request must contain the parameter %s",
                    parameter);
}

int api_bad_value(struct api_reply *r, const char *parameter, const char *value)
{
    return api_fail(r, 400, "InvalidParameterValue", "Value (%.200s) for parameter %s is invalid.",
                    value ? value : "", parameter);
}

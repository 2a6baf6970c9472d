/* Signs what comes in, for test_sigv4_botocore.py: one JSON object a line, one line back. */
#include "aws/sigv4.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

static struct str text_of(const json_t *o, const char *key)
{
    return str_of(json_text(o, key));
}

static void sign(const json_t *in)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    const json_t *list = json_object_get(in, "headers");
    size_t count = json_array_size(list);
    if (count > SIGV4_HEADERS_MAX)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        headers[i] = (struct sigv4_header){str_of(json_string_value(json_array_get(pair, 0))),
                                           str_of(json_string_value(json_array_get(pair, 1)))};
    }
    struct secret *key = secret_new(text_of(in, "secret"));
    struct secret *token = json_text(in, "token") ? secret_new(text_of(in, "token")) : NULL;
    struct sigv4_request request = {.method = text_of(in, "method"),
                                    .path = text_of(in, "path"),
                                    .query = text_of(in, "query"),
                                    .headers = headers,
                                    .header_count = count,
                                    .body = text_of(in, "body")};
    struct sigv4_signer signer = {.access_key_id = text_of(in, "access"),
                                  .secret_key = key,
                                  .session_token = token,
                                  .region = json_text(in, "region"),
                                  .service = json_text(in, "service"),
                                  .time = json_integer_value(json_object_get(in, "time")) *
                                          USEC_PER_SEC};
    struct sigv4_result result;
    sigv4_sign(&request, &signer, &result);
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:s}", "canonical", buf_text(&result.canonical_request),
                  "string_to_sign", buf_text(&result.string_to_sign), "authorization",
                  buf_text(&result.authorization), "date", result.date);
    struct buf line = {0};
    json_write(out, false, &line);
    printf("%s\n", buf_text(&line));
    buf_done(&line);
    json_decref(out);
    sigv4_result_done(&result);
    secret_free(key);
    secret_free(token);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *in = NULL;
        struct err err;
        if (json_parse((struct str){line, (size_t)n}, BUF_MAX_DEFAULT, &in, &err) == -1) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        sign(in);
        json_decref(in);
    }
    free(line);
    return 0;
}

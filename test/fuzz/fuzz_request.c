/* Any bytes as a request to the sandbox: form parameters, the Authorization header, the signature.
 * The input is lines: method, path, query, Authorization, "Name: value" headers, an empty line; the
 * rest is the body. */
#include "fuzz.h"
#include "sandbox/api.h"
#include "sandbox/sigv4_verify.h"

#define HEADERS_MAX 32

static void check_params(struct str body)
{
    struct params *p = params_parse(body);
    if (!p)
        return;
    AUTO_BUF struct buf canonical = {0}, again = {0};
    static const char *const except[] = {"ClientToken", NULL};
    params_canonical(p, except, &canonical);
    params_canonical(p, NULL, &again);
    FUZZ_CHECK(canonical.len <= again.len);
    AUTO_STRV struct strv list = {0};
    param_list(p, "InstanceId", &list);
    int64_t n = 0;
    if (param_int(p, "MaxResults", 5, 1000, 7, &n))
        FUZZ_CHECK((n >= 5 && n <= 1000));
    param_any(p, "Filter.");
    params_free(p);
}

static void check_signature(struct sigv4_request *q, struct str authorization)
{
    struct sigv4_auth auth = {0};
    char why[SIGV4_WHY_SIZE] = "";
    if (sigv4_parse(authorization, &auth, why) != SIGV4_OK) {
        FUZZ_CHECK(why[0]);
        return;
    }
    struct secret *secret = secret_new(STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    enum sigv4_result r = sigv4_check(q, &auth, secret, (usec_t)1440938160 * USEC_PER_SEC, why);
    FUZZ_CHECK(r == SIGV4_OK || why[0]);
    secret_free(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    check_params(rest);
    struct sigv4_header headers[HEADERS_MAX];
    struct sigv4_request q = {.headers = headers};
    q.method = str_cut(&rest, '\n');
    q.path = str_cut(&rest, '\n');
    q.query = str_cut(&rest, '\n');
    struct str authorization = str_cut(&rest, '\n');
    while (rest.p && q.header_count < HEADERS_MAX) {
        struct str line = str_cut(&rest, '\n');
        if (line.n == 0)
            break;
        struct sigv4_header *h = &headers[q.header_count++];
        h->name = str_cut(&line, ':');
        h->value = str_trim(line);
    }
    q.body = rest.p ? rest : STR("");
    check_signature(&q, authorization);
    return 0;
}

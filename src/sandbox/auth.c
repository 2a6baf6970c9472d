/* See auth.h. The codes and statuses are those that the services were seen to give: EC2 answers
 * nearly everything with AuthFailure and 401, STS and CloudWatch tell more, with 403, and the JSON
 * services have names of their own, with 400. */
#include "sandbox/auth.h"
#include "base/mem.h"
#include "sandbox/sigv4_verify.h"
#include <stdlib.h>
#include <string.h>

enum problem {
    PROBLEM_MISSING,
    PROBLEM_INCOMPLETE,
    PROBLEM_KEY,
    PROBLEM_TOKEN,
    PROBLEM_TOKEN_EXPIRED,
    PROBLEM_SIGNATURE,
    PROBLEM_LATE,
    PROBLEM_EARLY,
    PROBLEM_REGION,
};

#define NOT_VALIDATED "AWS was not able to validate the provided access credentials"
#define BAD_TOKEN_TEXT "The security token included in the request is invalid."
#define EXPIRED_TOKEN_TEXT "The security token included in the request is expired"

/* By problem and protocol; a NULL message stands for the verifier's own words. */
static const struct {
    int status;
    const char *code, *message;
} answers[][3] = {
    [PROBLEM_MISSING] =
        {{403, "MissingAuthenticationToken", "The request must contain valid AWS credentials"},
         {403, "MissingAuthenticationToken", "Request is missing Authentication Token"},
         {400, "MissingAuthenticationTokenException", "Missing Authentication Token"}},
    [PROBLEM_INCOMPLETE] = {{400, "IncompleteSignature", NULL},
                            {400, "IncompleteSignature", NULL},
                            {400, "IncompleteSignatureException", NULL}},
    [PROBLEM_KEY] = {{401, "AuthFailure", NOT_VALIDATED},
                     {403, "InvalidClientTokenId", BAD_TOKEN_TEXT},
                     {400, "UnrecognizedClientException", BAD_TOKEN_TEXT}},
    [PROBLEM_TOKEN] = {{401, "AuthFailure", NOT_VALIDATED},
                       {403, "InvalidClientTokenId", BAD_TOKEN_TEXT},
                       {400, "UnrecognizedClientException", BAD_TOKEN_TEXT}},
    [PROBLEM_TOKEN_EXPIRED] = {{400, "RequestExpired", "Request has expired."},
                               {403, "ExpiredToken", EXPIRED_TOKEN_TEXT},
                               {400, "ExpiredTokenException", EXPIRED_TOKEN_TEXT}},
    [PROBLEM_SIGNATURE] = {{401, "AuthFailure", NOT_VALIDATED},
                           {403, "SignatureDoesNotMatch", NULL},
                           {400, "InvalidSignatureException", NULL}},
    [PROBLEM_LATE] = {{400, "RequestExpired", "Request has expired."},
                      {403, "SignatureDoesNotMatch", NULL},
                      {400, "InvalidSignatureException", NULL}},
    [PROBLEM_EARLY] = {{401, "AuthFailure", NOT_VALIDATED},
                       {403, "SignatureDoesNotMatch", NULL},
                       {400, "InvalidSignatureException", NULL}},
    [PROBLEM_REGION] = {{401, "AuthFailure", NOT_VALIDATED},
                        {403, "SignatureDoesNotMatch",
                         "Credential should be scoped to a valid region."},
                        {400, "InvalidSignatureException",
                         "Credential should be scoped to a valid region."}},
};

static enum problem problem_of(enum sigv4_result result)
{
    switch (result) {
    case SIGV4_MISSING:
        return PROBLEM_MISSING;
    case SIGV4_INCOMPLETE:
        return PROBLEM_INCOMPLETE;
    case SIGV4_EXPIRED:
        return PROBLEM_LATE;
    case SIGV4_EARLY:
        return PROBLEM_EARLY;
    default:
        return PROBLEM_SIGNATURE;
    }
}

static int fail(struct api_reply *reply, enum problem problem, const char *why)
{
    enum api_protocol p = reply->protocol;
    const char *message = answers[problem][p].message;
    return api_fail(reply, answers[problem][p].status, answers[problem][p].code, "%s",
                    message ? message : why);
}

/* Pairs of views into the request. */
struct header_list {
    struct sigv4_header *items;
    size_t count, cap;
};

static void collect(void *ctx, struct str name, struct str value)
{
    struct header_list *list = ctx;
    MEM_PUSH_ROOM(list->items, list->count, list->cap);
    list->items[list->count++] = (struct sigv4_header){name, value};
}

static bool lives_in(const struct service *service, const char *own, struct str region)
{
    if (str_is(region, own))
        return true;
    if (!service->regions)
        return false;
    struct str rest = str_of(service->regions);
    while (rest.p) {
        if (str_eq(str_cut(&rest, ','), region))
            return true;
    }
    return false;
}

bool auth_service(const struct httpd_request *r, const struct service *all,
                  const struct service **out)
{
    struct sigv4_auth scope;
    char why[SIGV4_WHY_SIZE];
    if (sigv4_parse(httpd_header(r, "Authorization"), &scope, why) != SIGV4_OK)
        return false;
    *out = service_named(all, scope.service);
    return true;
}

static enum sigv4_result check_signature(const struct httpd_request *r,
                                         const struct sigv4_auth *scope,
                                         const struct secret *secret, usec_t now, char *why)
{
    struct header_list headers = {0};
    httpd_headers(r, collect, &headers);
    struct sigv4_request q = {.method = httpd_method(r),
                              .path = httpd_path(r),
                              .query = httpd_query(r),
                              .body = httpd_body(r),
                              .headers = headers.items,
                              .header_count = headers.count};
    enum sigv4_result result = sigv4_check(&q, scope, secret, now, why);
    free(headers.items);
    return result;
}

int auth_check(const struct httpd_request *r, const struct service *service, const char *region,
               const struct identities *ids, usec_t now, struct identity *who,
               struct api_reply *reply)
{
    char why[SIGV4_WHY_SIZE] = "";
    struct sigv4_auth scope;
    enum sigv4_result result = sigv4_parse(httpd_header(r, "Authorization"), &scope, why);
    if (result != SIGV4_OK)
        return fail(reply, problem_of(result), why);
    if (!str_is(scope.service, service->name) || !lives_in(service, region, scope.region))
        return fail(reply, PROBLEM_REGION, why);
    struct identity found;
    struct str token = httpd_header(r, "X-Amz-Security-Token");
    switch (identities_find(ids, scope.access_key, token, now, &found)) {
    case IDENTITY_OK:
        break;
    case IDENTITY_UNKNOWN:
        return fail(reply, PROBLEM_KEY, why);
    case IDENTITY_BAD_TOKEN:
        return fail(reply, PROBLEM_TOKEN, why);
    case IDENTITY_EXPIRED:
        return fail(reply, PROBLEM_TOKEN_EXPIRED, why);
    }
    result = check_signature(r, &scope, found.secret, now, why);
    if (result != SIGV4_OK) {
        identity_done(&found);
        return fail(reply, problem_of(result), why);
    }
    *who = found;
    return 0;
}

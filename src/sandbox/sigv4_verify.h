/* The server's side of AWS Signature Version 4, from the AWS General Reference ("Signature Version
 * 4 signing process"): takes an Authorization header apart and computes what it should have been.
 *
 * It shares no code with the client's signer, so that one misunderstanding cannot cancel another.
 */
#ifndef FLAMBE_SANDBOX_SIGV4_VERIFY_H
#define FLAMBE_SANDBOX_SIGV4_VERIFY_H

#include "base/clock.h"
#include "base/secret.h"
#include "base/str.h"

enum sigv4_result {
    SIGV4_OK,
    SIGV4_MISSING,         /* no Authorization header, or of another scheme */
    SIGV4_INCOMPLETE,      /* it, or the date, is malformed */
    SIGV4_UNSIGNED_HEADER, /* a header that must be signed is not */
    SIGV4_BODY,            /* x-amz-content-sha256 says another body */
    SIGV4_MISMATCH,        /* another secret, or other bytes */
    SIGV4_EXPIRED,         /* signed too long ago */
    SIGV4_EARLY,           /* signed too far in the future */
};

#define SIGV4_SKEW (15 * USEC_PER_MIN)
#define SIGV4_AUTHORIZATION_MAX ((size_t)8192) /* bytes */

/* Views into the header's value. */
struct sigv4_auth {
    struct str access_key, date, region, service; /* of the credential scope; date is YYYYMMDD */
    struct str signed_headers;                    /* "host;x-amz-date" */
    struct str signature;                         /* 64 hex digits */
};

struct sigv4_header {
    struct str name, value;
};

/* As received: nothing unescaped, `query` without the '?'. */
struct sigv4_request {
    struct str method, path, query, body;
    const struct sigv4_header *headers;
    size_t header_count;
};

#define SIGV4_WHY_SIZE 256 /* `why` is filled unless the result is SIGV4_OK */

enum sigv4_result sigv4_parse(struct str authorization, struct sigv4_auth *out,
                              char why[SIGV4_WHY_SIZE]);
/* Whether the request bears the signature that `secret` makes, at the server's time `now`. */
enum sigv4_result sigv4_check(const struct sigv4_request *q, const struct sigv4_auth *auth,
                              const struct secret *secret, usec_t now, char why[SIGV4_WHY_SIZE]);

#endif

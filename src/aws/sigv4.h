/* AWS Signature Version 4, in the Authorization header: a pure function of the request, the keys,
 * the region, the service and the time.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 * Proven on AWS's published vectors (test/unit/aws/sigv4-vectors) and against botocore
 * (test/conformance/test_sigv4_botocore.py). S3's paths are neither normalized nor encoded twice:
 * `path_as_sent`. */
#ifndef FLAMBE_AWS_SIGV4_H
#define FLAMBE_AWS_SIGV4_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"

struct sigv4_header {
    struct str name, value;
};

/* The request as it goes over the wire; `headers` holds Host (with the port unless it is the
 * scheme's own), and neither X-Amz-Date nor X-Amz-Security-Token. */
struct sigv4_request {
    struct str method;
    struct str path;  /* escaped as sent; "" is "/" */
    struct str query; /* as sent, without '?' */
    const struct sigv4_header *headers;
    size_t header_count;
    struct str body;
    bool raw_path;     /* do not resolve "." and ".." and empty segments */
    bool path_as_sent; /* S3: and do not escape once more */
};

struct sigv4_signer {
    struct str access_key_id;
    const struct secret *secret_key;
    const struct secret *session_token; /* or NULL */
    const char *region, *service;
    usec_t time; /* wall */
};

#define SIGV4_HEADERS_MAX 64
#define SIGV4_DATE_SIZE 17 /* "20150830T123600Z" and a NUL */

/* What to add to the request, and the steps between for tests. X-Amz-Security-Token is added by the
 * caller, as it is. */
struct sigv4_result {
    char date[SIGV4_DATE_SIZE]; /* X-Amz-Date */
    struct buf authorization;   /* the Authorization header's value */
    struct buf canonical_request;
    struct buf string_to_sign;
};

/* More than SIGV4_HEADERS_MAX headers are a programmer's error. */
void sigv4_sign(const struct sigv4_request *request, const struct sigv4_signer *signer,
                struct sigv4_result *out);
void sigv4_result_done(struct sigv4_result *r); /* wipes */

/* Appends s with all but A-Z a-z 0-9 - _ . ~ (and the bytes of `keep`) as %XX. */
void sigv4_escape(struct str s, const char *keep, struct buf *out);

#endif

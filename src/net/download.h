/* A file fetched by HTTP: of any length, over as many tries as it takes, and in its place only when
 * it is whole.
 *
 * The bytes grow in a part file, and beside it, in PART.etag, stands what they are bytes of. Where
 * the server gave a strong ETag, a later try, of a later run too, asks for the rest alone (RFC
 * 9110, 13.1.5 and 14.2); else it begins anew. */
#ifndef FLAMBE_NET_DOWNLOAD_H
#define FLAMBE_NET_DOWNLOAD_H

#include "net/http.h"

#define DOWNLOAD_STALL (60 * USEC_PER_SEC)
#define DOWNLOAD_REDIRECTS_MAX 10
#define DOWNLOAD_TRIES 5        /* in a row without one more byte */
#define DOWNLOAD_TRIES_MAX 1000 /* in all */
#define DOWNLOAD_DELAY_MAX (20 * USEC_PER_SEC)

/* `total` is 0 where it is not known. From the loop, often: for whoever draws now and then. */
typedef void download_progress_fn(void *ctx, uint64_t so_far, uint64_t total);

struct download_order {
    const char *url;
    const char *const *headers; /* as http_request's; not sent on to another host */
    const char *path;           /* in a directory that exists */
    const char *part;           /* on the same file system; NULL: PATH.part */
    const char *identity;       /* what the part is a part of; NULL: the URL */
    usec_t stall; /* not a byte a second for so long: ERR_TIMEOUT; 0: DOWNLOAD_STALL */
    usec_t delay; /* download_run's before the second try; 0: a second */
    download_progress_fn *progress; /* or NULL */
    void *ctx;
};

struct download_result {
    char *etag; /* as the server gave it, or NULL */
    uint64_t size;
};
void download_result_done(struct download_result *r);

/* ---- one request ----------------------------------------------------------------------------- */

struct download;

/* Copies the order. NULL where the part file cannot be opened. */
struct download *download_start(struct http *http, const struct download_order *o, struct err *err);
bool download_ended(const struct download *d);
/* Of one that has ended: frees it. 0 where there is an answer: with status 200 the file is in its
 * place, whole; with any other the answer's words are in `answer`, which the caller frees, and the
 * file is not there. */
int download_end(struct download *d, struct http_response *answer, struct download_result *out,
                 struct err *err) MUST_CHECK;
void download_cancel(struct download *d); /* keeps the part; NULL is legal */

/* ---- until it is there ----------------------------------------------------------------------- */

/* Follows redirects (never from https to http) and tries again what may help. ERR_NOT_FOUND (404),
 * ERR_PERMISSION (401, 403), ERR_REJECTED, ERR_IO (a full disk) and http.h's. */
int download_run(struct http *http, const struct download_order *o, struct download_result *out,
                 struct err *err) MUST_CHECK;

#endif

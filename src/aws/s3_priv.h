/* One request to a bucket, and what its failure asks for; shared by s3.c and s3_get.c. */
#ifndef FLAMBE_AWS_S3_PRIV_H
#define FLAMBE_AWS_S3_PRIV_H

#include "aws/aws_priv.h"
#include "aws/s3.h"

struct s3_bucket {
    struct aws *aws;
    char *name;
    char *region; /* the client's until S3 has said another one */
    bool anonymous;
};

#define S3_LINES_MAX 6

/* A signed request; wiped when done: it holds the session token. */
struct s3_request {
    char *url;
    struct buf text[S3_LINES_MAX];
    const char *lines[S3_LINES_MAX + 1]; /* NULL-terminated */
    size_t count;
};
/* `query` is escaped and sorted, or "". Waits where fresh credentials are due. */
int s3_request_make(struct s3_bucket *b, const char *key, const char *query, struct s3_request *out,
                    struct err *err) MUST_CHECK;
void s3_request_done(struct s3_request *r);

/* What has been tried for one request. */
struct s3_tries {
    struct retry retry;
    int moves; /* to another region */
    bool clock_tried, refresh_tried;
    int attempt;
    usec_t sent; /* mono */
};
/* Fills `err` from an answer that is none of the good ones. */
void s3_set_error(const struct http_response *r, struct err *err);
/* After a failure (`r` is NULL without an answer): whether the same request, made anew, may do
 * better, and in how long. Tells the trace. */
bool s3_again(struct s3_bucket *b, struct s3_tries *t, const char *action,
              const struct http_response *r, struct err *err, usec_t *delay);
void s3_succeeded(struct s3_bucket *b, struct s3_tries *t, const char *action, int status);

#endif

/* The machinery below every call: sign, send, understand failures, try again, go on to the next
 * page, end.
 *
 * A call sends by itself while it has usable credentials. Fetching those may wait, which no
 * callback may; so a call that needs them parks, and aws_call_wait(), which runs on the main path,
 * fetches them for all that are parked. */
#ifndef FLAMBE_AWS_CALL_H
#define FLAMBE_AWS_CALL_H

#include "aws/aws_priv.h"
#include "base/buf.h"

#define AWS_REQUESTS_MAX 10000 /* pages or batches of one call */

struct aws_call_ops {
    const struct aws_service *service;
    const char *action;
    /* Appends the next request's parameters (what stands behind Version) or JSON body. False: the
     * call has nothing (more) to ask. */
    bool (*request)(void *state, struct buf *body);
    /* Takes in a good answer. */
    int (*answer)(void *state, struct str body, struct err *err);
    /* Sees a failure that trying again does not help; true: go on with request() after all. NULL:
     * never. */
    bool (*failed)(void *state, const struct err *err);
    void (*free)(void *state);
    bool once; /* a request whose answer is lost is told, never repeated in silence below us */
};

/* Starts; takes `state` over. */
struct aws_call *aws_call_start(struct aws *aws, const struct aws_call_ops *ops, void *state);
/* Waits for the end. On success the state, to take results out of before aws_call_free(); on
 * failure NULL, and the call is freed. `ops` is the one it was started with. */
void *aws_call_wait(struct aws_call *c, const struct aws_call_ops *ops, struct err *err);
void aws_call_free(struct aws_call *c);
/* Both, for calls without a result. */
int aws_call_finish(struct aws_call *c, const struct aws_call_ops *ops, struct err *err) MUST_CHECK;
struct aws *aws_call_owner(const struct aws_call *c);

/* One request, made and answered right here (with retries), signed by given credentials, or not at
 * all where they have no key: for STS on the way to the credentials themselves. `body` is what
 * stands behind Version. */
int aws_call_now(struct aws *aws, const struct aws_service *service, const char *action,
                 const struct credentials *by, struct str body, struct buf *answer,
                 struct err *err) MUST_CHECK;

/* Asks STS what an encoded denial says and, if we may know, says it in err. Waits. */
void sts_explain_denial(struct aws *aws, const char *action, const char *encoded, struct err *err);

#endif

/* The envelope of STS's and CloudWatch's answers, and their errors of validation. */
#ifndef FLAMBE_SANDBOX_QUERY_REPLY_H
#define FLAMBE_SANDBOX_QUERY_REPLY_H

#include "sandbox/api.h"

/* <ActionResponse xmlns><ActionResult> … </ActionResult><ResponseMetadata>…</ActionResponse>; an
 * action without a result has nothing between. */
void query_begin(const struct api_request *q, struct api_reply *r, const char *xmlns,
                 bool has_result);
void query_end(const struct api_request *q, struct api_reply *r, bool has_result);

/* The whole answer from a JSON object (borrowed; NULL: no result), as XML or, where the client
 * speaks JSON, as JSON. Members whose names end in "Timestamp" are times in microseconds. */
void query_answer(const struct api_request *q, struct api_reply *r, const char *xmlns,
                  const json_t *result);

/* 400 ValidationError, "1 validation error detected: Value 'V' at 'NAME' failed to satisfy
 * constraint: …"; value NULL where it is missing. */
int query_invalid(struct api_reply *r, const char *name, const char *value, const char *constraint);

#endif

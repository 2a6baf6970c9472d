/* AWS's error codes as ours: one table. */
#ifndef FLAMBE_AWS_ERRORS_H
#define FLAMBE_AWS_ERRORS_H

#include "base/err.h"
#include "base/str.h"

/* The kind of failure that a service's code is; where the code is not in the table, what its name's
 * ending or the HTTP status says. A code in the table wins over the status: EC2 sends
 * InsufficientInstanceCapacity, which no retry helps, with status 500. */
enum err_code aws_error_code(const char *code, int status);

/* Fills err from an answer that is an error, whichever protocol (XML of EC2 or of STS and
 * CloudWatch, JSON 1.1): the code becomes the origin, the service's words the message. */
int aws_error_set(struct err *err, int status, struct str body, struct str type_header);

/* EC2's encoded reason for a denial, cut out of the answer: owned by the caller, or NULL. */
char *aws_error_denial(struct str body);

/* Whether the code may come from a clock that is wrong, or from credentials that ran out. */
bool aws_error_may_be_skew(const struct err *err);
bool aws_error_may_be_expired(const struct err *err);

#endif

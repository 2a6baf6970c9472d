/* Which parameters each EC2 action has: what is not among them is answered UnknownParameter. */
#ifndef FLAMBE_SANDBOX_EC2_PARAMETERS_H
#define FLAMBE_SANDBOX_EC2_PARAMETERS_H

#include <stddef.h>

struct ec2_parameters {
    const char *action;
    const char *const *names; /* sorted, "N" in place of a list's number, NULL-terminated */
    size_t count;
};
/* NULL-action-terminated. */
extern const struct ec2_parameters ec2_parameters[];

#endif

/* The metadata service of an EC2 machine, version 2 only (with a session token). One attempt of one
 * second: on every other machine nobody answers. */
#ifndef FLAMBE_AWS_IMDS_H
#define FLAMBE_AWS_IMDS_H

#include "aws/aws_priv.h"

/* False with AWS_EC2_METADATA_DISABLED. */
bool imds_is_enabled(const struct aws *aws);
/* Whether this machine says of itself that it is EC2's, or a metadata endpoint is configured: then
 * the region is worth asking for. *region gets an owned string. */
bool imds_region(struct aws *aws, char **region);
int imds_credentials(struct aws *aws, struct credentials *out, struct err *err) MUST_CHECK;

#endif

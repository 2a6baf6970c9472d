/* The form encoding of AWS's query protocols: "Action=RunInstances&Version=2016-11-15&…". */
#ifndef FLAMBE_AWS_QUERY_H
#define FLAMBE_AWS_QUERY_H

#include "base/buf.h"

/* Each appends one pair; the value is escaped, the name is ours and needs it not. */
void query_add(struct buf *out, const char *name, const char *value); /* NULL: nothing */
void query_add_str(struct buf *out, const char *name, struct str value);
void query_add_int(struct buf *out, const char *name, long long value);
/* name.N with N from 1. */
void query_add_list(struct buf *out, const char *name, const char *const *values, size_t count);

#endif

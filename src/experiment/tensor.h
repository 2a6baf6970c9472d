/* TensorFlow's TensorProto, as far as one number goes. */
#ifndef FLAMBE_EXPERIMENT_TENSOR_H
#define FLAMBE_EXPERIMENT_TENSOR_H

#include "base/str.h"

enum tensor_kind {
    TENSOR_NUMBER,    /* one element, of a float or whole-number type: any number of dimensions */
    TENSOR_OTHER,     /* more elements or none, another type, or a value that does not fit it */
    TENSOR_MALFORMED, /* the bytes are no message */
};

/* *out is set for TENSOR_NUMBER only. */
enum tensor_kind tensor_number(struct str message, double *out);

#endif

/* Values as text: as Python writes them, since the original passed str(value) to its scripts. */
#ifndef FLAMBE_EXPERIMENT_VALUE_H
#define FLAMBE_EXPERIMENT_VALUE_H

#include "base/buf.h"
#include <jansson.h>

/* Python's repr() of a float: the shortest digits that give the number again; "0.001", "1e-05",
 * "1.0", "nan". */
void value_float(double x, struct buf *out);
/* Python's str() of a value. */
void value_text(const json_t *value, struct buf *out);

/* A number that JSON does not have is the text "nan", "inf" or "-inf". */
json_t *value_real(double x);

#endif

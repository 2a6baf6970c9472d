/* Values as text: as Python writes them, since the original passed str(value) to its scripts. */
#ifndef FLAMBE_EXPERIMENT_VALUE_H
#define FLAMBE_EXPERIMENT_VALUE_H

#include "base/buf.h"
#include "base/json.h"

/* Python's str() of a value. */
void value_text(const json_t *value, struct buf *out);

#endif

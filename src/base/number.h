/* Fractions as text. */
#ifndef FLAMBE_BASE_NUMBER_H
#define FLAMBE_BASE_NUMBER_H

#include "base/buf.h"

/* Appends the shortest digits that read back as the same number, as Python's repr() has them:
 * "0.001", "1e-05", "1.0", "-0.0"; and "nan", "inf", "-inf". But for the last three it is JSON's
 * form of a number, too. */
void number_write(double x, struct buf *out);

#endif

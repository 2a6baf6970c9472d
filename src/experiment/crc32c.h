/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), and the masked form that event files keep. */
#ifndef FLAMBE_EXPERIMENT_CRC32C_H
#define FLAMBE_EXPERIMENT_CRC32C_H

#include "base/str.h"
#include <stdint.h>

/* By the processor's own instruction where it has one. */
uint32_t crc32c(struct str bytes);
/* The same from a table, on any processor. */
uint32_t crc32c_by_table(struct str bytes);
/* Rotated and moved, so that the sum of bytes which hold sums of their own stays a good one. */
uint32_t crc32c_masked(struct str bytes);

#endif

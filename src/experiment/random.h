/* The random numbers of `!s`: xoshiro256** 1.0 (Blackman and Vigna, 2018,
 * https://prng.di.unimi.it), one stream for each option.
 *
 * A stream's state is the SHA-256 of the file's seed (in decimal, and a new line) and the option's
 * path, as four little-endian words, so that an option draws the same whatever else the file holds.
 * Whole numbers are drawn without bias, by rejection; a fraction is the upper 53 bits over 2^53. */
#ifndef FLAMBE_EXPERIMENT_RANDOM_H
#define FLAMBE_EXPERIMENT_RANDOM_H

#include "base/str.h"
#include <stdint.h>

#define RANDOM_NAME "xoshiro256**"

struct random {
    uint64_t s[4];
};

void random_init(struct random *r, uint64_t seed, struct str stream);
uint64_t random_u64(struct random *r);
/* In [lo, hi); lo < hi. */
int64_t random_int(struct random *r, int64_t lo, int64_t hi);
/* In [0, 1). */
double random_unit(struct random *r);

#endif

/* Time: one type, microseconds, for points and for spans; and a clock that tests can own.
 *
 * Wall time counts from 1970-01-01 UTC. Monotonic time counts from an arbitrary start. */
#ifndef FLAMBE_BASE_CLOCK_H
#define FLAMBE_BASE_CLOCK_H

#include "base/attr.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

typedef int64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MIN (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_FOREVER INT64_MAX

struct clock {
    usec_t (*wall)(void *ctx);
    usec_t (*mono)(void *ctx);
    void *ctx;
};

/* The machine's own clock; never freed. */
const struct clock *clock_system(void);
usec_t clock_wall(const struct clock *c);
usec_t clock_mono(const struct clock *c);

/* "2026-01-31T23:59:59Z", seconds precision. `out` holds at least CLOCK_ISO_SIZE bytes. */
#define CLOCK_ISO_SIZE 32
void clock_iso(usec_t wall, char out[CLOCK_ISO_SIZE]);
/* Parses "2026-01-31T23:59:59Z", with optional fractions of a second. */
bool clock_parse_iso(struct str s, usec_t *out);
/* A span for people: "0.3 s", "8 s", "2 min 10 s", "3 h 20 min", "4 d 1 h". */
#define CLOCK_SPAN_SIZE 32
void clock_span(usec_t span, char out[CLOCK_SPAN_SIZE]);

#endif

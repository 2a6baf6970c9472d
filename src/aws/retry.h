/* When to try again, and when to send at all: pure state, with time and chance passed in.
 *
 * As in botocore's standard mode: full jitter under an exponential limit, and a quota that all
 * calls share, so that a server in trouble is not asked three times as often. Throttling is apart:
 * it is no sign of trouble, so more attempts are made, and the rate of sending follows what the
 * service lets through (botocore's adaptive mode: a token bucket steered by CUBIC, with a floor of
 * 2 requests a second instead of 0.5: a person waits for our ten calls, and no bucket of EC2's
 * refills slower). */
#ifndef FLAMBE_AWS_RETRY_H
#define FLAMBE_AWS_RETRY_H

#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>

#define RETRY_ATTEMPTS 3           /* in all, where the configuration says nothing */
#define RETRY_ATTEMPTS_THROTTLED 8 /* the same, for throttling */
#define RETRY_ATTEMPTS_MAX 100
#define RETRY_DELAY_MAX (20 * USEC_PER_SEC)
#define RETRY_QUOTA_MAX 500
#define RETRY_COST 5
#define RETRY_COST_TIMEOUT 10

struct retry_quota {
    int left; /* starts at RETRY_QUOTA_MAX */
};

/* One call. Zeroed is ready. */
struct retry {
    int attempts; /* made so far */
    int cost;     /* what the last try again took from the quota */
};

/* After an attempt that failed with `why`: whether to try again, and in how long. `max_attempts` is
 * the configured one, or 0; `random` is in [0, 1). */
bool retry_again(struct retry *r, struct retry_quota *q, int max_attempts, const struct err *why,
                 double random, usec_t *delay);
/* After one that succeeded: gives back what its last try again took. */
void retry_succeeded(struct retry *r, struct retry_quota *q);

/* The rate of sending. Zeroed is ready, and lets everything through until the first throttling. */
struct retry_rate {
    bool on;
    double fill_rate, max_capacity, capacity; /* tokens a second, tokens */
    double measured;                          /* requests a second, smoothed */
    double last_max, time_window;
    long requests; /* in the bucket of half a second that is counted now */
    usec_t bucket, filled, throttled;
};

/* Takes one token; returns how long to wait before sending. */
usec_t retry_rate_take(struct retry_rate *r, usec_t mono);
/* Tells how an attempt ended. */
void retry_rate_update(struct retry_rate *r, bool throttled, usec_t mono);

#endif

/* See retry.h; the constants are botocore's (retries/standard.py, bucket.py, throttling.py). */
#include "aws/retry.h"
#include <math.h>

bool retry_again(struct retry *r, struct retry_quota *q, int max_attempts, const struct err *why,
                 double random, usec_t *delay)
{
    bool throttled = why->code == ERR_THROTTLED;
    r->attempts++;
    if (max_attempts <= 0)
        max_attempts = throttled ? RETRY_ATTEMPTS_THROTTLED : RETRY_ATTEMPTS;
    if (!err_retryable(why->code) || r->attempts >= max_attempts)
        return false;
    int cost = why->code == ERR_TIMEOUT ? RETRY_COST_TIMEOUT : RETRY_COST;
    if (!throttled) { /* the rate of sending guards against that */
        if (q->left < cost)
            return false;
        q->left -= cost;
        r->cost = cost;
    }
    int doublings = r->attempts - 1 < 10 ? r->attempts - 1 : 10;
    usec_t limit = USEC_PER_SEC << doublings;
    if (limit > RETRY_DELAY_MAX)
        limit = RETRY_DELAY_MAX;
    *delay = (usec_t)(random * (double)limit);
    return true;
}

void retry_succeeded(struct retry *r, struct retry_quota *q)
{
    q->left += r->cost ? r->cost : 1;
    if (q->left > RETRY_QUOTA_MAX)
        q->left = RETRY_QUOTA_MAX;
    *r = (struct retry){0};
}

#define RATE_BETA 0.7   /* the rate after throttling, as a part of the one before */
#define RATE_SCALE 0.4  /* how fast the cubic grows */
#define RATE_SMOOTH 0.8 /* the weight of the newest measurement */
#define RATE_MIN 2.0    /* requests a second: the slowest refill of EC2's buckets, RunInstances' */
#define RATE_BURST_MIN 1.0
#define RATE_BUCKET (USEC_PER_SEC / 2)

static double seconds(usec_t span)
{
    return (double)span / (double)USEC_PER_SEC;
}

static void refill(struct retry_rate *r, usec_t now)
{
    if (r->filled)
        r->capacity = fmin(r->max_capacity, r->capacity + seconds(now - r->filled) * r->fill_rate);
    r->filled = now;
}

usec_t retry_rate_take(struct retry_rate *r, usec_t now)
{
    if (!r->on)
        return 0;
    refill(r, now);
    r->capacity -= 1; /* below zero it is what those that wait have taken ahead */
    return r->capacity >= 0 ? 0 : (usec_t)(-r->capacity / r->fill_rate * (double)USEC_PER_SEC);
}

static void measure(struct retry_rate *r, usec_t now)
{
    usec_t bucket = now / RATE_BUCKET * RATE_BUCKET;
    r->requests++;
    if (!r->bucket)
        r->bucket = bucket;
    if (bucket <= r->bucket)
        return;
    double rate = (double)r->requests / seconds(bucket - r->bucket);
    r->measured = rate * RATE_SMOOTH + r->measured * (1 - RATE_SMOOTH);
    r->requests = 0;
    r->bucket = bucket;
}

void retry_rate_update(struct retry_rate *r, bool throttled, usec_t now)
{
    measure(r, now);
    double rate;
    if (throttled) {
        double used = r->on ? fmin(r->measured, r->fill_rate) : r->measured;
        r->last_max = used;
        r->throttled = now;
        r->time_window = cbrt(r->last_max * (1 - RATE_BETA) / RATE_SCALE);
        rate = used * RATE_BETA;
        r->on = true;
    } else if (r->on) {
        double t = seconds(now - r->throttled) - r->time_window;
        rate = RATE_SCALE * t * t * t + r->last_max;
    } else {
        return;
    }
    refill(r, now);
    r->fill_rate = fmax(fmin(rate, 2 * r->measured), RATE_MIN);
    r->max_capacity = fmax(r->fill_rate, RATE_BURST_MIN);
    r->capacity = fmin(r->capacity, r->max_capacity);
}

/* When to try again: state, time and chance are all passed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/retry.h"

static struct err because(enum err_code code)
{
    return (struct err){.code = code};
}

static void test_delays(void **state)
{
    (void)state;
    struct retry r = {0};
    struct retry_quota q = {RETRY_QUOTA_MAX};
    struct err server = because(ERR_SERVER);
    usec_t delay = -1;
    usec_t last = 0;
    for (int i = 0; i < 9; i++) { /* 1, 2, 4, 8, 16, 20, 20, … seconds at most */
        assert_true(retry_again(&r, &q, 10, &server, 0.999999, &delay));
        usec_t limit = USEC_PER_SEC << (i < 5 ? i : 4);
        limit = i < 5 ? limit : RETRY_DELAY_MAX;
        assert_true(delay <= limit && delay > limit - USEC_PER_SEC / 10);
        assert_true(delay >= last);
        last = delay;
    }
    assert_false(retry_again(&r, &q, 10, &server, 0.5, &delay));
    r = (struct retry){0};
    assert_true(retry_again(&r, &q, 10, &server, 0, &delay)); /* full jitter: from nothing */
    assert_int_equal(delay, 0);
}

static void test_attempts(void **state)
{
    (void)state;
    struct retry_quota q = {RETRY_QUOTA_MAX};
    struct err server = because(ERR_SERVER), throttled = because(ERR_THROTTLED);
    usec_t delay;
    struct retry r = {0};
    int n = 1;
    while (retry_again(&r, &q, 0, &server, 0, &delay))
        n++;
    assert_int_equal(n, RETRY_ATTEMPTS);
    r = (struct retry){0};
    n = 1;
    while (retry_again(&r, &q, 0, &throttled, 0, &delay))
        n++;
    assert_int_equal(n, RETRY_ATTEMPTS_THROTTLED);
    r = (struct retry){0};
    n = 1;
    while (retry_again(&r, &q, 2, &throttled, 0, &delay)) /* configured: for both */
        n++;
    assert_int_equal(n, 2);
}

static void test_throttling_costs_no_quota(void **state)
{
    (void)state;
    struct retry a = {0}, b = {0};
    struct retry_quota q = {RETRY_QUOTA_MAX};
    struct err server = because(ERR_SERVER), throttled = because(ERR_THROTTLED);
    usec_t delay;
    assert_true(retry_again(&a, &q, 0, &server, 0.5, &delay));
    int left = q.left;
    assert_true(left < RETRY_QUOTA_MAX);
    assert_true(retry_again(&b, &q, 0, &throttled, 0.5, &delay));
    assert_int_equal(delay, USEC_PER_SEC / 2);
    assert_int_equal(q.left, left); /* throttling is no sign of trouble */
}

static void test_never(void **state)
{
    (void)state;
    static const enum err_code codes[] = {
        ERR_CAPACITY,   ERR_QUOTA, ERR_PERMISSION, ERR_CREDENTIALS, ERR_REJECTED, ERR_NOT_FOUND,
        ERR_CLOCK_SKEW, ERR_PARSE, ERR_CANCELLED,  ERR_EXISTS,      ERR_CONFLICT, ERR_LIMIT};
    struct retry_quota q = {RETRY_QUOTA_MAX};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct retry r = {0};
        struct err why = because(codes[i]);
        usec_t delay;
        assert_false(retry_again(&r, &q, 50, &why, 0.5, &delay));
    }
    assert_int_equal(q.left, RETRY_QUOTA_MAX);
}

static void test_quota(void **state)
{
    (void)state;
    struct retry_quota q = {RETRY_QUOTA_MAX};
    struct err server = because(ERR_SERVER), timeout = because(ERR_TIMEOUT);
    usec_t delay;
    struct retry r = {0};
    assert_true(retry_again(&r, &q, 0, &timeout, 0, &delay));
    assert_int_equal(q.left, RETRY_QUOTA_MAX - RETRY_COST_TIMEOUT);
    retry_succeeded(&r, &q); /* gives back what it took */
    assert_int_equal(q.left, RETRY_QUOTA_MAX);
    retry_succeeded(&r, &q); /* and never more than the maximum */
    assert_int_equal(q.left, RETRY_QUOTA_MAX);

    int tries = 0; /* of many calls that all fail, a bounded number is tried again */
    for (int i = 0; i < 1000; i++) {
        struct retry one = {0};
        tries += retry_again(&one, &q, 0, &server, 0, &delay);
    }
    assert_int_equal(tries, RETRY_QUOTA_MAX / RETRY_COST);
    for (int i = 0; i < RETRY_COST; i++) { /* each success gives one back */
        struct retry one = {0};
        assert_false(retry_again(&one, &q, 0, &server, 0, &delay));
        retry_succeeded(&(struct retry){0}, &q);
    }
    struct retry one = {0};
    assert_true(retry_again(&one, &q, 0, &server, 0, &delay));
}

/* ---- the rate of sending ----------------------------------------------------------------------
 */

static void test_rate_is_off_until_throttled(void **state)
{
    (void)state;
    struct retry_rate r = {0};
    for (usec_t t = 1; t < 10 * USEC_PER_SEC; t += 1000) {
        assert_int_equal(retry_rate_take(&r, t), 0);
        retry_rate_update(&r, false, t);
    }
}

/* A service that lets 10 requests a second through: the client comes to send about that many. */
static void test_rate_settles(void **state)
{
    (void)state;
    struct retry_rate r = {0};
    usec_t now = USEC_PER_SEC, end = 60 * USEC_PER_SEC;
    double tokens = 10;
    usec_t filled = now;
    int good_late = 0, bad_late = 0;
    while (now < end) {
        usec_t wait = retry_rate_take(&r, now);
        now += wait > 1000 ? wait : 1000; /* it would send a thousand a second */
        tokens += (double)(now - filled) / 1e6 * 10;
        tokens = tokens > 10 ? 10 : tokens;
        filled = now;
        bool throttled = tokens < 1;
        if (!throttled)
            tokens -= 1;
        retry_rate_update(&r, throttled, now);
        if (now > end / 2) {
            good_late += !throttled;
            bad_late += throttled;
        }
    }
    assert_true(good_late > 30 * 10 / 2);  /* it uses most of what there is */
    assert_true(bad_late < good_late / 4); /* and is refused seldom */
}

static void test_rate_recovers(void **state)
{
    (void)state;
    struct retry_rate r = {0};
    usec_t now = USEC_PER_SEC;
    for (int i = 0; i < 100; i++, now += 10000) {
        retry_rate_take(&r, now);
        retry_rate_update(&r, i > 90, now);
    }
    assert_true(r.on);
    double low = r.fill_rate;
    assert_true(low >= 2.0); /* the slowest refill of EC2's buckets */
    for (usec_t end = now + 30 * USEC_PER_SEC; now < end;) {
        usec_t wait = retry_rate_take(&r, now);
        assert_true(wait <= 3 * USEC_PER_SEC); /* never starves */
        now += wait > 1000 ? wait : 1000;
        retry_rate_update(&r, false, now);
    }
    assert_true(r.fill_rate > 4 * low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_throttling_costs_no_quota),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_rate_is_off_until_throttled),
        cmocka_unit_test(test_rate_settles),
        cmocka_unit_test(test_rate_recovers),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}

/* See random.h. */
#include "experiment/random.h"
#include "base/buf.h"
#include "base/digest.h"
#include <assert.h>

static uint64_t little_endian(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

void random_init(struct random *r, uint64_t seed, struct str stream)
{
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "%llu\n", (unsigned long long)seed);
    buf_add_str(&text, stream);
    uint8_t digest[SHA256_SIZE];
    digest_sha256(buf_view(&text), digest);
    /* All zeros, the one state that gives no numbers, is no digest that anybody will see. */
    for (int i = 0; i < 4; i++)
        r->s[i] = little_endian(digest + 8 * i);
}

static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

int64_t random_int(struct random *r, int64_t lo, int64_t hi)
{
    assert(lo < hi);
    uint64_t range = (uint64_t)hi - (uint64_t)lo;
    uint64_t reject = -range % range; /* 2^64 mod range: below it the remainders are uneven */
    uint64_t x = random_u64(r);
    while (x < reject)
        x = random_u64(r);
    return (int64_t)((uint64_t)lo + x % range);
}

double random_unit(struct random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}

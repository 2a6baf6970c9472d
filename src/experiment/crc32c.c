/* See crc32c.h. The sums inside run inverted, as the instructions of x86-64 and arm64 keep them. */
#include "experiment/crc32c.h"
#include <stdbool.h>
#include <string.h>
#if defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, its bits reversed */
#define SLICES 8

/* [k][b]: byte b with k zero bytes behind it. Made at the first use. */
static uint32_t table[SLICES][256];

static void make_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t sum = b;
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ POLYNOMIAL : sum >> 1;
        table[0][b] = sum;
    }
    for (int k = 1; k < SLICES; k++)
        for (uint32_t b = 0; b < 256; b++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t by_table(uint32_t sum, const uint8_t *p, size_t n)
{
    if (!table[0][1])
        make_table();
    for (; n >= SLICES; p += SLICES, n -= SLICES) {
        uint32_t next = 0;
        for (int i = 0; i < SLICES; i++) {
            uint8_t low = i < 4 ? (uint8_t)(sum >> 8 * i) : 0;
            next ^= table[SLICES - 1 - i][p[i] ^ low];
        }
        sum = next;
    }
    for (; n; p++, n--)
        sum = sum >> 8 ^ table[0][(sum ^ *p) & 0xff];
    return sum;
}

#if defined(__x86_64__)
static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t sum, const uint8_t *p,
                                                                 size_t n)
{
    uint64_t wide = sum, word;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    sum = (uint32_t)wide;
    for (; n; p++, n--)
        sum = __builtin_ia32_crc32qi(sum, *p);
    return sum;
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
static bool has_instruction(void)
{
    return true;
}

static uint32_t by_instruction(uint32_t sum, const uint8_t *p, size_t n)
{
    uint64_t word;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        sum = __crc32cd(sum, word);
    }
    for (; n; p++, n--)
        sum = __crc32cb(sum, *p);
    return sum;
}
#else
static bool has_instruction(void)
{
    return false;
}

static uint32_t by_instruction(uint32_t sum, const uint8_t *p, size_t n)
{
    return by_table(sum, p, n);
}
#endif

uint32_t crc32c(struct str bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    return ~(has_instruction() ? by_instruction(~0u, p, bytes.n) : by_table(~0u, p, bytes.n));
}

uint32_t crc32c_by_table(struct str bytes)
{
    return ~by_table(~0u, (const uint8_t *)bytes.p, bytes.n);
}

uint32_t crc32c_masked(struct str bytes)
{
    uint32_t sum = crc32c(bytes);
    return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

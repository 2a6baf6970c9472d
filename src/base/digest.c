/* See digest.h. */
#include "base/digest.h"
#include "base/mem.h"
#include "base/port.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RANDOM_MAX ((size_t)256) /* bytes of one getentropy(3) */

void digest_sha256(struct str data, uint8_t out[SHA256_SIZE])
{
    unsigned int n = 0;
    if (EVP_Digest(data.p, data.n, out, &n, EVP_sha256(), NULL) != 1)
        abort();
}

void digest_sha256_hex(struct str data, char out[SHA256_HEX_SIZE])
{
    uint8_t raw[SHA256_SIZE];
    digest_sha256(data, raw);
    digest_hex(raw, sizeof raw, out);
}

void digest_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_SIZE])
{
    unsigned int n = 0;
    if (!HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)data.p, data.n, out, &n))
        abort();
}

void digest_hex(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

void digest_base64(struct str data, struct buf *out)
{
    size_t size = (data.n + 2) / 3 * 4 + 1;
    AUTO_FREE char *text = mem_alloc(size);
    int n = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data.p, (int)data.n);
    buf_add(out, text, (size_t)n);
    port_wipe(text, size); /* it may be a secret */
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool digest_unbase64(struct str text, struct buf *out)
{
    struct buf bytes = {.max = out->max};
    uint32_t group = 0;
    size_t count = 0, padding = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        int value = c == '=' ? 0 : base64_value(c);
        if (value < 0 || (padding && c != '='))
            goto bad;
        padding += c == '=';
        group = group << 6 | (uint32_t)value;
        if (++count % 4 == 0) {
            char three[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
            if (padding > 2)
                goto bad;
            buf_add(&bytes, three, 3 - padding);
            group = 0;
        }
    }
    if (count % 4 || bytes.overflowed)
        goto bad;
    buf_add(out, buf_text(&bytes), bytes.len);
    buf_wipe(&bytes);
    return true;
bad:
    buf_wipe(&bytes);
    return false;
}

/* libcrypto's generator would take 2 ms to begin, half of all that a Slurm job's wrapper does. */
void digest_random(void *p, size_t n)
{
    for (size_t done = 0; done < n; done += RANDOM_MAX) {
        size_t part = n - done < RANDOM_MAX ? n - done : RANDOM_MAX;
        if (getentropy((char *)p + done, part) == -1)
            abort();
    }
}

void digest_random_hex(char *out, size_t n)
{
    uint8_t raw[64];
    char hex[2 * sizeof raw + 1];
    for (size_t done = 0; done < n; done += 2 * sizeof raw) {
        size_t part = n - done < 2 * sizeof raw ? n - done : 2 * sizeof raw;
        digest_random(raw, sizeof raw);
        digest_hex(raw, sizeof raw, hex);
        memcpy(out + done, hex, part);
    }
    out[n] = '\0';
}

bool digest_equal(struct str a, struct str b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

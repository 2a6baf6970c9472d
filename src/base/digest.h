/* SHA-256, HMAC, hex, base64 and random bytes, over libcrypto. */
#ifndef FLAMBE_BASE_DIGEST_H
#define FLAMBE_BASE_DIGEST_H

#include "base/buf.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with the NUL */

void digest_sha256(struct str data, uint8_t out[SHA256_SIZE]);
void digest_sha256_hex(struct str data, char out[SHA256_HEX_SIZE]);
void digest_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_SIZE]);
/* Lower-case hex and a NUL: out holds 2 * n + 1 bytes. */
void digest_hex(const uint8_t *p, size_t n, char *out);
/* Appends RFC 4648 base64, padded, on one line. */
void digest_base64(struct str data, struct buf *out);
/* Appends the decoded bytes; ASCII white space is passed over. False (nothing kept) if malformed.
 */
bool digest_unbase64(struct str text, struct buf *out);
/* From the kernel; ends the process where it has none to give. */
void digest_random(void *p, size_t n);
/* n random characters of [0-9a-f] and a NUL: out holds n + 1 bytes. */
void digest_random_hex(char *out, size_t n);
/* In time that does not depend on where they differ. */
bool digest_equal(struct str a, struct str b);

#endif

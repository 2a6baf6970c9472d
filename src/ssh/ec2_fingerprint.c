/* EC2's DescribeKeyPairs, KeyFingerprint: SHA-1 of the DER-encoded PKCS#8 private key for RSA pairs
 * that AWS made; MD5 for RSA keys that were imported (of the DER-encoded public key, as the "verify
 * the fingerprint" page computes it, while the API reference points to RFC 4716 section 4: both are
 * taken); SHA-256 of the public key, as ssh-keygen prints it, for ED25519 either way. */
#include "ssh/ec2_fingerprint.h"
#include "base/digest.h"
#include "base/mem.h"
#include "ssh/pkey.h"
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* NULL where libcrypto does not have the digest (MD5 under FIPS). */
static char *hex_digest(const EVP_MD *md, const void *p, size_t n)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(p, n, hash, &size, md, NULL) != 1)
        return NULL;
    char *hex = mem_alloc(2 * (size_t)size + 1);
    digest_hex(hash, size, hex);
    return hex;
}

static char *md5_of_public(EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);
    char *hex = n > 0 ? hex_digest(EVP_md5(), der, (size_t)n) : NULL;
    OPENSSL_free(der);
    return hex;
}

static char *sha1_of_private(EVP_PKEY *pkey)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
    unsigned char *der = NULL;
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    char *hex = n > 0 ? hex_digest(EVP_sha1(), der, (size_t)n) : NULL;
    if (n > 0)
        OPENSSL_clear_free(der, (size_t)n);
    PKCS8_PRIV_KEY_INFO_free(info);
    return hex;
}

void ec2_fingerprints(struct ssh_identity *id, EVP_PKEY *private)
{
    id->sha256 = ssh_fingerprint(id->public_line);
    if (!str_starts(str_of(id->public_line), "ssh-rsa "))
        return;
    id->md5_blob = hex_digest(EVP_md5(), id->blob.data, id->blob.len);
    EVP_PKEY *public = pkey_of_rsa_blob(buf_view(&id->blob));
    if (public)
        id->md5_spki = md5_of_public(public);
    if (private)
        id->sha1_private = sha1_of_private(private);
    EVP_PKEY_free(public);
}

/* Lower-case hex without colons; empty where the text is none. */
static void plain_hex(const char *text, struct buf *out)
{
    for (const char *p = text; *p; p++) {
        if (*p == ':')
            continue;
        if (!isxdigit((unsigned char)*p)) {
            buf_clear(out);
            return;
        }
        buf_addc(out, (char)tolower((unsigned char)*p));
    }
}

bool ssh_identity_matches_ec2(const struct ssh_identity *id, const char *fingerprint)
{
    AUTO_BUF struct buf hex = {0};
    plain_hex(fingerprint, &hex);
    if (hex.len == 40) /* SHA-1: an agent does not give out what it is made from, so it may be */
        return str_starts(str_of(id->public_line), "ssh-rsa ") &&
               (!id->key || (id->sha1_private && str_is(buf_view(&hex), id->sha1_private)));
    if (hex.len == 32)
        return (id->md5_spki && str_is(buf_view(&hex), id->md5_spki)) ||
               (id->md5_blob && str_is(buf_view(&hex), id->md5_blob));
    struct str ours = str_of(id->sha256), theirs = str_of(fingerprint);
    ours.p += strlen("SHA256:");
    ours.n -= strlen("SHA256:");
    if (str_starts(theirs, "SHA256:")) {
        theirs.p += strlen("SHA256:");
        theirs.n -= strlen("SHA256:");
    }
    while (str_ends(theirs, "="))
        theirs.n--;
    return str_eq(ours, theirs);
}

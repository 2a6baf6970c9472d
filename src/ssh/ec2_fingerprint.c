/* EC2's DescribeKeyPairs, KeyFingerprint: SHA-1 of the DER-encoded PKCS#8 private key for RSA pairs
 * that AWS made; MD5 for RSA keys that were imported (of the DER-encoded public key, as the "verify
 * the fingerprint" page computes it, while the API reference points to RFC 4716 section 4: both are
 * taken); SHA-256 of the public key, as ssh-keygen prints it, for ED25519 either way. */
#include "ssh/ec2_fingerprint.h"
#include "base/digest.h"
#include "base/mem.h"
#include "ssh/hostkey.h"
#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
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

/* Through PEM, the one form that libssh gives its keys out in. */
static EVP_PKEY *private_pkey(ssh_key key)
{
    char *pem = NULL;
    if (ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &pem) != SSH_OK)
        return NULL;
    size_t n = strlen(pem);
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    explicit_bzero(pem, n);
    ssh_string_free_char(pem);
    return pkey;
}

static bool take_mpint(struct str *rest, struct str *out)
{
    if (rest->n < 4)
        return false;
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > rest->n - 4)
        return false;
    *out = (struct str){rest->p + 4, n};
    rest->p += 4 + n;
    rest->n -= 4 + n;
    return true;
}

/* From the raw "ssh-rsa" blob: string type, mpint e, mpint n (RFC 4253 6.6). */
static EVP_PKEY *public_pkey(struct str blob)
{
    struct str rest = blob, type, e, n;
    if (!take_mpint(&rest, &type) || !take_mpint(&rest, &e) || !take_mpint(&rest, &n))
        return NULL;
    BIGNUM *be = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    BIGNUM *bn = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    if (be && bn && bld && ctx && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(bld)) && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(be);
    BN_free(bn);
    return pkey;
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

void ec2_fingerprints(struct ssh_identity *id, ssh_key private_key)
{
    id->sha256 = ssh_fingerprint(id->public_line);
    if (!str_starts(str_of(id->public_line), "ssh-rsa "))
        return;
    id->md5_blob = hex_digest(EVP_md5(), id->blob.data, id->blob.len);
    EVP_PKEY *public = public_pkey(buf_view(&id->blob));
    EVP_PKEY *private = private_key ? private_pkey(private_key) : NULL;
    if (public)
        id->md5_spki = md5_of_public(public);
    if (private)
        id->sha1_private = sha1_of_private(private);
    EVP_PKEY_free(public);
    EVP_PKEY_free(private);
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

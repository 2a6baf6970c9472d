/* SSH key pairs as EC2 knows them: OpenSSH lines, fingerprints, and fresh keys.
 *
 * Fingerprints (EC2 User Guide, "Verify the fingerprint of your key pair"): imported RSA: MD5 of
 * the DER SubjectPublicKeyInfo; RSA made by EC2: SHA-1 of the PKCS#8 DER private key; ED25519 of
 * either origin: SHA-256 of the SSH wire form, in base64 with its padding. */
#include "base/digest.h"
#include "sandbox/world_priv.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_MADE 2048
#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 16384
#define ED25519_BYTES 32

void key_facts_done(struct key_facts *k)
{
    free(k->type);
    free(k->line);
    free(k->fingerprint);
    *k = (struct key_facts){0};
}

/* ---- the SSH wire form (RFC 4253, 4251: length-prefixed strings) --------------------------- */

static bool wire_next(struct str *rest, struct str *out)
{
    if (rest->n < 4)
        return false;
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > rest->n - 4)
        return false;
    *out = (struct str){rest->p + 4, n};
    *rest = (struct str){rest->p + 4 + n, rest->n - 4 - n};
    return true;
}

static void wire_u32(struct buf *b, uint32_t n)
{
    unsigned char bytes[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                              (unsigned char)(n >> 8), (unsigned char)n};
    buf_add(b, bytes, sizeof bytes);
}

static void wire_add(struct buf *b, struct str s)
{
    wire_u32(b, (uint32_t)s.n);
    buf_add_str(b, s);
}

/* A positive number of RFC 4251: big endian, a zero in front where the high bit is set. */
static void wire_number(struct buf *b, const BIGNUM *n)
{
    unsigned char bytes[RSA_BITS_MAX / 8 + 1];
    bytes[0] = 0;
    size_t len = (size_t)BN_bn2bin(n, bytes + 1);
    bool pad = len > 0 && (bytes[1] & 0x80);
    wire_add(b, (struct str){(const char *)bytes + (pad ? 0 : 1), len + (pad ? 1 : 0)});
}

/* ---- fingerprints -------------------------------------------------------------------------------
 */

static char *colon_digest(const EVP_MD *md, const unsigned char *der, int n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (n <= 0 || EVP_Digest(der, (size_t)n, digest, &size, md, NULL) != 1)
        return NULL;
    struct buf text AUTO_BUF = {0};
    for (unsigned i = 0; i < size; i++)
        buf_addf(&text, i ? ":%02x" : "%02x", digest[i]);
    return buf_take(&text);
}

static char *sha256_base64(struct str blob)
{
    uint8_t digest[SHA256_SIZE];
    digest_sha256(blob, digest);
    struct buf text AUTO_BUF = {0};
    digest_base64((struct str){(const char *)digest, sizeof digest}, &text);
    return buf_take(&text);
}

static EVP_PKEY *rsa_from(struct str e, struct str n)
{
    BIGNUM *be = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    BIGNUM *bn = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (be && bn && build && ctx && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    if (params && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)!EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(be);
    BN_free(bn);
    return key;
}

static char *imported_rsa_fingerprint(struct str e, struct str n)
{
    EVP_PKEY *key = rsa_from(e, n);
    if (!key)
        return NULL;
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    char *text = colon_digest(EVP_md5(), der, len);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return text;
}

/* ---- parsing ------------------------------------------------------------------------------------
 */

static bool parse_rsa(struct str rest, struct key_facts *out)
{
    struct str e, n;
    if (!wire_next(&rest, &e) || !wire_next(&rest, &n) || rest.n != 0)
        return false;
    while (n.n > 0 && n.p[0] == 0)
        n = (struct str){n.p + 1, n.n - 1};
    if (n.n * 8 < RSA_BITS_MIN || n.n * 8 > RSA_BITS_MAX || e.n == 0 || e.n > 8)
        return false;
    out->fingerprint = imported_rsa_fingerprint(e, n);
    out->type = mem_dup("rsa");
    return out->fingerprint != NULL;
}

static bool parse_ed25519(struct str blob, struct str rest, struct key_facts *out)
{
    struct str point;
    if (!wire_next(&rest, &point) || point.n != ED25519_BYTES || rest.n != 0)
        return false;
    out->fingerprint = sha256_base64(blob);
    out->type = mem_dup("ed25519");
    return true;
}

bool key_parse(struct str text, struct key_facts *out)
{
    struct str rest = str_trim(text);
    struct str name = str_cut(&rest, ' ');
    if (!rest.p)
        return false;
    rest = str_trim(rest);
    struct str body = str_cut(&rest, ' ');
    struct buf blob AUTO_BUF = {0};
    struct str inner, wire;
    if (!digest_unbase64(body, &blob))
        return false;
    wire = buf_view(&blob);
    if (!wire_next(&wire, &inner) || !str_eq(inner, name))
        return false;
    struct key_facts found = {0};
    bool fine = str_is(name, "ssh-rsa")       ? parse_rsa(wire, &found)
                : str_is(name, "ssh-ed25519") ? parse_ed25519(buf_view(&blob), wire, &found)
                                              : false;
    if (!fine) {
        key_facts_done(&found);
        return false;
    }
    found.line = mem_printf("%.*s %.*s", STR_FMT(name), STR_FMT(body));
    *out = found;
    return true;
}

/* ---- making -------------------------------------------------------------------------------------
 */

static char *line_of(const char *name, const struct buf *blob)
{
    struct buf text AUTO_BUF = {0};
    buf_addf(&text, "%s ", name);
    digest_base64(buf_view(blob), &text);
    return buf_take(&text);
}

static char *bio_text(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return mem_dup_n(p, n > 0 ? (size_t)n : 0);
}

/* SHA-1 over PKCS#8, as EC2 shows for the keys it made. */
static char *made_rsa_fingerprint(EVP_PKEY *key)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    if (!info)
        return NULL;
    unsigned char *der = NULL;
    int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    char *text = colon_digest(EVP_sha1(), der, n);
    OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    return text;
}

static bool make_rsa(struct key_facts *out, char **pem)
{
    EVP_PKEY *key = EVP_RSA_gen(RSA_BITS_MADE);
    BIO *bio = BIO_new(BIO_s_mem());
    BIGNUM *n = NULL, *e = NULL;
    bool fine = key && bio && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
                PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (fine) {
        struct buf blob AUTO_BUF = {0};
        wire_add(&blob, STR("ssh-rsa"));
        wire_number(&blob, e);
        wire_number(&blob, n);
        out->type = mem_dup("rsa");
        out->line = line_of("ssh-rsa", &blob);
        out->fingerprint = made_rsa_fingerprint(key);
        *pem = bio_text(bio);
    }
    BN_free(n);
    BN_free(e);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return fine;
}

/* OpenSSH's own format of private keys (PROTOCOL.key), unencrypted: what EC2 gives for ED25519. */
static char *openssh_pem(struct str public_blob, struct str point, struct str seed)
{
    struct buf secret AUTO_BUF = {0}, all AUTO_BUF = {0}, text AUTO_BUF = {0};
    uint32_t check;
    digest_random(&check, sizeof check);
    wire_u32(&secret, check);
    wire_u32(&secret, check);
    wire_add(&secret, STR("ssh-ed25519"));
    wire_add(&secret, point);
    wire_u32(&secret, ED25519_BYTES * 2);
    buf_add_str(&secret, seed);
    buf_add_str(&secret, point);
    wire_add(&secret, STR(""));
    for (char pad = 1; secret.len % 8 != 0; pad++)
        buf_addc(&secret, pad);

    buf_add(&all, "openssh-key-v1", sizeof "openssh-key-v1"); /* with its NUL */
    wire_add(&all, STR("none"));
    wire_add(&all, STR("none"));
    wire_add(&all, STR(""));
    wire_u32(&all, 1);
    wire_add(&all, public_blob);
    wire_add(&all, buf_view(&secret));
    struct buf body AUTO_BUF = {0};
    digest_base64(buf_view(&all), &body);
    buf_adds(&text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0; at < body.len; at += 70)
        buf_addf(&text, "%.70s\n", body.data + at);
    buf_adds(&text, "-----END OPENSSH PRIVATE KEY-----\n");
    buf_wipe(&secret);
    buf_wipe(&all);
    buf_wipe(&body);
    return buf_take(&text);
}

static bool make_ed25519(struct key_facts *out, char **pem)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    unsigned char point[ED25519_BYTES], seed[ED25519_BYTES];
    size_t point_n = sizeof point, seed_n = sizeof seed;
    bool fine = key && EVP_PKEY_get_raw_public_key(key, point, &point_n) == 1 &&
                EVP_PKEY_get_raw_private_key(key, seed, &seed_n) == 1;
    if (fine) {
        struct buf blob AUTO_BUF = {0};
        struct str p = {(const char *)point, point_n}, s = {(const char *)seed, seed_n};
        wire_add(&blob, STR("ssh-ed25519"));
        wire_add(&blob, p);
        out->type = mem_dup("ed25519");
        out->line = line_of("ssh-ed25519", &blob);
        out->fingerprint = sha256_base64(buf_view(&blob));
        *pem = openssh_pem(buf_view(&blob), p, s);
        OPENSSL_cleanse(seed, sizeof seed);
    }
    EVP_PKEY_free(key);
    return fine;
}

bool key_generate(const char *type, struct key_facts *out, char **pem)
{
    return strcmp(type, "ed25519") == 0 ? make_ed25519(out, pem) : make_rsa(out, pem);
}

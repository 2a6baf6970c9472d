/* See pkey.h. libssh 0.10 can neither give out an RSA key that it read from OpenSSH's format nor
 * use an ED25519 key that it read from PKCS#8; both are taken apart here. */
#include "ssh/pkey.h"
#include "base/digest.h"
#include "base/port.h"
#include "ssh/keyfile.h"
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

/* What an RSA key consists of, in libcrypto's names. */
enum { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV, RSA_PARTS };
static const char *const part_names[RSA_PARTS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1; /* without this libcrypto would ask at the terminal */
}

EVP_PKEY *pkey_of_pem(struct str text)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return pkey;
}

/* "Secure" numbers are wiped by whoever frees a copy of them. */
static bool number_of(struct str bytes, BIGNUM **out)
{
    *out = BN_secure_new();
    return *out && bytes.n && BN_bin2bn((const unsigned char *)bytes.p, (int)bytes.n, *out);
}

static EVP_PKEY *pkey_of_parts(BIGNUM *const parts[RSA_PARTS])
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    bool ok = bld && ctx;
    for (int i = 0; ok && i < RSA_PARTS; i++)
        ok = !parts[i] || OSSL_PARAM_BLD_push_BN(bld, part_names[i], parts[i]) == 1;
    int selection = parts[RSA_D] ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    if (!ok || !(params = OSSL_PARAM_BLD_to_param(bld)) || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

static void free_parts(BIGNUM *parts[RSA_PARTS])
{
    for (int i = 0; i < RSA_PARTS; i++)
        BN_clear_free(parts[i]);
}

EVP_PKEY *pkey_of_rsa_blob(struct str blob)
{
    struct str rest = blob, type, e, n;
    BIGNUM *parts[RSA_PARTS] = {NULL};
    EVP_PKEY *pkey = NULL;
    if (keyfile_take_string(&rest, &type) && str_is(type, "ssh-rsa") &&
        keyfile_take_string(&rest, &e) && keyfile_take_string(&rest, &n) &&
        number_of(e, &parts[RSA_E]) && number_of(n, &parts[RSA_N]))
        pkey = pkey_of_parts(parts);
    free_parts(parts);
    return pkey;
}

/* exponent = d mod (prime - 1), which OpenSSH's format leaves out. */
static bool reduced(const BIGNUM *d, const BIGNUM *prime, BIGNUM **exponent)
{
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *less = BN_secure_new();
    *exponent = BN_secure_new();
    bool ok = ctx && less && *exponent && BN_sub(less, prime, BN_value_one()) == 1 &&
              !BN_is_zero(less) && BN_mod(*exponent, d, less, ctx) == 1;
    BN_clear_free(less);
    BN_CTX_free(ctx);
    return ok;
}

EVP_PKEY *pkey_of_openssh_rsa(struct str text)
{
    static const int order[] = {RSA_N, RSA_E, RSA_D, RSA_QINV, RSA_P, RSA_Q};
    struct buf raw = {0};
    struct str public, rest, part;
    BIGNUM *parts[RSA_PARTS] = {NULL};
    bool ok = keyfile_openssh_parts(text, &raw, &public, &rest) && rest.n > 8;
    if (ok) { /* two equal check numbers, then the key */
        rest.p += 8;
        rest.n -= 8;
        ok = keyfile_take_string(&rest, &part) && str_is(part, "ssh-rsa");
    }
    for (size_t i = 0; ok && i < COUNT_OF(order); i++)
        ok = keyfile_take_string(&rest, &part) && number_of(part, &parts[order[i]]);
    ok = ok && reduced(parts[RSA_D], parts[RSA_P], &parts[RSA_DP]) &&
         reduced(parts[RSA_D], parts[RSA_Q], &parts[RSA_DQ]);
    EVP_PKEY *pkey = ok ? pkey_of_parts(parts) : NULL;
    free_parts(parts);
    buf_wipe(&raw);
    return pkey;
}

static void add_u32(struct buf *b, uint32_t n)
{
    char bytes[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    buf_add(b, bytes, sizeof bytes);
}

static void add_string(struct buf *b, struct str s)
{
    add_u32(b, (uint32_t)s.n);
    buf_add_str(b, s);
}

#define ED25519_SIZE 32

bool pkey_ed25519_to_openssh(EVP_PKEY *pkey, struct buf *out)
{
    unsigned char private[2 * ED25519_SIZE], public[ED25519_SIZE];
    size_t n = ED25519_SIZE, m = ED25519_SIZE;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_private_key(pkey, private, &n) != 1 || n != ED25519_SIZE ||
        EVP_PKEY_get_raw_public_key(pkey, public, &m) != 1 || m != ED25519_SIZE)
        return false;
    memcpy(private + ED25519_SIZE, public, ED25519_SIZE); /* OpenSSH keeps both in one string */
    struct str public_view = {(char *)public, sizeof public};
    struct buf blob = {0}, secret = {0}, file = {0};
    add_string(&blob, STR("ssh-ed25519"));
    add_string(&blob, public_view);
    add_u32(&secret, 0); /* the check numbers, equal */
    add_u32(&secret, 0);
    add_string(&secret, STR("ssh-ed25519"));
    add_string(&secret, public_view);
    add_string(&secret, (struct str){(char *)private, sizeof private});
    add_string(&secret, STR(""));
    for (char i = 1; secret.len % 8; i++)
        buf_addc(&secret, i);
    buf_add(&file, "openssh-key-v1", sizeof "openssh-key-v1");
    add_string(&file, STR("none"));
    add_string(&file, STR("none"));
    add_string(&file, STR(""));
    add_u32(&file, 1);
    add_string(&file, buf_view(&blob));
    add_string(&file, buf_view(&secret));
    buf_adds(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    digest_base64(buf_view(&file), out);
    buf_adds(out, "\n-----END OPENSSH PRIVATE KEY-----\n");
    port_wipe(private, sizeof private);
    buf_wipe(&secret);
    buf_wipe(&file);
    buf_done(&blob);
    return true;
}

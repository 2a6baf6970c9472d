/* See keyfile.h. */
#include "ssh/keyfile.h"
#include "base/digest.h"
#include <string.h>

/* What people give instead of a private key, by how it starts. */
static const struct {
    const char *start;
    const char *what;
    const char *fix;
} wrong_kinds[] = {
    {"-----BEGIN PUBLIC KEY", "is a public key", "give the private key that belongs to it"},
    {"-----BEGIN RSA PUBLIC KEY", "is a public key", "give the private key that belongs to it"},
    {"---- BEGIN SSH2 PUBLIC KEY", "is a public key", "give the private key that belongs to it"},
    {"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY", "is a key of the old SSH.com format",
     "convert it to OpenSSH's format"},
    {"-----BEGIN CERTIFICATE REQUEST", "is a certificate request", "give the private key itself"},
    {"-----BEGIN CERTIFICATE", "is a certificate", "give the private key itself"},
    {"-----BEGIN DSA PRIVATE KEY", "is a DSA key, which neither EC2 nor OpenSSH takes any more",
     "make an ED25519 key with `ssh-keygen -t ed25519`"},
    {"-----BEGIN PGP", "is a PGP key", "give an SSH private key"},
    {"SSH PRIVATE KEY FILE FORMAT 1.1", "is a key of SSH protocol 1", "make a new key"},
};

static bool starts_like_public_key(struct str s)
{
    static const char *const starts[] = {"ssh-rsa",     "ssh-dss",         "ssh-ed25519",
                                         "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-"};
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        if (str_starts(s, starts[i]))
            return true;
    return false;
}

static bool has_zero_byte(struct str s)
{
    return s.n && memchr(s.p, '\0', s.n) != NULL;
}

static enum keyfile_kind wrong(struct err *err, const char *path, const char *what, const char *fix)
{
    err_set(err, ERR_FILE, "the key '%s' %s: %s", path, what, fix);
    return KEYFILE_WRONG;
}

enum keyfile_kind keyfile_kind(const char *path, struct str text, struct err *err)
{
    struct str s = str_trim(text);
    if (!s.p || s.n == 0)
        return wrong(err, path, "is empty", "give an SSH private key");
    if (str_starts(s, "PuTTY-User-Key-File-")) {
        err_set(err, ERR_FILE,
                "the key '%s' is a PuTTY key (.ppk): run `puttygen '%s' -O private-openssh -o "
                "key.pem` and give key.pem",
                path, path);
        return KEYFILE_WRONG;
    }
    for (size_t i = 0; i < COUNT_OF(wrong_kinds); i++)
        if (str_starts(s, wrong_kinds[i].start))
            return wrong(err, path, wrong_kinds[i].what, wrong_kinds[i].fix);
    if (starts_like_public_key(s)) {
        struct str rest = s;
        bool certificate = str_ends(str_cut(&rest, ' '), "-cert-v01@openssh.com");
        return wrong(err, path, certificate ? "is an SSH certificate" : "is a public key",
                     "give the private key that belongs to it (the same name, without .pub)");
    }
    /* openssl writes attributes ("Bag Attributes") or comments before the key. */
    if (has_zero_byte(s) || !memmem(s.p, s.n, "-----BEGIN ", 11) ||
        !memmem(s.p, s.n, "PRIVATE KEY-----", 16))
        return wrong(err, path, "is not a private key",
                     "give the .pem file that EC2 gave you, or a key made by ssh-keygen");
    return memmem(s.p, s.n, "-----BEGIN OPENSSH PRIVATE KEY-----", 35) ? KEYFILE_OPENSSH
                                                                       : KEYFILE_PEM;
}

bool keyfile_take_string(struct str *rest, struct str *out)
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

/* OpenSSH's PROTOCOL.key: magic, cipher, kdf, kdf options, number of keys, public key, private
 * part. */
bool keyfile_openssh_parts(struct str text, struct buf *raw, struct str *public,
                           struct str *private)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    static const char magic[] = "openssh-key-v1"; /* its NUL belongs to it */
    const char *from = memmem(text.p, text.n, begin, sizeof begin - 1);
    if (!from)
        return false;
    from += sizeof begin - 1;
    size_t left = text.n - (size_t)(from - text.p);
    const char *to = memmem(from, left, "-----END", 8);
    if (!to || !digest_unbase64((struct str){from, (size_t)(to - from)}, raw))
        return false;
    if (raw->len <= sizeof magic || memcmp(raw->data, magic, sizeof magic) != 0)
        return false;
    struct str rest = {raw->data + sizeof magic, raw->len - sizeof magic}, part;
    for (int i = 0; i < 3; i++)
        if (!keyfile_take_string(&rest, &part))
            return false;
    if (rest.n < 4)
        return false;
    rest.p += 4;
    rest.n -= 4;
    return keyfile_take_string(&rest, public) && public->n > 0 &&
           keyfile_take_string(&rest, private);
}

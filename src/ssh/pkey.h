/* Keys as libcrypto sees them, where libssh has no way to ask. Private to this room. */
#ifndef FLAMBE_SSH_PKEY_H
#define FLAMBE_SSH_PKEY_H

#include "base/buf.h"
#include "base/str.h"
#include <openssl/evp.h>

/* The private key in a PEM text, or NULL: encrypted, damaged, unknown. */
EVP_PKEY *pkey_of_pem(struct str text);
/* The RSA private key in an OpenSSH private key file, or NULL: encrypted, of another type. */
EVP_PKEY *pkey_of_openssh_rsa(struct str text);
/* The public key of a raw "ssh-rsa" blob (RFC 4253 6.6), or NULL. */
EVP_PKEY *pkey_of_rsa_blob(struct str blob);
/* Appends an OpenSSH private key file with the ED25519 key; false where it is of another type. */
bool pkey_ed25519_to_openssh(EVP_PKEY *pkey, struct buf *out);

#endif

/* What a file that ought to be a private key is. Private to this room. */
#ifndef FLAMBE_SSH_KEYFILE_H
#define FLAMBE_SSH_KEYFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>

enum keyfile_kind {
    KEYFILE_PEM,     /* "-----BEGIN … PRIVATE KEY-----" */
    KEYFILE_OPENSSH, /* "-----BEGIN OPENSSH PRIVATE KEY-----" */
    KEYFILE_WRONG,   /* err says what it is and what to type */
};

/* Judges by the first line that says something. */
enum keyfile_kind keyfile_kind(const char *path, struct str text, struct err *err);
/* Decodes an OpenSSH private key file into `raw` (a secret: the caller wipes it, in every case) and
 * points out its public key, which stands there in clear even where the private part is encrypted,
 * and the private part. False if malformed. */
bool keyfile_openssh_parts(struct str text, struct buf *raw, struct str *public,
                           struct str *private) MUST_CHECK;
/* Cuts a string with a 32-bit length before it (RFC 4251 section 5) off *rest. */
bool keyfile_take_string(struct str *rest, struct str *out) MUST_CHECK;

#endif

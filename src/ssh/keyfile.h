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
/* The public key inside an OpenSSH private key file, which stands there in clear even where the
 * private part is encrypted. False if malformed. */
bool keyfile_openssh_public(struct str text, struct buf *blob);

#endif

/* The user's key as the sessions see it. Private to this room. */
#ifndef FLAMBE_SSH_IDENTITY_H
#define FLAMBE_SSH_IDENTITY_H

#include "base/buf.h"
#include "ssh/ssh.h"
#include <libssh/libssh.h>

struct ssh_identity {
    ssh_key key;        /* the private key; NULL where an agent holds it */
    char *public_line;  /* "TYPE BASE64" */
    struct buf blob;    /* the public key, raw */
    char *agent_path;   /* or NULL */
    char *sha1_private; /* lower-case hex, no colons; NULL where unknown (RSA in an agent) */
    char *md5_spki;     /* RSA: of the DER SubjectPublicKeyInfo */
    char *md5_blob;     /* RSA: of the raw public key (RFC 4716 section 4) */
    char *sha256;       /* "SHA256:…" */
};

#endif

/* Public keys: reading, comparing, naming them; and new key pairs. Private to this room. */
#ifndef FLAMBE_SSH_HOSTKEY_H
#define FLAMBE_SSH_HOSTKEY_H

#include "ssh/ssh.h"
#include <libssh/libssh.h>

/* An RSA key of 16384 bits takes 2.8 KB; the rest is the comment. */
#define SSH_PUBLIC_LINE_MAX ((size_t)16 << 10)

/* The pins of one host: what it may show. */
struct pins {
    char **lines; /* "TYPE BASE64" */
    ssh_key *keys;
    size_t count;
};

/* Copies the lines. ERR_HOST_KEY where there is none, or where one is malformed. */
int pins_init(struct pins *p, const char *const *lines, size_t count, struct err *err) MUST_CHECK;
void pins_done(struct pins *p);
/* Appends the host key algorithms to ask for: those of the pinned types first, so that the host
 * shows the pinned key if it has it; then all others, so that a host without it shows what it has
 * and the error can name that. What is shown is compared in every case. */
void pins_algorithms(const struct pins *p, struct buf *out);
bool pins_have(const struct pins *p, ssh_key shown);
/* Appends the fingerprints: "SHA256:… (ED25519) or SHA256:… (RSA)". */
void pins_text(const struct pins *p, struct buf *out);

/* Parses "TYPE BASE64[ COMMENT]"; NULL if malformed or of no type known here. ssh_key_free() it. */
ssh_key public_line_parse(struct str line);
/* "TYPE BASE64" of a key; the caller frees; NULL if libssh cannot. */
char *public_line_of(ssh_key key);
/* Of a raw key blob (RFC 4253 6.6), as the agent and key files hold it; NULL if malformed. */
char *public_line_of_blob(struct str blob);
/* "ED25519", "RSA", as ssh-keygen names them. */
const char *public_type_name(ssh_key key);

#endif

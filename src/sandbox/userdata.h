/* What the sandbox itself reads from an instance's user data, for hosts without cloud-init.
 *
 * Booted hosts run the real cloud-init. Light hosts and ghosts get from the first `#cloud-config`
 * of the user data (plain, gzip is not undone; or a part of a MIME multipart message) the keys
 * `ssh_keys` (ed25519 only) and `ssh_authorized_keys`; nothing else of it is carried out: no
 * bootcmd, no runcmd, no write_files. */
#ifndef FLAMBE_SANDBOX_USERDATA_H
#define FLAMBE_SANDBOX_USERDATA_H

#include "base/secret.h"
#include "base/str.h"

struct userdata {
    struct secret *host_key_private; /* an OpenSSH private key file, or NULL */
    char *host_key_public;           /* "ssh-ed25519 AAAA… comment", or NULL */
    struct strv authorized_keys;
};

#define USERDATA_KEYS_MAX 100

/* User data that is no cloud-config, or no good YAML, has none of these: as cloud-init does, the
 * machine comes up without them. Fills all of *out, which the caller ends with userdata_done. */
void userdata_read(struct str user_data, struct userdata *out);
void userdata_done(struct userdata *u);

#endif

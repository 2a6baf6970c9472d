/* How the user's own ssh and rsync reach a host: with the cluster's pins and nothing else, and with
 * its key and port. */
#ifndef FLAMBE_SSH_OPENSSH_H
#define FLAMBE_SSH_OPENSSH_H

#include "base/str.h"
#include "ssh/ssh.h"

struct openssh_trust {
    const char *known_hosts; /* the file of the pins */
    const char *alias;       /* the host's name there */
    const char *key;         /* the private key's file */
};

/* Appends ssh's options; without the program's name, the port and the destination. */
void openssh_options(const struct openssh_trust *t, struct strv *out);
/* The same words with "-p PORT", as rsync's -e takes them; the caller frees. */
char *openssh_rsync_shell(const struct strv *options, int port);
/* "user@address:path", as rsync and scp name a place; the caller frees. */
char *openssh_place(const struct ssh_target *t, const char *path);
/* A path of this machine, as rsync and scp take it: never an option, never a host's. */
char *openssh_local(const char *path);

#endif

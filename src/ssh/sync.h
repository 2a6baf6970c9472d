/* Files between this machine and a host, carried by the user's own rsync over the user's own ssh,
 * with pinned host keys (openssh.h). What is the same already is not sent again.
 *
 * Permissions to read, write and execute are kept, owners are not. Names are bytes: no shell is
 * between, on either side (rsync -s). A symbolic link is kept as a link where it stays within what
 * is carried; one that leads out of it, or is absolute, is left out (rsync --safe-links), so that
 * nothing there can point at a host's own files, and no host at this machine's. Pipes, sockets and
 * devices are left out too. */
#ifndef FLAMBE_SSH_SYNC_H
#define FLAMBE_SSH_SYNC_H

#include "base/str.h"
#include "ssh/ssh.h"

#define SYNC_NAMES_MAX ((size_t)64 << 20) /* bytes of `names` */

struct sync_progress {
    uint64_t bytes; /* carried so far, as they are at the source */
    int percent;    /* of all bytes that are known by now */
    uint64_t files; /* carried so far */
};

struct sync_request {
    const struct ssh_target *target;
    const struct strv *options; /* of ssh: openssh_options() */
    bool upload;
    const char *local, *remote;
    /* A file is carried into the directory at the other side; of a directory that which is in it,
     * so that both sides are the same directory. */
    bool is_file;
    /* Only these: paths below the source directory, each with a NUL behind it. `p` NULL: all. */
    struct str names;
    /* What else there is in the source directory, as far as it is known, in the same form, a
     * directory as a whole: rsync reads few of these much faster than many names. */
    struct str rest;
    bool delete_gone;           /* what the source has no more; not with names */
    bool partial;               /* what is cut off is gone on with at the next time */
    const char *const *exclude; /* rsync's patterns, NULL-terminated; or NULL */
    void (*progress)(void *ctx, const struct sync_progress *p); /* may be NULL */
    void *ctx;
};

struct sync_result {
    uint64_t files, bytes; /* that were carried: new or changed */
    uint64_t wire;         /* bytes over the connection, both ways */
    uint64_t special;      /* pipes, sockets and devices, left out; rsync does not tell of links */
    bool vanished;         /* some went away while they were carried */
};

/* The directory at the other side is there already, but for its last part. Ctrl-C ends the child
 * (ERR_CANCELLED). ERR_NOT_FOUND where a side has no rsync, with what to type; ERR_UNREACHABLE,
 * ERR_HOST_KEY and ERR_AUTH as of a session; ERR_REMOTE where the host's disk is full or its
 * directory cannot be written, ERR_IO where this machine's; ERR_PARTIAL where some could not be
 * carried. */
int sync_run(struct loop *loop, const struct sync_request *r, struct sync_result *out,
             struct err *err) MUST_CHECK;

/* For tests. */
bool sync_read_progress(struct str line, struct sync_progress *out);
void sync_explain(const struct sync_request *r, int status, struct str said, struct err *err);

#endif

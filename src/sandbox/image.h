/* The image ("AMI") that booted and light hosts are overlays on: Debian with cloud-init and sshd.
 *
 * Built once by mmdebstrap from the machine's own apt sources, about a minute; it then lies in the
 * cache directory and needs no network. A newer IMAGE_VERSION makes a new one beside the old. */
#ifndef FLAMBE_SANDBOX_IMAGE_H
#define FLAMBE_SANDBOX_IMAGE_H

#include "base/err.h"
#include "os/loop.h"

#define IMAGE_VERSION "2"

struct image {
    char *root;  /* the lower layer of every host */
    char *light; /* a second layer above it for light hosts: an init that is sshd alone */
};

struct image_options {
    struct loop *loop;
    const char *cache_dir;
    void (*progress)(void *ctx, const char *line); /* or NULL */
    void *progress_ctx;
};

/* Waits on the loop; another process that builds the same image is waited for. ERR_NOT_FOUND
 * without mmdebstrap, ERR_UNREACHABLE where the packages cannot be had: with what to type. */
int image_ensure(const struct image_options *o, struct image *out, struct err *err) MUST_CHECK;
void image_done(struct image *i);

#endif

/* The image's own files, apart from its packages. Private to image*.c. */
#ifndef FLAMBE_SANDBOX_IMAGE_PRIV_H
#define FLAMBE_SANDBOX_IMAGE_PRIV_H

#include "base/buf.h"
#include "sandbox/image.h"
#include <stddef.h>
#include <sys/types.h>

struct image_file {
    const char *path; /* below the layer's root; its directories are made */
    mode_t mode;
    const char *text; /* NULL: the path is removed instead */
    const char *link; /* or a symbolic link to this */
};

extern const struct image_file image_root_files[], image_light_files[]; /* path NULL ends them */
extern const char image_packages[]; /* comma-separated, for mmdebstrap */

/* cloud-init knows EC2 by /sys/hypervisor/uuid, which a container cannot have; in the image its Ec2
 * data source looks for the same file here. Without it cloud-init would take our metadata service
 * for a stranger's and speak IMDSv1 alone. */
#define IMAGE_EC2_SOURCE "usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
#define IMAGE_UUID_FROM "\"/sys/hypervisor/uuid\""
#define IMAGE_UUID_TO "\"/etc/hypervisor-uuid\""
/* Where an orchestrator has its TensorBoard: cluster/equip_parts.c's EQUIP_TENSORBOARD. */
#define IMAGE_TENSORBOARD "/opt/flambe/tensorboard"
#define IMAGE_SYSTEMCTL "usr/lib/light-host/systemctl"

struct build {
    const struct image_options *o;
    char *dir; /* the temporary one */
    bool done;
    int exit_status;
    struct buf output; /* the last program's; its tail */
};

/* Runs a program to its end with its lines as progress; a cancelled wait kills it. Fails only where
 * it did not end: see exit_status. */
int image_run(struct build *b, const char *const *argv, struct err *err) MUST_CHECK;
/* Without pip or an index this says so and succeeds. */
int image_add_tensorboard(struct build *b, const char *root, struct err *err) MUST_CHECK;

#endif

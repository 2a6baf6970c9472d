/* The image's own files, apart from its packages. Private to image*.c. */
#ifndef FLAMBE_SANDBOX_IMAGE_PRIV_H
#define FLAMBE_SANDBOX_IMAGE_PRIV_H

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
#define IMAGE_SYSTEMCTL "usr/lib/light-host/systemctl"

#endif

/* Instance types and public images. The types' numbers are those of EC2's instance type pages and
 * of DescribeInstanceTypes; the images' ids and snapshots are the sandbox's own, the same in every
 * account, so that a file that names one keeps working after a reset. */
#include "sandbox/catalog.h"
#include "base/attr.h"
#include <string.h>

#define X86 "x86_64"
#define ARM "arm64"
#define CPU(name, vcpus, cores, gib, arch, current, burst, ghz, net, eni, ips)                  \
    {                                                                                           \
        name, vcpus, cores, (int64_t)((gib)*1024), arch, current, burst, 0, NULL, NULL, 0, ghz, \
            net, "nitro", eni, ips                                                              \
    }
#define GPU(name, vcpus, cores, gib, n, model, mib, ghz, net, hypervisor, eni, ips)                \
    {                                                                                              \
        name, vcpus, cores, (int64_t)((gib)*1024), X86, true, false, n, "NVIDIA", model, mib, ghz, \
            net, hypervisor, eni, ips                                                              \
    }

const struct catalog_type catalog_types[] = {
    {"t2.micro", 1, 1, 1024, X86, false, true, 0, NULL, NULL, 0, 2.5, "Low to Moderate", "xen", 2,
     2},
    CPU("t3.nano", 2, 1, 0.5, X86, true, true, 2.5, "Up to 5 Gigabit", 2, 2),
    CPU("t3.micro", 2, 1, 1, X86, true, true, 2.5, "Up to 5 Gigabit", 2, 2),
    CPU("t3.small", 2, 1, 2, X86, true, true, 2.5, "Up to 5 Gigabit", 3, 4),
    CPU("t3.medium", 2, 1, 4, X86, true, true, 2.5, "Up to 5 Gigabit", 3, 6),
    CPU("t3.large", 2, 1, 8, X86, true, true, 2.5, "Up to 5 Gigabit", 3, 12),
    CPU("t3.xlarge", 4, 2, 16, X86, true, true, 2.5, "Up to 5 Gigabit", 4, 15),
    CPU("t3.2xlarge", 8, 4, 32, X86, true, true, 2.5, "Up to 5 Gigabit", 4, 15),
    CPU("t3a.micro", 2, 1, 1, X86, true, true, 2.2, "Up to 5 Gigabit", 2, 2),
    CPU("t3a.medium", 2, 1, 4, X86, true, true, 2.2, "Up to 5 Gigabit", 3, 6),
    CPU("t4g.micro", 2, 2, 1, ARM, true, true, 2.5, "Up to 5 Gigabit", 2, 2),
    CPU("t4g.medium", 2, 2, 4, ARM, true, true, 2.5, "Up to 5 Gigabit", 3, 6),
    CPU("m4.large", 2, 1, 8, X86, false, false, 2.4, "Moderate", 2, 10),
    CPU("m5.large", 2, 1, 8, X86, true, false, 3.1, "Up to 10 Gigabit", 3, 10),
    CPU("m5.xlarge", 4, 2, 16, X86, true, false, 3.1, "Up to 10 Gigabit", 4, 15),
    CPU("m5.2xlarge", 8, 4, 32, X86, true, false, 3.1, "Up to 10 Gigabit", 4, 15),
    CPU("m5.4xlarge", 16, 8, 64, X86, true, false, 3.1, "Up to 10 Gigabit", 8, 30),
    CPU("m5.24xlarge", 96, 48, 384, X86, true, false, 3.1, "25 Gigabit", 15, 50),
    CPU("m6i.large", 2, 1, 8, X86, true, false, 3.5, "Up to 12.5 Gigabit", 3, 10),
    CPU("m6i.xlarge", 4, 2, 16, X86, true, false, 3.5, "Up to 12.5 Gigabit", 4, 15),
    CPU("m7g.large", 2, 2, 8, ARM, true, false, 2.6, "Up to 12.5 Gigabit", 3, 10),
    CPU("c5.large", 2, 1, 4, X86, true, false, 3.4, "Up to 10 Gigabit", 3, 10),
    CPU("c5.xlarge", 4, 2, 8, X86, true, false, 3.4, "Up to 10 Gigabit", 4, 15),
    CPU("c5.2xlarge", 8, 4, 16, X86, true, false, 3.4, "Up to 10 Gigabit", 4, 15),
    CPU("c5.4xlarge", 16, 8, 32, X86, true, false, 3.4, "Up to 10 Gigabit", 8, 30),
    CPU("c6i.large", 2, 1, 4, X86, true, false, 3.5, "Up to 12.5 Gigabit", 3, 10),
    CPU("c6i.4xlarge", 16, 8, 32, X86, true, false, 3.5, "Up to 12.5 Gigabit", 8, 30),
    CPU("c7g.large", 2, 2, 4, ARM, true, false, 2.6, "Up to 12.5 Gigabit", 3, 10),
    CPU("r5.large", 2, 1, 16, X86, true, false, 3.1, "Up to 10 Gigabit", 3, 10),
    CPU("r5.2xlarge", 8, 4, 64, X86, true, false, 3.1, "Up to 10 Gigabit", 4, 15),
    GPU("g4dn.xlarge", 4, 2, 16, 1, "T4", 16384, 2.5, "Up to 25 Gigabit", "nitro", 3, 10),
    GPU("g4dn.12xlarge", 48, 24, 192, 4, "T4", 16384, 2.5, "50 Gigabit", "nitro", 8, 30),
    GPU("g5.xlarge", 4, 2, 16, 1, "A10G", 24576, 3.3, "Up to 10 Gigabit", "nitro", 4, 15),
    GPU("g5.12xlarge", 48, 24, 192, 4, "A10G", 24576, 3.3, "40 Gigabit", "nitro", 15, 50),
    GPU("p3.2xlarge", 8, 4, 61, 1, "V100", 16384, 2.7, "Up to 10 Gigabit", "xen", 4, 15),
    GPU("p3.8xlarge", 32, 16, 244, 4, "V100", 16384, 2.7, "10 Gigabit", "xen", 8, 30),
    GPU("p4d.24xlarge", 96, 48, 1152, 8, "A100", 40960, 3.0, "4x 100 Gigabit", "nitro", 60, 50),
};
const size_t catalog_type_count = COUNT_OF(catalog_types);

#define CANONICAL "099720109477"
#define DEBIAN "136693071363"
#define DEEP_LEARNING "898082745236"
#define UBUNTU_PARAMETER(release, arch, volume)                                                \
    "/aws/service/canonical/ubuntu/server/" release "/stable/current/" arch "/hvm/ebs-" volume \
    "/ami-id"
#define DEEP_LEARNING_PARAMETER(os) \
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-" os "/latest/ami-id"

const struct catalog_image catalog_images[] = {
    {"ami-02204a6d36f1a0001",
     "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20260615",
     "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
     X86,
     CANONICAL,
     NULL,
     "/dev/sda1",
     "snap-02204a6d36f1a0001",
     "2026-06-15T08:11:02.000Z",
     "ubuntu",
     8,
     {UBUNTU_PARAMETER("22.04", "amd64", "gp2")}},
    {"ami-02204a264f1a00002",
     "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20260615",
     "Canonical, Ubuntu, 22.04 LTS, arm64 jammy image",
     ARM,
     CANONICAL,
     NULL,
     "/dev/sda1",
     "snap-02204a264f1a00002",
     "2026-06-15T08:13:40.000Z",
     "ubuntu",
     8,
     {UBUNTU_PARAMETER("22.04", "arm64", "gp2")}},
    {"ami-02404a6d36f1a0003",
     "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260618",
     "Canonical, Ubuntu, 24.04, amd64 noble image",
     X86,
     CANONICAL,
     NULL,
     "/dev/sda1",
     "snap-02404a6d36f1a0003",
     "2026-06-18T03:52:17.000Z",
     "ubuntu",
     8,
     {UBUNTU_PARAMETER("24.04", "amd64", "gp3")}},
    {"ami-02404a264f1a00004",
     "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20260618",
     "Canonical, Ubuntu, 24.04, arm64 noble image",
     ARM,
     CANONICAL,
     NULL,
     "/dev/sda1",
     "snap-02404a264f1a00004",
     "2026-06-18T03:55:09.000Z",
     "ubuntu",
     8,
     {UBUNTU_PARAMETER("24.04", "arm64", "gp3")}},
    {"ami-0deb12a6d36f10005",
     "debian-12-amd64-20260601-2134",
     "Debian 12 (20260601-2134)",
     X86,
     DEBIAN,
     NULL,
     "/dev/xvda",
     "snap-0deb12a6d36f10005",
     "2026-06-01T21:40:11.000Z",
     "admin",
     8,
     {"/aws/service/debian/release/12/latest/amd64"}},
    {"ami-0deb12a264f100006",
     "debian-12-arm64-20260601-2134",
     "Debian 12 (20260601-2134)",
     ARM,
     DEBIAN,
     NULL,
     "/dev/xvda",
     "snap-0deb12a264f100006",
     "2026-06-01T21:41:53.000Z",
     "admin",
     8,
     {"/aws/service/debian/release/12/latest/arm64"}},
    {"ami-0d1240497a6d30007",
     "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20260610",
     "Supported EC2 instances: G4dn, G5, P4d. Release notes: "
     "https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html",
     X86,
     DEEP_LEARNING,
     "amazon",
     "/dev/sda1",
     "snap-0d1240497a6d30007",
     "2026-06-10T17:20:45.000Z",
     "ubuntu",
     35,
     {DEEP_LEARNING_PARAMETER("ubuntu-24.04")}},
    {"ami-0d1220497a6d30008",
     "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20260610",
     "Supported EC2 instances: G4dn, G5, P4d. Release notes: "
     "https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html",
     X86,
     DEEP_LEARNING,
     "amazon",
     "/dev/sda1",
     "snap-0d1220497a6d30008",
     "2026-06-10T17:24:31.000Z",
     "ubuntu",
     35,
     {DEEP_LEARNING_PARAMETER("ubuntu-22.04")}},
};
const size_t catalog_image_count = COUNT_OF(catalog_images);

const struct catalog_type *catalog_type(const char *name)
{
    for (size_t i = 0; i < catalog_type_count; i++) {
        if (strcmp(catalog_types[i].name, name) == 0)
            return &catalog_types[i];
    }
    return NULL;
}

const char *catalog_parameter(const char *name)
{
    for (size_t i = 0; i < catalog_image_count; i++) {
        const struct catalog_image *c = &catalog_images[i];
        for (size_t k = 0; k < COUNT_OF(c->parameters) && c->parameters[k]; k++) {
            if (strcmp(c->parameters[k], name) == 0)
                return c->id;
        }
    }
    return NULL;
}

/* What EC2 sells everywhere, as far as the sandbox knows it: instance types, and public images. */
#ifndef FLAMBE_SANDBOX_CATALOG_H
#define FLAMBE_SANDBOX_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog_type {
    const char *name;
    int vcpus, cores;
    int64_t memory_mib;
    const char *architecture; /* "x86_64", "arm64" */
    bool current_generation, burstable;
    int gpus;
    const char *gpu_maker, *gpu_name;
    int gpu_mib; /* each */
    double clock_ghz;
    const char *network;       /* "Up to 5 Gigabit" */
    const char *hypervisor;    /* "nitro" or "xen" */
    int interfaces, addresses; /* at most; addresses an interface */
};
extern const struct catalog_type catalog_types[];
extern const size_t catalog_type_count;
const struct catalog_type *catalog_type(const char *name); /* NULL if there is none */

struct catalog_image {
    const char *id, *name, *description, *architecture, *owner, *owner_alias, *root_device,
        *snapshot_id, *created, *user;
    int root_gb;
    const char *parameters[2]; /* its public SSM names; NULL where there is no more */
};
extern const struct catalog_image catalog_images[];
extern const size_t catalog_image_count;
/* The image's id under a public SSM parameter's name, or NULL: what ssm.c answers. */
const char *catalog_parameter(const char *name);

#endif

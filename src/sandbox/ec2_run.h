/* A RunInstances request, read and proven: between ec2_run_read.c and ec2_run.c. */
#ifndef FLAMBE_SANDBOX_EC2_RUN_H
#define FLAMBE_SANDBOX_EC2_RUN_H

#include "sandbox/ec2_priv.h"

/* Strings without "owned" are the request's. */
struct run {
    const struct catalog_image *image;
    const struct catalog_type *type;
    int64_t min, max, count; /* count: what it comes to */
    struct world_subnet *subnet;
    bool zone_is_free; /* the request names neither subnet nor zone */
    struct strv groups;
    bool public_ip;
    const char *private_ip, *interface_description;
    const char *key_name, *token, *tenancy, *placement_group;
    char *iam_profile; /* owned */
    struct buf user_data;
    struct vec devices; /* of struct device */
    bool terminate_on_shutdown, protected_from_termination, monitored, ebs_optimized;
    bool tokens_required, metadata_off, tags_in_metadata;
    int hop_limit;
    bool spot;
    const char *spot_max_price;
    struct tag_list instance_tags, volume_tags, interface_tags, spot_tags;
    struct fault_launch fault;
};
#define AUTO_RUN CLEANUP(run_done)
void run_done(struct run *run);
bool run_read(struct world *w, const struct api_request *q, struct api_reply *r, struct run *run);

#endif

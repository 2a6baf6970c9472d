/* The EC2 calls that flambe makes (API version 2016-11-15), as futures; see aws.h.
 * Results own their strings; a string that the answer lacks is NULL. */
#ifndef FLAMBE_AWS_EC2_H
#define FLAMBE_AWS_EC2_H

#include "aws/aws.h"
#include "base/buf.h"

struct ec2_tag {
    char *key, *value;
};

/* name = one of the values; several filters are all to hold. */
struct ec2_filter {
    const char *name;
    const char *const *values;
    size_t count;
};
#define EC2_FILTER(n, ...)                                             \
    ((struct ec2_filter){.name = (n),                                  \
                         .values = (const char *const[]){__VA_ARGS__}, \
                         .count = COUNT_OF(((const char *const[]){__VA_ARGS__}))})

enum ec2_state { /* InstanceState's low byte: 0 pending … 80 stopped */
                 EC2_PENDING,
                 EC2_RUNNING,
                 EC2_SHUTTING_DOWN,
                 EC2_TERMINATED,
                 EC2_STOPPING,
                 EC2_STOPPED,
                 EC2_STATE_UNKNOWN,
};
const char *ec2_state_name(enum ec2_state s);

struct ec2_instance {
    char *id, *type, *image_id, *key_name, *subnet_id, *vpc_id, *zone, *client_token;
    char *public_ip, *private_ip, *public_dns, *private_dns;
    char *state_reason; /* "Client.UserInitiatedShutdown: …" */
    char *lifecycle;    /* "spot", or NULL */
    enum ec2_state state;
    usec_t launched;  /* wall time */
    int launch_index; /* AmiLaunchIndex: its place in its RunInstances call, from 0 */
    struct ec2_tag *tags;
    size_t tag_count;
    struct strv security_groups; /* ids */
};
const char *ec2_tag_value(const struct ec2_tag *tags, size_t count, const char *key);

struct ec2_instances {
    struct ec2_instance *items;
    size_t count, cap;
};
void ec2_instances_done(struct ec2_instances *l);

/* All pages, MaxResults 1000. */
struct aws_call *ec2_describe_instances(struct aws *aws, const struct ec2_filter *filters,
                                        size_t count);
int ec2_describe_instances_end(struct aws_call *c, struct ec2_instances *out,
                               struct err *err) MUST_CHECK;

struct ec2_run {
    const char *image_id, *type, *key_name, *subnet_id;
    const char *const *security_group_ids;
    size_t security_group_count;
    const char *client_token; /* up to 64 ASCII characters */
    int min_count, max_count;
    struct str user_data;       /* raw, up to 16 KB; encoded here */
    const struct ec2_tag *tags; /* put on the instances and their volumes */
    size_t tag_count;
    const char *root_device; /* from the image: "/dev/sda1" */
    int volume_gb;
    const char *volume_type; /* "gp3" */
    int volume_iops;         /* 0: the type's default */
    bool dedicated;          /* Placement.Tenancy=dedicated */
    bool public_ip;          /* AssociatePublicIpAddress=true, by a network interface */
    bool dry_run;
};
/* The parameters as the body that is sent, without credentials: what the journal keeps, so that the
 * same launch can be asked for again with the same client token. The volume is encrypted, IMDSv2
 * required, and a shutdown from inside terminates. */
void ec2_run_encode(const struct ec2_run *r, struct buf *body);
struct aws_call *ec2_run_instances(struct aws *aws, struct str body);
/* *out: what was launched. Codes: ERR_CAPACITY, ERR_QUOTA, ERR_PERMISSION, ERR_NOT_FOUND…;
 * err->origin keeps EC2's own. */
int ec2_run_instances_end(struct aws_call *c, struct ec2_instances *out,
                          struct err *err) MUST_CHECK;

/* Any number (split by 1000). Ids that no longer exist are left out and the rest is tried again. */
struct aws_call *ec2_terminate_instances(struct aws *aws, const char *const *ids, size_t count);
int ec2_terminate_instances_end(struct aws_call *c, struct err *err) MUST_CHECK;
struct aws_call *ec2_start_instances(struct aws *aws, const char *const *ids, size_t count);
int ec2_start_instances_end(struct aws_call *c, struct err *err) MUST_CHECK;

struct ec2_image {
    char *id, *name, *architecture, *root_device, *state;
    int root_gb; /* the snapshot's size */
};
struct ec2_images {
    struct ec2_image *items;
    size_t count, cap;
};
struct aws_call *ec2_describe_images(struct aws *aws, const char *const *ids, size_t count);
int ec2_describe_images_end(struct aws_call *c, struct ec2_images *out, struct err *err) MUST_CHECK;
void ec2_images_done(struct ec2_images *l);

struct ec2_instance_type {
    char *name;
    char *architecture; /* the first supported: "x86_64" or "arm64" */
    int vcpus;
    int64_t memory_mib;
    int gpus;
    char *gpu_name; /* or NULL */
    bool current_generation;
};
struct ec2_instance_types {
    struct ec2_instance_type *items;
    size_t count, cap;
};
/* By name; a name that does not exist fails with ERR_NOT_FOUND (origin InvalidInstanceType). */
struct aws_call *ec2_describe_instance_types(struct aws *aws, const char *const *names,
                                             size_t count);
int ec2_describe_instance_types_end(struct aws_call *c, struct ec2_instance_types *out,
                                    struct err *err) MUST_CHECK;
void ec2_instance_types_done(struct ec2_instance_types *l);

struct ec2_subnet {
    char *id, *vpc_id, *zone, *state, *cidr;
    int free_addresses;
    bool maps_public_ip;
};
struct ec2_subnets {
    struct ec2_subnet *items;
    size_t count, cap;
};
struct aws_call *ec2_describe_subnets(struct aws *aws, const struct ec2_filter *filters,
                                      size_t count);
int ec2_describe_subnets_end(struct aws_call *c, struct ec2_subnets *out,
                             struct err *err) MUST_CHECK;
void ec2_subnets_done(struct ec2_subnets *l);

struct ec2_ip_permission {
    char *protocol;         /* "tcp", or "-1" for all */
    int from_port, to_port; /* -1 where there is none */
    struct strv cidrs;      /* IPv4 and IPv6 */
    struct strv group_ids;
};
struct ec2_security_group {
    char *id, *name, *vpc_id;
    struct ec2_ip_permission *ingress;
    size_t ingress_count;
};
struct ec2_security_groups {
    struct ec2_security_group *items;
    size_t count, cap;
};
struct aws_call *ec2_describe_security_groups(struct aws *aws, const struct ec2_filter *filters,
                                              size_t count);
int ec2_describe_security_groups_end(struct aws_call *c, struct ec2_security_groups *out,
                                     struct err *err) MUST_CHECK;
void ec2_security_groups_done(struct ec2_security_groups *l);

struct ec2_key_pair {
    char *name, *fingerprint, *type, *public_key; /* the OpenSSH line */
};
struct ec2_key_pairs {
    struct ec2_key_pair *items;
    size_t count, cap;
};
struct aws_call *ec2_describe_key_pairs(struct aws *aws, const struct ec2_filter *filters,
                                        size_t count);
int ec2_describe_key_pairs_end(struct aws_call *c, struct ec2_key_pairs *out,
                               struct err *err) MUST_CHECK;
void ec2_key_pairs_done(struct ec2_key_pairs *l);

struct ec2_volume {
    char *id, *state, *instance_id;
    int gb;
};
struct ec2_volumes {
    struct ec2_volume *items;
    size_t count, cap;
};
struct aws_call *ec2_describe_volumes(struct aws *aws, const struct ec2_filter *filters,
                                      size_t count);
int ec2_describe_volumes_end(struct aws_call *c, struct ec2_volumes *out,
                             struct err *err) MUST_CHECK;
void ec2_volumes_done(struct ec2_volumes *l);

/* Names of all regions that the account may use. */
struct aws_call *ec2_describe_regions(struct aws *aws);
int ec2_describe_regions_end(struct aws_call *c, struct strv *names, struct err *err) MUST_CHECK;

/* Instance-level scheduled events and status checks: for `status`. */
struct aws_call *ec2_get_console_output(struct aws *aws, const char *instance_id, bool latest);
int ec2_get_console_output_end(struct aws_call *c, struct buf *out, struct err *err) MUST_CHECK;

#endif

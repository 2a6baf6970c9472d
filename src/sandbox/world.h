/* The sandbox's account: everything that EC2 would remember, and the hosts behind it.
 *
 * One single-threaded owner; saved to one JSON file after each change, atomically, so that it
 * survives a restart and a kill. Time comes from the injected clock; state changes that take time
 * (pending to running) happen in world_advance(), called by a timer and before each request. */
#ifndef FLAMBE_SANDBOX_WORLD_H
#define FLAMBE_SANDBOX_WORLD_H

#include "sandbox/api.h"
#include "sandbox/hosts.h"

struct world_options {
    struct loop *loop;
    const struct clock *clock;
    const char *region;                   /* "us-east-1" */
    const char *account;                  /* "123456789012" */
    const char *network, *public_network; /* CIDRs, as in host_options */
    enum host_kind kind;                  /* of the hosts that RunInstances makes from now on */
    struct host_driver driver;
    struct faults *faults;
    const char *user_public_key; /* of the seeded key pair "flambe-key" */
    int ssh_port;                /* that the seeded group opens beside 22; 0: none */
    /* delays, settable while it runs (world_set) */
    usec_t visible_after;       /* RunInstances to DescribeInstances showing it */
    usec_t pending_for;         /* launch to running */
    usec_t stopping_for;        /* shutting-down to terminated, stopping to stopped */
    void (*changed)(void *ctx); /* the world should be saved soon (a host ended by itself) */
    void *changed_ctx;
};

/* Sets the three delays to their defaults. */
void world_default_delays(struct world_options *o);

/* A new account, seeded: VPC with DNS names, two public subnets in two zones, gateway, routes,
 * security group open to SSH, key pair, AMIs under their public SSM names. */
struct world *world_new(const struct world_options *o);
/* The same from world_save()'s JSON. Hosts that still run are adopted; EC2 keeps running what ran,
 * so a machine that this computer's reboot took is started again from its disk, and its instance
 * terminated (Server.InternalError) where the disk is gone too; one that ended without a reboot has
 * shut itself down. The saved delays win over those of the options. ERR_PARSE where it is no state
 * of ours: never silently begun anew. ERR_CONFLICT where it is of another region or network, or has
 * instances of another kind than o->kind. A world owns its driver; after a failure it is still the
 * caller's. */
int world_load(const struct world_options *o, const json_t *state, struct world **out,
               struct err *err) MUST_CHECK;
json_t *world_save(const struct world *w);
/* Ends the process's part: with keep_hosts the machines go on. */
void world_close(struct world *w, bool keep_hosts);
/* Pulls every machine's plug, as when this computer goes down: the instances stay what they are,
 * and the next world_load() of what is saved from now on boots their machines again. The caller
 * waits on the loop until none runs. */
void world_power_off(struct world *w);
bool world_any_host_runs(const struct world *w);

void world_advance(struct world *w);
usec_t world_next_change(const struct world *w); /* wall time, USEC_FOREVER if nothing is due */
/* "visible-after", "pending-for", "stopping-for" in seconds; "vcpu-quota" in vCPUs. */
int world_set(struct world *w, const char *name, double value, struct err *err) MUST_CHECK;

/* For the operator's commands and the metadata service. */
struct world_instance; /* world_priv.h */
struct world_instance *world_find(struct world *w, const char *instance_id_or_name);
struct world_instance *world_find_by_ip(struct world *w, const char *private_ip);
int world_kill(struct world *w, struct world_instance *i, struct err *err) MUST_CHECK;
int world_reclaim(struct world *w, struct world_instance *i, usec_t notice,
                  struct err *err) MUST_CHECK; /* a spot interruption */
int world_partition(struct world *w, struct world_instance *i, bool on, struct err *err) MUST_CHECK;
int world_freeze(struct world *w, struct world_instance *i, bool on, struct err *err) MUST_CHECK;
void world_console(struct world *w, const struct world_instance *i, struct buf *out);
json_t *world_status(const struct world *w); /* counts and instances, for `status` */

/* What the metadata service tells an instance about itself (imds.c asks). */
struct imds_facts {
    const char *instance_id, *type, *image_id, *zone, *region, *hostname, *private_ip, *public_ip,
        *public_hostname, *mac, *security_groups, *key_name, *public_key, *account, *subnet_id,
        *vpc_id;
    struct str user_data;
    bool tokens_required, tags_visible;
    const char *spot_action; /* JSON of spot/instance-action, or NULL */
    const struct api_tag {
        const char *key, *value;
    } * tags;
    size_t tag_count;
};
bool world_imds_facts(struct world *w, const char *private_ip, struct imds_facts *out);

#endif

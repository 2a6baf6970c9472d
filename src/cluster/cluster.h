/* A cluster, from its file to its hosts and back to nothing. The way of a request:
 *
 *   spec (the file) → observe (what EC2 has) → plan (a pure function of both, printable)
 *   → act (journals, then calls; idempotent) → contact (SSH: first contact, set-up) → ready
 *
 * Nothing here prints: progress goes to cluster_watch, results to the caller. */
#ifndef FLAMBE_CLUSTER_CLUSTER_H
#define FLAMBE_CLUSTER_CLUSTER_H

#include "aws/ec2.h"
#include "cluster/spec.h"
#include "ssh/ssh.h"

enum cluster_role { ROLE_ORCHESTRATOR, ROLE_FACTORY };
const char *cluster_role_name(enum cluster_role r); /* "Orchestrator", "Factory": the tag's value */

/* How far a host is. Set in one place (host.c), which reports each change to the watch. */
enum host_phase {
    HOST_PLANNED,       /* not asked for yet */
    HOST_LAUNCHING,     /* RunInstances is under way */
    HOST_PENDING,       /* EC2 has it, it has no address or does not run yet */
    HOST_RUNNING,       /* EC2 says that it runs; nobody has asked the host itself */
    HOST_BOOTING,       /* runs; SSH does not answer yet */
    HOST_FIRST_CONTACT, /* its host key is being replaced and pinned */
    HOST_SETTING_UP,    /* setup_cmds run */
    HOST_READY,
    HOST_FAILED,
    HOST_STOPPED,
    HOST_GOING, /* shutting down */
    HOST_GONE,
};
const char *host_phase_name(enum host_phase p); /* "booting" */

struct cluster_host {
    enum cluster_role role;
    int index; /* a factory's number, from 1; 0 for the orchestrator */
    /* "mine_factory_1". This is the Name tag too where the host was launched alone; hosts that one
     * call launched share the tag "mine_factory_1-20", since a call gives all its instances the
     * same tags, and a host's number is then the first one plus its launch index. */
    char *name;
    char *instance_id, *type, *zone, *public_ip, *private_ip; /* NULL while unknown */
    char *image_id, *subnet_id, *key_name;
    enum ec2_state state;
    usec_t launched; /* wall time, 0 while unknown */
    enum host_phase phase;
    usec_t phase_since; /* monotonic */
    char *note;         /* why it failed, the set-up line that runs; or NULL */
};

struct cluster_hosts {
    struct cluster_host *items; /* the orchestrators first, then factories by number */
    size_t count, cap;
};
void cluster_hosts_done(struct cluster_hosts *h);

struct cluster_watch {
    /* The host changed phase or note; `hosts` is the whole cluster as it stands. */
    void (*host)(void *ctx, const struct cluster_hosts *hosts, size_t index);
    /* One line about what is being done now: "launching 2 factories". */
    void (*step)(void *ctx, const char *text);
    void (*warn)(void *ctx, const char *text);
    void *ctx;
};

/* What cluster_equip() made of it. */
struct cluster_equipped {
    bool usable;      /* experiments can run */
    char why_not[96]; /* or why they cannot, "" */
    size_t nodes;     /* hosts that run trials, of `wanted` */
    size_t wanted;
    bool changed; /* something was done */
};

/* Zeroed, then filled by its owner up to `watch`. */
struct cluster {
    struct loop *loop;
    struct aws *aws;        /* NULL for machines that exist already: no AWS is asked about those */
    const char *state_root; /* fs_state_dir() */
    const char *cache_root; /* fs_cache_dir(), for prices; may be NULL */
    struct cluster_watch watch;
    int deadman_minutes; /* until a host that is not ready powers itself off; 0: DEADMAN_MINUTES */
    const char *node_program; /* flambe-node for the hosts, a file; NULL: none is delivered */
    usec_t boot_timeout; /* until a new host that does not answer is given up; 0: BOOT_TIMEOUT */
    struct cluster_equipped equipped; /* by the last cluster_up() */
    char seen[33];                    /* ours: which state of this laptop's records observe() saw */
};

#define DEADMAN_MINUTES 20 /* from boot to ready; set-up commands get SETUP_MINUTES on top */
#define BOOT_TIMEOUT (10 * USEC_PER_MIN)
#define SETUP_MINUTES 60 /* all setup_cmds of a host together */

/* Where a cluster's machines are, as records, plans and JSON have it: the AWS region, or "ssh". */
#define CLUSTER_REGION_SSH "ssh"
const char *cluster_region(const struct cluster *c);

/* ---- observe ------------------------------------------------------------------------------ */

/* One DescribeInstances by creator, Purpose and Cluster-Name; terminated ones are left out. Without
 * AWS: the machines of this laptop's record. */
int cluster_observe(struct cluster *c, const char *creator, const char *name,
                    struct cluster_hosts *out, struct err *err) MUST_CHECK;

/* The machines that the file of CLUSTER_SSH names. */
void cluster_hosts_of_spec(const struct cluster_spec *spec, struct cluster_hosts *out);

/* All clusters of this creator (NULL: of everyone) in the region, in one call. */
struct cluster_summary {
    char *name, *creator;
    struct cluster_hosts hosts;
};
struct cluster_list {
    struct cluster_summary *items;
    size_t count, cap;
};
int cluster_observe_all(struct cluster *c, const char *creator, struct cluster_list *out,
                        struct err *err) MUST_CHECK;
void cluster_list_done(struct cluster_list *l);

/* ---- plan --------------------------------------------------------------------------------- */

enum plan_verb {
    PLAN_KEEP,
    PLAN_CREATE,
    PLAN_START, /* one that is stopped */
    PLAN_WAIT,  /* for one that is stopping: it is started once it has stopped */
};

struct plan_step {
    enum plan_verb verb;
    enum cluster_role role;
    int index;
    char *instance_id; /* for KEEP, START and WAIT */
    char *type;
};

struct plan {
    char *cluster, *creator, *region;
    struct plan_step *steps;
    size_t count, cap;
    struct strv
        differences; /* "factories_type: the file says g4dn.xlarge, factory_1 is t3.small" */
    size_t alive, missing, extra; /* extra: running factories beyond factories_num, kept */
    double usd_per_hour;          /* of the whole cluster afterwards; < 0: unknown */
    struct cluster_hosts actual;  /* what it was made from: cluster_up() needs it */
};

/* Pure. ERR_CONFLICT where two orchestrators claim the name (both named, with what to type). */
int plan_make(const struct cluster_spec *spec, const struct cluster_hosts *actual,
              const char *region, struct plan *out, struct err *err) MUST_CHECK;
bool plan_is_empty(const struct plan *p); /* nothing to create, start or wait for */
void plan_text(const struct plan *p, struct buf *out);
json_t *plan_json(const struct plan *p);
void plan_done(struct plan *p);
/* Fills plan->usd_per_hour: from the cache, from AWS's price list (waiting at most a second), or
 * from the list prices compiled in. Best effort: it may stay unknown. */
void cluster_price(struct cluster *c, struct plan *plan);
/* The same, of the hosts that run or are about to; < 0 where there is none or it is unknown. */
double cluster_hosts_price(struct cluster *c, const struct cluster_hosts *hosts);

/* ---- act ---------------------------------------------------------------------------------- */

/* Looks at what the launch needs, side by side: key pair (and whether it is `identity`'s), subnet,
 * security group, instance types, AMIs. Every problem found is a line in `problems`, with where the
 * thing does exist (another region, another VPC) and what to type; then ERR_NOT_FOUND or the
 * gravest code. `launch` gets what acting needs. */
struct cluster_launch;
int cluster_preflight(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
                      const struct ssh_identity *identity, struct cluster_launch **launch,
                      struct strv *problems, struct err *err) MUST_CHECK;
void cluster_launch_free(struct cluster_launch *l);

/* Ends what an earlier run left between a launch and its answer: the same launches are asked for
 * again under their own client tokens, so that EC2 answers with the machines it made, or makes them
 * now. Call it before cluster_observe() where `up` is meant (cluster_up does it too, and then plans
 * again). *resumed gets the number of machines. */
int cluster_resume(struct cluster *c, const char *creator, const char *name, size_t *resumed,
                   struct err *err) MUST_CHECK;

/* A machine whose host key nobody vouches for yet, and the key that it shows. */
struct cluster_stranger {
    const struct cluster_host *host;
    const char *line; /* "ssh-ed25519 AAAA…" */
};
/* 0 where all of them are to be trusted. */
typedef int cluster_ask_fn(void *ctx, const struct cluster_stranger *list, size_t count,
                           struct err *err);
/* Pins the host keys of machines that exist already and have none pinned: by the user's own
 * known_hosts files, else by what `ask` says. All of them have to answer. ERR_HOST_KEY where a
 * machine shows another key than those files have. cluster_up() of CLUSTER_SSH comes after it. */
int cluster_meet(struct cluster *c, const struct cluster_spec *spec,
                 const struct cluster_hosts *hosts, cluster_ask_fn *ask, void *ctx,
                 struct err *err) MUST_CHECK;

/* Carries the plan out and makes every host ready: journalled, resumable at any point by running
 * again. `launch` may be NULL where the plan creates nothing. Fewer hosts than asked is
 * ERR_PARTIAL (or the cause's code) with what was kept; hosts (initialised here, filled on failure
 * too) shows each host's end. */
int cluster_up(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
               struct cluster_launch *launch, const struct ssh_identity *identity,
               struct cluster_hosts *hosts, struct err *err) MUST_CHECK;

/* Equips the hosts for experiments: packages, the shared tree, Slurm, flambe-node, TensorBoard. May
 * be repeated at any time, and does only what differs: hosts that are as they should be are looked
 * at once each. cluster_up() does it at its end. `hosts` are as cluster_up() or cluster_observe()
 * filled them; those that run and can be reached take part.
 *
 * Hosts without systemd (the sandbox's light hosts and ghosts) cannot be equipped: that is no
 * failure, and `usable` is false. A factory that cannot be equipped is a warning that names it, and
 * stays out; an orchestrator that cannot be, or none of the factories, fails. */
int cluster_equip(struct cluster *c, const struct cluster_spec *spec, struct cluster_hosts *hosts,
                  const struct ssh_identity *identity, struct cluster_equipped *out,
                  struct err *err) MUST_CHECK;

/* Terminates everything of the cluster, removes its alarms, waits for `terminated`, then proves by
 * asking again that no instance, volume or alarm of its is left. */
struct cluster_down_result {
    size_t terminated, alarms;
    bool proven;
};
int cluster_down(struct cluster *c, const char *creator, const char *name,
                 struct cluster_down_result *out, struct err *err) MUST_CHECK;

/* ---- reaching hosts ----------------------------------------------------------------------- */

/* An SSH target for a host, with the pins of this laptop's records. Where this laptop has none, the
 * instance's console output is read (EC2 vouches for it). ERR_HOST_KEY with what to do where there
 * is none either. The target's strings live as long as `t`. */
struct cluster_targets {
    struct ssh_target *items; /* one for each host that has an address, in the hosts' order */
    size_t count;
    size_t *host_index;  /* which host of the list each one is */
    struct strv strings; /* owns what the items point to */
    const char **keys;
};
int cluster_targets(struct cluster *c, const char *creator, const char *name,
                    const struct cluster_hosts *hosts, const char *user, int port,
                    struct cluster_targets *out, struct err *err) MUST_CHECK;
void cluster_targets_done(struct cluster_targets *t);
/* The cluster's known_hosts file (OpenSSH format; host alias = instance id). The caller frees. */
char *cluster_known_hosts_path(struct cluster *c, const char *creator, const char *name);
/* What a verb needs to reach a cluster without its file: user, port, key, recorded by `up`.
 * ERR_NOT_FOUND where this laptop never made it. */
struct cluster_record {
    char *name, *creator, *region, *username, *key_path, *file_path;
    int ssh_port;
    struct cluster_machines machines; /* of CLUSTER_SSH: region is CLUSTER_REGION_SSH */
};
bool cluster_record_is_ssh(const struct cluster_record *r);
int cluster_record_load(struct cluster *c, const char *creator, const char *name,
                        struct cluster_record *out, struct err *err) MUST_CHECK;
void cluster_record_done(struct cluster_record *r);
/* All records of this laptop, sorted by name, then creator: how a bare name finds its creator and
 * region. None is an empty list. A record that cannot be read is left out. */
struct cluster_records {
    struct cluster_record *items;
    size_t count, cap;
};
int cluster_records_list(struct cluster *c, struct cluster_records *out,
                         struct err *err) MUST_CHECK;
void cluster_records_done(struct cluster_records *r);

#endif

/* Equip: what makes of hosts that answer SSH a place where experiments run. See equip.c for the
 * way.
 *
 * equip_probe.c asks a host what it is and has; slurm_conf.c makes Slurm's files of the answers;
 * equip_parts.c and equip_scripts.c make the scripts that bring a host to what it should be;
 * equip_fan.c runs them; equip_node.c delivers flambe-node; packages.c installs. */
#ifndef FLAMBE_CLUSTER_EQUIP_PRIV_H
#define FLAMBE_CLUSTER_EQUIP_PRIV_H

#include "base/digest.h"
#include "base/secret.h"
#include "cluster/cluster_priv.h"
#include "cluster/slurm_conf.h"

/* ---- packages.c --------------------------------------------------------------------------- */

/* What a file of ours in a place that others may use begins with. */
#define EQUIP_MARK "# written by flambe"
/* What packages bring and would start by itself. NFS 4 needs neither rpcbind, which listens to all,
 * nor statd, which fails without it. */
#define EQUIP_MASKED_UNITS                                                               \
    "munge.service slurmctld.service slurmd.service nfs-server.service rpcbind.service " \
    "rpcbind.socket rpc-statd.service"

/* Defines the shell functions `missing` and `packages`. */
void script_packages(enum cluster_role role, bool slurm, struct buf *out);
/* The whole of what user data runs. */
void script_packages_boot(enum cluster_role role, bool slurm, struct buf *out);

/* ---- equip_probe.c ------------------------------------------------------------------------ */

#define COMMAND_PROBE "sudo -n sh -s flambe-probe"
#define EQUIP_PACKAGES_TIMEOUT (25 * USEC_PER_MIN)
#define EQUIP_NODES_MAX 1024 /* node states that are read */

enum equip_shared {
    SHARED_NFS,  /* exported by the orchestrator */
    SHARED_BIND, /* a directory that all hosts see already */
    SHARED_OWN,  /* the orchestrator is alone: its own disk */
};

struct equip_node_state {
    char *name, *state, *reason;
};

/* What a host says of itself; all of it hostile until parsed. */
struct equip_probe {
    bool answered; /* it is a host that can be equipped, and said so to the end */
    bool systemd;
    bool installing; /* for the live table */
    bool packages_ok;
    char *error;          /* what kept it from answering, or NULL */
    char *refused;        /* why flambe lets it alone, or NULL */
    char *packages_error; /* the installer's last words, or NULL */
    char *hostname;
    int slurm_version;
    int cpus, gpus;
    int64_t memory_mb;
    bool container, cgroup_v1, cgroup_v2;
    bool nfs_server, nfs_client;
    char *shared_dir;  /* the sandbox's stand-in for NFS, or NULL */
    bool shared_found; /* the directory of the file's `shared` is there */
    int uid;
    usec_t clock_offset; /* the host's clock less ours, when it answered */
    bool clock_known;
    int disk_used_percent;
    int64_t disk_free_mb;
    char equipped[17]; /* the fingerprint that the last equip left, or "" */
    char munge[SHA256_HEX_SIZE], node[SHA256_HEX_SIZE]; /* of key and flambe-node, or "" */
    bool units_active;              /* all that its fingerprint wants to run does */
    char *tensorboard;              /* why there is none, or NULL */
    struct equip_node_state *nodes; /* what the controller says */
    size_t node_count, node_cap;
    struct strv was; /* the lines of nodes in the slurm.conf that is there */
};

struct probe_ask {
    enum cluster_role role;
    bool slurm;
    const char *shared; /* the file's, or NULL */
    bool existed;       /* it may have a Slurm or exports of its own, which are let alone */
};
/* The script waits for the packages, and installs them where nobody does. */
void script_probe(const struct probe_ask *ask, struct buf *out);
/* Takes one line; `now` is our wall clock at its coming. */
void probe_line(struct equip_probe *p, struct str line, usec_t now);
void probe_done(struct equip_probe *p);

/* ---- equip_parts.c: pieces of the scripts --------------------------------------------------- */

#define EQUIP_NODE_BIN "/opt/flambe/bin/flambe-node"
#define EQUIP_NODE_UNIT "/etc/systemd/system/flambe-node.service"
#define EQUIP_NODE_PACKED "/opt/flambe/flambe-node.gz"
#define EQUIP_TENSORBOARD "/opt/flambe/tensorboard" /* the sandbox's image has it there, too */
#define EQUIP_TENSORBOARD_PORT 49558
#define EQUIP_SHARED "/srv/flambe"

struct equip_host {
    const char *name; /* short: "factory_1" */
    const char *instance_id, *private_ip;
    enum cluster_role role;
};

/* What every script needs to know. */
struct equip_plan {
    const struct cluster_spec *spec;
    const struct equip_host *hosts; /* the orchestrator first */
    size_t count;
    const struct slurm_cluster *slurm; /* NULL: the engine is local */
    enum equip_shared shared;
    const char *shared_dir; /* of SHARED_BIND */
    bool container;         /* the machine's uptime is not the host's */
    bool jobs_here;         /* the orchestrator runs jobs, too */
    bool has_node;          /* flambe-node is delivered */
};

void add_equip_prologue(const char *instance_id, struct buf *out);
/* Writes FILE; `then` is what the shell does where it changed. */
void add_put(const char *file, const char *mode, struct str text, const char *then,
             struct buf *out);
void add_tree(const struct equip_plan *p, bool orchestrator, struct buf *out);
void add_node_json(const struct equip_plan *p, const struct equip_host *h, struct buf *out);
/* What writes files goes into `out`, what starts units into `runs`, which is done at the end. */
void add_node_service(const struct equip_plan *p, struct buf *out, struct buf *runs);
void add_tensorboard(struct buf *out, struct buf *runs);
void add_exports(const struct equip_plan *p, struct buf *out, struct buf *runs);
/* The fingerprint of what the script makes of a host. */
void script_print(const struct buf *script, char out[17]);

/* ---- equip_scripts.c ------------------------------------------------------------------------ */

#define COMMAND_EQUIP "sudo -n sh -s flambe-equip"
#define COMMAND_JOIN "sudo -n sh -s flambe-join"

/* What brings a host to what it should be; the same text for the same wishes. */
void script_orchestrator(const struct equip_plan *p, struct buf *out);
void script_factory(const struct equip_plan *p, const struct equip_host *h, struct buf *out);
/* The key for `script_factory`, in front of it, whether slurmd is to begin anew in any case, and
 * what is behind it. */
void script_key(struct str key_base64, bool kick, struct buf *out);
void script_end(const char print[17], bool tell_key, struct buf *out);
/* On the orchestrator, when all factories are equipped: waits for them to join. */
void script_join(const char *const *names, size_t count, bool reconfigure, struct buf *out);
/* Marks every node whose address is not among these as down. */
void script_gone(const char *const *addresses, size_t count, struct buf *out);

/* ---- equip_gone.c --------------------------------------------------------------------------- */

/* Tells Slurm which of its nodes are no host of these any more. Best effort: fails only where the
 * user cancelled. */
int equip_mark_gone(struct cluster *c, const struct cluster_spec *spec,
                    const struct cluster_hosts *hosts, const struct ssh_identity *identity,
                    struct err *err) MUST_CHECK;

/* ---- equip_fan.c ---------------------------------------------------------------------------- */

struct equip_fan {
    struct cluster *c;
    const struct ssh_identity *identity;
    const struct ssh_target *targets; /* as cluster_targets() gave them */
    void (*line)(void *ctx, size_t target, struct str line);
    void *ctx;
};

/* Runs `command` on the targets whose numbers are in `which`, each with its own input, and gives
 * out what they say line by line; results has one entry for each of `which`. */
int equip_fan(const struct equip_fan *f, const size_t *which, size_t count, const char *command,
              const struct str *inputs, usec_t timeout, struct ssh_fanout_result *results,
              struct err *err) MUST_CHECK;

/* ---- equip_node.c --------------------------------------------------------------------------- */

#define NODE_PROGRAM_MAX ((size_t)64 << 20)

struct node_program {
    char digest[SHA256_HEX_SIZE];
    struct buf bytes;
};
int node_program_load(const char *path, struct node_program *out, struct err *err) MUST_CHECK;
int node_program_pack(const struct node_program *n, struct buf *out, struct err *err) MUST_CHECK;
void node_program_done(struct node_program *n);
/* Both are commands whose standard input is given in `input`: the compressed program to the
 * orchestrator; a script of the login user's there, which hands it on to these factories. */
void command_node_put(const char *digest, struct buf *command);
void script_node_spread(const char *const *addresses, size_t count, int ssh_port,
                        const char *digest, struct buf *out);
#define COMMAND_NODE_SPREAD "sh -s flambe-spread"

/* ---- equip.c, equip_decide.c ----------------------------------------------------------------- */

#define EQUIP_SAID_MAX 200

struct equip_member {
    size_t host;      /* in hosts */
    const char *name; /* short */
    struct equip_probe probe;
    bool in; /* takes part; else `why` says why not */
    struct err why;
    char print[17];
    struct buf script;
    bool spread;               /* has the flambe-node of this run */
    char said[EQUIP_SAID_MAX]; /* the script's error */
    bool ok;
};

struct equip {
    struct cluster *c;
    const struct cluster_spec *spec;
    struct cluster_hosts *hosts;
    struct cluster_targets targets;
    struct equip_fan fan;
    struct equip_member *members; /* by target; the orchestrator is members[0] */
    size_t count;
    struct secret *key; /* munge's, base64 */
    bool reconfigure;   /* Slurm's files changed */
    struct node_program program;
    struct slurm_node *nodes;
    struct strv texts; /* owns what nodes point to */
    struct slurm_cluster slurm;
    struct equip_host *list;
    struct equip_plan plan;
    char *shared_dir;
    struct cluster_equipped *out;
};

struct cluster_host *equip_host_of(const struct equip *e, const struct equip_member *m);
/* "factory_1" */
const char *equip_short_name(const struct equip *e, const struct cluster_host *h);
/* Sends the files of all experiments that run or wait to these members, from the orchestrator; who
 * does not get them takes no part. */
int equip_give_files(struct equip *e, const size_t *which, size_t count,
                     struct err *err) MUST_CHECK;
/* It takes no part, and the user is told why. */
void equip_leave_out(struct equip *e, struct equip_member *m, const char *why);
/* Fills e->plan, and e->slurm where there is Slurm. Factories that cannot be in are left out. */
int equip_decide(struct equip *e, struct err *err) MUST_CHECK;

#endif

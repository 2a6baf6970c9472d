/* What a cluster file asks for: machines on AWS (`!AWSCluster`, whose keys are rows in spec.c), or
 * the use of machines that exist already (`!SSHCluster`, rows in spec_ssh.c). */
#ifndef FLAMBE_CLUSTER_SPEC_H
#define FLAMBE_CLUSTER_SPEC_H

#include "config/schema.h"

enum cluster_kind { CLUSTER_AWS, CLUSTER_SSH };

/* A machine that exists already. */
struct cluster_machine {
    char *address; /* where this machine reaches it: numeric, or a name */
    char *inside;  /* where the cluster's other machines do: numeric */
};
struct cluster_machines {
    struct cluster_machine *items; /* the orchestrator first */
    size_t count, cap;
};
void cluster_machines_add(struct cluster_machines *m, const char *address, const char *inside);
void cluster_machines_done(struct cluster_machines *m);

struct cluster_spec {
    enum cluster_kind kind;
    char *path; /* of the file */
    /* The original's keys, by their names there. */
    char *name;
    int factories_num;
    char *factories_type, *orchestrator_type;
    int orchestrator_timeout, factories_timeout; /* hours; -1 never, 0 after 5 minutes idle */
    char *creator;
    char *key_name; /* the EC2 key pair */
    char *key;      /* the pem file: '~' expanded, relative paths from the file's directory */
    struct schema_map tags;
    char *subnet_id;
    int volume_size; /* GiB */
    char *volume_type;
    char *security_group; /* an id (sg-…) */
    char *region_name;    /* or NULL: the credentials chain's */
    char *username;
    char *orchestrator_ami, *factory_ami; /* or NULL: by SSM parameter */
    bool dedicated;
    struct strv setup_cmds;
    /* ours */
    int ssh_port;
    char *engine; /* "slurm" or "local" */
    char *shared; /* a directory that all hosts share already, or NULL */
    /* Of CLUSTER_SSH alone, beside name, creator, key, username, setup_cmds and ours; then
     * factories_num is the number of its factories, and what AWS takes is NULL or 0. */
    struct cluster_machines machines;
    const struct yaml_node *orchestrator_ip, *factories_ips; /* NULL once the file is read */
};

extern const struct schema cluster_schema, ssh_cluster_schema;
/* The JSON Schema of a file that is either. */
json_t *cluster_schema_json(void);

/* EC2 takes 50 tags; the rest are for flambe's own: creator, Purpose, Cluster-Name, Role, Name. */
#define CLUSTER_USER_TAGS_MAX 40

/* Reads and checks the file. All its errors are in `diags` (initialised here; the caller frees it
 * on success and failure alike). A file that cannot be read is ERR_FILE with no diagnostics. */
int cluster_spec_load(const char *path, struct cluster_spec *out, struct diags *diags,
                      struct err *err) MUST_CHECK;
/* The same, and the key file that `key` names is looked at too: what is wrong with it stands among
 * the file's errors, at its place. */
int cluster_spec_load_with_key(const char *path, struct cluster_spec *out, struct diags *diags,
                               struct err *err) MUST_CHECK;
/* The same as cluster_spec_load() from memory; `path` is what the messages call it and what `key`
 * is relative to. */
int cluster_spec_parse(const char *path, struct str text, struct cluster_spec *out,
                       struct diags *diags, struct err *err) MUST_CHECK;
void cluster_spec_done(struct cluster_spec *s);
/* Whether trials run under Slurm, rather than as the orchestrator's own processes. */
bool cluster_has_slurm(const struct cluster_spec *s);

#endif

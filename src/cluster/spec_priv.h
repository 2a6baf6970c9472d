/* Reading a cluster's file with a look at its key file, which needs the ssh room: apart, so that
 * what reads files alone (golden tests, fuzzing) does not link it. */
#ifndef FLAMBE_CLUSTER_SPEC_PRIV_H
#define FLAMBE_CLUSTER_SPEC_PRIV_H

#include "cluster/spec.h"

/* Adds what is wrong with the file that spec->key names, at `at`. */
typedef void spec_key_fn(const struct cluster_spec *spec, struct span at, struct diags *diags);

/* cluster_spec_load(), with the check where it is not NULL. */
int spec_load(const char *path, spec_key_fn *check_key, struct cluster_spec *out,
              struct diags *diags, struct err *err) MUST_CHECK;

/* ---- rows that both kinds of file have --------------------------------------------------------
 */

#define SPEC_AT(field) offsetof(struct cluster_spec, field)

#define SPEC_ROW_NAME                                                                     \
    {                                                                                     \
        .name = "name", .type = SCHEMA_STRING, .required = true, .min = 1, .max = 100,    \
        .pattern = "^[a-zA-Z0-9][a-zA-Z0-9_-]*$",                                         \
        .pattern_help = "letters, digits, '-' and '_', beginning with a letter or digit", \
        .example = "my-cluster",                                                          \
        .help = "The cluster's name; with creator it says which machines belong to it",   \
        .offset = SPEC_AT(name)                                                           \
    }
#define SPEC_CREATOR_PATTERN "^[^*?\\\\ ]([^*?\\\\]*[^*?\\\\ ])?$"
#define SPEC_CREATOR_HELP "any text without '*', '?', '\\' or a space at its ends"
#define SPEC_ROW_USERNAME                                                                       \
    {                                                                                           \
        .name = "username", .type = SCHEMA_STRING, .fallback = "ubuntu", .min = 1, .max = 32,   \
        .pattern = "^[a-zA-Z_][a-zA-Z0-9_.-]*$", .pattern_help = "a Linux user's name",         \
        .help = "The user to log in as, the same on every machine", .offset = SPEC_AT(username) \
    }
#define SPEC_ROW_SETUP_CMDS                                                                  \
    {                                                                                        \
        .name = "setup_cmds", .type = SCHEMA_STRING_LIST,                                    \
        .help = "Shell commands to run on every machine; they may run again, and nobody is " \
                "there to answer questions",                                                 \
        .offset = SPEC_AT(setup_cmds)                                                        \
    }
#define SPEC_ROW_SSH_PORT                                                                         \
    {                                                                                             \
        .name = "ssh_port", .type = SCHEMA_INT, .fallback = "22", .min = 1, .max = 65535,         \
        .help = "The port on which the machines' SSH server listens", .offset = SPEC_AT(ssh_port) \
    }
extern const char *const spec_engines[];
#define SPEC_ROW_ENGINE                                                                        \
    {                                                                                          \
        .name = "engine", .type = SCHEMA_STRING, .fallback = "slurm", .choices = spec_engines, \
        .help = "What runs an experiment's trials: Slurm on the factories (or on the "         \
                "orchestrator where it is alone), or local, processes of an orchestrator "     \
                "without factories",                                                           \
        .offset = SPEC_AT(engine)                                                              \
    }
#define SPEC_ROW_SHARED                                                                     \
    {                                                                                       \
        .name = "shared", .type = SCHEMA_STRING, .max = 255,                                \
        .pattern = "^/[a-zA-Z0-9._/-]*[a-zA-Z0-9._-]$",                                     \
        .pattern_help = "an absolute path of letters, digits, '.', '_', '-' and '/'",       \
        .example = "/mnt/efs",                                                              \
        .help = "A directory that all machines share already, such as one that setup_cmds " \
                "mount; without it, the orchestrator shares one by NFS",                    \
        .offset = SPEC_AT(shared)                                                           \
    }

/* Rules that both have. */
void spec_check_home(const struct cluster_spec *spec, struct span at, struct diags *diags);
/* Reads an `!SSHCluster`. */
void spec_read_ssh(const struct yaml_node *root, struct diags *diags, struct cluster_spec *spec,
                   struct span *key_at);
/* Says in its JSON Schema what an address is. */
void spec_ssh_refine(json_t *schema);

#endif

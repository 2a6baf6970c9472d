/* The table of verbs, and the option tables; help, completion and the manual are made from them.
 * Each program that is made of verbs (flambe, flambe-node) defines `cli_program`, `commands` and
 * `command_count`. */
#ifndef FLAMBE_CLI_COMMANDS_H
#define FLAMBE_CLI_COMMANDS_H

#include "cli/cli.h"

struct program {
    const char *name;
    const char *usage; /* the first lines of its help */
    const char *about; /* a paragraph */
    /* What a file's name alone means; NULL where it means nothing. */
    const struct command *(*command_of_file)(const char *path);
    /* Appends what stands behind the version; NULL: nothing does. */
    void (*add_build)(struct buf *out);
    /* The variable in which whoever shows the output elsewhere gives the size of the terminal, as
     * "COLUMNSxROWS"; NULL: there is none. */
    const char *terminal_variable;
    /* The variable that says what the user types there for the results; NULL: there is none. */
    const char *operand_variable;
    /* Carries the verb out where its first operand means something that is not on this machine;
     * *ours is false where it does not. NULL: nothing is elsewhere. */
    int (*elsewhere)(struct cli *cli, bool *ours, struct err *err);
};
extern const struct program cli_program;

extern const struct command *const commands[];
extern const size_t command_count;
extern const struct option_table global_options;

extern const struct command cmd_up, cmd_run, cmd_plan, cmd_status, cmd_results, cmd_logs,
    cmd_attach, cmd_stop, cmd_log, cmd_ssh, cmd_exec, cmd_cp, cmd_fetch, cmd_dashboard, cmd_down,
    cmd_schema, cmd_completion, cmd_help;

/* Rows that several verbs have. */
#define OPTION_CREATOR                                                                             \
    {                                                                                              \
        "creator", 0, OPTION_TEXT, "NAME", NULL, "whose cluster, where a name alone does not say", \
            offsetof(struct cli_options, creator)                                                  \
    }
#define OPTION_IDENTITY                                                     \
    {                                                                       \
        "identity", 'i', OPTION_TEXT, "FILE", NULL,                         \
            "the private key, where this machine did not make the cluster", \
            offsetof(struct cli_options, identity)                          \
    }

#define OPTION_ACCEPT_NEW_HOST_KEYS                                                              \
    {                                                                                            \
        "accept-new-host-keys", 0, OPTION_FLAG, NULL, NULL,                                      \
            "of an !SSHCluster: trust the keys of machines that are not known yet, unseen; one " \
            "that changed is refused all the same",                                              \
            offsetof(struct cli_options, accept_new_host_keys)                                   \
    }

/* What `DIR` may be too, in the help of verbs with .elsewhere. */
#define HELP_ELSEWHERE                                                                            \
    "\n\nCLUSTER:EXPERIMENT is one on a cluster, which is asked over SSH; CLUSTER alone, a name " \
    "or "                                                                                         \
    "a cluster file, means the one that runs there, or was the last to."

const struct command *command_find(const char *name); /* NULL if unknown */
const char *command_nearest(const char *name);        /* NULL where none is near */

#endif

/* Help, the manual's parts and shell completion, all made from the command table. */
#ifndef FLAMBE_CLI_HELP_H
#define FLAMBE_CLI_HELP_H

#include "cli/cli.h"

void help_overview(struct buf *out);
void help_command(const struct command *c, struct buf *out);

/* The parts of doc/flambe.1.scd that come from the table, in scdoc's language. */
void manual_synopsis(struct buf *out);
void manual_commands(struct buf *out);
void manual_options(struct buf *out);
/* The table of keys of doc/aws-cluster.yaml.5.scd. */
void manual_keys(struct buf *out); /* of a cluster's file */
void manual_ssh_keys(struct buf *out);
/* Of an experiment's file, and of its parts. */
void manual_experiment_keys(struct buf *out);
void manual_script_keys(struct buf *out);
void manual_command_keys(struct buf *out);
void manual_device_keys(struct buf *out);
void manual_objective_keys(struct buf *out);
void manual_scheduler_keys(struct buf *out);
void manual_random_keys(struct buf *out);
void manual_optuna_keys(struct buf *out);

/* `shell` is one of completion_shells. */
extern const char *const completion_shells[]; /* NULL-terminated */
void completion_write(const char *shell, struct buf *out);

#endif

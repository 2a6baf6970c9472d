/* The user's files, as every verb sees them: of which kind one is, and what is wrong with it. */
#ifndef FLAMBE_CLI_FILE_H
#define FLAMBE_CLI_FILE_H

#include "cli/cli.h"
#include "config/diag.h"

/* Whether the file is, or is meant to be, an experiment's ('!Experiment'); false where it cannot be
 * read at all. */
bool file_is_experiment(const char *path);
/* All that is wrong with a file: on standard error, and into the error that -o json prints. */
void file_show_diagnostics(struct cli *cli, const struct diags *diags);
/* secrets_check(), with what is wrong shown as above, and what is doubtful as a warning. */
int file_check_secrets(struct cli *cli, const char *given, char **path, struct err *err) MUST_CHECK;

#endif

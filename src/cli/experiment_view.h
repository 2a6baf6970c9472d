/* `flambe plan` of an experiment: what would run. */
#ifndef FLAMBE_CLI_EXPERIMENT_VIEW_H
#define FLAMBE_CLI_EXPERIMENT_VIEW_H

#include "cli/cli.h"

/* Reads and checks the file, and writes its plan on standard output, as text or JSON. */
int experiment_view(struct cli *cli, const char *path, struct err *err) MUST_CHECK;

#endif

/* Where a run's results come from: code, machine, versions, command line. For the report, and for
 * whoever runs it again.
 *
 * What cannot be found out is null, never an error. Of the environment a fixed few variables are
 * kept, for others may be secrets. */
#ifndef FLAMBE_EXPERIMENT_PROVENANCE_H
#define FLAMBE_EXPERIMENT_PROVENANCE_H

#include "base/err.h"
#include "os/loop.h"
#include <jansson.h>

#define PROVENANCE_PATIENCE (30 * USEC_PER_SEC) /* with git, and with python3 */
#define PROVENANCE_DIFF "git.diff"              /* in the results' directory */
#define PROVENANCE_UNTRACKED_MAX 1000

struct provenance_options {
    const char *directory;   /* the results', where git.diff is written; it exists */
    const char *const *argv; /* our command line, NULL-terminated */
    const char *python;      /* the interpreter of the trials; NULL: "python3" */
    usec_t started;          /* wall */
};

/* *out, which the caller owns, gets
 *   {"started": "2026-01-31T23:59:59Z", "command": [...], "directory": "...",
 *    "flambe": "0.1.0", "python": "3.11.2", "environment": {"PATH": "...", ...},
 *    "git": {"root", "commit", "branch", "dirty", "diff", "diff_truncated", "untracked",
 *            "untracked_count"} | null,
 *    "host": {"name", "kernel", "cpus", "cpu_model", "memory_bytes",
 *             "gpus": [{"name", "driver", "memory_mib"}]}}
 * "diff" is "git.diff", or null where nothing differs from the commit. Fails only with
 * ERR_CANCELLED, and with ERR_IO where git.diff cannot be written. */
int provenance_collect(struct loop *loop, const struct provenance_options *o, json_t **out,
                       struct err *err) MUST_CHECK;

#endif

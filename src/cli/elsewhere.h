/* Verbs about an experiment that is on a cluster: the orchestrator's flambe-node carries the same
 * verb out there, and what it writes is shown here. */
#ifndef FLAMBE_CLI_ELSEWHERE_H
#define FLAMBE_CLI_ELSEWHERE_H

#include "cli/attach.h"
#include "cli/cli.h"
#include "cli/node_link.h"

/* An experiment on a cluster as it is typed: CLUSTER:EXPERIMENT, or CLUSTER, whose experiment is
 * the one that runs, or else the latest. CLUSTER is a name or a cluster file. */
struct elsewhere {
    char *cluster;
    char *experiment; /* or NULL */
    bool colon;       /* it was typed with a ':' */
};

/* Whether `word` means one: it is no path of this machine with an experiment's results, and names a
 * cluster that this machine knows of, or one as CLUSTER:EXPERIMENT or with --creator. */
bool elsewhere_parse(struct cli *cli, const char *word, struct elsewhere *out);
void elsewhere_done(struct elsewhere *e);

/* Carries the verb out there, with its options and operands; *ours is false, and nothing was done,
 * where its first operand means this machine. */
int elsewhere_run(struct cli *cli, bool *ours, struct err *err) MUST_CHECK;

/* The directory of its results on the cluster's hosts: of the experiment named, else of the one
 * that runs or was the last to. The caller frees *directory. */
int elsewhere_results(struct node_link *l, const struct elsewhere *e, char **directory,
                      struct err *err) MUST_CHECK;

/* What came of an experiment that has ended: its status, and what to type next, on standard output.
 * Its exit status becomes the program's own. `word` is how the user would type it. */
int elsewhere_summary(struct node_link *l, const char *word, const char *directory,
                      const struct attach_end *end, struct err *err) MUST_CHECK;

#endif

/* From a verb's operands to hosts that can be reached: what `exec`, `ssh` and `cp` share. */
#ifndef FLAMBE_CLI_REACH_H
#define FLAMBE_CLI_REACH_H

#include "cli/session.h"

struct reach {
    struct session session;
    struct target target;
    struct cluster_hosts hosts;  /* the whole cluster */
    struct cluster_hosts picked; /* those that are meant; the items belong to `hosts` */
    struct cluster_targets targets;
};

/* Opens the cluster `word` and picks its hosts `on` (NULL: all). */
int reach_open(struct reach *r, struct cli *cli, const char *word, const char *on,
               struct err *err) MUST_CHECK;
void reach_done(struct reach *r); /* after an error of reach_open() too */
/* The target of the picked host, or NULL where it has no address. */
const struct ssh_target *reach_target(const struct reach *r, size_t picked);
const char *reach_name(const struct reach *r, size_t picked); /* its short name */
/* Why a host without a target cannot be reached. */
void reach_no_address(const struct reach *r, size_t picked, struct err *err);
/* The options by which the user's own ssh trusts the cluster's pins and nothing else, and uses its
 * key and port; without the program's name and the destination. */
int reach_ssh_options(struct reach *r, size_t picked, struct strv *out, struct err *err) MUST_CHECK;

#endif

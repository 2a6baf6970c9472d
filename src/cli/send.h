/* An experiment's files on their way to a cluster's hosts, and its results on their way home: what
 * the verbs share. */
#ifndef FLAMBE_CLI_SEND_H
#define FLAMBE_CLI_SEND_H

#include "cli/reach.h"
#include "cluster/files.h"
#include "experiment/manifest.h"

/* A connection to the cluster's orchestrator; `r` was opened with it among the picked hosts.
 * *index gets its place among those. ERR_NOT_FOUND where it is not up. */
int send_open(struct reach *r, struct ssh_identity **identity, struct remote **out, size_t *index,
              struct err *err) MUST_CHECK;

struct send_order {
    const struct experiment *experiment; /* read with on_cluster */
    const char *working;                 /* where flambe was started, absolute */
    const struct strv *resources;        /* of resources_fetch() */
    const char *secrets;                 /* the file's path, or NULL */
    /* The caller's connection to the orchestrator, on the loop of `r` (remote_over()); NULL: one is
     * made. */
    struct ssh_session **session;
};

/* All of the experiment to all hosts of the cluster: says what is sent, warns where it is much,
 * asks
 * (-y answers) where it is very much, shows how far it is; the secrets too. Typed again, it sends
 * what has changed. `r` was opened with all hosts (`on` NULL). Where only some factories have all
 * of it, it is ERR_PARTIAL, and `out` is filled all the same; each that failed is named on standard
 * error. Otherwise `out` is filled on success alone; manifest_done() is the caller's.
 * ERR_REJECTED where the user said no. */
int send_experiment(struct reach *r, const struct send_order *o, struct manifest *out,
                    struct err *err) MUST_CHECK;

#endif

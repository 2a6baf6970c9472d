/* An experiment's files on a cluster's hosts. Every host has them on its own disk:
 *
 *   /var/lib/flambe/files/NAME/work/        where trials start
 *   /var/lib/flambe/files/NAME/resources/, extensions/   what is carried beside it
 *   /var/lib/flambe/files/NAME/sent         on the orchestrator: the names of the files in work
 *                                           that were sent, each with a NUL behind it
 *   /var/lib/flambe/files/NAME/gone         the same of those that were sent once
 *   /var/lib/flambe/secrets/NAME.ini        0600, while the run is on
 *   /var/lib/flambe/fetched/NAME            on the orchestrator: what of the results was fetched;
 *                                           its time is a moment before that
 *
 * The way: files_prepare(), rsync to the orchestrator (ssh/sync.h), files_spread() to the rest.
 * Nothing but what was sent is ever removed: what trials left in work/ stays. All of it belongs to
 * the login user. NAME is an experiment's: letters, digits, '-' and '_'. */
#ifndef FLAMBE_CLUSTER_FILES_H
#define FLAMBE_CLUSTER_FILES_H

#include "ssh/remote.h"

#define FILES_ROOT "/var/lib/flambe"
#define FILES_AT_ONCE 16 /* factories that are sent to side by side */

struct files_order {
    const char *name;
    struct str names; /* of the files that are to be in work, sorted by bytes, each with a NUL */
    /* "resources/NAME", "extensions/MODULE": the directories beside it; others are removed. */
    const char *const *beside;
    size_t beside_count;
};

/* Makes the directories on the orchestrator, and removes there what was sent before and is no more
 * in the order. ERR_REMOTE, with what to type, where the host has no rsync or lets nobody write. */
int files_prepare(struct remote *orchestrator, const struct files_order *o,
                  struct err *err) MUST_CHECK;

struct files_host {
    const char *name; /* as the orchestrator's ssh knows it: "factory_1" */
    struct err err;   /* filled: ERR_NONE where it has them all */
    bool done;        /* filled */
};

/* From the orchestrator to these hosts, by the cluster's own key and pins: for all factories after
 * an rsync, or for one that joined later. What a host has already is not sent again. `secrets`:
 * with the experiment's file of secrets. `host` (may be NULL) is told each as it is done.
 * ERR_PARTIAL, naming the first, where some failed: the others have the files. */
int files_spread(struct remote *orchestrator, const char *name, bool secrets,
                 struct files_host *hosts, size_t count,
                 void (*host)(void *ctx, const struct files_host *h), void *ctx,
                 struct err *err) MUST_CHECK;

/* Puts the secrets' text on the host, through the command's standard input alone. */
int files_put_secrets(struct remote *host, const char *name, struct str text,
                      struct err *err) MUST_CHECK;
/* Removes them on the orchestrator, and on those hosts that answer. */
int files_drop_secrets(struct remote *orchestrator, const char *name,
                       const struct files_host *hosts, size_t count, struct err *err) MUST_CHECK;

/* ---- results ----------------------------------------------------------------------------------
 */

#define FILES_RESULTS "/srv/flambe/results"
/* The state's copy, in the results' directory while they are fetched. */
#define FILES_STATE_COPY ".flambe.db.fetched"

struct files_results {
    struct strv names; /* experiments with results on the cluster, sorted */
    struct strv
        unfetched;  /* those of them that have changed since they were fetched, or never were */
    size_t at_work; /* experiments that run or wait */
};
void files_results_done(struct files_results *r);

/* What `flambe down` asks before it destroys: what would be lost. A cluster that has never run an
 * experiment has nothing. */
int cluster_unfetched(struct remote *orchestrator, struct files_results *out,
                      struct err *err) MUST_CHECK;
/* Copies the state of the experiment, at one moment of it even while a run writes, to
 * FILES_STATE_COPY beside the results, and notes the moment. */
int files_fetch_begin(struct remote *orchestrator, const char *name, struct err *err) MUST_CHECK;
/* Removes that copy; `whole`: and records that all was fetched that was there at that moment. */
int files_fetch_end(struct remote *orchestrator, const char *name, bool whole,
                    struct err *err) MUST_CHECK;

/* For tests. */
bool files_name_valid(const char *name);
bool files_read_host(struct str line, struct files_host *hosts, size_t count, size_t *which);

#endif

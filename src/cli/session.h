/* What a verb that works on clusters opens: the loop, AWS, and this laptop's records. */
#ifndef FLAMBE_CLI_SESSION_H
#define FLAMBE_CLI_SESSION_H

#include "cli/cli.h"
#include "cli/file.h"
#include "cluster/cluster.h"

struct session {
    struct cli *cli;
    struct loop *loop;
    struct cluster cluster; /* .aws is NULL until session_connect() */
    char *state_root, *cache_root;
    bool skew_said;           /* that this machine's clock is wrong */
    const char *after_signal; /* said at the first Ctrl-C, or NULL */
};

/* The loop, with Ctrl-C caught, and the records. */
void session_init(struct session *s, struct cli *cli);
/* Only warnings are shown from now on: the cluster's watch without a live table. */
void session_watch(struct session *s);
/* AWS, in --region, else in `region` (may be NULL: the environment's). */
int session_connect(struct session *s, const char *region, struct err *err) MUST_CHECK;
void session_done(struct session *s);

/* ---- which cluster ------------------------------------------------------------------------ */

/* A cluster as a verb's operand names it. What is not known is NULL. */
struct target {
    char *name, *creator, *region;
    char *username, *key_path;
    int ssh_port;
    bool recorded;             /* this laptop has a record of it */
    struct cluster_spec *spec; /* where the operand was a file */
};

/* `word` is a cluster's name or a cluster file's path. Connects the session, in the cluster's
 * region. A name is looked for in this laptop's records, then among the clusters in the region;
 * ERR_NOT_FOUND where it is in neither, ERR_CONFLICT where several creators have one. */
int target_open(struct session *s, const char *word, struct target *out,
                struct err *err) MUST_CHECK;
void target_done(struct target *t);
/* Whether this laptop has a record of a cluster of that name, of any creator and region. */
bool session_knows(struct session *s, const char *name);

/* Reads a cluster file and shows all that is wrong with it; `with_key`: and with the key file that
 * it names, unless --identity gives another. */
int target_load_spec(struct cli *cli, const char *path, bool with_key, struct cluster_spec *out,
                     struct err *err) MUST_CHECK;
/* The private key: --identity, else the record's or file's. */
int target_load_identity(struct cli *cli, const struct target *t, struct ssh_identity **out,
                         struct err *err) MUST_CHECK;

/* ---- which of its hosts ------------------------------------------------------------------- */

/* "orchestrator", "factories", "all", a number, "factory_1", the whole name, an instance id or an
 * address; several with commas. *chosen (count hosts->count) is set for each that is meant. */
int hosts_choose(const struct target *t, const struct cluster_hosts *hosts, const char *words,
                 bool *chosen, struct err *err) MUST_CHECK;
/* "factory_1" of "mine_factory_1"; points into the host's name. */
const char *host_short_name(const char *cluster, const struct cluster_host *h);
/* The hosts that `words` (NULL: all) mean and that are not on their way out, as a list whose items
 * still belong to `hosts`: only the array is the caller's, to free. */
int hosts_pick(const struct target *t, const struct cluster_hosts *hosts, const char *words,
               struct cluster_hosts *out, struct err *err) MUST_CHECK;
json_t *hosts_json(const struct cluster_hosts *hosts);

#endif

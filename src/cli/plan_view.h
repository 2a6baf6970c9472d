/* The first half of `up`, which is all of `plan`: from the file to a plan. */
#ifndef FLAMBE_CLI_PLAN_VIEW_H
#define FLAMBE_CLI_PLAN_VIEW_H

#include "cli/session.h"

struct planned {
    struct session session;
    struct cluster_spec spec;
    bool has_spec;
    struct cluster_hosts hosts; /* as observed */
    struct plan plan;
    bool has_plan;
};

/* Opens the session and reads the file, and `with_key` looks at the key file that it names;
 * planned_done() follows also after an error. */
int planned_load(struct planned *p, struct cli *cli, const char *path, bool with_key,
                 struct err *err) MUST_CHECK;
/* Connects and observes; `resume` first ends what an earlier run left half done. */
int planned_look(struct planned *p, bool resume, struct err *err) MUST_CHECK;
void planned_done(struct planned *p);
/* The plan on standard error. */
void planned_show(struct planned *p);
/* The private key that the file names. */
int planned_identity(struct planned *p, struct ssh_identity **out, struct err *err) MUST_CHECK;
/* Looks at what the launch needs and shows all that it would fail for. Without `identity` (NULL) it
 * is not compared with the key pair. */
int planned_preflight(struct planned *p, const struct ssh_identity *identity,
                      struct cluster_launch **launch, struct err *err) MUST_CHECK;
/* "about $0.12 an hour", or "" where the price is not known; static. */
const char *price_text(double usd_per_hour);

#endif

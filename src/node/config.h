/* What a host knows of itself: /etc/flambe/node.json, which flambe writes when it equips the host.
 */
#ifndef FLAMBE_NODE_CONFIG_H
#define FLAMBE_NODE_CONFIG_H

#include "node/login.h"

#define CONFIG_FILE "/etc/flambe/node.json"
#define CONFIG_BYTES_MAX ((size_t)4 << 20)
#define CONFIG_SHARED "/srv/flambe" /* where the file does not say */

struct config {
    enum config_role { ROLE_ORCHESTRATOR, ROLE_FACTORY } role;
    struct login login;    /* as whom experiments run */
    char *shared;          /* the tree that all hosts share */
    struct strv factories; /* their private addresses */
};

/* `uid`, `gid`, `groups` and `home` go before what /etc/passwd and /etc/group say of `user`. Keys
 * that are not known are somebody else's. */
int config_load(const char *path, struct config *out, struct err *err) MUST_CHECK;
/* The text alone; `find` is login_load(), or a test's. */
int config_parse(struct str text, int (*find)(const char *name, struct login *out, struct err *err),
                 struct config *out, struct err *err) MUST_CHECK;
void config_done(struct config *c);
/* The directory of an experiment's results in the tree; the caller frees. */
char *config_results(const struct config *c, const char *name);

#endif

/* How a sandbox was started: kept in DIR/sandbox.json, so that the next start does the same. */
#ifndef FLAMBE_SANDBOX_SETTINGS_H
#define FLAMBE_SANDBOX_SETTINGS_H

#include "base/err.h"
#include "sandbox/hosts.h"

struct settings {
    enum host_kind kind;
    bool kind_known;
    int port;     /* of the API; 0: any free one */
    int ssh_port; /* of ghosts; 0: to be chosen */
    char *region, *network, *public_network, *bridge;
    double visible_after, pending_for, stopping_for, boot_after; /* seconds; < 0: not said */
};

void settings_init(struct settings *s); /* nothing said */
void settings_done(struct settings *s);
/* A missing file leaves all as it is; ERR_PARSE where it is damaged. */
int settings_load(struct settings *s, const char *dir, struct err *err) MUST_CHECK;
int settings_save(const struct settings *s, const char *dir, struct err *err) MUST_CHECK;
/* Takes over what `said` says. ERR_CONFLICT where that does not fit an account that is there. */
int settings_merge(struct settings *s, const struct settings *said, bool account_exists,
                   struct err *err) MUST_CHECK;
/* Fills what nobody said, for the kind of hosts that is set. */
void settings_defaults(struct settings *s, const char *dir);

#endif

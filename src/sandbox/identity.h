/* Who may call: the seeded user's long-lived key, and temporary credentials.
 *
 * A session token carries its own facts under a seal (HMAC with a key of the sandbox's), so that
 * temporary credentials outlive a restart though nothing is kept of them. */
#ifndef FLAMBE_SANDBOX_IDENTITY_H
#define FLAMBE_SANDBOX_IDENTITY_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"

struct identities;

enum identity_status {
    IDENTITY_OK,
    IDENTITY_UNKNOWN,   /* no such access key */
    IDENTITY_BAD_TOKEN, /* no session token where one is due, or not ours, or one too many */
    IDENTITY_EXPIRED,
};

struct identity {
    struct secret *secret;
    char *arn;     /* "arn:aws:iam::123456789012:user/sandbox" */
    char *user_id; /* "AIDA…" */
    char *access_key;
};

struct identity_grant {
    char *access_key, *token;
    struct secret *secret;
};

/* Reads the file, or makes one (mode 0600) with a new key. ERR_PARSE where it is damaged. */
int identities_open(const char *path, const char *account, struct identities **out,
                    struct err *err) MUST_CHECK;
void identities_free(struct identities *ids);

/* The owner frees *out with identity_done(); it is untouched unless IDENTITY_OK is returned. An
 * empty token means that none was sent. */
enum identity_status identities_find(const struct identities *ids, struct str access_key,
                                     struct str token, usec_t now, struct identity *out);
void identity_done(struct identity *i);

/* The seeded user's. */
const char *identities_access_key(const struct identities *ids);
const struct secret *identities_secret(const struct identities *ids);

/* New temporary credentials for a session; the owner frees them with identity_grant_done(). */
void identities_issue(const struct identities *ids, const char *arn, const char *user_id,
                      usec_t expires, struct identity_grant *out);
void identity_grant_done(struct identity_grant *g);

#endif

/* Where the keys come from: a chain of providers, each an ops struct. See aws.md's order in
 * credentials.c. Fetching may wait (it runs on the program's main path, never in a callback). */
#ifndef FLAMBE_AWS_CREDENTIALS_H
#define FLAMBE_AWS_CREDENTIALS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"

struct aws;

struct credentials {
    char *access_key_id;
    struct secret *secret_key, *session_token;
    usec_t expires; /* wall; 0: never */
    char *source;   /* for people: "profile 'x' in ~/.aws/credentials" */
};
void credentials_done(struct credentials *c);

#define CREDENTIALS_REFRESH_BEFORE (10 * USEC_PER_MIN)
#define CREDENTIALS_REFRESH_PAUSE USEC_PER_MIN /* between tries while the old ones still hold */

struct credentials_provider {
    const char *place; /* what it looks at, for the list in the message when all have nothing */
    bool waits;        /* asks a server or runs a program */
    /* Whether this place is set up for us. If so the chain ends here, for better or worse. */
    bool (*applies)(struct aws *aws);
    /* ERR_NOT_FOUND: nothing here after all, the chain goes on. */
    int (*fetch)(struct aws *aws, struct credentials *out, struct err *err);
};

#define CREDENTIALS_ANSWER_MAX ((size_t)64 << 10)

/* Reads the JSON that the metadata services and credential_process answer with; `token_key` is
 * "Token" or "SessionToken". *out gets no source. */
int credentials_from_json(struct str text, const char *token_key, struct credentials *out,
                          struct err *err) MUST_CHECK;
/* The keys of the environment, and those that stand in a profile. */
int credentials_from_env(struct aws *aws, struct credentials *out, struct err *err) MUST_CHECK;
int credentials_from_keys(struct aws *aws, const char *profile, struct credentials *out,
                          struct err *err) MUST_CHECK;

/* Whether aws->credentials may sign at this moment, and need no refresh that could succeed. */
bool credentials_usable(const struct aws *aws);
/* Fetches if that does not wait (environment, files). */
void credentials_try_now(struct aws *aws);
/* Makes aws->credentials usable; waits. */
int credentials_resolve(struct aws *aws, struct err *err) MUST_CHECK;

#endif

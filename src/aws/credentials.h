/* Where the keys come from: a chain of providers, each an ops struct; its order is in
 * credentials.c. Fetching may wait (it runs on the program's main path, never in a callback). */
#ifndef FLAMBE_AWS_CREDENTIALS_H
#define FLAMBE_AWS_CREDENTIALS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>

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
    bool waits; /* asks a server or runs a program */
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
/* A key of a profile, NULL where it is absent or empty. */
const char *credentials_key(const struct aws *aws, const char *profile, const char *key);
bool credentials_has_keys(const struct aws *aws, const char *profile);

/* Fetchers, each for the file that its name says. `profile` is where the settings stand, which for
 * a source_profile is not the chosen one. */
int credentials_from_env(struct aws *aws, struct credentials *out, struct err *err) MUST_CHECK;
int credentials_from_keys(struct aws *aws, const char *profile, struct credentials *out,
                          struct err *err) MUST_CHECK;
/* Whatever the profile is set up for, but its role: what a source_profile stands for. */
int credentials_from_profile(struct aws *aws, const char *profile, struct credentials *out,
                             struct err *err) MUST_CHECK;
bool credentials_role_applies(const struct aws *aws, const char *profile);
int credentials_from_role(struct aws *aws, const char *profile, struct credentials *out,
                          struct err *err) MUST_CHECK;
bool credentials_web_applies(const struct aws *aws, const char *profile, bool with_env);
int credentials_from_web(struct aws *aws, const char *profile, bool with_env,
                         struct credentials *out, struct err *err) MUST_CHECK;
bool credentials_sso_applies(const struct aws *aws, const char *profile);
int credentials_from_sso(struct aws *aws, const char *profile, struct credentials *out,
                         struct err *err) MUST_CHECK;
int credentials_from_process(struct aws *aws, const char *profile, struct credentials *out,
                             struct err *err) MUST_CHECK;
bool credentials_container_applies(const struct aws *aws);
int credentials_from_container(struct aws *aws, struct credentials *out,
                               struct err *err) MUST_CHECK;

/* Whether aws->credentials may sign at this moment, and need no refresh that could succeed. */
bool credentials_usable(const struct aws *aws);
/* Fetches if that does not wait (environment, files). */
void credentials_try_now(struct aws *aws);
/* Makes aws->credentials usable; waits. */
int credentials_resolve(struct aws *aws, struct err *err) MUST_CHECK;

#endif

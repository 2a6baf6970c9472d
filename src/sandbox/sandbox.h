/* A sandbox that runs: the account, its hosts, the server in front, and the directory that they are
 * kept in.
 *
 *   DIR/sandbox.json      how it was started; a later start takes it over
 *   DIR/world.json        the account, saved after each change
 *   DIR/faults.json       the faults on demand
 *   DIR/identity.json     the user's access key and the seal of session tokens (0600)
 *   DIR/control.json      where the running process answers, and the operator's token (0600)
 *   DIR/lock              held while it runs
 *   DIR/requests.jsonl    the request log;  DIR/log  what the process has to say
 *   DIR/aws/…             config and credentials for AWS's clients
 *   DIR/flambe-key.pem    the key pair's private half;  DIR/aws-cluster.yaml  a ready cluster file
 *
 * Stopping pulls the plug of all machines and keeps their disks; starting again boots those that
 * were running, as EC2 shows them. A kill of the process leaves real hosts running: the next start
 * takes them up. */
#ifndef FLAMBE_SANDBOX_SANDBOX_H
#define FLAMBE_SANDBOX_SANDBOX_H

#include "base/err.h"
#include "net/httpd.h"
#include "sandbox/faults.h"
#include "sandbox/identity.h"
#include "sandbox/imds.h"
#include "sandbox/server.h"
#include "sandbox/settings.h"
#include "sandbox/world.h"

#define SANDBOX_ACCOUNT "123456789012"
#define SANDBOX_STATE_MAX ((size_t)256 << 20) /* bytes of world.json */

enum sandbox_errand { ERRAND_NONE, ERRAND_STOP, ERRAND_RESET };

struct sandbox {
    struct loop *loop;
    const struct clock *clock;
    struct settings settings;
    char *dir;
    struct lock *lock;
    struct identities *identities;
    struct faults *faults;
    struct server *server;
    struct imds *imds;
    struct world *world;       /* NULL while it is opened, reset or stopped */
    struct host_driver driver; /* the world's, once there is one */
    char *public_key, *control_token;
    uv_timer_t tick;  /* world_next_change() */
    uv_timer_t flush; /* a save that is due */
    bool timers_open;
    enum sandbox_errand errand; /* to be run from the main path, not from a callback */
    struct httpd_request *errand_request;
    void (*progress)(void *ctx, const char *line);
    void *progress_ctx;
};

/* Opens everything and serves. `s->dir`, `settings` and `loop` are set; the rest is zero. On
 * failure the caller still calls sandbox_close(). */
int sandbox_open(struct sandbox *s, struct err *err) MUST_CHECK;
/* Runs until it is told to stop, or a signal comes. */
int sandbox_run(struct sandbox *s, struct err *err) MUST_CHECK;
/* Ends the machines and keeps their disks, saves, and frees; half-open is legal. */
void sandbox_close(struct sandbox *s);

/* Saves the account now. */
int sandbox_save(struct sandbox *s, struct err *err) MUST_CHECK;
/* The account has changed, or time has passed: carries out what is due. */
void sandbox_advance(struct sandbox *s);

/* control.c: a request under /_sandbox/. */
void control_handle(struct sandbox *s, struct httpd_request *r);
/* Answers the request of an errand that is done. */
void control_done(struct httpd_request *r, const char *text, const struct err *err);

/* setup.c: the files for the user's programs. */
int setup_keys(struct sandbox *s, struct err *err) MUST_CHECK;
int setup_files(const struct sandbox *s, struct err *err) MUST_CHECK;
int setup_control(struct sandbox *s, struct err *err) MUST_CHECK;
/* Where root works for somebody by sudo, the files become theirs. */
void setup_owner(const char *dir);

#endif

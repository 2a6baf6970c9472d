/* A real OpenSSH sshd for tests: its own directory, keys and configuration, on a loopback address
 * and a free port. Nothing of the machine's own sshd is touched. */
#ifndef FLAMBE_TEST_SSHD_H
#define FLAMBE_TEST_SSHD_H

#include "ssh/ssh.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

struct sshd {
    char dir[64];     /* "/tmp/flambe-sshd-XXXXXX" */
    char address[16]; /* "127.0.0.9" */
    int port;
    int pid;                                    /* 0: not running */
    char *user;                                 /* who runs the test */
    char *host_ed25519, *host_rsa, *host_ecdsa; /* public lines of the host's keys */
    char *key_path;                             /* a private key that is let in */
};

/* Whether sshd and ssh-keygen are there; if not, says so once. */
bool sshd_available(void);
/* Makes the directory and the keys; extra is appended to the configuration. */
void sshd_init(struct sshd *d, const char *address, const char *extra);
void sshd_start(struct sshd *d); /* returns once it listens */
void sshd_stop(struct sshd *d);  /* kills it with all of its children */
void sshd_done(struct sshd *d);

/* Runs a command line by the shell and fails the test where it fails; stdout without its last
 * newline; the caller frees. */
char *shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int free_port(const char *address);

/* ---- what tests do with a session ---- */

struct opened {
    bool done;
    struct err err;
};

struct outcome {
    bool done;
    struct err err;
    struct ssh_exec_result result;
    struct buf out, err_out;
    struct buf order; /* 'o' and 'e', a letter for each call of output */
};

struct ssh_target sshd_target(const struct sshd *d, const char *const *keys, size_t count);
/* Opens and waits; the session lives even where it failed. */
struct ssh_session *open_session(struct loop *loop, struct ssh_pool *pool,
                                 const struct ssh_target *t, const struct ssh_connect_options *o,
                                 struct opened *result);
void start_command(struct ssh_session *s, const char *command, struct str input, usec_t timeout,
                   struct outcome *o);
void wait_outcome(struct loop *loop, struct outcome *o);
void run_command(struct loop *loop, struct ssh_session *s, const char *command, struct outcome *o);
void outcome_done(struct outcome *o);

#endif

/* One host's way from an address to ready, shared by contact.c, contact_steps.c and
 * contact_setup.c. */
#ifndef FLAMBE_CLUSTER_CONTACT_PRIV_H
#define FLAMBE_CLUSTER_CONTACT_PRIV_H

#include "cluster/cluster_priv.h"

enum stage {
    STAGE_WAIT,     /* for an address */
    STAGE_CONNECT,  /* with what is pinned */
    STAGE_CHECK,    /* is it ready already? */
    STAGE_CONTACT,  /* a new host key is made and shown */
    STAGE_PIN,      /* both keys are being pinned */
    STAGE_ACTIVATE, /* sshd takes the new key */
    STAGE_CONFIRM,  /* connecting, with the new key alone */
    STAGE_UNPIN,    /* the old key's pin is being dropped */
    STAGE_SETUP,
    STAGE_HELD,   /* for all others: the map of names needs every host */
    STAGE_REOPEN, /* connecting again, to finish */
    STAGE_FINISH,
    STAGE_DONE,
    STAGE_FAILED,
};

struct contact {
    struct contacts *cs;
    size_t index; /* of the host */
    enum stage stage;
    struct ssh_session *session;
    struct timer *timer; /* the next step, off the callback's stack */
    void (*next)(struct contact *k);
    struct buf out;   /* what the current command printed; its tail for set-up */
    bool awaits_save; /* goes on once the pins are written */
    bool young;       /* it may still be booting */
    bool was_running; /* when this run began */
    bool setup_done;
    int breaks;    /* connections that broke */
    char *new_key; /* being pinned, as printed by the host */
    usec_t confirm_until;
    struct check_answer check;
    struct setup_run *setup;
    struct err err;
};

struct contacts {
    struct cluster *c;
    const struct cluster_spec *spec;
    const struct ssh_identity *identity;
    struct pins *pins;
    struct cluster_hosts *hosts;
    struct contact *items; /* one a host */
    size_t count;
    struct ssh_pool *pool;
    struct timer *save_timer;
    usec_t began; /* monotonic */
    char *cluster_key;
    char setup_print[17];
    char map_print[17];
    bool finishing; /* the barrier is behind us */
};

#define CONTACT_OUTPUT_MAX 65536
#define CONTACT_TIMEOUT (60 * USEC_PER_SEC)

struct cluster_host *contact_host(const struct contact *k);
void contact_phase(struct contact *k, enum host_phase phase, const char *note);
void contact_fail(struct contact *k, const struct err *why);
/* Runs `next` from the loop, so that a session is never freed inside its own callback. */
void contact_later(struct contact *k, usec_t after, void (*next)(struct contact *k));
/* Connects with the host's pins (or `only`, one key) and then runs `then`. */
void contact_connect(struct contact *k, enum stage stage, const char *only, usec_t retry_for);
/* Starts a command in the open session. */
void contact_exec(struct contact *k, const char *command, struct str input, usec_t timeout,
                  void (*output)(void *ctx, bool is_err, struct str bytes));
/* contact_steps.c: what follows a connection, and a command's end. */
void contact_connected(struct contact *k);
void contact_command_ended(struct contact *k, const struct ssh_exec_result *r);
void contact_pins_saved(struct contact *k);
void contact_save_pins(struct contact *k); /* then contact_pins_saved() */
void contact_barrier(struct contacts *cs);
void contact_finish(struct contact *k);

/* contact_setup.c */
void contact_setup_start(struct contact *k);
void contact_setup_ended(struct contact *k, const struct ssh_exec_result *r);
void contact_setup_free(struct contact *k);

#endif

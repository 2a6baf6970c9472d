/* The driver: carries an experiment out, trial by trial, over any engine.
 *
 * The order of things: a trial's row is committed, then it is submitted; its end is committed, then
 * what follows from it is done. So whatever dies, the next driver finds in the store what had
 * ended, and starts anew what was running. Runs on the program's main path. */
#ifndef FLAMBE_EXPERIMENT_DRIVER_H
#define FLAMBE_EXPERIMENT_DRIVER_H

#include "engine/engine.h"
#include "experiment/plan.h"
#include "experiment/store.h"

struct driver_stage {
    const char *name;
    enum stage_state state;
    int64_t planned;
    bool at_most;
    int64_t by_state[TRIAL_STATE_COUNT]; /* TRIAL_PENDING: planned, not ended and not running */
    const char *metric;                  /* of its objective, or NULL */
    bool maximize;
    bool has_best;
    double best;
    char best_name[256]; /* of the trial */
    usec_t time_left;    /* an estimate from the trials that have ended; -1: none yet */
};

struct driver_status {
    struct driver_stage *stages;
    size_t count;
    usec_t began;     /* this session, wall time */
    usec_t time_left; /* of all stages; -1: not known */
    bool draining;    /* running trials are waited for, no more are started */
    const char *hint; /* what Ctrl-C does, where it does not drain; or NULL */
};

struct driver_event {
    enum driver_event_kind {
        DRIVER_STAGE_BEGAN,
        DRIVER_STAGE_ENDED,
        DRIVER_TRIAL_BEGAN,
        DRIVER_TRIAL_ENDED, /* `trial` says how; `again`: it will be tried again */
        DRIVER_WARNING,     /* `text` */
        DRIVER_SAYS,        /* `text`: what is being done */
    } kind;
    size_t stage;
    const struct store_trial *trial;
    bool again;
    const char *text;
};

struct driver_options {
    struct loop *loop;
    struct store *store;
    struct str file;              /* the text of the experiment's file */
    const char *directory;        /* output__NAME, absolute */
    const char *working;          /* where trials start, absolute */
    const char *const *env;       /* what trials inherit: "NAME=value", NULL-terminated */
    const char *const *resources; /* the local path of each resource of the experiment */
    const char *secrets;          /* the file's path for FLAMBE_SECRETS, or NULL */
    const char *python;           /* what runs scripts */
    struct strv python_path;      /* where modules are found, beside the working directory */
    const char *record;           /* the engine's, see engine_local_options; or NULL */
    const char *flambe;           /* this program, for trials that call `flambe log` */
    bool one_at_a_time;           /* --debug */
    bool reuse;                   /* take trials from the earlier run whose inputs are unchanged */
    void (*event)(void *ctx, const struct driver_event *e);
    void (*tick)(void *ctx); /* a few times a second: draw the status */
    void *ctx;
};

struct driver;

/* All live as long as the driver. */
struct driver *driver_new(const struct experiment_plan *plan, const struct driver_options *o);
void driver_free(struct driver *d);
/* The engine reports to these; give it before driver_run(). */
struct engine_events driver_engine_events(struct driver *d);
void driver_set_engine(struct driver *d, struct engine *engine);
/* Runs all that is left. 0: every trial is a success or was stopped early. ERR_PARTIAL: some
 * failed. ERR_CANCELLED: drained or stopped by Ctrl-C; the same command goes on. Other errors: a
 * full disk, a broken engine; what has ended is kept. */
int driver_run(struct driver *d, struct err *err) MUST_CHECK;
/* Starts no more trials; driver_run() returns when those that run have ended. Callable from the
 * loop. */
void driver_drain(struct driver *d);
/* Ends the running trials now. */
void driver_stop(struct driver *d);
/* Valid until the next call. */
const struct driver_status *driver_status(struct driver *d);

#endif

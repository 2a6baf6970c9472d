/* A results directory, opened for a run: whether the experiment begins, goes on, or begins again
 * beside what an earlier run left. */
#ifndef FLAMBE_EXPERIMENT_RUN_H
#define FLAMBE_EXPERIMENT_RUN_H

#include "experiment/spec.h"
#include "experiment/store.h"
#include "os/lock.h"
#include "os/loop.h"

#define RUN_LOCK_FILE "lock"
#define RUN_ENDS_FILE "ends"                /* see engine_local_options.record */
#define RUN_RESOLVED_FILE "experiment.yaml" /* with what was drawn in place of `!s` */
#define RUN_RECORD_FILE "run.json"
#define RUN_ORDER "order"       /* the fact: run_options.order of the last run */
#define RUN_EARLIER ".earlier"  /* directories of stages that --reuse takes trials from */
#define RUN_STATE_LINK ".state" /* to the directory of the state, where that is apart */

struct run_options {
    const char *save_path, *name; /* the results go to SAVE_PATH/output__NAME */
    const char *path;             /* of the experiment's file, absolute */
    struct str file;              /* its text */
    uint64_t seed;                /* for a run that begins */
    const struct strv *stages;    /* their names; may be NULL */
    bool force;                   /* earlier results give way: see run_keep() */
    bool reuse;                   /* trials whose inputs are unchanged are taken from them */
    bool resumes;                 /* the file has the key 'resume' */
    /* The directory of the state (flambe.db, lock, ends), where the results are on a file system
     * that cannot lock; NULL: where an earlier run had it, else the results' own. */
    const char *state;
    /* Which order this run is: one that is carried out by several processes, as those before died,
     * removes the earlier results (`force`) only once. NULL: each process is an order. */
    const char *order;
};

enum run_kind { RUN_BEGINS, RUN_GOES_ON, RUN_BEGINS_AGAIN };

struct run {
    char *directory; /* absolute */
    char *state;     /* where the state is, absolute; `directory` itself as a rule */
    enum run_kind kind;
    uint64_t seed; /* the first run's, where it goes on or begins again */
    bool reuse;    /* asked for now, or by the run that goes on */
    struct lock *lock;
    struct store *store;
    bool replaces;       /* earlier results are put aside, until run_keep() */
    struct strv foreign; /* what is beside them, for flambe did not make it: it stays */
};

/* The directory's path, which may not exist; the caller frees. */
char *run_directory(const char *save_path, const char *name);
/* Where the state of these results is; the caller frees. */
char *run_state_directory(const char *directory);
/* Takes the lock, waiting for the programs of a run that was killed to be ended. ERR_EXISTS where
 * there are results that would have to give way, ERR_CONFLICT where another flambe is at work. */
int run_open(struct loop *loop, const struct run_options *o, struct run *out,
             struct err *err) MUST_CHECK;
/* Earlier results that gave way are put back, unless it was kept. */
void run_close(struct run *r);
/* The run has begun: earlier results that gave way are removed. On failure `r->replaces` says
 * whether they can still be put back. */
int run_keep(struct run *r, struct err *err) MUST_CHECK;
/* Of a name in the directory: what fs_write_atomic() and the like had not put in its place when a
 * process was killed. */
bool run_is_half_written(const char *name);
/* Writes the file as it stands but for secrets in URLs, with drawn numbers in place of `!s`; where
 * that cannot be, as where a search draws, with the seed. It gives the same trials again. */
int run_write_resolved(const struct run *r, const struct experiment *e, struct str text,
                       struct err *err) MUST_CHECK;

#endif

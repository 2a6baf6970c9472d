/* An experiment's state: one SQLite file beside its results (`output__NAME/flambe.db`).
 *
 * One process writes (the driver, which holds the lock); any number read meanwhile. What has been
 * committed survives a kill, and what has been synced a power cut. A trial has a row from its start
 * on. */
#ifndef FLAMBE_EXPERIMENT_STORE_H
#define FLAMBE_EXPERIMENT_STORE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define STORE_FILE "flambe.db"
#define STORE_VERSION 2 /* a change of the schema is a new one; earlier ones are read too */

struct store;

enum store_mode { STORE_READ, STORE_WRITE, STORE_CREATE };

/* `directory` is output__NAME. ERR_NOT_FOUND where it has no state; ERR_PARSE, with what to do,
 * where the file is damaged or not flambe's; ERR_CONFLICT where a newer flambe made it. It may be
 * anybody's: rows that cannot be are ERR_PARSE when they are read, numbers come within bounds,
 * names of stages and trials are those of directories; other texts may be any bytes. */
int store_open(const char *directory, enum store_mode mode, struct store **out,
               struct err *err) MUST_CHECK;
void store_close(struct store *s); /* without a commit; NULL is legal */
/* Everything written since the last commit is kept whatever kills this process, or, on failure,
 * none of it. ERR_IO with `sys` ENOSPC where the disk is full. */
int store_commit(struct store *s, struct err *err) MUST_CHECK;
/* The same, for all commits up to now, through a power cut too. Costs the disk's own time. */
int store_sync(struct store *s, struct err *err) MUST_CHECK;

/* Whether it can be the name of a stage's or a trial's directory, which leads nowhere else. */
bool store_is_name(const char *name);

/* ---- facts: one value by name ------------------------------------------------------------- */

/* "name", "file" (the text of the experiment's file), "path" (of that file, absolute), "seed", and
 * those with a name below. */
int store_set(struct store *s, const char *key, const char *value, struct err *err) MUST_CHECK;
/* NULL where it is absent; the caller frees. */
char *store_get(struct store *s, const char *key);

#define STORE_STATE "state" /* a run_state_name(), of the last run */
#define STORE_BEGAN "began" /* wall time of the last run's begin: microseconds, as decimal text */

#define STORE_ENDED "ended" /* the same of its end; absent, or an earlier run's, until then */

enum run_state {
    RUN_RUNNING,     /* what a run writes first; and that it did not end, where none is at work */
    RUN_FINISHED,    /* every trial is a success or was stopped early */
    RUN_STOPPED,     /* drained or ended by the user */
    RUN_FAILED,      /* trials or the run itself failed */
    RUN_INTERRUPTED, /* never written: what run_state_now() makes of RUN_RUNNING */
    RUN_STATE_COUNT,
};
const char *run_state_name(enum run_state s); /* "running", "finished", … */
/* What the fact (NULL where absent) comes to; `held`: a run has the directory's lock. */
enum run_state run_state_now(const char *fact, bool held);

/* ---- stages ------------------------------------------------------------------------------- */

enum trial_state {
    TRIAL_PENDING, /* not started yet: has no row, or waits to be tried again */
    TRIAL_RUNNING,
    TRIAL_SUCCESS,
    TRIAL_FAILURE,
    TRIAL_STOPPED, /* ended early by a scheduler: a result like any other */
    TRIAL_STATE_COUNT,
};
const char *trial_state_name(enum trial_state s); /* "pending", "running", … */

enum stage_state { STAGE_PENDING, STAGE_RUNNING, STAGE_DONE, STAGE_FAILED, STAGE_STATE_COUNT };
const char *stage_state_name(enum stage_state s);

struct store_stage {
    int id; /* its place in the pipeline */
    char *name;
    enum stage_state state;
    int64_t planned; /* trials, as far as is known */
    bool at_most;    /* `planned` is a bound */
    char *metric;    /* of its objective, or NULL */
    bool maximize;
    bool best;         /* the best value counts, not the last */
    char *fingerprint; /* JSON: what its results depend on */
    char *note;        /* "taken from the earlier run", or NULL */
};

int store_put_stage(struct store *s, const struct store_stage *stage, struct err *err) MUST_CHECK;
/* In the pipeline's order; the caller frees by store_stages_free(). */
int store_stages(struct store *s, struct store_stage **out, size_t *count,
                 struct err *err) MUST_CHECK;
void store_stages_free(struct store_stage *stages, size_t count);

struct store_counts {
    int64_t by_state[TRIAL_STATE_COUNT]; /* TRIAL_PENDING: only those with a row */
};
int store_counts(struct store *s, int stage, struct store_counts *out, struct err *err) MUST_CHECK;

/* ---- trials ------------------------------------------------------------------------------- */

struct store_trial {
    int64_t id;
    int stage;
    int64_t number; /* within its stage: the variant, or the search's number */
    char *name;     /* its directory's name within the stage's */
    char *params;   /* JSON object: options over the whole closure, by label */
    char *draw;     /* JSON: what a search drew for it; NULL: it is a variant */
    char *fingerprint;
    enum trial_state state;
    int attempts;
    usec_t started, ended; /* of the last attempt; 0: not yet */
    char *end;             /* "exited", "time limit", …; NULL while running */
    int exit_status, signal;
    char *message;
    usec_t user_time, system_time; /* CPU, of the last attempt */
    uint64_t memory_peak;          /* bytes */
    char *host, *gpus;
    bool has_objective;
    double objective;
    char *warning; /* "1 event file is damaged: …"; NULL: none */
};

/* Adds the row (id 0: it gets one) or replaces all of it but its place, `stage` and `number`, which
 * are what they were. Strings are copied. */
int store_put_trial(struct store *s, struct store_trial *t, struct err *err) MUST_CHECK;
void store_trial_done(struct store_trial *t);
/* How its last attempt ended: "exited with status 3: boom"; nothing where it has not. */
void store_trial_reason(const struct store_trial *t, struct buf *out);
/* ERR_NOT_FOUND where there is none. */
int store_trial(struct store *s, int stage, int64_t number, struct store_trial *out,
                struct err *err) MUST_CHECK;

/* ---- an earlier run's trials, of which a new run may take some ------------------------------ */

/* All stages and trials become the earlier run's: no call but those below sees them. Their stages'
 * directories are to be moved to '.earlier/GENERATION/STAGE'. */
int store_retire(struct store *s, int64_t *generation, struct err *err) MUST_CHECK;
struct store_retired {
    int64_t id; /* of the trial */
    char *path; /* '.earlier/GENERATION/STAGE/NAME', of its directory */
    char *params, *fingerprint;
};
void store_retired_done(struct store_retired *r);
/* The latest one with a result and this fingerprint, or, where `fingerprint` is NULL, of the stage
 * and these parameters. ERR_NOT_FOUND where there is none. */
int store_find_retired(struct store *s, const char *fingerprint, const char *stage,
                       const char *params, struct store_retired *out, struct err *err) MUST_CHECK;
/* What the earlier run's latest stage of this name depended on, or NULL; the caller frees. */
char *store_retired_stage(struct store *s, const char *stage);
/* The trial becomes this run's; its metrics and attempts stay with it. */
int store_adopt(struct store *s, int64_t id, int stage, int64_t number, const char *name,
                struct err *err) MUST_CHECK;
/* Removes all that was not adopted. */
int store_drop_retired(struct store *s, struct err *err) MUST_CHECK;

/* Trials without the value that is sorted by come last, whichever way; by the objective, those that
 * failed come behind them. */
struct store_query {
    int stage;         /* -1: all */
    int state;         /* -1: all */
    const char *name;  /* only this one, or NULL */
    const char *order; /* NULL: by stage and number; "" is the objective; else a metric's tag */
    enum store_time { STORE_NO_TIME, STORE_STARTED, STORE_DURATION } time; /* goes before `order` */
    bool descending;
    int64_t limit, offset; /* limit 0: no limit */
};
/* Calls fn for each, one at a time: a million trials take no more memory than one. fn returns
 * false to end it. The trial is the callee's to look at only. */
int store_each_trial(struct store *s, const struct store_query *q,
                     bool (*fn)(void *ctx, const struct store_trial *t), void *ctx,
                     struct err *err) MUST_CHECK;

/* ---- attempts: append-only history -------------------------------------------------------- */

/* The `end` of one that the user stopped, or that ran when its driver died: no failure. */
#define STORE_INTERRUPTED "interrupted"
struct store_attempt {
    int number; /* from 1 */
    usec_t started, ended;
    char *end; /* or NULL while it runs */
    int exit_status, signal;
    char *message;
};
int store_add_attempt(struct store *s, int64_t trial, const struct store_attempt *a,
                      struct err *err) MUST_CHECK;
int store_each_attempt(struct store *s, int64_t trial,
                       void (*fn)(void *ctx, const struct store_attempt *a), void *ctx,
                       struct err *err) MUST_CHECK;

/* ---- for who looks on while another process writes ------------------------------------------ */

/* One attempt that has ended. */
struct store_end {
    int64_t row;
    bool last; /* the trial's last attempt so far */
    struct store_attempt attempt;
    /* Its stage, number, name, warning, and, as of this attempt, how it ended; `state` is pending
     * where it was tried again, or is to be. */
    struct store_trial trial;
};
/* Those behind the row *after (0: all), in the order in which they ended; *after becomes the last
 * one's. */
int store_each_end(struct store *s, int64_t *after,
                   void (*fn)(void *ctx, const struct store_end *e), void *ctx,
                   struct err *err) MUST_CHECK;
/* How long the stage's trials that have ended took, all together, and how many there are. */
int store_spent(struct store *s, int stage, usec_t *sum, int64_t *count,
                struct err *err) MUST_CHECK;

/* ---- metrics ------------------------------------------------------------------------------ */

/* A point with a step that its tag has passed already voids those from that step on. */
int store_add_point(struct store *s, int64_t trial, struct str tag, int64_t step, usec_t wall,
                    double value, struct err *err) MUST_CHECK;
/* The points of all tags with a step >= `step` are void; INT64_MIN: all of them. */
int store_purge(struct store *s, int64_t trial, int64_t step, struct err *err) MUST_CHECK;

struct store_metric {
    const char *tag;
    int64_t count, first_step, last_step;
    double last, min, max; /* NaN values take no part in min and max */
};
/* One summary a tag, by tag. */
int store_each_metric(struct store *s, int64_t trial,
                      void (*fn)(void *ctx, const struct store_metric *m), void *ctx,
                      struct err *err) MUST_CHECK;
/* The tag's points by rising step. */
int store_each_point(struct store *s, int64_t trial, const char *tag,
                     bool (*fn)(void *ctx, int64_t step, usec_t wall, double value), void *ctx,
                     struct err *err) MUST_CHECK;
/* The first `max` tags, by name, that any trial of the stage (-1: of any) has. */
int store_tags(struct store *s, int stage, size_t max, struct strv *out,
               struct err *err) MUST_CHECK;

#endif

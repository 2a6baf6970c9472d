/* What the files of the driver share.
 *
 *   driver.c            the loop: what has ended, what has been reported, what begins next
 *   driver_stage.c      a stage: its beginning and its end
 *   driver_candidate.c  what a trial builds on, and which one is the next
 *   driver_trial.c      a trial: its beginning and its end
 *   driver_watch.c      what running trials report, and who is told */
#ifndef FLAMBE_EXPERIMENT_DRIVER_PRIV_H
#define FLAMBE_EXPERIMENT_DRIVER_PRIV_H

#include "experiment/assignment.h"
#include "experiment/dimensions.h"
#include "experiment/driver.h"
#include "experiment/fingerprint.h"
#include "experiment/metrics.h"

#define STOP_GRACE (5 * USEC_PER_SEC) /* of a trial that is stopped early or by Ctrl-C */
#define LOST_MAX 10                   /* times that a trial is run again when its host died */
#define COMBINATIONS_MAX 100000       /* of earlier trials, for one searched stage */

/* A trial that is to be tried again. */
struct again {
    int64_t number;
    usec_t not_before; /* monotonic */
};

/* A stage of this run. */
struct stage_run {
    struct driver *d;
    size_t at;
    const struct stage *stage;
    const struct stage_plan *plan;
    bool open, ended;

    /* What is enumerated: the options of the closure, each earlier searched stage by its trials
     * instead of its options; for a searched stage, without its own. */
    struct variants variants;
    struct strtab *labels; /* of all options of the closure, by path */
    json_t *domains;       /* of the hyper-parameters */
    bool searched;
    struct dimensions dimensions;
    size_t *combinations; /* variants whose earlier trials all have a result */
    size_t combination_count;
    /* A searched stage's trials with a result, as an option of the stages behind it. */
    struct choice as_choice;
    struct choice *as_choice_item;
    struct space as_space;

    int64_t total;    /* numbers that a trial may have: from 0 to below it */
    int64_t cursor;   /* the next to be looked at */
    bool asked_all;   /* the search has no more */
    bool interrupted; /* a trial was ended by the user: it is for the next driver */
    struct again *again;
    size_t again_count, again_cap;

    int64_t planned; /* without those whose earlier trials failed */
    int64_t counts[TRIAL_STATE_COUNT];
    int64_t taken;            /* from the earlier run */
    bool begun;               /* a trial was, in this session, or was taken */
    char *fingerprint, *note; /* of the stage's row, as an earlier session left it; or NULL */
    int64_t *kept;            /* by rising number, where the stage is reduced and has ended */
    size_t kept_count;
    bool has_kept;

    struct search *search;
    struct asha *asha;
    const char *watched; /* the metric that asha compares, or NULL */
    bool watched_maximize;

    bool told_nothing; /* that a trial did not report the objective */
    bool has_best;
    double best;
    int64_t best_number;
    char *best_name;
    usec_t spent; /* by trials that ended in this session */
    int64_t spent_count;
};

/* A trial about to begin: what it is, before there is a row. */
struct candidate {
    struct store_trial row; /* what is known of it from before; id 0: nothing */
    char *name;
    struct assignment options;      /* of the whole closure */
    char **directories;             /* by stage */
    char **marks;                   /* by stage: what stands for the directory in a fingerprint */
    struct dimension_value *values; /* of a searched stage */
    json_t *params;                 /* options by label */
    bool valid;                     /* all that it builds on has a result */
};

/* A trial under way. */
struct running {
    struct stage_run *stage;
    struct store_trial t;
    char *directory;
    struct metrics_reader *reader;
    usec_t begun; /* monotonic */
    bool early;   /* is being stopped by a scheduler */
    bool whole;   /* because it has come to the scheduler's max_t: a success */
    double clock; /* the last value of the scheduler's time_attr */
    bool has_clock;
    struct running *next;
};

struct engine_news {
    bool ended;
    uint64_t id;
    struct engine_result result;
    char *host, *gpus; /* of a start */
};

struct driver {
    const struct experiment_plan *plan;
    const struct experiment *experiment;
    struct driver_options o;
    struct engine *engine;
    struct fingerprints *fingerprints;
    char **resource_marks;
    struct stage_run *stages;
    size_t count;
    struct running *running;
    size_t running_count;
    struct engine_news *news;
    size_t news_count, news_cap;
    struct engine_result *ends; /* from the record: of trials that the last driver did not finish */
    size_t end_count, end_cap;
    bool drain, stop, stop_sent;
    bool unsynced;
    usec_t synced, polled, ticked; /* monotonic */
    usec_t began;                  /* wall */
    struct err broken;             /* the engine's, or the first of a callback */
    int64_t failed;                /* trials, over all stages */
    struct driver_status status;
};

/* Whether an error of a trial's files is the disk's, which ends the run, or the trial's own doing.
 */
bool driver_disk_failed(const struct err *err);
usec_t driver_now(const struct driver *d);
void driver_say(struct driver *d, enum driver_event_kind kind, const struct stage_run *s,
                const struct store_trial *t, bool again, const char *text);
void driver_warn(struct driver *d, const struct stage_run *s, const struct store_trial *t,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);

/* ---- driver_stage.c ---------------------------------------------------------------------------
 */

/* Makes what the stage enumerates, says that it begins, and settles what an earlier process left of
 * it. */
int stage_open(struct stage_run *s, struct err *err) MUST_CHECK;
void stage_close(struct stage_run *s);
/* All trials have ended: which of them later stages see. */
int stage_end(struct stage_run *s, struct err *err) MUST_CHECK;
int stage_put(struct stage_run *s, enum stage_state state, struct err *err) MUST_CHECK;

/* ---- driver_candidate.c -----------------------------------------------------------------------
 */

enum stage_next { NEXT_TRIAL, NEXT_WAIT, NEXT_NONE };
/* The next trial to begin. NEXT_WAIT: none now; a running trial or a pause has to end first. */
int stage_next(struct stage_run *s, struct candidate *out, enum stage_next *next,
               struct err *err) MUST_CHECK;
/* Whether a trial may be left to begin, now or later. */
bool stage_left(const struct stage_run *s);
/* When the first of those that wait may be tried again, or USEC_FOREVER. */
usec_t stage_wake(const struct stage_run *s);
void candidate_done(struct candidate *c, size_t stages);
/* Whether all that the variant builds on has a result. */
int candidate_check(const struct stage_run *s, size_t index, bool *valid,
                    struct err *err) MUST_CHECK;
/* Whether the trial of that number is among those that later stages see. */
bool stage_keeps(const struct stage_run *s, const struct store_trial *t);

/* ---- driver_trial.c ---------------------------------------------------------------------------
 */

/* Starts it, or takes it from the earlier run. */
int trial_begin(struct stage_run *s, struct candidate *c, struct err *err) MUST_CHECK;
/* What has become of it; `r` is freed. */
int trial_end(struct driver *d, struct running *r, const struct engine_result *result,
              struct err *err) MUST_CHECK;
/* A row that an earlier process left as running: its end is settled. */
int trial_recover(struct stage_run *s, int64_t number, struct err *err) MUST_CHECK;
/* It waits to be run again, as far as the store can be told so. */
void trial_interrupt(struct driver *d, struct running *r);
struct running *trial_find(struct driver *d, uint64_t engine_id);
void trial_drop(struct driver *d, struct running *r); /* without a trace in the store */
uint64_t trial_engine_id(const struct store_trial *t);
char *trial_directory(const struct driver *d, const struct stage_run *s, const char *name);

/* ---- driver_watch.c ---------------------------------------------------------------------------
 */

/* Reads what the trial has reported since the last time. */
int watch_poll(struct driver *d, struct running *r, bool final, struct err *err) MUST_CHECK;
/* Makes the stage's search and scheduler, and tells them what is in the store. */
int watch_open(struct stage_run *s, struct err *err) MUST_CHECK;
/* Tells the scheduler what a trial that was taken from the earlier run had reported. */
int watch_taken(struct stage_run *s, const struct store_trial *t, struct err *err) MUST_CHECK;
/* Fills has_objective and objective from the store; *metrics: each tag's last value. */
int watch_objective(struct stage_run *s, struct store_trial *t, json_t **metrics,
                    struct err *err) MUST_CHECK;

#endif

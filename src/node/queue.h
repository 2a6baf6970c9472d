/* The experiments that a cluster runs and that wait, in a directory of the login user's:
 *
 *   TURN-NAME.json       an entry, as it was given; TURN says whose turn is next
 *   TURN-NAME.turn       its turn has come: since when, and which of its processes died
 *   TURN-NAME.ask        somebody wants it to end: "removed" or "replaced"
 *   done/TURN-NAME.json  {"entry", "outcome"} of one that is over; the last QUEUE_DONE_MAX
 *   lock                 held while entries come, go, or get their turn
 *   keeper               held by the process that carries them out
 *
 * TURN is "0-" (ahead of all that wait) or "1-", and a number that rises. Every step is one file
 * that appears whole or goes, so that whatever dies between two steps leaves a queue: an entry that
 * is in done/ too is over, and what belongs to no entry is nothing. */
#ifndef FLAMBE_NODE_QUEUE_H
#define FLAMBE_NODE_QUEUE_H

#include "node/entry.h"
#include "os/lock.h"
#include "os/loop.h"
#include <jansson.h>

#define QUEUE_DIRECTORY "/var/lib/flambe/queue"
#define QUEUE_MAX 1000     /* entries */
#define QUEUE_DONE_MAX 100 /* outcomes that are kept */
#define QUEUE_LOCK_WAIT (10 * USEC_PER_SEC)
#define QUEUE_DEATHS_MAX 5 /* within QUEUE_DEATHS_SPAN: then it is given up */
#define QUEUE_DEATHS_SPAN USEC_PER_MIN
#define QUEUE_DEATHS_EVER 1000 /* over the whole of its turn */

/* ---- what an entry's state is -------------------------------------------------------------- */

enum queue_outcome {
    QUEUE_FINISHED,
    QUEUE_FAILED,
    QUEUE_STOPPED, /* its run was drained or ended by the user */
    QUEUE_REMOVED,
    QUEUE_REPLACED,
    QUEUE_OUTCOME_COUNT,
};
const char *queue_outcome_name(enum queue_outcome o); /* "finished", "failed", … */

/* Of an entry whose turn has come. */
struct queue_turn {
    usec_t began;                    /* wall */
    usec_t deaths[QUEUE_DEATHS_MAX]; /* wall; the last ones, the oldest first */
    int death_count;                 /* ever */
};

struct queue_item {
    char *id; /* the file's name without ".json" */
    uint64_t number;
    bool ahead;
    struct entry entry;
    char *damage; /* why it is no entry; or NULL */
    bool has_turn;
    struct queue_turn turn;
    bool asked; /* to end as `ask` */
    enum queue_outcome ask;
    char *asked_by; /* or NULL */
};

/* In the order of turns; the one whose turn has come is the first. */
struct queue {
    char *directory;
    struct queue_item *items;
    size_t count, cap;
    uint64_t next; /* the number of the next entry */
};

/* ---- pure ---------------------------------------------------------------------------------- */

/* "1-0000000013-sweep"; the caller frees. */
char *queue_id(bool ahead, uint64_t number, const char *name);
/* False where it is none. `name` is a view into it. */
bool queue_read_id(struct str id, bool *ahead, uint64_t *number, struct str *name);
/* Sorts the items into the order of turns. */
void queue_sort(struct queue *q);
struct queue_item *queue_by_name(const struct queue *q, const char *word); /* or id; NULL */

/* What becomes of a queue when an entry of this name comes. */
struct queue_admission {
    bool ahead;
    struct queue_item *ask;  /* is asked to end, as replaced; or NULL */
    struct queue_item *drop; /* waits under the same name, and goes at once; or NULL */
};
/* ERR_BUSY where something runs or waits, and neither `wait` (behind it) nor `force` (in its place)
 * is set, or where one of this name is there and `force` is not; ERR_LIMIT where the queue is full.
 */
int queue_admit(const struct queue *q, const char *name, bool wait, bool force,
                struct queue_admission *out, struct err *err) MUST_CHECK;

/* Notes a death, and says how long to wait before the next process: -1 gives the entry up. */
usec_t queue_death(struct queue_turn *t, usec_t wall);

/* What a process of the run has come to. */
struct queue_ending {
    int exit_status, signal;
    const char *state; /* the run's, by its store; NULL: none, or of another order */
    bool quitting;     /* the host goes down: the run is to go on later */
    bool asked;
    enum queue_outcome ask;
};
enum queue_verdict {
    QUEUE_OVER,    /* *outcome */
    QUEUE_DIED,    /* another process goes on */
    QUEUE_GOES_ON, /* at the service's next start */
};
enum queue_verdict queue_judge(const struct queue_ending *e, enum queue_outcome *outcome);

/* ---- on the disk --------------------------------------------------------------------------- */

/* Makes the directory where it is missing. Waits for whoever has the lock, at most
 * QUEUE_LOCK_WAIT. */
int queue_lock(struct loop *loop, const char *directory, struct lock **out,
               struct err *err) MUST_CHECK;
int queue_read(const char *directory, struct queue *out, struct err *err) MUST_CHECK;
void queue_done(struct queue *q);
char *queue_path(const struct queue *q, const struct queue_item *item, const char *suffix);
/* Adds the text of an entry; *id is the caller's to free. Those below are called with the lock
 * held. */
int queue_add(struct queue *q, bool ahead, const char *name, struct str text, char **id,
              struct err *err) MUST_CHECK;
int queue_ask(const struct queue *q, const struct queue_item *item, enum queue_outcome how,
              const char *by, struct err *err) MUST_CHECK;
int queue_put_turn(const struct queue *q, struct queue_item *item, const struct queue_turn *t,
                   struct err *err) MUST_CHECK;
/* Whether it has secrets, and no other entry has the same file, as the one that replaces it. */
bool queue_has_secrets_alone(const struct queue *q, const struct queue_item *item);
/* It is over: moves it to done/. `reason` (may be NULL) is for people. */
int queue_finish(const struct queue *q, const struct queue_item *item, enum queue_outcome outcome,
                 int exit_status, const char *reason, usec_t wall, struct err *err) MUST_CHECK;
/* Takes away what a process that died has left. */
int queue_clean(const char *directory, struct err *err) MUST_CHECK;

/* {"id", "name", "state": "running" or "waiting", "by", "submitted", "began", "deaths",
 * "results"}; the caller owns it. */
json_t *queue_item_json(const struct queue_item *item);
/* The outcomes of the last entries that are over, the latest first; of `name` alone unless NULL. */
int queue_outcomes(const char *directory, const char *name, size_t max, json_t **out,
                   struct err *err) MUST_CHECK;

#endif

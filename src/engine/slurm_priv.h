/* The inside of the Slurm engine.
 *
 *   slurm.c         the engine's operations, its coming and going
 *   slurm_submit.c  from programs that wait to job arrays in Slurm
 *   slurm_batch.c   an array's programs and its file
 *   slurm_watch.c   what becomes of them: records, Slurm's list of ended jobs
 *   slurm_look.c    the same by looks at Slurm's queue, and how large the cluster is
 *   slurm_cancel.c  ending them
 *   slurm_state.c   pure: how what is known of a program changes with each fact
 *   slurm_parse.c   pure: what Slurm's programs print
 *   slurm_spec.c    pure: the file by which the wrapper learns what to run
 *   slurm_record.c  what the wrapper tells: records of starts and ends
 *   slurm_trial.c   the wrapper
 *
 * In the engine's directory, which all hosts share:
 *
 *   specs/TOKEN     the programs of one job array; written before the array is submitted, gone when
 *                   nothing of it can run any more: a task whose file is gone runs nothing, and a
 *                   program whose file goes is ended
 *   specs/TOKEN.hold  the same, while it is in doubt whether Slurm has taken the array
 *   specs/TOKEN.INDEX.lost  that task has been given up, and may have been started anew elsewhere:
 *                   its wrapper, should it live, ends its program
 *   records/NODE    what the wrappers on one host tell, one line each, appended
 *
 * TOKEN is random, and the array's name in Slurm is flambe-TOKEN, so that whatever dies between,
 * what has been submitted is found again. */
#ifndef FLAMBE_ENGINE_SLURM_PRIV_H
#define FLAMBE_ENGINE_SLURM_PRIV_H

#include "base/buf.h"
#include "base/strtab.h"
#include "engine/engine.h"
#include "os/proc.h"
#include <uv.h>

#define SLURM_TOKEN 16 /* characters, [0-9a-f] */
#define SLURM_NAME "flambe-"
#define SLURM_HOLD ".hold"
#define SLURM_LOST "lost" /* the end of that file's name */
#define SLURM_NODE_MAX 64
#define SLURM_LIVE_MAX ((size_t)4096)         /* programs under way, in the queue or running */
#define SLURM_SPEC_MAX ((size_t)64 << 20)     /* bytes of one array's programs */
#define SLURM_CALL_MAX (30 * USEC_PER_SEC)    /* for one of Slurm's programs */
#define SLURM_TICK (250 * USEC_PER_MSEC)      /* between two looks at the clock and at files */
#define SLURM_LOOK_SOON USEC_PER_SEC          /* for a look at the queue that something asks for */
#define SLURM_DOUBT_AFTER (3 * USEC_PER_SEC)  /* where nothing that was submitted begins */
#define SLURM_LOOK_CLUSTER (5 * USEC_PER_SEC) /* between two looks at the nodes */
#define SLURM_BACKOFF_MAX (10 * USEC_PER_SEC) /* between two tries while Slurm is silent */
#define SLURM_REFUSALS_MAX 3                  /* of one array, by a Slurm that answers */
#define SLURM_SPEC_KEEP (60 * USEC_PER_SEC)   /* after its last end, for a driver that dies now */
#define SLURM_CANCEL_AGAIN (5 * USEC_PER_SEC) /* a program that should be gone is ended again */
#define SLURM_CANCEL_MAX ((size_t)400)        /* tasks named in one call */
#define SLURM_FREE_MAX (20 * USEC_PER_SEC)    /* for all to end */
#define SLURM_RECORD_SOON (3 * USEC_PER_SEC)  /* for a record that may have been written */
#define SLURM_RECORD_LATE (60 * USEC_PER_SEC) /* for one that was, by the wrapper's status */
#define SLURM_ENDED_BLOCK ((size_t)65536)     /* read at once */
#define SLURM_LINE_MAX ((size_t)4096)         /* of a list or a record; longer ones are not ours */
#define SLURM_TIME_MARGIN (5 * USEC_PER_MIN)  /* Slurm's time limit is so much later */

/* The wrapper's exit status. A shell that cannot run it says 126 or 127. */
enum slurm_exit {
    SLURM_EXIT_RECORDED = 0,
    SLURM_EXIT_NO_SPEC = 64,   /* the spec is gone or unreadable: nothing was run */
    SLURM_EXIT_NO_RUN = 65,    /* the wrapper failed before it could run anything */
    SLURM_EXIT_NO_RECORD = 66, /* it was run, but its end could not be written */
    SLURM_EXIT_NO_SHELL_FILE = 126,
    SLURM_EXIT_NO_WRAPPER = 127,
};

/* ---- slurm_parse.c: pure --------------------------------------------------------------------- */

enum slurm_state {
    SLURM_PENDING,
    SLURM_ALIVE, /* running, completing, or a state that only a later Slurm knows */
    SLURM_COMPLETED,
    SLURM_FAILED,
    SLURM_CANCELLED,
    SLURM_TIMEOUT,
    SLURM_NODE_FAIL, /* its node or Slurm itself failed */
    SLURM_OUT_OF_MEMORY,
};

/* Slurm's word about one task. */
struct slurm_word {
    enum slurm_state state;
    int exit_status, signal; /* of the wrapper; -1: not said */
    char node[SLURM_NODE_MAX];
};

/* Which task it is about. */
struct slurm_task {
    char token[SLURM_TOKEN + 1];
    uint32_t index;
    uint64_t job; /* the array's number */
};

struct slurm_cluster {
    uint64_t cpus, gpus; /* of nodes that are up */
};

bool slurm_number(struct str text, uint64_t max, uint64_t *out) MUST_CHECK;
bool slurm_is_token(struct str text);
/* A line of jobcomp/filetxt; false where it is not of a task of ours, run by this user. */
bool slurm_parse_ended(struct str line, uint64_t uid, struct slurm_task *task,
                       struct slurm_word *word) MUST_CHECK;
/* A line of `squeue -o SLURM_QUEUE_FORMAT -r`. */
#define SLURM_QUEUE_FORMAT "%F|%K|%T|%N|%j"
bool slurm_parse_queue(struct str line, struct slurm_task *task,
                       struct slurm_word *word) MUST_CHECK;
/* A line of `sinfo -N -o SLURM_NODES_FORMAT`, added to *sum. */
#define SLURM_NODES_FORMAT "%N|%C|%G"
bool slurm_parse_node(struct str line, struct slurm_cluster *sum) MUST_CHECK;
/* MaxArraySize in what `scontrol show config` prints. */
bool slurm_parse_array_max(struct str text, uint64_t *out) MUST_CHECK;
/* The number that `sbatch --parsable` prints. */
bool slurm_parse_job(struct str text, uint64_t *out) MUST_CHECK;
/* The first line that says something, without its "sbatch: error: ", cleaned. */
void slurm_first_line(struct str text, char *out, size_t size);

/* ---- slurm_spec.c: pure ---------------------------------------------------------------------- */

struct slurm_spec {
    usec_t created; /* wall */
    usec_t stop_grace;
    uint64_t ended_file, ended_size; /* the list of ended jobs as it was: inode and bytes */
    uint64_t count;
};

struct slurm_row {
    uint64_t id;
    uint64_t cpus, gpus;
    uint64_t offset, length; /* of the program in the file: a WIRE_START frame */
};

#define SLURM_HEAD_SIZE ((size_t)128) /* of the file's first line */
#define SLURM_ROW_SIZE ((size_t)96)   /* of each line after it */

void slurm_spec_put_head(const struct slurm_spec *spec, struct buf *out);
void slurm_spec_put_row(const struct slurm_row *row, struct buf *out);
bool slurm_spec_head(struct str bytes, struct slurm_spec *out) MUST_CHECK;
bool slurm_spec_row(struct str bytes, struct slurm_row *out) MUST_CHECK;

/* ---- slurm_record.c -------------------------------------------------------------------------- */

struct slurm_start {
    usec_t wall;
    char host[SLURM_NODE_MAX];
    char gpus[ENGINE_HOST_MAX];
};

void slurm_record_start(const struct slurm_task *task, const struct slurm_start *start,
                        struct buf *line);
void slurm_record_end(const struct slurm_task *task, const struct engine_result *result,
                      struct buf *line);
enum slurm_record { SLURM_RECORD_NONE, SLURM_RECORD_START, SLURM_RECORD_END };
/* Of a line without its end. */
enum slurm_record slurm_record_parse(struct str line, struct slurm_task *task,
                                     struct slurm_start *start, struct engine_result *result);

/* ---- slurm_state.c: pure --------------------------------------------------------------------- */

enum slurm_phase { SLURM_WAITS, SLURM_QUEUED, SLURM_STARTED, SLURM_OVER };

/* What is known of one program. */
struct slurm_view {
    enum slurm_phase phase;
    bool stop_asked;
    bool has_word;          /* Slurm says that it is over */
    bool has_record;        /* `result` is its record, and Slurm's word is waited for */
    int absent;             /* looks at the queue in a row that did not show it */
    usec_t due;             /* monotonic: what is waited for does not come after this; or never */
    struct slurm_word word; /* has_word, or at STARTED: word.node */
    usec_t started;         /* wall, or 0 */
    struct engine_result result; /* OVER, or has_record */
};

struct slurm_fact {
    enum slurm_fact_kind {
        SLURM_FACT_SUBMITTED,
        SLURM_FACT_REFUSED, /* `text`: Slurm does not take it */
        SLURM_FACT_STOP,    /* the caller wants it ended */
        SLURM_FACT_START,   /* `start` */
        SLURM_FACT_END,     /* `result` */
        SLURM_FACT_WORD,    /* `word`: Slurm's, of whatever state */
        SLURM_FACT_ABSENT,  /* a whole look at the queue did not show it */
        SLURM_FACT_TIME,    /* only that it is now `mono` */
        SLURM_FACT_BROKEN,  /* `text`: nothing will be heard of it */
    } kind;
    usec_t mono, wall; /* now */
    const struct slurm_start *start;
    const struct engine_result *result;
    const struct slurm_word *word;
    const char *text;
};

enum slurm_news { SLURM_NO_NEWS, SLURM_BEGAN, SLURM_ENDED };

struct slurm_view slurm_view_new(uint64_t id);
/* *after may be *before. At SLURM_ENDED after->result is the end; an ended view changes no more. */
enum slurm_news slurm_update(const struct slurm_view *before, const struct slurm_fact *fact,
                             struct slurm_view *after);
/* How many programs may be under way where `lanes` fit on the cluster and `pace` end in a second.
 */
size_t slurm_depth(uint64_t lanes, uint64_t pace);

/* ---- the engine ------------------------------------------------------------------------------ */

struct slurm_batch;

struct slurm_item {
    struct slurm_view view;
    struct slurm_batch *batch; /* NULL: waits to be submitted */
    uint32_t index;
    int cpus, gpu_count;
    uint64_t minutes; /* of Slurm's time limit; 0: none */
    struct buf frame; /* while it waits */
    bool former;      /* of an earlier process, and not adopted: nothing of it is reported */
    bool catch_up;    /* it was adopted, and what was known by then is to be reported */
    char *gpus;       /* at STARTED */
    uint64_t seen;    /* the number of the last look at the queue that showed it */
    usec_t kill_at;   /* monotonic: the grace is over */
    usec_t cancel_at; /* monotonic: the next try to end it, or never */
    bool terminated;  /* it has been asked to end */
    bool lost;        /* specs/TOKEN.INDEX.lost is there */
};

enum slurm_batch_state {
    BATCH_CALLING, /* sbatch is at work */
    BATCH_DOUBT,   /* it failed: is the array there or not? */
    BATCH_RETRY,   /* it is not there, and is to be submitted again at `next` */
    BATCH_UNSEEN,  /* an earlier process's: Slurm has not been heard about it yet */
    BATCH_THERE,
};

struct slurm_batch {
    char token[SLURM_TOKEN + 1];
    enum slurm_batch_state state;
    uint64_t job;   /* or 0 */
    uint64_t look;  /* the number of the first look at the queue that must show it */
    usec_t created; /* wall */
    bool unwanted;  /* an earlier process's, of which nobody adopted anything */
    struct slurm_item **items;
    size_t count, live;
    bool held; /* its spec is specs/TOKEN.hold */
    int refusals;
    usec_t next;    /* monotonic: of BATCH_RETRY */
    usec_t gone_at; /* monotonic: nothing of it is left, and its file goes */
    char refusal[ENGINE_MESSAGE_MAX];
};

struct slurm_tail {
    char *path;
    uint64_t file; /* inode, or 0 */
    uint64_t at;   /* bytes read */
    bool skip;     /* within a line that is too long */
};

struct slurm {
    struct engine base; /* first */
    struct loop *loop;
    struct engine_events events;
    struct engine_slurm_options o; /* its strings are ours */
    char *specs, *records;
    struct strv env; /* of Slurm's programs; NULL at its end */
    uint64_t uid;
    uint64_t array_max;
    struct slurm_cluster cluster;
    struct slurm_item **waiting;
    size_t waiting_count, waiting_cap;
    struct slurm_batch **batches;
    size_t batch_count, batch_cap;
    struct strtab *by_token;
    size_t live; /* programs that are not over, former ones not counted */
    /* calls under way; NULL: none */
    struct proc *submitting, *looking, *counting, *cancelling, *configuring;
    struct slurm_batch *submitted; /* what `submitting` is about */
    struct timer *tick;
    usec_t tick_at; /* monotonic: when that is due */
    uv_fs_event_t watch;
    bool watch_made, watching;
    struct slurm_tail ended;
    struct slurm_tail *tails; /* of records */
    size_t tail_count, tail_cap;
    uint64_t looks;      /* at the queue, begun */
    usec_t look_at;      /* monotonic: the next look at the queue */
    usec_t waits_since;  /* monotonic: something is queued, and nothing runs; or 0 */
    usec_t count_at;     /* monotonic: the next look at the nodes */
    usec_t configure_at; /* monotonic: the next question for Slurm's limits */
    usec_t silent_since; /* monotonic: Slurm has not answered; 0: it does */
    usec_t backoff;
    usec_t born;         /* monotonic */
    usec_t paced_at;     /* monotonic */
    uint64_t ends, pace; /* since paced_at; in a second */
    usec_t scan_at;      /* monotonic: the next look at all files of records */
    bool settled;        /* former programs that nobody adopted are being ended */
    bool broken;
    bool freeing;
    int open_handles;
};

/* slurm.c */
usec_t slurm_now(const struct slurm *s);
/* Every change of what is known of a program goes through here, and what follows is reported. */
void slurm_tell(struct slurm *s, struct slurm_item *it, struct slurm_fact fact);
void slurm_tell_batch(struct slurm *s, struct slurm_batch *b, struct slurm_fact fact);
void slurm_item_free(struct slurm_item *it);
/* Runs the next turn's work soon, as after submit(). */
void slurm_wake(struct slurm *s);
/* One of Slurm's programs, with a bound. */
struct proc *slurm_call(struct slurm *s, const char *const *argv, struct str input,
                        proc_done *done);
/* Whether Slurm has answered; where it has been silent too long the engine breaks. */
bool slurm_heard(struct slurm *s, const struct proc_result *r, const struct err *why);
/* How long to wait before the next try. */
usec_t slurm_backoff(struct slurm *s);
bool slurm_busy(const struct slurm *s); /* something is under way or to be cleared */

/* slurm_batch.c: arrays, and their files */
struct slurm_batch *slurm_batch_new(struct slurm *s, const char *token, size_t count);
void slurm_batch_free(struct slurm *s, struct slurm_batch *b);
/* Its spec gets out of the way of tasks that would begin, or comes back. */
void slurm_batch_hold(struct slurm *s, struct slurm_batch *b, bool hold);
void slurm_batch_rename(struct slurm *s, struct slurm_batch *b);
/* Tells a wrapper that may still be at work that nobody waits for it any more. */
void slurm_batch_give_up(struct slurm *s, struct slurm_item *it);
int slurm_batch_write(struct slurm *s, struct slurm_batch *b, struct err *err) MUST_CHECK;
/* What an earlier process left. */
int slurm_batches_load(struct slurm *s, struct err *err) MUST_CHECK;
/* Frees those that have been over for long enough, or all, with their files. */
void slurm_batches_clear(struct slurm *s, bool all);

/* slurm_submit.c */
int slurm_take(struct slurm *s, const struct engine_program *p, struct err *err) MUST_CHECK;
void slurm_submit(struct slurm *s);
/* A look at the queue that began after the doubt has shown the array (its number is known), or not.
 */
void slurm_resolve(struct slurm *s, struct slurm_batch *b);

/* slurm_watch.c: files */
void slurm_watch_open(struct slurm *s);
void slurm_watch_close(struct slurm *s);
void slurm_read_files(struct slurm *s);

/* slurm_look.c: the queue and the nodes */
void slurm_look(struct slurm *s);
void slurm_look_soon(struct slurm *s);

/* slurm_cancel.c */
void slurm_cancel(struct slurm *s);
void slurm_stop_item(struct slurm *s, struct slurm_item *it, usec_t grace);

#endif

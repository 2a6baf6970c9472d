/* Where trials run. An engine starts programs, bounds what they use, ends them, and says how each
 * ended. It knows nothing of stages, results or metrics, and nothing above it knows which one runs.
 *
 * All is reported from the loop, never from within a call. */
#ifndef FLAMBE_ENGINE_ENGINE_H
#define FLAMBE_ENGINE_ENGINE_H

#include "base/clock.h"
#include "base/err.h"
#include "os/loop.h"
#include <stddef.h>
#include <stdint.h>

/* What is to be started. All of it is copied. */
struct engine_program {
    uint64_t id;             /* the caller's; no two under way share one */
    const char *const *argv; /* NULL-terminated; argv[0] is a path, or found in env's PATH; or "",
                              * where there is nothing to start: argv[1], if any, says why */
    const char *const *env;  /* "NAME=value", NULL-terminated: the whole environment, to which an
                              * engine adds what shows the program its GPUs and CPUs */
    const char *directory;   /* in which it starts */
    const char *console;     /* the file of its standard output and error, made or emptied; a
                              * relative path starts at the driver's directory */
    int cpus, gpus;
    usec_t time_limit;     /* 0: none */
    uint64_t memory_limit; /* bytes, of all its processes together, where what they share counts
                            * once; looked at now and then; 0: none */
};

enum engine_end {
    ENGINE_EXITED,        /* exit_status */
    ENGINE_SIGNALLED,     /* signal */
    ENGINE_TIMED_OUT,     /* it passed its time limit */
    ENGINE_OUT_OF_MEMORY, /* it passed its memory limit */
    ENGINE_STOPPED,       /* by stop() */
    ENGINE_NOT_STARTED,   /* message says why; nothing of it ran */
    ENGINE_LOST,          /* its host or supervisor died; it may be run again elsewhere */
    ENGINE_END_COUNT,
};

#define ENGINE_MESSAGE_MAX 256
#define ENGINE_HOST_MAX 256

struct engine_result {
    uint64_t id;
    enum engine_end end;
    int exit_status;                  /* or -1 */
    int signal;                       /* or 0 */
    usec_t started, ended;            /* wall time; `started` is 0 where it did not start */
    usec_t user_time, system_time;    /* CPU, of the program and what it waited for */
    uint64_t memory_peak;             /* bytes, the largest of its processes */
    uint64_t console_dropped;         /* bytes of output that were not kept */
    char host[ENGINE_HOST_MAX];       /* or "" */
    char message[ENGINE_MESSAGE_MAX]; /* or "" */
};

/* `started` and `broken` may be NULL. An event may call room(), submit() and stop(), never free().
 */
struct engine_events {
    /* `host` is "" for this machine. `gpus` is what the program sees as CUDA_VISIBLE_DEVICES, or
     * "". */
    void (*started)(void *ctx, uint64_t id, const char *host, const char *gpus, usec_t wall);
    /* Exactly once for each program that submit() took. */
    void (*ended)(void *ctx, const struct engine_result *result);
    /* The engine itself failed: every program under way has been reported as lost, and no more are
     * taken. */
    void (*broken)(void *ctx, const struct err *err);
    void *ctx;
};

struct engine;

struct engine_ops {
    const char *name; /* "local", "slurm" */
    /* How many more programs that ask for so much may be submitted now; submit() refuses the next
     * (ERR_LIMIT). */
    size_t (*room)(const struct engine *e, int cpus, int gpus);
    /* Errors are the engine's or the caller's; what is wrong with the program itself is reported as
     * its end, ENGINE_NOT_STARTED. */
    int (*submit)(struct engine *e, const struct engine_program *p, struct err *err) MUST_CHECK;
    /* Asks all processes of the program to end (SIGTERM), and ends them (SIGKILL) when `grace` has
     * passed. Reported by ended(), as ENGINE_STOPPED unless it ended by itself before. An unknown
     * id is passed over: its end may be on the way. */
    void (*stop)(struct engine *e, uint64_t id, usec_t grace);
    /* Ends all that still runs, at once, and frees; no more events. NULL is legal. */
    void (*free)(struct engine *e);
    /* NULL where programs do not outlive the process that submitted them, as with "local".
     *
     * Whether a program of this id, submitted by an earlier process over the same directory, is
     * still under way, or has ended without this process knowing how. If so it is from now on as if
     * this engine had taken it: started() and ended() report it, stop() ends it. An end may be one
     * that the earlier process had been told of: it is told again. To be called before the first
     * submit(), and within ENGINE_ADOPT_MAX of the engine's beginning: what nobody has adopted by
     * then is ended, and no id of it may be submitted before. */
    bool (*adopt)(struct engine *e, uint64_t id);
    /* As free(), but what runs goes on, for a later process to adopt; NULL as above. */
    void (*detach)(struct engine *e);
};

#define ENGINE_ADOPT_MAX (2 * USEC_PER_MIN)

struct engine {
    const struct engine_ops *ops;
};

static inline size_t engine_room(const struct engine *e, int cpus, int gpus)
{
    return e->ops->room(e, cpus, gpus);
}
MUST_CHECK static inline int engine_submit(struct engine *e, const struct engine_program *p,
                                           struct err *err)
{
    return e->ops->submit(e, p, err);
}
static inline void engine_stop(struct engine *e, uint64_t id, usec_t grace)
{
    e->ops->stop(e, id, grace);
}
static inline void engine_free(struct engine *e)
{
    if (e)
        e->ops->free(e);
}

static inline bool engine_adopt(struct engine *e, uint64_t id)
{
    return e->ops->adopt && e->ops->adopt(e, id);
}
static inline void engine_detach(struct engine *e)
{
    if (e && e->ops->detach)
        e->ops->detach(e);
    else
        engine_free(e);
}

const char *engine_end_name(enum engine_end end); /* "exited", "time limit", … */

/* ---- this machine ------------------------------------------------------------------------- */

#define ENGINE_CONSOLE_MAX ((uint64_t)16 << 20) /* bytes of output kept of one program */

struct engine_local_options {
    int cpus;
    const char *const *gpus; /* ids for CUDA_VISIBLE_DEVICES, NULL-terminated; NULL: none */
    /* Each end is appended here before it is reported, so that a driver that was killed can be told
     * what its programs came to: see engine_local_replay(). NULL: nowhere. */
    const char *record;
    int keep_fd; /* stays open in the supervisor, so that a lock held by it is held until all
                  * programs are dead; -1: none */
};

/* Programs of this machine, under a supervisor: a child process that is their parent, and that
 * ends all of them when this process ends, however that happens. Call it before anything starts a
 * thread.
 *
 * A program leads a session of its own, reads /dev/null, and sees FLAMBE_CPUS and FLAMBE_GPUS (how
 * many it was given), OMP_NUM_THREADS (its CPUs, unless `env` says otherwise), and, where the
 * machine has GPUs, CUDA_VISIBLE_DEVICES (its own, or ""). It has ended when its first process has:
 * what that leaves behind, daemons too, is killed before the end is reported.
 *
 * The end is recorded also where this process was killed and cannot hear of it; programs that the
 * supervisor killed for that reason are not in the record. */
int engine_local_new(struct loop *loop, const struct engine_local_options *o,
                     const struct engine_events *events, struct engine **out,
                     struct err *err) MUST_CHECK;
/* Reads the record of an earlier process: calls `ended` for each whole entry, in order. A cut last
 * entry, and any other that is damaged, is left out; a missing file is an empty one. */
int engine_local_replay(const char *record, void (*ended)(void *, const struct engine_result *),
                        void *ctx, struct err *err) MUST_CHECK;

/* ---- a cluster under Slurm ------------------------------------------------------------------ */

struct engine_slurm_options {
    const char *directory; /* made; absolute, and the same files on every host */
    const char *wrapper; /* on every host: `WRAPPER trial SPEC INDEX` calls engine_slurm_trial() */
    const char *ended_jobs; /* the file of JobCompType=jobcomp/filetxt, on this host; NULL: none */
    const char *partition;  /* NULL: Slurm's own choice */
    usec_t stop_grace;      /* where somebody else than stop() ends a program; 0: 10 s */
    usec_t look_every;      /* between two looks at the queue; 0: 30 s, or 3 s without ended_jobs */
    usec_t patience;        /* Slurm may be silent so long; 0: 10 min */
};

/* Programs as tasks of Slurm's job arrays, one array for what is submitted in one turn of the loop.
 * Slurm gives each its CPUs and GPUs; the wrapper in the job holds the time and memory limits and
 * bounds the output, as the local engine does, and shows the program the same variables. A program
 * sees nothing of Slurm's own variables but CUDA_VISIBLE_DEVICES.
 *
 * `directory` and `console` of a program are paths on the host that it comes to. room() counts what
 * waits in Slurm's queue too: a little more than the cluster has place for, so that it never
 * starves, and no more, so that what is submitted is chosen late.
 *
 * A program that something other than its own doing ended is ENGINE_LOST: a dead host, a cancelled
 * job, Slurm's own failure. Should it live nevertheless, it is ended within seconds of its host
 * seeing the directory. One process at a time works on a directory. */
int engine_slurm_new(struct loop *loop, const struct engine_slurm_options *o,
                     const struct engine_events *events, struct engine **out,
                     struct err *err) MUST_CHECK;
/* The wrapper: runs the program `index` of the file `spec` to its end and records that. Returns the
 * exit status by which the engine knows what became of it; *err says more where it is not 0. Call
 * it before anything starts a thread. */
int engine_slurm_trial(struct loop *loop, const char *spec, unsigned index, struct err *err);

/* ---- the fake, for tests ------------------------------------------------------------------ */

/* Runs nothing: the test decides how each program ends. */
struct engine_fake;
struct engine *engine_fake_new(struct loop *loop, size_t room, const struct engine_events *events);
size_t engine_fake_count(const struct engine *e); /* under way */
/* The i-th program under way, in the order of submission. Valid until it ends. */
const struct engine_program *engine_fake_program(const struct engine *e, size_t i);
bool engine_fake_stopped(const struct engine *e, uint64_t id); /* stop() was called for it */
/* It is under way no longer, and keeps its place in room() until ended() has been called, soon. */
void engine_fake_end(struct engine *e, const struct engine_result *r);
/* Every program under way is lost, then broken() is called. */
void engine_fake_break(struct engine *e, const struct err *why);

#endif

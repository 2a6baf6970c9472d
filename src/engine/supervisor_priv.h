/* The supervisor: a process that is the parent of all programs of an engine, and that ends them
 * when the driver ends, however that happens. It is forked from the driver and runs no other
 * program, so that nothing has to be installed, found or passed.
 *
 * It has a session of its own, so that a terminal's Ctrl-C reaches neither it nor the programs, and
 * it ignores every signal that means to end it: the driver's end of the socket is the one thing
 * that it obeys. Where it is killed itself (SIGKILL), the kernel kills the programs with it.
 *
 * A trial here is one program under way. It is RUNNING until its process has ended, then CLEARING
 * until nothing that it left behind is alive, and only then reported. Processes that a program
 * orphaned come to the supervisor as children (PR_SET_CHILD_SUBREAPER), also those that made a
 * session of their own; they are known by their session, or by a variable in their environment. */
#ifndef FLAMBE_ENGINE_SUPERVISOR_PRIV_H
#define FLAMBE_ENGINE_SUPERVISOR_PRIV_H

#include "base/buf.h"
#include "engine/console_priv.h"
#include "engine/engine.h"
#include "engine/record_priv.h"
#include "engine/spawn_priv.h"
#include "engine/tree_priv.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SUPERVISOR_MARK "FLAMBE_PROGRAM"           /* TOKEN.ID, in each program's environment */
#define SUPERVISOR_TOKEN_SIZE 17                   /* with the NUL */
#define SUPERVISOR_TRIALS_MAX ((size_t)4096)       /* under way at once */
#define SUPERVISOR_TERM_GRACE (5 * USEC_PER_SEC)   /* from SIGTERM to SIGKILL at a time limit */
#define SUPERVISOR_KILL_AGAIN USEC_PER_SEC         /* SIGKILL is repeated so often */
#define SUPERVISOR_CLEAR_MAX (5 * USEC_PER_SEC)    /* for what is left behind to die */
#define SUPERVISOR_MEASURE (250 * USEC_PER_MSEC)   /* between two looks at the memory */
#define SUPERVISOR_LOOK_AGAIN (20 * USEC_PER_MSEC) /* between two looks for what is left */
#define SUPERVISOR_DRAIN_MAX 64                    /* blocks read from a pipe at the end */
#define SUPERVISOR_BLOCK ((size_t)65536)

enum trial_state { TRIAL_RUNNING, TRIAL_CLEARING };

struct trial {
    uint64_t id;
    pid_t pid; /* and its session and group */
    enum trial_state state;
    enum engine_end cause; /* why it is being ended, or ENGINE_END_COUNT */
    int out;               /* its output, or -1 */
    struct console console;
    usec_t deadline;       /* monotonic; USEC_FOREVER: none */
    usec_t kill_at;        /* when SIGKILL is due; USEC_FOREVER: not */
    usec_t clear_by;       /* CLEARING ends then at the latest */
    uint64_t memory_limit; /* bytes; 0: none */
    uint64_t memory;       /* bytes, at the last measurement */
    bool leftovers;        /* CLEARING: something of it lives */
    bool interrupted;      /* ended by the driver's end: not to be recorded */
    struct engine_result result;
};

struct supervisor {
    int socket;
    int wake_fd; /* readable when a child has ended */
    bool dying;  /* the driver is gone */
    struct record record;
    struct buf in, out; /* of the socket */
    struct trial **trials;
    size_t count, cap;
    struct pollfd *polls;
    size_t polls_cap;
    char token[SUPERVISOR_TOKEN_SIZE];
    struct spawn_limits limits; /* as the programs get them */
    struct tree tree;
    usec_t measured; /* monotonic, the last look at the memory */
    usec_t measure_every;
};

struct supervisor_options {
    int socket;
    int keep_fd;
    struct record record;
    char token[SUPERVISOR_TOKEN_SIZE];
};

/* In the child, right after the fork, with all signals blocked. */
NORETURN void supervisor_run(const struct supervisor_options *o);

/* ---- trials.c: what becomes of the programs ------------------------------------------------- */

usec_t supervisor_now(void);
/* Starts the program of a WIRE_START frame, or reports why not. */
void trials_start(struct supervisor *s, const struct engine_program *p);
/* Reports that it was not started, and why. */
void trials_refuse(struct supervisor *s, uint64_t id, const char *why);
void trials_stop(struct supervisor *s, uint64_t id, usec_t grace);
/* Reads what the program has written so far. */
void trials_read(struct trial *t);
/* Waits for the children that have ended; false where no child is left. */
bool trials_reap(struct supervisor *s);
/* Ends what has passed a limit or a grace. */
void trials_enforce(struct supervisor *s);
/* Ends what ended programs left behind, and reports the programs of which nothing is left. */
void trials_clear(struct supervisor *s);
/* Kills everything. */
void trials_kill_all(struct supervisor *s);
/* Reports the ended programs, whatever is left of them. */
void trials_finish_ended(struct supervisor *s);
/* When something is due next; monotonic. */
usec_t trials_next_due(const struct supervisor *s);

#endif

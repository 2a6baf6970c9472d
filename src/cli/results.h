/* An experiment's results on this machine, as a verb's operand names them: the directory
 * output__NAME, the directory that holds it, or the experiment's file. */
#ifndef FLAMBE_CLI_RESULTS_H
#define FLAMBE_CLI_RESULTS_H

#include "cli/cli.h"
#include "experiment/store.h"
#include "os/lock.h"

#define RESULTS_PREFIX "output__"
#define RESULTS_LOCK "lock" /* in the directory; held by the run that is at work */

struct results {
    char *directory; /* output__NAME, as it is reached from here */
    char *typed;     /* what to type for it: the same, or what a terminal elsewhere calls it */
    char *file;      /* the experiment's file, where it is known; or NULL */
    char *name;      /* of the experiment */
    struct store *store;
    struct store_stage *stages;
    size_t stage_count;
    bool at_work; /* a run has the lock: what the store calls running does run */
};

/* Whether the word means results on this machine rather than a cluster: a directory that has some,
 * or an experiment's file. */
bool results_meant(const char *word);
/* ERR_NOT_FOUND where there are none (yet), ERR_CONFLICT where the directory holds those of several
 * experiments. Hints say what to type. */
int results_open(struct cli *cli, const char *word, struct results *out,
                 struct err *err) MUST_CHECK;
void results_done(struct results *r);
/* Reads the stages anew: a run that is at work may have put others. */
int results_refresh(struct results *r, struct err *err) MUST_CHECK;

/* Where the results of the experiment's file are, or would be; the caller frees *out. */
int results_of_file(const char *path, char **out, struct err *err) MUST_CHECK;

/* The stage of that name; ERR_NOT_FOUND, with the names that there are. */
int results_stage(struct cli *cli, const struct results *r, const char *name,
                  const struct store_stage **out, struct err *err) MUST_CHECK;
/* The file of what the trial printed; the caller frees. */
char *results_console(const struct results *r, int stage, const char *trial);

/* How the experiment stands. */
struct results_state {
    enum run_state state;
    struct lock_holder holder; /* at work */
    usec_t began;              /* the last run; 0: not known */
};
int results_state(const struct results *r, struct results_state *out, struct err *err) MUST_CHECK;
/* Who is at work in the directory. */
int results_holder(const struct results *r, struct lock_holder *out, struct err *err) MUST_CHECK;
/* Signals `pid` if that is the one, and nobody else: see lock_signal(). */
int results_signal(const struct results *r, pid_t pid, int number, struct err *err) MUST_CHECK;

/* One stage in numbers. */
struct results_counts {
    struct store_counts trials; /* TRIAL_PENDING: planned and not begun too, and what ran when the
                                 * run was interrupted: it is run anew */
    bool has_best;
    double best;
    char *best_name, *best_params; /* of the trial; params is JSON, or NULL */
};
int results_count(const struct results *r, const struct store_stage *stage,
                  struct results_counts *out, struct err *err) MUST_CHECK;
void results_counts_done(struct results_counts *c);
/* "3 running, 12 success, 1 failure" */
void results_counts_text(const struct store_counts *c, bool color, struct buf *out);
const char *trial_state_style(enum trial_state s);

/* What 'flambe status' shows of them. */
int results_status(struct cli *cli, const char *word, struct err *err) MUST_CHECK;
/* The same as JSON, for whoever knows the state. */
int results_json(const struct results *r, const struct results_state *state, json_t **out,
                 struct err *err) MUST_CHECK;

/* A parameter's or metric's number, shortest that reads back as the same. */
void number_text(double value, struct buf *out);
/* The same for people: 6 digits. */
void number_short(double value, struct buf *out);

#endif

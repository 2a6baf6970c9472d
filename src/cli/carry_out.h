/* An experiment from its file to its last trial: what `flambe run FILE` on this machine and
 * `flambe-node run ENTRY` on a cluster's host have in common. */
#ifndef FLAMBE_CLI_CARRY_OUT_H
#define FLAMBE_CLI_CARRY_OUT_H

#include "cli/cli.h"
#include "engine/engine.h"
#include "experiment/run.h"

/* What an engine is made of. */
struct carry_engine {
    struct loop *loop;
    const struct machine *machine;
    const struct experiment *experiment;
    const struct run *run;
    const char *record; /* see engine_local_options */
    struct engine_events events;
};

struct carry_order {
    const char *path; /* of the experiment's file, as messages name it; trials start in the current
                       * directory */
    const char *name; /* that its file must have; NULL: any */
    const char *save_path, *state; /* over the file's; see run_options; NULL */
    const char *secrets;           /* see secrets_check() */
    const char *id;                /* of the order: see run_options; or NULL */
    const char *by;                /* who ordered it, for run.json; or NULL */
    const char *python;            /* what runs scripts, where no environment was made; or NULL */
    bool install, force, reuse, debug;
    const struct strtab *resources, *extensions; /* see experiment_options */
    /* What there is to run trials on; NULL: this machine. Freed by machine_done(). */
    struct machine (*machine)(void *ctx, struct loop *loop);
    /* Called before anything starts a thread. */
    int (*engine)(void *ctx, const struct carry_engine *e, struct engine **out, struct err *err);
    /* Adds the absolute path of each resource, in the experiment's order. */
    int (*find_resources)(void *ctx, struct loop *loop, const struct experiment *e,
                          const char *directory, struct strv *paths, struct err *err);
    void *ctx;
};

/* Shows it on the terminal, or with -o json writes how it ended on standard output. The first
 * SIGINT or SIGTERM drains, the second ends the running trials. */
int carry_out(struct cli *cli, const struct carry_order *order, struct err *err) MUST_CHECK;
int carry_engine_local(void *ctx, const struct carry_engine *e, struct engine **out,
                       struct err *err) MUST_CHECK;

#endif

/* An entry of the queue: an experiment that a cluster is to carry out, as one JSON object. */
#ifndef FLAMBE_NODE_ENTRY_H
#define FLAMBE_NODE_ENTRY_H

#include "base/err.h"
#include "base/str.h"
#include "base/strtab.h"
#include <stdbool.h>
#include <stdint.h>

#define ENTRY_VERSION 1
#define ENTRY_BYTES_MAX ((size_t)4 << 20)
#define ENTRY_NAME_MAX 100 /* bytes, as an experiment's file may have */
#define ENTRY_PLACES_MAX 10000

/* Paths are absolute, and of the host. */
struct entry {
    char *name;                /* the experiment's, as its file has it */
    char *file;                /* the experiment's file */
    char *work;                /* where its trials start */
    struct strtab *resources;  /* paths (char *, owned) by the name of the resource */
    struct strtab *extensions; /* the same by module, of those that are paths */
    char *save_path;           /* the results are in SAVE_PATH/output__NAME */
    char *state;               /* where the state is apart from them; or NULL */
    enum entry_engine { ENTRY_LOCAL, ENTRY_SLURM } engine;
    char *secrets; /* a file; or NULL */
    char *python;  /* what runs scripts; or NULL */
    bool force, reuse, install;
    char *by;          /* "user@laptop"; or NULL */
    int64_t submitted; /* seconds since 1970; 0: not known */
};

/* Every key is known, is there once and has its type, or it is ERR_PARSE with the key. */
int entry_parse(struct str text, struct entry *out, struct err *err) MUST_CHECK;
/* From a file. */
int entry_load(const char *path, struct entry *out, struct err *err) MUST_CHECK;
void entry_done(struct entry *e);
const char *entry_engine_name(enum entry_engine e); /* "local", "slurm" */
/* The directory of its results; the caller frees. */
char *entry_results(const struct entry *e);
/* Which order its run is (run_options), by its file in the queue; the caller frees. */
char *entry_order(const char *path, const struct entry *e);
/* Whether a file of the queue, or a directory of results, can bear the name. */
bool entry_name_ok(const char *name);

#endif

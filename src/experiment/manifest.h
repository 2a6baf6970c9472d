/* What of an experiment goes to a cluster's hosts, and where it is there.
 *
 * Trials start in the directory that flambe was started in, and name their programs from there; so
 * that directory is the tree that is sent, to REMOTE/work, where they start on a host. Its files
 * are those that worktree.h lists, and always the experiment's file and the programs that it names.
 * Never: `.git`, `.aws`, `.ssh`, the results (`save_path`), private keys, what the caller says, and
 * links that lead out of the tree.
 *
 * A resource or an extension that is a local path and wholly among those files is where it is in
 * the tree. Any other one is carried beside it: to REMOTE/resources/NAME/LAST-PART, or
 * REMOTE/extensions/MODULE/LAST-PART. */
#ifndef FLAMBE_EXPERIMENT_MANIFEST_H
#define FLAMBE_EXPERIMENT_MANIFEST_H

#include "experiment/spec.h"
#include "os/loop.h"
#include <jansson.h>

#define MANIFEST_WARN_BYTES ((uint64_t)10 * 1000 * 1000)
#define MANIFEST_ASK_BYTES ((uint64_t)1000 * 1000 * 1000)
#define MANIFEST_ASK_FILES 200000
#define MANIFEST_LARGEST 3
#define MANIFEST_REMOTE "/var/lib/flambe/files" /* REMOTE is below it, by the experiment's name */

struct manifest_options {
    struct loop *loop;
    const char *working; /* where flambe was started, absolute */
    /* Each of e->resources as resources_fetch() has it: fetched, where it is a URL. */
    const struct strv *resources;
    const char *const *never; /* files that stay here: the private key, the secrets; NULL-ended */
};

struct manifest_transfer {
    char *local;  /* absolute */
    char *remote; /* a directory; sync.h says what goes into it */
    bool is_file;
};

struct manifest_large {
    char *path;
    uint64_t bytes;
};

struct manifest {
    char *tree;   /* of this machine, absolute */
    char *remote; /* REMOTE */
    /* The tree's files: paths below it in the order of their bytes, each with a NUL behind it. */
    struct buf names;
    /* What else is in the tree: directories as a whole where they have none of the files. */
    struct buf rest;
    struct manifest_transfer *beside; /* what else is carried */
    size_t beside_count, beside_cap;
    json_t *resources;     /* an object: each resource's path on the hosts, by its name */
    json_t *extensions;    /* the same of those extensions that are paths, by their module */
    uint64_t files, bytes; /* of all, as they are on the disk */
    struct manifest_large largest[MANIFEST_LARGEST]; /* .path NULL: no more */
    struct strv left_out;                            /* phrases: "key.pem (a private key)" */
    size_t left_out_count;
};

/* ERR_USAGE, with what to type, where the directory cannot be the experiment's: nothing of it is
 * here, a program is out of it, or it is '/' or the home directory and the file is not in it. */
int manifest_make(const struct experiment *e, const struct manifest_options *o,
                  struct manifest *out, struct err *err) MUST_CHECK;
void manifest_done(struct manifest *m);
/* "123 files, 4.5 MB; left out: key.pem (a private key)". File names are as they are. */
void manifest_text(const struct manifest *m, struct buf *out);
/* Where there are more than MANIFEST_WARN_BYTES: which are the largest, and what can be done. */
bool manifest_warning(const struct manifest *m, struct buf *out);
/* So much that a person should be asked. */
bool manifest_is_huge(const struct manifest *m);

#endif

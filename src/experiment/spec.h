/* An experiment's file (`!Experiment`), read and checked. The keys are rows in spec.c. */
#ifndef FLAMBE_EXPERIMENT_SPEC_H
#define FLAMBE_EXPERIMENT_SPEC_H

#include "base/strtab.h"
#include "experiment/machine.h"
#include "experiment/resource.h"
#include "experiment/stage.h"

/* The first of two documents: Python modules to be found beside the installed ones. */
struct extension {
    char *module, *source;
    enum extension_kind { EXTENSION_PATH, EXTENSION_GIT, EXTENSION_PIP } kind;
};

struct devices {
    int cpu, gpu; /* of one trial */
};

struct experiment {
    char *path; /* of the file */
    char *name;
    char *save_path;
    bool on_cluster; /* as the options have it */
    int seed;        /* as the file has it; -1: none */
    int max_failures;
    bool stop_on_failure, merge_plot;
    /* The keys with readers of their own; NULL where absent. */
    const struct yaml_node *pipeline, *resume, *devices_node, *resources_node, *search, *schedulers,
        *reduce;
    uint64_t drawn_with; /* the seed in use */
    struct devices devices;
    bool devices_given;
    struct extension *extensions;
    size_t extension_count, extension_cap;
    struct resource *resources;
    size_t resource_count, resource_cap;
    struct stage *stages; /* in the file's order */
    size_t stage_count;
    struct yaml_file file; /* owns the nodes */
};

extern const struct schema experiment_schema, devices_schema;

struct experiment_options {
    struct machine machine; /* to run on */
    uint64_t seed;          /* for a file without one */
    /* Where this machine has them, over what the file says: paths (char *) by the name of the
     * resource, and by the module of the extension. NULL: the file alone says. */
    const struct strtab *resources, *extensions;
    bool on_cluster; /* a cluster's hosts carry it out: '!cluster PATH' is allowed */
};

/* Reads and checks the file. All its errors are in `diags` (initialised here; the caller frees it
 * on success and failure alike). A file that cannot be read is ERR_FILE with no diagnostics. */
int experiment_load(const char *path, const struct experiment_options *options,
                    struct experiment *out, struct diags *diags, struct err *err) MUST_CHECK;
/* The same from memory; `path` is what the messages call it. */
int experiment_parse(const char *path, struct str text, const struct experiment_options *options,
                     struct experiment *out, struct diags *diags, struct err *err) MUST_CHECK;
void experiment_done(struct experiment *e);
/* The file's JSON Schema, of all its tables. The caller owns it. */
json_t *experiment_schema_json(void);
/* The stage's place in the pipeline, or stage_count. */
size_t experiment_stage(const struct experiment *e, struct str name);

#endif

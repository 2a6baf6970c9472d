/* A stage of the pipeline: `!Script` (a Python script or module, as in the original) or `!Command`
 * (any program: a list of words, or a line for the shell, with {param} places). */
#ifndef FLAMBE_EXPERIMENT_STAGE_H
#define FLAMBE_EXPERIMENT_STAGE_H

#include "config/schema.h"
#include "experiment/limits.h"
#include "experiment/search.h"
#include "experiment/space.h"

#define STAGES_MAX 256
#define STAGE_NAME_MAX 64 /* characters; it is a directory's name */

enum stage_kind { STAGE_SCRIPT, STAGE_COMMAND };

struct stage {
    char *name;
    struct span at; /* of the name */
    const struct yaml_node *node;
    bool understood; /* its tag is a stage's: the rest means something */
    enum stage_kind kind;
    const struct yaml_node *script, *args, *kwargs; /* of a script; NULL where not given */
    char *output_dir_arg;                           /* or NULL */
    const struct yaml_node *command, *params, *env; /* of a command; NULL where not given */
    struct schema_map outputs;                      /* name → path within the trial's directory */
    char *metrics;                                  /* its file of JSON lines, or NULL */
    const struct yaml_node *objective_node, *time_node, *memory_node;
    struct objective objective; /* .metric is NULL where it has none */
    usec_t time_limit;          /* of one trial; 0: none */
    uint64_t memory_limit;      /* bytes; 0: none */
    struct space space;
    /* what other keys of the experiment say of it */
    int reduce;                      /* keep so many; 0: all */
    struct search_spec search;       /* SEARCH_GRID where nothing is said */
    struct scheduler_spec scheduler; /* SCHEDULER_NONE where nothing is said */
    bool resumed;                    /* taken from the earlier run */
};

extern const struct schema script_schema, command_schema;

/* Fills `out` (zeroed) and adds what is wrong. */
void stage_read(struct str name, const struct yaml_node *key, const struct yaml_node *node,
                uint64_t seed, size_t *options, struct diags *diags, struct stage *out);
void stage_done(struct stage *s);
/* Appends what it runs, in a word or line: "train.py", "python3 train.py --lr …". */
void stage_program(const struct stage *s, struct buf *out);

#endif

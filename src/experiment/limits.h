/* Keys that every kind of stage has beside its program: what its trials are judged by and held to.
 */
#ifndef FLAMBE_EXPERIMENT_LIMITS_H
#define FLAMBE_EXPERIMENT_LIMITS_H

#include "base/clock.h"
#include "config/schema.h"
#include <stdint.h>

/* What a stage's trials are compared by. */
struct objective {
    char *metric;
    char *mode_text, *value_text; /* as the file has them */
    bool maximize;
    bool best; /* the best value of the trial counts, not the last */
};

extern const struct schema objective_schema;

void objective_read(const struct yaml_node *n, struct diags *diags, struct objective *out);
void objective_done(struct objective *o);
/* "90" (seconds), "90 s", "30 min", "2 h", "1 d"; 0 with a diagnostic where it is none. */
usec_t limit_time(const struct yaml_node *n, struct diags *diags);
/* Bytes: "512 MB", "2 GiB"; 0 with a diagnostic where it is none. */
uint64_t limit_memory(const struct yaml_node *n, struct diags *diags);

#endif

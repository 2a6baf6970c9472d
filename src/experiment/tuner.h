/* `schedulers` and `search`: which trials of a stage are stopped early, and which are made.
 *
 * The original's Ray names for successive halving all mean ASHA here. */
#ifndef FLAMBE_EXPERIMENT_TUNER_H
#define FLAMBE_EXPERIMENT_TUNER_H

#include "config/schema.h"

extern const struct schema scheduler_schema;

/* "asha" or "fifo" (static), or NULL with a diagnostic. */
const char *tuner_scheduler(const struct yaml_node *value, struct diags *diags);
/* Reports what is no search that is known here. */
void tuner_search(const struct yaml_node *value, struct diags *diags);

#endif

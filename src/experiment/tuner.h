/* `schedulers` and `search`: which trials of a stage are stopped early, and which are made.
 *
 * The original's Ray names for successive halving all mean ASHA here, and its one for every variant
 * means !grid. */
#ifndef FLAMBE_EXPERIMENT_TUNER_H
#define FLAMBE_EXPERIMENT_TUNER_H

#include "experiment/stage.h"

extern const struct schema scheduler_schema, random_schema, optuna_schema;

/* Both fill `out` (zeroed) and add what is wrong; the caller frees it all the same. `stage` is NULL
 * where the file names none of its stages. */
void tuner_scheduler(const struct yaml_node *value, struct diags *diags,
                     struct scheduler_spec *out);
void tuner_search(const struct yaml_node *value, const struct stage *stage, struct diags *diags,
                  struct search_spec *out);

#endif

/* The keys of many parts, each with its reader. All add what is wrong to diags. */
#ifndef FLAMBE_EXPERIMENT_SECTIONS_PRIV_H
#define FLAMBE_EXPERIMENT_SECTIONS_PRIV_H

#include "experiment/spec.h"

/* `placed` (may be NULL): see experiment_options. */
void sections_extensions(struct experiment *e, const struct yaml_node *map,
                         const struct strtab *placed, struct diags *diags);
void sections_resources(struct experiment *e, const struct strtab *placed, struct diags *diags);
void sections_pipeline(struct experiment *e, struct diags *diags);
void sections_devices(struct experiment *e, const struct machine *machine, struct diags *diags);
/* Those below name stages: behind sections_pipeline(). */
void sections_resume(struct experiment *e, struct diags *diags);
void sections_reduce(struct experiment *e, struct diags *diags);
void sections_tuners(struct experiment *e, struct diags *diags);

#endif

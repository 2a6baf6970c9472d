/* What the links of an experiment lead to. */
#ifndef FLAMBE_EXPERIMENT_REFERENCE_H
#define FLAMBE_EXPERIMENT_REFERENCE_H

#include "experiment/spec.h"

#define LINKS_MAX 10000 /* of one experiment */

/* Settles the target of every link and adds what is wrong: unknown names, later stages, parameters
 * and outputs that the stage has not. */
void reference_check(struct experiment *e, struct diags *diags);

#endif

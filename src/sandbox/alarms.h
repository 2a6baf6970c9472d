/* Alarms, for the operator's commands: what one that fires would do. */
#ifndef FLAMBE_SANDBOX_ALARMS_H
#define FLAMBE_SANDBOX_ALARMS_H

#include "base/err.h"
#include "sandbox/api.h"

/* The EC2 action that an alarm action's ARN stands for ("TerminateInstances"), or NULL. */
const char *alarm_ec2_action(const char *arn);
/* Puts the alarm into its alarm state, adds the EC2 actions that it is to carry out (none where its
 * actions are off), and names its instance (the world's, or NULL). */
int alarm_fire(struct world *w, const char *name, usec_t now, struct strv *actions,
               const char **instance_id, struct err *err) MUST_CHECK;
void alarm_names(const struct world *w, struct strv *out); /* sorted */

#endif

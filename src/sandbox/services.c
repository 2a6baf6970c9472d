/* See services.h. */
#include "sandbox/services.h"
#include <string.h>

const struct service sandbox_services[] = {
    {"ec2", API_EC2, "2016-11-15", NULL, NULL, ec2_actions, NULL},
    {"sts", API_QUERY, "2011-06-15", NULL, "us-east-1", sts_actions, "AssumeRoleWithWebIdentity"},
    {"monitoring", API_QUERY, "2010-08-01", "GraniteServiceVersion20100801.", NULL,
     cloudwatch_actions, NULL},
    {"ssm", API_JSON, NULL, "AmazonSSM.", NULL, ssm_actions, NULL},
    {"pricing", API_JSON, NULL, "AWSPriceListService.", "us-east-1,eu-central-1,ap-south-1",
     pricing_actions, NULL},
    {NULL, API_EC2, NULL, NULL, NULL, NULL, NULL},
};

const struct service *service_named(const struct service *all, struct str name)
{
    for (; all->name; all++) {
        if (str_is(name, all->name))
            return all;
    }
    return NULL;
}

const struct api_action *service_action(const struct service *s, const char *name)
{
    for (const struct api_action *a = s->actions; a->name; a++) {
        if (strcmp(a->name, name) == 0)
            return a;
    }
    return NULL;
}

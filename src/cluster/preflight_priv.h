/* Preflight's own state, shared by preflight.c and preflight_net.c. */
#ifndef FLAMBE_CLUSTER_PREFLIGHT_PRIV_H
#define FLAMBE_CLUSTER_PREFLIGHT_PRIV_H

#include "cluster/cluster_priv.h"

struct preflight {
    struct cluster *c;
    const struct cluster_spec *spec;
    const struct ssh_identity *identity;
    int needs[2]; /* by role: machines to launch */
    struct ec2_key_pairs keys;
    struct ec2_subnets subnets;
    struct ec2_security_groups groups;
    struct ec2_instance_types types;
    struct strv parameters, values;
    bool defaults_needed, parameters_failed;
    char *image[2];
    struct strv problems;
    enum err_code code;
    struct err fatal; /* what is no matter of the file: credentials, no network, Ctrl-C */
};

void problem(struct preflight *p, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The SSM parameter of the image for a type that the file names none for; the caller frees. */
char *default_image_parameter(const struct ec2_instance_type *type);

/* preflight_net.c */
void check_key_pair(struct preflight *p);
void check_subnet(struct preflight *p);
void check_group(struct preflight *p);
/* Says that there is no such image, and in which regions there is. */
void image_not_here(struct preflight *p, const char *key, const char *id);
/* Whether the group lets TCP to `port` in from anywhere outside itself. */
bool group_admits(const struct ec2_security_group *g, int port);

#endif

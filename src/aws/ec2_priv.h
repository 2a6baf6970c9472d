/* EC2's answers as structs: what ec2.c asks for and ec2_parse.c reads. */
#ifndef FLAMBE_AWS_EC2_PRIV_H
#define FLAMBE_AWS_EC2_PRIV_H

#include "aws/ec2.h"
#include "aws/xml.h"

/* What one call has collected, over all of its pages. */
union ec2_result {
    struct ec2_instances instances;
    struct ec2_images images;
    struct ec2_instance_types types;
    struct ec2_subnets subnets;
    struct ec2_security_groups groups;
    struct ec2_key_pairs keys;
    struct ec2_volumes volumes;
    struct strv names;
    struct buf text;
};

/* Appends one answer's items. */
typedef int ec2_parse_fn(const struct xml_node *root, union ec2_result *out, struct err *err);
ec2_parse_fn ec2_parse_nothing, ec2_parse_reservations, ec2_parse_launched, ec2_parse_images,
    ec2_parse_instance_types, ec2_parse_subnets, ec2_parse_security_groups, ec2_parse_key_pairs,
    ec2_parse_volumes, ec2_parse_regions, ec2_parse_console;

#endif

/* The kinds of resources: their ids, EC2's words about them, and their fields. */
#include "sandbox/world_priv.h"
#include <limits.h>

#define AT(owner, member) offsetof(struct owner, member)
#define TEXT(owner, member)                                              \
    {                                                                    \
        .name = #member, .type = FIELD_TEXT, .offset = AT(owner, member) \
    }
#define BOOL(owner, member)                                              \
    {                                                                    \
        .name = #member, .type = FIELD_BOOL, .offset = AT(owner, member) \
    }
#define TIME(owner, member)                                              \
    {                                                                    \
        .name = #member, .type = FIELD_TIME, .offset = AT(owner, member) \
    }
#define LIST(owner, member)                                              \
    {                                                                    \
        .name = #member, .type = FIELD_LIST, .offset = AT(owner, member) \
    }
#define INT(owner, member, low, high)                                                  \
    {                                                                                  \
        .name = #member, .type = FIELD_INT, .offset = AT(owner, member), .min = (low), \
        .max = (high)                                                                  \
    }
#define RECORDS(owner, member, rec)                                                         \
    {                                                                                       \
        .name = #member, .type = FIELD_RECORDS, .offset = AT(owner, member), .item = &(rec) \
    }
/* What every resource has. */
#define RESOURCE                                                                               \
    {.name = "id", .type = FIELD_TEXT, .offset = offsetof(struct resource, id)},               \
        {.name = "seq", .type = FIELD_TIME, .offset = offsetof(struct resource, seq)},         \
        {.name = "created", .type = FIELD_TIME, .offset = offsetof(struct resource, created)}, \
    {                                                                                          \
        .name = "tags", .type = FIELD_RECORDS, .offset = offsetof(struct resource, tags),      \
        .item = &tag_record                                                                    \
    }
#define RECORD(owner)                                                                  \
    static const struct record owner##_record = {sizeof(struct owner), owner##_fields, \
                                                 COUNT_OF(owner##_fields)}

static const struct field tag_fields[] = {TEXT(tag, key), TEXT(tag, value)};
RECORD(tag);

static const struct field world_vpc_fields[] = {
    RESOURCE,
    TEXT(world_vpc, cidr),
    BOOL(world_vpc, dns_hostnames),
    BOOL(world_vpc, dns_support),
    BOOL(world_vpc, is_default),
};
RECORD(world_vpc);

static const struct field world_subnet_fields[] = {
    RESOURCE,
    TEXT(world_subnet, vpc_id),
    TEXT(world_subnet, cidr),
    TEXT(world_subnet, zone),
    BOOL(world_subnet, map_public_ip),
    BOOL(world_subnet, is_default),
    INT(world_subnet, cursor, 0, 1 << 16),
};
RECORD(world_subnet);

static const struct field world_gateway_fields[] = {RESOURCE, TEXT(world_gateway, vpc_id)};
RECORD(world_gateway);

static const struct field route_fields[] = {TEXT(route, destination), TEXT(route, gateway_id)};
RECORD(route);
static const struct field route_association_fields[] = {TEXT(route_association, id),
                                                        TEXT(route_association, subnet_id)};
RECORD(route_association);
static const struct field world_route_table_fields[] = {
    RESOURCE,
    TEXT(world_route_table, vpc_id),
    RECORDS(world_route_table, routes, route_record),
    RECORDS(world_route_table, associations, route_association_record),
};
RECORD(world_route_table);

static const struct field group_rule_fields[] = {
    TEXT(group_rule, id),           BOOL(group_rule, egress),
    TEXT(group_rule, protocol),     INT(group_rule, from, -1, 65535),
    INT(group_rule, to, -1, 65535), TEXT(group_rule, cidr),
    TEXT(group_rule, cidr6),        TEXT(group_rule, group_id),
    TEXT(group_rule, description),
};
RECORD(group_rule);
static const struct field world_group_fields[] = {
    RESOURCE,
    TEXT(world_group, name),
    TEXT(world_group, description),
    TEXT(world_group, vpc_id),
    RECORDS(world_group, rules, group_rule_record),
};
RECORD(world_group);

static const struct field world_key_pair_fields[] = {
    RESOURCE,
    TEXT(world_key_pair, name),
    TEXT(world_key_pair, type),
    TEXT(world_key_pair, fingerprint),
    TEXT(world_key_pair, public_key),
};
RECORD(world_key_pair);

static const struct field world_placement_group_fields[] = {
    RESOURCE,
    TEXT(world_placement_group, name),
    TEXT(world_placement_group, strategy),
    INT(world_placement_group, partitions, 0, 7),
};
RECORD(world_placement_group);

static const struct field world_image_fields[] = {RESOURCE};
RECORD(world_image);

static const struct field world_volume_fields[] = {
    RESOURCE,
    TEXT(world_volume, type),
    TEXT(world_volume, zone),
    TEXT(world_volume, snapshot_id),
    TEXT(world_volume, kms_key_id),
    INT(world_volume, gb, 0, 65536),
    INT(world_volume, iops, 0, INT_MAX),
    INT(world_volume, throughput, 0, INT_MAX),
    BOOL(world_volume, encrypted),
    TEXT(world_volume, instance_id),
    TEXT(world_volume, device),
    BOOL(world_volume, delete_on_termination),
    TIME(world_volume, attached),
};
RECORD(world_volume);

static const struct field world_interface_fields[] = {
    RESOURCE,
    TEXT(world_interface, instance_id),
    TEXT(world_interface, attachment_id),
    TEXT(world_interface, description),
    BOOL(world_interface, delete_on_termination),
};
RECORD(world_interface);

static const struct field world_spot_request_fields[] = {
    RESOURCE,
    TEXT(world_spot_request, instance_id),
    TEXT(world_spot_request, max_price),
    TEXT(world_spot_request, request_type),
    TEXT(world_spot_request, state),
    TEXT(world_spot_request, status_code),
    TEXT(world_spot_request, status_message),
};
RECORD(world_spot_request);

static const char *const state_names[STATE_COUNT] = {
    [STATE_PENDING] = "pending",
    [STATE_RUNNING] = "running",
    [STATE_SHUTTING_DOWN] = "shutting-down",
    [STATE_TERMINATED] = "terminated",
    [STATE_STOPPING] = "stopping",
    [STATE_STOPPED] = "stopped",
};
static const int state_codes[STATE_COUNT] = {
    [STATE_PENDING] = 0,     [STATE_RUNNING] = 16,  [STATE_SHUTTING_DOWN] = 32,
    [STATE_TERMINATED] = 48, [STATE_STOPPING] = 64, [STATE_STOPPED] = 80,
};

static const struct field world_instance_fields[] = {
    RESOURCE,
    TEXT(world_instance, reservation_id),
    TEXT(world_instance, image_id),
    TEXT(world_instance, type),
    TEXT(world_instance, key_name),
    TEXT(world_instance, client_token),
    TEXT(world_instance, tenancy),
    TEXT(world_instance, placement_group),
    TEXT(world_instance, iam_profile),
    TEXT(world_instance, user_data_key),
    INT(world_instance, launch_index, 0, INT_MAX),
    BOOL(world_instance, terminate_on_shutdown),
    BOOL(world_instance, protected_from_termination),
    BOOL(world_instance, monitored),
    BOOL(world_instance, ebs_optimized),
    BOOL(world_instance, wants_public_ip),
    BOOL(world_instance, tokens_required),
    BOOL(world_instance, metadata_off),
    BOOL(world_instance, tags_in_metadata),
    INT(world_instance, hop_limit, 0, 64),
    TEXT(world_instance, spot_request_id),
    TEXT(world_instance, zone),
    TEXT(world_instance, subnet_id),
    TEXT(world_instance, vpc_id),
    TEXT(world_instance, private_ip),
    TEXT(world_instance, public_ip),
    TEXT(world_instance, mac),
    TEXT(world_instance, interface_id),
    LIST(world_instance, groups),
    LIST(world_instance, volumes),
    {.name = "state",
     .type = FIELD_NAME,
     .offset = AT(world_instance, state),
     .names = state_names,
     .name_count = STATE_COUNT},
    TIME(world_instance, launched),
    TIME(world_instance, visible_at),
    TIME(world_instance, addresses_at),
    TIME(world_instance, due),
    TIME(world_instance, grace_until),
    TIME(world_instance, state_since),
    TEXT(world_instance, reason_code),
    TEXT(world_instance, reason_message),
    TEXT(world_instance, transition),
    TEXT(world_instance, spot_action),
    TIME(world_instance, reclaim_at),
    BOOL(world_instance, never_boots),
    BOOL(world_instance, foreign_host_key),
    BOOL(world_instance, killed),
};
RECORD(world_instance);

const struct kind_info kinds[KIND_COUNT] = {
    [KIND_VPC] = {"vpc-", "vpc", "vpcs", "InvalidVpcID.NotFound", "InvalidVpcId.Malformed",
                  "vpc ID", &world_vpc_record},
    [KIND_SUBNET] = {"subnet-", "subnet", "subnets", "InvalidSubnetID.NotFound",
                     "InvalidSubnetId.Malformed", "subnet ID", &world_subnet_record},
    [KIND_GATEWAY] = {"igw-", "internet-gateway", "gateways", "InvalidInternetGatewayID.NotFound",
                      "InvalidInternetGatewayId.Malformed", "internetGateway ID",
                      &world_gateway_record},
    [KIND_ROUTE_TABLE] = {"rtb-", "route-table", "route_tables", "InvalidRouteTableID.NotFound",
                          "InvalidRouteTableId.Malformed", "routeTable ID",
                          &world_route_table_record},
    [KIND_GROUP] = {"sg-", "security-group", "groups", "InvalidGroup.NotFound",
                    "InvalidGroupId.Malformed", "security group", &world_group_record},
    [KIND_KEY_PAIR] = {"key-", "key-pair", "key_pairs", "InvalidKeyPair.NotFound",
                       "InvalidParameterValue", "key pair", &world_key_pair_record},
    [KIND_PLACEMENT_GROUP] = {"pg-", "placement-group", "placement_groups",
                              "InvalidPlacementGroup.Unknown", "InvalidParameterValue",
                              "Placement Group", &world_placement_group_record},
    [KIND_IMAGE] = {"ami-", "image", NULL, "InvalidAMIID.NotFound", "InvalidAMIID.Malformed",
                    "image ID", &world_image_record},
    [KIND_INSTANCE] = {"i-", "instance", "instances", "InvalidInstanceID.NotFound",
                       "InvalidInstanceID.Malformed", "instance ID", &world_instance_record},
    [KIND_VOLUME] = {"vol-", "volume", "volumes", "InvalidVolume.NotFound",
                     "InvalidVolumeID.Malformed", "volume", &world_volume_record},
    [KIND_INTERFACE] = {"eni-", "network-interface", "interfaces",
                        "InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterfaceId.Malformed",
                        "networkInterface ID", &world_interface_record},
    [KIND_SPOT_REQUEST] = {"sir-", "spot-instances-request", "spot_requests",
                           "InvalidSpotInstanceRequestID.NotFound",
                           "InvalidSpotInstanceRequestID.Malformed", "spot instance request ID",
                           &world_spot_request_record},
};

const char *instance_state_name(int s)
{
    return state_names[s];
}

int instance_state_code(int s)
{
    return state_codes[s];
}

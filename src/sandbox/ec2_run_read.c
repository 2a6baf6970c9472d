/* Reads a RunInstances request and proves it, before anything is made. */
#include "base/digest.h"
#include "sandbox/ec2_run.h"
#include <stdlib.h>
#include <string.h>

#define LAUNCH_MAX 1000 /* instances by one call */
#define USER_DATA_MAX 16384
#define HOP_LIMIT_MAX 64

void run_done(struct run *run)
{
    strv_done(&run->groups);
    free(run->iam_profile);
    buf_done(&run->user_data);
    devices_done(&run->devices);
    tag_list_done(&run->instance_tags);
    tag_list_done(&run->volume_tags);
    tag_list_done(&run->interface_tags);
    tag_list_done(&run->spot_tags);
}

static bool refuse(struct api_reply *r, const char *code, const char *message)
{
    api_fail(r, 400, code, "%s", message);
    return false;
}

/* ---- what the account of the sandbox does not have ----------------------------------------- */

static bool check_unsupported(const struct api_request *q, struct api_reply *r)
{
    static const char *const prefixes[] = {"LaunchTemplate.",
                                           "NetworkInterface.2.",
                                           "NetworkInterface.1.NetworkInterfaceId",
                                           "NetworkInterface.1.Ipv6",
                                           "Ipv6Address",
                                           "ElasticGpuSpecification.",
                                           "ElasticInferenceAccelerator.",
                                           "LicenseSpecification.",
                                           "Placement.HostId",
                                           "Placement.HostResourceGroupArn"};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        if (!param_any(q->params, prefixes[i]))
            continue;
        api_fail(r, 400, "UnsupportedOperation", "The sandbox's account has nothing for %s",
                 prefixes[i]);
        return false;
    }
    bool hibernate;
    if (!ec2_bool(q, r, "HibernationOptions.Configured", false, &hibernate))
        return false;
    return !hibernate || refuse(r, "UnsupportedHibernationConfiguration",
                                "The specified image does not support hibernation.");
}

/* ---- machine ------------------------------------------------------------------------------- */

static bool read_count(const struct api_request *q, struct api_reply *r, struct run *run)
{
    if (!ec2_need(q, r, "MinCount") || !ec2_need(q, r, "MaxCount") ||
        !ec2_int(q, r, "MinCount", 1, INT32_MAX, 1, &run->min) ||
        !ec2_int(q, r, "MaxCount", 1, INT32_MAX, 1, &run->max))
        return false;
    if (run->min > run->max)
        return refuse(r, "InvalidParameterCombination",
                      "The parameter MinCount may not be greater than MaxCount");
    if (run->max <= LAUNCH_MAX)
        return true;
    api_fail(r, 400, "ResourceCountExceeded",
             "You have exceeded the number of resources allowed in a single call of this type: %d",
             LAUNCH_MAX);
    return false;
}

static bool read_machine(const struct world *w, const struct api_request *q, struct api_reply *r,
                         struct run *run)
{
    const struct world_image *image = ec2_find_param(w, q, r, KIND_IMAGE, "ImageId");
    const char *type = image ? ec2_need(q, r, "InstanceType") : NULL;
    if (!type)
        return false;
    run->image = image->image;
    run->type = catalog_type(type);
    if (!run->type) {
        api_fail(r, 400, "InvalidParameterValue", "Invalid value '%s' for InstanceType.", type);
        return false;
    }
    if (strcmp(run->type->architecture, run->image->architecture) != 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "The architecture '%s' of the specified instance type does not match the "
                 "architecture '%s' of the specified AMI. Specify an instance type and an AMI that "
                 "have matching architectures, and try again. You can use "
                 "'describe-instance-types' or 'describe-images' to discover the architecture of "
                 "the instance type or AMI.",
                 run->type->architecture, run->image->architecture);
        return false;
    }
    run->key_name = param(q->params, "KeyName");
    if (run->key_name && !key_pair_named(w, run->key_name)) {
        ec2_not_found(r, KIND_KEY_PAIR, run->key_name);
        return false;
    }
    return true;
}

/* ---- place --------------------------------------------------------------------------------- */

static bool read_zone(const struct world *w, const struct api_request *q, struct api_reply *r,
                      const char **zone)
{
    *zone = param(q->params, "Placement.AvailabilityZone");
    if (!*zone || zone_exists(w, *zone))
        return true;
    api_fail(r, 400, "InvalidParameterValue", "Invalid availability zone: [%s]", *zone);
    return false;
}

static bool check_interface(const struct api_request *q, struct api_reply *r)
{
    if (!param_any(q->params, "NetworkInterface.1."))
        return true;
    const char *index = param(q->params, "NetworkInterface.1.DeviceIndex");
    if (!index)
        return refuse(r, "MissingParameter", "Each network interface requires a device index.");
    if (strcmp(index, "0") != 0)
        return refuse(r, "InvalidParameterValue",
                      "The first network interface must have the device index 0.");
    if (param(q->params, "SubnetId"))
        return refuse(r, "InvalidParameterCombination",
                      "Network interfaces and an instance-level subnet ID may not be specified on "
                      "the same request");
    if (param_any(q->params, "SecurityGroupId.") || param_any(q->params, "SecurityGroup."))
        return refuse(r, "InvalidParameterCombination",
                      "Network interfaces and an instance-level security groups may not be "
                      "specified on the same request");
    if (param(q->params, "PrivateIpAddress"))
        return refuse(r, "InvalidParameterCombination",
                      "Network interfaces and an instance-level private IP address may not be "
                      "specified on the same request");
    return true;
}

/* Real machines stand on one bridge: addresses beyond the sandbox's network lead nowhere. */
static bool check_reach(const struct world *w, struct api_reply *r, const struct world_subnet *s)
{
    struct cidr network, range;
    if (w->o.kind == HOST_GHOST || !cidr_parse(w->network, &network) ||
        !cidr_parse(s->cidr, &range) || cidr_holds(network, range))
        return true;
    api_fail(r, 400, "UnsupportedOperation",
             "The sandbox's machines have addresses within %s, and subnet '%s' is %s", w->network,
             s->r.id, s->cidr);
    return false;
}

static bool read_subnet(struct world *w, const struct api_request *q, struct api_reply *r,
                        struct run *run)
{
    const char *zone;
    if (!check_interface(q, r) || !read_zone(w, q, r, &zone))
        return false;
    const char *id = param(q->params, "SubnetId");
    if (!id)
        id = param(q->params, "NetworkInterface.1.SubnetId");
    run->subnet = id ? ec2_find(w, r, KIND_SUBNET, id) : default_subnet(w, zone);
    run->zone_is_free = !id && !zone;
    if (!run->subnet && id)
        return false;
    if (!run->subnet && !default_vpc(w))
        return refuse(r, "VPCIdNotSpecified",
                      "No default VPC for this user. GroupName is only "
                      "supported for EC2-Classic and default VPC");
    if (!run->subnet)
        return refuse(r, "MissingInput",
                      "No subnets found for the default VPC. Please specify a "
                      "subnet.");
    if (zone && strcmp(zone, run->subnet->zone) != 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "The subnet '%s' is not in the specified availability zone '%s'",
                 run->subnet->r.id, zone);
        return false;
    }
    return check_reach(w, r, run->subnet) &&
           ec2_bool(q, r, "NetworkInterface.1.AssociatePublicIpAddress", run->subnet->map_public_ip,
                    &run->public_ip);
}

static bool add_group(struct api_reply *r, struct run *run, const struct world_group *g)
{
    if (strcmp(g->vpc_id, run->subnet->vpc_id) != 0) {
        api_fail(r, 400, "InvalidParameter",
                 "Security group %s and subnet %s belong to different networks.", g->r.id,
                 run->subnet->r.id);
        return false;
    }
    if (!strv_has(&run->groups, g->r.id))
        strv_add(&run->groups, g->r.id);
    return true;
}

static bool read_groups(const struct world *w, const struct api_request *q, struct api_reply *r,
                        struct run *run)
{
    struct strv ids AUTO_STRV = {0}, names AUTO_STRV = {0};
    param_list(q->params, "SecurityGroupId", &ids);
    param_list(q->params, "NetworkInterface.1.SecurityGroupId", &ids);
    param_list(q->params, "SecurityGroup", &names);
    for (size_t i = 0; i < ids.count; i++) {
        const struct world_group *g = ec2_find(w, r, KIND_GROUP, ids.items[i]);
        if (!g || !add_group(r, run, g))
            return false;
    }
    for (size_t i = 0; i < names.count; i++) {
        const struct world_group *g = group_named(w, names.items[i], run->subnet->vpc_id);
        if (!g) {
            ec2_not_found(r, KIND_GROUP, names.items[i]);
            return false;
        }
        if (!add_group(r, run, g))
            return false;
    }
    return run->groups.count > 0 || add_group(r, run, default_group(w, run->subnet->vpc_id));
}

static bool read_private_ip(struct world *w, const struct api_request *q, struct api_reply *r,
                            struct run *run)
{
    run->interface_description = param(q->params, "NetworkInterface.1.Description");
    run->private_ip = param(q->params, "PrivateIpAddress");
    if (!run->private_ip)
        run->private_ip = param(q->params, "NetworkInterface.1.PrivateIpAddress");
    if (!run->private_ip)
        return true;
    if (run->max > 1)
        return refuse(r, "InvalidParameterCombination",
                      "A private IP address can be given to one instance only");
    if (strtab_get(w->private_ips, str_of(run->private_ip))) {
        api_fail(r, 400, "InvalidIPAddress.InUse", "Address %s is in use.", run->private_ip);
        return false;
    }
    struct world_instance trial = {0};
    if (!private_ip_take_this(w, run->subnet, &trial, run->private_ip)) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Address %s does not fall within the subnet's address range", run->private_ip);
        return false;
    }
    strtab_remove(w->private_ips, str_of(trial.private_ip));
    run->subnet->used--;
    free(trial.private_ip);
    return true;
}

static bool read_placement(const struct world *w, const struct api_request *q, struct api_reply *r,
                           struct run *run)
{
    static const char *const tenancies[] = {"default", "dedicated", "host", NULL};
    if (!ec2_choice(q, r, "Placement.Tenancy", tenancies, &run->tenancy))
        return false;
    if (!run->tenancy)
        run->tenancy = "default";
    if (strcmp(run->tenancy, "host") == 0)
        return refuse(r, "InsufficientHostCapacity", "There is no dedicated host in this account.");
    run->placement_group = param(q->params, "Placement.GroupName");
    if (run->placement_group && !*run->placement_group)
        run->placement_group = NULL;
    if (run->placement_group && !placement_group_named(w, run->placement_group)) {
        ec2_not_found(r, KIND_PLACEMENT_GROUP, run->placement_group);
        return false;
    }
    return true;
}

/* ---- what is inside, and how it behaves ---------------------------------------------------- */

static bool read_user_data(const struct api_request *q, struct api_reply *r, struct run *run)
{
    const char *encoded = param(q->params, "UserData");
    if (!encoded)
        return true;
    if (!digest_unbase64(str_of(encoded), &run->user_data))
        return refuse(r, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.");
    if (run->user_data.len <= USER_DATA_MAX)
        return true;
    api_fail(r, 400, "InvalidParameterValue", "User data is limited to %d bytes", USER_DATA_MAX);
    return false;
}

static bool read_metadata(const struct api_request *q, struct api_reply *r, struct run *run)
{
    static const char *const tokens[] = {"optional", "required", NULL};
    static const char *const on_off[] = {"enabled", "disabled", NULL};
    const char *http_tokens, *endpoint, *tags;
    int64_t hops;
    if (!ec2_choice(q, r, "MetadataOptions.HttpTokens", tokens, &http_tokens) ||
        !ec2_choice(q, r, "MetadataOptions.HttpEndpoint", on_off, &endpoint) ||
        !ec2_choice(q, r, "MetadataOptions.InstanceMetadataTags", on_off, &tags) ||
        !ec2_int(q, r, "MetadataOptions.HttpPutResponseHopLimit", 1, HOP_LIMIT_MAX, 1, &hops))
        return false;
    run->tokens_required = http_tokens && strcmp(http_tokens, "required") == 0;
    run->metadata_off = endpoint && strcmp(endpoint, "disabled") == 0;
    run->tags_in_metadata = tags && strcmp(tags, "enabled") == 0;
    run->hop_limit = (int)hops;
    return true;
}

static bool read_behaviour(const struct world *w, const struct api_request *q, struct api_reply *r,
                           struct run *run)
{
    static const char *const behaviours[] = {"stop", "terminate", NULL};
    const char *behaviour;
    if (!ec2_choice(q, r, "InstanceInitiatedShutdownBehavior", behaviours, &behaviour) ||
        !ec2_bool(q, r, "DisableApiTermination", false, &run->protected_from_termination) ||
        !ec2_bool(q, r, "Monitoring.Enabled", false, &run->monitored) ||
        !ec2_bool(q, r, "EbsOptimized", false, &run->ebs_optimized))
        return false;
    run->terminate_on_shutdown = behaviour && strcmp(behaviour, "terminate") == 0;
    const char *arn = param(q->params, "IamInstanceProfile.Arn");
    const char *name = param(q->params, "IamInstanceProfile.Name");
    if (arn && name)
        return refuse(r, "InvalidParameterCombination",
                      "The parameter 'iamInstanceProfile.name' may not be used in combination "
                      "with 'iamInstanceProfile.arn'");
    run->iam_profile =
        name ? mem_printf("arn:aws:iam::%s:instance-profile/%s", w->account, name) : mem_dup(arn);
    return true;
}

static bool read_market(const struct api_request *q, struct api_reply *r, struct run *run)
{
    static const char *const markets[] = {"spot", NULL};
    static const char *const kinds_of_request[] = {"one-time", "persistent", NULL};
    static const char *const interruptions[] = {"terminate", "stop", "hibernate", NULL};
    const char *market, *kind, *interruption;
    if (!ec2_choice(q, r, "InstanceMarketOptions.MarketType", markets, &market) ||
        !ec2_choice(q, r, "InstanceMarketOptions.SpotOptions.SpotInstanceType", kinds_of_request,
                    &kind) ||
        !ec2_choice(q, r, "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
                    interruptions, &interruption))
        return false;
    run->spot = market != NULL;
    run->spot_max_price = param(q->params, "InstanceMarketOptions.SpotOptions.MaxPrice");
    if (kind && strcmp(kind, "persistent") == 0)
        return refuse(r, "UnsupportedOperation",
                      "The sandbox has one-time Spot Instance requests only");
    if (interruption && strcmp(interruption, "terminate") != 0)
        return refuse(r, "InvalidParameterCombination",
                      "The instance interruption behavior of a one-time Spot Instance request "
                      "must be 'terminate'");
    return true;
}

static bool read_tags(const struct api_request *q, struct api_reply *r, struct run *run)
{
    static const char *const types[] = {"instance", "volume", "network-interface",
                                        "spot-instances-request", NULL};
    if (!ec2_tag_specification(q, r, types, "instance", &run->instance_tags) ||
        !ec2_tag_specification(q, r, types, "volume", &run->volume_tags) ||
        !ec2_tag_specification(q, r, types, "network-interface", &run->interface_tags) ||
        !ec2_tag_specification(q, r, types, "spot-instances-request", &run->spot_tags))
        return false;
    if (run->spot_tags.items.count > 0 && !run->spot)
        return refuse(r, "InvalidParameterCombination",
                      "You cannot specify tags for Spot instances requests if there are no Spot "
                      "instances requests being created by the request.");
    return true;
}

bool run_read(struct world *w, const struct api_request *q, struct api_reply *r, struct run *run)
{
    run->token = param(q->params, "ClientToken");
    return check_unsupported(q, r) && read_count(q, r, run) && read_machine(w, q, r, run) &&
           read_subnet(w, q, r, run) && read_groups(w, q, r, run) &&
           read_private_ip(w, q, r, run) && read_placement(w, q, r, run) &&
           read_user_data(q, r, run) && read_metadata(q, r, run) && read_behaviour(w, q, r, run) &&
           read_market(q, r, run) && read_tags(q, r, run) &&
           ec2_devices_read(w, q, r, run->image, &run->devices);
}

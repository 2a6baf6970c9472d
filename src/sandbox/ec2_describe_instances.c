/* Instances as EC2 shows them: DescribeInstances, and the shape that RunInstances answers too. */
#include "sandbox/ec2_priv.h"
#include <string.h>

EC2_HANDLER(DescribeInstances);

#define INSTANCE(res) ((const struct world_instance *)(const void *)(res))

/* ---- filters ------------------------------------------------------------------------------- */

static const struct catalog_image *image_shown(const struct world *w, const struct resource *res)
{
    return image_of(w, INSTANCE(res)->image_id);
}

static const char *private_shown(const struct world *w, const struct world_instance *i)
{
    return addresses_shown(i, world_now(w)) ? i->private_ip : NULL;
}

static const char *public_shown(const struct world *w, const struct world_instance *i)
{
    return addresses_shown(i, world_now(w)) ? i->public_ip : NULL;
}

/* Whether its VPC gives public DNS names. */
static bool has_dns(const struct world *w, const struct world_instance *i)
{
    const struct world_vpc *v = resource_get(w, KIND_VPC, i->vpc_id);
    return v && v->dns_hostnames && v->dns_support;
}

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)

MATCH(state_name)
{
    return filter_text(f, instance_state_name(INSTANCE(res)->state));
}
MATCH(state_code)
{
    return filter_int(f, instance_state_code(INSTANCE(res)->state));
}
MATCH(architecture)
{
    return filter_text(f, image_shown(w, res)->architecture);
}
MATCH(root_device_name)
{
    return filter_text(f, image_shown(w, res)->root_device);
}
MATCH(private_ip)
{
    return filter_text(f, private_shown(w, INSTANCE(res)));
}
MATCH(public_ip)
{
    return filter_text(f, public_shown(w, INSTANCE(res)));
}
MATCH(private_dns)
{
    const char *ip = private_shown(w, INSTANCE(res));
    AUTO_FREE char *name = ip ? private_dns_name(w, ip) : NULL;
    return filter_text(f, name);
}
MATCH(public_dns)
{
    const char *ip = public_shown(w, INSTANCE(res));
    AUTO_FREE char *name = ip && has_dns(w, INSTANCE(res)) ? public_dns_name(w, ip) : NULL;
    return filter_text(f, name);
}
MATCH(group_id)
{
    return filter_any(f, &INSTANCE(res)->groups);
}
MATCH(group_name)
{
    const struct strv *ids = &INSTANCE(res)->groups;
    for (size_t i = 0; i < ids->count; i++) {
        const struct world_group *g = resource_get(w, KIND_GROUP, ids->items[i]);
        if (g && filter_text(f, g->name))
            return true;
    }
    return false;
}
MATCH(volume_id)
{
    return filter_any(f, &INSTANCE(res)->volumes);
}
MATCH(delete_on_termination)
{
    const struct strv *ids = &INSTANCE(res)->volumes;
    for (size_t i = 0; i < ids->count; i++) {
        const struct world_volume *v = resource_get(w, KIND_VOLUME, ids->items[i]);
        if (filter_bool(f, v->delete_on_termination))
            return true;
    }
    return false;
}
MATCH(lifecycle)
{
    return filter_text(f, INSTANCE(res)->spot_request_id ? "spot" : NULL);
}
MATCH(monitoring)
{
    return filter_text(f, INSTANCE(res)->monitored ? "enabled" : "disabled");
}
MATCH(http_tokens)
{
    return filter_text(f, INSTANCE(res)->tokens_required ? "required" : "optional");
}
MATCH(launch_index)
{
    return filter_int(f, INSTANCE(res)->launch_index);
}
MATCH(launch_time)
{
    char iso[CLOCK_ISO_SIZE];
    clock_iso(INSTANCE(res)->launched, iso);
    AUTO_FREE char *with_millis = mem_printf("%.19s.000Z", iso);
    return filter_text(f, iso) || filter_text(f, with_millis);
}
MATCH(owner)
{
    return filter_text(f, w->account);
}
MATCH(ebs)
{
    return filter_text(f, "ebs");
}
MATCH(hvm)
{
    return filter_text(f, "hvm");
}
MATCH(xen)
{
    return filter_text(f, "xen");
}
MATCH(true)
{
    return filter_bool(f, true);
}

#define TEXT(name, member)                                  \
    {                                                       \
        name, NULL, offsetof(struct world_instance, member) \
    }
static const struct filter_key instance_filters[] = {
    TEXT("instance-id", r.id),
    TEXT("image-id", image_id),
    TEXT("instance-type", type),
    TEXT("key-name", key_name),
    TEXT("vpc-id", vpc_id),
    TEXT("subnet-id", subnet_id),
    TEXT("availability-zone", zone),
    TEXT("client-token", client_token),
    TEXT("reservation-id", reservation_id),
    TEXT("tenancy", tenancy),
    TEXT("placement-group-name", placement_group),
    TEXT("iam-instance-profile.arn", iam_profile),
    TEXT("state-reason-code", reason_code),
    TEXT("reason", transition),
    TEXT("state-reason-message", reason_message),
    TEXT("spot-instance-request-id", spot_request_id),
    TEXT("network-interface.network-interface-id", interface_id),
    TEXT("network-interface.subnet-id", subnet_id),
    TEXT("network-interface.vpc-id", vpc_id),
    TEXT("network-interface.availability-zone", zone),
    TEXT("network-interface.mac-address", mac),
    {"instance-state-name", by_state_name, 0},
    {"instance-state-code", by_state_code, 0},
    {"architecture", by_architecture, 0},
    {"root-device-name", by_root_device_name, 0},
    {"block-device-mapping.device-name", by_root_device_name, 0},
    {"root-device-type", by_ebs, 0},
    {"private-ip-address", by_private_ip, 0},
    {"network-interface.addresses.private-ip-address", by_private_ip, 0},
    {"ip-address", by_public_ip, 0},
    {"network-interface.association.public-ip", by_public_ip, 0},
    {"private-dns-name", by_private_dns, 0},
    {"dns-name", by_public_dns, 0},
    {"instance.group-id", by_group_id, 0},
    {"instance.group-name", by_group_name, 0},
    {"network-interface.group-id", by_group_id, 0},
    {"network-interface.group-name", by_group_name, 0},
    {"group-id", by_group_id, 0},
    {"group-name", by_group_name, 0},
    {"block-device-mapping.volume-id", by_volume_id, 0},
    {"block-device-mapping.delete-on-termination", by_delete_on_termination, 0},
    {"instance-lifecycle", by_lifecycle, 0},
    {"monitoring-state", by_monitoring, 0},
    {"metadata-options.http-tokens", by_http_tokens, 0},
    {"launch-index", by_launch_index, 0},
    {"launch-time", by_launch_time, 0},
    {"owner-id", by_owner, 0},
    {"virtualization-type", by_hvm, 0},
    {"hypervisor", by_xen, 0},
    {"source-dest-check", by_true, 0},
};

/* ---- writing ------------------------------------------------------------------------------- */

void ec2_write_state(struct buf *b, const char *name, int state)
{
    xml_open(b, name);
    xml_int(b, "code", instance_state_code(state));
    xml_text(b, "name", instance_state_name(state));
    xml_close(b, name);
}

void ec2_write_group_set(const struct world *w, const struct strv *groups, struct buf *b)
{
    xml_open(b, "groupSet");
    for (size_t i = 0; i < groups->count; i++) {
        const struct world_group *g = resource_get(w, KIND_GROUP, groups->items[i]);
        xml_open(b, "item");
        xml_text(b, "groupId", groups->items[i]);
        xml_text(b, "groupName", g ? g->name : NULL);
        xml_close(b, "item");
    }
    xml_close(b, "groupSet");
}

static void write_placement(const struct world_instance *i, struct buf *b)
{
    xml_open(b, "placement");
    xml_text(b, "availabilityZone", i->zone);
    xml_text(b, "groupName", i->placement_group ? i->placement_group : "");
    xml_text(b, "tenancy", i->tenancy);
    xml_close(b, "placement");
    xml_open(b, "monitoring");
    xml_text(b, "state", i->monitored ? "enabled" : "disabled");
    xml_close(b, "monitoring");
}

static void write_devices(const struct world *w, const struct world_instance *i, struct buf *b)
{
    xml_open(b, "blockDeviceMapping");
    for (size_t k = 0; k < i->volumes.count; k++) {
        const struct world_volume *v = resource_get(w, KIND_VOLUME, i->volumes.items[k]);
        xml_open(b, "item");
        xml_text(b, "deviceName", v->device);
        xml_open(b, "ebs");
        xml_text(b, "volumeId", v->r.id);
        xml_text(b, "status", "attached");
        xml_time(b, "attachTime", v->attached);
        xml_bool(b, "deleteOnTermination", v->delete_on_termination);
        xml_close(b, "ebs");
        xml_close(b, "item");
    }
    xml_close(b, "blockDeviceMapping");
}

struct shown {
    const char *private_ip, *public_ip, *private_dns, *public_dns;
};

static void write_association(const struct shown *s, struct buf *b)
{
    if (!s->public_ip)
        return;
    xml_open(b, "association");
    xml_text(b, "publicIp", s->public_ip);
    xml_text(b, "publicDnsName", s->public_dns ? s->public_dns : "");
    xml_text(b, "ipOwnerId", "amazon");
    xml_close(b, "association");
}

static void write_interface(const struct world *w, const struct world_instance *i,
                            const struct shown *s, struct buf *b)
{
    const struct world_interface *n = resource_get(w, KIND_INTERFACE, i->interface_id);
    xml_open(b, "networkInterfaceSet");
    if (n) {
        xml_open(b, "item");
        xml_text(b, "networkInterfaceId", n->r.id);
        xml_text(b, "subnetId", i->subnet_id);
        xml_text(b, "vpcId", i->vpc_id);
        xml_text(b, "description", n->description ? n->description : "");
        xml_text(b, "ownerId", w->account);
        xml_text(b, "status", "in-use");
        xml_text(b, "macAddress", i->mac);
        xml_text(b, "privateIpAddress", s->private_ip);
        xml_text(b, "privateDnsName", s->private_dns);
        xml_bool(b, "sourceDestCheck", true);
        ec2_write_group_set(w, &i->groups, b);
        xml_open(b, "attachment");
        xml_text(b, "attachmentId", n->attachment_id);
        xml_int(b, "deviceIndex", 0);
        xml_text(b, "status", "attached");
        xml_time(b, "attachTime", n->r.created);
        xml_bool(b, "deleteOnTermination", n->delete_on_termination);
        xml_int(b, "networkCardIndex", 0);
        xml_close(b, "attachment");
        write_association(s, b);
        if (s->private_ip) {
            xml_open(b, "privateIpAddressesSet");
            xml_open(b, "item");
            xml_text(b, "privateIpAddress", s->private_ip);
            xml_text(b, "privateDnsName", s->private_dns);
            xml_bool(b, "primary", true);
            write_association(s, b);
            xml_close(b, "item");
            xml_close(b, "privateIpAddressesSet");
        }
        xml_text(b, "interfaceType", "interface");
        xml_close(b, "item");
    }
    xml_close(b, "networkInterfaceSet");
}

static void write_options(const struct world_instance *i, const struct catalog_type *t,
                          struct buf *b)
{
    xml_open(b, "cpuOptions");
    xml_int(b, "coreCount", t->cores);
    xml_int(b, "threadsPerCore", t->vcpus / t->cores);
    xml_close(b, "cpuOptions");
    buf_adds(b, "<capacityReservationSpecification><capacityReservationPreference>open"
                "</capacityReservationPreference></capacityReservationSpecification>"
                "<hibernationOptions><configured>false</configured></hibernationOptions>"
                "<enclaveOptions><enabled>false</enabled></enclaveOptions>");
    xml_open(b, "metadataOptions");
    xml_text(b, "state", i->state == STATE_PENDING ? "pending" : "applied");
    xml_text(b, "httpTokens", i->tokens_required ? "required" : "optional");
    xml_int(b, "httpPutResponseHopLimit", i->hop_limit);
    xml_text(b, "httpEndpoint", i->metadata_off ? "disabled" : "enabled");
    xml_text(b, "httpProtocolIpv6", "disabled");
    xml_text(b, "instanceMetadataTags", i->tags_in_metadata ? "enabled" : "disabled");
    xml_close(b, "metadataOptions");
    buf_adds(b, "<platformDetails>Linux/UNIX</platformDetails>"
                "<usageOperation>RunInstances</usageOperation>");
    xml_time(b, "usageOperationUpdateTime", i->r.created);
    buf_adds(b, "<privateDnsNameOptions><hostnameType>ip-name</hostnameType>"
                "<enableResourceNameDnsARecord>false</enableResourceNameDnsARecord>"
                "<enableResourceNameDnsAAAARecord>false</enableResourceNameDnsAAAARecord>"
                "</privateDnsNameOptions>"
                "<maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions>");
}

static void write_reason(const struct world_instance *i, struct buf *b)
{
    if (!i->reason_code)
        return;
    xml_open(b, "stateReason");
    xml_text(b, "code", i->reason_code);
    xml_text(b, "message", i->reason_message);
    xml_close(b, "stateReason");
}

static void write_profile(const struct world_instance *i, struct buf *b)
{
    if (!i->iam_profile)
        return;
    xml_open(b, "iamInstanceProfile");
    xml_text(b, "arn", i->iam_profile);
    xml_text(b, "id", "AIPAFLAMBESANDBOX0000");
    xml_close(b, "iamInstanceProfile");
}

/* Who it is, where it is, and how it is. */
static void write_identity(const struct world_instance *i, const struct shown *s, struct buf *b)
{
    xml_text(b, "instanceId", i->r.id);
    xml_text(b, "imageId", i->image_id);
    ec2_write_state(b, "instanceState", i->state);
    xml_text(b, "privateDnsName", s->private_dns ? s->private_dns : "");
    xml_text(b, "dnsName", s->public_dns ? s->public_dns : "");
    xml_text(b, "reason", i->transition ? i->transition : "");
    xml_text(b, "keyName", i->key_name);
    xml_int(b, "amiLaunchIndex", i->launch_index);
    buf_adds(b, "<productCodes/>");
    xml_text(b, "instanceType", i->type);
    xml_time(b, "launchTime", i->launched);
    write_placement(i, b);
    xml_text(b, "subnetId", i->subnet_id);
    xml_text(b, "vpcId", i->vpc_id);
    xml_text(b, "privateIpAddress", s->private_ip);
    xml_text(b, "ipAddress", s->public_ip);
    xml_bool(b, "sourceDestCheck", true);
}

void ec2_write_instance(const struct world *w, const struct world_instance *i, struct buf *b)
{
    const struct catalog_image *image = image_of(w, i->image_id);
    struct shown s = {private_shown(w, i), public_shown(w, i), NULL, NULL};
    AUTO_FREE char *private_dns = s.private_ip ? private_dns_name(w, s.private_ip) : NULL;
    AUTO_FREE char *public_dns =
        s.public_ip && has_dns(w, i) ? public_dns_name(w, s.public_ip) : NULL;
    s.private_dns = private_dns;
    s.public_dns = public_dns;
    write_identity(i, &s, b);
    ec2_write_group_set(w, &i->groups, b);
    write_reason(i, b);
    xml_text(b, "architecture", image->architecture);
    xml_text(b, "rootDeviceType", "ebs");
    xml_text(b, "rootDeviceName", image->root_device);
    write_devices(w, i, b);
    xml_text(b, "virtualizationType", "hvm");
    xml_text(b, "clientToken", i->client_token ? i->client_token : "");
    ec2_tag_set(b, &i->r);
    xml_text(b, "hypervisor", "xen");
    write_interface(w, i, &s, b);
    write_profile(i, b);
    xml_text(b, "instanceLifecycle", i->spot_request_id ? "spot" : NULL);
    xml_text(b, "spotInstanceRequestId", i->spot_request_id);
    xml_bool(b, "ebsOptimized", i->ebs_optimized);
    xml_bool(b, "enaSupport", true);
    write_options(i, catalog_type(i->type), b);
}

void ec2_write_reservation(const struct world *w, const char *reservation_id, struct buf *b)
{
    xml_text(b, "reservationId", reservation_id);
    xml_text(b, "ownerId", w->account);
    buf_adds(b, "<groupSet/>");
}

/* ---- DescribeInstances --------------------------------------------------------------------- */

static const struct describe instances = {
    .kind = KIND_INSTANCE,
    .ids = "InstanceId",
    .filters = instance_filters,
    .filter_count = COUNT_OF(instance_filters),
    .page_min = 5,
    .page_max = 1000,
};

void ec2_DescribeInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    if (!ec2_select(w, q, r, &instances, &found))
        return;
    struct buf *b = &r->body;
    const char *reservation = NULL;
    ec2_open(q, r);
    xml_open(b, "reservationSet");
    for (size_t k = 0; k < found.count; k++) {
        const struct world_instance *i = INSTANCE(found.items[k]);
        if (!reservation || strcmp(reservation, i->reservation_id) != 0) {
            if (reservation)
                buf_adds(b, "</instancesSet></item>");
            reservation = i->reservation_id;
            xml_open(b, "item");
            ec2_write_reservation(w, reservation, b);
            xml_open(b, "instancesSet");
        }
        xml_open(b, "item");
        ec2_write_instance(w, i, b);
        xml_close(b, "item");
    }
    if (reservation)
        buf_adds(b, "</instancesSet></item>");
    xml_close(b, "reservationSet");
    xml_text(b, "nextToken", found.next_token);
    ec2_close(q, r);
}

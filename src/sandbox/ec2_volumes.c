/* Volumes and network interfaces: what instances have. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(DescribeVolumes);
EC2_HANDLER(CreateVolume);
EC2_HANDLER(DeleteVolume);
EC2_HANDLER(DescribeNetworkInterfaces);

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)
#define VOLUME(res) ((const struct world_volume *)(const void *)(res))
#define INTERFACE(res) ((const struct world_interface *)(const void *)(res))

/* ---- volumes ------------------------------------------------------------------------------- */

MATCH(status)
{
    return filter_text(f, VOLUME(res)->instance_id ? "in-use" : "available");
}
MATCH(attachment_status)
{
    return filter_text(f, VOLUME(res)->instance_id ? "attached" : NULL);
}
MATCH(size)
{
    return filter_int(f, VOLUME(res)->gb);
}
MATCH(encrypted)
{
    return filter_bool(f, VOLUME(res)->encrypted);
}
MATCH(delete_on_termination)
{
    return VOLUME(res)->instance_id && filter_bool(f, VOLUME(res)->delete_on_termination);
}

#define TEXT(name, member)                                \
    {                                                     \
        name, NULL, offsetof(struct world_volume, member) \
    }
static const struct filter_key volume_filters[] = {
    TEXT("volume-id", r.id),
    TEXT("volume-type", type),
    TEXT("availability-zone", zone),
    TEXT("snapshot-id", snapshot_id),
    TEXT("attachment.instance-id", instance_id),
    TEXT("attachment.device", device),
    {"status", by_status, 0},
    {"attachment.status", by_attachment_status, 0},
    {"attachment.delete-on-termination", by_delete_on_termination, 0},
    {"size", by_size, 0},
    {"encrypted", by_encrypted, 0},
};

static void write_volume(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_volume *v = VOLUME(res);
    xml_text(b, "volumeId", v->r.id);
    xml_int(b, "size", v->gb);
    xml_text(b, "snapshotId", v->snapshot_id ? v->snapshot_id : "");
    xml_text(b, "availabilityZone", v->zone);
    xml_text(b, "status", v->instance_id ? "in-use" : "available");
    xml_time(b, "createTime", v->r.created);
    xml_open(b, "attachmentSet");
    if (v->instance_id) {
        xml_open(b, "item");
        xml_text(b, "volumeId", v->r.id);
        xml_text(b, "instanceId", v->instance_id);
        xml_text(b, "device", v->device);
        xml_text(b, "status", "attached");
        xml_time(b, "attachTime", v->attached);
        xml_bool(b, "deleteOnTermination", v->delete_on_termination);
        xml_close(b, "item");
    }
    xml_close(b, "attachmentSet");
    ec2_tag_set(b, res);
    xml_text(b, "volumeType", v->type);
    if (v->iops)
        xml_int(b, "iops", v->iops);
    if (v->throughput)
        xml_int(b, "throughput", v->throughput);
    xml_bool(b, "encrypted", v->encrypted);
    xml_text(b, "kmsKeyId", v->kms_key_id);
    xml_bool(b, "multiAttachEnabled", false);
}

static const struct describe volumes = {
    .kind = KIND_VOLUME,
    .ids = "VolumeId",
    .set = "volumeSet",
    .filters = volume_filters,
    .filter_count = COUNT_OF(volume_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_volume,
};

void ec2_DescribeVolumes(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &volumes);
}

static void device_done(struct device *d)
{
    free(d->type);
    free(d->kms_key_id);
}

static bool read_new_volume(const struct world *w, const struct api_request *q, struct api_reply *r,
                            struct device *d)
{
    int64_t gb, iops, throughput;
    const char *type = param(q->params, "VolumeType");
    d->type = mem_dup(type ? type : "gp2");
    d->kms_key_id = mem_dup(param(q->params, "KmsKeyId"));
    if (param(q->params, "SnapshotId")) {
        api_fail(r, 400, "UnsupportedOperation",
                 "The sandbox makes empty volumes only, not from a snapshot");
        return false;
    }
    if (!ec2_need(q, r, "Size") || !ec2_int(q, r, "Size", 1, 65536, 0, &gb) ||
        !ec2_int(q, r, "Iops", 1, INT32_MAX, 0, &iops) ||
        !ec2_int(q, r, "Throughput", 1, INT32_MAX, 0, &throughput) ||
        !ec2_bool(q, r, "Encrypted", false, &d->encrypted))
        return false;
    d->gb = (int)gb;
    d->iops = (int)iops;
    d->throughput = (int)throughput;
    if (!ec2_device_check(r, d))
        return false;
    if (d->encrypted && !d->kms_key_id)
        d->kms_key_id = ec2_default_kms_key(w);
    return true;
}

void ec2_CreateVolume(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    struct device d CLEANUP(device_done) = {0};
    const char *zone = ec2_need(q, r, "AvailabilityZone");
    if (!zone || !ec2_room(w, r, KIND_VOLUME) || !read_new_volume(w, q, r, &d) ||
        !ec2_tag_specification_of(q, r, KIND_VOLUME, &tags))
        return;
    if (!zone_exists(w, zone)) {
        api_fail(r, 400, "InvalidZone.NotFound", "The zone '%s' does not exist.", zone);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    struct world_volume *v = resource_add(w, KIND_VOLUME, NULL);
    v->zone = mem_dup(zone);
    ec2_device_copy(&d, v);
    ec2_tags_put(&tags, &v->r);
    ec2_open(q, r);
    write_volume(w, &v->r, &r->body);
    ec2_close(q, r);
}

void ec2_DeleteVolume(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_volume *v = ec2_find_param(w, q, r, KIND_VOLUME, "VolumeId");
    if (!v)
        return;
    if (v->instance_id) {
        api_fail(r, 400, "VolumeInUse", "Volume %s is currently attached to %s", v->r.id,
                 v->instance_id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &v->r);
    ec2_answer_true(q, r);
}

/* ---- network interfaces -------------------------------------------------------------------- */

static const struct world_instance *owner(const struct world *w, const struct resource *res)
{
    return resource_get(w, KIND_INSTANCE, INTERFACE(res)->instance_id);
}

MATCH(subnet)
{
    return filter_text(f, owner(w, res)->subnet_id);
}
MATCH(vpc)
{
    return filter_text(f, owner(w, res)->vpc_id);
}
MATCH(zone)
{
    return filter_text(f, owner(w, res)->zone);
}
MATCH(group)
{
    return filter_any(f, &owner(w, res)->groups);
}
MATCH(private_ip)
{
    return filter_text(f, owner(w, res)->private_ip);
}
MATCH(public_ip)
{
    return filter_text(f, owner(w, res)->public_ip);
}
MATCH(mac)
{
    return filter_text(f, owner(w, res)->mac);
}
MATCH(in_use)
{
    return filter_text(f, "in-use");
}
MATCH(owner)
{
    return filter_text(f, w->account);
}

static const struct filter_key interface_filters[] = {
    {"network-interface-id", NULL, offsetof(struct resource, id)},
    {"attachment.instance-id", NULL, offsetof(struct world_interface, instance_id)},
    {"attachment.attachment-id", NULL, offsetof(struct world_interface, attachment_id)},
    {"description", NULL, offsetof(struct world_interface, description)},
    {"subnet-id", by_subnet, 0},
    {"vpc-id", by_vpc, 0},
    {"availability-zone", by_zone, 0},
    {"group-id", by_group, 0},
    {"private-ip-address", by_private_ip, 0},
    {"addresses.private-ip-address", by_private_ip, 0},
    {"association.public-ip", by_public_ip, 0},
    {"mac-address", by_mac, 0},
    {"status", by_in_use, 0},
    {"owner-id", by_owner, 0},
};

static void write_association(const struct world *w, const struct world_instance *i, struct buf *b)
{
    if (!i->public_ip)
        return;
    AUTO_FREE char *name = public_dns_name(w, i->public_ip);
    xml_open(b, "association");
    xml_text(b, "publicIp", i->public_ip);
    xml_text(b, "publicDnsName", name);
    xml_text(b, "ipOwnerId", "amazon");
    xml_close(b, "association");
}

static void write_interface(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_interface *n = INTERFACE(res);
    const struct world_instance *i = owner(w, res);
    AUTO_FREE char *private_dns = private_dns_name(w, i->private_ip);
    xml_text(b, "networkInterfaceId", n->r.id);
    xml_text(b, "subnetId", i->subnet_id);
    xml_text(b, "vpcId", i->vpc_id);
    xml_text(b, "availabilityZone", i->zone);
    xml_text(b, "description", n->description ? n->description : "");
    xml_text(b, "ownerId", w->account);
    xml_bool(b, "requesterManaged", false);
    xml_text(b, "status", "in-use");
    xml_text(b, "macAddress", i->mac);
    xml_text(b, "privateIpAddress", i->private_ip);
    xml_text(b, "privateDnsName", private_dns);
    xml_bool(b, "sourceDestCheck", true);
    ec2_write_group_set(w, &i->groups, b);
    xml_open(b, "attachment");
    xml_text(b, "attachmentId", n->attachment_id);
    xml_text(b, "instanceId", i->r.id);
    xml_text(b, "instanceOwnerId", w->account);
    xml_int(b, "deviceIndex", 0);
    xml_text(b, "status", "attached");
    xml_time(b, "attachTime", n->r.created);
    xml_bool(b, "deleteOnTermination", n->delete_on_termination);
    xml_close(b, "attachment");
    write_association(w, i, b);
    ec2_tag_set(b, res);
    xml_open(b, "privateIpAddressesSet");
    xml_open(b, "item");
    xml_text(b, "privateIpAddress", i->private_ip);
    xml_text(b, "privateDnsName", private_dns);
    xml_bool(b, "primary", true);
    write_association(w, i, b);
    xml_close(b, "item");
    xml_close(b, "privateIpAddressesSet");
    xml_text(b, "interfaceType", "interface");
}

static const struct describe interfaces = {
    .kind = KIND_INTERFACE,
    .ids = "NetworkInterfaceId",
    .set = "networkInterfaceSet",
    .filters = interface_filters,
    .filter_count = COUNT_OF(interface_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_interface,
};

void ec2_DescribeNetworkInterfaces(struct world *w, const struct api_request *q,
                                   struct api_reply *r)
{
    ec2_describe(w, q, r, &interfaces);
}

/* DescribeImages: the public images of the catalog. */
#include "sandbox/ec2_priv.h"
#include <string.h>

EC2_HANDLER(DescribeImages);

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)
#define IMAGE(res) (((const struct world_image *)(const void *)(res))->image)

MATCH(name)
{
    return filter_text(f, IMAGE(res)->name);
}
MATCH(description)
{
    return filter_text(f, IMAGE(res)->description);
}
MATCH(architecture)
{
    return filter_text(f, IMAGE(res)->architecture);
}
MATCH(owner)
{
    return filter_text(f, IMAGE(res)->owner);
}
MATCH(owner_alias)
{
    return filter_text(f, IMAGE(res)->owner_alias);
}
MATCH(root_device)
{
    return filter_text(f, IMAGE(res)->root_device);
}
MATCH(snapshot)
{
    return filter_text(f, IMAGE(res)->snapshot_id);
}
MATCH(created)
{
    return filter_text(f, IMAGE(res)->created);
}
MATCH(available)
{
    return filter_text(f, "available");
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
MATCH(machine)
{
    return filter_text(f, "machine");
}
MATCH(true)
{
    return filter_bool(f, true);
}
MATCH(nothing)
{
    return false;
}

static const struct filter_key image_filters[] = {
    {"image-id", NULL, offsetof(struct resource, id)},
    {"name", by_name, 0},
    {"description", by_description, 0},
    {"architecture", by_architecture, 0},
    {"owner-id", by_owner, 0},
    {"owner-alias", by_owner_alias, 0},
    {"root-device-name", by_root_device, 0},
    {"block-device-mapping.device-name", by_root_device, 0},
    {"block-device-mapping.snapshot-id", by_snapshot, 0},
    {"creation-date", by_created, 0},
    {"state", by_available, 0},
    {"root-device-type", by_ebs, 0},
    {"virtualization-type", by_hvm, 0},
    {"hypervisor", by_xen, 0},
    {"image-type", by_machine, 0},
    {"is-public", by_true, 0},
    {"ena-support", by_true, 0},
    {"platform", by_nothing, 0},
};

static void write_image(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct catalog_image *c = IMAGE(res);
    bool gp3 = strstr(c->name, "gp3") != NULL;
    xml_text(b, "imageId", c->id);
    buf_addf(b, "<imageLocation>%s/", c->owner_alias ? c->owner_alias : c->owner);
    buf_adds(b, c->name); /* of the catalog: nothing to escape */
    buf_adds(b, "</imageLocation>");
    xml_text(b, "imageState", "available");
    xml_text(b, "imageOwnerId", c->owner);
    xml_text(b, "creationDate", c->created);
    xml_bool(b, "isPublic", true);
    xml_text(b, "architecture", c->architecture);
    xml_text(b, "imageType", "machine");
    xml_text(b, "imageOwnerAlias", c->owner_alias);
    xml_text(b, "name", c->name);
    xml_text(b, "description", c->description);
    xml_text(b, "rootDeviceType", "ebs");
    xml_text(b, "rootDeviceName", c->root_device);
    xml_open(b, "blockDeviceMapping");
    xml_open(b, "item");
    xml_text(b, "deviceName", c->root_device);
    xml_open(b, "ebs");
    xml_text(b, "snapshotId", c->snapshot_id);
    xml_int(b, "volumeSize", c->root_gb);
    xml_bool(b, "deleteOnTermination", true);
    xml_text(b, "volumeType", gp3 ? "gp3" : "gp2");
    if (gp3) {
        xml_int(b, "iops", 3000);
        xml_int(b, "throughput", 125);
    }
    xml_bool(b, "encrypted", false);
    xml_close(b, "ebs");
    xml_close(b, "item");
    xml_close(b, "blockDeviceMapping");
    xml_text(b, "virtualizationType", "hvm");
    ec2_tag_set(b, res);
    xml_text(b, "hypervisor", "xen");
    xml_bool(b, "enaSupport", true);
    xml_text(b, "sriovNetSupport", "simple");
    xml_text(b, "platformDetails", "Linux/UNIX");
    xml_text(b, "usageOperation", "RunInstances");
}

static const struct describe images = {
    .kind = KIND_IMAGE,
    .ids = "ImageId",
    .set = "imagesSet",
    .filters = image_filters,
    .filter_count = COUNT_OF(image_filters),
    .page_min = 1,
    .page_max = 1000,
    .write = write_image,
};

/* "self" owns nothing here. */
static bool owned(const struct strv *owners, const struct catalog_image *c)
{
    return owners->count == 0 || strv_has(owners, c->owner) ||
           (c->owner_alias && strv_has(owners, c->owner_alias));
}

void ec2_DescribeImages(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    struct strv owners AUTO_STRV = {0}, executors AUTO_STRV = {0};
    param_list(q->params, "Owner", &owners);
    param_list(q->params, "ExecutableBy", &executors);
    if (!ec2_select(w, q, r, &images, &found))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_open(b, images.set);
    for (size_t i = 0; i < found.count; i++) {
        bool executable = executors.count == 0 || strv_has(&executors, "all");
        if (!executable || !owned(&owners, IMAGE(found.items[i])))
            continue;
        xml_open(b, "item");
        write_image(w, found.items[i], b);
        xml_close(b, "item");
    }
    xml_close(b, images.set);
    xml_text(b, "nextToken", found.next_token);
    ec2_close(q, r);
}

/* Placement groups and spot requests. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(CreatePlacementGroup);
EC2_HANDLER(DescribePlacementGroups);
EC2_HANDLER(DeletePlacementGroup);
EC2_HANDLER(DescribeSpotInstanceRequests);

#define PLACEMENT(res) ((const struct world_placement_group *)(const void *)(res))
#define SPOT(res) ((const struct world_spot_request *)(const void *)(res))
#define PARTITIONS_MAX 7
#define NAME_MAX_BYTES 255

static bool by_available(const struct filter *f, const struct world *w, const struct resource *res)
{
    return filter_text(f, "available");
}

static const struct filter_key placement_filters[] = {
    {"group-id", NULL, offsetof(struct resource, id)},
    {"group-name", NULL, offsetof(struct world_placement_group, name)},
    {"strategy", NULL, offsetof(struct world_placement_group, strategy)},
    {"state", by_available, 0},
};

static void write_placement(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_placement_group *g = PLACEMENT(res);
    AUTO_FREE char *arn =
        mem_printf("arn:aws:ec2:%s:%s:placement-group/%s", w->region, w->account, g->name);
    xml_text(b, "groupName", g->name);
    xml_text(b, "groupId", g->r.id);
    xml_text(b, "groupArn", arn);
    xml_text(b, "strategy", g->strategy);
    xml_text(b, "state", "available");
    if (g->partitions)
        xml_int(b, "partitionCount", g->partitions);
    ec2_tag_set(b, res);
}

static const char *name_of(const struct resource *res)
{
    return PLACEMENT(res)->name;
}

static const struct describe placements = {
    .kind = KIND_PLACEMENT_GROUP,
    .ids = "GroupId",
    .names = "GroupName",
    .name_of = name_of,
    .set = "placementGroupSet",
    .filters = placement_filters,
    .filter_count = COUNT_OF(placement_filters),
    .write = write_placement,
};

void ec2_DescribePlacementGroups(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &placements);
}

void ec2_CreatePlacementGroup(struct world *w, const struct api_request *q, struct api_reply *r)
{
    static const char *const strategies[] = {"cluster", "spread", "partition", NULL};
    struct tag_list tags AUTO_TAGS = {0};
    const char *strategy, *name = ec2_need(q, r, "GroupName");
    int64_t partitions;
    if (!name || !ec2_room(w, r, KIND_PLACEMENT_GROUP) ||
        !ec2_choice(q, r, "Strategy", strategies, &strategy) ||
        !ec2_int(q, r, "PartitionCount", 1, PARTITIONS_MAX, 0, &partitions) ||
        !ec2_tag_specification_of(q, r, KIND_PLACEMENT_GROUP, &tags))
        return;
    if (strlen(name) > NAME_MAX_BYTES) {
        api_bad_value(r, "groupName", name);
        return;
    }
    if (placement_group_named(w, name)) {
        api_fail(r, 400, "InvalidPlacementGroup.Duplicate",
                 "The placement group '%s' already exists.", name);
        return;
    }
    strategy = strategy ? strategy : "cluster";
    bool partitioned = strcmp(strategy, "partition") == 0;
    if (partitions && !partitioned) {
        api_fail(r, 400, "InvalidParameterCombination",
                 "The parameter PartitionCount is only valid with the strategy 'partition'");
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    struct world_placement_group *g = resource_add(w, KIND_PLACEMENT_GROUP, NULL);
    g->name = mem_dup(name);
    g->strategy = mem_dup(strategy);
    g->partitions = partitioned && partitions == 0 ? PARTITIONS_MAX : (int)partitions;
    ec2_tags_put(&tags, &g->r);
    ec2_open(q, r);
    xml_bool(&r->body, "return", true);
    xml_open(&r->body, "placementGroup");
    write_placement(w, &g->r, &r->body);
    xml_close(&r->body, "placementGroup");
    ec2_close(q, r);
}

void ec2_DeletePlacementGroup(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *name = ec2_need(q, r, "GroupName");
    if (!name)
        return;
    struct world_placement_group *g = placement_group_named(w, name);
    if (!g) {
        ec2_not_found(r, KIND_PLACEMENT_GROUP, name);
        return;
    }
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (i->state == STATE_TERMINATED || !i->placement_group ||
            strcmp(i->placement_group, name) != 0)
            continue;
        api_fail(r, 400, "InvalidPlacementGroup.InUse",
                 "The placement group '%s' is in use and may not be deleted.", name);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &g->r);
    ec2_answer_true(q, r);
}

/* ---- spot requests ------------------------------------------------------------------------- */

static const struct filter_key spot_filters[] = {
    {"spot-instance-request-id", NULL, offsetof(struct resource, id)},
    {"instance-id", NULL, offsetof(struct world_spot_request, instance_id)},
    {"state", NULL, offsetof(struct world_spot_request, state)},
    {"status-code", NULL, offsetof(struct world_spot_request, status_code)},
    {"type", NULL, offsetof(struct world_spot_request, request_type)},
};

static void write_spot(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_spot_request *s = SPOT(res);
    const struct world_instance *i = resource_get(w, KIND_INSTANCE, s->instance_id);
    xml_text(b, "spotInstanceRequestId", s->r.id);
    xml_text(b, "spotPrice", s->max_price);
    xml_text(b, "type", s->request_type);
    xml_text(b, "state", s->state);
    xml_open(b, "status");
    xml_text(b, "code", s->status_code);
    xml_time(b, "updateTime", s->r.created);
    xml_text(b, "message", s->status_message);
    xml_close(b, "status");
    xml_text(b, "instanceId", s->instance_id);
    xml_time(b, "createTime", s->r.created);
    xml_text(b, "productDescription", "Linux/UNIX");
    if (i) {
        xml_text(b, "launchedAvailabilityZone", i->zone);
        xml_open(b, "launchSpecification");
        xml_text(b, "imageId", i->image_id);
        xml_text(b, "instanceType", i->type);
        xml_text(b, "keyName", i->key_name);
        xml_close(b, "launchSpecification");
    }
    ec2_tag_set(b, res);
    xml_text(b, "instanceInterruptionBehavior", "terminate");
}

static const struct describe spots = {
    .kind = KIND_SPOT_REQUEST,
    .ids = "SpotInstanceRequestId",
    .set = "spotInstanceRequestSet",
    .filters = spot_filters,
    .filter_count = COUNT_OF(spot_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_spot,
};

void ec2_DescribeSpotInstanceRequests(struct world *w, const struct api_request *q,
                                      struct api_reply *r)
{
    ec2_describe(w, q, r, &spots);
}

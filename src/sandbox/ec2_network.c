/* VPCs and subnets. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(CreateVpc);
EC2_HANDLER(DescribeVpcs);
EC2_HANDLER(DeleteVpc);
EC2_HANDLER(ModifyVpcAttribute);
EC2_HANDLER(DescribeVpcAttribute);
EC2_HANDLER(CreateSubnet);
EC2_HANDLER(DescribeSubnets);
EC2_HANDLER(DeleteSubnet);
EC2_HANDLER(ModifySubnetAttribute);

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)
#define VPC(res) ((const struct world_vpc *)(const void *)(res))
#define SUBNET(res) ((const struct world_subnet *)(const void *)(res))

#define BLOCK_BITS_MIN 16
#define BLOCK_BITS_MAX 28

/* A range between /16 and /28, its host bits cleared. */
static bool read_block(const struct api_request *q, struct api_reply *r, const char *code,
                       struct cidr *out)
{
    const char *text = ec2_need(q, r, "CidrBlock");
    if (!text)
        return false;
    if (!cidr_parse(text, out)) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
                 text);
        return false;
    }
    if (out->bits >= BLOCK_BITS_MIN && out->bits <= BLOCK_BITS_MAX)
        return true;
    api_fail(r, 400, code, "The CIDR '%s' is invalid.", text);
    return false;
}

/* ---- VPCs ---------------------------------------------------------------------------------- */

MATCH(available)
{
    return filter_text(f, "available");
}
MATCH(vpc_default)
{
    return filter_bool(f, VPC(res)->is_default);
}
MATCH(owner)
{
    return filter_text(f, w->account);
}

static const struct filter_key vpc_filters[] = {
    {"vpc-id", NULL, offsetof(struct resource, id)},
    {"cidr", NULL, offsetof(struct world_vpc, cidr)},
    {"cidr-block-association.cidr-block", NULL, offsetof(struct world_vpc, cidr)},
    {"is-default", by_vpc_default, 0},
    {"isDefault", by_vpc_default, 0},
    {"state", by_available, 0},
    {"owner-id", by_owner, 0},
};

static void write_vpc(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_vpc *v = VPC(res);
    xml_text(b, "vpcId", v->r.id);
    xml_text(b, "ownerId", w->account);
    xml_text(b, "state", "available");
    xml_text(b, "cidrBlock", v->cidr);
    xml_open(b, "cidrBlockAssociationSet");
    xml_open(b, "item");
    xml_text(b, "cidrBlock", v->cidr);
    buf_addf(b, "<associationId>vpc-cidr-assoc-%s</associationId>", v->r.id + strlen("vpc-"));
    buf_adds(b, "<cidrBlockState><state>associated</state></cidrBlockState>");
    xml_close(b, "item");
    xml_close(b, "cidrBlockAssociationSet");
    xml_text(b, "dhcpOptionsId", "default");
    ec2_tag_set(b, res);
    xml_text(b, "instanceTenancy", "default");
    xml_bool(b, "isDefault", v->is_default);
}

static const struct describe vpcs = {
    .kind = KIND_VPC,
    .ids = "VpcId",
    .set = "vpcSet",
    .filters = vpc_filters,
    .filter_count = COUNT_OF(vpc_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_vpc,
};

void ec2_DescribeVpcs(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &vpcs);
}

void ec2_CreateVpc(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    struct cidr block;
    if (!ec2_room(w, r, KIND_VPC) || !read_block(q, r, "InvalidVpcRange", &block) ||
        !ec2_tag_specification_of(q, r, KIND_VPC, &tags) || ec2_dry_run(q, r))
        return;
    AUTO_FREE char *range = cidr_text(block);
    struct world_vpc *v = vpc_make(w, range, NULL, NULL, NULL);
    ec2_tags_put(&tags, &v->r);
    ec2_open(q, r);
    xml_open(&r->body, "vpc");
    write_vpc(w, &v->r, &r->body);
    xml_close(&r->body, "vpc");
    ec2_close(q, r);
}

/* What keeps a VPC: all but its own main table and default group. */
static bool vpc_is_used(const struct world *w, const struct world_vpc *v)
{
    FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
    {
        if (strcmp(s->vpc_id, v->r.id) == 0)
            return true;
    }
    FOR_EACH(struct world_gateway, g, w, KIND_GATEWAY)
    {
        if (g->vpc_id && strcmp(g->vpc_id, v->r.id) == 0)
            return true;
    }
    FOR_EACH(struct world_group, g, w, KIND_GROUP)
    {
        if (strcmp(g->vpc_id, v->r.id) == 0 && strcmp(g->name, "default") != 0)
            return true;
    }
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        if (strcmp(t->vpc_id, v->r.id) == 0 && t != main_route_table(w, v->r.id))
            return true;
    }
    return false;
}

void ec2_DeleteVpc(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_vpc *v = ec2_find_param(w, q, r, KIND_VPC, "VpcId");
    if (!v)
        return;
    if (vpc_is_used(w, v)) {
        ec2_dependency(r, "The vpc '%s' has dependencies and cannot be deleted.", v->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &main_route_table(w, v->r.id)->r);
    resource_remove(w, &default_group(w, v->r.id)->r);
    resource_remove(w, &v->r);
    ec2_answer_true(q, r);
}

void ec2_ModifyVpcAttribute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_vpc *v = ec2_find_param(w, q, r, KIND_VPC, "VpcId");
    if (!v)
        return;
    bool hostnames = param(q->params, "EnableDnsHostnames.Value") != NULL;
    bool support = param(q->params, "EnableDnsSupport.Value") != NULL;
    if (hostnames == support) {
        api_fail(r, 400, "InvalidParameterCombination",
                 hostnames ? "Fields for multiple attribute types specified"
                           : "No attributes specified.");
        return;
    }
    bool on;
    if (!ec2_bool(q, r, hostnames ? "EnableDnsHostnames.Value" : "EnableDnsSupport.Value", false,
                  &on) ||
        ec2_dry_run(q, r))
        return;
    if (hostnames)
        v->dns_hostnames = on;
    else
        v->dns_support = on;
    ec2_answer_true(q, r);
}

void ec2_DescribeVpcAttribute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    static const char *const names[] = {"enableDnsSupport", "enableDnsHostnames",
                                        "enableNetworkAddressUsageMetrics", NULL};
    const struct world_vpc *v = ec2_find_param(w, q, r, KIND_VPC, "VpcId");
    const char *name;
    if (!v || !ec2_need(q, r, "Attribute") || !ec2_choice(q, r, "Attribute", names, &name) ||
        ec2_dry_run(q, r))
        return;
    bool on = name == names[0] ? v->dns_support : name == names[1] ? v->dns_hostnames : false;
    ec2_open(q, r);
    xml_text(&r->body, "vpcId", v->r.id);
    xml_open(&r->body, name);
    xml_bool(&r->body, "value", on);
    xml_close(&r->body, name);
    ec2_close(q, r);
}

/* ---- subnets ------------------------------------------------------------------------------- */

MATCH(subnet_default)
{
    return filter_bool(f, SUBNET(res)->is_default);
}
MATCH(map_public)
{
    return filter_bool(f, SUBNET(res)->map_public_ip);
}
MATCH(free)
{
    return filter_int(f, subnet_free(SUBNET(res)));
}

static const struct filter_key subnet_filters[] = {
    {"subnet-id", NULL, offsetof(struct resource, id)},
    {"vpc-id", NULL, offsetof(struct world_subnet, vpc_id)},
    {"cidr", NULL, offsetof(struct world_subnet, cidr)},
    {"cidr-block", NULL, offsetof(struct world_subnet, cidr)},
    {"cidrBlock", NULL, offsetof(struct world_subnet, cidr)},
    {"availability-zone", NULL, offsetof(struct world_subnet, zone)},
    {"availabilityZone", NULL, offsetof(struct world_subnet, zone)},
    {"default-for-az", by_subnet_default, 0},
    {"defaultForAz", by_subnet_default, 0},
    {"map-public-ip-on-launch", by_map_public, 0},
    {"available-ip-address-count", by_free, 0},
    {"state", by_available, 0},
    {"owner-id", by_owner, 0},
};

static void write_subnet(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_subnet *s = SUBNET(res);
    AUTO_FREE char *arn = mem_printf("arn:aws:ec2:%s:%s:subnet/%s", w->region, w->account, s->r.id);
    xml_text(b, "subnetId", s->r.id);
    xml_text(b, "subnetArn", arn);
    xml_text(b, "state", "available");
    xml_text(b, "ownerId", w->account);
    xml_text(b, "vpcId", s->vpc_id);
    xml_text(b, "cidrBlock", s->cidr);
    buf_adds(b, "<ipv6CidrBlockAssociationSet/>");
    xml_bool(b, "assignIpv6AddressOnCreation", false);
    xml_int(b, "availableIpAddressCount", subnet_free(s));
    xml_text(b, "availabilityZone", s->zone);
    xml_bool(b, "defaultForAz", s->is_default);
    xml_bool(b, "mapPublicIpOnLaunch", s->map_public_ip);
    xml_bool(b, "enableDns64", false);
    xml_bool(b, "ipv6Native", false);
    ec2_tag_set(b, res);
}

static const struct describe subnets = {
    .kind = KIND_SUBNET,
    .ids = "SubnetId",
    .set = "subnetSet",
    .filters = subnet_filters,
    .filter_count = COUNT_OF(subnet_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_subnet,
};

void ec2_DescribeSubnets(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &subnets);
}

/* Within its VPC, beside the subnets that are there. */
static bool check_range(const struct world *w, struct api_reply *r, const struct world_vpc *v,
                        struct cidr block)
{
    AUTO_FREE char *text = cidr_text(block);
    struct cidr outer, other;
    if (!cidr_parse(v->cidr, &outer) || !cidr_holds(outer, block)) {
        api_fail(r, 400, "InvalidSubnet.Range", "The CIDR '%s' is invalid.", text);
        return false;
    }
    FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
    {
        if (strcmp(s->vpc_id, v->r.id) != 0 || !cidr_parse(s->cidr, &other) ||
            !cidr_overlaps(block, other))
            continue;
        api_fail(r, 400, "InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet",
                 text);
        return false;
    }
    return true;
}

void ec2_CreateSubnet(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    struct cidr block;
    const struct world_vpc *v = ec2_find_param(w, q, r, KIND_VPC, "VpcId");
    if (!v || !ec2_room(w, r, KIND_SUBNET) || !read_block(q, r, "InvalidSubnet.Range", &block) ||
        !check_range(w, r, v, block) || !ec2_tag_specification_of(q, r, KIND_SUBNET, &tags))
        return;
    const char *asked = param(q->params, "AvailabilityZone");
    if (asked && !zone_exists(w, asked)) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Value (%s) for parameter availabilityZone is invalid. Subnets can currently only "
                 "be created in the following availability zones: %sa, %sb.",
                 asked, w->region, w->region);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    AUTO_FREE char *first = zone_name(w, 0);
    AUTO_FREE char *range = cidr_text(block);
    struct world_subnet *s = subnet_make(w, v, range, asked ? asked : first, NULL);
    ec2_tags_put(&tags, &s->r);
    ec2_open(q, r);
    xml_open(&r->body, "subnet");
    write_subnet(w, &s->r, &r->body);
    xml_close(&r->body, "subnet");
    ec2_close(q, r);
}

/* With a subnet go its associations with route tables. */
static void drop_associations(struct world *w, const struct world_subnet *s)
{
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        struct route_association *a = t->associations.items;
        for (size_t i = t->associations.count; i-- > 0;) {
            if (!a[i].subnet_id || strcmp(a[i].subnet_id, s->r.id) != 0)
                continue;
            free(a[i].id);
            free(a[i].subnet_id);
            vec_remove(&t->associations, sizeof *a, i);
        }
    }
}

void ec2_DeleteSubnet(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_subnet *s = ec2_find_param(w, q, r, KIND_SUBNET, "SubnetId");
    if (!s)
        return;
    if (s->used > 0) {
        ec2_dependency(r, "The subnet '%s' has dependencies and cannot be deleted.", s->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    drop_associations(w, s);
    resource_remove(w, &s->r);
    ec2_answer_true(q, r);
}

void ec2_ModifySubnetAttribute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_subnet *s = ec2_find_param(w, q, r, KIND_SUBNET, "SubnetId");
    bool on;
    if (!s)
        return;
    if (!param(q->params, "MapPublicIpOnLaunch.Value")) {
        api_fail(r, 400, "InvalidParameterCombination", "No attributes specified.");
        return;
    }
    if (!ec2_bool(q, r, "MapPublicIpOnLaunch.Value", false, &on) || ec2_dry_run(q, r))
        return;
    s->map_public_ip = on;
    ec2_answer_true(q, r);
}

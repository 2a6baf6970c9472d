/* Security groups: describe, create, delete. Their rules are in ec2_rules.c. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(CreateSecurityGroup);
EC2_HANDLER(DescribeSecurityGroups);
EC2_HANDLER(DeleteSecurityGroup);

#define GROUP(res) ((const struct world_group *)(const void *)(res))
#define GROUP_NAME_MAX 255

/* ---- filters ------------------------------------------------------------------------------- */

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)

static bool each_rule(const struct filter *f, const struct resource *res, bool egress,
                      bool (*match)(const struct filter *f, const struct group_rule *r))
{
    const struct group_rule *rules = GROUP(res)->rules.items;
    for (size_t i = 0; i < GROUP(res)->rules.count; i++) {
        if (rules[i].egress == egress && match(f, &rules[i]))
            return true;
    }
    return false;
}
static bool rule_cidr(const struct filter *f, const struct group_rule *r)
{
    return filter_text(f, r->cidr);
}
static bool rule_group(const struct filter *f, const struct group_rule *r)
{
    return filter_text(f, r->group_id);
}
static bool rule_protocol(const struct filter *f, const struct group_rule *r)
{
    return filter_text(f, r->protocol);
}
static bool rule_from(const struct filter *f, const struct group_rule *r)
{
    return filter_int(f, r->from);
}
static bool rule_to(const struct filter *f, const struct group_rule *r)
{
    return filter_int(f, r->to);
}

MATCH(cidr)
{
    return each_rule(f, res, false, rule_cidr);
}
MATCH(rule_group)
{
    return each_rule(f, res, false, rule_group);
}
MATCH(protocol)
{
    return each_rule(f, res, false, rule_protocol);
}
MATCH(from)
{
    return each_rule(f, res, false, rule_from);
}
MATCH(to)
{
    return each_rule(f, res, false, rule_to);
}
MATCH(owner)
{
    return filter_text(f, w->account);
}

static const struct filter_key group_filters[] = {
    {"group-id", NULL, offsetof(struct resource, id)},
    {"group-name", NULL, offsetof(struct world_group, name)},
    {"description", NULL, offsetof(struct world_group, description)},
    {"vpc-id", NULL, offsetof(struct world_group, vpc_id)},
    {"ip-permission.cidr", by_cidr, 0},
    {"ip-permission.group-id", by_rule_group, 0},
    {"ip-permission.protocol", by_protocol, 0},
    {"ip-permission.from-port", by_from, 0},
    {"ip-permission.to-port", by_to, 0},
    {"owner-id", by_owner, 0},
};

/* ---- writing ------------------------------------------------------------------------------- */

static bool same_ports(const struct group_rule *a, const struct group_rule *b)
{
    return a->egress == b->egress && strcmp(a->protocol, b->protocol) == 0 && a->from == b->from &&
           a->to == b->to;
}

/* The sources of one kind of all rules with the ports of `like`. */
static void write_sources(const struct world *w, const struct world_group *g,
                          const struct group_rule *like, const char *set, struct buf *b)
{
    const struct group_rule *rules = g->rules.items;
    xml_open(b, set);
    for (size_t i = 0; i < g->rules.count; i++) {
        const struct group_rule *r = &rules[i];
        bool wanted = strcmp(set, "groups") == 0       ? r->group_id != NULL
                      : strcmp(set, "ipv6Ranges") == 0 ? r->cidr6 != NULL
                                                       : r->cidr != NULL;
        if (!wanted || !same_ports(r, like))
            continue;
        xml_open(b, "item");
        xml_text(b, "userId", r->group_id ? w->account : NULL);
        xml_text(b, "groupId", r->group_id);
        xml_text(b, "cidrIpv6", r->cidr6);
        xml_text(b, "cidrIp", r->cidr);
        xml_text(b, "description", r->description);
        xml_close(b, "item");
    }
    xml_close(b, set);
}

static void write_permissions(const struct world *w, const struct world_group *g, bool egress,
                              struct buf *b)
{
    const struct group_rule *rules = g->rules.items;
    xml_open(b, egress ? "ipPermissionsEgress" : "ipPermissions");
    for (size_t i = 0; i < g->rules.count; i++) {
        bool first = rules[i].egress == egress;
        for (size_t k = 0; first && k < i; k++)
            first = !same_ports(&rules[k], &rules[i]);
        if (!first)
            continue;
        xml_open(b, "item");
        xml_text(b, "ipProtocol", rules[i].protocol);
        if (strcmp(rules[i].protocol, "-1") != 0) {
            xml_int(b, "fromPort", rules[i].from);
            xml_int(b, "toPort", rules[i].to);
        }
        write_sources(w, g, &rules[i], "groups", b);
        write_sources(w, g, &rules[i], "ipRanges", b);
        write_sources(w, g, &rules[i], "ipv6Ranges", b);
        buf_adds(b, "<prefixListIds/>");
        xml_close(b, "item");
    }
    xml_close(b, egress ? "ipPermissionsEgress" : "ipPermissions");
}

static void write_group(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_group *g = GROUP(res);
    xml_text(b, "ownerId", w->account);
    xml_text(b, "groupId", g->r.id);
    xml_text(b, "groupName", g->name);
    xml_text(b, "groupDescription", g->description);
    xml_text(b, "vpcId", g->vpc_id);
    write_permissions(w, g, false, b);
    write_permissions(w, g, true, b);
    ec2_tag_set(b, res);
}

static const char *name_of(const struct resource *res)
{
    return GROUP(res)->name;
}

static const struct describe groups = {
    .kind = KIND_GROUP,
    .ids = "GroupId",
    .names = "GroupName",
    .name_of = name_of,
    .set = "securityGroupInfo",
    .filters = group_filters,
    .filter_count = COUNT_OF(group_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_group,
};

void ec2_DescribeSecurityGroups(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &groups);
}

/* ---- making and deleting ------------------------------------------------------------------- */

static bool check_name(const struct world *w, struct api_reply *r, const char *name,
                       const char *vpc_id)
{
    if (strlen(name) > GROUP_NAME_MAX || strncmp(name, "sg-", 3) == 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Value (%s) for parameter GroupName is invalid. It must have at most %d "
                 "characters and may not begin with 'sg-'.",
                 name, GROUP_NAME_MAX);
        return false;
    }
    if (!group_named(w, name, vpc_id))
        return true;
    api_fail(r, 400, "InvalidGroup.Duplicate",
             "The security group '%s' already exists for VPC '%s'", name, vpc_id);
    return false;
}

void ec2_CreateSecurityGroup(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    const char *name = ec2_need(q, r, "GroupName");
    const char *description = name ? ec2_need(q, r, "GroupDescription") : NULL;
    if (!description || !ec2_room(w, r, KIND_GROUP))
        return;
    const char *id = param(q->params, "VpcId");
    const struct world_vpc *v = id ? ec2_find(w, r, KIND_VPC, id) : default_vpc(w);
    if (!v) {
        api_fail(r, 400, "VPCIdNotSpecified", "No default VPC for this user");
        return;
    }
    if (!check_name(w, r, name, v->r.id) || !ec2_tag_specification_of(q, r, KIND_GROUP, &tags) ||
        ec2_dry_run(q, r))
        return;
    struct world_group *g = resource_add(w, KIND_GROUP, NULL);
    g->name = mem_dup(name);
    g->description = mem_dup(description);
    g->vpc_id = mem_dup(v->r.id);
    group_add_rule(g, true, "-1", -1, -1)->cidr = mem_dup("0.0.0.0/0");
    ec2_tags_put(&tags, &g->r);
    ec2_open(q, r);
    xml_bool(&r->body, "return", true);
    xml_text(&r->body, "groupId", g->r.id);
    ec2_tag_set(&r->body, &g->r);
    ec2_close(q, r);
}

static bool group_is_used(const struct world *w, const struct world_group *g)
{
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (strv_has(&i->groups, g->r.id))
            return true;
    }
    FOR_EACH(struct world_group, other, w, KIND_GROUP)
    {
        const struct group_rule *rules = other->rules.items;
        for (size_t k = 0; other != g && k < other->rules.count; k++) {
            if (rules[k].group_id && strcmp(rules[k].group_id, g->r.id) == 0)
                return true;
        }
    }
    return false;
}

void ec2_DeleteSecurityGroup(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *name = param(q->params, "GroupName"), *id = param(q->params, "GroupId");
    const struct world_vpc *v = default_vpc(w);
    if (!id && !name) {
        api_missing(r, "GroupId");
        return;
    }
    struct world_group *g = id  ? ec2_find(w, r, KIND_GROUP, id)
                            : v ? group_named(w, name, v->r.id)
                                : NULL;
    if (!g) {
        ec2_not_found(r, KIND_GROUP, id ? id : name);
        return;
    }
    if (strcmp(g->name, "default") == 0) {
        api_fail(r, 400, "CannotDelete",
                 "the specified group: \"%s\" name: \"default\" cannot be deleted by a user",
                 g->r.id);
        return;
    }
    if (group_is_used(w, g)) {
        ec2_dependency(r, "resource %s has a dependent object", g->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &g->r);
    ec2_answer_true(q, r);
}

/* The rules of security groups: authorize and revoke, in both directions.
 *
 * A request's permission of n sources becomes n rules, each with an id of its own, as in EC2 since
 * 2021. */
#include "sandbox/ec2_priv.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(AuthorizeSecurityGroupIngress);
EC2_HANDLER(AuthorizeSecurityGroupEgress);
EC2_HANDLER(RevokeSecurityGroupIngress);
EC2_HANDLER(RevokeSecurityGroupEgress);

#define RULES_MAX 1000 /* of one group */

static void rule_done(struct group_rule *r)
{
    free(r->id);
    free(r->protocol);
    free(r->cidr);
    free(r->cidr6);
    free(r->group_id);
    free(r->description);
}

static void rules_done(struct vec *rules)
{
    struct group_rule *r = rules->items;
    for (size_t i = 0; i < rules->count; i++)
        rule_done(&r[i]);
    free(r);
}

/* ---- reading ------------------------------------------------------------------------------- */

static const char *protocol_name(const char *text)
{
    static const char *const names[][2] = {
        {"6", "tcp"}, {"17", "udp"}, {"1", "icmp"}, {"58", "icmpv6"}, {"all", "-1"}};
    static const char *const known[] = {"tcp", "udp", "icmp", "icmpv6", "-1"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i][0], text) == 0)
            return names[i][1];
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcasecmp(known[i], text) == 0)
            return known[i];
    }
    int64_t number;
    return str_to_i64(str_of(text), 0, 255, &number) ? text : NULL;
}

struct ports {
    const char *protocol;
    int from, to;
};

static bool read_port(const struct api_request *q, struct api_reply *r, const char *prefix,
                      const char *name, int least, int *out)
{
    AUTO_FREE char *full = mem_printf("%s%s", prefix, name);
    int64_t n;
    if (!ec2_int(q, r, full, least, 65535, -1, &n))
        return false;
    *out = (int)n;
    return true;
}

static bool read_ports(const struct api_request *q, struct api_reply *r, const char *prefix,
                       struct ports *out)
{
    const char *text = paramf(q->params, "%sIpProtocol", prefix);
    if (!text) {
        api_missing(r, "ipProtocol");
        return false;
    }
    out->protocol = protocol_name(text);
    if (!out->protocol) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Invalid value '%s' for IP protocol. Unknown "
                 "protocol.",
                 text);
        return false;
    }
    out->from = out->to = -1;
    if (strcmp(out->protocol, "-1") == 0)
        return true;
    bool has_ports = strcmp(out->protocol, "tcp") == 0 || strcmp(out->protocol, "udp") == 0;
    int least = has_ports ? 0 : -1;
    if (!read_port(q, r, prefix, "FromPort", least, &out->from) ||
        !read_port(q, r, prefix, "ToPort", least, &out->to))
        return false;
    if (has_ports && (out->from < 0 || out->to < 0)) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Invalid value 'Must specify both from and to ports with TCP/UDP.' for "
                 "portRange.");
        return false;
    }
    if (!has_ports || out->from <= out->to)
        return true;
    api_fail(r, 400, "InvalidParameterValue", "Invalid TCP/UDP port range (%d:%d)", out->from,
             out->to);
    return false;
}

static struct group_rule *add(struct vec *out, const struct ports *p, bool egress,
                              const char *description)
{
    struct group_rule *rule = vec_push(out, sizeof *rule);
    rule->egress = egress;
    rule->protocol = mem_dup(p->protocol);
    rule->from = p->from;
    rule->to = p->to;
    rule->description = mem_dup(description);
    return rule;
}

static bool add_cidr(struct api_reply *r, struct vec *out, const struct ports *p, bool egress,
                     const char *text, const char *description)
{
    struct cidr range;
    if (!cidr_parse(text, &range)) {
        api_fail(r, 400, "InvalidParameterValue", "CIDR block %s is malformed", text);
        return false;
    }
    add(out, p, egress, description)->cidr = cidr_text(range);
    return true;
}

static bool add_cidr6(struct api_reply *r, struct vec *out, const struct ports *p, bool egress,
                      const char *text, const char *description)
{
    struct str rest = str_of(text);
    struct str address = str_cut(&rest, '/');
    struct in6_addr parsed;
    int64_t bits;
    AUTO_FREE char *plain = str_dup(address);
    if (!rest.p || inet_pton(AF_INET6, plain, &parsed) != 1 || !str_to_i64(rest, 0, 128, &bits)) {
        api_fail(r, 400, "InvalidParameterValue", "CIDR block %s is malformed", text);
        return false;
    }
    add(out, p, egress, description)->cidr6 = mem_dup(text);
    return true;
}

static bool add_group(const struct world *w, struct api_reply *r, const struct world_group *g,
                      struct vec *out, const struct ports *p, const char *id, const char *name,
                      const char *description)
{
    const struct world_group *other =
        id ? ec2_find(w, r, KIND_GROUP, id) : group_named(w, name, g->vpc_id);
    if (!other) {
        ec2_not_found(r, KIND_GROUP, id ? id : name);
        return false;
    }
    add(out, p, false, description)->group_id = mem_dup(other->r.id);
    return true;
}

/* IpPermissions.N. */
static bool read_permission(const struct world *w, const struct api_request *q, struct api_reply *r,
                            const struct world_group *g, bool egress, const char *prefix,
                            struct vec *out)
{
    struct ports p;
    if (!read_ports(q, r, prefix, &p))
        return false;
    size_t before = out->count;
    for (int m = 1;; m++) {
        const char *cidr = paramf(q->params, "%sIpRanges.%d.CidrIp", prefix, m);
        const char *text = paramf(q->params, "%sIpRanges.%d.Description", prefix, m);
        if (!cidr)
            break;
        if (!add_cidr(r, out, &p, egress, cidr, text))
            return false;
    }
    for (int m = 1;; m++) {
        const char *cidr = paramf(q->params, "%sIpv6Ranges.%d.CidrIpv6", prefix, m);
        const char *text = paramf(q->params, "%sIpv6Ranges.%d.Description", prefix, m);
        if (!cidr)
            break;
        if (!add_cidr6(r, out, &p, egress, cidr, text))
            return false;
    }
    for (int m = 1;; m++) {
        const char *id = paramf(q->params, "%sGroups.%d.GroupId", prefix, m);
        const char *name = paramf(q->params, "%sGroups.%d.GroupName", prefix, m);
        const char *text = paramf(q->params, "%sGroups.%d.Description", prefix, m);
        if (!id && !name)
            break;
        if (!add_group(w, r, g, out, &p, id, name, text))
            return false;
        ((struct group_rule *)out->items)[out->count - 1].egress = egress;
    }
    if (out->count > before)
        return true;
    api_fail(r, 400, "InvalidParameterValue",
             "Only Amazon VPC security groups may be used with this operation, or the permission "
             "has no source");
    return false;
}

static bool read_rules(const struct world *w, const struct api_request *q, struct api_reply *r,
                       const struct world_group *g, bool egress, struct vec *out)
{
    for (int n = 1;; n++) {
        AUTO_FREE char *prefix = mem_printf("IpPermissions.%d.", n);
        if (!param_any(q->params, prefix))
            break;
        if (!read_permission(w, q, r, g, egress, prefix, out))
            return false;
    }
    struct ports p;
    const char *cidr = param(q->params, "CidrIp");
    const char *source = param(q->params, "SourceSecurityGroupName");
    if (source && !param(q->params, "IpProtocol")) { /* all protocols, as the old form had it */
        p = (struct ports){"-1", -1, -1};
        if (!add_group(w, r, g, out, &p, NULL, source, NULL))
            return false;
    } else if (cidr && (!read_ports(q, r, "", &p) || !add_cidr(r, out, &p, egress, cidr, NULL))) {
        return false;
    }
    if (out->count > 0)
        return true;
    api_missing(r, "ipPermissions");
    return false;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_rule(const struct group_rule *a, const struct group_rule *b)
{
    return a->egress == b->egress && a->from == b->from && a->to == b->to &&
           strcmp(a->protocol, b->protocol) == 0 && same_text(a->cidr, b->cidr) &&
           same_text(a->cidr6, b->cidr6) && same_text(a->group_id, b->group_id);
}

static struct group_rule *rule_like(const struct world_group *g, const struct group_rule *like)
{
    struct group_rule *rules = g->rules.items;
    for (size_t i = 0; i < g->rules.count; i++) {
        if (same_rule(&rules[i], like))
            return &rules[i];
    }
    return NULL;
}

static struct group_rule *rule_with_id(const struct world_group *g, const char *id)
{
    struct group_rule *rules = g->rules.items;
    for (size_t i = 0; i < g->rules.count; i++) {
        if (strcmp(rules[i].id, id) == 0)
            return &rules[i];
    }
    return NULL;
}

static struct world_group *named_group(const struct world *w, const struct api_request *q,
                                       struct api_reply *r)
{
    const char *id = param(q->params, "GroupId"), *name = param(q->params, "GroupName");
    if (id || !name)
        return ec2_find_param(w, q, r, KIND_GROUP, "GroupId");
    const struct world_vpc *v = default_vpc(w);
    struct world_group *g = v ? group_named(w, name, v->r.id) : NULL;
    if (!g)
        ec2_not_found(r, KIND_GROUP, name);
    return g;
}

/* ---- authorize ----------------------------------------------------------------------------- */

static void write_rule(const struct world *w, const struct world_group *g,
                       const struct group_rule *rule, struct buf *b)
{
    xml_open(b, "item");
    xml_text(b, "securityGroupRuleId", rule->id);
    xml_text(b, "groupId", g->r.id);
    xml_text(b, "groupOwnerId", w->account);
    xml_bool(b, "isEgress", rule->egress);
    xml_text(b, "ipProtocol", rule->protocol);
    xml_int(b, "fromPort", rule->from);
    xml_int(b, "toPort", rule->to);
    xml_text(b, "cidrIpv4", rule->cidr);
    xml_text(b, "cidrIpv6", rule->cidr6);
    if (rule->group_id) {
        xml_open(b, "referencedGroupInfo");
        xml_text(b, "groupId", rule->group_id);
        xml_text(b, "userId", w->account);
        xml_close(b, "referencedGroupInfo");
    }
    xml_text(b, "description", rule->description);
    xml_close(b, "item");
}

static bool check_new(struct api_reply *r, const struct world_group *g, const struct vec *rules)
{
    const struct group_rule *fresh = rules->items;
    for (size_t i = 0; i < rules->count; i++) {
        const char *peer = fresh[i].cidr    ? fresh[i].cidr
                           : fresh[i].cidr6 ? fresh[i].cidr6
                                            : fresh[i].group_id;
        bool twice = rule_like(g, &fresh[i]) != NULL;
        for (size_t k = 0; k < i && !twice; k++)
            twice = same_rule(&fresh[k], &fresh[i]);
        if (!twice)
            continue;
        api_fail(r, 400, "InvalidPermission.Duplicate",
                 "the specified rule \"peer: %s, %s, from port: %d, to port: %d, ALLOW\" already "
                 "exists",
                 peer, strcmp(fresh[i].protocol, "-1") == 0 ? "ALL" : fresh[i].protocol,
                 fresh[i].from, fresh[i].to);
        return false;
    }
    if (g->rules.count + rules->count <= RULES_MAX)
        return true;
    api_fail(r, 400, "RulesPerSecurityGroupLimitExceeded",
             "The maximum number of rules per security group has been reached.");
    return false;
}

static void authorize(struct world *w, const struct api_request *q, struct api_reply *r,
                      bool egress)
{
    struct vec rules CLEANUP(rules_done) = {0};
    struct world_group *g = named_group(w, q, r);
    if (!g || !read_rules(w, q, r, g, egress, &rules) || !check_new(r, g, &rules) ||
        ec2_dry_run(q, r))
        return;
    struct group_rule *fresh = rules.items;
    ec2_open(q, r);
    xml_bool(&r->body, "return", true);
    xml_open(&r->body, "securityGroupRuleSet");
    for (size_t i = 0; i < rules.count; i++) {
        struct group_rule *rule = vec_push(&g->rules, sizeof *rule);
        *rule = fresh[i]; /* its strings move */
        fresh[i] = (struct group_rule){0};
        rule->id = new_id("sgr-");
        write_rule(w, g, rule, &r->body);
    }
    xml_close(&r->body, "securityGroupRuleSet");
    ec2_close(q, r);
}

void ec2_AuthorizeSecurityGroupIngress(struct world *w, const struct api_request *q,
                                       struct api_reply *r)
{
    authorize(w, q, r, false);
}

void ec2_AuthorizeSecurityGroupEgress(struct world *w, const struct api_request *q,
                                      struct api_reply *r)
{
    authorize(w, q, r, true);
}

/* ---- revoke -------------------------------------------------------------------------------- */

static void take_out(struct world_group *g, struct group_rule *rule)
{
    size_t at = (size_t)(rule - (struct group_rule *)g->rules.items);
    rule_done(rule);
    vec_remove(&g->rules, sizeof *rule, at);
}

static void revoke_by_id(const struct api_request *q, struct api_reply *r, struct world_group *g,
                         bool egress)
{
    struct strv ids AUTO_STRV = {0};
    param_list(q->params, "SecurityGroupRuleId", &ids);
    for (size_t i = 0; i < ids.count; i++) {
        const struct group_rule *rule = rule_with_id(g, ids.items[i]);
        if (rule && rule->egress == egress)
            continue;
        api_fail(r, 400, "InvalidSecurityGroupRuleId.NotFound",
                 "The security group rule ID '%s' does not exist", ids.items[i]);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    for (size_t i = 0; i < ids.count; i++) {
        struct group_rule *rule = rule_with_id(g, ids.items[i]);
        if (rule) /* the same id may be named twice */
            take_out(g, rule);
    }
    ec2_answer_true(q, r);
}

static void revoke_rules(struct world *w, const struct api_request *q, struct api_reply *r,
                         bool egress)
{
    struct world_group *g = named_group(w, q, r);
    if (!g)
        return;
    if (param_any(q->params, "SecurityGroupRuleId.")) {
        revoke_by_id(q, r, g, egress);
        return;
    }
    struct vec rules CLEANUP(rules_done) = {0};
    if (!read_rules(w, q, r, g, egress, &rules))
        return;
    const struct group_rule *wanted = rules.items;
    for (size_t i = 0; i < rules.count; i++) {
        if (rule_like(g, &wanted[i]))
            continue;
        api_fail(r, 400, "InvalidPermission.NotFound",
                 "The specified rule does not exist in this security group.");
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    for (size_t i = 0; i < rules.count; i++) {
        struct group_rule *rule = rule_like(g, &wanted[i]);
        if (rule)
            take_out(g, rule);
    }
    ec2_answer_true(q, r);
}

void ec2_RevokeSecurityGroupIngress(struct world *w, const struct api_request *q,
                                    struct api_reply *r)
{
    revoke_rules(w, q, r, false);
}

void ec2_RevokeSecurityGroupEgress(struct world *w, const struct api_request *q,
                                   struct api_reply *r)
{
    revoke_rules(w, q, r, true);
}

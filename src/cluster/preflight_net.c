/* Preflight's look at the key pair, the subnet and the security group, and at where those, and
 * images, that do not exist here do exist. */
#include "base/mem.h"
#include "cluster/preflight_priv.h"
#include <stdlib.h>
#include <string.h>

#define REGIONS_AT_ONCE 8
#define REGIONS_MAX 64
#define REGIONS_WITHIN (5 * USEC_PER_SEC)

/* ---- elsewhere ----------------------------------------------------------------------------- */

enum thing { KEY_PAIR, SUBNET, GROUP, IMAGE };

static struct aws_call *ask(struct aws *aws, enum thing what, const char *id)
{
    switch (what) {
    case KEY_PAIR:
        return ec2_describe_key_pairs(aws, (struct ec2_filter[]){EC2_FILTER("key-name", id)}, 1);
    case SUBNET:
        return ec2_describe_subnets(aws, (struct ec2_filter[]){EC2_FILTER("subnet-id", id)}, 1);
    case IMAGE:
        return ec2_describe_images(aws, &id, 1);
    case GROUP:
        break;
    }
    return ec2_describe_security_groups(aws, (struct ec2_filter[]){EC2_FILTER("group-id", id)}, 1);
}

static bool answer(struct aws_call *call, enum thing what)
{
    bool found = false;
    if (what == KEY_PAIR) {
        struct ec2_key_pairs l = {0};
        found = ec2_describe_key_pairs_end(call, &l, NULL) == 0 && l.count;
        ec2_key_pairs_done(&l);
    } else if (what == SUBNET) {
        struct ec2_subnets l = {0};
        found = ec2_describe_subnets_end(call, &l, NULL) == 0 && l.count;
        ec2_subnets_done(&l);
    } else if (what == IMAGE) {
        struct ec2_images l = {0};
        found = ec2_describe_images_end(call, &l, NULL) == 0 && l.count;
        ec2_images_done(&l);
    } else {
        struct ec2_security_groups l = {0};
        found = ec2_describe_security_groups_end(call, &l, NULL) == 0 && l.count;
        ec2_security_groups_done(&l);
    }
    return found;
}

/* Asks a handful of regions side by side. */
static void ask_regions(struct preflight *p, const struct strv *regions, size_t from, size_t count,
                        enum thing what, const char *id, struct strv *found)
{
    struct aws *clients[REGIONS_AT_ONCE] = {0};
    struct aws_call *calls[REGIONS_AT_ONCE] = {0};
    for (size_t i = 0; i < count; i++) {
        if (aws_open_region(p->c->aws, regions->items[from + i], &clients[i], NULL) == 0)
            calls[i] = ask(clients[i], what, id);
    }
    for (size_t i = 0; i < count; i++) {
        if (calls[i] && answer(calls[i], what))
            strv_add(found, regions->items[from + i]);
        aws_close(clients[i]);
    }
}

/* The other regions where it exists. Only asked after a failure, and only while there is time. */
static char *elsewhere(struct preflight *p, enum thing what, const char *id)
{
    AUTO_STRV struct strv regions = {0}, found = {0};
    if (ec2_describe_regions_end(ec2_describe_regions(p->c->aws), &regions, NULL) == -1)
        return NULL;
    const struct clock *clock = loop_clock(p->c->loop);
    usec_t start = clock_mono(clock);
    AUTO_STRV struct strv others = {0};
    for (size_t i = 0; i < regions.count && others.count < REGIONS_MAX; i++)
        if (strcmp(regions.items[i], aws_region(p->c->aws)) != 0)
            strv_add(&others, regions.items[i]);
    for (size_t i = 0; i < others.count; i += REGIONS_AT_ONCE) {
        if (clock_mono(clock) - start > REGIONS_WITHIN || loop_cancelled(p->c->loop))
            break;
        size_t n = others.count - i < REGIONS_AT_ONCE ? others.count - i : REGIONS_AT_ONCE;
        ask_regions(p, &others, i, n, what, id, &found);
    }
    return found.count ? strv_join(&found, ", ") : NULL;
}

static void not_here(struct preflight *p, enum thing what, const char *key, const char *noun,
                     const char *id)
{
    AUTO_FREE char *where = elsewhere(p, what, id);
    const char *region = aws_region(p->c->aws);
    if (where)
        problem(p, ERR_NOT_FOUND,
                "%s: there is no %s '%s' in %s; it is in %s: set 'region_name', or name one of %s",
                key, noun, id, region, where, region);
    else if (what == KEY_PAIR)
        problem(p, ERR_NOT_FOUND,
                "%s: there is no key pair '%s' in %s; import yours: 'ssh-keygen -y -f %s > key.pub "
                "&& aws ec2 import-key-pair --region %s --key-name %s --public-key-material "
                "fileb://key.pub'",
                key, id, region, p->spec->key, region, id);
    else if (what == IMAGE)
        problem(p, ERR_NOT_FOUND, "%s: there is no image '%s' in %s (or it is not shared with you)",
                key, id, region);
    else
        problem(p, ERR_NOT_FOUND,
                "%s: there is no %s '%s' in %s; 'aws ec2 describe-%s --region %s' "
                "lists those that exist",
                key, noun, id, region, what == SUBNET ? "subnets" : "security-groups", region);
}

void image_not_here(struct preflight *p, const char *key, const char *id)
{
    not_here(p, IMAGE, key, "image", id);
}

/* ---- the three checks ---------------------------------------------------------------------- */

/* Compares public keys where EC2 gives one, else fingerprints. */
static bool is_identity(const struct preflight *p, const struct ec2_key_pair *pair)
{
    if (pair->public_key && pair->public_key[0]) {
        AUTO_FREE char *theirs = pin_clean(str_of(pair->public_key));
        AUTO_FREE char *ours = pin_clean(str_of(ssh_identity_public(p->identity)));
        if (theirs && ours)
            return strcmp(theirs, ours) == 0;
    }
    return !pair->fingerprint || ssh_identity_matches_ec2(p->identity, pair->fingerprint);
}

void check_key_pair(struct preflight *p)
{
    const struct cluster_spec *s = p->spec;
    if (!p->keys.count) {
        not_here(p, KEY_PAIR, "key_name", "key pair", s->key_name);
        return;
    }
    const struct ec2_key_pair *pair = &p->keys.items[0];
    if (p->identity && !is_identity(p, pair))
        problem(p, ERR_REJECTED,
                "key: '%s' is not the private key of the key pair '%s' (fingerprint %s): no host "
                "would let you in; name the right file, or the right key pair in 'key_name'",
                s->key, s->key_name, pair->fingerprint ? pair->fingerprint : "unknown");
}

void check_subnet(struct preflight *p)
{
    if (!p->subnets.count) {
        not_here(p, SUBNET, "subnet_id", "subnet", p->spec->subnet_id);
        return;
    }
    const struct ec2_subnet *s = &p->subnets.items[0];
    int wanted = p->needs[0] + p->needs[1];
    if (s->state && strcmp(s->state, "available") != 0)
        problem(p, ERR_REJECTED, "subnet_id: the subnet '%s' is '%s', not available", s->id,
                s->state);
    if (s->free_addresses < wanted)
        problem(p, ERR_CAPACITY,
                "subnet_id: the subnet '%s' has %d free addresses, %d are needed; name a larger "
                "subnet",
                s->id, s->free_addresses, wanted);
}

bool group_admits(const struct ec2_security_group *g, int port)
{
    for (size_t i = 0; i < g->ingress_count; i++) {
        const struct ec2_ip_permission *r = &g->ingress[i];
        bool all = r->protocol && strcmp(r->protocol, "-1") == 0;
        bool tcp =
            r->protocol && (strcmp(r->protocol, "tcp") == 0 || strcmp(r->protocol, "6") == 0);
        if (!all && !(tcp && r->from_port <= port && port <= r->to_port))
            continue;
        if (r->cidrs.count)
            return true;
        for (size_t k = 0; k < r->group_ids.count; k++)
            if (!g->id || strcmp(r->group_ids.items[k], g->id) != 0)
                return true;
    }
    return false;
}

void check_group(struct preflight *p)
{
    const struct cluster_spec *s = p->spec;
    if (!p->groups.count) {
        not_here(p, GROUP, "security_group", "security group", s->security_group);
        return;
    }
    const struct ec2_security_group *g = &p->groups.items[0];
    const char *vpc = p->subnets.count ? p->subnets.items[0].vpc_id : NULL;
    if (vpc && g->vpc_id && strcmp(vpc, g->vpc_id) != 0)
        problem(p, ERR_REJECTED,
                "security_group: '%s' is in the VPC %s, but the subnet '%s' is in %s; name a group "
                "of %s: 'aws ec2 describe-security-groups --region %s --filters "
                "Name=vpc-id,Values=%s'",
                g->id, g->vpc_id, s->subnet_id, vpc, vpc, aws_region(p->c->aws), vpc);
    int port = s->ssh_port ? s->ssh_port : 22;
    /* A warning, no more: a prefix list can admit it too, which the rules do not show. */
    if (!group_admits(g, port))
        warn_user(
            p->c,
            "the security group '%s' lets no SSH (port %d) in; if the hosts stay unreachable: "
            "'aws ec2 authorize-security-group-ingress --region %s --group-id %s --protocol "
            "tcp --port %d --cidr YOUR.IP.ADD.RESS/32'",
            g->id, port, aws_region(p->c->aws), g->id, port);
}

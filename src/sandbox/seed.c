/* What a new account finds: all ids are made from the region and a name, so that a file that names
 * a subnet or a group keeps working after a reset. */
#include "base/digest.h"
#include "sandbox/world_priv.h"
#include <stdlib.h>
#include <string.h>

static char *seed_id(const struct world *w, const char *prefix, const char *name)
{
    AUTO_FREE char *source = mem_printf("flambe-sandbox %s %s%s", w->region, prefix, name);
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(source), hex);
    return mem_printf("%s0%.16s", prefix, hex);
}

void images_add(struct world *w)
{
    for (size_t i = 0; i < catalog_image_count; i++) {
        struct world_image *image = resource_add(w, KIND_IMAGE, catalog_images[i].id);
        image->image = &catalog_images[i];
    }
}

#define SUBNET_EXTRA_BITS 4 /* a sixteenth of the network each */
#define SUBNET_BITS_MAX 28  /* EC2 has no smaller ones */

/* The at-th subnet's range, on from the beginning of the network. */
static char *subnet_range(const struct world *w, int at)
{
    struct cidr c = {0, 32};
    (void)cidr_parse(w->network, &c); /* proven by who started us */
    c.bits =
        c.bits + SUBNET_EXTRA_BITS < SUBNET_BITS_MAX ? c.bits + SUBNET_EXTRA_BITS : SUBNET_BITS_MAX;
    c.address += (uint32_t)at << (32 - c.bits);
    return cidr_text(c);
}

static void seed_subnets(struct world *w, const struct world_vpc *v)
{
    for (int z = 0; z < ZONES_COUNT; z++) {
        AUTO_FREE char *zone = zone_name(w, z);
        AUTO_FREE char *id = seed_id(w, "subnet-", zone);
        AUTO_FREE char *range = subnet_range(w, z);
        AUTO_FREE char *name = mem_printf("flambe-public-%c", 'a' + z);
        struct world_subnet *s = subnet_make(w, v, range, zone, id);
        s->map_public_ip = true;
        s->is_default = true;
        tag_set(&s->r, "Name", name);
    }
}

static void seed_gateway(struct world *w, const struct world_vpc *v)
{
    AUTO_FREE char *id = seed_id(w, "igw-", "gateway");
    struct world_gateway *g = resource_add(w, KIND_GATEWAY, id);
    g->vpc_id = mem_dup(v->r.id);
    tag_set(&g->r, "Name", "flambe-gateway");

    struct world_route_table *t = main_route_table(w, v->r.id);
    struct route *out = vec_push(&t->routes, sizeof *out);
    out->destination = mem_dup("0.0.0.0/0");
    out->gateway_id = mem_dup(g->r.id);
}

static void seed_group(struct world *w, const struct world_vpc *v)
{
    AUTO_FREE char *id = seed_id(w, "sg-", "flambe-sg");
    struct world_group *g = resource_add(w, KIND_GROUP, id);
    g->name = mem_dup("flambe-sg");
    g->description = mem_dup("SSH from anywhere, and everything between its members");
    g->vpc_id = mem_dup(v->r.id);
    group_add_rule(g, false, "tcp", 22, 22)->cidr = mem_dup("0.0.0.0/0");
    int port = w->o.ssh_port; /* ghosts answer elsewhere where 22 cannot be had */
    if (port && port != 22)
        group_add_rule(g, false, "tcp", port, port)->cidr = mem_dup("0.0.0.0/0");
    group_add_rule(g, false, "-1", -1, -1)->group_id = mem_dup(g->r.id);
    group_add_rule(g, true, "-1", -1, -1)->cidr = mem_dup("0.0.0.0/0");
    tag_set(&g->r, "Name", "flambe-sg");
}

static void seed_key_pair(struct world *w)
{
    struct key_facts facts;
    if (!w->user_public_key || !key_parse(str_of(w->user_public_key), &facts))
        return;
    AUTO_FREE char *id = seed_id(w, "key-", "flambe-key");
    struct world_key_pair *k = resource_add(w, KIND_KEY_PAIR, id);
    k->name = mem_dup("flambe-key");
    k->type = TAKE(facts.type);
    k->fingerprint = TAKE(facts.fingerprint);
    k->public_key = TAKE(facts.line);
}

void world_seed(struct world *w)
{
    AUTO_FREE char *vpc_id = seed_id(w, "vpc-", "vpc");
    AUTO_FREE char *table_id = seed_id(w, "rtb-", "main");
    AUTO_FREE char *group_id = seed_id(w, "sg-", "default");
    struct world_vpc *v = vpc_make(w, w->network, vpc_id, table_id, group_id);
    v->dns_hostnames = true;
    v->is_default = true;
    tag_set(&v->r, "Name", "flambe");
    seed_subnets(w, v);
    seed_gateway(w, v);
    seed_group(w, v);
    seed_key_pair(w);
}

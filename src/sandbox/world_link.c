/* After a load: proves that each resource has what the code takes for granted, that references
 * hold, and builds the indexes again. */
#include "sandbox/world_priv.h"
#include <string.h>

static int broken(struct err *err, const struct resource *r, const char *what)
{
    return err_set(err, ERR_PARSE, "'%s' of the state has a wrong or missing %s", r->id, what);
}

static int link_vpcs(struct world *w, struct err *err)
{
    struct cidr c;
    FOR_EACH(struct world_vpc, v, w, KIND_VPC)
    {
        if (!v->cidr || !cidr_parse(v->cidr, &c))
            return broken(err, &v->r, "range");
    }
    FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
    {
        if (!resource_get(w, KIND_VPC, s->vpc_id))
            return broken(err, &s->r, "VPC");
        if (!s->cidr || !cidr_parse(s->cidr, &c) || c.bits < 16 || c.bits > 28)
            return broken(err, &s->r, "range");
        if (!s->zone || !zone_exists(w, s->zone))
            return broken(err, &s->r, "zone");
    }
    FOR_EACH(struct world_gateway, g, w, KIND_GATEWAY)
    {
        if (g->vpc_id && !resource_get(w, KIND_VPC, g->vpc_id))
            return broken(err, &g->r, "VPC");
    }
    return 0;
}

static int link_tables(struct world *w, struct err *err)
{
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        if (!resource_get(w, KIND_VPC, t->vpc_id))
            return broken(err, &t->r, "VPC");
        const struct route *routes = t->routes.items;
        for (size_t i = 0; i < t->routes.count; i++) {
            if (!routes[i].destination || !routes[i].gateway_id)
                return broken(err, &t->r, "route");
        }
        const struct route_association *a = t->associations.items;
        for (size_t i = 0; i < t->associations.count; i++) {
            if (!a[i].id || (a[i].subnet_id && !resource_get(w, KIND_SUBNET, a[i].subnet_id)))
                return broken(err, &t->r, "association");
        }
    }
    FOR_EACH(struct world_vpc, v, w, KIND_VPC)
    {
        if (!main_route_table(w, v->r.id))
            return broken(err, &v->r, "main route table");
    }
    return 0;
}

static bool rule_holds(const struct world *w, const struct group_rule *r)
{
    int sources = (r->cidr != NULL) + (r->cidr6 != NULL) + (r->group_id != NULL);
    return r->id && r->protocol && sources == 1 &&
           (!r->group_id || resource_get(w, KIND_GROUP, r->group_id));
}

static int link_groups(struct world *w, struct err *err)
{
    FOR_EACH(struct world_group, g, w, KIND_GROUP)
    {
        if (!g->name || !g->description || !resource_get(w, KIND_VPC, g->vpc_id))
            return broken(err, &g->r, "name or VPC");
        const struct group_rule *rules = g->rules.items;
        for (size_t i = 0; i < g->rules.count; i++) {
            if (!rule_holds(w, &rules[i]))
                return broken(err, &g->r, "rule");
        }
    }
    FOR_EACH(struct world_key_pair, k, w, KIND_KEY_PAIR)
    {
        if (!k->name || !k->type || !k->fingerprint || !k->public_key)
            return broken(err, &k->r, "name or key");
    }
    FOR_EACH(struct world_placement_group, p, w, KIND_PLACEMENT_GROUP)
    {
        if (!p->name || !p->strategy)
            return broken(err, &p->r, "name or strategy");
    }
    return 0;
}

/* What only an instance that is not gone has. */
static int link_living(struct world *w, struct world_instance *i, struct err *err)
{
    struct world_subnet *s = resource_get(w, KIND_SUBNET, i->subnet_id);
    if (!s || !i->vpc_id || strcmp(s->vpc_id, i->vpc_id) != 0)
        return broken(err, &i->r, "subnet");
    uint32_t address;
    if (!i->private_ip || !ip_parse(i->private_ip, &address) ||
        strtab_put(w->private_ips, str_of(i->private_ip), i))
        return broken(err, &i->r, "private address");
    s->used++;
    if (i->public_ip &&
        (!ip_parse(i->public_ip, &address) || strtab_put(w->public_ips, str_of(i->public_ip), i)))
        return broken(err, &i->r, "public address");
    if (!i->mac || !resource_get(w, KIND_INTERFACE, i->interface_id))
        return broken(err, &i->r, "network interface");
    for (size_t k = 0; k < i->volumes.count; k++) {
        const struct world_volume *v = resource_get(w, KIND_VOLUME, i->volumes.items[k]);
        if (!v || !v->instance_id || strcmp(v->instance_id, i->r.id) != 0)
            return broken(err, &i->r, "volume");
    }
    for (size_t k = 0; k < i->groups.count; k++) {
        if (!resource_get(w, KIND_GROUP, i->groups.items[k]))
            return broken(err, &i->r, "security group");
    }
    if (i->key_name && strlen(i->key_name) == 0)
        return broken(err, &i->r, "key pair");
    return 0;
}

static int link_instances(struct world *w, struct err *err)
{
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        i->world = w;
        if (!i->reservation_id || !i->tenancy || !i->zone || !zone_exists(w, i->zone))
            return broken(err, &i->r, "reservation, tenancy or zone");
        if (!i->type || !catalog_type(i->type))
            return broken(err, &i->r, "type");
        if (!image_of(w, i->image_id))
            return broken(err, &i->r, "image");
        if (i->user_data_key) {
            struct user_data *d = strtab_get(w->user_data, str_of(i->user_data_key));
            if (!d)
                return broken(err, &i->r, "user data");
            d->uses++;
        }
        if (i->state != STATE_TERMINATED && link_living(w, i, err) != 0)
            return -1;
    }
    return 0;
}

static int link_attached(struct world *w, struct err *err)
{
    FOR_EACH(struct world_volume, v, w, KIND_VOLUME)
    {
        if (!v->type || !v->zone || (v->instance_id && !v->device))
            return broken(err, &v->r, "type, zone or device");
        if (v->instance_id && !resource_get(w, KIND_INSTANCE, v->instance_id))
            return broken(err, &v->r, "instance");
    }
    FOR_EACH(struct world_interface, n, w, KIND_INTERFACE)
    {
        if (!n->attachment_id || !resource_get(w, KIND_INSTANCE, n->instance_id))
            return broken(err, &n->r, "instance");
    }
    FOR_EACH(struct world_spot_request, s, w, KIND_SPOT_REQUEST)
    {
        if (!s->state || !s->request_type || !s->status_code || !s->instance_id)
            return broken(err, &s->r, "state");
    }
    return 0;
}

int world_link(struct world *w, struct err *err)
{
    if (link_vpcs(w, err) != 0 || link_tables(w, err) != 0 || link_groups(w, err) != 0 ||
        link_instances(w, err) != 0)
        return -1;
    return link_attached(w, err);
}

/* Resources: adding, finding, removing, and their tags. */
#include "base/digest.h"
#include "sandbox/world_priv.h"
#include <stdlib.h>
#include <string.h>

#define ID_HEX 17

char *new_id(const char *prefix)
{
    char hex[ID_HEX + 1];
    digest_random_hex(hex, ID_HEX);
    hex[0] = '0'; /* as all of EC2's today */
    return mem_printf("%s%s", prefix, hex);
}

void *resource_add(struct world *w, enum kind kind, const char *id)
{
    struct resource *r = mem_alloc(kinds[kind].record->size);
    r->kind = kind;
    r->id = id ? mem_dup(id) : new_id(kinds[kind].prefix);
    r->seq = w->next_seq++;
    r->created = world_now(w);
    struct resource_list *l = &w->lists[kind];
    MEM_PUSH_ROOM(l->items, l->count, l->cap);
    l->items[l->count++] = r;
    strtab_put(w->by_id, str_of(r->id), r);
    return r;
}

void resource_free(struct resource *r)
{
    record_done(kinds[r->kind].record, r);
    free(r);
}

void resource_remove(struct world *w, struct resource *r)
{
    struct resource_list *l = &w->lists[r->kind];
    size_t low = 0, high = l->count; /* the list is in the order of seq */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->items[mid]->seq < r->seq)
            low = mid + 1;
        else
            high = mid;
    }
    l->count--;
    memmove(l->items + low, l->items + low + 1, (l->count - low) * sizeof *l->items);
    strtab_remove(w->by_id, str_of(r->id));
    resource_free(r);
}

struct resource *resource_any(const struct world *w, const char *id)
{
    return id ? strtab_get(w->by_id, str_of(id)) : NULL;
}

void *resource_get(const struct world *w, enum kind kind, const char *id)
{
    struct resource *r = resource_any(w, id);
    return r && r->kind == kind ? r : NULL;
}

/* ---- tags ---------------------------------------------------------------------------------- */

static struct tag *tag_find(const struct resource *r, const char *key)
{
    struct tag *tags = r->tags.items;
    for (size_t i = 0; i < r->tags.count; i++) {
        if (strcmp(tags[i].key, key) == 0)
            return &tags[i];
    }
    return NULL;
}

const char *tag_get(const struct resource *r, const char *key)
{
    const struct tag *t = tag_find(r, key);
    return t ? t->value : NULL;
}

void tag_set(struct resource *r, const char *key, const char *value)
{
    struct tag *t = tag_find(r, key);
    if (!t) {
        t = vec_push(&r->tags, sizeof *t);
        t->key = mem_dup(key);
    }
    free(t->value);
    t->value = mem_dup(value);
}

void tag_remove(struct resource *r, const char *key, const char *value)
{
    struct tag *t = tag_find(r, key);
    if (!t || (value && strcmp(t->value, value) != 0))
        return;
    free(t->key);
    free(t->value);
    vec_remove(&r->tags, sizeof *t, (size_t)(t - (struct tag *)r->tags.items));
}

/* ---- finding by other than the id ---------------------------------------------------------- */

struct world_key_pair *key_pair_named(const struct world *w, const char *name)
{
    FOR_EACH(struct world_key_pair, k, w, KIND_KEY_PAIR)
    {
        if (strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

struct world_group *group_named(const struct world *w, const char *name, const char *vpc_id)
{
    FOR_EACH(struct world_group, g, w, KIND_GROUP)
    {
        if (strcmp(g->name, name) == 0 && strcmp(g->vpc_id, vpc_id) == 0)
            return g;
    }
    return NULL;
}

struct world_placement_group *placement_group_named(const struct world *w, const char *name)
{
    FOR_EACH(struct world_placement_group, g, w, KIND_PLACEMENT_GROUP)
    {
        if (strcmp(g->name, name) == 0)
            return g;
    }
    return NULL;
}

const struct catalog_image *image_of(const struct world *w, const char *image_id)
{
    const struct world_image *i = resource_get(w, KIND_IMAGE, image_id);
    return i ? i->image : NULL;
}

struct world_vpc *default_vpc(const struct world *w)
{
    FOR_EACH(struct world_vpc, v, w, KIND_VPC)
    {
        if (v->is_default)
            return v;
    }
    return NULL;
}

struct world_subnet *default_subnet(const struct world *w, const char *zone)
{
    FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
    {
        if (s->is_default && (!zone || strcmp(s->zone, zone) == 0))
            return s;
    }
    return NULL;
}

struct world_group *default_group(const struct world *w, const char *vpc_id)
{
    return group_named(w, "default", vpc_id);
}

static bool is_main(const struct world_route_table *t)
{
    const struct route_association *a = t->associations.items;
    for (size_t i = 0; i < t->associations.count; i++) {
        if (!a[i].subnet_id)
            return true;
    }
    return false;
}

struct world_route_table *main_route_table(const struct world *w, const char *vpc_id)
{
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        if (strcmp(t->vpc_id, vpc_id) == 0 && is_main(t))
            return t;
    }
    return NULL;
}

struct world_route_table *route_table_of(const struct world *w, const struct world_subnet *s)
{
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        const struct route_association *a = t->associations.items;
        for (size_t i = 0; i < t->associations.count; i++) {
            if (a[i].subnet_id && strcmp(a[i].subnet_id, s->r.id) == 0)
                return t;
        }
    }
    return main_route_table(w, s->vpc_id);
}

/* ---- zones, and making what comes together -----------------------------------------------------
 */

char *zone_name(const struct world *w, int at)
{
    return mem_printf("%s%c", w->region, 'a' + at);
}

bool zone_exists(const struct world *w, const char *zone)
{
    size_t n = strlen(w->region);
    return strncmp(zone, w->region, n) == 0 && zone[n] >= 'a' && zone[n] < 'a' + ZONES_COUNT &&
           zone[n + 1] == '\0';
}

struct group_rule *group_add_rule(struct world_group *g, bool egress, const char *protocol,
                                  int from, int to)
{
    struct group_rule *rule = vec_push(&g->rules, sizeof *rule);
    rule->id = new_id("sgr-");
    rule->egress = egress;
    rule->protocol = mem_dup(protocol);
    rule->from = from;
    rule->to = to;
    return rule;
}

struct world_vpc *vpc_make(struct world *w, const char *cidr, const char *id, const char *table_id,
                           const char *group_id)
{
    struct world_vpc *v = resource_add(w, KIND_VPC, id);
    v->cidr = mem_dup(cidr);
    v->dns_support = true;

    struct world_route_table *t = resource_add(w, KIND_ROUTE_TABLE, table_id);
    t->vpc_id = mem_dup(v->r.id);
    struct route *local = vec_push(&t->routes, sizeof *local);
    local->destination = mem_dup(cidr);
    local->gateway_id = mem_dup("local");
    struct route_association *a = vec_push(&t->associations, sizeof *a);
    a->id = new_id("rtbassoc-");

    struct world_group *g = resource_add(w, KIND_GROUP, group_id);
    g->name = mem_dup("default");
    g->description = mem_dup("default VPC security group");
    g->vpc_id = mem_dup(v->r.id);
    group_add_rule(g, false, "-1", -1, -1)->group_id = mem_dup(g->r.id);
    group_add_rule(g, true, "-1", -1, -1)->cidr = mem_dup("0.0.0.0/0");
    return v;
}

struct world_subnet *subnet_make(struct world *w, const struct world_vpc *v, const char *cidr,
                                 const char *zone, const char *id)
{
    struct world_subnet *s = resource_add(w, KIND_SUBNET, id);
    s->vpc_id = mem_dup(v->r.id);
    s->cidr = mem_dup(cidr);
    s->zone = mem_dup(zone);
    return s;
}

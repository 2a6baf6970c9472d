/* The account as a whole: opening, closing, settings, and what the operator and the metadata
 * service ask of it. */
#include "sandbox/world_priv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

usec_t world_now(const struct world *w)
{
    return clock_wall(w->o.clock);
}

void world_changed(struct world *w)
{
    if (w->o.changed && !w->closing)
        w->o.changed(w->o.changed_ctx);
}

void world_default_delays(struct world_options *o)
{
    o->visible_after = 200 * USEC_PER_MSEC;
    o->pending_for = 300 * USEC_PER_MSEC;
    o->stopping_for = 300 * USEC_PER_MSEC;
}

struct world *world_empty(const struct world_options *o)
{
    struct world *w = mem_alloc(sizeof *w);
    w->o = *o;
    w->o.region = w->region = mem_dup(o->region);
    w->o.account = w->account = mem_dup(o->account);
    w->o.network = w->network = mem_dup(o->network);
    w->o.public_network = w->public_network = mem_dup(o->public_network);
    w->o.user_public_key = w->user_public_key = mem_dup(o->user_public_key);
    w->by_id = strtab_new();
    w->private_ips = strtab_new();
    w->public_ips = strtab_new();
    w->user_data = strtab_new();
    w->next_seq = 1;
    w->alarms = json_object();
    w->vcpu_quota = VCPU_QUOTA_DEFAULT;
    return w;
}

struct world *world_new(const struct world_options *o)
{
    struct world *w = world_empty(o);
    images_add(w);
    world_seed(w);
    return w;
}

static void launches_free(struct world *w)
{
    struct world_launch *l = w->launches.items;
    for (size_t i = 0; i < w->launches.count; i++) {
        free(l[i].token);
        free(l[i].zone);
        free(l[i].digest);
        free(l[i].reservation_id);
    }
    free(w->launches.items);
}

static void user_data_free(struct strtab *t)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (strtab_next(t, &at, &key, &value)) {
        struct user_data *d = value;
        free(d->bytes);
        free(d);
    }
    strtab_free(t);
}

static void facts_free(struct world *w)
{
    free(w->facts_tags.items);
    w->facts_tags = (struct vec){0};
    for (size_t i = 0; i < COUNT_OF(w->facts_text); i++)
        free(TAKE(w->facts_text[i]));
}

void world_close(struct world *w, bool keep_hosts)
{
    if (!w)
        return;
    w->closing = true;
    if (w->o.driver.ops)
        w->o.driver.ops->close(w->o.driver.self, keep_hosts);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (size_t i = 0; i < w->lists[kind].count; i++) {
            struct resource *r = w->lists[kind].items[i];
            if (kind == KIND_INSTANCE)
                free(((struct world_instance *)(void *)r)->host_failure);
            resource_free(r);
        }
        free(w->lists[kind].items);
    }
    launches_free(w);
    user_data_free(w->user_data);
    facts_free(w);
    json_decref(w->alarms);
    strtab_free(w->by_id);
    strtab_free(w->private_ips);
    strtab_free(w->public_ips);
    free(w->region);
    free(w->account);
    free(w->network);
    free(w->public_network);
    free(w->user_public_key);
    free(w);
}

void world_power_off(struct world *w)
{
    w->powered_off = true;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (i->host && i->host_runs)
            w->o.driver.ops->kill(w->o.driver.self, i->host);
    }
}

bool world_any_host_runs(const struct world *w)
{
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (i->host && i->host_runs)
            return true;
    }
    return false;
}

void world_console(struct world *w, const struct world_instance *i, struct buf *out)
{
    if (i->host)
        w->o.driver.ops->console(w->o.driver.self, i->host, out);
}

#define DELAY_MAX_S 86400.0

int world_set(struct world *w, const char *name, double value, struct err *err)
{
    static const char *const names[] = {"visible-after", "pending-for", "stopping-for",
                                        "vcpu-quota"};
    usec_t *const delays[] = {&w->o.visible_after, &w->o.pending_for, &w->o.stopping_for};
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        if (!(value >= 0 && value <= DELAY_MAX_S))
            return err_set(err, ERR_USAGE, "'%s' must be between 0 and %.0f seconds", name,
                           DELAY_MAX_S);
        *delays[i] = (usec_t)llround(value * (double)USEC_PER_SEC);
        return 0;
    }
    if (strcmp(name, "vcpu-quota") == 0) {
        if (!(value >= 0 && value <= VCPU_QUOTA_DEFAULT && value == floor(value)))
            return err_set(err, ERR_USAGE, "'%s' must be a whole number up to %d", name,
                           VCPU_QUOTA_DEFAULT);
        w->vcpu_quota = (int)value;
        return 0;
    }
    const char *near = str_nearest(name, names, COUNT_OF(names));
    return near ? err_set(err, ERR_USAGE, "unknown setting '%s'; did you mean '%s'?", name, near)
                : err_set(err, ERR_USAGE, "unknown setting '%s'", name);
}

/* ---- the operator -------------------------------------------------------------------------------
 */

struct world_instance *world_find(struct world *w, const char *instance_id_or_name)
{
    struct world_instance *found = resource_get(w, KIND_INSTANCE, instance_id_or_name);
    if (found)
        return found;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        const char *name = tag_get(&i->r, "Name");
        bool match = name && strcmp(name, instance_id_or_name) == 0;
        if (match && (!found || instance_alive(i) >= instance_alive(found)))
            found = i; /* the youngest, and one alive before one that is gone */
    }
    return found;
}

struct world_instance *world_find_by_ip(struct world *w, const char *private_ip)
{
    return strtab_get(w->private_ips, str_of(private_ip));
}

static int need_host(const struct world_instance *i, struct err *err)
{
    if (i->host && i->host_runs)
        return 0;
    return err_set(err, ERR_REJECTED, "'%s' has no running machine: it is %s", i->r.id,
                   instance_state_name(i->state));
}

int world_kill(struct world *w, struct world_instance *i, struct err *err)
{
    if (need_host(i, err) != 0)
        return -1;
    i->killed = true;
    w->o.driver.ops->kill(w->o.driver.self, i->host);
    return 0;
}

int world_reclaim(struct world *w, struct world_instance *i, usec_t notice, struct err *err)
{
    if (!i->spot_request_id)
        return err_set(err, ERR_REJECTED, "'%s' is no spot instance", i->r.id);
    if (i->state != STATE_RUNNING && i->state != STATE_PENDING)
        return err_set(err, ERR_REJECTED, "'%s' does not run: it is %s", i->r.id,
                       instance_state_name(i->state));
    i->reclaim_at = world_now(w) + notice;
    char when[CLOCK_ISO_SIZE];
    clock_iso(i->reclaim_at, when);
    free(i->spot_action);
    i->spot_action = mem_printf("{\"action\":\"terminate\",\"time\":\"%s\"}", when);
    world_changed(w);
    return 0;
}

int world_partition(struct world *w, struct world_instance *i, bool on, struct err *err)
{
    if (need_host(i, err) != 0)
        return -1;
    return w->o.driver.ops->partition(w->o.driver.self, i->host, on, err);
}

int world_freeze(struct world *w, struct world_instance *i, bool on, struct err *err)
{
    if (need_host(i, err) != 0)
        return -1;
    return w->o.driver.ops->freeze(w->o.driver.self, i->host, on, err);
}

static json_t *instance_status(const struct world_instance *i)
{
    json_t *j = json_object();
    const char *name = tag_get(&i->r, "Name");
    char launched[CLOCK_ISO_SIZE];
    clock_iso(i->launched, launched);
    json_object_set_new(j, "id", json_string(i->r.id));
    json_object_set_new(j, "name", name ? json_string(name) : json_null());
    json_object_set_new(j, "state", json_string(instance_state_name(i->state)));
    json_object_set_new(j, "type", json_string(i->type));
    json_object_set_new(j, "zone", json_string(i->zone));
    json_object_set_new(j, "private_ip", i->private_ip ? json_string(i->private_ip) : json_null());
    json_object_set_new(j, "public_ip", i->public_ip ? json_string(i->public_ip) : json_null());
    json_object_set_new(j, "launched", json_string(launched));
    json_object_set_new(j, "spot", json_boolean(i->spot_request_id != NULL));
    if (i->reason_message)
        json_object_set_new(j, "reason", json_string(i->reason_message));
    return j;
}

json_t *world_status(const struct world *w)
{
    int counts[STATE_COUNT] = {0};
    json_t *instances = json_array();
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        counts[i->state]++;
        json_array_append_new(instances, instance_status(i));
    }
    json_t *states = json_object();
    for (int s = 0; s < STATE_COUNT; s++)
        json_object_set_new(states, instance_state_name(s), json_integer(counts[s]));
    json_t *j = json_object();
    json_object_set_new(j, "region", json_string(w->region));
    json_object_set_new(j, "account", json_string(w->account));
    json_object_set_new(j, "hosts", json_string(host_kind_name(w->o.kind)));
    json_object_set_new(j, "vcpus_in_use", json_integer(vcpus_in_use(w)));
    json_object_set_new(j, "vcpu_quota", json_integer(w->vcpu_quota));
    json_object_set_new(j, "states", states);
    json_object_set_new(j, "volumes", json_integer((json_int_t)w->lists[KIND_VOLUME].count));
    json_object_set_new(j, "instances", instances);
    return j;
}

/* ---- the metadata service -----------------------------------------------------------------------
 */

static char *group_names(const struct world_instance *i)
{
    struct strv names AUTO_STRV = {0};
    for (size_t k = 0; k < i->groups.count; k++) {
        const struct world_group *g = resource_get(i->world, KIND_GROUP, i->groups.items[k]);
        if (g)
            strv_add(&names, g->name);
    }
    return strv_join(&names, "\n");
}

static void facts_tags(struct world *w, const struct world_instance *i, struct imds_facts *out)
{
    const struct tag *tags = i->r.tags.items;
    for (size_t k = 0; k < i->r.tags.count; k++) {
        struct api_tag *t = vec_push(&w->facts_tags, sizeof *t);
        *t = (struct api_tag){tags[k].key, tags[k].value};
    }
    out->tags = w->facts_tags.items;
    out->tag_count = w->facts_tags.count;
}

bool world_imds_facts(struct world *w, const char *private_ip, struct imds_facts *out)
{
    const struct world_instance *i = world_find_by_ip(w, private_ip);
    if (!i || i->metadata_off)
        return false;
    facts_free(w);
    const struct world_vpc *v = resource_get(w, KIND_VPC, i->vpc_id);
    const struct world_key_pair *k = i->key_name ? key_pair_named(w, i->key_name) : NULL;
    w->facts_text[0] = private_dns_name(w, private_ip);
    w->facts_text[1] = i->public_ip && v->dns_hostnames ? public_dns_name(w, i->public_ip) : NULL;
    w->facts_text[2] = group_names(i);
    *out = (struct imds_facts){
        .instance_id = i->r.id,
        .type = i->type,
        .image_id = i->image_id,
        .zone = i->zone,
        .region = w->region,
        .hostname = w->facts_text[0],
        .private_ip = i->private_ip,
        .public_ip = i->public_ip,
        .public_hostname = w->facts_text[1],
        .mac = i->mac,
        .security_groups = w->facts_text[2],
        .key_name = i->key_name,
        .public_key = k ? k->public_key : NULL,
        .account = w->account,
        .subnet_id = i->subnet_id,
        .vpc_id = i->vpc_id,
        .user_data = instance_user_data(i),
        .tokens_required = i->tokens_required,
        .tags_visible = i->tags_in_metadata,
        .spot_action = i->spot_action,
    };
    facts_tags(w, i, out);
    return true;
}

/* RunInstances: reads and proves the request, decides how many the zone gives, makes them. */
#include "sandbox/ec2_run.h"
#include "base/digest.h"
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(RunInstances);

#define CLIENT_TOKEN_MAX 64

/* ---- client tokens ------------------------------------------------------------------------- */

static struct world_launch *launch_find(const struct world *w, const char *token, const char *zone)
{
    struct world_launch *l = w->launches.items;
    for (size_t i = 0; i < w->launches.count; i++) {
        if (strcmp(l[i].token, token) == 0 && strcmp(l[i].zone, zone) == 0)
            return &l[i];
    }
    return NULL;
}

/* A digest of all parameters that make a launch what it is. */
static void request_digest(const struct api_request *q, char out[SHA256_HEX_SIZE])
{
    static const char *const except[] = {"Action", "Version", "DryRun", NULL};
    struct buf text AUTO_BUF = {0};
    params_canonical(q->params, except, &text);
    digest_sha256_hex(buf_view(&text), out);
}

static void answer(const struct world *w, const struct api_request *q, struct api_reply *r,
                   const char *reservation_id)
{
    struct buf *b = &r->body;
    ec2_open(q, r);
    ec2_write_reservation(w, reservation_id, b);
    xml_open(b, "instancesSet");
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (strcmp(i->reservation_id, reservation_id) != 0)
            continue;
        xml_open(b, "item");
        ec2_write_instance(w, i, b);
        xml_close(b, "item");
    }
    xml_close(b, "instancesSet");
    ec2_close(q, r);
}

/* The same request again: answers what the first one made. */
static void answer_again(const struct world *w, const struct api_request *q, struct api_reply *r,
                         const struct world_launch *l)
{
    char digest[SHA256_HEX_SIZE];
    request_digest(q, digest);
    if (strcmp(digest, l->digest) != 0) {
        api_fail(r, 400, "IdempotentParameterMismatch",
                 "Arguments on this idempotent request are inconsistent with arguments used in "
                 "previous request(s).");
        return;
    }
    bool alive = false;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        alive = alive || (strcmp(i->reservation_id, l->reservation_id) == 0 && instance_alive(i));
    }
    if (!alive) {
        api_fail(r, 400, "IdempotentInstanceTerminated",
                 "The client token you have provided is associated with a resource that is "
                 "already terminated. Please use a different client token.");
        return;
    }
    answer(w, q, r, l->reservation_id);
}

/* EC2's idempotency is per zone where the request names one (EC2 API reference, "Ensuring
 * idempotency"). */
static char *token_scope(const struct world *w, const struct api_request *q)
{
    const char *subnet_id = param(q->params, "SubnetId");
    if (!subnet_id)
        subnet_id = param(q->params, "NetworkInterface.1.SubnetId");
    const struct world_subnet *s = resource_get(w, KIND_SUBNET, subnet_id);
    const char *zone = param(q->params, "Placement.AvailabilityZone");
    return mem_dup(s ? s->zone : zone ? zone : "");
}

static void remember(struct world *w, const struct api_request *q, const char *token,
                     const char *zone, const char *reservation_id)
{
    char digest[SHA256_HEX_SIZE];
    request_digest(q, digest);
    struct world_launch *l = vec_push(&w->launches, sizeof *l);
    *l = (struct world_launch){.token = mem_dup(token),
                               .zone = mem_dup(zone),
                               .digest = mem_dup(digest),
                               .reservation_id = mem_dup(reservation_id),
                               .created = world_now(w)};
}

static bool token_fits(struct api_reply *r, const char *token)
{
    size_t n = strlen(token);
    bool fits = n <= CLIENT_TOKEN_MAX;
    for (size_t i = 0; i < n; i++)
        fits = fits && (unsigned char)token[i] < 0x80;
    if (!fits)
        api_fail(r, 400, "InvalidParameterValue",
                 "The client token is invalid. It must have at most %d ASCII characters.",
                 CLIENT_TOKEN_MAX);
    return fits;
}

/* ---- how many ------------------------------------------------------------------------------ */

static bool no_capacity(struct api_reply *r, const struct run *run, const char *zone)
{
    api_fail(r, 500, "InsufficientInstanceCapacity",
             "We currently do not have sufficient %s capacity in the Availability Zone you "
             "requested (%s). Our system will be working on provisioning additional capacity.",
             run->type->name, zone);
    return false;
}

static bool over_quota(const struct world *w, struct api_reply *r)
{
    api_fail(r, 400, "VcpuLimitExceeded",
             "You have requested more vCPU capacity than your current vCPU limit of %d allows for "
             "the instance bucket that the specified instance type belongs to. Please visit "
             "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this "
             "limit.",
             w->vcpu_quota);
    return false;
}

static bool fault_fails(const struct world *w, struct api_reply *r, const struct run *run)
{
    const struct fault_launch *f = &run->fault;
    if (strcmp(f->code, "InsufficientInstanceCapacity") == 0)
        return no_capacity(r, run, run->subnet->zone);
    if (strcmp(f->code, "VcpuLimitExceeded") == 0)
        return over_quota(w, r);
    api_fail(r, f->status, f->code, "%s", f->message);
    return false;
}

static bool lacks_capacity(const struct run *run)
{
    return run->fault.code && strcmp(run->fault.code, "InsufficientInstanceCapacity") == 0;
}

/* Without a zone in the request EC2 chooses one that has the capacity. */
static bool choose_subnet(struct world *w, struct api_reply *r, struct run *run)
{
    faults_for_launch(w->o.faults, run->type->name, run->subnet->zone, &run->fault);
    const struct world_subnet *first = run->subnet;
    if (run->zone_is_free && lacks_capacity(run)) {
        FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
        {
            if (!s->is_default || s == first || !lacks_capacity(run))
                continue;
            run->subnet = s;
            faults_for_launch(w->o.faults, run->type->name, s->zone, &run->fault);
        }
    }
    return !run->fault.code || fault_fails(w, r, run);
}

/* As many as quota, addresses and capacity give, at least the minimum. */
static bool decide_count(struct world *w, struct api_reply *r, struct run *run)
{
    if (!choose_subnet(w, r, run))
        return false;
    int64_t left = (w->vcpu_quota - vcpus_in_use(w)) / run->type->vcpus;
    int64_t room = (int64_t)INSTANCES_MAX - (int64_t)w->lists[KIND_INSTANCE].count;
    int free = subnet_free(run->subnet);
    run->count = run->max;
    if (run->count > left)
        run->count = left;
    if (run->count < run->min)
        return over_quota(w, r);
    if (run->count > free)
        run->count = free;
    if (run->count < run->min) {
        api_fail(r, 400, "InsufficientFreeAddressesInSubnet",
                 "There are not enough free addresses in subnet '%s' to satisfy the requested "
                 "number of instances.",
                 run->subnet->r.id);
        return false;
    }
    if (run->fault.at_most >= 0 && run->count > run->fault.at_most)
        run->count = run->fault.at_most;
    if (run->count < run->min)
        return no_capacity(r, run, run->subnet->zone);
    if (run->count <= room)
        return true;
    api_fail(r, 400, "InstanceLimitExceeded", "Your quota allows for %d more running instance(s).",
             (int)(room > 0 ? room : 0));
    return false;
}

/* ---- making -------------------------------------------------------------------------------- */

static void make_interface(struct world *w, const struct run *run, struct world_instance *i)
{
    struct world_interface *n = resource_add(w, KIND_INTERFACE, NULL);
    n->instance_id = mem_dup(i->r.id);
    n->attachment_id = new_id("eni-attach-");
    n->description = mem_dup(run->interface_description);
    n->delete_on_termination = true;
    ec2_tags_put(&run->interface_tags, &n->r);
    i->interface_id = mem_dup(n->r.id);
    uint32_t ip;
    (void)ip_parse(i->private_ip, &ip);
    i->mac =
        mem_printf("02:00:%02x:%02x:%02x:%02x", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static void make_volumes(struct world *w, const struct run *run, struct world_instance *i)
{
    const struct device *d = run->devices.items;
    for (size_t k = 0; k < run->devices.count; k++) {
        struct world_volume *v = resource_add(w, KIND_VOLUME, NULL);
        ec2_device_copy(&d[k], v);
        v->zone = mem_dup(i->zone);
        v->instance_id = mem_dup(i->r.id);
        v->device = mem_dup(d[k].name);
        v->attached = v->r.created;
        ec2_tags_put(&run->volume_tags, &v->r);
        strv_add(&i->volumes, v->r.id);
    }
}

static void make_spot_request(struct world *w, const struct run *run, struct world_instance *i)
{
    if (!run->spot)
        return;
    struct world_spot_request *s = resource_add(w, KIND_SPOT_REQUEST, NULL);
    s->instance_id = mem_dup(i->r.id);
    s->max_price = mem_dup(run->spot_max_price);
    s->request_type = mem_dup("one-time");
    s->state = mem_dup("active");
    s->status_code = mem_dup("fulfilled");
    s->status_message = mem_dup("Your Spot request is fulfilled.");
    ec2_tags_put(&run->spot_tags, &s->r);
    i->spot_request_id = mem_dup(s->r.id);
}

static void place(struct world *w, const struct run *run, struct world_instance *i)
{
    i->zone = mem_dup(run->subnet->zone);
    i->subnet_id = mem_dup(run->subnet->r.id);
    i->vpc_id = mem_dup(run->subnet->vpc_id);
    strv_copy(&i->groups, &run->groups);
    if (run->private_ip)
        (void)private_ip_take_this(w, run->subnet, i, run->private_ip); /* proven to be free */
    else
        (void)private_ip_take(w, run->subnet, i); /* counted before */
    i->wants_public_ip = run->public_ip;
    if (run->public_ip)
        public_ip_take(w, i);
}

static void make_instance(struct world *w, const struct run *run, const char *reservation_id,
                          int index)
{
    struct fault_instance fault;
    faults_for_instance(w->o.faults, run->type->name, run->subnet->zone, &fault);
    struct world_instance *i = resource_add(w, KIND_INSTANCE, NULL);
    i->world = w;
    i->reservation_id = mem_dup(reservation_id);
    i->launch_index = index;
    i->image_id = mem_dup(run->image->id);
    i->type = mem_dup(run->type->name);
    i->key_name = mem_dup(run->key_name);
    i->client_token = mem_dup(run->token);
    i->tenancy = mem_dup(run->tenancy);
    i->placement_group = mem_dup(run->placement_group);
    i->iam_profile = mem_dup(run->iam_profile);
    i->terminate_on_shutdown = run->terminate_on_shutdown;
    i->protected_from_termination = run->protected_from_termination;
    i->monitored = run->monitored;
    i->ebs_optimized = run->ebs_optimized;
    i->tokens_required = run->tokens_required;
    i->metadata_off = run->metadata_off;
    i->tags_in_metadata = run->tags_in_metadata;
    i->hop_limit = run->hop_limit;
    i->never_boots = fault.never_boots;
    i->foreign_host_key = fault.foreign_host_key;
    i->launched = i->r.created;
    i->visible_at = i->launched + w->o.visible_after;
    i->addresses_at = i->launched + fault.late_addresses;
    instance_set_user_data(i, buf_view(&run->user_data));
    ec2_tags_put(&run->instance_tags, &i->r);
    place(w, run, i);
    make_interface(w, run, i);
    make_volumes(w, run, i);
    make_spot_request(w, run, i);
    instance_begin(i);
}

void ec2_RunInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *token = param(q->params, "ClientToken");
    AUTO_FREE char *scope = token_scope(w, q);
    if (token && *token) {
        if (!token_fits(r, token))
            return;
        const struct world_launch *before = launch_find(w, token, scope);
        if (before) {
            answer_again(w, q, r, before);
            return;
        }
    }
    struct run run AUTO_RUN = {0};
    if (!run_read(w, q, r, &run) || ec2_dry_run(q, r) || !decide_count(w, r, &run))
        return;
    AUTO_FREE char *reservation_id = new_id("r-");
    for (int k = 0; k < (int)run.count; k++)
        make_instance(w, &run, reservation_id, k);
    if (token && *token)
        remember(w, q, token, scope, reservation_id);
    answer(w, q, r, reservation_id);
}

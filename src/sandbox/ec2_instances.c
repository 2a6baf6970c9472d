/* What is done to instances that are there: terminate, stop, start, reboot, attributes, console,
 * status. */
#include "base/digest.h"
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(TerminateInstances);
EC2_HANDLER(StopInstances);
EC2_HANDLER(StartInstances);
EC2_HANDLER(RebootInstances);
EC2_HANDLER(ModifyInstanceAttribute);
EC2_HANDLER(DescribeInstanceAttribute);
EC2_HANDLER(DescribeInstanceStatus);
EC2_HANDLER(GetConsoleOutput);

#define INSTANCE(res) ((struct world_instance *)(void *)(res))
#define IDS_MAX 1000
#define USER_DATA_MAX 16384

static bool named(struct world *w, const struct api_request *q, struct api_reply *r,
                  struct selection *out)
{
    if (!ec2_find_list(w, q, r, KIND_INSTANCE, "InstanceId", out))
        return false;
    if (out->count == 0) {
        api_missing(r, "InstanceId");
        return false;
    }
    if (out->count > IDS_MAX) {
        api_fail(r, 400, "InvalidParameterValue", "At most %d instances can be named at once",
                 IDS_MAX);
        return false;
    }
    return true;
}

/* Changes each instance and answers its state before and after. */
static void change_all(const struct api_request *q, struct api_reply *r,
                       const struct selection *found, void (*change)(struct world_instance *i))
{
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_open(b, "instancesSet");
    for (size_t k = 0; k < found->count; k++) {
        struct world_instance *i = INSTANCE(found->items[k]);
        int before = i->state;
        change(i);
        xml_open(b, "item");
        xml_text(b, "instanceId", i->r.id);
        ec2_write_state(b, "currentState", i->state);
        ec2_write_state(b, "previousState", before);
        xml_close(b, "item");
    }
    xml_close(b, "instancesSet");
    ec2_close(q, r);
}

void ec2_TerminateInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    if (!named(w, q, r, &found))
        return;
    for (size_t k = 0; k < found.count; k++) {
        const struct world_instance *i = INSTANCE(found.items[k]);
        if (i->protected_from_termination && instance_alive(i)) {
            api_fail(r, 400, "OperationNotPermitted",
                     "The instance '%s' may not be terminated. Modify its "
                     "'disableApiTermination' instance attribute and try again.",
                     i->r.id);
            return;
        }
    }
    if (!ec2_dry_run(q, r))
        change_all(q, r, &found, instance_terminate);
}

static void wrong_state(struct api_reply *r, const struct world_instance *i, const char *what)
{
    api_fail(r, 400, "IncorrectInstanceState",
             "The instance '%s' is not in a state from which it can be %s.", i->r.id, what);
}

static void stop_gently(struct world_instance *i)
{
    instance_stop(i, false);
}

static void stop_hard(struct world_instance *i)
{
    instance_stop(i, true);
}

void ec2_StopInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    bool force;
    if (!named(w, q, r, &found) || !ec2_bool(q, r, "Force", false, &force))
        return;
    for (size_t k = 0; k < found.count; k++) {
        const struct world_instance *i = INSTANCE(found.items[k]);
        if (i->spot_request_id) {
            api_fail(r, 400, "UnsupportedOperation",
                     "You can't stop the Spot Instance '%s' because it is associated with a "
                     "one-time Spot Instance request. You can only stop Spot Instances associated "
                     "with persistent Spot Instance requests.",
                     i->r.id);
            return;
        }
        if (i->state != STATE_RUNNING && i->state != STATE_STOPPING && i->state != STATE_STOPPED) {
            wrong_state(r, i, "stopped");
            return;
        }
    }
    if (!ec2_dry_run(q, r))
        change_all(q, r, &found, force ? stop_hard : stop_gently);
}

void ec2_StartInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    if (!named(w, q, r, &found))
        return;
    int64_t vcpus = vcpus_in_use(w);
    for (size_t k = 0; k < found.count; k++) {
        const struct world_instance *i = INSTANCE(found.items[k]);
        if (i->state != STATE_STOPPED && i->state != STATE_PENDING && i->state != STATE_RUNNING) {
            wrong_state(r, i, "started");
            return;
        }
        vcpus += i->state == STATE_STOPPED ? catalog_type(i->type)->vcpus : 0;
    }
    if (vcpus > w->vcpu_quota) {
        api_fail(r, 400, "VcpuLimitExceeded",
                 "You have requested more vCPU capacity than your current vCPU limit of %d allows",
                 w->vcpu_quota);
        return;
    }
    if (!ec2_dry_run(q, r))
        change_all(q, r, &found, instance_start);
}

void ec2_RebootInstances(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    if (!named(w, q, r, &found))
        return;
    for (size_t k = 0; k < found.count; k++) {
        if (INSTANCE(found.items[k])->state != STATE_RUNNING) {
            wrong_state(r, INSTANCE(found.items[k]), "rebooted");
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    for (size_t k = 0; k < found.count; k++)
        instance_reboot(INSTANCE(found.items[k]));
    ec2_answer_true(q, r);
}

/* ---- attributes ---------------------------------------------------------------------------- */

static const char *const behaviours[] = {"stop", "terminate", NULL};

static void modify_user_data(const struct api_request *q, struct api_reply *r,
                             struct world_instance *i, const char *encoded)
{
    struct buf bytes AUTO_BUF = {0};
    if (i->state != STATE_STOPPED) {
        api_fail(r, 400, "IncorrectInstanceState",
                 "The instance '%s' is not in the 'stopped' state.", i->r.id);
    } else if (!digest_unbase64(str_of(encoded), &bytes)) {
        api_fail(r, 400, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.");
    } else if (bytes.len > USER_DATA_MAX) {
        api_fail(r, 400, "InvalidParameterValue", "User data is limited to %d bytes",
                 USER_DATA_MAX);
    } else if (!ec2_dry_run(q, r)) {
        instance_set_user_data(i, buf_view(&bytes));
    }
}

static void modify_groups(struct world *w, const struct api_request *q, struct api_reply *r,
                          struct world_instance *i)
{
    struct selection groups AUTO_SELECTION = {0};
    if (!ec2_find_list(w, q, r, KIND_GROUP, "GroupId", &groups))
        return;
    for (size_t k = 0; k < groups.count; k++) {
        const struct world_group *g = (const struct world_group *)(void *)groups.items[k];
        if (!i->vpc_id || strcmp(g->vpc_id, i->vpc_id) != 0) {
            api_fail(r, 400, "InvalidGroup.NotFound",
                     "The security group '%s' does not exist in the VPC of the instance", g->r.id);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    strv_done(&i->groups);
    for (size_t k = 0; k < groups.count; k++) {
        if (!strv_has(&i->groups, groups.items[k]->id))
            strv_add(&i->groups, groups.items[k]->id);
    }
}

/* One attribute a call, in one of two shapes: "Attribute=x&Value=y", or "X.Value=y". */
void ec2_ModifyInstanceAttribute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_instance *i = ec2_find_param(w, q, r, KIND_INSTANCE, "InstanceId");
    if (!i)
        return;
    const char *attribute = param(q->params, "Attribute"), *plain = param(q->params, "Value");
    const char *name = attribute                            ? attribute
                       : param(q->params, "UserData.Value") ? "userData"
                       : param(q->params, "InstanceInitiatedShutdownBehavior.Value")
                           ? "instanceInitiatedShutdownBehavior"
                       : param(q->params, "DisableApiTermination.Value") ? "disableApiTermination"
                       : param_any(q->params, "GroupId.")                ? "groupSet"
                                                                         : NULL;
    if (!name) {
        api_fail(r, 400, "InvalidParameterCombination", "No attributes specified.");
        return;
    }
    const char *parameter = "Value";
    if (!attribute)
        parameter = strcmp(name, "userData") == 0 ? "UserData.Value"
                    : strcmp(name, "disableApiTermination") == 0
                        ? "DisableApiTermination.Value"
                        : "InstanceInitiatedShutdownBehavior.Value";
    const char *value = attribute ? plain : param(q->params, parameter);
    bool on;
    const char *behaviour;
    if (strcmp(name, "groupSet") == 0) {
        modify_groups(w, q, r, i);
    } else if (!value) {
        api_missing(r, parameter);
    } else if (strcmp(name, "userData") == 0) {
        modify_user_data(q, r, i, value);
    } else if (strcmp(name, "instanceInitiatedShutdownBehavior") == 0) {
        if (ec2_choice(q, r, parameter, behaviours, &behaviour) && !ec2_dry_run(q, r))
            i->terminate_on_shutdown = strcmp(behaviour, "terminate") == 0;
    } else if (strcmp(name, "disableApiTermination") == 0) {
        if (ec2_bool(q, r, parameter, false, &on) && !ec2_dry_run(q, r))
            i->protected_from_termination = on;
    } else {
        api_bad_value(r, "attribute", name);
    }
    if (!r->failed)
        ec2_answer_true(q, r);
}

static void write_value(struct buf *b, const char *name, const char *value)
{
    xml_open(b, name);
    xml_text(b, "value", value);
    xml_close(b, name);
}

void ec2_DescribeInstanceAttribute(struct world *w, const struct api_request *q,
                                   struct api_reply *r)
{
    const struct world_instance *i = ec2_find_param(w, q, r, KIND_INSTANCE, "InstanceId");
    const char *name = i ? ec2_need(q, r, "Attribute") : NULL;
    if (!name || ec2_dry_run(q, r))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_text(b, "instanceId", i->r.id);
    if (strcmp(name, "userData") == 0) {
        struct buf text AUTO_BUF = {0};
        digest_base64(instance_user_data(i), &text);
        write_value(b, name, text.len ? buf_text(&text) : NULL);
    } else if (strcmp(name, "instanceInitiatedShutdownBehavior") == 0) {
        write_value(b, name, behaviours[i->terminate_on_shutdown]);
    } else if (strcmp(name, "disableApiTermination") == 0) {
        write_value(b, name, i->protected_from_termination ? "true" : "false");
    } else if (strcmp(name, "instanceType") == 0) {
        write_value(b, name, i->type);
    } else if (strcmp(name, "rootDeviceName") == 0) {
        write_value(b, name, image_of(w, i->image_id)->root_device);
    } else if (strcmp(name, "ebsOptimized") == 0) {
        write_value(b, name, i->ebs_optimized ? "true" : "false");
    } else if (strcmp(name, "groupSet") == 0) {
        ec2_write_group_set(w, &i->groups, b);
    } else {
        api_bad_value(r, "attribute", name);
        return;
    }
    ec2_close(q, r);
}

/* ---- console and status -------------------------------------------------------------------- */

void ec2_GetConsoleOutput(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const struct world_instance *i = ec2_find_param(w, q, r, KIND_INSTANCE, "InstanceId");
    bool latest;
    if (!i || !ec2_bool(q, r, "Latest", false, &latest))
        return;
    if (latest && strcmp(catalog_type(i->type)->hypervisor, "nitro") != 0) {
        api_fail(r, 400, "UnsupportedOperation",
                 "This instance type does not support retrieving the latest console logs.");
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    struct buf output AUTO_BUF = {0}, text AUTO_BUF = {0};
    world_console(w, i, &output);
    digest_base64(buf_view(&output), &text);
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_text(b, "instanceId", i->r.id);
    xml_time(b, "timestamp", world_now(w));
    if (output.len)
        xml_text(b, "output", buf_text(&text));
    ec2_close(q, r);
}

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)

static const char *health(const struct world_instance *i)
{
    if (i->state == STATE_PENDING)
        return "initializing";
    if (i->state != STATE_RUNNING)
        return "not-applicable";
    return i->never_boots ? "impaired" : "ok";
}

static const char *reachability(const struct world_instance *i)
{
    const char *h = health(i);
    return strcmp(h, "ok") == 0 ? "passed" : strcmp(h, "impaired") == 0 ? "failed" : "initializing";
}

MATCH(state_name)
{
    return filter_text(f, instance_state_name(INSTANCE((uintptr_t)res)->state));
}
MATCH(state_code)
{
    return filter_int(f, instance_state_code(INSTANCE((uintptr_t)res)->state));
}
MATCH(health)
{
    return filter_text(f, health(INSTANCE((uintptr_t)res)));
}
MATCH(reachability)
{
    return filter_text(f, reachability(INSTANCE((uintptr_t)res)));
}

static const struct filter_key status_filters[] = {
    {"availability-zone", NULL, offsetof(struct world_instance, zone)},
    {"instance-state-name", by_state_name, 0},
    {"instance-state-code", by_state_code, 0},
    {"instance-status.status", by_health, 0},
    {"system-status.status", by_health, 0},
    {"instance-status.reachability", by_reachability, 0},
    {"system-status.reachability", by_reachability, 0},
};

static void write_health(struct buf *b, const char *name, const struct world_instance *i)
{
    xml_open(b, name);
    xml_text(b, "status", health(i));
    if (i->state == STATE_RUNNING || i->state == STATE_PENDING) {
        xml_open(b, "details");
        xml_open(b, "item");
        xml_text(b, "name", "reachability");
        xml_text(b, "status", reachability(i));
        xml_close(b, "item");
        xml_close(b, "details");
    }
    xml_close(b, name);
}

static const struct describe statuses = {
    .kind = KIND_INSTANCE,
    .ids = "InstanceId",
    .filters = status_filters,
    .filter_count = COUNT_OF(status_filters),
    .page_min = 5,
    .page_max = 1000,
};

/* Running instances only, unless all are asked for: so pages may be shorter than asked. */
void ec2_DescribeInstanceStatus(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    bool all;
    if (!ec2_bool(q, r, "IncludeAllInstances", false, &all) ||
        !ec2_select(w, q, r, &statuses, &found))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_open(b, "instanceStatusSet");
    for (size_t k = 0; k < found.count; k++) {
        const struct world_instance *i = INSTANCE(found.items[k]);
        if (!all && i->state != STATE_RUNNING)
            continue;
        xml_open(b, "item");
        xml_text(b, "instanceId", i->r.id);
        xml_text(b, "availabilityZone", i->zone);
        ec2_write_state(b, "instanceState", i->state);
        write_health(b, "systemStatus", i);
        write_health(b, "instanceStatus", i);
        xml_close(b, "item");
    }
    xml_close(b, "instanceStatusSet");
    xml_text(b, "nextToken", found.next_token);
    ec2_close(q, r);
}

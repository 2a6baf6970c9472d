/* The table of EC2's actions, and what all of them share. */
#include "sandbox/ec2_parameters.h"
#include "sandbox/ec2_priv.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "http://ec2.amazonaws.com/doc/2016-11-15/"

/* X(name of the action, whether it changes the world) */
#define EC2_ACTIONS(X)                      \
    X(RunInstances, true)                   \
    X(DescribeInstances, false)             \
    X(DescribeInstanceStatus, false)        \
    X(TerminateInstances, true)             \
    X(StopInstances, true)                  \
    X(StartInstances, true)                 \
    X(RebootInstances, false)               \
    X(ModifyInstanceAttribute, true)        \
    X(DescribeInstanceAttribute, false)     \
    X(GetConsoleOutput, false)              \
    X(CreateTags, true)                     \
    X(DeleteTags, true)                     \
    X(DescribeTags, false)                  \
    X(DescribeVolumes, false)               \
    X(CreateVolume, true)                   \
    X(DeleteVolume, true)                   \
    X(DescribeNetworkInterfaces, false)     \
    X(DescribeRegions, false)               \
    X(DescribeAvailabilityZones, false)     \
    X(DescribeAccountAttributes, false)     \
    X(DescribeInstanceTypes, false)         \
    X(DescribeInstanceTypeOfferings, false) \
    X(DescribeImages, false)                \
    X(DescribeKeyPairs, false)              \
    X(ImportKeyPair, true)                  \
    X(CreateKeyPair, true)                  \
    X(DeleteKeyPair, true)                  \
    X(CreateVpc, true)                      \
    X(DescribeVpcs, false)                  \
    X(DeleteVpc, true)                      \
    X(ModifyVpcAttribute, true)             \
    X(DescribeVpcAttribute, false)          \
    X(CreateSubnet, true)                   \
    X(DescribeSubnets, false)               \
    X(DeleteSubnet, true)                   \
    X(ModifySubnetAttribute, true)          \
    X(CreateInternetGateway, true)          \
    X(AttachInternetGateway, true)          \
    X(DetachInternetGateway, true)          \
    X(DescribeInternetGateways, false)      \
    X(DeleteInternetGateway, true)          \
    X(CreateRouteTable, true)               \
    X(DescribeRouteTables, false)           \
    X(CreateRoute, true)                    \
    X(DeleteRoute, true)                    \
    X(AssociateRouteTable, true)            \
    X(DisassociateRouteTable, true)         \
    X(DeleteRouteTable, true)               \
    X(CreateSecurityGroup, true)            \
    X(DescribeSecurityGroups, false)        \
    X(AuthorizeSecurityGroupIngress, true)  \
    X(AuthorizeSecurityGroupEgress, true)   \
    X(RevokeSecurityGroupIngress, true)     \
    X(RevokeSecurityGroupEgress, true)      \
    X(DeleteSecurityGroup, true)            \
    X(CreatePlacementGroup, true)           \
    X(DescribePlacementGroups, false)       \
    X(DeletePlacementGroup, true)           \
    X(DescribeSpotInstanceRequests, false)

static bool parameters_known(const struct api_request *q, struct api_reply *r);

/* Each action runs behind the check of its parameters' names. */
#define DECLARE(name, changes)                                                                \
    EC2_HANDLER(name);                                                                        \
    static void run_##name(struct world *w, const struct api_request *q, struct api_reply *r) \
    {                                                                                         \
        if (parameters_known(q, r))                                                           \
            ec2_##name(w, q, r);                                                              \
    }
EC2_ACTIONS(DECLARE)

#define ROW(name, changes) {#name, run_##name, changes},
const struct api_action ec2_actions[] = {EC2_ACTIONS(ROW){NULL, NULL, false}};

/* ---- parameters ---------------------------------------------------------------------------- */

#define NAME_MAX_BYTES 200

/* "Filter.12.Name" becomes "Filter.N.Name". False where it is too long to be any. */
static bool without_numbers(const char *name, char out[NAME_MAX_BYTES])
{
    size_t n = 0;
    for (const char *p = name; *p;) {
        size_t digits = strspn(p, "0123456789");
        bool number = digits > 0 && p > name && p[-1] == '.' && (p[digits] == '.' || !p[digits]);
        if (n + 2 > NAME_MAX_BYTES)
            return false;
        out[n++] = number ? 'N' : *p;
        p += number ? digits : 1;
    }
    out[n] = '\0';
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool parameter_known(const struct ec2_parameters *of, const char *name)
{
    static const char *const common[] = {"Action",          "Version",          "AWSAccessKeyId",
                                         "Expires",         "SecurityToken",    "Signature",
                                         "SignatureMethod", "SignatureVersion", "Timestamp"};
    for (size_t i = 0; i < COUNT_OF(common); i++) {
        if (strcmp(common[i], name) == 0)
            return true;
    }
    char plain[NAME_MAX_BYTES];
    return strncmp(name, "X-Amz-", 6) == 0 ||
           (without_numbers(name, plain) &&
            bsearch(plain, of->names, of->count, sizeof *of->names, by_text));
}

static bool parameters_known(const struct api_request *q, struct api_reply *r)
{
    const struct ec2_parameters *of = ec2_parameters;
    while (of->action && strcmp(of->action, q->action) != 0)
        of++;
    size_t at = 0;
    const char *name, *value;
    while (of->action && params_next(q->params, &at, &name, &value)) {
        if (parameter_known(of, name))
            continue;
        api_fail(r, 400, "UnknownParameter", "The parameter %.200s is not recognized", name);
        return false;
    }
    return true;
}

/* ---- answers ------------------------------------------------------------------------------- */

void ec2_open(const struct api_request *q, struct api_reply *r)
{
    buf_addf(&r->body,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<%sResponse xmlns=\"" NAMESPACE "\">",
             q->action);
    xml_text(&r->body, "requestId", q->request_id);
}

void ec2_close(const struct api_request *q, struct api_reply *r)
{
    buf_addf(&r->body, "</%sResponse>", q->action);
}

void ec2_answer_true(const struct api_request *q, struct api_reply *r)
{
    ec2_open(q, r);
    xml_bool(&r->body, "return", true);
    ec2_close(q, r);
}

void ec2_tag_set(struct buf *b, const struct resource *res)
{
    const struct tag *tags = res->tags.items;
    if (res->tags.count == 0)
        return;
    xml_open(b, "tagSet");
    for (size_t i = 0; i < res->tags.count; i++) {
        xml_open(b, "item");
        xml_text(b, "key", tags[i].key);
        xml_text(b, "value", tags[i].value);
        xml_close(b, "item");
    }
    xml_close(b, "tagSet");
}

void ec2_text_set(struct buf *b, const char *set, const char *name, const struct strv *texts)
{
    xml_open(b, set);
    for (size_t i = 0; i < texts->count; i++) {
        xml_open(b, "item");
        xml_text(b, name, texts->items[i]);
        xml_close(b, "item");
    }
    xml_close(b, set);
}

/* ---- requests ------------------------------------------------------------------------------ */

bool ec2_dry_run(const struct api_request *q, struct api_reply *r)
{
    bool dry;
    if (!ec2_bool(q, r, "DryRun", false, &dry))
        return true;
    if (dry)
        api_fail(r, 412, "DryRunOperation",
                 "Request would have succeeded, but DryRun flag is set.");
    return dry;
}

const char *ec2_need(const struct api_request *q, struct api_reply *r, const char *name)
{
    const char *value = param(q->params, name);
    if (value && *value)
        return value;
    api_missing(r, name);
    return NULL;
}

bool ec2_int(const struct api_request *q, struct api_reply *r, const char *name, int64_t min,
             int64_t max, int64_t fallback, int64_t *out)
{
    if (param_int(q->params, name, min, max, fallback, out))
        return true;
    api_bad_value(r, name, param(q->params, name));
    return false;
}

bool ec2_bool(const struct api_request *q, struct api_reply *r, const char *name, bool fallback,
              bool *out)
{
    const char *value = param(q->params, name);
    if (value && strcasecmp(value, "true") != 0 && strcasecmp(value, "false") != 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Invalid value '%s' for %s. Must be a boolean ('true' or 'false')", value, name);
        return false;
    }
    *out = value ? strcasecmp(value, "true") == 0 : fallback;
    return true;
}

bool ec2_choice(const struct api_request *q, struct api_reply *r, const char *name,
                const char *const *choices, const char **out)
{
    const char *value = param(q->params, name);
    if (!value) {
        *out = NULL;
        return true;
    }
    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], value) == 0) {
            *out = choices[i];
            return true;
        }
    }
    api_bad_value(r, name, value);
    return false;
}

/* ---- finding ------------------------------------------------------------------------------- */

bool ec2_visible(const struct world *w, const struct resource *res)
{
    const char *instance_id = NULL;
    if (res->kind == KIND_INSTANCE)
        return instance_visible((const struct world_instance *)(const void *)res, world_now(w));
    if (res->kind == KIND_VOLUME)
        instance_id = ((const struct world_volume *)(const void *)res)->instance_id;
    if (res->kind == KIND_INTERFACE)
        instance_id = ((const struct world_interface *)(const void *)res)->instance_id;
    const struct world_instance *i = resource_get(w, KIND_INSTANCE, instance_id);
    return !i || instance_visible(i, world_now(w));
}

int ec2_not_found(struct api_reply *r, enum kind kind, const char *id)
{
    const struct kind_info *k = &kinds[kind];
    if (kind == KIND_IMAGE)
        return api_fail(r, 400, k->not_found, "The image id '[%s]' does not exist", id);
    if (kind == KIND_PLACEMENT_GROUP)
        return api_fail(r, 400, k->not_found, "The Placement Group '%s' is unknown.", id);
    if (strstr(id, ", "))
        return api_fail(r, 400, k->not_found, "The %ss '%s' do not exist", k->label, id);
    return api_fail(r, 400, k->not_found, "The %s '%s' does not exist", k->label, id);
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* EC2's ids have 17 hexadecimal digits; those from before 2016 have 8. */
static bool well_formed(struct api_reply *r, enum kind kind, const char *id)
{
    const char *prefix = kinds[kind].prefix;
    size_t n = strlen(prefix);
    if (strncmp(id, prefix, n) != 0) {
        api_fail(r, 400, kinds[kind].malformed, "Invalid id: \"%s\" (expecting \"%s...\")", id,
                 prefix);
        return false;
    }
    if (is_hex(id + n, 17) || is_hex(id + n, 8))
        return true;
    api_fail(r, 400, kinds[kind].malformed, "Invalid id: \"%s\"", id);
    return false;
}

void *ec2_find(const struct world *w, struct api_reply *r, enum kind kind, const char *id)
{
    if (!well_formed(r, kind, id))
        return NULL;
    struct resource *res = resource_get(w, kind, id);
    if (res && ec2_visible(w, res))
        return res;
    ec2_not_found(r, kind, id);
    return NULL;
}

void *ec2_find_param(const struct world *w, const struct api_request *q, struct api_reply *r,
                     enum kind kind, const char *name)
{
    const char *id = ec2_need(q, r, name);
    return id ? ec2_find(w, r, kind, id) : NULL;
}

bool ec2_room(const struct world *w, struct api_reply *r, enum kind kind)
{
    if (w->lists[kind].count < RESOURCES_MAX)
        return true;
    api_fail(r, 400, "ResourceLimitExceeded", "The account has its most of %d resources of type %s",
             RESOURCES_MAX, kinds[kind].type);
    return false;
}

int ec2_dependency(struct api_reply *r, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return api_fail(r, 400, "DependencyViolation", "%s", message);
}

void selection_done(struct selection *s)
{
    free(s->items);
    free(s->next_token);
    *s = (struct selection){0};
}

void selection_add(struct selection *s, struct resource *res)
{
    MEM_PUSH_ROOM(s->items, s->count, s->cap);
    s->items[s->count++] = res;
}

bool ec2_find_list(const struct world *w, const struct api_request *q, struct api_reply *r,
                   enum kind kind, const char *name, struct selection *out)
{
    struct strv ids AUTO_STRV = {0}, missing AUTO_STRV = {0};
    param_list(q->params, name, &ids);
    for (size_t i = 0; i < ids.count; i++) {
        if (!well_formed(r, kind, ids.items[i]))
            return false;
        struct resource *res = resource_get(w, kind, ids.items[i]);
        if (res && ec2_visible(w, res))
            selection_add(out, res);
        else
            strv_add(&missing, ids.items[i]);
    }
    if (missing.count == 0)
        return true;
    AUTO_FREE char *all = strv_join(&missing, ", ");
    ec2_not_found(r, kind, all);
    return false;
}

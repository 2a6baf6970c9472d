/* See ec2_priv.h. Element names are those of botocore's model of EC2, 2016-11-15. */
#include "aws/ec2_priv.h"
#include "base/digest.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 64
#define LAUNCH_INDEX_MAX 1000000

const char *ec2_state_name(enum ec2_state s)
{
    static const char *const names[] = {[EC2_PENDING] = "pending",
                                        [EC2_RUNNING] = "running",
                                        [EC2_SHUTTING_DOWN] = "shutting-down",
                                        [EC2_TERMINATED] = "terminated",
                                        [EC2_STOPPING] = "stopping",
                                        [EC2_STOPPED] = "stopped",
                                        [EC2_STATE_UNKNOWN] = "unknown"};
    return names[s];
}

const char *ec2_tag_value(const struct ec2_tag *tags, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tags[i].key, key) == 0)
            return tags[i].value;
    return NULL;
}

static enum ec2_state parse_state(const struct xml_node *state)
{
    const char *name = xml_text(state, "name");
    for (int s = EC2_PENDING; name && s < EC2_STATE_UNKNOWN; s++)
        if (strcmp(name, ec2_state_name((enum ec2_state)s)) == 0)
            return (enum ec2_state)s;
    return EC2_STATE_UNKNOWN;
}

static char *dup_or_empty(const struct xml_node *node, const char *name)
{
    const char *text = xml_text(node, name);
    return mem_dup(text ? text : "");
}

static void parse_tags(const struct xml_node *item, struct ec2_instance *out)
{
    size_t cap = 0;
    for (const struct xml_node *t = xml_items(item, "tagSet"); t; t = t->next) {
        MEM_PUSH_ROOM(out->tags, out->tag_count, cap);
        out->tags[out->tag_count++] =
            (struct ec2_tag){dup_or_empty(t, "key"), dup_or_empty(t, "value")};
    }
}

/* An id ends up in file names, known_hosts lines and argument lists: "i-0123456789abcdef0" is all
 * it may be like. */
static bool id_is_sound(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t n = strlen(id);
    return n > 0 && n <= ID_MAX && id[0] != '-' && strspn(id, allowed) == n;
}

/* An address is one, or there is none: it stands in /etc/hosts and behind "USER@". */
static char *address(const struct xml_node *item, const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    const char *text = xml_text(item, name);
    bool sound =
        text && (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
    return sound ? mem_dup(text) : NULL;
}

static void parse_instance(const struct xml_node *item, struct ec2_instance *out)
{
    const struct xml_node *reason = xml_child(item, "stateReason");
    *out = (struct ec2_instance){
        .id = dup_or_empty(item, "instanceId"),
        .type = xml_dup(item, "instanceType"),
        .image_id = xml_dup(item, "imageId"),
        .key_name = xml_dup(item, "keyName"),
        .subnet_id = xml_dup(item, "subnetId"),
        .vpc_id = xml_dup(item, "vpcId"),
        .zone = xml_dup(xml_child(item, "placement"), "availabilityZone"),
        .client_token = xml_dup(item, "clientToken"),
        .public_ip = address(item, "ipAddress"),
        .private_ip = address(item, "privateIpAddress"),
        .public_dns = xml_dup(item, "dnsName"),
        .private_dns = xml_dup(item, "privateDnsName"),
        .state_reason = xml_dup(reason, "message"),
        .lifecycle = xml_dup(item, "instanceLifecycle"),
        .state = parse_state(xml_child(item, "instanceState")),
    };
    int64_t index = xml_int(item, "amiLaunchIndex", 0);
    out->launch_index = index > 0 && index <= LAUNCH_INDEX_MAX ? (int)index : 0;
    if (!out->state_reason)
        out->state_reason = xml_dup(reason, "code");
    const char *launched = xml_text(item, "launchTime");
    if (launched && !clock_parse_iso(str_of(launched), &out->launched))
        out->launched = 0;
    parse_tags(item, out);
    const struct xml_node *groups = xml_items(item, "groupSet");
    if (!groups) /* with several interfaces each has its own */
        groups = xml_items(xml_items(item, "networkInterfaceSet"), "groupSet");
    for (; groups; groups = groups->next)
        strv_take(&out->security_groups, dup_or_empty(groups, "groupId"));
}

int ec2_parse_nothing(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)root, (void)out, (void)err;
    return 0;
}

int ec2_parse_launched(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    struct ec2_instances *l = &out->instances;
    for (const struct xml_node *i = xml_items(root, "instancesSet"); i; i = i->next) {
        const char *id = xml_text(i, "instanceId");
        if (!id || !id_is_sound(id))
            return err_set(err, ERR_PARSE, "the answer has an instance without a sound id");
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        parse_instance(i, &l->items[l->count++]);
    }
    return 0;
}

int ec2_parse_reservations(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    for (const struct xml_node *r = xml_items(root, "reservationSet"); r; r = r->next)
        if (ec2_parse_launched(r, out, err) == -1)
            return -1;
    return 0;
}

void ec2_instances_done(struct ec2_instances *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct ec2_instance *n = &l->items[i];
        char *strings[] = {n->id,           n->type,       n->image_id,   n->key_name,
                           n->subnet_id,    n->vpc_id,     n->zone,       n->client_token,
                           n->public_ip,    n->private_ip, n->public_dns, n->private_dns,
                           n->state_reason, n->lifecycle};
        for (size_t j = 0; j < COUNT_OF(strings); j++)
            free(strings[j]);
        for (size_t j = 0; j < n->tag_count; j++) {
            free(n->tags[j].key);
            free(n->tags[j].value);
        }
        free(n->tags);
        strv_done(&n->security_groups);
    }
    free(l->items);
    *l = (struct ec2_instances){0};
}

/* The size of the root volume, in the mapping of the root device's name. */
static int root_size(const struct xml_node *image)
{
    const char *root = xml_text(image, "rootDeviceName");
    for (const struct xml_node *m = xml_items(image, "blockDeviceMapping"); m; m = m->next) {
        const char *name = xml_text(m, "deviceName");
        if (root && name && strcmp(root, name) == 0)
            return (int)xml_int(xml_child(m, "ebs"), "volumeSize", 0);
    }
    return 0;
}

int ec2_parse_images(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_images *l = &out->images;
    for (const struct xml_node *i = xml_items(root, "imagesSet"); i; i = i->next) {
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        l->items[l->count++] = (struct ec2_image){.id = xml_dup(i, "imageId"),
                                                  .name = xml_dup(i, "name"),
                                                  .architecture = xml_dup(i, "architecture"),
                                                  .root_device = xml_dup(i, "rootDeviceName"),
                                                  .state = xml_dup(i, "imageState"),
                                                  .root_gb = root_size(i)};
    }
    return 0;
}

void ec2_images_done(struct ec2_images *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].id);
        free(l->items[i].name);
        free(l->items[i].architecture);
        free(l->items[i].root_device);
        free(l->items[i].state);
    }
    free(l->items);
    *l = (struct ec2_images){0};
}

/* Older types list i386 first; nobody makes images for that any more. */
static char *architecture(const struct xml_node *type)
{
    const struct xml_node *list =
        xml_items(xml_child(type, "processorInfo"), "supportedArchitectures");
    for (const struct xml_node *a = list; a; a = a->next)
        if (strcmp(a->text, "x86_64") == 0 || strcmp(a->text, "arm64") == 0)
            return mem_dup(a->text);
    return list ? mem_dup(list->text) : NULL;
}

int ec2_parse_instance_types(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_instance_types *l = &out->types;
    for (const struct xml_node *i = xml_items(root, "instanceTypeSet"); i; i = i->next) {
        const struct xml_node *gpus = xml_items(xml_child(i, "gpuInfo"), "gpus");
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        struct ec2_instance_type *t = &l->items[l->count++];
        *t = (struct ec2_instance_type){
            .name = dup_or_empty(i, "instanceType"),
            .architecture = architecture(i),
            .vcpus = (int)xml_int(xml_child(i, "vCpuInfo"), "defaultVCpus", 0),
            .memory_mib = xml_int(xml_child(i, "memoryInfo"), "sizeInMiB", 0),
            .gpu_name = xml_dup(gpus, "name"),
            .current_generation = xml_is_true(i, "currentGeneration")};
        for (; gpus; gpus = gpus->next)
            t->gpus += (int)xml_int(gpus, "count", 0);
    }
    return 0;
}

void ec2_instance_types_done(struct ec2_instance_types *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].name);
        free(l->items[i].architecture);
        free(l->items[i].gpu_name);
    }
    free(l->items);
    *l = (struct ec2_instance_types){0};
}

int ec2_parse_subnets(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_subnets *l = &out->subnets;
    for (const struct xml_node *i = xml_items(root, "subnetSet"); i; i = i->next) {
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        l->items[l->count++] =
            (struct ec2_subnet){.id = dup_or_empty(i, "subnetId"),
                                .vpc_id = xml_dup(i, "vpcId"),
                                .zone = xml_dup(i, "availabilityZone"),
                                .state = xml_dup(i, "state"),
                                .cidr = xml_dup(i, "cidrBlock"),
                                .free_addresses = (int)xml_int(i, "availableIpAddressCount", 0),
                                .maps_public_ip = xml_is_true(i, "mapPublicIpOnLaunch")};
    }
    return 0;
}

void ec2_subnets_done(struct ec2_subnets *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].id);
        free(l->items[i].vpc_id);
        free(l->items[i].zone);
        free(l->items[i].state);
        free(l->items[i].cidr);
    }
    free(l->items);
    *l = (struct ec2_subnets){0};
}

static void add_texts(const struct xml_node *item, const char *list, const char *name,
                      struct strv *out)
{
    for (const struct xml_node *n = xml_items(item, list); n; n = n->next)
        strv_take(out, dup_or_empty(n, name));
}

static void parse_permissions(const struct xml_node *item, struct ec2_security_group *out)
{
    size_t cap = 0;
    for (const struct xml_node *p = xml_items(item, "ipPermissions"); p; p = p->next) {
        MEM_PUSH_ROOM(out->ingress, out->ingress_count, cap);
        struct ec2_ip_permission *one = &out->ingress[out->ingress_count++];
        *one = (struct ec2_ip_permission){.protocol = dup_or_empty(p, "ipProtocol"),
                                          .from_port = (int)xml_int(p, "fromPort", -1),
                                          .to_port = (int)xml_int(p, "toPort", -1)};
        add_texts(p, "ipRanges", "cidrIp", &one->cidrs);
        add_texts(p, "ipv6Ranges", "cidrIpv6", &one->cidrs);
        add_texts(p, "groups", "groupId", &one->group_ids);
    }
}

int ec2_parse_security_groups(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_security_groups *l = &out->groups;
    for (const struct xml_node *i = xml_items(root, "securityGroupInfo"); i; i = i->next) {
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        struct ec2_security_group *g = &l->items[l->count++];
        *g = (struct ec2_security_group){.id = dup_or_empty(i, "groupId"),
                                         .name = xml_dup(i, "groupName"),
                                         .vpc_id = xml_dup(i, "vpcId")};
        parse_permissions(i, g);
    }
    return 0;
}

void ec2_security_groups_done(struct ec2_security_groups *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct ec2_security_group *g = &l->items[i];
        for (size_t j = 0; j < g->ingress_count; j++) {
            free(g->ingress[j].protocol);
            strv_done(&g->ingress[j].cidrs);
            strv_done(&g->ingress[j].group_ids);
        }
        free(g->ingress);
        free(g->id);
        free(g->name);
        free(g->vpc_id);
    }
    free(l->items);
    *l = (struct ec2_security_groups){0};
}

int ec2_parse_key_pairs(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_key_pairs *l = &out->keys;
    for (const struct xml_node *i = xml_items(root, "keySet"); i; i = i->next) {
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        l->items[l->count++] = (struct ec2_key_pair){.name = dup_or_empty(i, "keyName"),
                                                     .fingerprint = xml_dup(i, "keyFingerprint"),
                                                     .type = xml_dup(i, "keyType"),
                                                     .public_key = xml_dup(i, "publicKey")};
    }
    return 0;
}

void ec2_key_pairs_done(struct ec2_key_pairs *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].name);
        free(l->items[i].fingerprint);
        free(l->items[i].type);
        free(l->items[i].public_key);
    }
    free(l->items);
    *l = (struct ec2_key_pairs){0};
}

int ec2_parse_volumes(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    struct ec2_volumes *l = &out->volumes;
    for (const struct xml_node *i = xml_items(root, "volumeSet"); i; i = i->next) {
        MEM_PUSH_ROOM(l->items, l->count, l->cap);
        l->items[l->count++] =
            (struct ec2_volume){.id = dup_or_empty(i, "volumeId"),
                                .state = xml_dup(i, "status"),
                                .instance_id = xml_dup(xml_items(i, "attachmentSet"), "instanceId"),
                                .gb = (int)xml_int(i, "size", 0)};
    }
    return 0;
}

void ec2_volumes_done(struct ec2_volumes *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].id);
        free(l->items[i].state);
        free(l->items[i].instance_id);
    }
    free(l->items);
    *l = (struct ec2_volumes){0};
}

int ec2_parse_regions(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    (void)err;
    add_texts(root, "regionInfo", "regionName", &out->names);
    return 0;
}

int ec2_parse_console(const struct xml_node *root, union ec2_result *out, struct err *err)
{
    const char *text = xml_text(root, "output");
    if (text && !digest_unbase64(str_of(text), &out->text))
        return err_set(err, ERR_PARSE, "the console output is not base64");
    return 0;
}

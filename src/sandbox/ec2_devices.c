/* Block devices of a launch, and the rules of the volume types (EC2 User Guide, "Amazon EBS volume
 * types"). */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

struct volume_rule {
    const char *type;
    int gb_min, gb_max;
    int iops_min, iops_max; /* 0: takes no IOPS */
    int iops_per_gb;        /* at most */
    bool iops_needed;
    int throughput_min, throughput_max; /* MiB/s; 0: takes none */
};
static const struct volume_rule volume_rules[] = {
    {"gp2", 1, 16384, 0, 0, 0, false, 0, 0},
    {"gp3", 1, 65536, 3000, 80000, 500, false, 125, 2000},
    {"io1", 4, 16384, 100, 64000, 50, true, 0, 0},
    {"io2", 4, 65536, 100, 256000, 1000, true, 0, 0},
    {"st1", 125, 16384, 0, 0, 0, false, 0, 0},
    {"sc1", 125, 16384, 0, 0, 0, false, 0, 0},
    {"standard", 1, 1024, 0, 0, 0, false, 0, 0},
};

static const struct volume_rule *rule_of(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(volume_rules); i++) {
        if (strcmp(volume_rules[i].type, type) == 0)
            return &volume_rules[i];
    }
    return NULL;
}

static void device_done(struct device *d)
{
    free(d->name);
    free(d->type);
    free(d->snapshot_id);
    free(d->kms_key_id);
}

void devices_done(struct vec *devices)
{
    struct device *d = devices->items;
    for (size_t i = 0; i < devices->count; i++)
        device_done(&d[i]);
    free(d);
    *devices = (struct vec){0};
}

char *ec2_default_kms_key(const struct world *w)
{
    return mem_printf("arn:aws:kms:%s:%s:key/f1a3be00-0000-4000-8000-00000000eb50", w->region,
                      w->account);
}

/* ---- the rules ----------------------------------------------------------------------------- */

static bool check_iops(struct api_reply *r, const struct device *d, const struct volume_rule *rule)
{
    if (d->iops == 0 && rule->iops_needed) {
        api_fail(r, 400, "MissingParameter", "The request must contain the parameter iops");
        return false;
    }
    if (d->iops == 0)
        return true;
    if (rule->iops_max == 0) {
        api_fail(r, 400, "InvalidParameterCombination",
                 "The parameter iops is not supported for %s volumes.", d->type);
        return false;
    }
    if (d->iops < rule->iops_min || d->iops > rule->iops_max) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Volume iops of %d is out of range; for %s volumes it must be between %d and %d.",
                 d->iops, d->type, rule->iops_min, rule->iops_max);
        return false;
    }
    bool free_share = strcmp(d->type, "gp3") == 0 && d->iops == rule->iops_min;
    if (!free_share && (int64_t)d->iops > (int64_t)rule->iops_per_gb * d->gb) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Iops to volume size ratio of %.1f is too high; maximum is %d.",
                 (double)d->iops / d->gb, rule->iops_per_gb);
        return false;
    }
    return true;
}

static bool check_throughput(struct api_reply *r, const struct device *d,
                             const struct volume_rule *rule)
{
    if (d->throughput == 0)
        return true;
    if (rule->throughput_max == 0) {
        api_fail(r, 400, "InvalidParameterCombination",
                 "The parameter throughput is not supported for %s volumes.", d->type);
        return false;
    }
    if (d->throughput < rule->throughput_min || d->throughput > rule->throughput_max) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Throughput of %d MiB/s is out of range; it must be between %d and %d.",
                 d->throughput, rule->throughput_min, rule->throughput_max);
        return false;
    }
    return true;
}

static void fill_in(struct device *d)
{
    if (strcmp(d->type, "gp2") == 0) {
        int iops = d->gb * 3;
        d->iops = iops < 100 ? 100 : iops > 16000 ? 16000 : iops;
    } else if (strcmp(d->type, "gp3") == 0) {
        d->iops = d->iops ? d->iops : 3000;
        d->throughput = d->throughput ? d->throughput : 125;
    }
}

bool ec2_device_check(struct api_reply *r, struct device *d)
{
    const struct volume_rule *rule = rule_of(d->type);
    if (!rule) {
        api_fail(r, 400, "InvalidParameterValue", "Invalid volume type: %s", d->type);
        return false;
    }
    if (d->gb < rule->gb_min || d->gb > rule->gb_max) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Invalid volume size: %d. %s volumes are between %d and %d GiB.", d->gb, d->type,
                 rule->gb_min, rule->gb_max);
        return false;
    }
    if (d->kms_key_id && !d->encrypted) {
        api_fail(r, 400, "InvalidParameterDependency",
                 "The parameter KmsKeyId requires the parameter Encrypted to be set.");
        return false;
    }
    if (!check_iops(r, d, rule) || !check_throughput(r, d, rule))
        return false;
    fill_in(d);
    return true;
}

/* ---- BlockDeviceMapping.N ------------------------------------------------------------------ */

static void set(char **at, const char *value)
{
    if (!value)
        return;
    free(*at);
    *at = mem_dup(value);
}

static bool read_number(const struct api_request *q, struct api_reply *r, const char *prefix,
                        const char *name, int *out)
{
    AUTO_FREE char *full = mem_printf("%s%s", prefix, name);
    int64_t n;
    if (!ec2_int(q, r, full, 1, INT32_MAX, *out, &n))
        return false;
    *out = (int)n;
    return true;
}

static bool read_flag(const struct api_request *q, struct api_reply *r, const char *prefix,
                      const char *name, bool *out)
{
    AUTO_FREE char *full = mem_printf("%s%s", prefix, name);
    return ec2_bool(q, r, full, *out, out);
}

/* The size of the snapshot, 0 where there is none, -1 where it is unknown. */
static int snapshot_gb(const char *snapshot_id)
{
    for (size_t i = 0; snapshot_id && i < catalog_image_count; i++) {
        if (strcmp(catalog_images[i].snapshot_id, snapshot_id) == 0)
            return catalog_images[i].root_gb;
    }
    return snapshot_id ? -1 : 0;
}

static bool check_size(struct api_reply *r, struct device *d)
{
    int least = snapshot_gb(d->snapshot_id);
    if (least < 0) {
        api_fail(r, 400, "InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.",
                 d->snapshot_id);
        return false;
    }
    if (d->gb == 0 && least == 0) {
        api_fail(r, 400, "MissingParameter",
                 "The request must contain the parameter size or snapshotId");
        return false;
    }
    if (d->gb == 0)
        d->gb = least;
    if (d->gb >= least)
        return true;
    api_fail(r, 400, "InvalidBlockDeviceMapping",
             "Volume of size %dGB is smaller than snapshot '%s', expect size >= %dGB", d->gb,
             d->snapshot_id, least);
    return false;
}

static bool read_ebs(const struct world *w, const struct api_request *q, struct api_reply *r,
                     const char *prefix, struct device *d)
{
    const char *type = paramf(q->params, "%sEbs.VolumeType", prefix);
    if (type && strcmp(type, d->type) != 0)
        d->iops = d->throughput = 0;
    set(&d->type, type);
    set(&d->snapshot_id, paramf(q->params, "%sEbs.SnapshotId", prefix));
    set(&d->kms_key_id, paramf(q->params, "%sEbs.KmsKeyId", prefix));
    if (!read_number(q, r, prefix, "Ebs.VolumeSize", &d->gb) ||
        !read_number(q, r, prefix, "Ebs.Iops", &d->iops) ||
        !read_number(q, r, prefix, "Ebs.Throughput", &d->throughput) ||
        !read_flag(q, r, prefix, "Ebs.Encrypted", &d->encrypted) ||
        !read_flag(q, r, prefix, "Ebs.DeleteOnTermination", &d->delete_on_termination))
        return false;
    if (!check_size(r, d) || !ec2_device_check(r, d))
        return false;
    if (d->encrypted && !d->kms_key_id)
        d->kms_key_id = ec2_default_kms_key(w);
    return true;
}

static struct device *device_named(struct vec *devices, const char *name)
{
    struct device *d = devices->items;
    for (size_t i = 0; i < devices->count; i++) {
        if (strcmp(d[i].name, name) == 0)
            return &d[i];
    }
    return NULL;
}

static bool read_mapping(const struct world *w, const struct api_request *q, struct api_reply *r,
                         const char *prefix, struct strv *seen, struct vec *out)
{
    const char *name = paramf(q->params, "%sDeviceName", prefix);
    if (!name || !*name) {
        api_fail(r, 400, "MissingParameter", "The request must contain the parameter deviceName");
        return false;
    }
    if (strv_has(seen, name)) {
        api_fail(r, 400, "InvalidBlockDeviceMapping",
                 "The device '%s' is used in more than one "
                 "block-device mapping",
                 name);
        return false;
    }
    strv_add(seen, name);
    if (paramf(q->params, "%sVirtualName", prefix) || paramf(q->params, "%sNoDevice", prefix))
        return true; /* instance stores and suppressed devices: nothing to make */
    struct device *d = device_named(out, name);
    if (!d) {
        if (out->count == DEVICES_MAX) {
            api_fail(r, 400, "AttachmentLimitExceeded", "An instance can have at most %d volumes",
                     DEVICES_MAX);
            return false;
        }
        d = vec_push(out, sizeof *d);
        d->name = mem_dup(name);
        d->type = mem_dup("gp2");
        d->delete_on_termination = true;
    }
    return read_ebs(w, q, r, prefix, d);
}

bool ec2_devices_read(const struct world *w, const struct api_request *q, struct api_reply *r,
                      const struct catalog_image *image, struct vec *out)
{
    struct device *root = vec_push(out, sizeof *root);
    root->name = mem_dup(image->root_device);
    root->type = mem_dup(strstr(image->name, "gp3") ? "gp3" : "gp2");
    root->snapshot_id = mem_dup(image->snapshot_id);
    root->gb = image->root_gb;
    root->delete_on_termination = true;
    fill_in(root);
    struct strv seen AUTO_STRV = {0};
    for (int n = 1;; n++) {
        AUTO_FREE char *prefix = mem_printf("BlockDeviceMapping.%d.", n);
        if (!param_any(q->params, prefix))
            return true;
        if (!read_mapping(w, q, r, prefix, &seen, out))
            return false;
    }
}

void ec2_device_copy(const struct device *d, struct world_volume *v)
{
    set(&v->type, d->type);
    set(&v->snapshot_id, d->snapshot_id);
    set(&v->kms_key_id, d->kms_key_id);
    v->gb = d->gb;
    v->iops = d->iops;
    v->throughput = d->throughput;
    v->encrypted = d->encrypted;
    v->delete_on_termination = d->delete_on_termination;
}

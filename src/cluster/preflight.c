/* Preflight: everything that a launch would trip over, looked at before anything is created, side
 * by side, and all of it reported at once. Two rounds: what the file names, then the images. */
#include "base/mem.h"
#include "cluster/preflight_priv.h"
#include <stdlib.h>
#include <string.h>

#define SSM_UBUNTU "/aws/service/canonical/ubuntu/server/24.04/stable/current/%s/hvm/ebs-gp3/ami-id"
#define SSM_GPU \
    "/aws/service/deeplearning/ami/%s/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
#define SSM_RESOLVE "resolve:ssm:" /* EC2's own way to name a parameter as an image */

void problem(struct preflight *p, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct buf text = {0};
    buf_addv(&text, fmt, ap);
    va_end(ap);
    strv_take(&p->problems, buf_take(&text));
    /* The first failure's code stands for all, except that nothing is graver than no permission. */
    if (!p->code || code == ERR_PERMISSION || code == ERR_CREDENTIALS)
        p->code = code;
}

static void failed_call(struct preflight *p, const char *what, const struct err *why)
{
    if (why->code == ERR_CANCELLED || why->code == ERR_CREDENTIALS || why->code == ERR_CLOCK_SKEW ||
        why->code == ERR_UNREACHABLE) {
        p->fatal = *why; /* not a matter of the file: all calls fail alike */
        return;
    }
    problem(p, why->code, "%s: %s", what, why->msg);
}

void cluster_launch_free(struct cluster_launch *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < COUNT_OF(l->roles); i++) {
        free(l->roles[i].image_id);
        free(l->roles[i].root_device);
    }
    free(l);
}

/* ---- images: which parameter names the default one ----------------------------------------- */

static const char *role_key(enum cluster_role r)
{
    return r == ROLE_ORCHESTRATOR ? "orchestrator_ami" : "factory_ami";
}

static const char *role_type_key(enum cluster_role r)
{
    return r == ROLE_ORCHESTRATOR ? "orchestrator_type" : "factories_type";
}

static const char *spec_ami(const struct preflight *p, enum cluster_role r)
{
    return r == ROLE_ORCHESTRATOR ? p->spec->orchestrator_ami : p->spec->factory_ami;
}

static const char *spec_type(const struct preflight *p, enum cluster_role r)
{
    return r == ROLE_ORCHESTRATOR ? p->spec->orchestrator_type : p->spec->factories_type;
}

/* The parameters are asked for before the instance types' architectures are known: all that may be
 * needed go into one call. */
static void list_parameters(struct preflight *p)
{
    for (int r = 0; r < 2; r++) {
        if (!p->needs[r])
            continue;
        const char *ami = spec_ami(p, (enum cluster_role)r);
        if (ami && strncmp(ami, SSM_RESOLVE, strlen(SSM_RESOLVE)) == 0) {
            if (!strv_has(&p->parameters, ami + strlen(SSM_RESOLVE)))
                strv_add(&p->parameters, ami + strlen(SSM_RESOLVE));
        } else if (!ami) {
            p->defaults_needed = true;
        }
    }
    if (!p->defaults_needed)
        return;
    static const char *const formats[] = {SSM_UBUNTU, SSM_UBUNTU, SSM_GPU, SSM_GPU};
    static const char *const arches[] = {"amd64", "arm64", "x86_64", "arm64"};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        struct buf name = {0};
        const char *slot = strstr(formats[i], "%s");
        buf_add(&name, formats[i], (size_t)(slot - formats[i]));
        buf_adds(&name, arches[i]);
        buf_adds(&name, slot + 2);
        strv_take(&p->parameters, buf_take(&name));
    }
}

static const char *parameter_value(const struct preflight *p, const char *name)
{
    for (size_t i = 0; i < p->parameters.count && i < p->values.count; i++)
        if (strcmp(p->parameters.items[i], name) == 0)
            return p->values.items[i];
    return NULL;
}

static const struct ec2_instance_type *type_of(const struct preflight *p, enum cluster_role r)
{
    for (size_t i = 0; i < p->types.count; i++)
        if (strcmp(p->types.items[i].name, spec_type(p, r)) == 0)
            return &p->types.items[i];
    return NULL;
}

char *default_image_parameter(const struct ec2_instance_type *type)
{
    bool arm = type && type->architecture && strcmp(type->architecture, "arm64") == 0;
    /* Only NVIDIA's: the Deep Learning image carries their driver. */
    bool gpu = type && type->gpus > 0 && (!type->gpu_name || !strstr(type->gpu_name, "Radeon"));
    if (gpu)
        return mem_printf(SSM_GPU, arm ? "arm64" : "x86_64");
    return mem_printf(SSM_UBUNTU, arm ? "arm64" : "amd64");
}

static void choose_image(struct preflight *p, enum cluster_role r)
{
    const char *ami = spec_ami(p, r);
    AUTO_FREE char *parameter = NULL;
    if (ami && strncmp(ami, SSM_RESOLVE, strlen(SSM_RESOLVE)) == 0)
        parameter = mem_dup(ami + strlen(SSM_RESOLVE));
    else if (ami)
        p->image[r] = mem_dup(ami);
    else
        parameter = default_image_parameter(type_of(p, r));
    if (!parameter)
        return;
    const char *value = parameter_value(p, parameter);
    if (value && value[0])
        p->image[r] = mem_dup(value);
    else if (!p->parameters_failed)
        problem(p, ERR_NOT_FOUND,
                "%s: %s has no image under the parameter '%s'; give one: '%s: ami-…'", role_key(r),
                aws_region(p->c->aws), parameter, role_key(r));
}

/* ---- instance types ------------------------------------------------------------------------ */

static const char *const known_types[] = {
    "t2.micro",     "t2.small",     "t2.medium",     "t2.large",      "t2.xlarge",
    "t2.2xlarge",   "t3.nano",      "t3.micro",      "t3.small",      "t3.medium",
    "t3.large",     "t3.xlarge",    "t3.2xlarge",    "t3a.micro",     "t3a.small",
    "t3a.medium",   "t3a.large",    "t3a.xlarge",    "t4g.micro",     "t4g.small",
    "t4g.medium",   "t4g.large",    "t4g.xlarge",    "m4.large",      "m4.xlarge",
    "m5.large",     "m5.xlarge",    "m5.2xlarge",    "m5.4xlarge",    "m5.8xlarge",
    "m6i.large",    "m6i.xlarge",   "m6i.2xlarge",   "m6i.4xlarge",   "m7i.large",
    "m7i.xlarge",   "m7i.2xlarge",  "c5.large",      "c5.xlarge",     "c5.2xlarge",
    "c5.4xlarge",   "c5.9xlarge",   "c6i.large",     "c6i.xlarge",    "c6i.2xlarge",
    "c6i.4xlarge",  "c7i.large",    "c7i.xlarge",    "c7i.2xlarge",   "r5.large",
    "r5.xlarge",    "r5.2xlarge",   "r5.4xlarge",    "g4dn.xlarge",   "g4dn.2xlarge",
    "g4dn.4xlarge", "g4dn.8xlarge", "g4dn.12xlarge", "g4dn.16xlarge", "g5.xlarge",
    "g5.2xlarge",   "g5.4xlarge",   "g5.8xlarge",    "g5.12xlarge",   "g5.16xlarge",
    "g5.24xlarge",  "g5.48xlarge",  "g6.xlarge",     "g6.2xlarge",    "g6.4xlarge",
    "g6.12xlarge",  "g6e.xlarge",   "g6e.2xlarge",   "p2.xlarge",     "p2.8xlarge",
    "p2.16xlarge",  "p3.2xlarge",   "p3.8xlarge",    "p3.16xlarge",   "p3dn.24xlarge",
    "p4d.24xlarge", "p5.48xlarge",
};

static void no_such_type(struct preflight *p, enum cluster_role r)
{
    const char *type = spec_type(p, r);
    const char *near = str_nearest(type, known_types, COUNT_OF(known_types));
    if (near && strcmp(near, type) != 0)
        problem(p, ERR_NOT_FOUND, "%s: there is no instance type '%s'; did you mean '%s'?",
                role_type_key(r), type, near);
    else
        problem(p, ERR_NOT_FOUND, "%s: %s does not offer the instance type '%s'", role_type_key(r),
                aws_region(p->c->aws), type);
}

static void check_types(struct preflight *p, int rc, const struct err *why)
{
    if (rc == -1 && why->code != ERR_NOT_FOUND) {
        failed_call(p, "instance types", why);
        return;
    }
    for (int r = 0; r < 2; r++) {
        enum cluster_role role = (enum cluster_role)r;
        if (!p->needs[r])
            continue;
        if (r && p->needs[0] && strcmp(spec_type(p, 0), spec_type(p, 1)) == 0)
            continue; /* said already */
        /* One bad name fails the call for both; EC2's message names the bad one. */
        bool bad = rc == -1 ? strstr(why->msg, spec_type(p, role)) != NULL : !type_of(p, role);
        if (bad)
            no_such_type(p, role);
    }
    if (rc == -1 && !p->problems.count)
        problem(p, ERR_NOT_FOUND, "instance types: %s", why->msg);
}

/* ---- images -------------------------------------------------------------------------------- */

static const struct ec2_image *find_image(const struct ec2_images *l, const char *id)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].id, id) == 0)
            return &l->items[i];
    return NULL;
}

static void check_image(struct preflight *p, enum cluster_role r, const struct ec2_images *found,
                        struct cluster_launch *launch)
{
    const struct ec2_image *image = find_image(found, p->image[r]);
    if (!image) {
        image_not_here(p, role_key(r), p->image[r]);
        return;
    }
    const struct ec2_instance_type *type = type_of(p, r);
    if (image->state && strcmp(image->state, "available") != 0)
        problem(p, ERR_REJECTED, "%s: the image '%s' is '%s', not available", role_key(r),
                image->id, image->state);
    if (type && type->architecture && image->architecture &&
        strcmp(type->architecture, image->architecture) != 0)
        problem(p, ERR_REJECTED, "%s: the image '%s' is for %s, but %s '%s' is %s", role_key(r),
                image->id, image->architecture, role_type_key(r), type->name, type->architecture);
    if (image->root_gb > p->spec->volume_size)
        problem(p, ERR_REJECTED,
                "volume_size: the image '%s' of %s needs at least %d GiB, the file says %d",
                image->id, role_key(r), image->root_gb, p->spec->volume_size);
    launch->roles[r].image_id = mem_dup(image->id);
    launch->roles[r].root_device = mem_dup(image->root_device ? image->root_device : "/dev/sda1");
}

static void ask_images(struct preflight *p, struct cluster_launch *launch)
{
    const char *ids[2];
    size_t n = 0;
    for (int r = 0; r < 2; r++)
        if (p->needs[r] && p->image[r] && !(n && strcmp(ids[0], p->image[r]) == 0))
            ids[n++] = p->image[r];
    if (!n)
        return;
    CLEANUP(ec2_images_done) struct ec2_images found = {0};
    struct err why = {0};
    if (ec2_describe_images_end(ec2_describe_images(p->c->aws, ids, n), &found, &why) == -1 &&
        why.code != ERR_NOT_FOUND) {
        failed_call(p, "images", &why);
        return;
    }
    bool all_unknown = why.code == ERR_NOT_FOUND;
    for (int r = 0; r < 2; r++) {
        if (!p->needs[r] || !p->image[r])
            continue;
        /* One bad id fails the call for both; EC2's message names the bad one. */
        if (all_unknown && n == 2 && !strstr(why.msg, p->image[r]))
            continue;
        check_image(p, (enum cluster_role)r, &found, launch);
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void ask_first_round(struct preflight *p)
{
    const struct cluster_spec *s = p->spec;
    struct aws *aws = p->c->aws;
    const char *types[2];
    size_t n = 0;
    for (int r = 0; r < 2; r++) {
        const char *t = spec_type(p, (enum cluster_role)r);
        if (p->needs[r] && !(n && strcmp(types[0], t) == 0))
            types[n++] = t;
    }
    list_parameters(p);
    struct aws_call *keys =
        ec2_describe_key_pairs(aws, (struct ec2_filter[]){EC2_FILTER("key-name", s->key_name)}, 1);
    struct aws_call *subnets =
        ec2_describe_subnets(aws, (struct ec2_filter[]){EC2_FILTER("subnet-id", s->subnet_id)}, 1);
    struct aws_call *groups = ec2_describe_security_groups(
        aws, (struct ec2_filter[]){EC2_FILTER("group-id", s->security_group)}, 1);
    struct aws_call *kinds = ec2_describe_instance_types(aws, types, n);
    struct aws_call *parameters =
        p->parameters.count
            ? ssm_get_parameters(aws, (const char *const *)p->parameters.items, p->parameters.count)
            : NULL;
    struct err why[5] = {0};
    int key_rc = ec2_describe_key_pairs_end(keys, &p->keys, &why[0]);
    int subnet_rc = ec2_describe_subnets_end(subnets, &p->subnets, &why[1]);
    int group_rc = ec2_describe_security_groups_end(groups, &p->groups, &why[2]);
    int type_rc = ec2_describe_instance_types_end(kinds, &p->types, &why[3]);
    int parameter_rc = parameters ? ssm_get_parameters_end(parameters, &p->values, &why[4]) : 0;
    if (key_rc == -1 && why[0].code != ERR_NOT_FOUND)
        failed_call(p, "key_name", &why[0]);
    else
        check_key_pair(p);
    if (subnet_rc == -1 && why[1].code != ERR_NOT_FOUND)
        failed_call(p, "subnet_id", &why[1]);
    else
        check_subnet(p);
    if (group_rc == -1 && why[2].code != ERR_NOT_FOUND)
        failed_call(p, "security_group", &why[2]);
    else
        check_group(p);
    check_types(p, type_rc, &why[3]);
    p->parameters_failed = parameter_rc == -1;
    if (parameter_rc == -1)
        failed_call(p, "the default images' parameters", &why[4]);
}

static void preflight_done(struct preflight *p)
{
    ec2_key_pairs_done(&p->keys);
    ec2_subnets_done(&p->subnets);
    ec2_security_groups_done(&p->groups);
    ec2_instance_types_done(&p->types);
    strv_done(&p->parameters);
    strv_done(&p->values);
    strv_done(&p->problems);
    free(p->image[0]);
    free(p->image[1]);
}

int cluster_preflight(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
                      const struct ssh_identity *identity, struct cluster_launch **launch,
                      struct strv *problems, struct err *err)
{
    CLEANUP(preflight_done) struct preflight p = {.c = c, .spec = spec, .identity = identity};
    struct cluster_launch *l = mem_alloc(sizeof *l);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].verb == PLAN_CREATE)
            p.needs[plan->steps[i].role]++;
    if (!p.needs[0] && !p.needs[1]) {
        *launch = l;
        return 0;
    }
    step(c, "looking at the key pair, the network, the instance types and the images");
    ask_first_round(&p);
    for (int r = 0; r < 2 && !p.fatal.code; r++)
        if (p.needs[r])
            choose_image(&p, (enum cluster_role)r);
    if (!p.fatal.code)
        ask_images(&p, l);
    if (!p.fatal.code && !p.problems.count) {
        *launch = l;
        return 0;
    }
    cluster_launch_free(l);
    if (p.fatal.code)
        return err_copy(err, &p.fatal);
    size_t n = p.problems.count;
    strv_copy(problems, &p.problems);
    return err_set(err, p.code, "nothing was created: the launch would fail for %zu reason%s", n,
                   n == 1 ? "" : "s");
}

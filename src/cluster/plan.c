/* Plan: from what the file asks for and what EC2 has to what is to be done. Pure: it asks nobody.
 *
 * Machines that run are never replaced: where one differs from the file, the difference is named.
 * What counts is how many factories there are, as in the original: with factories 1 and 3 alive
 * and two asked for, nothing is missing. New ones take the lowest free numbers. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <stdlib.h>
#include <string.h>

static void plan_add(struct plan *p, struct plan_step s)
{
    MEM_PUSH_ROOM(p->steps, p->count, p->cap);
    p->steps[p->count++] = s;
}

static bool alive(const struct cluster_host *h)
{
    return h->state != EC2_SHUTTING_DOWN && h->state != EC2_TERMINATED;
}

static void differ(struct plan *p, const char *key, const char *wanted,
                   const struct cluster_host *h, const char *actual)
{
    if (!wanted || !actual || strcmp(wanted, actual) == 0)
        return;
    const char *who = h->role == ROLE_ORCHESTRATOR ? "orchestrator" : strstr(h->name, "factory_");
    strv_take(&p->differences, mem_printf("%s: the file says %s, %s is %s", key, wanted,
                                          who ? who : h->name, actual));
}

static void compare(struct plan *p, const struct cluster_spec *spec, const struct cluster_host *h)
{
    bool first = h->role == ROLE_ORCHESTRATOR;
    if (spec->kind == CLUSTER_SSH)
        return;
    differ(p, first ? "orchestrator_type" : "factories_type",
           first ? spec->orchestrator_type : spec->factories_type, h, h->type);
    const char *ami = first ? spec->orchestrator_ami : spec->factory_ami;
    if (ami && strncmp(ami, "ami-", 4) == 0)
        differ(p, first ? "orchestrator_ami" : "factory_ami", ami, h, h->image_id);
    differ(p, "subnet_id", spec->subnet_id, h, h->subnet_id);
    differ(p, "key_name", spec->key_name, h, h->key_name);
}

static void keep(struct plan *p, const struct cluster_spec *spec, const struct cluster_host *h)
{
    enum plan_verb verb = h->state == EC2_STOPPED    ? PLAN_START
                          : h->state == EC2_STOPPING ? PLAN_WAIT
                                                     : PLAN_KEEP;
    plan_add(p, (struct plan_step){.verb = verb,
                                   .role = h->role,
                                   .index = h->index,
                                   .instance_id = mem_dup(h->instance_id),
                                   .type = mem_dup(h->type)});
    p->alive++;
    compare(p, spec, h);
}

static void launched_text(const struct cluster_host *h, char out[CLOCK_ISO_SIZE])
{
    if (h->launched)
        clock_iso(h->launched, out);
    else
        out[0] = '?', out[1] = '\0';
}

static int two_orchestrators(const struct cluster_spec *spec, const struct cluster_host *a,
                             const struct cluster_host *b, const char *region, struct err *err)
{
    char when_a[CLOCK_ISO_SIZE], when_b[CLOCK_ISO_SIZE];
    launched_text(a, when_a);
    launched_text(b, when_b);
    return err_set(
        err, ERR_CONFLICT,
        "two orchestrators claim the cluster '%s': %s (launched %s) and %s (launched %s); "
        "terminate the one that is not wanted with 'aws ec2 terminate-instances --region "
        "%s --instance-ids %s', or remove the whole cluster with 'flambe down %s'",
        spec->name, a->instance_id, when_a, b->instance_id, when_b, region, b->instance_id,
        spec->name);
}

static bool has_number(const struct cluster_hosts *hosts, int number)
{
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        if (h->role == ROLE_FACTORY && h->index == number && alive(h))
            return true;
    }
    return false;
}

static void create(struct plan *p, enum cluster_role role, int index, const char *type)
{
    plan_add(p, (struct plan_step){
                    .verb = PLAN_CREATE, .role = role, .index = index, .type = mem_dup(type)});
    p->missing++;
}

static int compare_steps(const void *pa, const void *pb)
{
    const struct plan_step *a = pa, *b = pb;
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

int plan_make(const struct cluster_spec *spec, const struct cluster_hosts *actual,
              const char *region, struct plan *out, struct err *err)
{
    const struct cluster_host *orchestrator = NULL;
    for (size_t i = 0; i < actual->count; i++) {
        const struct cluster_host *h = &actual->items[i];
        if (h->role != ROLE_ORCHESTRATOR || !alive(h))
            continue;
        if (orchestrator)
            return two_orchestrators(spec, orchestrator, h, region, err);
        orchestrator = h;
    }
    struct plan p = {
        .cluster = mem_dup(spec->name),
        .creator = mem_dup(spec->creator),
        .region = mem_dup(region),
        .usd_per_hour = -1,
    };
    hosts_copy(&p.actual, actual);
    if (orchestrator)
        keep(&p, spec, orchestrator);
    else
        create(&p, ROLE_ORCHESTRATOR, 0, spec->orchestrator_type);
    size_t factories = 0;
    for (size_t i = 0; i < actual->count; i++) {
        if (actual->items[i].role != ROLE_FACTORY || !alive(&actual->items[i]))
            continue;
        keep(&p, spec, &actual->items[i]);
        factories++;
    }
    size_t wanted = (size_t)(spec->factories_num > 0 ? spec->factories_num : 0);
    if (factories > wanted)
        p.extra = factories - wanted;
    for (int number = 1; factories < wanted; number++) {
        if (has_number(actual, number))
            continue;
        create(&p, ROLE_FACTORY, number, spec->factories_type);
        factories++;
    }
    qsort(p.steps, p.count, sizeof *p.steps, compare_steps);
    *out = p;
    return 0;
}

bool plan_is_empty(const struct plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->steps[i].verb != PLAN_KEEP)
            return false;
    return true;
}

void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->steps[i].instance_id);
        free(p->steps[i].type);
    }
    free(p->steps);
    free(p->cluster);
    free(p->creator);
    free(p->region);
    strv_done(&p->differences);
    cluster_hosts_done(&p->actual);
    *p = (struct plan){0};
}

/* A plan as text for people and as JSON. */
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <string.h>

#define DIFFERENCES_SHOWN 8

static const char *verb_name(enum plan_verb v)
{
    static const char *const names[] = {
        [PLAN_KEEP] = "keep",
        [PLAN_CREATE] = "create",
        [PLAN_START] = "start",
        [PLAN_WAIT] = "wait",
    };
    return names[v];
}

/* Whether step b goes on where step a ends, so that both fit in one line. */
static bool continues(const struct plan_step *a, const struct plan_step *b)
{
    return a->verb == b->verb && a->role == ROLE_FACTORY && b->role == ROLE_FACTORY &&
           b->index == a->index + 1 && a->type && b->type && strcmp(a->type, b->type) == 0;
}

/* Of machines that exist already. */
static void add_machines(const struct plan *p, struct buf *out)
{
    buf_addf(out, "cluster '%s' of '%s': %zu %s already; nothing is launched\n", p->cluster,
             p->creator, p->count, p->count == 1 ? "machine that exists" : "machines that exist");
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        const struct cluster_host *h = hosts_find(&p->actual, s->instance_id);
        AUTO_FREE char *name = host_name(p->cluster, s->role, s->index);
        buf_addf(out, "  use     %s  %s", name, h ? h->public_ip : "?");
        if (h && strcmp(h->public_ip, h->private_ip) != 0)
            buf_addf(out, " (%s to the others)", h->private_ip);
        buf_addc(out, '\n');
    }
}

static void add_steps(const struct plan *p, struct buf *out)
{
    for (size_t i = 0, end; i < p->count; i = end) {
        const struct plan_step *s = &p->steps[i];
        for (end = i + 1; end < p->count && continues(&p->steps[end - 1], &p->steps[end]);)
            end++;
        AUTO_FREE char *name = host_name(p->cluster, s->role, s->index);
        buf_addf(out, "  %-7s %s", verb_name(s->verb), name);
        if (end - i > 1) {
            AUTO_FREE char *last = host_name(p->cluster, s->role, p->steps[end - 1].index);
            buf_addf(out, " … %s", last);
        }
        buf_addf(out, "  %s", s->type ? s->type : "?");
        if (end - i > 1)
            buf_addf(out, " x %zu", end - i);
        else if (s->instance_id)
            buf_addf(out, "  %s", s->instance_id);
        buf_addc(out, '\n');
    }
}

void plan_text(const struct plan *p, struct buf *out)
{
    if (strcmp(p->region, CLUSTER_REGION_SSH) == 0) {
        add_machines(p, out);
        return;
    }
    buf_addf(out, "cluster '%s' of '%s' in %s: %zu alive, %zu missing", p->cluster, p->creator,
             p->region, p->alive, p->missing);
    if (p->extra)
        buf_addf(out, ", %zu more than the file asks for (kept)", p->extra);
    if (p->differences.count)
        buf_addf(out, ", %zu %s", p->differences.count,
                 p->differences.count == 1 ? "difference" : "differences");
    buf_addc(out, '\n');
    add_steps(p, out);
    for (size_t i = 0; i < p->differences.count && i < DIFFERENCES_SHOWN; i++)
        buf_addf(out, "  differs %s (kept as it is)\n", p->differences.items[i]);
    if (p->differences.count > DIFFERENCES_SHOWN)
        buf_addf(out, "  differs … and %zu more\n", p->differences.count - DIFFERENCES_SHOWN);
    if (p->usd_per_hour >= 0)
        buf_addf(out, "  about $%.2f an hour for the machines, until 'flambe down %s'\n",
                 p->usd_per_hour, p->cluster);
}

json_t *plan_json(const struct plan *p)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        AUTO_FREE char *name = host_name(p->cluster, s->role, s->index);
        json_array_append_new(steps,
                              json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "action", verb_name(s->verb),
                                        "name", name, "role", cluster_role_name(s->role), "type",
                                        s->type, "instance_id", s->instance_id));
    }
    json_t *differences = json_array();
    for (size_t i = 0; i < p->differences.count; i++)
        json_array_append_new(differences, json_string(p->differences.items[i]));
    json_t *price = p->usd_per_hour >= 0 ? json_rounded(p->usd_per_hour) : json_null();
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "cluster", p->cluster,
                     "creator", p->creator, "region", p->region, "alive", (json_int_t)p->alive,
                     "missing", (json_int_t)p->missing, "extra", (json_int_t)p->extra, "steps",
                     steps, "differences", differences, "usd_per_hour", price);
}

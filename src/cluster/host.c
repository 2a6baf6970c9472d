/* Hosts: their names, their numbers and their phases.
 *
 * A call to RunInstances gives all its instances the same tags, and tagging them one by one
 * afterwards would leave machines without a name where flambe dies in between. So factories that
 * are launched together share the Name tag "mine_factory_1-20", and each one's number is the first
 * plus its launch index, which DescribeInstances returns for good. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <stdlib.h>
#include <string.h>

#define FACTORY_NUMBER_MAX 1000000

const char *cluster_role_name(enum cluster_role r)
{
    return r == ROLE_ORCHESTRATOR ? "Orchestrator" : "Factory";
}

const char *host_phase_name(enum host_phase p)
{
    static const char *const names[] = {
        [HOST_PLANNED] = "planned",   [HOST_LAUNCHING] = "launching",
        [HOST_PENDING] = "pending",   [HOST_RUNNING] = "running",
        [HOST_BOOTING] = "booting",   [HOST_FIRST_CONTACT] = "first contact",
        [HOST_SETTING_UP] = "set-up", [HOST_READY] = "ready",
        [HOST_FAILED] = "failed",     [HOST_STOPPED] = "stopped",
        [HOST_GOING] = "going",       [HOST_GONE] = "gone",
    };
    return (size_t)p < COUNT_OF(names) ? names[p] : "unknown";
}

char *host_name(const char *cluster, enum cluster_role role, int index)
{
    if (role == ROLE_ORCHESTRATOR)
        return mem_printf("%s_orchestrator", cluster);
    return mem_printf("%s_factory_%d", cluster, index);
}

char *host_batch_name(const char *cluster, int first, int last)
{
    if (first == last)
        return host_name(cluster, ROLE_FACTORY, first);
    return mem_printf("%s_factory_%d-%d", cluster, first, last);
}

bool host_batch_parse(struct str name, const char *cluster, int *first, int *last)
{
    AUTO_FREE char *prefix = mem_printf("%s_factory_", cluster);
    if (!str_starts(name, prefix))
        return false;
    struct str rest = {name.p + strlen(prefix), name.n - strlen(prefix)};
    struct str low = str_cut(&rest, '-');
    int64_t a, b;
    if (!str_to_i64(low, 1, FACTORY_NUMBER_MAX, &a))
        return false;
    b = a;
    if (rest.p && !str_to_i64(rest, a, FACTORY_NUMBER_MAX, &b))
        return false;
    *first = (int)a;
    *last = (int)b;
    return true;
}

void host_done(struct cluster_host *h)
{
    free(h->name);
    free(h->instance_id);
    free(h->type);
    free(h->zone);
    free(h->public_ip);
    free(h->private_ip);
    free(h->image_id);
    free(h->subnet_id);
    free(h->key_name);
    free(h->note);
    *h = (struct cluster_host){0};
}

void cluster_hosts_done(struct cluster_hosts *h)
{
    for (size_t i = 0; i < h->count; i++)
        host_done(&h->items[i]);
    free(h->items);
    *h = (struct cluster_hosts){0};
}

struct cluster_host *hosts_push(struct cluster_hosts *h)
{
    MEM_PUSH_ROOM(h->items, h->count, h->cap);
    h->items[h->count] = (struct cluster_host){0};
    return &h->items[h->count++];
}

void hosts_copy(struct cluster_hosts *to, const struct cluster_hosts *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct cluster_host *h = hosts_push(to);
        *h = from->items[i];
        h->name = mem_dup(h->name);
        h->instance_id = mem_dup(h->instance_id);
        h->type = mem_dup(h->type);
        h->zone = mem_dup(h->zone);
        h->public_ip = mem_dup(h->public_ip);
        h->private_ip = mem_dup(h->private_ip);
        h->image_id = mem_dup(h->image_id);
        h->subnet_id = mem_dup(h->subnet_id);
        h->key_name = mem_dup(h->key_name);
        h->note = mem_dup(h->note);
    }
}

struct cluster_host *hosts_find(const struct cluster_hosts *h, const char *instance_id)
{
    for (size_t i = 0; i < h->count; i++) {
        const char *id = h->items[i].instance_id;
        if (id && strcmp(id, instance_id) == 0)
            return &h->items[i];
    }
    return NULL;
}

static int compare_hosts(const void *pa, const void *pb)
{
    const struct cluster_host *a = pa, *b = pb;
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    if (a->launched != b->launched)
        return a->launched < b->launched ? -1 : 1;
    return strcmp(a->instance_id ? a->instance_id : "", b->instance_id ? b->instance_id : "");
}

void hosts_sort(struct cluster_hosts *h)
{
    if (h->count > 1)
        qsort(h->items, h->count, sizeof *h->items, compare_hosts);
}

static void replace(char **field, const char *value)
{
    if (!value || (*field && strcmp(*field, value) == 0))
        return;
    free(*field);
    *field = mem_dup(value);
}

void host_update(struct cluster_host *h, const struct ec2_instance *i)
{
    replace(&h->instance_id, i->id);
    replace(&h->type, i->type);
    replace(&h->zone, i->zone);
    replace(&h->public_ip, i->public_ip && i->public_ip[0] ? i->public_ip : NULL);
    replace(&h->private_ip, i->private_ip && i->private_ip[0] ? i->private_ip : NULL);
    replace(&h->image_id, i->image_id);
    replace(&h->subnet_id, i->subnet_id);
    replace(&h->key_name, i->key_name);
    h->state = i->state;
    if (i->launched)
        h->launched = i->launched;
}

enum host_phase host_phase_of_state(enum ec2_state s)
{
    switch (s) {
    case EC2_PENDING:
        return HOST_PENDING;
    case EC2_RUNNING:
        return HOST_RUNNING;
    case EC2_STOPPING:
    case EC2_STOPPED:
        return HOST_STOPPED;
    case EC2_SHUTTING_DOWN:
        return HOST_GOING;
    case EC2_TERMINATED:
        return HOST_GONE;
    case EC2_STATE_UNKNOWN:
        break;
    }
    return HOST_PENDING;
}

/* The number that the tags and the launch index give; 0 where they give none. */
static int number_of(const char *cluster, const struct ec2_instance *i)
{
    const char *tag = ec2_tag_value(i->tags, i->tag_count, TAG_NAME);
    int first, last;
    if (!tag || !host_batch_parse(str_of(tag), cluster, &first, &last))
        return 0;
    int number = first + (i->launch_index > 0 ? i->launch_index : 0);
    return number <= last ? number : last;
}

static bool going(const struct cluster_host *h)
{
    return h->state == EC2_SHUTTING_DOWN || h->state == EC2_TERMINATED;
}

static bool number_taken(const struct cluster_hosts *h, int number)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct cluster_host *x = &h->items[i];
        if (x->role == ROLE_FACTORY && x->index == number && !going(x))
            return true;
    }
    return false;
}

/* Two factories of one number (somebody edited tags, two laptops launched, or an EC2 that knows no
 * launch index): the earlier keeps it, the others get the next free ones. */
static void settle_numbers(struct cluster_hosts *h)
{
    for (size_t i = 0; i < h->count; i++) {
        struct cluster_host *x = &h->items[i];
        if (x->role != ROLE_FACTORY || going(x))
            continue;
        int number = x->index;
        x->index = 0;
        if (number < 1)
            number = 1;
        while (number_taken(h, number))
            number++;
        x->index = number;
    }
}

void hosts_from_instances(const char *cluster, const struct ec2_instances *found,
                          struct cluster_hosts *out)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct ec2_instance *in = &found->items[i];
        struct cluster_host *h = hosts_push(out);
        const char *role = ec2_tag_value(in->tags, in->tag_count, TAG_ROLE);
        h->role = role && strcmp(role, "Orchestrator") == 0 ? ROLE_ORCHESTRATOR : ROLE_FACTORY;
        h->index = h->role == ROLE_FACTORY ? number_of(cluster, in) : 0;
        host_update(h, in);
        h->phase = host_phase_of_state(in->state);
        if (in->state_reason && going(h))
            h->note = mem_dup(in->state_reason);
    }
    hosts_sort(out);
    settle_numbers(out);
    hosts_sort(out);
    for (size_t i = 0; i < out->count; i++) {
        free(out->items[i].name);
        out->items[i].name = host_name(cluster, out->items[i].role, out->items[i].index);
    }
}

void host_set_phase(struct cluster *c, struct cluster_hosts *hosts, size_t index,
                    enum host_phase phase, const char *note)
{
    struct cluster_host *h = &hosts->items[index];
    bool same_note = note ? h->note && strcmp(h->note, note) == 0 : !h->note;
    if (h->phase == phase && same_note)
        return;
    if (h->phase != phase)
        h->phase_since = clock_mono(loop_clock(c->loop));
    h->phase = phase;
    char *copy = mem_dup(note); /* the note may be the host's own */
    free(h->note);
    h->note = copy;
    if (c->watch.host)
        c->watch.host(c->watch.ctx, hosts, index);
}

void step(struct cluster *c, const char *fmt, ...)
{
    if (!c->watch.step)
        return;
    va_list ap;
    va_start(ap, fmt);
    AUTO_BUF struct buf text = {0};
    buf_addv(&text, fmt, ap);
    va_end(ap);
    c->watch.step(c->watch.ctx, buf_text(&text));
}

void warn_user(struct cluster *c, const char *fmt, ...)
{
    if (!c->watch.warn)
        return;
    va_list ap;
    va_start(ap, fmt);
    AUTO_BUF struct buf text = {0};
    buf_addv(&text, fmt, ap);
    va_end(ap);
    c->watch.warn(c->watch.ctx, buf_text(&text));
}

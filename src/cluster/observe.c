/* Observe: what EC2 has of a cluster, in one call. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <stdlib.h>
#include <string.h>

char *filter_escape(const char *s)
{
    struct buf out = {0};
    for (; *s; s++) {
        if (*s == '*' || *s == '?' || *s == '\\')
            buf_addc(&out, '\\');
        buf_addc(&out, *s);
    }
    return buf_take(&out);
}

#define STATES_ALIVE "pending", "running", "shutting-down", "stopping", "stopped"

struct aws_call *observe_start(struct cluster *c, const char *creator, const char *name,
                               bool with_terminated)
{
    AUTO_FREE char *creator_value = filter_escape(creator ? creator : "");
    AUTO_FREE char *name_value = filter_escape(name ? name : "");
    /* Each made in this block: what EC2_FILTER makes lives no longer than the statement of an `if`.
     */
    const struct ec2_filter purpose = EC2_FILTER("tag:" TAG_PURPOSE, TAG_PURPOSE_VALUE),
                            by_creator = EC2_FILTER("tag:" TAG_CREATOR, creator_value),
                            by_name = EC2_FILTER("tag:" TAG_CLUSTER, name_value),
                            alive = EC2_FILTER("instance-state-name", STATES_ALIVE);
    struct ec2_filter filters[4] = {purpose};
    size_t n = 1;
    if (creator)
        filters[n++] = by_creator;
    if (name)
        filters[n++] = by_name;
    if (!with_terminated)
        filters[n++] = alive;
    return ec2_describe_instances(c->aws, filters, n);
}

#define RECENT_LOOK (300 * USEC_PER_MSEC)

/* One look is enough, unless this laptop launched something a moment ago that does not show yet. */
static int describe(struct cluster *c, const char *creator, const char *name,
                    struct ec2_instances *found, struct err *err)
{
    for (;;) {
        AUTO_STRV struct strv recent = {0};
        recent_list(c, creator, name, &recent);
        struct aws_call *call = observe_start(c, creator, name, recent.count > 0);
        if (ec2_describe_instances_end(call, found, err) == -1)
            return -1;
        if (recent_all_seen(&recent, found))
            return 0;
        ec2_instances_done(found);
        if (loop_pause(c->loop, RECENT_LOOK, err) == -1)
            return -1;
    }
}

static void leave_out_terminated(struct cluster_hosts *h)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++) {
        if (h->items[i].state == EC2_TERMINATED)
            host_done(&h->items[i]);
        else
            h->items[kept++] = h->items[i];
    }
    h->count = kept;
}

int cluster_observe(struct cluster *c, const char *creator, const char *name,
                    struct cluster_hosts *out, struct err *err)
{
    state_stamp(c, creator, name, c->seen);
    if (!c->aws)
        return observe_machines(c, creator, name, out, err);
    CLEANUP(ec2_instances_done) struct ec2_instances found = {0};
    if (describe(c, creator, name, &found, err) == -1)
        return -1;
    *out = (struct cluster_hosts){0};
    hosts_from_instances(name, &found, out);
    leave_out_terminated(out);
    return 0;
}

static int compare_instances(const void *pa, const void *pb)
{
    const struct ec2_instance *a = pa, *b = pb;
    const char *keys[] = {TAG_CLUSTER, TAG_CREATOR};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const char *x = ec2_tag_value(a->tags, a->tag_count, keys[i]);
        const char *y = ec2_tag_value(b->tags, b->tag_count, keys[i]);
        int order = strcmp(x ? x : "", y ? y : "");
        if (order)
            return order;
    }
    return 0;
}

static bool same_cluster(const struct ec2_instance *a, const struct ec2_instance *b)
{
    return compare_instances(a, b) == 0;
}

static void summary_done(struct cluster_summary *s)
{
    free(s->name);
    free(s->creator);
    cluster_hosts_done(&s->hosts);
}

void cluster_list_done(struct cluster_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        summary_done(&l->items[i]);
    free(l->items);
    *l = (struct cluster_list){0};
}

int cluster_observe_all(struct cluster *c, const char *creator, struct cluster_list *out,
                        struct err *err)
{
    CLEANUP(ec2_instances_done) struct ec2_instances found = {0};
    if (ec2_describe_instances_end(observe_start(c, creator, NULL, false), &found, err) == -1)
        return -1;
    if (found.count > 1)
        qsort(found.items, found.count, sizeof *found.items, compare_instances);
    *out = (struct cluster_list){0};
    for (size_t i = 0, end; i < found.count; i = end) {
        const struct ec2_instance *first = &found.items[i];
        for (end = i + 1; end < found.count && same_cluster(first, &found.items[end]);)
            end++;
        const char *name = ec2_tag_value(first->tags, first->tag_count, TAG_CLUSTER);
        if (!name)
            continue; /* tagged by somebody else with our Purpose: not a cluster */
        MEM_PUSH_ROOM(out->items, out->count, out->cap);
        struct cluster_summary *s = &out->items[out->count++];
        *s = (struct cluster_summary){
            .name = mem_dup(name),
            .creator = mem_dup(ec2_tag_value(first->tags, first->tag_count, TAG_CREATOR)),
        };
        struct ec2_instances part = {.items = &found.items[i], .count = end - i};
        hosts_from_instances(name, &part, &s->hosts);
    }
    return 0;
}

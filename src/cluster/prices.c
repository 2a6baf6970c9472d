/* What a cluster costs an hour: on-demand list prices of its machines, without volumes and traffic.
 *
 * From the cache (PRICES_FRESH old at most), else from AWS's price list, for which nobody waits
 * longer than PRICES_WITHIN, else from the table here. An endpoint of one's own (the sandbox) is
 * not asked: it has no prices to know. Best effort throughout: no failure is reported. */
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define PRICES_FRESH (7 * 24 * USEC_PER_HOUR)
#define PRICES_WITHIN USEC_PER_SEC
#define PRICES_BYTES_MAX ((size_t)1 << 20)
#define TYPES_MAX 16

/* us-east-1, Linux, on demand, from AWS's public price pages (2024). Within a few per cent in most
 * regions; the plan says "about". */
static const struct {
    const char *type;
    double usd;
} list_prices[] = {
    {"t2.micro", 0.0116},      {"t2.small", 0.023},     {"t2.medium", 0.0464},
    {"t2.large", 0.0928},      {"t2.xlarge", 0.1856},   {"t2.2xlarge", 0.3712},
    {"t3.nano", 0.0052},       {"t3.micro", 0.0104},    {"t3.small", 0.0208},
    {"t3.medium", 0.0416},     {"t3.large", 0.0832},    {"t3.xlarge", 0.1664},
    {"t3.2xlarge", 0.3328},    {"t4g.micro", 0.0084},   {"t4g.small", 0.0168},
    {"t4g.medium", 0.0336},    {"t4g.large", 0.0672},   {"m5.large", 0.096},
    {"m5.xlarge", 0.192},      {"m5.2xlarge", 0.384},   {"m5.4xlarge", 0.768},
    {"m6i.large", 0.096},      {"m6i.xlarge", 0.192},   {"m6i.2xlarge", 0.384},
    {"m7i.large", 0.1008},     {"m7i.xlarge", 0.2016},  {"c5.large", 0.085},
    {"c5.xlarge", 0.17},       {"c5.2xlarge", 0.34},    {"c5.4xlarge", 0.68},
    {"c6i.large", 0.085},      {"c6i.xlarge", 0.17},    {"r5.large", 0.126},
    {"r5.xlarge", 0.252},      {"g4dn.xlarge", 0.526},  {"g4dn.2xlarge", 0.752},
    {"g4dn.4xlarge", 1.204},   {"g4dn.8xlarge", 2.176}, {"g4dn.12xlarge", 3.912},
    {"g4dn.16xlarge", 4.352},  {"g5.xlarge", 1.006},    {"g5.2xlarge", 1.212},
    {"g5.4xlarge", 1.624},     {"g5.8xlarge", 2.448},   {"g5.12xlarge", 5.672},
    {"g5.16xlarge", 4.096},    {"g5.24xlarge", 8.144},  {"g5.48xlarge", 16.288},
    {"g6.xlarge", 0.8048},     {"g6.2xlarge", 0.9776},  {"p2.xlarge", 0.9},
    {"p2.8xlarge", 7.2},       {"p2.16xlarge", 14.4},   {"p3.2xlarge", 3.06},
    {"p3.8xlarge", 12.24},     {"p3.16xlarge", 24.48},  {"p3dn.24xlarge", 31.212},
    {"p4d.24xlarge", 32.7726},
};

double price_listed(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(list_prices); i++)
        if (strcmp(list_prices[i].type, type) == 0)
            return list_prices[i].usd;
    return -1;
}

struct prices {
    struct cluster *c;
    char *path;    /* NULL without a cache directory */
    json_t *cache; /* "REGION/TYPE" → {"usd": 0.1, "at": seconds} */
    const char *types[TYPES_MAX];
    double usd[TYPES_MAX];
    size_t count;
};

static void list_types(struct prices *p, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const char *type = plan->steps[i].type;
        size_t k = 0;
        while (k < p->count && type && strcmp(p->types[k], type) != 0)
            k++;
        if (type && k == p->count && p->count < TYPES_MAX) {
            p->usd[p->count] = -1;
            p->types[p->count++] = type;
        }
    }
}

static void load(struct prices *p)
{
    AUTO_BUF struct buf text = {0};
    if (p->path && fs_read(p->path, PRICES_BYTES_MAX, &text, NULL) == 0)
        (void)!json_parse(buf_view(&text), PRICES_BYTES_MAX, &p->cache, NULL);
    if (!json_is_object(p->cache)) {
        json_decref(p->cache);
        p->cache = json_object();
    }
    usec_t now = clock_wall(loop_clock(p->c->loop));
    for (size_t i = 0; i < p->count; i++) {
        AUTO_FREE char *key = mem_printf("%s/%s", aws_region(p->c->aws), p->types[i]);
        const json_t *entry = json_object_get(p->cache, key);
        usec_t at = json_integer_value(json_object_get(entry, "at")) * USEC_PER_SEC;
        double usd = json_number_value(json_object_get(entry, "usd"));
        if (entry && usd > 0 && at <= now && now - at < PRICES_FRESH)
            p->usd[i] = usd;
    }
}

static void save(struct prices *p)
{
    if (!p->path || fs_mkdirs(p->c->cache_root, 0700, NULL) == -1)
        return;
    AUTO_BUF struct buf text = {0};
    json_write(p->cache, false, &text);
    (void)!fs_write_atomic(p->path, 0600, buf_view(&text), NULL);
}

/* All types at once, together for at most PRICES_WITHIN. */
static void ask(struct prices *p)
{
    struct aws_call *calls[TYPES_MAX] = {0};
    bool asked = false, learned = false;
    for (size_t i = 0; i < p->count; i++)
        if (p->usd[i] < 0) {
            calls[i] = pricing_on_demand(p->c->aws, p->types[i]);
            asked = true;
        }
    if (!asked)
        return;
    const struct clock *clock = loop_clock(p->c->loop);
    usec_t deadline = clock_mono(clock) + PRICES_WITHIN;
    json_int_t now = (json_int_t)(clock_wall(clock) / USEC_PER_SEC);
    for (size_t i = 0; i < p->count; i++) {
        usec_t left = deadline - clock_mono(clock);
        if (calls[i] && !aws_call_ended_within(calls[i], left > 0 ? left : 0)) {
            aws_call_drop(calls[i]);
            continue;
        }
        double usd;
        if (!calls[i] || pricing_on_demand_end(calls[i], &usd, NULL) == -1 || usd <= 0)
            continue;
        p->usd[i] = usd;
        AUTO_FREE char *key = mem_printf("%s/%s", aws_region(p->c->aws), p->types[i]);
        json_object_set_new(p->cache, key, json_pack("{s:f, s:I}", "usd", usd, "at", now));
        learned = true;
    }
    if (learned)
        save(p);
}

/* AWS's own endpoints alone have prices. */
static bool is_aws(struct cluster *c)
{
    const char *endpoint = aws_endpoint(c->aws, "ec2");
    return endpoint && (strstr(endpoint, ".amazonaws.com") || strstr(endpoint, ".api.aws"));
}

void cluster_price(struct cluster *c, struct plan *plan)
{
    if (!c->aws) /* nobody bills for them */
        return;
    struct prices p = {.c = c};
    list_types(&p, plan);
    p.path = c->cache_root ? fs_join(c->cache_root, "prices.json") : NULL;
    load(&p);
    if (is_aws(c))
        ask(&p);
    double sum = 0;
    for (size_t i = 0; i < plan->count && sum >= 0; i++) {
        size_t k = 0;
        while (k < p.count &&
               (!plan->steps[i].type || strcmp(p.types[k], plan->steps[i].type) != 0))
            k++;
        double usd = k < p.count ? p.usd[k] : -1;
        if (usd < 0 && plan->steps[i].type)
            usd = price_listed(plan->steps[i].type);
        sum = usd < 0 ? -1 : sum + usd;
    }
    plan->usd_per_hour = sum;
    json_decref(p.cache);
    free(p.path);
}

double cluster_hosts_price(struct cluster *c, const struct cluster_hosts *hosts)
{
    struct plan plan = {.usd_per_hour = -1};
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        if (h->state != EC2_PENDING && h->state != EC2_RUNNING)
            continue;
        MEM_PUSH_ROOM(plan.steps, plan.count, plan.cap);
        plan.steps[plan.count++] = (struct plan_step){.verb = PLAN_KEEP, .type = mem_dup(h->type)};
    }
    if (plan.count)
        cluster_price(c, &plan);
    double usd = plan.usd_per_hour;
    plan_done(&plan);
    return usd;
}

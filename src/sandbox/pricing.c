/* The price list: on-demand prices of the instance types that the sandbox sells, in the shape of
 * https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
 *
 * The prices are those of Linux in N. Virginia; the sandbox asks the same in all of its regions,
 * and a twentieth more for dedicated tenancy. */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/world_priv.h"
#include <stdio.h>
#include <string.h>

#define RESULTS_MAX 100
#define FILTERS_MAX 50
#define TERM "JRTCKXETXF" /* the on-demand term's code */
#define RATE "6YS6EN2CT7"
#define PUBLISHED "2026-06-01T00:00:00Z"

static const struct {
    const char *type;
    double usd; /* an hour */
} prices[] = {
    {"t2.micro", 0.0116},      {"t3.nano", 0.0052},      {"t3.micro", 0.0104},
    {"t3.small", 0.0208},      {"t3.medium", 0.0416},    {"t3.large", 0.0832},
    {"t3.xlarge", 0.1664},     {"t3.2xlarge", 0.3328},   {"t3a.micro", 0.0094},
    {"t3a.medium", 0.0376},    {"t4g.micro", 0.0084},    {"t4g.medium", 0.0336},
    {"m4.large", 0.1},         {"m5.large", 0.096},      {"m5.xlarge", 0.192},
    {"m5.2xlarge", 0.384},     {"m5.4xlarge", 0.768},    {"m5.24xlarge", 4.608},
    {"m6i.large", 0.096},      {"m6i.xlarge", 0.192},    {"m7g.large", 0.0816},
    {"c5.large", 0.085},       {"c5.xlarge", 0.17},      {"c5.2xlarge", 0.34},
    {"c5.4xlarge", 0.68},      {"c6i.large", 0.085},     {"c6i.4xlarge", 0.68},
    {"c7g.large", 0.0725},     {"r5.large", 0.126},      {"r5.2xlarge", 0.504},
    {"g4dn.xlarge", 0.526},    {"g4dn.12xlarge", 3.912}, {"g5.xlarge", 1.006},
    {"g5.12xlarge", 5.672},    {"p3.2xlarge", 3.06},     {"p3.8xlarge", 12.24},
    {"p4d.24xlarge", 21.9576},
};

static const struct {
    const char *code, *location;
} regions[] = {
    {"us-east-1", "US East (N. Virginia)"},
    {"us-east-2", "US East (Ohio)"},
    {"us-west-1", "US West (N. California)"},
    {"us-west-2", "US West (Oregon)"},
    {"ca-central-1", "Canada (Central)"},
    {"eu-west-1", "EU (Ireland)"},
    {"eu-west-2", "EU (London)"},
    {"eu-central-1", "EU (Frankfurt)"},
    {"eu-north-1", "EU (Stockholm)"},
    {"ap-south-1", "Asia Pacific (Mumbai)"},
    {"ap-southeast-1", "Asia Pacific (Singapore)"},
    {"ap-southeast-2", "Asia Pacific (Sydney)"},
    {"ap-northeast-1", "Asia Pacific (Tokyo)"},
};

static const char *const tenancies[] = {"Shared", "Dedicated"};

#define PRODUCT_COUNT (COUNT_OF(prices) * COUNT_OF(regions) * COUNT_OF(tenancies))

/* ---- one product ---------------------------------------------------------------------------- */

struct product {
    const char *type, *region, *location, *tenancy;
    double usd;
};

static struct product product_at(size_t i)
{
    size_t tenancy = i % COUNT_OF(tenancies);
    size_t region = i / COUNT_OF(tenancies) % COUNT_OF(regions);
    size_t type = i / COUNT_OF(tenancies) / COUNT_OF(regions);
    return (struct product){.type = prices[type].type,
                            .region = regions[region].code,
                            .location = regions[region].location,
                            .tenancy = tenancies[tenancy],
                            .usd = prices[type].usd * (tenancy ? 1.05 : 1.0)};
}

static json_t *attributes(const struct product *p)
{
    const struct catalog_type *t = catalog_type(p->type);
    struct str rest = str_of(p->type);
    AUTO_FREE char *family = str_dup(str_cut(&rest, '.'));
    AUTO_FREE char *usage =
        mem_printf("%s:%s", p->tenancy[0] == 'S' ? "BoxUsage" : "DedicatedUsage", p->type);
    json_t *j = json_object();
    char vcpus[16], memory[32];
    snprintf(vcpus, sizeof vcpus, "%d", t ? t->vcpus : 0);
    snprintf(memory, sizeof memory, "%g GiB", t ? (double)t->memory_mib / 1024 : 0);
    const char *const pairs[][2] = {
        {"instanceType", p->type},
        {"instanceFamily", family},
        {"regionCode", p->region},
        {"location", p->location},
        {"locationType", "AWS Region"},
        {"tenancy", p->tenancy},
        {"operatingSystem", "Linux"},
        {"preInstalledSw", "NA"},
        {"capacitystatus", "Used"},
        {"licenseModel", "No License required"},
        {"marketoption", "OnDemand"},
        {"operation", "RunInstances"},
        {"usagetype", usage},
        {"vcpu", vcpus},
        {"memory", memory},
        {"currentGeneration", t && t->current_generation ? "Yes" : "No"},
        {"servicecode", "AmazonEC2"},
        {"servicename", "Amazon Elastic Compute Cloud"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        json_object_set_new(j, pairs[i][0], json_string(pairs[i][1]));
    return j;
}

/* Sixteen characters that are the product's alone, and the same every time. */
static void make_sku(const struct product *p, char out[17])
{
    AUTO_FREE char *text = mem_printf("%s %s %s", p->type, p->region, p->tenancy);
    char hash[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(text), hash);
    for (size_t i = 0; i < 16; i++)
        out[i] = (char)(hash[i] >= 'a' ? hash[i] - 'a' + 'A' : hash[i]);
    out[16] = '\0';
}

static json_t *terms(const struct product *p, const char *sku)
{
    AUTO_FREE char *term = mem_printf("%s." TERM, sku);
    AUTO_FREE char *rate = mem_printf("%s." TERM "." RATE, sku);
    AUTO_FREE char *usd = mem_printf("%.10f", p->usd);
    AUTO_FREE char *text = mem_printf("$%.10g per %sLinux %s Instance Hour", p->usd,
                                      p->tenancy[0] == 'S' ? "On Demand " : "Dedicated ", p->type);
    json_t *dimension = json_pack("{s:s, s:s, s:s, s:[], s:s, s:s, s:{s:s}}", "unit", "Hrs",
                                  "endRange", "Inf", "description", text, "appliesTo", "rateCode",
                                  rate, "beginRange", "0", "pricePerUnit", "USD", usd);
    json_t *one =
        json_pack("{s:{s:o}, s:s, s:s, s:s, s:{}}", "priceDimensions", rate, dimension, "sku", sku,
                  "effectiveDate", PUBLISHED, "offerTermCode", TERM, "termAttributes");
    return json_pack("{s:{s:o}}", "OnDemand", term, one);
}

static json_t *product_text(const struct product *p, json_t *own_attributes)
{
    char sku[17];
    make_sku(p, sku);
    json_auto_t *j = json_pack("{s:{s:s, s:O, s:s}, s:s, s:o, s:s, s:s}", "product",
                               "productFamily", "Compute Instance", "attributes", own_attributes,
                               "sku", sku, "serviceCode", "AmazonEC2", "terms", terms(p, sku),
                               "version", "20260601000000", "publicationDate", PUBLISHED);
    AUTO_BUF struct buf text = {0};
    json_write(j, false, &text);
    return json_string(buf_text(&text));
}

/* ---- GetProducts ---------------------------------------------------------------------------- */

static int check_filters(const json_t *filters, struct api_reply *r)
{
    size_t i;
    json_t *one;
    if (filters && (!json_is_array(filters) || json_array_size(filters) > FILTERS_MAX))
        return api_fail(r, 400, "InvalidParameterException", "Filters must be a list of at most %d",
                        FILTERS_MAX);
    json_array_foreach(filters, i, one)
    {
        const char *type = json_text(one, "Type");
        if (!type || !json_text(one, "Field") || !json_text(one, "Value"))
            return api_fail(r, 400, "InvalidParameterException",
                            "A filter needs Type, Field and Value");
        if (strcmp(type, "TERM_MATCH") != 0)
            return api_fail(r, 400, "InvalidParameterException",
                            "The sandbox knows the filter type TERM_MATCH only, not %.40s", type);
    }
    return 0;
}

static bool fits(const json_t *filters, const json_t *own)
{
    size_t i;
    json_t *one;
    json_array_foreach(filters, i, one)
    {
        const char *field = json_text(one, "Field"), *value = json_text(one, "Value");
        const char *is = strcasecmp(field, "productFamily") == 0 ? "Compute Instance"
                         : strcasecmp(field, "ServiceCode") == 0 ? "AmazonEC2"
                                                                 : json_text(own, field);
        if (!is || strcasecmp(is, value) != 0)
            return false;
    }
    return true;
}

/* The same from what costs nothing to know: nearly all products are passed over by it. */
static bool may_fit(const json_t *filters, const struct product *p)
{
    const char *const known[][2] = {{"instanceType", p->type},
                                    {"regionCode", p->region},
                                    {"location", p->location},
                                    {"tenancy", p->tenancy}};
    size_t i;
    json_t *one;
    json_array_foreach(filters, i, one)
    {
        for (size_t k = 0; k < COUNT_OF(known); k++) {
            if (strcmp(json_text(one, "Field"), known[k][0]) == 0 &&
                strcasecmp(json_text(one, "Value"), known[k][1]) != 0)
                return false;
        }
    }
    return true;
}

/* The token is the number of the product to go on with. */
static bool read_start(const json_t *request, int64_t *out)
{
    const json_t *token = json_object_get(request, "NextToken");
    *out = 0;
    if (!token || json_is_null(token))
        return true;
    return json_is_string(token) &&
           str_to_i64(str_of(json_string_value(token)), 0, (int64_t)PRODUCT_COUNT, out);
}

static void get_products(struct world *w, const struct api_request *q, struct api_reply *r)
{
    (void)w;
    const char *service = json_text(q->json, "ServiceCode");
    const json_t *filters = json_object_get(q->json, "Filters");
    const json_t *limit = json_object_get(q->json, "MaxResults");
    int64_t max = limit ? json_integer_value(limit) : RESULTS_MAX, at;
    if (!service || strcmp(service, "AmazonEC2") != 0) {
        api_fail(r, 400, "InvalidParameterException",
                 "The sandbox has the prices of AmazonEC2 only");
        return;
    }
    if (max < 1 || max > RESULTS_MAX || !read_start(q->json, &at)) {
        api_fail(r, 400,
                 max < 1 || max > RESULTS_MAX ? "InvalidParameterException"
                                              : "InvalidNextTokenException",
                 "MaxResults or NextToken is invalid");
        return;
    }
    if (check_filters(filters, r) == -1)
        return;
    json_auto_t *answer = json_object();
    json_t *list = json_array();
    json_object_set_new(answer, "FormatVersion", json_string("aws_v1"));
    json_object_set_new(answer, "PriceList", list);
    for (size_t i = (size_t)at; i < PRODUCT_COUNT; i++) {
        struct product p = product_at(i);
        if (!may_fit(filters, &p))
            continue;
        json_auto_t *own = attributes(&p);
        if (!fits(filters, own))
            continue;
        if ((int64_t)json_array_size(list) == max) {
            AUTO_FREE char *token = mem_printf("%zu", i);
            json_object_set_new(answer, "NextToken", json_string(token));
            break;
        }
        json_array_append_new(list, product_text(&p, own));
    }
    json_write(answer, false, &r->body);
}

const struct api_action pricing_actions[] = {
    {"GetProducts", get_products, false},
    {NULL, NULL, false},
};

/* The price list: what an instance type costs in a region. See aws.h. */
#include "aws/call.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>

struct price {
    char *type, *region;
    bool asked, found;
    double usd;
};

static bool request(void *state, struct buf *body)
{
    struct price *p = state;
    if (p->asked)
        return false;
    p->asked = true;
    const char *const filters[][2] = {{"instanceType", p->type},    {"regionCode", p->region},
                                      {"operatingSystem", "Linux"}, {"tenancy", "Shared"},
                                      {"capacitystatus", "Used"},   {"preInstalledSw", "NA"},
                                      {"marketoption", "OnDemand"}};
    json_auto_t *list = json_array();
    for (size_t i = 0; i < COUNT_OF(filters); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "Type", "TERM_MATCH", "Field",
                                              filters[i][0], "Value", filters[i][1]));
    json_auto_t *root = json_pack("{s:s, s:s, s:i, s:O}", "ServiceCode", "AmazonEC2",
                                  "FormatVersion", "aws_v1", "MaxResults", 10, "Filters", list);
    json_write(root, false, body);
    return true;
}

/* Each offer is {"terms": {"OnDemand": {SKU.TERM: {"priceDimensions": {RATE: {"unit": "Hrs",
 * "pricePerUnit": {"USD": "0.1920000000"}}}}}}}. The first price above zero counts. */
static bool take_dimension(const json_t *dimension, struct price *p)
{
    const char *unit = json_text(dimension, "unit");
    const char *usd = json_text(json_object_get(dimension, "pricePerUnit"), "USD");
    if (!unit || !usd || !str_is(str_of(unit), "Hrs"))
        return false;
    char *end;
    double value = strtod(usd, &end);
    if (end == usd || *end || !(value > 0 && value < 1e6))
        return false;
    p->usd = value;
    p->found = true;
    return true;
}

static void take_offer(json_t *offer, struct price *p)
{
    json_t *terms = json_object_get(json_object_get(offer, "terms"), "OnDemand");
    const char *term_name, *rate_name;
    json_t *term, *rate;
    json_object_foreach(terms, term_name, term)
    {
        json_object_foreach(json_object_get(term, "priceDimensions"), rate_name, rate)
        {
            if (!p->found && take_dimension(rate, p))
                return;
        }
    }
}

static int answer(void *state, struct str text, struct err *err)
{
    struct price *p = state;
    json_auto_t *root = NULL;
    if (json_parse(text, BUF_MAX_DEFAULT, &root, err) == -1)
        return -1;
    const json_t *list = json_object_get(root, "PriceList");
    if (!json_is_array(list))
        return err_set(err, ERR_PARSE, "the answer has no PriceList");
    size_t index;
    json_t *one;
    json_array_foreach(list, index, one)
    {
        /* an offer comes as a string of JSON, from some servers as an object */
        json_auto_t *offer = NULL;
        if (json_is_string(one) &&
            json_parse(str_of(json_string_value(one)), BUF_MAX_DEFAULT, &offer, err) == -1)
            return err_wrap(err, "offer %zu", index + 1);
        take_offer(offer ? offer : one, p);
    }
    return 0;
}

static void price_free(void *state)
{
    struct price *p = state;
    free(p->type);
    free(p->region);
    free(p);
}

static const struct aws_call_ops get_products = {.service = &aws_pricing,
                                                 .action = "GetProducts",
                                                 .request = request,
                                                 .answer = answer,
                                                 .free = price_free};

struct aws_call *pricing_on_demand(struct aws *aws, const char *type)
{
    struct price *p = mem_alloc(sizeof *p);
    p->type = mem_dup(type);
    p->region = mem_dup(aws_region(aws));
    return aws_call_start(aws, &get_products, p);
}

int pricing_on_demand_end(struct aws_call *c, double *usd_per_hour, struct err *err)
{
    struct price *p = aws_call_wait(c, &get_products, err);
    if (!p)
        return -1;
    int rc = 0;
    if (p->found)
        *usd_per_hour = p->usd;
    else
        rc = err_set(err, ERR_NOT_FOUND, "no on-demand price of '%s' in '%s'", p->type, p->region);
    aws_call_free(c);
    return rc;
}

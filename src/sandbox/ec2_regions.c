/* Regions, zones, and the account's attributes. */
#include "sandbox/ec2_priv.h"
#include <string.h>

EC2_HANDLER(DescribeRegions);
EC2_HANDLER(DescribeAvailabilityZones);
EC2_HANDLER(DescribeAccountAttributes);

/* The regions that need no opting in, as EC2 lists them. */
static const char *const region_names[] = {
    "ap-south-1",     "eu-north-1",     "eu-west-3",      "eu-west-2",    "eu-west-1",
    "ap-northeast-3", "ap-northeast-2", "ap-northeast-1", "ca-central-1", "sa-east-1",
    "ap-southeast-1", "ap-southeast-2", "eu-central-1",   "us-east-1",    "us-east-2",
    "us-west-1",      "us-west-2",
};

static void write_region(struct buf *b, const char *name)
{
    AUTO_FREE char *endpoint = mem_printf("ec2.%s.amazonaws.com", name);
    xml_open(b, "item");
    xml_text(b, "regionName", name);
    xml_text(b, "regionEndpoint", endpoint);
    xml_text(b, "optInStatus", "opt-in-not-required");
    xml_close(b, "item");
}

static bool is_region(const struct world *w, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(region_names); i++) {
        if (strcmp(region_names[i], name) == 0)
            return true;
    }
    return strcmp(w->region, name) == 0;
}

static bool region_shown(const struct strv *names, const struct filters *f, const char *name)
{
    AUTO_FREE char *endpoint = mem_printf("ec2.%s.amazonaws.com", name);
    return (names->count == 0 || strv_has(names, name)) && filters_pass(f, "region-name", name) &&
           filters_pass(f, "endpoint", endpoint) &&
           filters_pass(f, "opt-in-status", "opt-in-not-required");
}

void ec2_DescribeRegions(struct world *w, const struct api_request *q, struct api_reply *r)
{
    static const char *const known[] = {"region-name", "endpoint", "opt-in-status", NULL};
    struct filters filters AUTO_FILTERS = {0};
    struct strv names AUTO_STRV = {0};
    param_list(q->params, "RegionName", &names);
    if (!filters_read(q, r, known, false, &filters))
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (!is_region(w, names.items[i])) {
            api_fail(r, 400, "InvalidParameterValue", "Invalid region: '%s'", names.items[i]);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    bool own = false;
    ec2_open(q, r);
    xml_open(&r->body, "regionInfo");
    for (size_t i = 0; i < COUNT_OF(region_names); i++) {
        own = own || strcmp(region_names[i], w->region) == 0;
        if (region_shown(&names, &filters, region_names[i]))
            write_region(&r->body, region_names[i]);
    }
    if (!own && region_shown(&names, &filters, w->region))
        write_region(&r->body, w->region);
    xml_close(&r->body, "regionInfo");
    ec2_close(q, r);
}

static char *zone_id(const struct world *w, int at)
{
    /* "us-east-1" is "use1" in zone ids */
    struct buf text AUTO_BUF = {0};
    struct str rest = str_of(w->region);
    struct str area = str_cut(&rest, '-');
    buf_add_str(&text, area);
    if (rest.p) {
        struct str direction = str_cut(&rest, '-');
        buf_addc(&text, direction.p[0]);
        bool corner = str_starts(direction, "north") || str_starts(direction, "south");
        if (corner && direction.n > 5) /* "northeast" is "ne" */
            buf_addc(&text, direction.p[5]);
        buf_addf(&text, "%.*s", rest.p ? (int)rest.n : 0, rest.p ? rest.p : "");
    }
    buf_addf(&text, "-az%d", at + 1);
    return buf_take(&text);
}

static void write_zone(const struct world *w, struct buf *b, const char *name, const char *id)
{
    xml_open(b, "item");
    xml_text(b, "optInStatus", "opt-in-not-required");
    xml_text(b, "zoneName", name);
    xml_text(b, "zoneId", id);
    xml_text(b, "zoneState", "available");
    xml_text(b, "regionName", w->region);
    xml_text(b, "groupName", w->region);
    xml_text(b, "networkBorderGroup", w->region);
    xml_text(b, "zoneType", "availability-zone");
    buf_adds(b, "<messageSet/>");
    xml_close(b, "item");
}

void ec2_DescribeAvailabilityZones(struct world *w, const struct api_request *q,
                                   struct api_reply *r)
{
    static const char *const known[] = {"zone-name",     "zone-id",    "state",     "region-name",
                                        "opt-in-status", "group-name", "zone-type", NULL};
    struct filters f AUTO_FILTERS = {0};
    struct strv names AUTO_STRV = {0}, ids AUTO_STRV = {0};
    param_list(q->params, "ZoneName", &names);
    param_list(q->params, "ZoneId", &ids);
    if (!filters_read(q, r, known, false, &f))
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (!zone_exists(w, names.items[i])) {
            api_fail(r, 400, "InvalidParameterValue", "Invalid availability zone: [%s]",
                     names.items[i]);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    ec2_open(q, r);
    xml_open(&r->body, "availabilityZoneInfo");
    for (int z = 0; z < ZONES_COUNT; z++) {
        AUTO_FREE char *name = zone_name(w, z);
        AUTO_FREE char *id = zone_id(w, z);
        if ((names.count && !strv_has(&names, name)) || (ids.count && !strv_has(&ids, id)) ||
            !filters_pass(&f, "zone-name", name) || !filters_pass(&f, "zone-id", id) ||
            !filters_pass(&f, "state", "available") ||
            !filters_pass(&f, "region-name", w->region) ||
            !filters_pass(&f, "opt-in-status", "opt-in-not-required") ||
            !filters_pass(&f, "group-name", w->region) ||
            !filters_pass(&f, "zone-type", "availability-zone"))
            continue;
        write_zone(w, &r->body, name, id);
    }
    xml_close(&r->body, "availabilityZoneInfo");
    ec2_close(q, r);
}

static void write_attribute(struct buf *b, const struct strv *wanted, const char *name,
                            const char *value)
{
    if (wanted->count > 0 && !strv_has(wanted, name))
        return;
    xml_open(b, "item");
    xml_text(b, "attributeName", name);
    xml_open(b, "attributeValueSet");
    xml_open(b, "item");
    xml_text(b, "attributeValue", value);
    xml_close(b, "item");
    xml_close(b, "attributeValueSet");
    xml_close(b, "item");
}

void ec2_DescribeAccountAttributes(struct world *w, const struct api_request *q,
                                   struct api_reply *r)
{
    struct strv names AUTO_STRV = {0};
    param_list(q->params, "AttributeName", &names);
    if (ec2_dry_run(q, r))
        return;
    const struct world_vpc *v = default_vpc(w);
    AUTO_FREE char *most = mem_printf("%d", INSTANCES_MAX);
    ec2_open(q, r);
    xml_open(&r->body, "accountAttributeSet");
    write_attribute(&r->body, &names, "supported-platforms", "VPC");
    write_attribute(&r->body, &names, "default-vpc", v ? v->r.id : "none");
    write_attribute(&r->body, &names, "max-instances", most);
    write_attribute(&r->body, &names, "vpc-max-security-groups-per-interface", "5");
    xml_close(&r->body, "accountAttributeSet");
    ec2_close(q, r);
}

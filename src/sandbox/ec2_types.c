/* Instance types of the catalog, and where they are offered. */
#include "base/digest.h"
#include "sandbox/ec2_priv.h"
#include <string.h>

EC2_HANDLER(DescribeInstanceTypes);
EC2_HANDLER(DescribeInstanceTypeOfferings);

/* A type is no resource: its page is by its place in the catalog. */
struct type_page {
    int64_t size, first;
};

static bool read_page(const struct api_request *q, struct api_reply *r, int64_t most,
                      struct type_page *out)
{
    const char *token = param(q->params, "NextToken");
    if (token && *token == '\0')
        token = NULL;
    if (!ec2_int(q, r, "MaxResults", 5, INT32_MAX, most, &out->size))
        return false;
    if (out->size > most)
        out->size = most;
    out->first = 0;
    if (!token || str_to_i64(str_of(token), 0, 100000, &out->first))
        return true;
    api_fail(r, 400, "InvalidPaginationToken",
             "The specified pagination token is not valid or is expired.");
    return false;
}

static const char *flag(bool on)
{
    return on ? "true" : "false";
}

static bool passes(const struct filters *f, const struct catalog_type *t)
{
    AUTO_FREE char *vcpus = mem_printf("%d", t->vcpus);
    AUTO_FREE char *memory = mem_printf("%lld", (long long)t->memory_mib);
    return filters_pass(f, "instance-type", t->name) &&
           filters_pass(f, "current-generation", flag(t->current_generation)) &&
           filters_pass(f, "burstable-performance-supported", flag(t->burstable)) &&
           filters_pass(f, "bare-metal", "false") && filters_pass(f, "hypervisor", t->hypervisor) &&
           filters_pass(f, "processor-info.supported-architecture", t->architecture) &&
           filters_pass(f, "vcpu-info.default-vcpus", vcpus) &&
           filters_pass(f, "memory-info.size-in-mib", memory) &&
           filters_pass(f, "supported-root-device-type", "ebs") &&
           filters_pass(f, "supported-virtualization-type", "hvm") &&
           filters_pass(f, "free-tier-eligible", flag(strcmp(t->name, "t2.micro") == 0));
}

static void write_one(struct buf *b, const char *set, const char *value)
{
    xml_open(b, set);
    xml_text(b, "item", value);
    xml_close(b, set);
}

static void write_processor(const struct catalog_type *t, struct buf *b)
{
    AUTO_FREE char *clock = mem_printf("%.1f", t->clock_ghz);
    xml_open(b, "processorInfo");
    write_one(b, "supportedArchitectures", t->architecture);
    xml_text(b, "sustainedClockSpeedInGhz", clock);
    xml_close(b, "processorInfo");
    xml_open(b, "vCpuInfo");
    xml_int(b, "defaultVCpus", t->vcpus);
    xml_int(b, "defaultCores", t->cores);
    xml_int(b, "defaultThreadsPerCore", t->vcpus / t->cores);
    xml_close(b, "vCpuInfo");
    xml_open(b, "memoryInfo");
    xml_int(b, "sizeInMiB", t->memory_mib);
    xml_close(b, "memoryInfo");
}

static void write_network(const struct catalog_type *t, struct buf *b)
{
    xml_open(b, "networkInfo");
    xml_text(b, "networkPerformance", t->network);
    xml_int(b, "maximumNetworkInterfaces", t->interfaces);
    xml_int(b, "maximumNetworkCards", 1);
    xml_int(b, "defaultNetworkCardIndex", 0);
    xml_int(b, "ipv4AddressesPerInterface", t->addresses);
    xml_int(b, "ipv6AddressesPerInterface", t->addresses);
    xml_bool(b, "ipv6Supported", true);
    xml_text(b, "enaSupport", strcmp(t->hypervisor, "nitro") == 0 ? "required" : "supported");
    xml_bool(b, "efaSupported", false);
    xml_close(b, "networkInfo");
}

static void write_gpus(const struct catalog_type *t, struct buf *b)
{
    if (t->gpus == 0)
        return;
    xml_open(b, "gpuInfo");
    xml_open(b, "gpus");
    xml_open(b, "item");
    xml_text(b, "name", t->gpu_name);
    xml_text(b, "manufacturer", t->gpu_maker);
    xml_int(b, "count", t->gpus);
    xml_open(b, "memoryInfo");
    xml_int(b, "sizeInMiB", t->gpu_mib);
    xml_close(b, "memoryInfo");
    xml_close(b, "item");
    xml_close(b, "gpus");
    xml_int(b, "totalGpuMemoryInMiB", (int64_t)t->gpus * t->gpu_mib);
    xml_close(b, "gpuInfo");
}

static void write_type(const struct catalog_type *t, struct buf *b)
{
    xml_open(b, "item");
    xml_text(b, "instanceType", t->name);
    xml_bool(b, "currentGeneration", t->current_generation);
    xml_bool(b, "freeTierEligible", strcmp(t->name, "t2.micro") == 0);
    buf_adds(b, "<supportedUsageClasses><item>on-demand</item><item>spot</item>"
                "</supportedUsageClasses>");
    write_one(b, "supportedRootDeviceTypes", "ebs");
    write_one(b, "supportedVirtualizationTypes", "hvm");
    xml_bool(b, "bareMetal", false);
    xml_text(b, "hypervisor", t->hypervisor);
    write_processor(t, b);
    xml_bool(b, "instanceStorageSupported", false);
    buf_adds(b, "<ebsInfo><ebsOptimizedSupport>default</ebsOptimizedSupport>"
                "<encryptionSupport>supported</encryptionSupport></ebsInfo>");
    write_network(t, b);
    write_gpus(t, b);
    buf_adds(b, "<placementGroupInfo><supportedStrategies><item>cluster</item>"
                "<item>partition</item><item>spread</item></supportedStrategies>"
                "</placementGroupInfo>");
    xml_bool(b, "hibernationSupported", false);
    xml_bool(b, "burstablePerformanceSupported", t->burstable);
    xml_bool(b, "dedicatedHostsSupported", true);
    xml_bool(b, "autoRecoverySupported", true);
    xml_close(b, "item");
}

/* All types that do not exist are named in one error, as EC2 does. */
static bool check_names(struct api_reply *r, const struct strv *names)
{
    struct strv unknown AUTO_STRV = {0};
    for (size_t i = 0; i < names->count; i++) {
        if (!catalog_type(names->items[i]))
            strv_add(&unknown, names->items[i]);
    }
    if (unknown.count == 0)
        return true;
    AUTO_FREE char *all = strv_join(&unknown, ", ");
    api_fail(r, 400, "InvalidInstanceType",
             "The following supplied instance types do not exist: [%s]", all);
    return false;
}

#define TYPES_PAGE_MAX 100

void ec2_DescribeInstanceTypes(struct world *w, const struct api_request *q, struct api_reply *r)
{
    static const char *const known[] = {"instance-type",
                                        "current-generation",
                                        "burstable-performance-supported",
                                        "bare-metal",
                                        "hypervisor",
                                        "processor-info.supported-architecture",
                                        "vcpu-info.default-vcpus",
                                        "memory-info.size-in-mib",
                                        "supported-root-device-type",
                                        "supported-virtualization-type",
                                        "free-tier-eligible",
                                        NULL};
    struct filters filters AUTO_FILTERS = {0};
    struct strv names AUTO_STRV = {0};
    struct type_page page;
    param_list(q->params, "InstanceType", &names);
    if (!filters_read(q, r, known, false, &filters) || !check_names(r, &names) ||
        !read_page(q, r, TYPES_PAGE_MAX, &page) || ec2_dry_run(q, r))
        return;
    if (names.count > 0 && param(q->params, "MaxResults")) {
        api_fail(r, 400, "InvalidParameterCombination",
                 "The parameter InstanceType cannot be used with the parameter MaxResults");
        return;
    }
    ec2_open(q, r);
    xml_open(&r->body, "instanceTypeSet");
    size_t at = (size_t)page.first;
    for (int64_t shown = 0; at < catalog_type_count && shown < page.size; at++) {
        const struct catalog_type *t = &catalog_types[at];
        if ((names.count > 0 && !strv_has(&names, t->name)) || !passes(&filters, t))
            continue;
        write_type(t, &r->body);
        shown++;
    }
    xml_close(&r->body, "instanceTypeSet");
    if (at < catalog_type_count)
        xml_int(&r->body, "nextToken", (int64_t)at);
    ec2_close(q, r);
}

/* ---- offerings ----------------------------------------------------------------------------- */

#define OFFERINGS_PAGE_MAX 1000

/* The GPU types with eight accelerators stand in the first zone only, as rare types do. */
static bool offered(const struct catalog_type *t, int zone)
{
    return t->gpus < 8 || zone == 0;
}

static void write_offering(struct buf *b, const char *type, const char *kind, const char *location)
{
    xml_open(b, "item");
    xml_text(b, "instanceType", type);
    xml_text(b, "locationType", kind);
    xml_text(b, "location", location);
    xml_close(b, "item");
}

void ec2_DescribeInstanceTypeOfferings(struct world *w, const struct api_request *q,
                                       struct api_reply *r)
{
    static const char *const known[] = {"instance-type", "location", NULL};
    static const char *const kinds_of_place[] = {"region", "availability-zone", NULL};
    struct filters filters AUTO_FILTERS = {0};
    struct type_page page;
    const char *kind;
    if (!ec2_choice(q, r, "LocationType", kinds_of_place, &kind) ||
        !filters_read(q, r, known, false, &filters) ||
        !read_page(q, r, OFFERINGS_PAGE_MAX, &page) || ec2_dry_run(q, r))
        return;
    bool by_zone = kind && strcmp(kind, "availability-zone") == 0;
    int64_t places = by_zone ? ZONES_COUNT : 1, at = page.first, shown = 0;
    int64_t total = (int64_t)catalog_type_count * places;
    ec2_open(q, r);
    xml_open(&r->body, "instanceTypeOfferingSet");
    for (; at < total && shown < page.size; at++) {
        const struct catalog_type *t = &catalog_types[at / places];
        int zone = (int)(at % places);
        AUTO_FREE char *place = by_zone ? zone_name(w, zone) : mem_dup(w->region);
        if (!offered(t, zone) || !filters_pass(&filters, "instance-type", t->name) ||
            !filters_pass(&filters, "location", place))
            continue;
        write_offering(&r->body, t->name, by_zone ? "availability-zone" : "region", place);
        shown++;
    }
    xml_close(&r->body, "instanceTypeOfferingSet");
    if (at < total)
        xml_int(&r->body, "nextToken", at);
    ec2_close(q, r);
}

/* EC2's actions without HTTP: launches under faults, filters, the size of a thousand. */
#include "base/digest.h"
#include "base/json.h"
#include "sandbox/faults.h"
#include "world_fixture.h"
#include <unistd.h>

/* ---- faults on launches -------------------------------------------------------------------- */

static char fault_path[32];

static void fault(struct fixture *f, const struct fault *what)
{
    if (!f->w->o.faults) {
        snprintf(fault_path, sizeof fault_path, "/tmp/flambe-faults-XXXXXX");
        int fd = mkstemp(fault_path);
        assert_true(fd >= 0);
        close(fd);
        unlink(fault_path);
        assert_int_equal(faults_open(fault_path, &f->w->o.faults, NULL), 0);
    }
    assert_true(faults_add(f->w->o.faults, what, NULL) > 0);
}

static void no_faults(struct fixture *f)
{
    faults_free(f->w->o.faults);
    f->w->o.faults = NULL;
    unlink(fault_path);
}

static void another_zone_is_chosen(void **state)
{
    struct fixture *f = *state;
    fault(f, &(struct fault){.kind = FAULT_CAPACITY, .zone = "us-east-1a", .count = 2});
    assert_string_equal(launch(f, "")->zone, "us-east-1b");
    assert_int_equal(ask(f, "RunInstances", RUN "&Placement.AvailabilityZone=us-east-1a"), 500);
    assert_string_equal(f->code, "InsufficientInstanceCapacity");
    no_faults(f);
}

static void part_of_a_launch(void **state)
{
    struct fixture *f = *state;
    fault(f, &(struct fault){.kind = FAULT_PARTIAL, .value = 2, .count = 2});
    assert_int_equal(
        ask(f, "RunInstances", "ImageId=" UBUNTU "&InstanceType=t3.micro&MinCount=1&MaxCount=5"),
        200);
    assert_int_equal(count_of(f, "<instanceId>"), 2);
    assert_int_equal(
        ask(f, "RunInstances", "ImageId=" UBUNTU "&InstanceType=t3.micro&MinCount=3&MaxCount=5"),
        500);
    assert_string_equal(f->code, "InsufficientInstanceCapacity");
    assert_int_equal(f->hosts.created, 2);
    no_faults(f);
}

static void late_addresses(void **state)
{
    struct fixture *f = *state;
    fault(f, &(struct fault){.kind = FAULT_LATE_ADDRESS, .value = 5, .count = 1});
    struct world_instance *i = launch(f, "");
    pass(f, 4 * SECOND);
    assert_int_equal(ask(f, "DescribeInstances", ""), 200);
    AUTO_FREE char *none = element(f, "privateIpAddress");
    assert_string_equal(none, "");
    assert_int_equal(count_of(f, "<ipAddress>"), 0);
    pass(f, SECOND);
    assert_int_equal(ask(f, "DescribeInstances", ""), 200);
    AUTO_FREE char *ip = element(f, "privateIpAddress");
    assert_string_equal(ip, i->private_ip);
    no_faults(f);
}

/* ---- filters ------------------------------------------------------------------------------- */

static int shown(struct fixture *f, const char *filters)
{
    assert_int_equal(ask(f, "DescribeInstances", filters), 200);
    return count_of(f, "<instanceId>");
}

#define TAGGED(value)                                                             \
    "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name" \
    "&TagSpecification.1.Tag.1.Value=" value
#define FILTER(n, name, value) "Filter." #n ".Name=" name "&Filter." #n ".Value.1=" value

static void filters(void **state)
{
    struct fixture *f = *state;
    struct world_instance *a = launch(f, TAGGED("alpha"));
    launch(f, TAGGED("beta%2A"));
    pass(f, SECOND);
    assert_int_equal(shown(f, ""), 2);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "alpha")), 1);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "al%2A")), 1);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "%2Aa%2A")), 2);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "beta%5C%2A")), 1);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "Alpha")), 0);
    assert_int_equal(shown(f, FILTER(1, "tag:Name", "alpha") "&Filter.1.Value.2=beta%2A"), 2);
    assert_int_equal(shown(f, FILTER(1, "tag:None", "%2A")), 0);
    assert_int_equal(shown(f, FILTER(1, "tag-key", "Name")), 2);
    assert_int_equal(shown(f, FILTER(1, "tag-value", "alpha")), 1);
    assert_int_equal(shown(f, FILTER(1, "instance-state-code", "16")), 2);
    assert_int_equal(
        shown(f, FILTER(1, "instance-state-name", "running") "&" FILTER(2, "tag:Name", "alpha")),
        1);
    assert_int_equal(shown(f, FILTER(1, "instance-lifecycle", "spot")), 0);
    AUTO_FREE char *ip = mem_printf(FILTER(1, "private-ip-address", "%s"), a->private_ip);
    assert_int_equal(shown(f, ip), 1);
}

static void filters_that_are_wrong(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "DescribeInstances", FILTER(1, "colour", "red")), 400);
    assert_string_equal(f->code, "InvalidParameterValue");
    assert_non_null(strstr(f->body.data, "The filter &apos;colour&apos; is invalid") ||
                            strstr(f->body.data, "The filter 'colour' is invalid")
                        ? f->body.data
                        : NULL);
    assert_int_equal(ask(f, "DescribeInstances", "Filter.1.Name=tag:Name"), 400);
    assert_string_equal(f->code, "MissingParameter");
    struct buf many AUTO_BUF = {0};
    for (int i = 1; i <= 51; i++)
        buf_addf(&many, "&Filter.%d.Name=tag-key&Filter.%d.Value.1=a", i, i);
    assert_int_equal(ask(f, "DescribeInstances", buf_text(&many) + 1), 400);
    assert_string_equal(f->code, "FilterLimitExceeded");
}

/* Each action's own filters must be answered, not crash, on every resource there is. */
static void every_filter_answers(void **state)
{
    static const char *const actions[] = {
        "DescribeInstances",     "DescribeVolumes",         "DescribeNetworkInterfaces",
        "DescribeVpcs",          "DescribeSubnets",         "DescribeInternetGateways",
        "DescribeRouteTables",   "DescribeSecurityGroups",  "DescribeKeyPairs",
        "DescribeImages",        "DescribePlacementGroups", "DescribeSpotInstanceRequests",
        "DescribeInstanceStatus"};
    static const char *const names[] = {"instance-id",
                                        "vpc-id",
                                        "subnet-id",
                                        "group-id",
                                        "state",
                                        "status",
                                        "owner-id",
                                        "architecture",
                                        "availability-zone",
                                        "private-dns-name",
                                        "dns-name",
                                        "launch-time",
                                        "instance.group-name",
                                        "block-device-mapping.volume-id",
                                        "attachment.vpc-id",
                                        "association.subnet-id",
                                        "ip-permission.cidr",
                                        "ip-permission.group-id",
                                        "fingerprint",
                                        "owner-alias",
                                        "encrypted",
                                        "cidr",
                                        "attachment.instance-id",
                                        "is-default",
                                        "route.gateway-id",
                                        "instance-status.status",
                                        "mac-address",
                                        "strategy",
                                        "status-code"};
    struct fixture *f = *state;
    launch(f, "&InstanceMarketOptions.MarketType=spot");
    struct world_instance *gone = launch(f, "");
    pass(f, SECOND);
    assert_int_equal(act(f, "TerminateInstances", gone), 200);
    pass(f, TERMINATE_GRACE);
    int answered = 0;
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            AUTO_FREE char *query = mem_printf(FILTER(1, "%s", "%s"), names[k], "%2A");
            int status = ask(f, actions[i], query);
            assert_true(status == 200 || strcmp(f->code, "InvalidParameterValue") == 0);
            answered += status == 200;
        }
    }
    assert_true(answered > 40);
}

/* ---- pages --------------------------------------------------------------------------------- */

static void pages_while_things_vanish(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        ask(f, "RunInstances", "ImageId=" UBUNTU "&InstanceType=t3.micro&MinCount=12&MaxCount=12"),
        200);
    pass(f, SECOND);
    assert_int_equal(shown(f, "MaxResults=5"), 5);
    AUTO_FREE char *token = element(f, "nextToken");
    /* the last one shown is forgotten before the next page is asked for */
    struct world_instance *fifth =
        (struct world_instance *)(void *)f->w->lists[KIND_INSTANCE].items[4];
    assert_int_equal(act(f, "TerminateInstances", fifth), 200);
    pass(f, TERMINATE_GRACE);
    fifth->due = f->now;
    pass(f, 0);
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 11);
    AUTO_FREE char *second = mem_printf("MaxResults=5&NextToken=%s", token);
    struct buf escaped AUTO_BUF = {0};
    for (const char *p = second; *p; p++)
        *p == '=' && p > strstr(second, "NextToken=") + 9 ? buf_adds(&escaped, "%3D")
                                                          : buf_addc(&escaped, *p);
    assert_int_equal(shown(f, buf_text(&escaped)), 5);
    assert_int_equal(ask(f, "DescribeVolumes", buf_text(&escaped)), 400); /* another's token */
}

/* ---- parameters' names --------------------------------------------------------------------- */

static void parameters_that_no_action_has(void **state)
{
    static const char *const wrong[][2] = {
        {"RunInstances", RUN "&TagSpecifications.1.ResourceType=instance"},
        {"RunInstances", RUN "&BlockDeviceMapping.1.Ebs.Size=9"},
        {"RunInstances", RUN "&NetworkInterface.1.SecurityGroupIds.1=sg-1"},
        {"DescribeInstances", "Filters.1.Name=a&Filters.1.Value.1=b"},
        {"DescribeInstances", "InstanceIds.1=i-1"},
        {"DescribeInstances", "Filter.x.Name=a"},
        {"DescribeVpcs", "Colour=red"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(ask(f, wrong[i][0], wrong[i][1]), 400);
        assert_string_equal(f->code, "UnknownParameter");
    }
    assert_int_equal(ask(f, "DescribeVpcs", "Action=DescribeVpcs&Version=2016-11-15"), 200);
    assert_int_equal(f->hosts.created, 0);
    /* every action of the table has its list */
    for (const struct api_action *a = ec2_actions; a->name; a++) {
        assert_int_equal(ask(f, a->name, "NoSuch.1.Thing=1"), 400);
        assert_string_equal(f->code, "UnknownParameter");
    }
}

/* ---- tokens -------------------------------------------------------------------------------- */

static void a_token_is_forgotten_after_a_day(void **state)
{
    struct fixture *f = *state;
    launch(f, "&ClientToken=x");
    launch(f, "&ClientToken=x");
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 1);
    pass(f, LAUNCH_REMEMBERED_FOR);
    launch(f, "&ClientToken=x");
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 2);
}

/* ---- real machines stay on their bridge ---------------------------------------------------- */

static void machines_need_the_sandboxs_network(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "CreateVpc", "CidrBlock=10.9.0.0/16"), 200);
    AUTO_FREE char *vpc = element(f, "vpcId");
    AUTO_FREE char *create = mem_printf("VpcId=%s&CidrBlock=10.9.0.0/24", vpc);
    assert_int_equal(ask(f, "CreateSubnet", create), 200);
    AUTO_FREE char *subnet = element(f, "subnetId");
    AUTO_FREE char *run = mem_printf(RUN "&SubnetId=%s", subnet);
    assert_int_equal(ask(f, "RunInstances", run), 400);
    assert_string_equal(f->code, "UnsupportedOperation");
    f->w->o.kind = HOST_GHOST;
    assert_int_equal(ask(f, "RunInstances", run), 200);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void keys_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP2ck0TF",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIP2ck0TFmKM48IfwE9dqyLTFyP5FYPFuOmu00/OT6u2O",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAP==",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5/////w=="};
    struct key_facts k = {0};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(key_parse(str_of(wrong[i]), &k));
    assert_true(key_parse(str_of(PUBLIC_KEY "\n"), &k));
    assert_string_equal(k.type, "ed25519");
    assert_string_equal(k.fingerprint, "nVj6G+/C52NDhKr/oJasuELbVN8968ZlqjMkiyGEeXQ=");
    assert_null(strstr(k.line, "me@here"));
    key_facts_done(&k);
}

/* ---- a thousand ---------------------------------------------------------------------------- */

/* Generous bounds: they catch what grows with the square, not a slow machine. */
static void a_thousand(void **state)
{
    struct fixture *f = *state;
    const struct clock *real = clock_system();
    usec_t start = clock_mono(real);
    assert_int_equal(ask(f, "RunInstances",
                         "ImageId=" UBUNTU "&InstanceType=t3.micro&MinCount=1000&MaxCount=1000"),
                     200);
    assert_int_equal(f->hosts.created, 1000);
    usec_t run = clock_mono(real) - start;
    pass(f, SECOND);
    start = clock_mono(real);
    assert_int_equal(ask(f, "DescribeInstances", "MaxResults=1000"), 200);
    usec_t describe = clock_mono(real) - start;
    assert_int_equal(count_of(f, "<instanceId>"), 1000);
    start = clock_mono(real);
    json_auto_t *j = world_save(f->w);
    struct buf text AUTO_BUF = {0};
    json_write(j, false, &text);
    usec_t save = clock_mono(real) - start;
    assert_true(run < 10 * SECOND && describe < 10 * SECOND && save < 10 * SECOND);
    print_message("# 1000 instances: run %.1f ms, describe %.1f ms, save %.1f ms\n",
                  (double)run / 1000, (double)describe / 1000, (double)save / 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_zone_is_chosen),
        TEST(part_of_a_launch),
        TEST(late_addresses),
        TEST(filters),
        TEST(filters_that_are_wrong),
        TEST(every_filter_answers),
        TEST(pages_while_things_vanish),
        TEST(parameters_that_no_action_has),
        TEST(a_token_is_forgotten_after_a_day),
        TEST(machines_need_the_sandboxs_network),
        TEST(keys_that_are_none),
        TEST(a_thousand),
    };
    return cmocka_run_group_tests_name("ec2", tests, NULL, NULL);
}

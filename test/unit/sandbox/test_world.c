/* How instances live, on a clock and machines of the test's own. */
#include "world_fixture.h"

static void pending_then_running(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "&KeyName=flambe-key&UserData=aGVsbG8%3D");
    assert_int_equal(i->state, STATE_PENDING);
    const struct host *h = fake_host(&f->hosts, i->r.id);
    assert_non_null(h); /* boots while pending */
    assert_string_equal(h->hostname, "ip-10-213-0-10");
    assert_string_equal(h->private_ip, "10.213.0.10");
    assert_string_equal(h->public_ip, "10.214.0.10");
    assert_string_equal(h->user_data, "hello");
    assert_int_equal(h->vcpus, 2);
    assert_int_equal(h->volume_gb, 8);
    assert_true(strncmp(h->public_key, PUBLIC_KEY, 60) == 0);

    assert_int_equal(world_next_change(f->w), i->launched + f->o.pending_for);
    pass(f, f->o.pending_for - 1);
    assert_int_equal(i->state, STATE_PENDING);
    pass(f, 1);
    assert_int_equal(i->state, STATE_RUNNING);
    assert_int_equal(f->changes, 1);
    assert_true(world_next_change(f->w) == USEC_FOREVER);
}

static void invisible_for_a_moment(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    assert_int_equal(ask(f, "DescribeInstances", ""), 200);
    assert_int_equal(count_of(f, "<instanceId>"), 0);
    assert_int_equal(act(f, "TerminateInstances", i), 400);
    assert_string_equal(f->code, "InvalidInstanceID.NotFound");
    pass(f, f->o.visible_after);
    assert_int_equal(ask(f, "DescribeInstances", ""), 200);
    assert_int_equal(count_of(f, "<instanceId>"), 1);
}

static void terminating_waits_for_the_machine(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    pass(f, SECOND);
    assert_int_equal(act(f, "TerminateInstances", i), 200);
    struct host *h = fake_host(&f->hosts, i->r.id);
    assert_true(h->stopping);
    pass(f, SECOND);
    assert_int_equal(i->state, STATE_SHUTTING_DOWN);
    fake_end(h, NULL);
    pass(f, 0);
    assert_int_equal(i->state, STATE_TERMINATED);
    assert_int_equal(f->hosts.destroyed, 1);
    assert_null(i->private_ip);
    assert_int_equal(f->w->lists[KIND_VOLUME].count, 0);
    assert_int_equal(f->w->lists[KIND_INTERFACE].count, 0);
    assert_string_equal(i->reason_code, "Client.UserInitiatedShutdown");

    pass(f, TERMINATED_SHOWN_FOR - 1);
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 1);
    pass(f, 1);
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 0);
}

static void a_machine_that_will_not_end_is_taken(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    pass(f, SECOND);
    assert_int_equal(act(f, "TerminateInstances", i), 200);
    pass(f, TERMINATE_GRACE - 1);
    assert_int_equal(i->state, STATE_SHUTTING_DOWN);
    pass(f, 1);
    assert_int_equal(i->state, STATE_TERMINATED);
    assert_null(f->hosts.first);
}

static void stop_and_start(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    pass(f, SECOND);
    AUTO_FREE char *public_ip = mem_dup(i->public_ip);
    assert_int_equal(act(f, "StopInstances", i), 200);
    struct host *h = fake_host(&f->hosts, i->r.id);
    pass(f, SECOND);
    assert_int_equal(i->state, STATE_STOPPING);
    fake_end(h, NULL);
    pass(f, 0);
    assert_int_equal(i->state, STATE_STOPPED);
    assert_null(i->public_ip);
    assert_string_equal(i->private_ip, "10.213.0.10");

    assert_int_equal(act(f, "StartInstances", i), 200);
    assert_int_equal(f->hosts.started, 1);
    assert_string_not_equal(i->public_ip, public_ip);
    assert_string_equal(h->public_ip, i->public_ip);
    assert_int_equal(i->state, STATE_PENDING);
    pass(f, SECOND);
    assert_int_equal(i->state, STATE_RUNNING);
}

static void a_stop_that_is_not_heard_pulls_the_plug(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    pass(f, SECOND);
    assert_int_equal(act(f, "StopInstances", i), 200);
    struct host *h = fake_host(&f->hosts, i->r.id);
    pass(f, STOP_GRACE - 1);
    assert_false(h->killed);
    pass(f, 1);
    assert_true(h->killed);
    fake_end(h, "killed");
    pass(f, 0);
    assert_int_equal(i->state, STATE_STOPPED);
}

static void shutdown_from_inside(void **state)
{
    struct fixture *f = *state;
    struct world_instance *stops = launch(f, "");
    struct world_instance *ends = launch(f, "&InstanceInitiatedShutdownBehavior=terminate");
    pass(f, SECOND);
    int before = f->changes;
    fake_end(fake_host(&f->hosts, stops->r.id), NULL);
    fake_end(fake_host(&f->hosts, ends->r.id), NULL);
    assert_int_equal(f->changes, before + 2);
    assert_int_equal(stops->state, STATE_STOPPING);
    assert_int_equal(ends->state, STATE_SHUTTING_DOWN);
    assert_string_equal(ends->reason_code, "Client.InstanceInitiatedShutdown");
    pass(f, SECOND);
    assert_int_equal(stops->state, STATE_STOPPED);
    assert_int_equal(ends->state, STATE_TERMINATED);
}

static void machines_that_fail(void **state)
{
    struct fixture *f = *state;
    struct world_instance *dies = launch(f, "");
    pass(f, SECOND);
    fake_end(fake_host(&f->hosts, dies->r.id), "out of memory");
    assert_int_equal(dies->state, STATE_SHUTTING_DOWN);
    assert_string_equal(dies->reason_code, "Server.InternalError");

    f->hosts.fail_create = true;
    struct world_instance *never = launch(f, "");
    assert_int_equal(never->state, STATE_PENDING);
    assert_true(world_next_change(f->w) <= f->now);
    pass(f, 0);
    assert_int_equal(never->state, STATE_SHUTTING_DOWN);
    assert_string_equal(never->reason_message, "Server.InternalError: Internal error on launch");
    pass(f, SECOND);
    assert_int_equal(never->state, STATE_TERMINATED);
}

static void the_operator_kills(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i = launch(f, "");
    pass(f, SECOND);
    struct err err = {0};
    assert_int_equal(world_kill(f->w, i, &err), 0);
    struct host *h = fake_host(&f->hosts, i->r.id);
    assert_true(h->killed);
    fake_end(h, NULL); /* even where the driver gives no reason */
    pass(f, SECOND);
    assert_int_equal(i->state, STATE_TERMINATED);
    assert_int_equal(world_kill(f->w, i, &err), -1);
    assert_int_equal(err.code, ERR_REJECTED);
}

static void spot_is_reclaimed_after_its_notice(void **state)
{
    struct fixture *f = *state;
    struct world_instance *plain = launch(f, "");
    struct world_instance *spot = launch(f, "&InstanceMarketOptions.MarketType=spot");
    pass(f, SECOND);
    struct err err = {0};
    assert_int_equal(world_reclaim(f->w, plain, SECOND, &err), -1);
    assert_int_equal(world_reclaim(f->w, spot, 120 * SECOND, &err), 0);
    struct imds_facts facts;
    assert_true(world_imds_facts(f->w, spot->private_ip, &facts));
    assert_string_equal(facts.spot_action,
                        "{\"action\":\"terminate\",\"time\":\"2027-01-15T08:02:01Z\"}");
    pass(f, 119 * SECOND);
    assert_int_equal(spot->state, STATE_RUNNING);
    pass(f, SECOND);
    assert_int_equal(spot->state, STATE_SHUTTING_DOWN);
    fake_end(fake_host(&f->hosts, spot->r.id), NULL);
    pass(f, SECOND);
    assert_int_equal(spot->state, STATE_TERMINATED);
    assert_string_equal(spot->reason_code, "Server.SpotInstanceTermination");
}

static void the_metadata_services_facts(void **state)
{
    struct fixture *f = *state;
    struct world_instance *i =
        launch(f, "&KeyName=flambe-key&MetadataOptions.HttpTokens=required"
                  "&MetadataOptions.InstanceMetadataTags=enabled&UserData=aGk%3D"
                  "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name"
                  "&TagSpecification.1.Tag.1.Value=one");
    struct imds_facts facts;
    assert_true(world_imds_facts(f->w, i->private_ip, &facts));
    assert_string_equal(facts.instance_id, i->r.id);
    assert_string_equal(facts.hostname, "ip-10-213-0-10.ec2.internal");
    assert_string_equal(facts.public_hostname, "ec2-10-214-0-10.compute-1.amazonaws.com");
    assert_string_equal(facts.security_groups, "default");
    assert_string_equal(facts.mac, "02:00:0a:d5:00:0a");
    assert_true(facts.tokens_required && facts.tags_visible);
    assert_true(str_is(facts.user_data, "hi"));
    assert_int_equal(facts.tag_count, 1);
    assert_string_equal(facts.tags[0].value, "one");
    assert_null(facts.spot_action);
    assert_false(world_imds_facts(f->w, "10.213.9.9", &facts));
    struct world_instance *off = launch(f, "&MetadataOptions.HttpEndpoint=disabled");
    assert_false(world_imds_facts(f->w, off->private_ip, &facts));
}

static void found_by_id_and_name(void **state)
{
    struct fixture *f = *state;
#define NAMED                                                                     \
    "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name" \
    "&TagSpecification.1.Tag.1.Value=one"
    struct world_instance *old = launch(f, NAMED);
    pass(f, SECOND);
    assert_ptr_equal(world_find(f->w, "one"), old);
    assert_int_equal(act(f, "TerminateInstances", old), 200);
    struct world_instance *young = launch(f, NAMED);
    assert_ptr_equal(world_find(f->w, "one"), young);
    assert_ptr_equal(world_find(f->w, old->r.id), old);
    assert_null(world_find(f->w, "two"));
    assert_ptr_equal(world_find_by_ip(f->w, young->private_ip), young);
}

static void settings(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(world_set(f->w, "pending-for", 2.5, &err), 0);
    struct world_instance *i = launch(f, "");
    pass(f, 2 * SECOND);
    assert_int_equal(i->state, STATE_PENDING);
    pass(f, SECOND);
    assert_int_equal(i->state, STATE_RUNNING);
    assert_int_equal(world_set(f->w, "pending-fur", 1, &err), -1);
    assert_non_null(strstr(err.msg, "pending-for"));
    assert_int_equal(world_set(f->w, "pending-for", -1, &err), -1);
    assert_int_equal(world_set(f->w, "vcpu-quota", 0.5, &err), -1);
    assert_int_equal(world_set(f->w, "vcpu-quota", 4, &err), 0);
    assert_int_equal(ask(f, "RunInstances", RUN), 200);
    assert_int_equal(ask(f, "RunInstances", RUN), 400);
    assert_string_equal(f->code, "VcpuLimitExceeded");
}

static void addresses_are_given_out_late_again(void **state)
{
    struct fixture *f = *state;
    struct world_instance *a = launch(f, "");
    pass(f, SECOND);
    assert_int_equal(act(f, "TerminateInstances", a), 200);
    pass(f, TERMINATE_GRACE);
    assert_int_equal(a->state, STATE_TERMINATED);
    struct world_instance *b = launch(f, "");
    assert_string_equal(b->private_ip, "10.213.0.11");
    assert_string_equal(b->public_ip, "10.214.0.11");
    struct world_instance *c = launch(f, "&PrivateIpAddress=10.213.0.12");
    struct world_instance *d = launch(f, "");
    assert_string_equal(c->private_ip, "10.213.0.12");
    assert_string_equal(d->private_ip, "10.213.0.13");
    assert_int_equal(ask(f, "RunInstances", RUN "&PrivateIpAddress=10.213.0.12"), 400);
    assert_string_equal(f->code, "InvalidIPAddress.InUse");
    assert_int_equal(ask(f, "RunInstances", RUN "&PrivateIpAddress=10.213.0.3"), 400);
    assert_string_equal(f->code, "InvalidParameterValue");
}

static void ranges(void **state)
{
    struct cidr c, d;
    assert_true(cidr_parse("10.213.7.9/20", &c));
    AUTO_FREE char *text = cidr_text(c);
    assert_string_equal(text, "10.213.0.0/20");
    assert_true(cidr_parse("10.213.15.0/24", &d) && cidr_holds(c, d) && !cidr_holds(d, c));
    assert_true(cidr_overlaps(d, c));
    assert_true(cidr_parse("10.213.16.0/24", &d) && !cidr_overlaps(c, d));
    assert_true(cidr_parse("0.0.0.0/0", &c) && cidr_holds(c, d));
    static const char *const wrong[] = {"",          "10.0.0.0",    "10.0.0.0/",   "10.0.0.0/33",
                                        "10.0.0/8",  "10.0.0.0/-1", "1.2.3.4.5/8", "10.0.0.0/8x",
                                        "a.b.c.d/8", "10.0.0.256/8"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(cidr_parse(wrong[i], &c));
}

static void names_in_other_regions(void **state)
{
    struct fixture *f = *state;
    struct world_options o = f->o;
    o.driver = (struct host_driver){0};
    o.region = "eu-west-1";
    struct world *w = world_new(&o);
    AUTO_FREE char *private_name = private_dns_name(w, "10.213.0.10");
    AUTO_FREE char *public_name = public_dns_name(w, "10.214.0.10");
    assert_string_equal(private_name, "ip-10-213-0-10.eu-west-1.compute.internal");
    assert_string_equal(public_name, "ec2-10-214-0-10.eu-west-1.compute.amazonaws.com");
    assert_true(zone_exists(w, "eu-west-1b"));
    assert_false(zone_exists(w, "us-east-1a"));
    assert_false(zone_exists(w, "eu-west-1c"));
    world_close(w, true);
}

static void a_seed_is_the_same_each_time(void **state)
{
    struct fixture *f = *state;
    struct world_options o = f->o;
    o.driver = (struct host_driver){0};
    struct world *w = world_new(&o);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        assert_int_equal(w->lists[kind].count, f->w->lists[kind].count);
        for (size_t i = 0; i < w->lists[kind].count; i++)
            assert_string_equal(w->lists[kind].items[i]->id, f->w->lists[kind].items[i]->id);
    }
    world_close(w, true);
}

static size_t openings(const struct world *w, int port)
{
    size_t n = 0;
    for (size_t i = 0; i < w->lists[KIND_GROUP].count; i++) {
        const struct world_group *g = (const void *)w->lists[KIND_GROUP].items[i];
        for (size_t k = 0; k < g->rules.count; k++) {
            const struct group_rule *r = (const struct group_rule *)g->rules.items + k;
            n += !r->egress && r->from == port && r->to == port && r->cidr;
        }
    }
    return n;
}

/* Else the first cluster of ghosts begins with a warning that no SSH gets in. */
static void the_seeded_group_opens_the_ports_of_ssh(void **state)
{
    struct fixture *f = *state;
    struct world_options o = f->o;
    o.driver = (struct host_driver){0};
    static const int ports[] = {0, 22, 2222};
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        o.ssh_port = ports[i];
        struct world *w = world_new(&o);
        assert_int_equal(openings(w, 22), 1);
        assert_int_equal(openings(w, 2222), ports[i] == 2222);
        world_close(w, true);
    }
}

#define DEEP_LEARNING \
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"

static void public_images(void **state)
{
    static const char *const names[] = {
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
        "/aws/service/debian/release/12/latest/amd64", DEEP_LEARNING};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_non_null(image_of(f->w, catalog_parameter(names[i])));
    assert_null(catalog_parameter("/aws/service/nothing"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pending_then_running),
        TEST(invisible_for_a_moment),
        TEST(terminating_waits_for_the_machine),
        TEST(a_machine_that_will_not_end_is_taken),
        TEST(stop_and_start),
        TEST(a_stop_that_is_not_heard_pulls_the_plug),
        TEST(shutdown_from_inside),
        TEST(machines_that_fail),
        TEST(the_operator_kills),
        TEST(spot_is_reclaimed_after_its_notice),
        TEST(the_metadata_services_facts),
        TEST(found_by_id_and_name),
        TEST(settings),
        TEST(addresses_are_given_out_late_again),
        TEST(names_in_other_regions),
        TEST(a_seed_is_the_same_each_time),
        TEST(the_seeded_group_opens_the_ports_of_ssh),
        TEST(public_images),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}

/* The plan: a pure function of what is wanted and what is there. */
#include "base/json.h"
#include "cluster/preflight_priv.h"
#include "unit.h"

static size_t count(const struct plan *p, enum plan_verb verb)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += p->steps[i].verb == verb;
    return n;
}

static struct plan plan_of(int factories, const struct cluster_hosts *h)
{
    struct cluster_spec spec = make_spec(factories);
    struct plan p = {0};
    struct err err = {0};
    assert_int_equal(plan_make(&spec, h, "us-east-1", &p, &err), 0);
    return p;
}

static void nothing_there_creates_all(void **state)
{
    struct cluster_hosts h = {0};
    CLEANUP(plan_done) struct plan p = plan_of(3, &h);
    assert_int_equal(count(&p, PLAN_CREATE), 4);
    assert_int_equal(p.missing, 4);
    assert_int_equal(p.alive, 0);
    assert_int_equal(p.steps[0].role, ROLE_ORCHESTRATOR);
    assert_string_equal(p.steps[0].type, "t3.small");
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(p.steps[i].index, (int)i);
        assert_string_equal(p.steps[i].type, "g4dn.xlarge");
    }
    assert_false(plan_is_empty(&p));
}

static void no_factories_is_legal(void **state)
{
    struct cluster_hosts h = {0};
    CLEANUP(plan_done) struct plan p = plan_of(0, &h);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.steps[0].role, ROLE_ORCHESTRATOR);
}

static void full_cluster(struct cluster_hosts *h)
{
    add_host(h, ROLE_ORCHESTRATOR, 0, "i-o", "t3.small", EC2_RUNNING);
    add_host(h, ROLE_FACTORY, 1, "i-1", "g4dn.xlarge", EC2_RUNNING);
    add_host(h, ROLE_FACTORY, 2, "i-2", "g4dn.xlarge", EC2_PENDING);
}

static void all_there_is_empty(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    assert_true(plan_is_empty(&p));
    assert_int_equal(p.alive, 3);
    assert_int_equal(p.differences.count, 0);
    assert_int_equal(p.actual.count, 3);
}

static void a_missing_number_is_filled(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    h.items[1].state = EC2_SHUTTING_DOWN; /* factory 1 */
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    assert_int_equal(p.missing, 1);
    assert_int_equal(p.alive, 2);
    assert_int_equal(p.steps[1].verb, PLAN_CREATE); /* steps are in the hosts' order */
    assert_int_equal(p.steps[1].index, 1);
    assert_int_equal(p.steps[2].verb, PLAN_KEEP);
}

static void the_number_counts_not_the_names(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    add_host(&h, ROLE_ORCHESTRATOR, 0, "i-o", "t3.small", EC2_RUNNING);
    add_host(&h, ROLE_FACTORY, 4, "i-4", "g4dn.xlarge", EC2_RUNNING);
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    assert_int_equal(p.missing, 1);
    assert_int_equal(p.steps[1].verb, PLAN_CREATE);
    assert_int_equal(p.steps[1].index, 1);
    assert_int_equal(p.extra, 0);
}

static void extra_factories_are_kept(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    CLEANUP(plan_done) struct plan p = plan_of(1, &h);
    assert_int_equal(p.extra, 1);
    assert_int_equal(count(&p, PLAN_KEEP), 3);
    assert_true(plan_is_empty(&p));
    AUTO_BUF struct buf text = {0};
    plan_text(&p, &text);
    assert_non_null(strstr(buf_text(&text), "1 more than the file asks for (kept)"));
}

static void stopped_ones_are_started(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    h.items[1].state = EC2_STOPPED;
    h.items[2].state = EC2_STOPPING;
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    assert_int_equal(count(&p, PLAN_START), 1);
    assert_int_equal(count(&p, PLAN_WAIT), 1);
    assert_int_equal(p.missing, 0);
    assert_false(plan_is_empty(&p));
}

static void differences_are_named_never_mended(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    free(h.items[1].type);
    h.items[1].type = mem_dup("t3.small");
    free(h.items[0].key_name);
    h.items[0].key_name = mem_dup("other");
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    assert_true(plan_is_empty(&p));
    assert_int_equal(p.differences.count, 2);
    assert_string_equal(p.differences.items[0],
                        "key_name: the file says key, orchestrator is other");
    assert_string_equal(p.differences.items[1],
                        "factories_type: the file says g4dn.xlarge, factory_1 is t3.small");
    AUTO_BUF struct buf text = {0};
    plan_text(&p, &text);
    assert_non_null(strstr(buf_text(&text), "3 alive, 0 missing, 2 differences"));
}

static void an_ami_differs_only_where_the_file_names_one(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    struct cluster_spec spec = make_spec(2);
    spec.orchestrator_ami = (char *)"resolve:ssm:/a/b";
    spec.factory_ami = (char *)"ami-2";
    CLEANUP(plan_done) struct plan p = {0};
    struct err err = {0};
    assert_int_equal(plan_make(&spec, &h, "r", &p, &err), 0);
    assert_int_equal(p.differences.count, 2); /* both factories */
    assert_non_null(strstr(p.differences.items[0], "factory_ami: the file says ami-2"));
}

static void two_orchestrators_are_an_error(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    add_host(&h, ROLE_ORCHESTRATOR, 0, "i-other", "t3.small", EC2_STOPPED);
    struct cluster_spec spec = make_spec(2);
    struct plan p = {0};
    struct err err = {0};
    assert_int_equal(plan_make(&spec, &h, "eu-west-1", &p, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.msg, "i-o "));
    assert_non_null(strstr(err.msg, "i-other"));
    assert_non_null(strstr(err.msg, "--region eu-west-1"));
    assert_null(p.steps);
    h.items[3].state = EC2_SHUTTING_DOWN; /* one that goes is none */
    CLEANUP(plan_done) struct plan again = plan_of(2, &h);
    assert_true(plan_is_empty(&again));
}

static void the_text_groups_and_prices(void **state)
{
    struct cluster_hosts h = {0};
    CLEANUP(plan_done) struct plan p = plan_of(20, &h);
    p.usd_per_hour = 10.541;
    AUTO_BUF struct buf text = {0};
    plan_text(&p, &text);
    assert_string_equal(buf_text(&text),
                        "cluster 'mine' of 'jane' in us-east-1: 0 alive, 21 missing\n"
                        "  create  mine_orchestrator  t3.small\n"
                        "  create  mine_factory_1 … mine_factory_20  g4dn.xlarge x 20\n"
                        "  about $10.54 an hour for the machines, until 'flambe down mine'\n");
    json_auto_t *json = plan_json(&p);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "steps")), 21);
    assert_int_equal(json_integer_value(json_object_get(json, "missing")), 21);
}

static void json_of_an_unknown_price_is_null(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    full_cluster(&h);
    CLEANUP(plan_done) struct plan p = plan_of(2, &h);
    json_auto_t *json = plan_json(&p);
    assert_true(json_is_null(json_object_get(json, "usd_per_hour")));
    assert_string_equal(json_text(json_array_get(json_object_get(json, "steps"), 1), "instance_id"),
                        "i-1");
}

static void batches_are_runs_of_numbers(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    add_host(&h, ROLE_FACTORY, 2, "i-2", "t", EC2_RUNNING);
    add_host(&h, ROLE_FACTORY, 5, "i-5", "t", EC2_RUNNING);
    CLEANUP(plan_done) struct plan p = plan_of(7, &h);
    struct batch b[8];
    assert_int_equal(launch_batches(&p, b, 8), 3);
    assert_int_equal(b[0].first, 1);
    assert_int_equal(b[0].count, 1);
    assert_int_equal(b[1].first, 3);
    assert_int_equal(b[1].count, 2);
    assert_int_equal(b[2].first, 6);
    assert_int_equal(b[2].count, 2);
}

static void a_thousand_take_ten_batches(void **state)
{
    struct cluster_hosts h = {0};
    CLEANUP(plan_done) struct plan p = plan_of(1000, &h);
    struct batch b[64];
    assert_int_equal(launch_batches(&p, b, 64), 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(b[i].first, i * 100 + 1);
        assert_int_equal(b[i].count, 100);
    }
}

static void iops_are_within_ec2s_limits(void **state)
{
    assert_int_equal(volume_iops("gp3", 100), 0);
    assert_int_equal(volume_iops("gp2", 100), 0);
    assert_int_equal(volume_iops("io1", 100), 5000);
    assert_int_equal(volume_iops("io1", 1), 100);
    assert_int_equal(volume_iops("io1", 16000), 64000);
    assert_int_equal(volume_iops("io2", 16000), 256000);
}

static void the_default_image_follows_the_type(void **state)
{
    struct ec2_instance_type t = {.architecture = (char *)"x86_64"};
    AUTO_FREE char *plain = default_image_parameter(&t);
    assert_string_equal(
        plain,
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id");
    t.architecture = (char *)"arm64";
    AUTO_FREE char *arm = default_image_parameter(&t);
    assert_non_null(strstr(arm, "/arm64/hvm/"));
    t = (struct ec2_instance_type){
        .architecture = (char *)"x86_64", .gpus = 1, .gpu_name = (char *)"T4"};
    AUTO_FREE char *gpu = default_image_parameter(&t);
    assert_non_null(
        strstr(gpu, "/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/"));
    t.gpu_name = (char *)"Radeon Pro V520"; /* g4ad: no NVIDIA driver for it */
    AUTO_FREE char *amd = default_image_parameter(&t);
    assert_non_null(strstr(amd, "/canonical/"));
}

static void a_group_admits_ssh_or_not(void **state)
{
    char *cidr[] = {(char *)"0.0.0.0/0"}, *self[] = {(char *)"sg-1"}, *other[] = {(char *)"sg-2"};
    struct ec2_ip_permission r = {
        .protocol = (char *)"tcp", .from_port = 22, .to_port = 22, .cidrs = {cidr, 1, 1}};
    struct ec2_security_group g = {.id = (char *)"sg-1", .ingress = &r, .ingress_count = 1};
    assert_true(group_admits(&g, 22));
    assert_false(group_admits(&g, 2222));
    r.to_port = 65535;
    assert_true(group_admits(&g, 2222));
    r.protocol = (char *)"udp";
    assert_false(group_admits(&g, 22));
    r = (struct ec2_ip_permission){
        .protocol = (char *)"-1", .from_port = -1, .to_port = -1, .cidrs = {cidr, 1, 1}};
    assert_true(group_admits(&g, 22));
    r.cidrs.count = 0;
    r.group_ids = (struct strv){self, 1, 1};
    assert_false(group_admits(&g, 22)); /* its own members only: not this laptop */
    r.group_ids = (struct strv){other, 1, 1};
    assert_true(group_admits(&g, 22));
}

static void prices_are_listed_or_not(void **state)
{
    assert_true(price_listed("t3.small") > 0.02 && price_listed("t3.small") < 0.03);
    assert_true(price_listed("x9.huge") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_there_creates_all),
        cmocka_unit_test(no_factories_is_legal),
        cmocka_unit_test(all_there_is_empty),
        cmocka_unit_test(a_missing_number_is_filled),
        cmocka_unit_test(the_number_counts_not_the_names),
        cmocka_unit_test(extra_factories_are_kept),
        cmocka_unit_test(stopped_ones_are_started),
        cmocka_unit_test(differences_are_named_never_mended),
        cmocka_unit_test(an_ami_differs_only_where_the_file_names_one),
        cmocka_unit_test(two_orchestrators_are_an_error),
        cmocka_unit_test(the_text_groups_and_prices),
        cmocka_unit_test(json_of_an_unknown_price_is_null),
        cmocka_unit_test(batches_are_runs_of_numbers),
        cmocka_unit_test(a_thousand_take_ten_batches),
        cmocka_unit_test(iops_are_within_ec2s_limits),
        cmocka_unit_test(the_default_image_follows_the_type),
        cmocka_unit_test(a_group_admits_ssh_or_not),
        cmocka_unit_test(prices_are_listed_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

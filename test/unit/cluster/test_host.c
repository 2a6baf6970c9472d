/* Names, numbers and phases of hosts. */
#include "unit.h"

static void names_are_the_originals(void **state)
{
    AUTO_FREE char *a = host_name("mine", ROLE_ORCHESTRATOR, 0);
    AUTO_FREE char *b = host_name("mine", ROLE_FACTORY, 12);
    AUTO_FREE char *one = host_batch_name("mine", 3, 3);
    AUTO_FREE char *many = host_batch_name("mine", 3, 20);
    assert_string_equal(a, "mine_orchestrator");
    assert_string_equal(b, "mine_factory_12");
    assert_string_equal(one, "mine_factory_3");
    assert_string_equal(many, "mine_factory_3-20");
}

static void batch_names_are_read_back(void **state)
{
    int first = 0, last = 0;
    assert_true(host_batch_parse(STR("mine_factory_7"), "mine", &first, &last));
    assert_int_equal(first, 7);
    assert_int_equal(last, 7);
    assert_true(host_batch_parse(STR("mine_factory_1-20"), "mine", &first, &last));
    assert_int_equal(first, 1);
    assert_int_equal(last, 20);
    static const char *const bad[] = {
        "mine_factory_",
        "mine_factory_0",
        "mine_factory_x",
        "mine_factory_5-",
        "mine_factory_5-4",
        "mine_factory_-1",
        "mine_factory_1-2-3",
        "mine_factory_ 1",
        "other_factory_1",
        "mine_orchestrator",
        "",
        "mine_factory_1 ",
        "mine_factory_99999999999999999999",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        first = last = -1;
        assert_false(host_batch_parse(str_of(bad[i]), "mine", &first, &last));
        assert_int_equal(first, -1);
    }
}

struct fake {
    const char *id, *role, *name;
    int launch_index;
    enum ec2_state state;
};

static void add_tag(struct ec2_instance *i, const char *key, const char *value)
{
    if (value)
        i->tags[i->tag_count++] = (struct ec2_tag){(char *)key, (char *)value};
}

static void read_hosts(const struct fake *fakes, size_t count, struct cluster_hosts *out)
{
    struct ec2_instance items[16] = {0};
    struct ec2_tag tags[16][4];
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct ec2_instance){.id = (char *)fakes[i].id,
                                         .state = fakes[i].state,
                                         .launch_index = fakes[i].launch_index,
                                         .launched = (usec_t)(i + 1) * USEC_PER_SEC,
                                         .tags = tags[i]};
        add_tag(&items[i], "Role", fakes[i].role);
        add_tag(&items[i], "Name", fakes[i].name);
    }
    struct ec2_instances all = {.items = items, .count = count};
    hosts_from_instances("mine", &all, out);
}

static void a_batch_is_numbered_by_launch_index(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    read_hosts(
        (struct fake[]){
            {"i-c", "Factory", "mine_factory_3-5", 2, EC2_RUNNING},
            {"i-o", "Orchestrator", "mine_orchestrator", 0, EC2_RUNNING},
            {"i-a", "Factory", "mine_factory_3-5", 0, EC2_PENDING},
            {"i-b", "Factory", "mine_factory_3-5", 1, EC2_STOPPED},
            {"i-z", "Factory", "mine_factory_1", 0, EC2_RUNNING},
        },
        5, &h);
    static const char *const names[] = {"mine_orchestrator", "mine_factory_1", "mine_factory_3",
                                        "mine_factory_4", "mine_factory_5"};
    static const char *const ids[] = {"i-o", "i-z", "i-a", "i-b", "i-c"};
    assert_int_equal(h.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(h.items[i].name, names[i]);
        assert_string_equal(h.items[i].instance_id, ids[i]);
    }
    assert_int_equal(h.items[2].phase, HOST_PENDING);
    assert_int_equal(h.items[3].phase, HOST_STOPPED);
    assert_int_equal(h.items[4].phase, HOST_RUNNING);
}

static void each_number_is_given_once(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    read_hosts(
        (struct fake[]){
            {"i-a", "Factory", "mine_factory_1-3", 0, EC2_RUNNING},
            {"i-b", "Factory", "mine_factory_1-3", 0, EC2_RUNNING}, /* no launch index told */
            {"i-c", "Factory", "mine_factory_1-3", 9, EC2_RUNNING}, /* beyond its batch */
            {"i-d", "Factory", NULL, 0, EC2_RUNNING},               /* tag removed by hand */
        },
        4, &h);
    assert_int_equal(h.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h.items[i].index, (int)i + 1);
}

static void one_that_goes_does_not_hold_its_number(void **state)
{
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    read_hosts(
        (struct fake[]){
            {"i-old", "Factory", "mine_factory_1", 0, EC2_SHUTTING_DOWN},
            {"i-new", "Factory", "mine_factory_1", 0, EC2_RUNNING},
        },
        2, &h);
    assert_string_equal(hosts_find(&h, "i-new")->name, "mine_factory_1");
    assert_int_equal(hosts_find(&h, "i-old")->phase, HOST_GOING);
}

static size_t changes;
static void count_change(void *ctx, const struct cluster_hosts *hosts, size_t index)
{
    changes++;
}

static void the_watch_hears_changes_only(void **state)
{
    struct cluster c = {.loop = loop_new(), .watch = {.host = count_change}};
    CLEANUP(cluster_hosts_done) struct cluster_hosts h = {0};
    add_host(&h, ROLE_FACTORY, 1, "i-1", "t3.small", EC2_RUNNING);
    changes = 0;
    host_set_phase(&c, &h, 0, HOST_BOOTING, NULL);
    host_set_phase(&c, &h, 0, HOST_BOOTING, NULL);
    assert_int_equal(changes, 1);
    host_set_phase(&c, &h, 0, HOST_BOOTING, "slow");
    host_set_phase(&c, &h, 0, HOST_BOOTING, h.items[0].note); /* its own note: no use after free */
    assert_int_equal(changes, 2);
    assert_string_equal(h.items[0].note, "slow");
    loop_free(c.loop);
}

static void every_phase_has_a_name(void **state)
{
    for (int p = HOST_PLANNED; p <= HOST_GONE; p++)
        assert_non_null(host_phase_name((enum host_phase)p));
    assert_string_equal(host_phase_name(HOST_BOOTING), "booting");
    assert_string_equal(cluster_role_name(ROLE_FACTORY), "Factory");
}

static void filters_match_literally(void **state)
{
    AUTO_FREE char *a = filter_escape("jane*?\\");
    assert_string_equal(a, "jane\\*\\?\\\\");
    assert_true(str_match(STR("jane*?\\"), str_of(a)));
    assert_false(str_match(STR("janexx\\"), str_of(a)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_the_originals),
        cmocka_unit_test(batch_names_are_read_back),
        cmocka_unit_test(a_batch_is_numbered_by_launch_index),
        cmocka_unit_test(each_number_is_given_once),
        cmocka_unit_test(one_that_goes_does_not_hold_its_number),
        cmocka_unit_test(the_watch_hears_changes_only),
        cmocka_unit_test(every_phase_has_a_name),
        cmocka_unit_test(filters_match_literally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

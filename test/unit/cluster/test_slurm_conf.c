/* Slurm's files are a pure function of the hosts. */
#include "cluster/slurm_conf.h"
#include "unit.h"

static const struct slurm_node two[] = {
    {.name = "factory_1", .address = "10.0.0.5", .cpus = 8, .gpus = 4, .memory_mb = 30000},
    {.name = "factory_2", .address = "10.0.0.6", .cpus = 2, .gpus = 1},
};

static struct slurm_cluster make(int version, bool cgroups, bool v1)
{
    return (struct slurm_cluster){.controller = "ip-10-0-0-4",
                                  .controller_address = "10.0.0.4",
                                  .version = version,
                                  .cgroups = cgroups,
                                  .cgroup_v1 = v1,
                                  .nodes = two,
                                  .count = COUNT_OF(two)};
}

static bool has_line(const struct buf *text, const char *line)
{
    AUTO_FREE char *whole = mem_printf("\n%s\n", line);
    AUTO_FREE char *all = mem_printf("\n%s", buf_text(text));
    return strstr(all, whole) != NULL;
}

static void hosts_become_nodes(void **state)
{
    (void)state;
    struct slurm_cluster c = make(2311, false, false);
    AUTO_BUF struct buf text = {0};
    slurm_conf(&c, &text);
    assert_true(has_line(&text, "SlurmctldHost=ip-10-0-0-4(10.0.0.4)"));
    assert_true(has_line(&text, "NodeName=factory_1 NodeAddr=10.0.0.5 CPUs=8 RealMemory=30000"
                                " Gres=gpu:4 State=UNKNOWN"));
    assert_true(has_line(&text, "NodeName=factory_2 NodeAddr=10.0.0.6 CPUs=2 Gres=gpu:1"
                                " State=UNKNOWN"));
    assert_true(has_line(&text, "PartitionName=flambe Default=YES MaxTime=INFINITE State=UP"
                                " OverSubscribe=NO Nodes=factory_1,factory_2"));
    assert_true(has_line(&text, "JobCompType=jobcomp/filetxt"));
    assert_true(has_line(&text, "JobCompLoc=/var/lib/flambe/slurm/jobcomp.log"));
    assert_true(has_line(&text, "MaxArraySize=5001"));
    assert_true(has_line(&text, "MaxJobCount=20000"));
    assert_true(has_line(&text, "ReturnToService=2"));
}

static void a_controller_alone_has_no_partition(void **state)
{
    (void)state;
    struct slurm_cluster c = make(2205, false, true);
    c.count = 0;
    AUTO_BUF struct buf text = {0};
    slurm_conf(&c, &text);
    assert_null(strstr(buf_text(&text), "PartitionName"));
}

static void gpus_are_devices_from_0(void **state)
{
    (void)state;
    struct slurm_cluster c = make(2205, false, false);
    AUTO_BUF struct buf text = {0};
    gres_conf(&c, &text);
    assert_true(has_line(&text, "NodeName=factory_1 Name=gpu File=/dev/nvidia[0-3]"));
    assert_true(has_line(&text, "NodeName=factory_2 Name=gpu File=/dev/nvidia0"));
}

/* 21.08 knows no CgroupPlugin, and would not start with a key that it does not know. */
static void cgroups_follow_the_hosts_and_the_version(void **state)
{
    (void)state;
    static const struct {
        int version;
        bool cgroups, v1;
        const char *track;
        bool plugin, constrain;
    } cases[] = {
        {2205, false, true, "ProctrackType=proctrack/linuxproc", true, false},
        {2108, false, true, "ProctrackType=proctrack/linuxproc", false, false},
        {2311, true, false, "ProctrackType=proctrack/cgroup", false, true},
        {2311, false, false, "ProctrackType=proctrack/linuxproc", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slurm_cluster c = make(cases[i].version, cases[i].cgroups, cases[i].v1);
        AUTO_BUF struct buf text = {0}, groups = {0};
        slurm_conf(&c, &text);
        cgroup_conf(&c, &groups);
        assert_true(has_line(&text, cases[i].track));
        assert_int_equal(has_line(&groups, "CgroupPlugin=cgroup/v1"), cases[i].plugin);
        assert_int_equal(has_line(&groups, "ConstrainRAMSpace=yes"), cases[i].constrain);
        assert_int_equal(has_line(&text, "TaskPlugin=task/cgroup"), cases[i].constrain);
    }
}

static void versions_are_read(void **state)
{
    (void)state;
    assert_int_equal(slurm_version(STR("slurm-wlm 22.05.8")), 2205);
    assert_int_equal(slurm_version(STR("slurm-wlm 21.08.5\n")), 2108);
    assert_int_equal(slurm_version(STR("slurm 23.11.4")), 2311);
    assert_int_equal(slurm_version(STR("slurm")), 0);
    assert_int_equal(slurm_version(STR("")), 0);
    assert_int_equal(slurm_version(STR("22.0")), 0);
    assert_int_equal(slurm_version(STR("sh: 1: slurmd: not found")), 0);
}

static void a_node_is_what_its_line_says(void **state)
{
    (void)state;
    struct slurm_cluster c = make(2205, false, false);
    AUTO_BUF struct buf text = {0};
    slurm_conf(&c, &text);
    for (size_t i = 0; i < COUNT_OF(two); i++) {
        AUTO_FREE char *head = mem_printf("NodeName=%s ", two[i].name);
        const char *at = strstr(buf_text(&text), head);
        assert_non_null(at);
        AUTO_FREE char *line = mem_dup_n(at, (size_t)(strchr(at, '\n') - at));
        struct slurm_node n;
        assert_true(slurm_node_read(line, &n));
        assert_string_equal(n.name, two[i].name);
        assert_string_equal(n.address, two[i].address);
        assert_int_equal(n.cpus, two[i].cpus);
        assert_int_equal(n.gpus, two[i].gpus);
        assert_int_equal(n.memory_mb, two[i].memory_mb);
    }
}

/* The line comes from a host. */
static void hostile_lines_are_no_nodes(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "NodeName=a",
        "NodeAddr=10.0.0.1",
        "NodeName=a;reboot NodeAddr=10.0.0.1",
        "NodeName=a NodeAddr=$(id)",
        "NodeName= NodeAddr=10.0.0.1",
        "nonsense",
        "NodeName=a NodeAddr=10.0.0.1 \x01",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        AUTO_FREE char *line = mem_dup(lines[i]);
        struct slurm_node n;
        assert_false(slurm_node_read(line, &n));
    }
    AUTO_FREE char *line =
        mem_dup("NodeName=a NodeAddr=10.0.0.1 CPUs=-4 RealMemory=99999999999999999999 Gres=gpu:x");
    struct slurm_node n;
    assert_true(slurm_node_read(line, &n));
    assert_int_equal(n.cpus, 0);
    assert_int_equal(n.memory_mb, 0);
    assert_int_equal(n.gpus, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_become_nodes),
        cmocka_unit_test(a_controller_alone_has_no_partition),
        cmocka_unit_test(gpus_are_devices_from_0),
        cmocka_unit_test(cgroups_follow_the_hosts_and_the_version),
        cmocka_unit_test(versions_are_read),
        cmocka_unit_test(a_node_is_what_its_line_says),
        cmocka_unit_test(hostile_lines_are_no_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

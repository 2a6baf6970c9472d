/* What a host is, in lxc's words; and the arithmetic of its addresses. */
#include "base/mem.h"
#include "sandbox/hosts_lxc_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void make(struct lxc *all, struct host *h)
{
    *all = (struct lxc){.cpus = 4,
                        .shared = (char *)"/s/shared",
                        .image = {.root = (char *)"/img/root", .light = (char *)"/img/light"}};
    assert_int_equal(ip_range_parse("10.213.0.0/16", &all->bridge.private_range, NULL), 0);
    assert_int_equal(ip_range_parse("10.214.0.0/20", &all->bridge.public_range, NULL), 0);
    all->bridge.name = (char *)"flambe0";
    *h = (struct host){.all = all,
                       .id = (char *)"i-0123456789abcdef0",
                       .name = (char *)"fl12345678-i-0123456789abcdef0",
                       .dir = (char *)"/s/hosts/i-0123456789abcdef0",
                       .hostname = (char *)"ip-10-213-0-10",
                       .private_ip = (char *)"10.213.0.10",
                       .public_ip = (char *)"10.214.0.10",
                       .vcpus = 2,
                       .memory_mib = 2048};
}

static bool has_line(const struct buf *text, const char *line)
{
    AUTO_FREE char *whole = mem_printf("\n%s\n", line);
    AUTO_FREE char *all = mem_printf("\n%s", buf_text(text));
    return strstr(all, whole) != NULL;
}

static void a_booted_host(void **state)
{
    (void)state;
    struct lxc all;
    struct host h;
    make(&all, &h);
    AUTO_BUF struct buf text = {0};
    lxc_config(&h, &text);
    assert_true(has_line(&text, "lxc.rootfs.path = "
                                "overlayfs:/img/root:/s/hosts/i-0123456789abcdef0/disk/upper"));
    assert_true(has_line(&text, "lxc.net.0.veth.pair = fv99f5b335534c"));
    assert_true(has_line(&text, "lxc.net.0.hwaddr = 02:00:0a:d5:00:0a"));
    assert_true(has_line(&text, "lxc.net.0.ipv4.address = 10.213.0.10/16 10.213.255.255"));
    assert_true(has_line(&text, "lxc.net.0.ipv4.address = 10.214.0.10/20 10.214.15.255"));
    assert_true(has_line(&text, "lxc.net.0.ipv4.gateway = 10.213.0.1"));
    assert_true(has_line(&text, "lxc.cgroup.memory.limit_in_bytes = 2048M"));
    assert_true(has_line(&text, "lxc.cgroup.cpuset.cpus = 0,1"));
    assert_true(has_line(&text, "lxc.init.cmd = /sbin/init"));
    assert_true(has_line(&text, "lxc.cgroup.devices.deny = a"));
    assert_true(
        has_line(&text, "lxc.mount.entry = /s/shared srv/flambe-shared none bind,create=dir 0 0"));
}

static void a_light_host_on_cgroup_v2(void **state)
{
    (void)state;
    struct lxc all;
    struct host h;
    make(&all, &h);
    all.cgroup2 = true;
    h.kind = HOST_LIGHT;
    h.first_cpu = 3;
    h.public_ip = NULL;
    AUTO_BUF struct buf text = {0};
    lxc_config(&h, &text);
    assert_true(has_line(&text, "lxc.rootfs.path = overlayfs:/img/light:/img/root:"
                                "/s/hosts/i-0123456789abcdef0/disk/upper"));
    assert_true(has_line(&text, "lxc.cgroup2.memory.max = 2048M"));
    assert_true(has_line(&text, "lxc.cgroup2.cpuset.cpus = 3,0"));
    assert_true(has_line(&text, "lxc.init.cmd = /usr/sbin/light-init"));
    assert_null(strstr(buf_text(&text), "10.214."));
    h.never_boots = true;
    buf_clear(&text);
    lxc_config(&h, &text);
    assert_null(strstr(buf_text(&text), "light-init"));
}

static void no_more_cpus_than_the_machine_has(void **state)
{
    (void)state;
    struct lxc all;
    struct host h;
    make(&all, &h);
    h.vcpus = 96;
    AUTO_BUF struct buf text = {0};
    lxc_config(&h, &text);
    assert_true(has_line(&text, "lxc.cgroup.cpuset.cpus = 0,1,2,3"));
}

static void interface_names_fit_and_differ(void **state)
{
    (void)state;
    char one[16], other[16];
    lxc_veth_name("fl12345678-i-0123456789abcdef0", one);
    lxc_veth_name("fl12345679-i-0123456789abcdef0", other);
    assert_int_equal(strlen(one), 14);
    assert_string_not_equal(one, other);
}

static void ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "10.213.0.0", "10.213.0.0/7",  "10.213.0.0/29", "10.213.0.1/16", "10.213.0.0/x",
        "::/16", "10.0.0/16",  "10.213.0.0/16 "};
    struct ip_range a, b;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = {0};
        assert_int_equal(ip_range_parse(bad[i], &a, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    assert_int_equal(ip_range_parse("10.213.0.0/16", &a, NULL), 0);
    assert_int_equal(ip_range_parse("10.213.128.0/17", &b, NULL), 0);
    assert_true(ip_range_overlap(a, b));
    assert_true(ip_range_overlap(b, a));
    assert_int_equal(ip_range_parse("10.214.0.0/16", &b, NULL), 0);
    assert_false(ip_range_overlap(a, b));
    assert_int_equal(ip_range_parse("10.0.0.0/8", &b, NULL), 0);
    assert_true(ip_range_overlap(a, b));
    char text[INET_ADDRSTRLEN];
    ip_range_address(a, 258, text);
    assert_string_equal(text, "10.213.1.2");
}

static void names_of_kinds(void **state)
{
    (void)state;
    for (int i = HOST_BOOTED; i <= HOST_GHOST; i++) {
        enum host_kind k = HOST_BOOTED;
        assert_true(host_kind_from_name(host_kind_name((enum host_kind)i), &k));
        assert_int_equal(k, i);
    }
    enum host_kind k;
    assert_false(host_kind_from_name("spectre", &k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_booted_host),
        cmocka_unit_test(a_light_host_on_cgroup_v2),
        cmocka_unit_test(no_more_cpus_than_the_machine_has),
        cmocka_unit_test(interface_names_fit_and_differ),
        cmocka_unit_test(ranges),
        cmocka_unit_test(names_of_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

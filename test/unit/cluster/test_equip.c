/* Equip's scripts as a host's shell sees them, and what a host says, which is hostile. */
#include "cluster/equip_priv.h"
#include "os/proc.h"
#include "unit.h"
#include <sys/stat.h>

#define NOW (1700000000 * USEC_PER_SEC)
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int run(const char *const *argv, const char *path, struct str input, struct buf *out)
{
    struct loop *loop = loop_new();
    AUTO_FREE char *path_line =
        mem_printf("PATH=%s%s/usr/bin:/bin", path ? path : "", path ? ":" : "");
    const char *env[] = {path_line, "SUDO_USER=u", NULL};
    struct proc_result r = {0};
    struct err err = {0};
    if (proc_run(loop, argv, env, input, 20 * USEC_PER_SEC, &r, &err) == -1)
        fail_msg("%s", err.msg);
    buf_add_str(out, buf_view(&r.out));
    buf_add_str(out, buf_view(&r.err_out));
    int status = r.exit_status;
    proc_result_done(&r);
    loop_free(loop);
    return status;
}

static void write_program(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = fs_join(dir, name);
    assert_int_equal(fs_write_atomic(path, 0755, str_of(text), NULL), 0);
}

/* ---- what a host says ---------------------------------------------------------------------- */

static void say(struct equip_probe *p, const char *line)
{
    probe_line(p, str_of(line), NOW);
}

static void a_host_is_what_it_says(void **state)
{
    (void)state;
    struct equip_probe p = {0};
    static const char *const lines[] = {
        "flambe: systemd",
        "flambe: packages ok",
        "flambe: hostname ip-10-0-0-4",
        "flambe: cpus 8",
        "flambe: memory 64000",
        "flambe: memory 2048", /* a container's limit is less */
        "flambe: cgroup v2",
        "flambe: gpus 2",
        "flambe: uid 1000",
        "flambe: disk 97% 1234",
        "flambe: equipped 0123456789abcdef",
        "flambe: node " HEX64,
        "flambe: munge " HEX64,
        "flambe: slurm slurm-wlm 22.05.8",
        "flambe: node factory_1 idle none",
        "flambe: node factory_2 down* Not responding",
        "flambe: was NodeName=factory_1 NodeAddr=10.0.0.5 CPUs=2",
        "flambe: active",
        "flambe: clock 1700000002.250000000",
        "flambe: ok",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        say(&p, lines[i]);
    assert_true(p.systemd && p.answered && p.packages_ok && p.cgroup_v2 && p.units_active);
    assert_false(p.cgroup_v1 || p.container || p.nfs_server);
    assert_string_equal(p.hostname, "ip-10-0-0-4");
    assert_int_equal(p.cpus, 8);
    assert_int_equal(p.gpus, 2);
    assert_int_equal(p.memory_mb, 2048);
    assert_int_equal(p.disk_used_percent, 97);
    assert_int_equal(p.disk_free_mb, 1234);
    assert_int_equal(p.slurm_version, 2205);
    assert_true(p.clock_known && p.clock_offset == 2250 * USEC_PER_MSEC);
    assert_string_equal(p.node, HEX64);
    assert_string_equal(p.munge, HEX64);
    assert_int_equal(p.node_count, 2);
    assert_string_equal(p.nodes[1].state, "down*");
    assert_string_equal(p.nodes[1].reason, "Not responding");
    assert_int_equal(p.was.count, 1);
    probe_done(&p);
}

static void what_is_malformed_is_not_believed(void **state)
{
    (void)state;
    struct equip_probe p = {0};
    static const char *const lines[] = {
        "systemd",
        "flambe:systemd",
        "flambe: hostname $(reboot)",
        "flambe: hostname -rf",
        "flambe: cpus 99999999",
        "flambe: cpus -1",
        "flambe: gpus x",
        "flambe: memory 99999999999999999999999",
        "flambe: equipped 0123456789abcdeg",
        "flambe: equipped 0123",
        "flambe: node 0123",
        "flambe: node a;b idle none",
        "flambe: munge short",
        "flambe: shared-directory relative",
        "flambe: shared-directory /srv/a b",
        "flambe: shared-directory /srv/'x",
        "flambe: clock now",
        "flambe: disk full",
        "flambe: packages okay",
        "flambe: ",
        "flambe:",
        "",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        say(&p, lines[i]);
    assert_false(p.systemd || p.answered || p.packages_ok || p.clock_known);
    assert_null(p.hostname);
    assert_null(p.shared_dir);
    assert_int_equal(p.cpus, 0);
    assert_int_equal(p.memory_mb, 0);
    assert_int_equal(p.node_count, 0);
    assert_string_equal(p.equipped, "");
    assert_string_equal(p.node, "");
    say(&p, "flambe: packages-error a\x1b[31mb");
    assert_string_equal(p.packages_error, "a?[31mb");
    for (int i = 0; i < 2 * EQUIP_NODES_MAX; i++)
        say(&p, "flambe: node a idle none");
    assert_int_equal(p.node_count, EQUIP_NODES_MAX);
    probe_done(&p);
}

/* ---- scripts ------------------------------------------------------------------------------- */

static const struct equip_host three[] = {
    {"orchestrator", "i-1", "10.0.0.4", ROLE_ORCHESTRATOR},
    {"factory_1", "i-2", "10.0.0.5", ROLE_FACTORY},
    {"factory_2", "i-3", "10.0.0.6", ROLE_FACTORY},
};
static const struct slurm_node nodes[] = {
    {.name = "factory_1", .address = "10.0.0.5", .cpus = 2},
    {.name = "factory_2", .address = "10.0.0.6", .cpus = 2},
};

struct wish {
    struct cluster_spec spec;
    struct slurm_cluster slurm;
    struct equip_plan plan;
};

static void make_wish(struct wish *w, enum equip_shared shared)
{
    w->spec = make_spec(2);
    w->spec.username = (char *)"ubuntu";
    w->slurm = (struct slurm_cluster){.controller = "ip-10-0-0-4",
                                      .controller_address = "10.0.0.4",
                                      .version = 2205,
                                      .nodes = nodes,
                                      .count = 2};
    w->plan = (struct equip_plan){.spec = &w->spec,
                                  .hosts = three,
                                  .count = 3,
                                  .slurm = &w->slurm,
                                  .shared = shared,
                                  .shared_dir = "/mnt/all",
                                  .has_node = true};
}

static void is_good_shell(const struct buf *script)
{
    AUTO_BUF struct buf out = {0};
    assert_int_equal(
        run((const char *const[]){"/bin/sh", "-n", NULL}, NULL, buf_view(script), &out), 0);
    assert_string_equal(buf_text(&out), "");
}

static void every_script_is_good_shell(void **state)
{
    (void)state;
    struct wish w;
    struct buf scripts[11] = {0};
    const char *const names[] = {"factory_1", "factory_2"};
    make_wish(&w, SHARED_NFS);
    script_orchestrator(&w.plan, &scripts[0]);
    script_end("0123456789abcdef", true, &scripts[0]);
    script_key(STR("a2V5"), true, &scripts[1]);
    script_factory(&w.plan, &three[1], &scripts[1]);
    script_end("0123456789abcdef", false, &scripts[1]);
    script_join(names, 2, true, &scripts[2]);
    script_gone(names, 2, &scripts[3]);
    script_node_spread(names, 2, 22, HEX64, &scripts[4]);
    script_packages_boot(ROLE_ORCHESTRATOR, true, &scripts[5]);
    script_packages_boot(ROLE_FACTORY, false, &scripts[6]);
    struct probe_ask ask = {.role = ROLE_ORCHESTRATOR, .slurm = true, .shared = "/mnt/all"};
    script_probe(&ask, &scripts[7]);
    ask.existed = true;
    ask.shared = NULL;
    script_probe(&ask, &scripts[10]);
    command_node_put(HEX64, &scripts[8]);
    make_wish(&w, SHARED_BIND);
    w.plan.jobs_here = true;
    script_orchestrator(&w.plan, &scripts[9]);
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        is_good_shell(&scripts[i]);
        buf_done(&scripts[i]);
    }
}

/* A fingerprint says whether a host has to be touched, so it follows each wish and nothing else. */
static void fingerprints_follow_wishes(void **state)
{
    (void)state;
    struct wish w;
    char one[17], same[17], other[17];
    struct buf text = {0};
    make_wish(&w, SHARED_NFS);
    script_factory(&w.plan, &three[1], &text);
    script_print(&text, one);
    buf_clear(&text);
    script_factory(&w.plan, &three[1], &text);
    script_print(&text, same);
    assert_string_equal(one, same);
    buf_clear(&text);
    make_wish(&w, SHARED_BIND);
    script_factory(&w.plan, &three[1], &text);
    script_print(&text, other);
    assert_string_not_equal(one, other);
    buf_done(&text);
}

static void nfs_never_hangs_and_is_for_the_factories_alone(void **state)
{
    (void)state;
    struct wish w;
    AUTO_BUF struct buf text = {0}, factory = {0};
    make_wish(&w, SHARED_NFS);
    script_orchestrator(&w.plan, &text);
    assert_non_null(strstr(buf_text(&text), "\n/srv/flambe 10.0.0.5(rw,sync,no_subtree_check)"
                                            " 10.0.0.6(rw,sync,no_subtree_check)\n"));
    assert_null(strstr(buf_text(&text), "srv-flambe.mount 0644"));
    script_factory(&w.plan, &three[2], &factory);
    assert_non_null(strstr(buf_text(&factory), "What=10.0.0.4:/srv/flambe\nType=nfs4\n"));
    assert_non_null(strstr(buf_text(&factory), ",lookupcache=pos,")); /* tools/check-vm says why */
    assert_non_null(strstr(buf_text(&factory), "softerr,timeo="));
    assert_non_null(strstr(buf_text(&factory), "-N factory_2 --conf-server 10.0.0.4:6817"));
}

/* ---- packages ------------------------------------------------------------------------------ */

struct box {
    char *dir, *bin;
};

static struct box make_box(void)
{
    struct box b = {.dir = make_dir()};
    b.bin = fs_join(b.dir, "bin");
    assert_int_equal(fs_mkdirs(b.bin, 0755, NULL), 0);
    static const char *const quiet[] = {"systemctl", "dpkg", "sleep"};
    for (size_t i = 0; i < COUNT_OF(quiet); i++)
        write_program(b.bin, quiet[i], "#!/bin/sh\nexit 0\n");
    return b;
}

static void drop_box(struct box *b)
{
    free(b->bin);
    drop_dir(b->dir);
}

/* The script with the host's paths moved into the box. */
static int run_packages(const struct box *b, struct buf *out)
{
    AUTO_BUF struct buf script = {0}, moved = {0};
    script_packages_boot(ROLE_FACTORY, true, &script);
    AUTO_FREE char *expression = mem_printf(
        "s|/var/lib/flambe|%s|g; s|/run/|%s/|g; s|/usr/sbin/policy|%s/policy|g;"
        " s|^PATH=[^ ]*|PATH=%s:/usr/bin:/bin|; s|slurmd sbatch munged mount.nfs|fakeslurmd|",
        b->dir, b->dir, b->dir, b->bin);
    assert_int_equal(
        run((const char *const[]){"/bin/sed", expression, NULL}, NULL, buf_view(&script), &moved),
        0);
    return run((const char *const[]){"/bin/sh", "-c", buf_text(&moved), NULL}, b->bin,
               (struct str){0}, out);
}

static char *said(const struct box *b, const char *name)
{
    AUTO_FREE char *path = fs_join(b->dir, name);
    AUTO_BUF struct buf text = {0};
    (void)!fs_read(path, 65536, &text, NULL);
    return buf_take(&text);
}

static void packages_that_are_there_ask_nobody(void **state)
{
    (void)state;
    struct box b = make_box();
    AUTO_BUF struct buf out = {0};
    write_program(b.bin, "fakeslurmd", "#!/bin/sh\n");
    write_program(b.bin, "rsync", "#!/bin/sh\n");
    AUTO_FREE char *apt = mem_printf("#!/bin/sh\n: > %s/asked\n", b.dir);
    write_program(b.bin, "apt-get", apt);
    assert_int_equal(run_packages(&b, &out), 0);
    AUTO_FREE char *end = said(&b, "packages");
    AUTO_FREE char *asked = fs_join(b.dir, "asked");
    assert_string_equal(end, "ok\n");
    assert_false(fs_exists(asked));
    drop_box(&b);
}

/* The second try brings them; nothing may start meanwhile. */
static void packages_are_tried_again(void **state)
{
    (void)state;
    struct box b = make_box();
    AUTO_BUF struct buf out = {0};
    AUTO_FREE char *apt =
        mem_printf("#!/bin/sh\ncase \"$*\" in *install*) ;; *) exit 0 ;; esac\n"
                   "[ -e %s/policy-rc.d ] || exit 9\n"
                   "if [ -e %s/tried ]; then printf '#!/bin/sh\\n' > %s/fakeslurmd;"
                   " chmod 755 %s/fakeslurmd; exit 0; fi\n"
                   ": > %s/tried; echo no mirror; exit 100\n",
                   b.dir, b.dir, b.bin, b.bin, b.dir);
    write_program(b.bin, "apt-get", apt);
    write_program(b.bin, "rsync", "#!/bin/sh\n");
    assert_int_equal(run_packages(&b, &out), 0);
    AUTO_FREE char *end = said(&b, "packages");
    AUTO_FREE char *policy = fs_join(b.dir, "policy-rc.d");
    assert_string_equal(end, "ok\n");
    assert_false(fs_exists(policy));
    drop_box(&b);
}

static void packages_that_do_not_come_say_why(void **state)
{
    (void)state;
    struct box b = make_box();
    AUTO_BUF struct buf out = {0};
    write_program(b.bin, "apt-get", "#!/bin/sh\necho no mirror; exit 100\n");
    assert_int_equal(run_packages(&b, &out), 0);
    AUTO_FREE char *end = said(&b, "packages");
    assert_int_equal(strncmp(end, "failed\n", 7), 0);
    assert_non_null(strstr(end, "no mirror"));
    drop_box(&b);
}

/* ---- flambe-node --------------------------------------------------------------------------- */

static void a_program_goes_compressed_and_comes_whole(void **state)
{
    (void)state;
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "node");
    AUTO_BUF struct buf bytes = {0}, packed = {0}, back = {0};
    for (int i = 0; i < 50000; i++)
        buf_addf(&bytes, "%d\n", i % 977);
    assert_int_equal(fs_write_atomic(path, 0755, buf_view(&bytes), NULL), 0);
    struct node_program n;
    assert_int_equal(node_program_load(path, &n, NULL), 0);
    assert_int_equal(node_program_pack(&n, &packed, NULL), 0);
    assert_true(packed.len < bytes.len / 2);
    assert_int_equal(
        run((const char *const[]){"/bin/gzip", "-dc", NULL}, NULL, buf_view(&packed), &back), 0);
    assert_true(str_eq(buf_view(&back), buf_view(&bytes)));
    node_program_done(&n);
    AUTO_FREE char *none = fs_join(dir, "none");
    assert_int_equal(node_program_load(none, &n, NULL), -1);
    drop_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_what_it_says),
        cmocka_unit_test(what_is_malformed_is_not_believed),
        cmocka_unit_test(every_script_is_good_shell),
        cmocka_unit_test(fingerprints_follow_wishes),
        cmocka_unit_test(nfs_never_hangs_and_is_for_the_factories_alone),
        cmocka_unit_test(packages_that_are_there_ask_nobody),
        cmocka_unit_test(packages_are_tried_again),
        cmocka_unit_test(packages_that_do_not_come_say_why),
        cmocka_unit_test(a_program_goes_compressed_and_comes_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

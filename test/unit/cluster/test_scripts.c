/* User data and the shell that runs on hosts, run for real by a shell. */
#include "config/yaml.h"
#include "os/proc.h"
#include "unit.h"
#include <sys/stat.h>

static struct loop *loop;

/* Runs argv with PATH beginning with `bin`, and gives its output and exit status. */
static int run(const char *const *argv, const char *bin, struct str input, struct buf *out)
{
    AUTO_FREE char *path = mem_printf("PATH=%s:/usr/bin:/bin", bin ? bin : "/usr/bin");
    const char *env[] = {path, "HOME=/nonexistent", "INSTANCE_ID=i-test", NULL};
    CLEANUP(proc_result_done) struct proc_result r = {0};
    struct err err = {0};
    if (proc_run(loop, argv, env, input, 20 * USEC_PER_SEC, &r, &err) == -1)
        fail_msg("%s", err.msg);
    buf_add_str(out, buf_view(&r.out));
    buf_add_str(out, buf_view(&r.err_out));
    return r.exit_status;
}

static void make_userdata(int minutes, struct buf *out)
{
    struct userdata u = {.host_key_private = STR("-----BEGIN\nab\"c\\d: 'e'\n-----END\n"),
                         .host_key_public = LINE_A,
                         .deadman_minutes = minutes,
                         .role = ROLE_ORCHESTRATOR,
                         .slurm = true};
    struct err err = {0};
    assert_int_equal(userdata_write(&u, out, &err), 0);
}

static void user_data_is_yaml_that_says_what_it_should(void **state)
{
    AUTO_BUF struct buf text = {0};
    make_userdata(20, &text);
    assert_true(
        str_starts(buf_view(&text), "#cloud-config\nbootcmd: ")); /* the dead-man is first */
    assert_true(text.len < USERDATA_MAX);
    struct diags d;
    diags_init(&d, "user-data", buf_view(&text));
    struct yaml_file file = {0};
    struct err err = {0};
    if (yaml_parse(buf_view(&text), &d, &file, &err) == -1)
        fail_msg("%s", err.msg);
    const struct yaml_node *root = file.documents[0];
    const struct yaml_node *keys = yaml_get(root, "ssh_keys");
    assert_string_equal(yaml_get(keys, "ed25519_private")->text,
                        "-----BEGIN\nab\"c\\d: 'e'\n-----END\n");
    assert_string_equal(yaml_get(keys, "ed25519_public")->text, LINE_A);
    assert_true(yaml_get(root, "ssh_deletekeys")->boolean);
    assert_int_equal(yaml_get(root, "bootcmd")->count, 1);
    assert_int_equal(yaml_get(root, "bootcmd")->items[0]->count, 3);
    const struct yaml_node *packages = yaml_get(root, "runcmd")->items[0];
    assert_int_equal(packages->count, 3);
    assert_non_null(strstr(packages->items[2]->text, "install slurmctld slurmd slurm-client munge "
                                                     "nfs-kernel-server rsync python3-venv"));
    yaml_done(&file);
    diags_done(&d);
}

static void too_long_user_data_is_refused(void **state)
{
    static char huge[USERDATA_MAX];
    memset(huge, 'x', sizeof huge);
    AUTO_BUF struct buf text = {0};
    struct err err = {0};
    struct userdata u = {
        .host_key_private = {huge, sizeof huge}, .host_key_public = LINE_A, .deadman_minutes = 1};
    assert_int_equal(userdata_write(&u, &text, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(text.len, 0);
}

static void write_program(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = fs_join(dir, name);
    assert_int_equal(fs_write_atomic(path, 0700, str_of(text), NULL), 0);
}

/* The bootcmd's script as cloud-init would run it, with a systemd-run that writes down its words.
 */
static void the_dead_man_is_armed_before_anything_else(void **state)
{
    AUTO_BUF struct buf text = {0}, out = {0};
    make_userdata(20, &text);
    struct diags d;
    diags_init(&d, "user-data", buf_view(&text));
    struct yaml_file file = {0};
    assert_int_equal(yaml_parse(buf_view(&text), &d, &file, NULL), 0);
    const struct yaml_node *words = yaml_get(file.documents[0], "bootcmd")->items[0];
    const char *argv[] = {words->items[0]->text, words->items[1]->text, words->items[2]->text,
                          NULL};
    char *dir = make_dir();
    write_program(dir, "systemd-run", "#!/bin/sh\nfor w; do echo \"[$w]\"; done\n");
    assert_int_equal(run(argv, dir, (struct str){0}, &out), 0);
    assert_non_null(strstr(buf_text(&out), "[--on-active=1200]"));
    assert_non_null(strstr(buf_text(&out), "[--unit=flambe-deadman]"));
    assert_non_null(strstr(buf_text(&out), "[--timer-property=DefaultDependencies=no]"));
    assert_non_null(strstr(buf_text(&out), "grep -qs '^i-test ' /var/lib/flambe/ready || "
                                           "systemctl poweroff"));
    assert_null(strchr(buf_text(&out), '$')); /* systemd would expand it */
    yaml_done(&file);
    diags_done(&d);
    drop_dir(dir);
}

static int run_setup(const char *const *commands, size_t count, struct buf *out)
{
    struct strv v = {0};
    for (size_t i = 0; i < count; i++)
        strv_add(&v, commands[i]);
    AUTO_BUF struct buf script = {0};
    script_setup(&v, "NONCE", &script);
    strv_done(&v);
    return run((const char *const[]){"/bin/sh", "-s", "flambe-setup", NULL}, NULL,
               buf_view(&script), out);
}

static void set_up_runs_in_order(void **state)
{
    AUTO_BUF struct buf out = {0};
    assert_int_equal(
        run_setup((const char *const[]){"echo 'one'; cat", "X=\"it's\"; echo \"$X\" >&2"}, 2, &out),
        0);
    assert_string_equal(buf_text(&out), "NONCE begin 1\none\nNONCE begin 2\nit's\n\nNONCE done\n");
}

static void set_up_stops_at_the_first_failure(void **state)
{
    AUTO_BUF struct buf out = {0};
    assert_int_equal(
        run_setup((const char *const[]){"echo a", "printf b; exit 7", "echo never"}, 3, &out), 1);
    assert_string_equal(buf_text(&out), "NONCE begin 1\na\nNONCE begin 2\nb\nNONCE failed 2 7\n");
}

static void shell_words_stay_one_word(void **state)
{
    static const char *const words[] = {"",     "a b", "it's", "$(id)", "`id`",
                                        "a\nb", "\\",  "''",   "-n"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        AUTO_BUF struct buf script = {0}, out = {0};
        buf_adds(&script, "printf '[%s]' ");
        shell_quote(words[i], &script);
        assert_int_equal(run((const char *const[]){"/bin/sh", "-c", buf_text(&script), NULL}, NULL,
                             (struct str){0}, &out),
                         0);
        AUTO_FREE char *wanted = mem_printf("[%s]", words[i]);
        assert_string_equal(buf_text(&out), wanted);
    }
}

static const struct map_host two_hosts[] = {
    {"mine_orchestrator", "10.0.0.1", "i-1", LINE_A},
    {"mine_factory_1", "10.0.0.2", "i-2", LINE_B},
};

static void make_finish(struct buf *out)
{
    struct finish f = {.instance_id = "i-1",
                       .orchestrator = true,
                       .cluster_key = LINE_A,
                       .hosts = two_hosts,
                       .count = 2,
                       .cluster = "mine",
                       .ssh_port = 2222,
                       .setup_print = "0123456789abcdef",
                       .map_print = "fedcba9876543210"};
    script_finish(&f, out);
}

static void every_script_is_good_shell(void **state)
{
    struct buf scripts[4] = {0};
    script_contact("i-1", true, true, &scripts[0]);
    script_contact("i-1", false, true, &scripts[1]);
    script_activate("i-1", &scripts[2]);
    make_finish(&scripts[3]);
    for (size_t i = 0; i < 4; i++) {
        AUTO_BUF struct buf out = {0};
        assert_int_equal(
            run((const char *const[]){"/bin/sh", "-n", NULL}, NULL, buf_view(&scripts[i]), &out),
            0);
        assert_string_equal(buf_text(&out), "");
        buf_done(&scripts[i]);
    }
}

/* The scripts themselves against a host's files in a directory: paths are moved there by sed, and
 * root, sshd's and the console's parts are played by programs of two lines. */
struct box {
    char *dir, *bin;
};

static struct box make_box(void)
{
    struct box b = {.dir = make_dir()};
    b.bin = fs_join(b.dir, "bin");
    static const char *const dirs[] = {"bin", "etc/ssh", "home", "var/lib", "run/systemd/system"};
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        AUTO_FREE char *d = fs_join(b.dir, dirs[i]);
        assert_int_equal(fs_mkdirs(d, 0755, NULL), 0);
    }
    AUTO_FREE char *getent = mem_printf("#!/bin/sh\necho \"u:x:1:1::%s/home:/bin/sh\"\n", b.dir);
    write_program(b.bin, "getent", getent);
    write_program(b.bin, "chown", "#!/bin/sh\nexit 0\n");
    write_program(b.bin, "systemctl", "#!/bin/sh\necho \"systemctl $*\" >> \"$0.log\"\n");
    write_program(b.bin, "id", "#!/bin/sh\necho 0\n");
    AUTO_FREE char *hosts = fs_join(b.dir, "etc/hosts");
    assert_int_equal(fs_write_atomic(hosts, 0644, STR("127.0.0.1 localhost\n"), NULL), 0);
    AUTO_FREE char *old = fs_join(b.dir, "etc/ssh/ssh_host_rsa_key");
    assert_int_equal(fs_write_atomic(old, 0600, STR("old\n"), NULL), 0);
    return b;
}

static void drop_box(struct box *b)
{
    free(b->bin);
    drop_dir(b->dir);
}

static void run_in_box(const struct box *b, const struct buf *script, struct buf *out)
{
    AUTO_BUF struct buf moved = {0};
    static const char *const roots[] = {"/etc/", "/var/lib/", "/run/"};
    for (const char *p = buf_text(script); *p; p++) {
        for (size_t i = 0; i < COUNT_OF(roots); i++)
            if (strncmp(p, roots[i], strlen(roots[i])) == 0 && (p[-1] == ' ' || p[-1] == '='))
                buf_adds(&moved, b->dir);
        if (strncmp(p, "/dev/console", 12) == 0) {
            buf_addf(&moved, "%s/console", b->dir);
            p += 11;
            continue;
        }
        buf_addc(&moved, *p);
    }
    struct buf text = {0};
    int status =
        run((const char *const[]){"/bin/sh", "-s", "x", NULL}, b->bin, buf_view(&moved), &text);
    if (status != 0)
        fail_msg("status %d: %s", status, buf_text(&text));
    buf_add_str(out, buf_view(&text));
    buf_done(&text);
}

static char *slurp(const struct box *b, const char *name)
{
    AUTO_FREE char *path = fs_join(b->dir, name);
    struct buf text = {0};
    struct err err = {0};
    if (fs_read(path, 65536, &text, &err) == -1)
        fail_msg("%s", err.msg);
    return buf_take(&text);
}

static bool there(const struct box *b, const char *name)
{
    AUTO_FREE char *path = fs_join(b->dir, name);
    return fs_exists(path);
}

static unsigned mode_of(const struct box *b, const char *name)
{
    AUTO_FREE char *path = fs_join(b->dir, name);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static char *contact_once(const struct box *b, const char *id)
{
    AUTO_BUF struct buf script = {0}, out = {0};
    script_contact(id, true, true, &script);
    run_in_box(b, &script, &out);
    struct contact_answer a;
    contact_answer_read(buf_view(&out), &a);
    assert_true(a.ok);
    assert_non_null(a.cluster_key);
    char *key = TAKE(a.host_key);
    contact_answer_done(&a);
    assert_non_null(key);
    return key;
}

static void activate_once(const struct box *b)
{
    AUTO_BUF struct buf script = {0}, out = {0};
    script_activate("i-1", &script);
    run_in_box(b, &script, &out);
}

static void the_host_key_rotates_and_may_be_asked_again(void **state)
{
    struct box b = make_box();
    AUTO_FREE char *first = contact_once(&b, "i-1");
    AUTO_FREE char *again = contact_once(&b, "i-1"); /* the laptop died before it pinned */
    assert_string_equal(first, again);
    assert_false(there(&b, "etc/ssh/ssh_host_ed25519_key"));
    activate_once(&b);
    AUTO_FREE char *served = slurp(&b, "etc/ssh/ssh_host_ed25519_key.pub");
    assert_int_equal(mode_of(&b, "etc/ssh/ssh_host_ed25519_key.pub"), 0644);
    assert_int_equal(mode_of(&b, "etc/ssh/ssh_host_ed25519_key"), 0600);
    assert_true(str_starts(str_of(served), first));
    assert_false(there(&b, "etc/ssh/ssh_host_rsa_key"));
    AUTO_FREE char *console = slurp(&b, "console");
    AUTO_STRV struct strv keys = {0};
    assert_true(console_host_keys(str_of(console), &keys));
    assert_string_equal(keys.items[0], first);
    AUTO_FREE char *after = contact_once(&b, "i-1"); /* rotated: the same key from now on */
    assert_string_equal(after, first);
    activate_once(&b);
    assert_false(there(&b, "var/lib/flambe/next"));
    drop_box(&b);
}

static void an_image_of_a_host_starts_anew(void **state)
{
    struct box b = make_box();
    AUTO_FREE char *first = contact_once(&b, "i-1");
    activate_once(&b);
    AUTO_FREE char *other = contact_once(&b, "i-2");
    assert_string_not_equal(first, other);
    drop_box(&b);
}

static void the_map_is_written_once(void **state)
{
    struct box b = make_box();
    free(contact_once(&b, "i-1"));
    for (int i = 0; i < 2; i++) { /* twice: a second run must not double anything */
        AUTO_BUF struct buf script = {0}, out = {0};
        make_finish(&script);
        run_in_box(&b, &script, &out);
        assert_non_null(strstr(buf_text(&out), "flambe: ok"));
    }
    AUTO_FREE char *hosts = slurp(&b, "etc/hosts");
    assert_string_equal(hosts, "127.0.0.1 localhost\n# flambe begin\n"
                               "10.0.0.1 mine_orchestrator orchestrator\n"
                               "10.0.0.2 mine_factory_1 factory_1\n# flambe end\n");
    AUTO_FREE char *authorized = slurp(&b, "home/.ssh/authorized_keys");
    assert_string_equal(authorized, "# flambe begin\n" LINE_A " flambe-cluster\n# flambe end\n");
    AUTO_FREE char *config = slurp(&b, "home/.ssh/config");
    assert_string_equal(config, "Include flambe_config\n");
    AUTO_FREE char *known = slurp(&b, "home/.ssh/flambe_known_hosts");
    assert_non_null(strstr(known, "mine_factory_1,factory_1,10.0.0.2 " LINE_B "\n"));
    /* 'ssh factory_1' goes to the cluster's port, for which ssh has other names */
    assert_non_null(
        strstr(known, "[mine_factory_1]:2222,[factory_1]:2222,[10.0.0.2]:2222 " LINE_B "\n"));
    AUTO_FREE char *inside = slurp(&b, "home/.ssh/flambe_config");
    assert_non_null(strstr(inside, " factory_1 10.0.0.2\n  Port 2222\n"));
    AUTO_FREE char *ready = slurp(&b, "var/lib/flambe/ready");
    assert_string_equal(ready, "i-1 0123456789abcdef fedcba9876543210\n");
    struct check_answer a;
    check_answer_read(str_of(ready), "i-1", &a);
    assert_true(a.ready);
    check_answer_done(&a);
    AUTO_FREE char *log = slurp(&b, "bin/systemctl.log");
    assert_non_null(strstr(log, "systemctl stop flambe-deadman.timer\n"));
    drop_box(&b);
}

static void prints_change_with_what_they_stand_for(void **state)
{
    char a[17], b[17], c[17];
    struct strv v = {0};
    setup_print(&v, a);
    strv_add(&v, "x");
    setup_print(&v, b);
    assert_string_not_equal(a, b);
    strv_add(&v, "y");
    setup_print(&v, a);
    struct strv w = {0};
    strv_add(&w, "xy");
    setup_print(&w, c);
    assert_string_not_equal(a, c);
    map_print(two_hosts, 2, a);
    map_print(two_hosts, 1, b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 16);
    strv_done(&v);
    strv_done(&w);
}

/* A host without systemd has nobody to run cloud-init: its word would be waited for in vain. */
static void cloud_init_is_waited_for_where_systemd_runs(void **state)
{
    struct box b = make_box();
    write_program(b.bin, "cloud-init", "#!/bin/sh\necho \"$*\" >> \"$0.log\"\n");
    struct strv commands = {0};
    strv_add(&commands, "true");
    AUTO_BUF struct buf script = {0}, out = {0};
    script_setup(&commands, "NONCE", &script);
    strv_done(&commands);
    AUTO_FREE char *systemd = fs_join(b.dir, "run/systemd/system");
    assert_int_equal(rmdir(systemd), 0);
    run_in_box(&b, &script, &out);
    assert_false(there(&b, "bin/cloud-init.log"));
    assert_int_equal(mkdir(systemd, 0755), 0);
    run_in_box(&b, &script, &out);
    AUTO_FREE char *log = slurp(&b, "bin/cloud-init.log");
    assert_string_equal(log, "status --wait\n");
    drop_box(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_data_is_yaml_that_says_what_it_should),
        cmocka_unit_test(too_long_user_data_is_refused),
        cmocka_unit_test(the_dead_man_is_armed_before_anything_else),
        cmocka_unit_test(set_up_runs_in_order),
        cmocka_unit_test(set_up_stops_at_the_first_failure),
        cmocka_unit_test(shell_words_stay_one_word),
        cmocka_unit_test(every_script_is_good_shell),
        cmocka_unit_test(the_host_key_rotates_and_may_be_asked_again),
        cmocka_unit_test(an_image_of_a_host_starts_anew),
        cmocka_unit_test(the_map_is_written_once),
        cmocka_unit_test(cloud_init_is_waited_for_where_systemd_runs),
        cmocka_unit_test(prints_change_with_what_they_stand_for),
    };
    loop = loop_new();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return rc;
}

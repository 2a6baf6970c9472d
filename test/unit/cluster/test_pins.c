/* known_hosts, console output, alarm shapes, and what hosts are believed. */
#include "unit.h"
#include <sys/stat.h>

static void pins_survive_and_change(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "known_hosts");
    CLEANUP(pinfile_done) struct pins p = {0};
    assert_int_equal(pinfile_load(path, &p, NULL), 0); /* missing: empty */
    pinfile_add(&p, "i-1", LINE_A, false);
    pinfile_add(&p, "i-1", LINE_A, false); /* once */
    pinfile_add(&p, "i-1", LINE_B, false);
    pinfile_add(&p, "i-2", LINE_A, false);
    assert_int_equal(pinfile_save(&p, NULL), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    CLEANUP(pinfile_done) struct pins q = {0};
    assert_int_equal(pinfile_load(path, &q, NULL), 0);
    assert_int_equal(pinfile_count(&q, "i-1"), 2);
    const char *lines[4];
    assert_int_equal(pinfile_get(&q, "i-1", lines, 4), 2);
    pinfile_set(&q, "i-1", &lines[1], 1); /* from its own memory */
    assert_int_equal(pinfile_count(&q, "i-1"), 1);
    assert_int_equal(pinfile_get(&q, "i-1", lines, 4), 1);
    assert_string_equal(lines[0], LINE_B);
    assert_int_equal(pinfile_count(&q, "i-2"), 1);
    assert_int_equal(pinfile_count(&q, "i"), 0);
    drop_dir(dir);
}

static void a_first_key_is_known_as_such(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "known_hosts");
    CLEANUP(pinfile_done) struct pins p = {0};
    assert_int_equal(pinfile_load(path, &p, NULL), 0);
    assert_false(pinfile_is_first(&p, "i-1"));
    pinfile_add(&p, "i-1", LINE_A, true);
    pinfile_add(&p, "i-2", LINE_A, true);
    pinfile_add(&p, "i-2", LINE_B, false); /* the host has shown its own */
    assert_int_equal(pinfile_save(&p, NULL), 0);
    CLEANUP(pinfile_done) struct pins q = {0};
    assert_int_equal(pinfile_load(path, &q, NULL), 0);
    assert_true(pinfile_is_first(&q, "i-1"));
    assert_false(pinfile_is_first(&q, "i-2"));
    assert_int_equal(pinfile_count(&q, "i-2"), 2);
    const char *lines[1] = {LINE_B};
    pinfile_set(&q, "i-1", lines, 1);
    assert_false(pinfile_is_first(&q, "i-1"));
    drop_dir(dir);
}

static void damaged_lines_pin_nothing(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "known_hosts");
    static const char text[] =
        "# comment\n\ni-1 ssh-ed25519 AAAA\ni-2\ni-3 " LINE_A " c\ni-4 " LINE_B;
    assert_int_equal(fs_write_atomic(path, 0600, str_of(text), NULL), 0);
    CLEANUP(pinfile_done) struct pins p = {0};
    assert_int_equal(pinfile_load(path, &p, NULL), 0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.items[0].line, LINE_A); /* without its comment */
    assert_string_equal(p.items[1].host, "i-4");
    drop_dir(dir);
}

static void a_console_vouches_for_its_last_block(void **state)
{
    AUTO_STRV struct strv keys = {0};
    struct str console = STR("booting\r\n"
                             "[   12.3] cloud-init[800]: -----BEGIN SSH HOST KEY KEYS-----\r\n"
                             "[   12.3] cloud-init[800]: " LINE_A " root@host\r\n"
                             "-----END SSH HOST KEY KEYS-----\r\n"
                             "more\n-----BEGIN SSH HOST KEY KEYS-----\n" LINE_B
                             " flambe\n-----END SSH HOST KEY KEYS-----\n"
                             "-----BEGIN SSH HOST KEY KEYS-----\n" LINE_A "\n(cut)");
    assert_true(console_host_keys(console, &keys));
    assert_int_equal(keys.count, 1);
    assert_string_equal(keys.items[0], LINE_B);
}

static void a_console_without_keys_says_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "nothing",
        LINE_A "\n",
        "-----BEGIN SSH HOST KEY KEYS-----\n-----END SSH HOST KEY KEYS-----\n",
        "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 garbage\n-----END SSH HOST KEY KEYS-----\n",
        "-----END SSH HOST KEY KEYS-----\n" LINE_A "\n-----BEGIN SSH HOST KEY KEYS-----\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO_STRV struct strv keys = {0};
        assert_false(console_host_keys(str_of(texts[i]), &keys));
        assert_int_equal(keys.count, 0);
    }
}

static void alarms_keep_the_originals_meaning(void **state)
{
    struct alarm_shape s;
    assert_false(alarm_shape(ROLE_FACTORY, -1, &s));
    assert_true(alarm_shape(ROLE_FACTORY, 0, &s));
    assert_int_equal(s.period_s * s.evaluations, 5 * 60);
    assert_true(s.cpu_percent == 0.5);
    assert_true(alarm_shape(ROLE_ORCHESTRATOR, 1, &s));
    assert_int_equal(s.period_s * s.evaluations, 3600);
    assert_true(s.cpu_percent == 4.0);
    assert_false(alarm_shape(ROLE_FACTORY, ALARM_HOURS_MAX + 1, &s));
}

/* CloudWatch: Period × EvaluationPeriods up to a day where Period < 3600, up to a week otherwise.
 */
static void every_alarm_fits_cloudwatch(void **state)
{
    for (int hours = 0; hours <= ALARM_HOURS_MAX; hours++) {
        struct alarm_shape s;
        assert_true(alarm_shape(ROLE_FACTORY, hours, &s));
        assert_true(s.period_s >= 300 && s.period_s % 60 == 0 && s.evaluations >= 1);
        assert_true(s.period_s * s.evaluations <= (s.period_s < 3600 ? 86400 : 604800));
        assert_int_equal(s.period_s * s.evaluations, hours ? hours * 3600 : 300);
    }
}

static void alarm_names_do_not_run_into_each_other(void **state)
{
    AUTO_FREE char *a = alarm_prefix("a", "b-c"), *b = alarm_prefix("a-b", "c");
    AUTO_FREE char *c = alarm_prefix("a/b", "c"), *d = alarm_prefix("a", "b/c");
    assert_string_equal(a, "flambe/a/b-c/");
    assert_string_not_equal(a, b);
    assert_string_not_equal(c, d);
    AUTO_FREE char *name = alarm_name("jane", "mine", "i-0123456789abcdef0");
    assert_string_equal(name, "flambe/jane/mine/i-0123456789abcdef0/idle");
    char big[300];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    AUTO_FREE char *huge = alarm_name(big, big, "i-0123456789abcdef0");
    assert_true(strlen(huge) <= 255);
}

static void a_hosts_words_are_checked(void **state)
{
    struct contact_answer a;
    contact_answer_read(STR("motd\r\nflambe: host-key " LINE_A " c\r\nflambe: cluster-key " LINE_B
                            "\nflambe: host-key " LINE_B "\nflambe: ok\n"),
                        &a);
    assert_string_equal(a.host_key, LINE_A); /* the first counts */
    assert_string_equal(a.cluster_key, LINE_B);
    assert_true(a.ok);
    contact_answer_done(&a);
    contact_answer_read(
        STR("flambe: host-key ssh-ed25519 AAAA; rm -rf /\nflambe: error \x1b[31mbad"), &a);
    assert_null(a.host_key);
    assert_false(a.ok);
    assert_string_equal(a.error, "?[31mbad");
    contact_answer_done(&a);
}

static void a_ready_marker_is_for_one_instance(void **state)
{
    struct check_answer a;
    struct str text =
        STR("i-1 0123456789abcdef fedcba9876543210\nflambe: cluster-key " LINE_A "\n");
    check_answer_read(text, "i-1", &a);
    assert_true(a.ready);
    assert_string_equal(a.setup_print, "0123456789abcdef");
    assert_string_equal(a.map_print, "fedcba9876543210");
    assert_string_equal(a.cluster_key, LINE_A);
    check_answer_done(&a);
    check_answer_read(text, "i-2", &a); /* made from an image of i-1 */
    assert_false(a.ready);
    check_answer_done(&a);
    static const char *const bad[] = {"",
                                      "i-1",
                                      "i-1 0123",
                                      "i-1 0123456789abcdef",
                                      "i-1 0123456789abcdeg fedcba9876543210",
                                      "i-1  0123456789abcdef fedcba9876543210"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        check_answer_read(str_of(bad[i]), "i-1", &a);
        assert_false(a.ready);
        check_answer_done(&a);
    }
}

static void records_are_listed(void **state)
{
    char *dir = make_dir();
    struct cluster c = {.state_root = dir};
    struct cluster_records l;
    assert_int_equal(cluster_records_list(&c, &l, NULL), 0);
    assert_int_equal(l.count, 0);
    static const char *const names[] = {"b", "a"};
    for (size_t i = 0; i < 2; i++) {
        AUTO_FREE char *d = mem_printf("%s/clusters/us-east-1/jane/%s", dir, names[i]);
        assert_int_equal(fs_mkdirs(d, 0700, NULL), 0);
        AUTO_FREE char *path = fs_join(d, "cluster.json");
        AUTO_FREE char *text = mem_printf("{\"name\":\"%s\",\"creator\":\"jane\",\"region\":"
                                          "\"us-east-1\",\"username\":\"u\",\"key\":\"/k\","
                                          "\"file\":\"/f\",\"ssh_port\":22}",
                                          names[i]);
        assert_int_equal(fs_write_atomic(path, 0600, str_of(text), NULL), 0);
    }
    AUTO_FREE char *odd = mem_printf("%s/clusters/us-east-1/jane/c", dir);
    AUTO_FREE char *odd_file = mem_printf("%s/cluster.json", odd);
    assert_int_equal(fs_mkdirs(odd, 0700, NULL), 0);
    assert_int_equal(fs_write_atomic(odd_file, 0600, STR("{}"), NULL), 0);
    assert_int_equal(cluster_records_list(&c, &l, NULL), 0);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[0].name, "a");
    assert_string_equal(l.items[1].key_path, "/k");
    cluster_records_done(&l);
    drop_dir(dir);
}

static void path_components_are_safe(void **state)
{
    AUTO_FREE char *a = state_component("../x/y z"), *b = state_component(".");
    AUTO_FREE char *c = state_component("jane.doe_1-x");
    assert_string_equal(a, "%2E.%2Fx%2Fy%20z");
    assert_string_equal(b, "%2E");
    assert_string_equal(c, "jane.doe_1-x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_survive_and_change),
        cmocka_unit_test(a_first_key_is_known_as_such),
        cmocka_unit_test(damaged_lines_pin_nothing),
        cmocka_unit_test(a_console_vouches_for_its_last_block),
        cmocka_unit_test(a_console_without_keys_says_nothing),
        cmocka_unit_test(alarms_keep_the_originals_meaning),
        cmocka_unit_test(every_alarm_fits_cloudwatch),
        cmocka_unit_test(alarm_names_do_not_run_into_each_other),
        cmocka_unit_test(a_hosts_words_are_checked),
        cmocka_unit_test(a_ready_marker_is_for_one_instance),
        cmocka_unit_test(records_are_listed),
        cmocka_unit_test(path_components_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

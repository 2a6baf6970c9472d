/* What an orchestrator says of the files that it sent on, and the scripts' shell. */
#include "cluster/files.h"
#include "cluster/files_priv.h"
#include "os/proc.h"
#include "unit.h"

static void names_are_an_experiments_or_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "sweep_2-b", "9x"};
    static const char *const bad[] = {"", "a b", "../x", "a/b", "a.b", "$(x)", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(files_name_valid(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(files_name_valid(bad[i]));
}

static void each_hosts_end_is_read(void **state)
{
    (void)state;
    struct files_host hosts[] = {
        {.name = "factory_1"}, {.name = "factory_2"}, {.name = "factory_12"}};
    size_t which = 9;
    assert_false(files_read_host(STR("flambe: ok"), hosts, 3, &which));
    assert_false(files_read_host(STR("flambe: host factory_3 0 "), hosts, 3, &which));
    assert_false(files_read_host(STR("flambe: host factory_1 x "), hosts, 3, &which));
    assert_false(files_read_host(STR("flambe: host factory_1"), hosts, 3, &which));
    assert_false(files_read_host(STR("flambe: host factory_1 300 "), hosts, 3, &which));
    assert_true(files_read_host(STR("flambe: host factory_12 0 "), hosts, 3, &which));
    assert_int_equal(which, 2);
    assert_true(hosts[2].done && !hosts[2].err.code);
    assert_true(files_read_host(STR("flambe: host factory_1 24 some vanished"), hosts, 3, &which));
    assert_int_equal(hosts[0].err.code, ERR_NONE);
    assert_true(files_read_host(
        STR("flambe: host factory_2 11 rsync: [receiver] write failed on \"/x\": No space left on "
            "device (28)"),
        hosts, 3, &which));
    assert_int_equal(hosts[1].err.code, ERR_REMOTE);
    assert_string_equal(hosts[1].err.msg, "the disk of factory_2 is full: free some of it, or make "
                                          "the cluster with a larger 'volume_size'");
    /* a host is said once: what comes behind it is none of ours */
    assert_false(files_read_host(STR("flambe: host factory_2 0 "), hosts, 3, &which));
}

static void the_scripts_are_a_shells(void **state)
{
    (void)state;
    const char *const scripts[] = {script_files_make,   script_files_names, script_files_beside,
                                   script_files_spread, script_secrets_put, script_secrets_drop,
                                   script_unfetched,    script_fetch_begin, script_fetch_end};
    struct loop *loop = loop_new();
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        const char *argv[] = {"sh", "-n", "-c", scripts[i], NULL};
        CLEANUP(proc_result_done) struct proc_result r = {0};
        struct err err = {0};
        assert_int_equal(proc_run(loop, argv, NULL, STR(""), 20 * USEC_PER_SEC, &r, &err), 0);
        if (r.exit_status != 0)
            fail_msg("%s", buf_text(&r.err_out));
        AUTO_BUF struct buf command = {0};
        files_command(scripts[i], "x", "name", &command);
        assert_true(command.len < 128 * 1024);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_an_experiments_or_refused),
        cmocka_unit_test(each_hosts_end_is_read),
        cmocka_unit_test(the_scripts_are_a_shells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

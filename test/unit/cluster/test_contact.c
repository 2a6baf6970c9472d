/* Waiting for hosts that never come: EC2 may never give an address, and `up` must end. */
#include "cluster/contact_priv.h"
#include "unit.h"

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static bool settled(void *contacts)
{
    contacts_update(contacts);
    return contacts_settled(contacts);
}

static void a_host_without_an_address_is_given_up(void **state)
{
    (void)state;
    char *dir = make_dir();
    struct loop *loop = loop_new();
    struct cluster c = {.loop = loop, .state_root = dir, .boot_timeout = 30 * USEC_PER_MSEC};
    struct cluster_spec spec = make_spec(1);
    struct cluster_hosts hosts = {0};
    struct pins pins = {0};
    add_host(&hosts, ROLE_ORCHESTRATOR, 0, "i-1", "t3.small", EC2_PENDING);
    add_host(&hosts, ROLE_FACTORY, 1, "i-2", "t3.small", EC2_RUNNING);
    struct contacts *cs = contacts_new(&c, &spec, NULL, &pins, &hosts);
    contacts_update(cs);
    assert_false(contacts_settled(cs));
    assert_true(contacts_want_poll(cs));
    struct err err = {0};
    assert_int_equal(loop_wait(loop, never, NULL, 60 * USEC_PER_MSEC, &err), -1);
    assert_int_equal(loop_wait(loop, settled, cs, USEC_PER_SEC, &err), 0);
    assert_int_equal(contacts_failure(cs), ERR_TIMEOUT);
    assert_non_null(strstr(contacts_error(cs, 0), "'pending' and gives no address"));
    assert_non_null(strstr(contacts_error(cs, 1), "i-2"));
    assert_int_equal(hosts.items[0].phase, HOST_FAILED);
    contacts_free(cs);
    cluster_hosts_done(&hosts);
    loop_free(loop);
    drop_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_without_an_address_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The account's state: what is saved comes back, and nothing else is taken for it. */
#include "base/json.h"
#include "world_fixture.h"

static json_t *saved(const struct world *w)
{
    json_auto_t *j = world_save(w);
    struct buf text AUTO_BUF = {0};
    json_write(j, false, &text);
    json_t *again = NULL;
    assert_int_equal(json_parse(buf_view(&text), 64 << 20, &again, NULL), 0);
    return again;
}

/* The process ends, the machines stay, and another takes over. */
static void restart(struct fixture *f, json_t *j)
{
    world_close(f->w, true);
    f->w = NULL;
    struct err err = {0};
    assert_int_equal(world_load(&f->o, j, &f->w, &err), 0);
}

static struct world_instance *again(struct fixture *f, const char *id)
{
    struct world_instance *i = world_find(f->w, id);
    assert_non_null(i);
    return i;
}

#define RICH                                                                                     \
    "&KeyName=flambe-key&ClientToken=t1&UserData=aGVsbG8%3D&MetadataOptions.HttpTokens=required" \
    "&InstanceMarketOptions.MarketType=spot&BlockDeviceMapping.1.DeviceName=/dev/sdb"            \
    "&BlockDeviceMapping.1.Ebs.VolumeSize=9&TagSpecification.1.ResourceType=instance"            \
    "&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=%C3%A9t%C3%A9"

static void everything_comes_back(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *id = mem_dup(launch(f, RICH)->r.id);
    assert_int_equal(ask(f, "CreateVpc", "CidrBlock=10.9.0.0/16"), 200);
    assert_int_equal(ask(f, "CreateInternetGateway", ""), 200);
    assert_int_equal(ask(f, "CreatePlacementGroup", "GroupName=near&Strategy=partition"), 200);
    pass(f, SECOND);
    json_auto_t *before = saved(f->w);
    restart(f, before);
    json_auto_t *after = saved(f->w);
    /* the images, which are not saved, are numbered anew */
    json_object_del(before, "next_seq");
    json_object_del(after, "next_seq");
    assert_true(json_equal(before, after));

    struct world_instance *i = again(f, id);
    assert_int_equal(f->hosts.adopted, 1);
    assert_string_equal(fake_host(&f->hosts, id)->user_data, "hello");
    assert_ptr_equal(world_find_by_ip(f->w, i->private_ip), i);
    assert_int_equal(i->state, STATE_RUNNING);
    /* a token is remembered, and addresses that are taken stay so */
    assert_int_equal(ask(f, "RunInstances", RUN RICH), 200);
    assert_int_equal(f->w->lists[KIND_INSTANCE].count, 1);
    assert_string_not_equal(launch(f, "")->private_ip, i->private_ip);
    /* an adopted machine's end is heard */
    fake_end(fake_host(&f->hosts, id), NULL);
    assert_int_equal(i->state, STATE_STOPPING);
}

static void a_lost_machine_has_shut_itself_down(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *stops = mem_dup(launch(f, "")->r.id);
    AUTO_FREE char *ends = mem_dup(launch(f, "&InstanceInitiatedShutdownBehavior=terminate")->r.id);
    pass(f, SECOND);
    json_auto_t *j = saved(f->w);
    f->hosts.machines_lost = true;
    restart(f, j);
    pass(f, SECOND);
    assert_int_equal(again(f, stops)->state, STATE_STOPPED);
    assert_int_equal(again(f, ends)->state, STATE_TERMINATED);
    assert_int_equal(act(f, "StartInstances", again(f, stops)), 200);
    assert_int_equal(f->hosts.started, 1); /* from its own disk */
}

static void a_reboot_of_this_computer_starts_what_ran(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *id = mem_dup(launch(f, "&InstanceInitiatedShutdownBehavior=terminate")->r.id);
    pass(f, SECOND);
    json_auto_t *j = saved(f->w);
    json_object_set_new(j, "boot_id", json_string("another"));
    f->hosts.machines_lost = true;
    restart(f, j);
    pass(f, SECOND);
    assert_int_equal(again(f, id)->state, STATE_RUNNING);
    assert_int_equal(f->hosts.started, 1);
}

static void a_lost_disk_ends_the_instance(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *id = mem_dup(launch(f, "")->r.id);
    pass(f, SECOND);
    json_auto_t *j = saved(f->w);
    json_object_set_new(j, "boot_id", json_string("another"));
    f->hosts.machines_lost = f->hosts.disks_lost = true;
    restart(f, j);
    pass(f, SECOND);
    assert_int_equal(again(f, id)->state, STATE_TERMINATED);
    assert_string_equal(again(f, id)->reason_code, "Server.InternalError");
}

static void powered_off_machines_boot_again(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *id = mem_dup(launch(f, "")->r.id);
    pass(f, SECOND);
    world_power_off(f->w);
    assert_true(world_any_host_runs(f->w));
    struct host *h = fake_host(&f->hosts, id);
    assert_true(h->killed);
    fake_end(h, "killed");
    assert_false(world_any_host_runs(f->w));
    assert_int_equal(again(f, id)->state, STATE_RUNNING);
    json_auto_t *j = saved(f->w);
    f->hosts.machines_lost = true;
    restart(f, j);
    assert_int_equal(again(f, id)->state, STATE_RUNNING);
    assert_int_equal(f->hosts.started, 1);
}

static void changes_go_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *ends = mem_dup(launch(f, "")->r.id);
    AUTO_FREE char *stops = mem_dup(launch(f, "")->r.id);
    pass(f, SECOND);
    assert_int_equal(act(f, "TerminateInstances", again(f, ends)), 200);
    assert_int_equal(act(f, "StopInstances", again(f, stops)), 200);
    json_auto_t *j = saved(f->w);
    restart(f, j);
    assert_true(fake_host(&f->hosts, ends)->stopping); /* asked anew */
    fake_end(fake_host(&f->hosts, ends), NULL);
    fake_end(fake_host(&f->hosts, stops), NULL);
    pass(f, SECOND);
    assert_int_equal(again(f, ends)->state, STATE_TERMINATED);
    assert_int_equal(again(f, stops)->state, STATE_STOPPED);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void refused(struct fixture *f, const json_t *j, enum err_code code)
{
    struct err err = {0};
    struct world *w = NULL;
    assert_int_equal(world_load(&f->o, j, &w, &err), -1);
    assert_int_equal(err.code, code);
    assert_null(w);
    assert_false(f->hosts.closed); /* the driver stays the caller's */
}

static void of_another_account(void **state)
{
    struct fixture *f = *state;
    launch(f, "");
    json_auto_t *j = saved(f->w);
    const struct world_options own = f->o;
    f->o.region = "eu-west-1";
    refused(f, j, ERR_CONFLICT);
    f->o = own;
    f->o.network = "10.9.0.0/16";
    refused(f, j, ERR_CONFLICT);
    f->o = own;
    f->o.kind = HOST_GHOST;
    refused(f, j, ERR_CONFLICT);
    f->o = own;
    json_object_set_new(j, "version", json_integer(2));
    refused(f, j, ERR_PARSE);
}

/* Every value of the state, one after the other, is replaced by something wrong, or removed:
 * loading must refuse or accept, never crash, and a world that it accepts must work. */
static void spoil(struct fixture *f, json_t *root, json_t *at, json_t *wrong, int *refusals)
{
    struct strv names AUTO_STRV = {0}; /* the object's own order changes meanwhile */
    const char *key;
    json_t *value;
    json_object_foreach(at, key, value) strv_add(&names, key);
    for (size_t n = 0; n < names.count; n++) {
        const char *name = names.items[n];
        json_t *kept = json_incref(json_object_get(at, name));
        for (int step = 0; step < 2; step++) {
            if (step == 0)
                json_object_set(at, name, wrong);
            else
                json_object_del(at, name);
            struct err err = {0};
            struct world *w = NULL;
            if (world_load(&f->o, root, &w, &err) == 0) {
                world_advance(w);
                json_decref(world_save(w));
                json_decref(world_status(w));
                while (f->hosts.first)
                    fake_free(f->hosts.first);
                w->o.driver = (struct host_driver){0};
                world_close(w, true);
            } else {
                assert_true(err.code == ERR_PARSE || err.code == ERR_CONFLICT);
                (*refusals)++;
            }
            json_object_set(at, name, kept);
        }
        if (json_is_object(kept))
            spoil(f, root, kept, wrong, refusals);
        for (size_t i = 0; i < json_array_size(kept) && i < 4; i++)
            spoil(f, root, json_array_get(kept, i), wrong, refusals);
        json_decref(kept);
    }
}

static void damaged(void **state)
{
    struct fixture *f = *state;
    launch(f, RICH);
    pass(f, SECOND);
    json_auto_t *j = saved(f->w);
    json_t *wrong[] = {json_integer(-7), json_string("\x01 no such thing"), json_array(),
                       json_object(), json_null()};
    int refusals = 0;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        spoil(f, j, j, wrong[i], &refusals);
        json_decref(wrong[i]);
    }
    assert_true(refusals > 500);
    json_auto_t *end = saved(f->w);
    assert_true(json_equal(j, end));
}

static void unknown_members(void **state)
{
    struct fixture *f = *state;
    json_auto_t *j = saved(f->w);
    json_t *vpc = json_array_get(json_object_get(j, "vpcs"), 0);
    json_object_set_new(vpc, "colour", json_string("red"));
    refused(f, j, ERR_PARSE);
    json_object_del(vpc, "colour");
    json_array_append(json_object_get(j, "vpcs"), vpc);
    refused(f, j, ERR_PARSE); /* twice */
    json_auto_t *list = json_array();
    refused(f, list, ERR_PARSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back),
        TEST(a_lost_machine_has_shut_itself_down),
        TEST(a_reboot_of_this_computer_starts_what_ran),
        TEST(a_lost_disk_ends_the_instance),
        TEST(powered_off_machines_boot_again),
        TEST(changes_go_on_after_a_restart),
        TEST(of_another_account),
        TEST(damaged),
        TEST(unknown_members),
    };
    return cmocka_run_group_tests_name("world_state", tests, NULL, NULL);
}

/* Faults on demand, the identities, and the settings: what they say, and that their files keep it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/faults.h"
#include "sandbox/identity.h"
#include "sandbox/settings.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/flambe-faults.XXXXXX", sizeof "/tmp/flambe-faults.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static char *path_of(const char *name)
{
    return fs_join(dir, name);
}

static struct faults *opened(void)
{
    AUTO_FREE char *path = path_of("faults.json");
    struct faults *f = NULL;
    struct err err = {0};
    if (faults_open(path, &f, &err) == -1)
        fail_msg("%s", err.msg);
    return f;
}

static void arm(struct faults *f, struct fault fault)
{
    struct err err = {0};
    if (faults_add(f, &fault, &err) == -1)
        fail_msg("%s", err.msg);
}

static const struct fault *asked(struct faults *f, enum fault_point point, const char *action)
{
    return faults_for_request(f, point, &(struct fault_target){.action = action});
}

static void test_action_skip_and_count(void **state)
{
    (void)state;
    struct faults *f = opened();
    arm(f, (struct fault){.kind = FAULT_THROTTLE, .action = "A", .count = 2, .skip = 1});
    assert_null(asked(f, FAULT_POINT_BEFORE, "B"));
    assert_null(asked(f, FAULT_POINT_AFTER, "A"));
    assert_null(asked(f, FAULT_POINT_BEFORE, "A"));
    assert_int_equal(asked(f, FAULT_POINT_BEFORE, "A")->kind, FAULT_THROTTLE);
    assert_int_equal(asked(f, FAULT_POINT_BEFORE, "A")->kind, FAULT_THROTTLE);
    assert_null(asked(f, FAULT_POINT_BEFORE, "A"));
    arm(f, (struct fault){.kind = FAULT_ERROR, .value = 503, .count = FAULT_FOREVER});
    arm(f, (struct fault){.kind = FAULT_DROP_BEFORE, .count = 1});
    for (int i = 0; i < 5; i++)
        assert_int_equal(asked(f, FAULT_POINT_BEFORE, "A")->kind, FAULT_ERROR);
    faults_free(f);
}

static void test_type_and_zone(void **state)
{
    (void)state;
    struct faults *f = opened();
    struct fault_launch out;
    arm(f, (struct fault){.kind = FAULT_CAPACITY, .type = "t3.micro", .zone = "z-a", .count = 1});
    arm(f, (struct fault){.kind = FAULT_PARTIAL, .value = 3, .count = 1});
    arm(f, (struct fault){.kind = FAULT_PARTIAL, .value = 2, .count = 1, .zone = "z-b"});
    faults_for_launch(f, "t3.micro", "z-b", &out);
    assert_null(out.code);
    assert_int_equal(out.at_most, 2);
    faults_for_launch(f, "t3.small", "z-a", &out);
    assert_null(out.code);
    assert_int_equal(out.at_most, -1);
    faults_for_launch(f, "t3.micro", "z-a", &out);
    assert_string_equal(out.code, "InsufficientInstanceCapacity");
    assert_int_equal(out.status, 500);
    faults_for_launch(f, "t3.micro", "z-a", &out);
    assert_null(out.code);
    arm(f, (struct fault){.kind = FAULT_QUOTA, .count = 1});
    faults_for_launch(f, "t3.micro", "z-a", &out);
    assert_string_equal(out.code, "VcpuLimitExceeded");
    faults_for_launch(NULL, "t3.micro", "z-a", &out);
    assert_null(out.code);
    faults_free(f);
}

static void test_instances(void **state)
{
    (void)state;
    struct faults *f = opened();
    struct fault_instance out;
    arm(f, (struct fault){.kind = FAULT_NEVER_BOOTS, .count = 1});
    arm(f, (struct fault){.kind = FAULT_FOREIGN_HOST_KEY, .count = 1, .skip = 1});
    arm(f, (struct fault){.kind = FAULT_LATE_ADDRESS, .value = 1.5, .count = 2});
    faults_for_instance(f, "t", "z", &out);
    assert_true(out.never_boots && !out.foreign_host_key);
    assert_int_equal(out.late_addresses, 1500000);
    faults_for_instance(f, "t", "z", &out);
    assert_true(!out.never_boots && out.foreign_host_key);
    faults_for_instance(f, "t", "z", &out);
    assert_true(!out.never_boots && !out.foreign_host_key && out.late_addresses == 0);
    faults_free(f);
}

static void test_they_are_kept(void **state)
{
    (void)state;
    struct faults *f = opened();
    arm(f, (struct fault){.kind = FAULT_SKEW, .value = -3600, .count = FAULT_FOREVER});
    arm(f, (struct fault){.kind = FAULT_HOLD_AFTER,
                          .value = FAULT_FOREVER,
                          .count = 3,
                          .skip = 1,
                          .action = "A",
                          .type = "t",
                          .zone = "z"});
    assert_null(faults_for_request(f, FAULT_POINT_AFTER, &(struct fault_target){"A", "t", "z"}));
    faults_free(f);
    f = opened();
    assert_int_equal(faults_skew(f), -3600 * USEC_PER_SEC);
    const struct fault *hold =
        faults_for_request(f, FAULT_POINT_AFTER, &(struct fault_target){"A", "t", "z"});
    assert_int_equal(hold->kind, FAULT_HOLD_AFTER);
    assert_true(hold->value == FAULT_FOREVER);
    assert_null(faults_for_request(f, FAULT_POINT_AFTER, &(struct fault_target){"A", "t", NULL}));
    int id = hold->id;
    struct err err = {0};
    assert_int_equal(faults_clear(f, 999, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(faults_clear(f, id, NULL), 1);
    assert_int_equal(faults_clear(f, 0, NULL), 1);
    assert_int_equal(faults_skew(f), 0);
    faults_free(f);
}

static void test_what_goes_together(void **state)
{
    (void)state;
    struct faults *f = opened();
    const struct fault bad[] = {
        {.kind = FAULT_CAPACITY, .action = "DescribeVpcs", .count = 1},
        {.kind = FAULT_SKEW, .value = 1, .count = FAULT_FOREVER, .zone = "z"},
        {.kind = FAULT_ERROR, .value = 501, .count = 1},
        {.kind = FAULT_THROTTLE, .count = 0},
        {.kind = FAULT_THROTTLE, .count = -2},
        {.kind = FAULT_THROTTLE, .count = 1, .skip = -1},
        {.kind = FAULT_HOLD_BEFORE, .value = 1e9, .count = 1},
        {.kind = FAULT_PARTIAL, .value = -1, .count = 1},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = {0};
        assert_int_equal(faults_add(f, &bad[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    faults_free(f);
}

static void test_damaged_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"faults\":[],\"next_id\":0}",
        "{\"faults\":[{}],\"next_id\":1}",
        "{\"faults\":[{\"id\":1,\"kind\":\"nothing\",\"count\":1,\"skip\":0}],\"next_id\":2}",
        "{\"faults\":[{\"id\":1,\"kind\":\"throttle\",\"count\":0,\"skip\":0}],\"next_id\":2}"};
    AUTO_FREE char *path = path_of("faults.json");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct faults *f = NULL;
        struct err err = {0};
        assert_int_equal(fs_write_atomic(path, 0600, str_of(texts[i]), NULL), 0);
        assert_int_equal(faults_open(path, &f, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, path));
    }
}

/* ---- identities ----------------------------------------------------------------------------- */

static struct identities *identities(void)
{
    AUTO_FREE char *path = path_of("identity.json");
    struct identities *ids = NULL;
    assert_int_equal(identities_open(path, "123456789012", &ids, NULL), 0);
    return ids;
}

static enum identity_status find(struct identities *ids, const char *key, const char *token,
                                 usec_t now)
{
    struct identity who = {0};
    enum identity_status status = identities_find(ids, str_of(key), str_of(token), now, &who);
    identity_done(&who);
    return status;
}

static void test_keys_and_tokens(void **state)
{
    (void)state;
    AUTO_FREE char *path = path_of("identity.json");
    struct identities *ids = identities();
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    AUTO_FREE char *key = mem_dup(identities_access_key(ids));
    assert_int_equal(strlen(key), 20);
    assert_int_equal(secret_expose(identities_secret(ids)).n, 40);
    assert_int_equal(find(ids, key, "", 0), IDENTITY_OK);
    assert_int_equal(find(ids, key, "token", 0), IDENTITY_BAD_TOKEN);
    assert_int_equal(find(ids, "AKIANOBODY", "", 0), IDENTITY_UNKNOWN);

    struct identity_grant one = {0}, two = {0};
    identities_issue(ids, "arn:one", "id:one", 1000, &one);
    identities_issue(ids, "arn:two", "id:two", 1000, &two);
    struct identity who = {0};
    assert_int_equal(identities_find(ids, str_of(one.access_key), str_of(one.token), 999, &who),
                     IDENTITY_OK);
    assert_string_equal(who.arn, "arn:one");
    assert_true(str_eq(secret_expose(who.secret), secret_expose(one.secret)));
    identity_done(&who);
    assert_int_equal(find(ids, one.access_key, one.token, 1000), IDENTITY_EXPIRED);
    assert_int_equal(find(ids, one.access_key, two.token, 0), IDENTITY_BAD_TOKEN);
    assert_int_equal(find(ids, one.access_key, "", 0), IDENTITY_BAD_TOKEN);
    one.token[8] ^= 1;
    assert_int_equal(find(ids, one.access_key, one.token, 0), IDENTITY_BAD_TOKEN);
    identities_free(ids);
    ids = identities();
    assert_string_equal(identities_access_key(ids), key);
    assert_int_equal(find(ids, two.access_key, two.token, 0), IDENTITY_OK);
    identity_grant_done(&one);
    identity_grant_done(&two);
    identities_free(ids);
    assert_int_equal(fs_write_atomic(path, 0600, STR("{\"access_key\":\"A\"}"), NULL), 0);
    struct err err = {0};
    assert_int_equal(identities_open(path, "123456789012", &ids, &err), -1);
    assert_int_equal(err.code, ERR_PARSE);
}

/* ---- settings ------------------------------------------------------------------------------- */

static void test_settings(void **state)
{
    (void)state;
    struct settings s, said;
    struct err err = {0};
    settings_init(&s);
    settings_init(&said);
    said.kind = HOST_GHOST;
    said.kind_known = true;
    said.region = mem_dup("eu-west-1");
    assert_int_equal(settings_load(&s, dir, NULL), 0);
    assert_int_equal(settings_merge(&s, &said, false, NULL), 0);
    settings_defaults(&s, dir);
    assert_string_equal(s.region, "eu-west-1");
    assert_true(str_starts(str_of(s.public_network), "127."));
    assert_true(s.ssh_port == 22 || s.ssh_port == 2222);
    s.port = 4242;
    assert_int_equal(settings_save(&s, dir, NULL), 0);
    AUTO_FREE char *network = mem_dup(s.public_network);
    settings_done(&s);
    settings_done(&said);
    assert_int_equal(settings_load(&s, dir, NULL), 0);
    assert_int_equal(s.port, 4242);
    assert_int_equal(s.kind, HOST_GHOST);
    assert_string_equal(s.public_network, network);

    said.kind = HOST_LIGHT;
    said.kind_known = true;
    assert_int_equal(settings_merge(&s, &said, true, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.msg, "flambe-sandbox reset"));
    assert_int_equal(settings_merge(&s, &said, false, NULL), 0);
    settings_defaults(&s, dir);
    assert_string_equal(s.public_network, "10.214.0.0/16");
    said.network = mem_dup("10.99.0.0/16");
    assert_int_equal(settings_merge(&s, &said, true, &err), -1);
    assert_non_null(strstr(err.msg, "10.99.0.0/16"));
    settings_done(&s);
    settings_done(&said);
    AUTO_FREE char *path = path_of("sandbox.json");
    assert_int_equal(fs_write_atomic(path, 0600, STR("{\"hosts\":\"ghost\",\"port\":70000}"), NULL),
                     0);
    assert_int_equal(settings_load(&s, dir, &err), -1);
    assert_int_equal(err.code, ERR_PARSE);
    settings_done(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_action_skip_and_count), TEST(test_type_and_zone),      TEST(test_instances),
        TEST(test_they_are_kept),         TEST(test_what_goes_together), TEST(test_damaged_files),
        TEST(test_keys_and_tokens),       TEST(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

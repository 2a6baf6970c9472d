/* node.json, and the users of a host as its files have them. */
#include "base/mem.h"
#include "node/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "broken\n"
                             "half:x:1:\n"
                             "neg:x:-1:5::/n:/bin/sh\n"
                             "ubuntux:x:7:7::/home/other:/bin/sh\n"
                             "ubuntu:x:1000:1001:Ubuntu,,,:/home/ubuntu:/bin/bash\n"
                             "ubuntu:x:0:0::/root:/bin/sh\n"
                             "bare:x:1002:1002::/home/bare:";
static const char group[] = "adm:x:4:syslog,ubuntu\n"
                            "ubuntu:x:1001:\n"
                            "video:x:44:ubuntu\n"
                            "near:x:45:ubuntux,ubunt\n"
                            "again:x:4:ubuntu\n"
                            "junk:x:what:ubuntu\n"
                            "sudo:x:27:ubuntu";

static void a_user_is_found_with_its_groups(void **state)
{
    (void)state;
    struct login l;
    struct err err = {0};
    assert_int_equal(login_find("ubuntu", str_of(passwd), str_of(group), &l, &err), 0);
    assert_int_equal(l.uid, 1000);
    assert_int_equal(l.gid, 1001);
    assert_string_equal(l.home, "/home/ubuntu");
    assert_string_equal(l.shell, "/bin/bash");
    AUTO_FREE char *word = login_word(&l);
    assert_string_equal(word, "1000:1001:1001,4,44,27");
    AUTO_STRV struct strv env = {0};
    login_env(&l, &env);
    assert_true(strv_has(&env, "HOME=/home/ubuntu"));
    assert_true(strv_has(&env, "USER=ubuntu"));
    login_done(&l);
    assert_int_equal(login_find("bare", str_of(passwd), str_of(group), &l, &err), 0);
    assert_string_equal(l.shell, "/bin/sh");
    login_done(&l);
}

static void lines_that_are_none_are_passed_over(void **state)
{
    (void)state;
    static const char *const names[] = {"half", "neg", "broken", "nobody", ""};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct login l;
        struct err err = {0};
        assert_int_equal(login_find(names[i], str_of(passwd), str_of(group), &l, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
}

static void words_that_are_no_user_change_nothing(void **state)
{
    (void)state;
    static const char *const words[] = {"",       "1000",    "1000:",          "a:b:c",
                                        "-1:0:0", "0:0:0,x", "4294967295:0:0", "1:1:1;2"};
    uid_t before = geteuid();
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        struct err err = {0};
        assert_int_equal(login_become(words[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_int_equal(geteuid(), before);
    }
}

static int find(const char *name, struct login *out, struct err *err)
{
    return login_find(name, str_of(passwd), str_of(group), out, err);
}

static void a_host_is_read(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    static const char text[] =
        "{\"cluster\":\"mine\",\"role\":\"orchestrator\",\"user\":\"ubuntu\","
        "\"shared\":\"/data\",\"hosts\":["
        "{\"role\":\"orchestrator\",\"private_ip\":\"10.0.0.1\"},{\"role\":\"factory\"},"
        "{\"role\":\"factory\",\"private_ip\":\"10.0.0.2\"},"
        "{\"role\":\"factory\",\"private_ip\":\"-oProxyCommand=x\"},"
        "{\"role\":\"factory\",\"private_ip\":\"fe80::2\"}]}";
    assert_int_equal(config_parse(str_of(text), find, &c, &err), 0);
    assert_int_equal(c.role, ROLE_ORCHESTRATOR);
    assert_int_equal(c.login.uid, 1000);
    AUTO_FREE char *results = config_results(&c, "sweep");
    assert_string_equal(results, "/data/results/output__sweep");
    assert_int_equal(c.factories.count, 2);
    assert_string_equal(c.factories.items[0], "10.0.0.2");
    config_done(&c);
    static const char whole[] = "{\"role\":\"factory\",\"user\":\"me\",\"uid\":12,\"gid\":13,"
                                "\"groups\":[13,14],\"home\":\"/h\"}";
    assert_int_equal(config_parse(str_of(whole), find, &c, &err), 0);
    assert_int_equal(c.role, ROLE_FACTORY);
    AUTO_FREE char *word = login_word(&c.login);
    assert_string_equal(word, "12:13:13,14");
    assert_string_equal(c.login.home, "/h");
    assert_string_equal(c.shared, CONFIG_SHARED);
    config_done(&c);
}

static void what_is_no_host_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"role\":\"king\",\"user\":\"ubuntu\"}",
        "{\"role\":\"factory\"}",
        "{\"role\":\"factory\",\"user\":\"\"}",
        "{\"role\":\"factory\",\"user\":\"a:b\"}",
        "{\"role\":\"factory\",\"user\":\"nobody-there\"}",
        "{\"role\":\"factory\",\"user\":\"ubuntu\",\"shared\":\"data\"}",
        "{\"role\":\"factory\",\"user\":\"me\",\"uid\":-1,\"gid\":1}",
        "{\"role\":\"factory\",\"user\":\"me\",\"uid\":1}",
        "{\"role\":\"factory\",\"user\":\"me\",\"uid\":1,\"gid\":1,\"groups\":[\"x\"]}",
        "{\"role\":\"factory\",\"user\":\"me\",\"uid\":1,\"gid\":1,\"home\":\"h\"}",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config c;
        struct err err = {0};
        if (config_parse(str_of(texts[i]), find, &c, &err) == 0)
            fail_msg("taken: %s", texts[i]);
        assert_true(err.code == ERR_PARSE || err.code == ERR_NOT_FOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_found_with_its_groups),
        cmocka_unit_test(lines_that_are_none_are_passed_over),
        cmocka_unit_test(words_that_are_no_user_change_nothing),
        cmocka_unit_test(a_host_is_read),
        cmocka_unit_test(what_is_no_host_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

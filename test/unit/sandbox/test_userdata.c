/* What light hosts and ghosts take from user data. */
#include "base/buf.h"
#include "sandbox/userdata.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void takes_keys_of_a_cloud_config(void **state)
{
    (void)state;
    struct userdata u;
    userdata_read(STR("#cloud-config\n"
                      "bootcmd: [echo no]\n"
                      "ssh_keys:\n"
                      "  ed25519_private: |\n"
                      "    -----BEGIN OPENSSH PRIVATE KEY-----\n"
                      "    AAAA\n"
                      "    -----END OPENSSH PRIVATE KEY-----\n"
                      "  ed25519_public: ssh-ed25519 BBBB me\n"
                      "ssh_authorized_keys:\n"
                      "  - ssh-ed25519 CCCC one\n"
                      "  - \"ssh-rsa DDDD\"\n"),
                  &u);
    assert_string_equal(secret_expose(u.host_key_private).p,
                        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                        "-----END OPENSSH PRIVATE KEY-----\n");
    assert_string_equal(u.host_key_public, "ssh-ed25519 BBBB me");
    assert_int_equal(u.authorized_keys.count, 2);
    assert_string_equal(u.authorized_keys.items[0], "ssh-ed25519 CCCC one");
    assert_string_equal(u.authorized_keys.items[1], "ssh-rsa DDDD");
    userdata_done(&u);
}

static void finds_the_cloud_config_of_a_multipart_message(void **state)
{
    (void)state;
    struct userdata u;
    userdata_read(STR("Content-Type: multipart/mixed; boundary=\"XX\"\nMIME-Version: 1.0\n\n--XX\n"
                      "Content-Type: text/x-shellscript\n\n#!/bin/sh\ntrue\n--XX\n"
                      "Content-Type: text/cloud-config\n\n#cloud-config\n"
                      "ssh_authorized_keys:\n - ssh-ed25519 CCCC\n--XX--\n"),
                  &u);
    assert_null(u.host_key_private);
    assert_int_equal(u.authorized_keys.count, 1);
    assert_string_equal(u.authorized_keys.items[0], "ssh-ed25519 CCCC");
    userdata_done(&u);
}

static void half_a_host_key_is_none(void **state)
{
    (void)state;
    struct userdata u;
    userdata_read(STR("#cloud-config\nssh_keys:\n  ed25519_public: ssh-ed25519 BBBB\n"), &u);
    assert_null(u.host_key_private);
    assert_null(u.host_key_public);
    userdata_done(&u);
}

static void passes_over_what_it_cannot_use(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "#!/bin/sh\necho ssh_authorized_keys:\n",
        "#cloud-config\n",
        "#cloud-config\n- a list\n",
        "#cloud-config\nssh_keys: text\nssh_authorized_keys: {a: 1}\n",
        "#cloud-config\nssh_authorized_keys: [1, {a: b}, null, \"two\\nlines\"]\n",
        "#cloud-config\n\tnot: yaml: [\n",
        "\x1f\x8b\x08 compressed",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct userdata u;
        userdata_read(str_of(texts[i]), &u);
        assert_null(u.host_key_private);
        assert_int_equal(u.authorized_keys.count, 0);
        userdata_done(&u);
    }
}

static void keeps_a_bounded_number_of_keys(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_adds(&text, "#cloud-config\nssh_authorized_keys:\n");
    for (int i = 0; i < USERDATA_KEYS_MAX + 20; i++)
        buf_addf(&text, " - ssh-ed25519 K%d\n", i);
    struct userdata u;
    userdata_read(buf_view(&text), &u);
    assert_int_equal(u.authorized_keys.count, USERDATA_KEYS_MAX);
    userdata_done(&u);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_keys_of_a_cloud_config),
        cmocka_unit_test(finds_the_cloud_config_of_a_multipart_message),
        cmocka_unit_test(half_a_host_key_is_none),
        cmocka_unit_test(passes_over_what_it_cannot_use),
        cmocka_unit_test(keeps_a_bounded_number_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

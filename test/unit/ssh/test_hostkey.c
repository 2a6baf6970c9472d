/* Public lines: what a host may say about its key, and what is done with what it should not. */
#include "base/digest.h"
#include "base/mem.h"
#include "sshd.h"

/* RFC 8709's shape with a key of zero bytes but one. */
static char *line_of(const char *type, const char *inner_type, size_t key_size, size_t extra)
{
    struct buf blob = {0}, line = {0};
    size_t n = strlen(inner_type);
    char head[4] = {0, 0, 0, (char)n};
    buf_add(&blob, head, 4);
    buf_adds(&blob, inner_type);
    head[3] = (char)key_size;
    buf_add(&blob, head, 4);
    for (size_t i = 0; i < key_size + extra; i++)
        buf_addc(&blob, (char)(i + 1));
    buf_addf(&line, "%s ", type);
    digest_base64(buf_view(&blob), &line);
    buf_done(&blob);
    return buf_take(&line);
}

static void good_lines(void **state)
{
    (void)state;
    AUTO_FREE char *line = line_of("ssh-ed25519", "ssh-ed25519", 32, 0);
    assert_true(ssh_public_line_valid(str_of(line)));
    AUTO_FREE char *comment = mem_printf("%s root@ip-10-0-0-1 and more", line);
    assert_true(ssh_public_line_valid(str_of(comment)));
    AUTO_FREE char *a = ssh_fingerprint(line);
    AUTO_FREE char *b = ssh_fingerprint(comment);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 7 + 43);
}

static void a_known_fingerprint(void **state)
{
    (void)state;
    /* GitHub's published ED25519 host key and its published fingerprint. */
    AUTO_FREE char *f = ssh_fingerprint(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl");
    assert_string_equal(f, "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
}

static void bad_lines(void **state)
{
    (void)state;
    AUTO_FREE char *good = line_of("ssh-ed25519", "ssh-ed25519", 32, 0);
    AUTO_FREE char *lies = line_of("ssh-ed25519", "ssh-rsa", 32, 0);
    AUTO_FREE char *short_key = line_of("ssh-ed25519", "ssh-ed25519", 31, 0);
    AUTO_FREE char *tail = line_of("ssh-ed25519", "ssh-ed25519", 32, 3);
    AUTO_FREE char *unknown = line_of("ssh-dss", "ssh-dss", 32, 0);
    AUTO_FREE char *outer = line_of("ssh-rsa", "ssh-ed25519", 32, 0);
    AUTO_FREE char *newline = mem_printf("%s evil\n* ssh-ed25519 AAAA", good);
    AUTO_FREE char *escape = mem_printf("%s \033[2J", good);
    AUTO_FREE char *options = mem_printf("command=\"x\" %s", good);
    AUTO_FREE char *tab = mem_printf("%s", good);
    *strchr(tab, ' ') = '\t';
    AUTO_FREE char *two_spaces = mem_printf("ssh-ed25519  %s", good + strlen("ssh-ed25519 "));
    AUTO_FREE char *lead = mem_printf(" %s", good);
    AUTO_FREE char *unpadded = mem_printf("%s=", good);
    AUTO_FREE char *cut = mem_dup_n(good, strlen(good) - 4);
    AUTO_FREE char *odd = mem_dup_n(good, strlen(good) - 1);
    const char *bad[] = {lies,
                         short_key,
                         tail,
                         unknown,
                         outer,
                         newline,
                         escape,
                         options,
                         tab,
                         lead,
                         two_spaces,
                         unpadded,
                         cut,
                         odd,
                         "",
                         " ",
                         "ssh-ed25519",
                         "ssh-ed25519 ",
                         "ssh-ed25519 !!!!",
                         "ssh-rsa AAAAB3NzaC1yc2E=",
                         "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY="};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (ssh_public_line_valid(str_of(bad[i])))
            fail_msg("taken: '%s'", bad[i]);
        assert_null(ssh_fingerprint(bad[i]));
    }
    AUTO_FREE char *large = mem_alloc(20001);
    memset(large, 'A', 20000);
    memcpy(large, "ssh-rsa ", 8);
    assert_false(ssh_public_line_valid(str_of(large)));
}

/* No bytes make it crash, and what is taken can be named. */
static void random_bytes(void **state)
{
    (void)state;
    AUTO_FREE char *good = line_of("ssh-ed25519", "ssh-ed25519", 32, 0);
    size_t n = strlen(good);
    for (int i = 0; i < 20000; i++) {
        AUTO_FREE char *line = mem_dup(good);
        unsigned char r[4];
        digest_random(r, sizeof r);
        line[r[0] % n] = (char)r[1];
        if (r[2] & 1)
            line[r[2] % n] = (char)r[3];
        AUTO_FREE char *f = ssh_fingerprint(line);
        assert_int_equal(f != NULL, ssh_public_line_valid(str_of(line)));
    }
}

static void rsa_and_ecdsa_lines(void **state)
{
    (void)state;
    if (!sshd_available())
        skip();
    static const char *const types[] = {"rsa -b 2048", "rsa -b 8192", "ecdsa -b 256",
                                        "ecdsa -b 384", "ecdsa -b 521"};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (i == 1)
            continue; /* seconds of prime search; below from a fixed number instead */
        AUTO_FREE char *line =
            shell("d=$(mktemp -d); ssh-keygen -q -t %s -N '' -f $d/k; cat $d/k.pub; ssh-keygen -l "
                  "-f $d/k | cut -d' ' -f2 > $d/f; echo; cat $d/f; rm -r $d",
                  types[i]);
        char *fingerprint = strstr(line, "\n\n");
        assert_non_null(fingerprint);
        *fingerprint = '\0';
        fingerprint += 2;
        assert_true(ssh_public_line_valid(str_of(line)));
        AUTO_FREE char *ours = ssh_fingerprint(line);
        assert_string_equal(ours, fingerprint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),          cmocka_unit_test(a_known_fingerprint),
        cmocka_unit_test(bad_lines),           cmocka_unit_test(random_bytes),
        cmocka_unit_test(rsa_and_ecdsa_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

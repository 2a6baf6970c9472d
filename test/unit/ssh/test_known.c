/* The keys that the user's known_hosts have, and the keys that hosts show. */
#include "base/mem.h"
#include "os/fs.h"
#include "sshd.h"
#include <stdio.h>
#include <unistd.h>

/* ---- known_hosts of the user's ----------------------------------------------------------- */

static void known_of(const char *path, const char *host, int port, struct strv *keys,
                     struct strv *revoked)
{
    struct err err = {0};
    *keys = *revoked = (struct strv){0};
    if (ssh_known_keys(path, host, port, keys, revoked, &err) == -1)
        fail_msg("%s", err.msg);
}

static void assert_known(const char *path, const char *host, int port, const char *key)
{
    struct strv keys, revoked;
    known_of(path, host, port, &keys, &revoked);
    if (keys.count != (key ? 1 : 0) || (key && strcmp(keys.items[0], key) != 0))
        fail_msg("%s port %d: %zu keys", host, port, keys.count);
    strv_done(&keys);
    strv_done(&revoked);
}

static char *new_key(void)
{
    AUTO_BUF struct buf pem = {0};
    struct buf line = {0};
    assert_int_equal(ssh_keygen_ed25519(&pem, &line, NULL), 0);
    return buf_take(&line);
}

/* Names plain and hashed, ports, patterns, and what is not to be taken. */
static void known_hosts_are_read_as_ssh_reads_them(void **state)
{
    char dir[] = "/tmp/flambe-known-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *path = mem_printf("%s/known_hosts", dir), *old = mem_printf("%s.old", path);
    AUTO_FREE char *a = new_key(), *b = new_key(), *c = new_key(), *d = new_key(), *e = new_key();
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "# a comment\n\nplain,10.0.0.1 %s me@x\n[10.0.0.1]:2222\t%s\n", a, b);
    buf_addf(&text, "*.example.com %s\n*,!not.org %s\n@cert-authority * %s\n", c, d, d);
    buf_addf(&text, "@revoked 10.0.0.3 %s\n", e);
    buf_addf(&text, "10.0.0.6 %s\n10.0.0.6 %s\n10.0.0.7 %s", a, a, e); /* the last without an end */
    assert_int_equal(fs_write_atomic(path, 0600, buf_view(&text), NULL), 0);
    for (int hashed = 0; hashed < 2; hashed++) {
        assert_known(path, "plain", 0, a);
        assert_known(path, "10.0.0.1", 22, a);
        assert_known(path, "10.0.0.1", 2222, b);
        assert_known(path, "10.0.0.1", 2223, NULL);
        assert_known(path, "10.0.0.10", 0, NULL);
        assert_known(path, "x.example.com", 0, c);
        assert_known(path, "example.com", 0, NULL);
        assert_known(path, "yes.org", 0, NULL);
        assert_known(path, "10.0.0.6", 0, a);
        assert_known(path, "10.0.0.7", 0, e);
        struct strv keys, revoked;
        known_of(path, "10.0.0.3", 0, &keys, &revoked);
        assert_int_equal(keys.count, 0);
        assert_int_equal(revoked.count, 1);
        assert_string_equal(revoked.items[0], e);
        strv_done(&keys);
        strv_done(&revoked);
        if (hashed)
            break;
        AUTO_FREE char *command = mem_printf("ssh-keygen -H -f %s >/dev/null 2>&1", path);
        FILE *p = popen(command, "r"); /* OpenSSH's own hand */
        assert_non_null(p);
        assert_int_equal(pclose(p), 0);
        struct err err = {0};
        AUTO_BUF struct buf now = {0};
        assert_int_equal(fs_read(path, 65536, &now, &err), 0);
        assert_null(strstr(buf_text(&now), "plain"));
    }
    AUTO_FREE char *bad =
        mem_printf("10.0.0.4 ssh-ed25519 AAAA\n10.0.0.5\n10.0.0.6 ssh-rsa %s\n10.0.0.7 %s\n",
                   strchr(a, ' ') + 1, e);
    assert_int_equal(fs_write_atomic(path, 0600, str_of(bad), NULL), 0);
    assert_known(path, "10.0.0.4", 0, NULL);
    assert_known(path, "10.0.0.5", 0, NULL);
    assert_known(path, "10.0.0.7", 0, e);
    assert_known("/nowhere/known_hosts", "plain", 0, NULL);
    unlink(path);
    unlink(old);
    rmdir(dir);
}

/* ---- looking at hosts --------------------------------------------------------------------- */

static void a_look_shows_the_key_and_logs_in_nowhere(void **state)
{
    (void)state;
    if (!sshd_available())
        skip();
    struct sshd host;
    sshd_init(&host, "127.0.0.33", "LogLevel VERBOSE\n");
    sshd_start(&host);
    const char *rsa[] = {host.host_rsa};
    struct ssh_target targets[] = {sshd_target(&host, NULL, 0), sshd_target(&host, rsa, 1),
                                   sshd_target(&host, NULL, 0)};
    targets[2].port = free_port("127.0.0.33");
    struct loop *loop = loop_new();
    struct ssh_looked seen[3];
    struct err err = {0};
    assert_int_equal(ssh_look(loop, targets, 3, 10 * USEC_PER_SEC, seen, &err), 0);
    assert_string_equal(seen[0].line, host.host_ed25519);
    assert_string_equal(seen[1].line,
                        host.host_rsa); /* the type that is known is asked for first */
    assert_null(seen[2].line);
    assert_int_equal(seen[2].err.code, ERR_UNREACHABLE);
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        free(seen[i].line);
    loop_free(loop);
    sshd_done(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hosts_are_read_as_ssh_reads_them),
        cmocka_unit_test(a_look_shows_the_key_and_logs_in_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

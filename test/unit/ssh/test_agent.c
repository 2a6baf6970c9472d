/* Encrypted keys through a real ssh-agent. */
#include "base/mem.h"
#include "sshd.h"
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sshd host;
static struct loop *loop;
static struct ssh_pool *pool;
static char *agent_path, *agent_pid;

static int group_setup(void **state)
{
    (void)state;
    if (!sshd_available())
        return 0;
    sshd_init(&host, "127.0.0.35", "");
    sshd_start(&host);
    /* ssh-add asks this program for the passphrase */
    free(shell("printf '#!/bin/sh\\necho secret\\n' > %s/askpass; chmod 700 %s/askpass", host.dir,
               host.dir));
    free(shell("ssh-keygen -q -t ed25519 -N secret -f %s/ed && cat %s/ed.pub >> "
               "%s/authorized_keys",
               host.dir, host.dir, host.dir));
    free(shell("ssh-keygen -q -t rsa -b 2048 -m PEM -N secret -f %s/rsa && cat %s/rsa.pub >> "
               "%s/authorized_keys",
               host.dir, host.dir, host.dir));
    free(shell("ssh-keygen -q -t ed25519 -N secret -f %s/other", host.dir));
    agent_path = mem_printf("%s/agent", host.dir);
    agent_pid =
        shell("ssh-agent -a %s | sed -n 's/^SSH_AGENT_PID=\\([0-9]*\\).*/\\1/p'", agent_path);
    setenv("SSH_AUTH_SOCK", agent_path, 1);
    /* More keys than a host lets anybody try, before ours. */
    free(shell("for i in 0 1 2 3 4 5 6 7 8 9; do ssh-keygen -q -t ed25519 -N '' -f %s/more$i && "
               "ssh-add -q %s/more$i || exit 1; done",
               host.dir, host.dir));
    free(shell("export DISPLAY=x SSH_ASKPASS=%s/askpass SSH_ASKPASS_REQUIRE=force; ssh-add -q "
               "%s/ed %s/rsa",
               host.dir, host.dir, host.dir));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    if (agent_pid)
        free(shell("kill %s", agent_pid));
    free(agent_pid);
    free(agent_path);
    sshd_done(&host);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    pool = ssh_pool_new(loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ssh_pool_free(pool);
    loop_free(loop);
    return 0;
}

#define NEED_SSHD()    \
    do {               \
        if (!host.pid) \
            skip();    \
    } while (0)

static struct ssh_identity *load(const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", host.dir, name);
    struct ssh_identity *id = NULL;
    struct err err;
    if (ssh_identity_load(path, &id, &err) == -1)
        fail_msg("%s", err.msg);
    return id;
}

static struct err try_with(const struct ssh_identity *id, usec_t timeout)
{
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = {.identity = id, .attempt_timeout = timeout};
    struct opened opened;
    struct ssh_session *s = open_session(loop, pool, &t, &o, &opened);
    if (!opened.err.code) {
        struct outcome out;
        run_command(loop, s, "echo in", &out);
        assert_string_equal(buf_text(&out.out), "in\n");
        outcome_done(&out);
    }
    ssh_session_free(s);
    return opened.err;
}

static void an_encrypted_key_is_used_through_the_agent(void **state)
{
    (void)state;
    NEED_SSHD();
    static const char *const names[] = {"ed", "rsa"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct ssh_identity *id = load(names[i]);
        AUTO_FREE char *public = shell("cut -d' ' -f1,2 %s/%s.pub", host.dir, names[i]);
        assert_string_equal(ssh_identity_public(id), public);
        struct err err = try_with(id, 20 * USEC_PER_SEC);
        if (err.code)
            fail_msg("%s", err.msg);
        ssh_identity_free(id);
    }
}

static void ec2_fingerprints_of_an_agents_key(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_identity *id = load("rsa");
    AUTO_FREE char *md5 = shell("openssl rsa -in %s/rsa -passin pass:secret -pubout -outform DER "
                                "2>/dev/null | openssl md5 -c | sed 's/.*= *//'",
                                host.dir);
    assert_true(ssh_identity_matches_ec2(id, md5));
    /* made from the private key, which the agent keeps: it may be this one */
    assert_true(ssh_identity_matches_ec2(
        id, "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33"));
    assert_false(ssh_identity_matches_ec2(id, "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"));
    ssh_identity_free(id);
    id = load("ed");
    AUTO_FREE char *sha256 = shell("ssh-keygen -l -f %s/ed.pub | cut -d' ' -f2", host.dir);
    assert_true(ssh_identity_matches_ec2(id, sha256));
    assert_false(ssh_identity_matches_ec2(
        id, "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33"));
    ssh_identity_free(id);
}

static void a_key_that_the_agent_lacks_is_refused(void **state)
{
    (void)state;
    NEED_SSHD();
    AUTO_FREE char *path = mem_printf("%s/other", host.dir);
    struct ssh_identity *id = NULL;
    struct err err;
    assert_int_equal(ssh_identity_load(path, &id, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_non_null(strstr(err.msg, "ssh-add '"));
}

static void count_up(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)s;
    if (err)
        fail_msg("%s", err->msg);
    ++*(int *)ctx;
}

static bool thirty(void *ctx)
{
    return *(int *)ctx == 30;
}

static void thirty_sessions_share_the_agent(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_identity *id = load("ed");
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = {.identity = id};
    int up = 0;
    for (int i = 0; i < 30; i++)
        ssh_session_open(pool, &t, &o, count_up, &up);
    assert_int_equal(loop_wait(loop, thirty, &up, 60 * USEC_PER_SEC, NULL), 0);
    ssh_pool_free(pool);
    pool = ssh_pool_new(loop);
    ssh_identity_free(id);
}

static void ignore(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)ctx, (void)s, (void)err;
}

static void freeing_while_the_agent_is_asked_is_clean(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_identity *id = load("rsa");
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = {.identity = id};
    for (int i = 0; i < 60; i++) {
        struct ssh_session *s = ssh_session_open(pool, &t, &o, ignore, NULL);
        struct err err;
        assert_int_equal(loop_pause(loop, i * 2 * USEC_PER_MSEC, &err), 0);
        ssh_session_free(s);
    }
    struct err err;
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 5, &err), 0); /* threads come back */
    ssh_identity_free(id);
}

/* An agent that lists the key and never signs: a person who does not press the button. */
static void an_agent_that_does_not_answer_is_bounded(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_identity *id = load("ed");
    free(shell("mv %s %s.away", agent_path, agent_path));
    struct err err = try_with(id, 5 * USEC_PER_SEC); /* gone */
    assert_int_equal(err.code, ERR_AUTH);
    assert_non_null(strstr(err.msg, "ssh-agent"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", agent_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    usec_t start = clock_mono(clock_system());
    err = try_with(id, 2 * USEC_PER_SEC); /* silent */
    assert_true(clock_mono(clock_system()) - start < 4 * USEC_PER_SEC);
    assert_int_equal(err.code, ERR_TIMEOUT);
    close(fd);
    free(shell("mv -f %s.away %s", agent_path, agent_path));
    ssh_identity_free(id);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_encrypted_key_is_used_through_the_agent), T(ec2_fingerprints_of_an_agents_key),
        T(a_key_that_the_agent_lacks_is_refused),      T(thirty_sessions_share_the_agent),
        T(freeing_while_the_agent_is_asked_is_clean),  T(an_agent_that_does_not_answer_is_bounded),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

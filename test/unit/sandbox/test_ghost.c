/* Ghosts, asked by the real OpenSSH client. Skipped where there is none. */
#include "base/mem.h"
#include "os/fs.h"
#include "os/proc.h"
#include "sandbox/ghost_ssh.h"
#include "sandbox/hosts.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT 20022
#define ADDRESS "127.98.7.10"
#define LONG_INPUT 3000000

struct fixture {
    struct loop *loop;
    char dir[64];
    char *key_path, *known_hosts;
    char *key_line, *host_key_line;
    struct buf user_data;
    struct host_driver driver;
    struct host_config config;
    struct host *host;
    int ended;
    char *why;
};

static void ended(void *ctx, struct host *h, const char *why)
{
    struct fixture *f = ctx;
    assert_ptr_equal(h, f->host);
    f->ended++;
    f->why = mem_dup(why);
}

static void write_key(ssh_key key, const char *path)
{
    assert_int_equal(ssh_pki_export_privkey_file(key, NULL, NULL, NULL, path), SSH_OK);
    assert_int_equal(chmod(path, 0600), 0);
}

/* A cloud-config that injects the host key. */
static void make_user_data(struct fixture *f)
{
    ssh_key key = ghost_key_new();
    AUTO_FREE char *path = fs_join(f->dir, "hostkey");
    AUTO_BUF struct buf text = {0};
    write_key(key, path);
    assert_int_equal(fs_read(path, 65536, &text, NULL), 0);
    f->host_key_line = ghost_key_line(key);
    buf_adds(&f->user_data, "#cloud-config\nssh_keys:\n  ed25519_private: |\n");
    struct str rest = buf_view(&text);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        buf_addf(&f->user_data, "    %.*s\n", STR_FMT(line));
    }
    buf_addf(&f->user_data, "  ed25519_public: %s\n", f->host_key_line);
    ssh_key_free(key);
}

static void pin(struct fixture *f, const char *line)
{
    AUTO_FREE char *text = mem_printf("[" ADDRESS "]:%d %s\n", PORT, line);
    assert_int_equal(fs_write_atomic(f->known_hosts, 0600, str_of(text), NULL), 0);
}

static void open_driver(struct fixture *f)
{
    struct host_options o = {.loop = f->loop,
                             .dir = f->dir,
                             .cache_dir = f->dir,
                             .bridge = "none",
                             .network = "10.213.0.0/16",
                             .public_network = "127.98.0.0/16",
                             .ghost_port = PORT};
    assert_int_equal(hosts_open_ghost(&o, &f->driver, NULL), 0);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct fixture *f = mem_alloc(sizeof *f);
    *state = f;
    f->loop = loop_new();
    snprintf(f->dir, sizeof f->dir, "/tmp/flambe-ghost-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->key_path = fs_join(f->dir, "id");
    f->known_hosts = fs_join(f->dir, "known_hosts");
    ssh_key key = ghost_key_new();
    f->key_line = ghost_key_line(key);
    write_key(key, f->key_path);
    ssh_key_free(key);
    make_user_data(f);
    pin(f, f->host_key_line);
    open_driver(f);
    f->config = (struct host_config){.instance_id = "i-0123456789abcdef0",
                                     .hostname = "ip-10-213-0-10",
                                     .private_ip = "10.213.0.10",
                                     .public_ip = ADDRESS,
                                     .user = "ubuntu",
                                     .public_key = f->key_line,
                                     .user_data = buf_view(&f->user_data)};
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    f->driver.ops->close(f->driver.self, false);
    loop_free(f->loop);
    assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
    buf_done(&f->user_data);
    free(f->key_path);
    free(f->known_hosts);
    free(f->key_line);
    free(f->host_key_line);
    free(f->why);
    free(f);
    return 0;
}

static void create(struct fixture *f)
{
    struct host_events events = {.ended = ended, .ctx = f};
    assert_int_equal(f->driver.ops->create(f->driver.self, &f->config, &events, &f->host, NULL), 0);
    assert_int_equal(loop_pause(f->loop, 20 * USEC_PER_MSEC, NULL), 0); /* it boots from the loop */
}

static void ssh_as(struct fixture *f, const char *user, const char *command, struct str input,
                   struct proc_result *out)
{
    AUTO_FREE char *known = mem_printf("UserKnownHostsFile=%s", f->known_hosts);
    AUTO_FREE char *to = mem_printf("%s@" ADDRESS, user);
    AUTO_FREE char *port = mem_printf("%d", PORT);
    const char *const argv[] = {"ssh",
                                "-F",
                                "/dev/null",
                                "-p",
                                port,
                                "-i",
                                f->key_path,
                                "-o",
                                "IdentitiesOnly=yes",
                                "-o",
                                "BatchMode=yes",
                                "-o",
                                "StrictHostKeyChecking=yes",
                                "-o",
                                "GlobalKnownHostsFile=/dev/null",
                                "-o",
                                known,
                                "-o",
                                "ConnectTimeout=2",
                                to,
                                command,
                                NULL};
    struct err err = {0};
    if (proc_run(f->loop, argv, NULL, input, 60 * USEC_PER_SEC, out, &err) == -1) {
        if (err.code == ERR_NOT_FOUND)
            skip();
        fail_msg("%s", err.msg);
    }
}

static int status_of(struct fixture *f, const char *command)
{
    struct proc_result r;
    ssh_as(f, "ubuntu", command, STR("some input\n"), &r);
    int status = r.exit_status;
    proc_result_done(&r);
    return status;
}

static void answers_its_commands(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *command;
        int status;
        const char *out, *err;
    } want[] = {
        {"true", 0, "", ""},
        {"false", 1, "", ""},
        {"hostname", 0, "ip-10-213-0-10\n", ""},
        {"echo hello there", 0, "hello there\n", ""},
        {"exit 7", 7, "", ""},
        {"cat", 0, "some input\n", ""},
        {"sleep 0", 0, "", ""},
        {"sleep long", 1, "", "sleep: invalid time interval\n"},
        {"sh -s flambe-setup", 0, "", ""},
        {"sudo -n sh -s flambe-anything with words", 0, "", ""},
        {"truely", 127, "", "ghost: not found\n"},
        {"rm -rf /", 127, "", "ghost: not found\n"},
    };
    create(f);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct proc_result r;
        ssh_as(f, "ubuntu", want[i].command, STR("some input\n"), &r);
        assert_string_equal(buf_text(&r.out), want[i].out);
        assert_string_equal(buf_text(&r.err_out), want[i].err);
        assert_int_equal(r.exit_status, want[i].status);
        proc_result_done(&r);
    }
}

static void gives_back_long_input_whole(void **state)
{
    struct fixture *f = *state;
    create(f);
    AUTO_FREE char *bytes = mem_alloc(LONG_INPUT);
    for (int i = 0; i < LONG_INPUT; i++)
        bytes[i] = (char)(i * 2654435761U >> 24);
    struct proc_result r;
    ssh_as(f, "ubuntu", "cat", (struct str){bytes, LONG_INPUT}, &r);
    assert_int_equal(r.exit_status, 0);
    assert_true(str_eq(buf_view(&r.out), (struct str){bytes, LONG_INPUT}));
    proc_result_done(&r);
}

static void lets_in_nobody_else(void **state)
{
    struct fixture *f = *state;
    create(f);
    struct proc_result r;
    ssh_as(f, "root", "true", STR(""), &r);
    assert_int_equal(r.exit_status, 255);
    assert_non_null(strstr(buf_text(&r.err_out), "Permission denied (publickey)"));
    proc_result_done(&r);
    ssh_key other = ghost_key_new();
    (void)unlink(f->key_path);
    write_key(other, f->key_path);
    ssh_key_free(other);
    assert_int_equal(status_of(f, "true"), 255);
}

static void lets_in_keys_of_the_user_data(void **state)
{
    struct fixture *f = *state;
    buf_addf(&f->user_data, "ssh_authorized_keys: ['%s']\n", f->key_line);
    f->config.user_data = buf_view(&f->user_data);
    f->config.public_key = NULL;
    create(f);
    assert_int_equal(status_of(f, "true"), 0);
}

static void shows_a_new_key_after_first_contact(void **state)
{
    struct fixture *f = *state;
    create(f);
    struct proc_result r;
    ssh_as(f, "ubuntu", "sudo -n sh -s flambe-contact", STR("a script\n"), &r);
    assert_int_equal(r.exit_status, 0);
    struct str rest = buf_view(&r.out);
    struct str host_key = str_cut(&rest, '\n'), cluster_key = str_cut(&rest, '\n');
    assert_true(str_starts(host_key, "flambe: host-key ssh-ed25519 AAAA"));
    assert_true(str_starts(cluster_key, "flambe: cluster-key ssh-ed25519 AAAA"));
    assert_true(str_is(rest, "flambe: ok\n"));
    AUTO_FREE char *line = str_dup((struct str){host_key.p + 17, host_key.n - 17});
    proc_result_done(&r);
    /* Shown, not served: a client that dies here still has the injected key pinned. */
    ssh_as(f, "ubuntu", "sudo -n sh -s flambe-contact", STR("again\n"), &r);
    assert_non_null(strstr(buf_text(&r.out), line));
    proc_result_done(&r);
    ssh_as(f, "ubuntu", "sudo -n sh -s flambe-contact-activate", STR("a script\n"), &r);
    assert_string_equal(buf_text(&r.out), "flambe: ok\n");
    proc_result_done(&r);
    assert_int_equal(status_of(f, "true"), 255); /* the injected key is gone */
    pin(f, line);
    ssh_as(f, "ubuntu", "sudo -n sh -s flambe-contact", STR("after all\n"), &r);
    assert_non_null(strstr(buf_text(&r.out), line));
    proc_result_done(&r);

    /* A new process shows the same key. */
    f->driver.ops->close(f->driver.self, true);
    open_driver(f);
    struct host_events events = {.ended = ended, .ctx = f};
    assert_int_equal(f->driver.ops->adopt(f->driver.self, &f->config, &events, &f->host, NULL), 0);
    assert_int_equal(loop_pause(f->loop, 20 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(status_of(f, "true"), 0);
}

static void a_foreign_key_is_not_the_injected_one(void **state)
{
    struct fixture *f = *state;
    f->config.foreign_host_key = true;
    create(f);
    struct proc_result r;
    ssh_as(f, "ubuntu", "true", STR(""), &r);
    assert_int_equal(r.exit_status, 255);
    assert_non_null(strstr(buf_text(&r.err_out), "Host key verification failed"));
    proc_result_done(&r);
}

static void one_that_never_boots_is_not_there(void **state)
{
    struct fixture *f = *state;
    f->config.never_boots = true;
    create(f);
    struct proc_result r;
    ssh_as(f, "ubuntu", "true", STR(""), &r);
    assert_non_null(strstr(buf_text(&r.err_out), "refused"));
    proc_result_done(&r);
}

static bool has_ended(void *ctx)
{
    return ((struct fixture *)ctx)->ended > 0;
}

static void stops_starts_and_powers_itself_off(void **state)
{
    struct fixture *f = *state;
    create(f);
    f->driver.ops->stop(f->driver.self, f->host);
    assert_int_equal(f->ended, 0); /* from the loop only */
    assert_int_equal(loop_wait(f->loop, has_ended, f, USEC_PER_SEC, NULL), 0);
    assert_int_equal(f->ended, 1);
    assert_null(f->why);
    assert_int_equal(status_of(f, "true"), 255);
    assert_int_equal(f->driver.ops->start(f->driver.self, f->host, &f->config, NULL), 0);
    assert_int_equal(loop_pause(f->loop, 20 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(status_of(f, "true"), 0);
    f->ended = 0;
    (void)status_of(f, "sudo systemctl poweroff");
    assert_int_equal(loop_wait(f->loop, has_ended, f, USEC_PER_SEC, NULL), 0);
    assert_int_equal(f->ended, 1);
}

static void held_while_partitioned(void **state)
{
    struct fixture *f = *state;
    create(f);
    assert_int_equal(f->driver.ops->partition(f->driver.self, f->host, true, NULL), 0);
    assert_int_equal(status_of(f, "true"), 255);
    assert_int_equal(f->driver.ops->partition(f->driver.self, f->host, false, NULL), 0);
    assert_int_equal(status_of(f, "true"), 0);
}

static void an_address_of_elsewhere_is_the_api_s_word_alone(void **state)
{
    struct fixture *f = *state;
    f->config.public_ip = "203.0.113.7";
    create(f);
    assert_int_equal(loop_pause(f->loop, 50 * USEC_PER_MSEC, NULL), 0);
    assert_int_equal(f->ended, 0);
}

static void a_taken_port_is_said(void **state)
{
    struct fixture *f = *state;
    create(f);
    struct host *first = f->host, *second;
    f->config.instance_id = "i-0123456789abcdef1";
    struct host_events events = {.ended = ended, .ctx = f};
    assert_int_equal(f->driver.ops->create(f->driver.self, &f->config, &events, &second, NULL), 0);
    f->host = second;
    assert_int_equal(loop_wait(f->loop, has_ended, f, USEC_PER_SEC, NULL), 0);
    assert_non_null(strstr(f->why, "cannot listen at " ADDRESS));
    f->driver.ops->destroy(f->driver.self, second);
    f->driver.ops->destroy(f->driver.self, first);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(answers_its_commands),
        TEST(gives_back_long_input_whole),
        TEST(lets_in_nobody_else),
        TEST(lets_in_keys_of_the_user_data),
        TEST(shows_a_new_key_after_first_contact),
        TEST(a_foreign_key_is_not_the_injected_one),
        TEST(one_that_never_boots_is_not_there),
        TEST(stops_starts_and_powers_itself_off),
        TEST(held_while_partitioned),
        TEST(an_address_of_elsewhere_is_the_api_s_word_alone),
        TEST(a_taken_port_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

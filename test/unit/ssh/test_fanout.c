/* One command on many hosts. */
#include "base/mem.h"
#include "sshd.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct sshd host;
static struct loop *loop;
static struct ssh_identity *identity;

static int group_setup(void **state)
{
    (void)state;
    if (!sshd_available())
        return 0;
    sshd_init(&host, "0.0.0.0", ""); /* every 127.x.y.z is a host */
    sshd_start(&host);
    struct err err;
    if (ssh_identity_load(host.key_path, &identity, &err) == -1)
        fail_msg("%s", err.msg);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    ssh_identity_free(identity);
    sshd_done(&host);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

#define NEED_SSHD()    \
    do {               \
        if (!host.pid) \
            skip();    \
    } while (0)

struct seen {
    size_t done;
    struct buf out[64];
};

static void output(void *ctx, size_t i, bool is_err, struct str bytes)
{
    struct seen *seen = ctx;
    assert_false(is_err);
    buf_add_str(&seen->out[i], bytes);
}

static void host_done(void *ctx, size_t i, const struct ssh_fanout_result *r)
{
    (void)i, (void)r;
    ((struct seen *)ctx)->done++;
}

static void make_targets(struct ssh_target *targets, char **addresses, size_t n,
                         const char *const *pins)
{
    for (size_t i = 0; i < n; i++) {
        addresses[i] = mem_printf("127.0.40.%zu", i + 1);
        targets[i] = sshd_target(&host, pins, 1);
        targets[i].address = targets[i].label = addresses[i];
    }
}

static void free_addresses(char **addresses, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(addresses[i]);
}

static void every_host_has_its_own_result(void **state)
{
    (void)state;
    NEED_SSHD();
    enum { N = 40 };
    const char *pins[] = {host.host_ed25519}, *foreign[] = {NULL};
    struct buf pem = {0}, line = {0};
    assert_int_equal(ssh_keygen_ed25519(&pem, &line, NULL), 0);
    foreign[0] = buf_text(&line);
    struct ssh_target targets[N];
    char *addresses[N];
    make_targets(targets, addresses, N, pins);
    targets[3].port = free_port("127.0.40.4");
    targets[7].host_keys = foreign;
    targets[11].user = "nobody-of-that-name";
    static struct ssh_fanout_result results[N];
    struct seen seen = {0};
    struct ssh_fanout_request r = {.targets = targets,
                                   .count = N,
                                   .connect = {.identity = identity},
                                   .command = "set -- $SSH_CONNECTION; echo $3 $(cat); exit "
                                              "${3##*.}",
                                   .input = STR("input"),
                                   .output = output,
                                   .host_done = host_done,
                                   .ctx = &seen};
    struct err err = {0};
    assert_int_equal(ssh_fanout(loop, &r, results, &err), 0);
    assert_int_equal(seen.done, N);
    for (int i = 0; i < N; i++) {
        if (i == 3 || i == 7 || i == 11) {
            assert_int_equal(results[i].err.code, i == 3   ? ERR_UNREACHABLE
                                                  : i == 7 ? ERR_HOST_KEY
                                                           : ERR_AUTH);
            assert_int_equal(results[i].exec.status, -1);
            assert_int_equal(seen.out[i].len, 0);
        } else {
            if (results[i].err.code)
                fail_msg("%s", results[i].err.msg);
            assert_int_equal(results[i].exec.status, i + 1);
            AUTO_FREE char *want = mem_printf("127.0.40.%d input\n", i + 1);
            assert_string_equal(buf_text(&seen.out[i]), want);
        }
        buf_done(&seen.out[i]);
    }
    free_addresses(addresses, N);
    buf_wipe(&pem);
    buf_done(&line);
}

static void no_hosts_is_no_work(void **state)
{
    (void)state;
    struct ssh_fanout_request r = {.command = "true"};
    struct err err = {0};
    assert_int_equal(ssh_fanout(loop, &r, NULL, &err), 0);
}

static void cancel(void *ctx)
{
    loop_cancel(ctx);
}

static void a_cancel_names_those_that_had_not_ended(void **state)
{
    (void)state;
    NEED_SSHD();
    enum { N = 6 };
    const char *pins[] = {host.host_ed25519};
    struct ssh_target targets[N];
    char *addresses[N];
    make_targets(targets, addresses, N, pins);
    static struct ssh_fanout_result results[N];
    struct ssh_fanout_request r = {
        .targets = targets,
        .count = N,
        .connect = {.identity = identity},
        .command = "set -- $SSH_CONNECTION; test $3 = 127.0.40.1 || sleep 20.5"};
    struct timer *timer = timer_start(loop, 3 * USEC_PER_SEC, cancel, loop);
    struct err err = {0};
    assert_int_equal(ssh_fanout(loop, &r, results, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(results[0].err.code, ERR_NONE);
    for (int i = 1; i < N; i++)
        assert_int_equal(results[i].err.code, ERR_CANCELLED);
    timer_stop(timer);
    free_addresses(addresses, N);
}

static size_t open_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* With few descriptors the hosts take turns; none is lost, none leaks. */
static void few_descriptors_are_enough(void **state)
{
    (void)state;
    NEED_SSHD();
    enum { N = 60 };
    const char *pins[] = {host.host_ed25519};
    struct ssh_target targets[N];
    char *addresses[N];
    make_targets(targets, addresses, N, pins);
    static struct ssh_fanout_result results[N];
    struct rlimit before, low;
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = low.rlim_max = 128 + 20 * 2;
    if (getuid() != 0) /* only root may raise the hard limit again */
        low.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    size_t descriptors = open_descriptors();
    struct ssh_fanout_request r = {
        .targets = targets, .count = N, .connect = {.identity = identity}, .command = "sleep 0.3"};
    struct err err = {0};
    int rc = ssh_fanout(loop, &r, results, &err);
    size_t after = open_descriptors();
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(rc, 0);
    for (int i = 0; i < N; i++)
        if (results[i].err.code)
            fail_msg("%s", results[i].err.msg);
    assert_int_equal(after, descriptors);
    free_addresses(addresses, N);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_host_has_its_own_result),
        T(no_hosts_is_no_work),
        T(a_cancel_names_those_that_had_not_ended),
        T(few_descriptors_are_enough),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

/* Sessions and commands against a real sshd. */
#include "base/digest.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/proc.h"
#include "sshd.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static struct sshd host;
static struct loop *loop;
static struct ssh_pool *pool;
static struct ssh_identity *identity;

static int group_setup(void **state)
{
    (void)state;
    if (!sshd_available())
        return 0;
    sshd_init(&host, "127.0.0.31", "");
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

static struct ssh_connect_options options(void)
{
    return (struct ssh_connect_options){.identity = identity, .attempt_timeout = 20 * USEC_PER_SEC};
}

static struct ssh_session *connect_ok(void)
{
    const char *keys[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, keys, 1);
    struct ssh_connect_options o = options();
    struct opened opened;
    struct ssh_session *s = open_session(loop, pool, &t, &o, &opened);
    if (opened.err.code)
        fail_msg("%s", opened.err.msg);
    return s;
}

/* ---- host keys ---- */

static void any_pinned_type_is_asked_for(void **state)
{
    (void)state;
    NEED_SSHD();
    const char *pins[] = {host.host_rsa, host.host_ecdsa, host.host_ed25519};
    for (size_t i = 0; i < COUNT_OF(pins); i++) {
        struct ssh_target t = sshd_target(&host, &pins[i], 1);
        struct ssh_connect_options o = options();
        struct opened opened;
        ssh_session_free(open_session(loop, pool, &t, &o, &opened));
        if (opened.err.code)
            fail_msg("%s: %s", pins[i], opened.err.msg);
    }
}

static void a_foreign_host_key_is_a_loud_stop(void **state)
{
    (void)state;
    NEED_SSHD();
    struct buf pem = {0}, foreign = {0};
    assert_int_equal(ssh_keygen_ed25519(&pem, &foreign, NULL), 0);
    const char *pins[] = {buf_text(&foreign)};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    o.retry_for = 20 * USEC_PER_SEC; /* must not be used */
    AUTO_FREE char *log = mem_printf("%s/log", host.dir);
    AUTO_FREE char *tried_before = shell("grep -c 'Accepted\\|Failed\\|Postponed' %s; true", log);
    struct opened opened;
    usec_t start = clock_mono(clock_system());
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_true(clock_mono(clock_system()) - start < 5 * USEC_PER_SEC);
    assert_int_equal(opened.err.code, ERR_HOST_KEY);
    AUTO_FREE char *pinned = ssh_fingerprint(buf_text(&foreign));
    AUTO_FREE char *shown = ssh_fingerprint(host.host_ed25519);
    assert_non_null(strstr(opened.err.msg, "mine_factory_1"));
    assert_non_null(strstr(opened.err.msg, pinned));
    assert_non_null(strstr(opened.err.msg, shown));
    assert_non_null(strstr(opened.err.msg, "nothing was sent"));
    /* and sshd saw no user name, no key */
    AUTO_FREE char *tried = shell("grep -c 'Accepted\\|Failed\\|Postponed' %s; true", log);
    assert_string_equal(tried, tried_before);
    buf_wipe(&pem);
    buf_done(&foreign);
}

static void a_host_without_the_pinned_type_shows_another_and_is_refused(void **state)
{
    (void)state;
    NEED_SSHD();
    AUTO_FREE char *p384 = shell("ssh-keygen -q -t ecdsa -b 384 -N '' -f %s/p384 && cut -d' ' "
                                 "-f1,2 %s/p384.pub",
                                 host.dir, host.dir);
    const char *pins[] = {p384};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    struct opened opened;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_int_equal(opened.err.code, ERR_HOST_KEY);
    AUTO_FREE char *shown = ssh_fingerprint(host.host_ed25519);
    assert_non_null(strstr(opened.err.msg, shown));
}

static void no_pin_or_a_broken_pin_is_refused_without_a_connection(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_target t = sshd_target(&host, NULL, 0);
    t.port = 1; /* nobody is there: a connection would say so */
    struct ssh_connect_options o = options();
    struct opened opened;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_int_equal(opened.err.code, ERR_HOST_KEY);
    const char *pins[] = {"ssh-ed25519 AAAA"};
    t.host_keys = pins;
    t.host_key_count = 1;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_int_equal(opened.err.code, ERR_HOST_KEY);
    const char *types[] = {"ssh-dss AAAAB3NzaC1kc3MAAACBAO", "x y"};
    for (size_t i = 0; i < 2; i++) {
        t.host_keys = &types[i];
        ssh_session_free(open_session(loop, pool, &t, &o, &opened));
        assert_int_equal(opened.err.code, ERR_HOST_KEY);
    }
}

/* ---- reaching it ---- */

static void a_wrong_user_key_is_refused_once(void **state)
{
    (void)state;
    NEED_SSHD();
    free(shell("ssh-keygen -q -t ed25519 -N '' -f %s/stranger", host.dir));
    AUTO_FREE char *path = mem_printf("%s/stranger", host.dir);
    struct ssh_identity *stranger;
    assert_int_equal(ssh_identity_load(path, &stranger, NULL), 0);
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    o.identity = stranger;
    o.retry_for = 30 * USEC_PER_SEC;
    struct opened opened;
    usec_t start = clock_mono(clock_system());
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_true(clock_mono(clock_system()) - start < 10 * USEC_PER_SEC);
    assert_int_equal(opened.err.code, ERR_AUTH);
    AUTO_FREE char *fingerprint = ssh_fingerprint(ssh_identity_public(stranger));
    assert_non_null(strstr(opened.err.msg, fingerprint));
    assert_non_null(strstr(opened.err.msg, "mine_factory_1"));
    ssh_identity_free(stranger);
}

static void a_key_that_comes_later_is_waited_for(void **state)
{
    (void)state;
    NEED_SSHD();
    free(shell("ssh-keygen -q -t ed25519 -N '' -f %s/late", host.dir));
    AUTO_FREE char *path = mem_printf("%s/late", host.dir);
    struct ssh_identity *late;
    assert_int_equal(ssh_identity_load(path, &late, NULL), 0);
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    o.identity = late;
    o.retry_for = 30 * USEC_PER_SEC;
    o.retry_auth = true;
    free(shell("(sleep 2; cat %s/late.pub >> %s/authorized_keys) >/dev/null 2>&1 &", host.dir,
               host.dir));
    struct opened opened;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    if (opened.err.code)
        fail_msg("%s", opened.err.msg);
    ssh_identity_free(late);
}

static void nobody_there_is_unreachable(void **state)
{
    (void)state;
    NEED_SSHD();
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    t.port = free_port("127.0.0.31");
    struct ssh_connect_options o = options();
    struct opened opened;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_int_equal(opened.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(opened.err.msg, "onnection refused"));
    assert_non_null(strstr(opened.err.msg, "mine_factory_1"));
    t.address = "no-such-host.invalid";
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_int_equal(opened.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(opened.err.msg, "resolve"));
    o.retry_for = 1500 * USEC_PER_MSEC;
    t.address = "127.0.0.31";
    usec_t start = clock_mono(clock_system());
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    usec_t span = clock_mono(clock_system()) - start;
    assert_int_equal(opened.err.code, ERR_UNREACHABLE);
    assert_true(span > USEC_PER_SEC / 2 && span < 3 * USEC_PER_SEC);
}

static void a_name_is_resolved(void **state)
{
    (void)state;
    NEED_SSHD();
    struct sshd local;
    sshd_init(&local, "127.0.0.1", "");
    sshd_start(&local);
    const char *pins[] = {local.host_ed25519};
    struct ssh_target t = sshd_target(&local, pins, 1);
    t.address = "localhost";
    struct ssh_identity *id;
    assert_int_equal(ssh_identity_load(local.key_path, &id, NULL), 0);
    struct ssh_connect_options o = options();
    o.identity = id;
    struct opened opened;
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    if (opened.err.code)
        fail_msg("%s", opened.err.msg);
    ssh_identity_free(id);
    sshd_done(&local);
}

static void a_booting_host_is_found_soon_after_it_listens(void **state)
{
    (void)state;
    NEED_SSHD();
    sshd_stop(&host);
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    o.retry_for = 30 * USEC_PER_SEC;
    struct opened opened = {0};
    free(shell("(sleep 1.5; exec /usr/sbin/sshd -D -f %s/sshd_config & echo $! > %s/pid) "
               ">/dev/null 2>&1 &",
               host.dir, host.dir));
    usec_t start = clock_mono(clock_system());
    struct ssh_session *s = open_session(loop, pool, &t, &o, &opened);
    usec_t span = clock_mono(clock_system()) - start;
    free(shell("p=$(cat %s/pid); kill -9 $p; while kill -0 $p 2>/dev/null; do sleep 0.05; done",
               host.dir));
    ssh_session_free(s);
    sshd_start(&host);
    if (opened.err.code)
        fail_msg("%s", opened.err.msg);
    assert_true(span > 1400 * USEC_PER_MSEC);
    assert_true(span < 4 * USEC_PER_SEC);
}

/* ---- commands ---- */

static void exit_statuses_and_signals(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    static const struct {
        const char *command;
        int status;
        const char *signal;
    } rows[] = {
        {"true", 0, ""},
        {"exit 1", 1, ""},
        {"exit 255", 255, ""},
        {"kill -KILL $$", -1, "KILL"},
        {"kill -TERM $$", -1, "TERM"},
        {"kill -SEGV $$", -1, "SEGV"},
        {"no-such-command-x 2>/dev/null", 127, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct outcome o;
        run_command(loop, s, rows[i].command, &o);
        assert_int_equal(o.err.code, ERR_NONE);
        assert_int_equal(o.result.status, rows[i].status);
        assert_string_equal(o.result.signal, rows[i].signal);
        outcome_done(&o);
    }
}

static void output_and_errors_stay_apart(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    struct outcome o;
    run_command(loop, s, "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done",
                &o);
    assert_string_equal(buf_text(&o.out), "o1\no2\no3\n");
    assert_string_equal(buf_text(&o.err_out), "e1\ne2\ne3\n");
    assert_string_equal(buf_text(&o.order), "oeoeoe");
    outcome_done(&o);
    run_command(loop, s, "printf 'a\\0b'", &o);
    assert_int_equal(o.out.len, 3);
    outcome_done(&o);
}

struct hashed {
    struct ssh_exec_request r;
    bool done;
    size_t n, largest;
    int status;
    uint64_t sum;
};

static void hash_output(void *ctx, bool is_err, struct str bytes)
{
    struct hashed *h = ctx;
    assert_false(is_err);
    for (size_t i = 0; i < bytes.n; i++)
        h->sum = (h->sum ^ (unsigned char)bytes.p[i]) * 0x100000001b3ULL;
    h->n += bytes.n;
    if (bytes.n > h->largest)
        h->largest = bytes.n;
}

static void hash_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    struct hashed *h = ctx;
    h->done = true;
    h->status = err ? -2 : r->status;
}

static bool hashed(void *ctx)
{
    return ((struct hashed *)ctx)->done;
}

#define LARGE ((size_t)100 << 20)

static void a_hundred_megabytes_arrive_whole(void **state)
{
    (void)state;
    NEED_SSHD();
    free(shell("head -c %zu /dev/urandom > %s/large", LARGE, host.dir));
    AUTO_FREE char *path = mem_printf("%s/large", host.dir);
    AUTO_FREE char *command = mem_printf("cat %s", path);
    struct ssh_session *s = connect_ok();
    struct hashed h = {.r = {.command = command, .output = hash_output, .done = hash_done}};
    h.r.ctx = &h;
    ssh_exec_start(s, &h.r);
    assert_int_equal(loop_wait(loop, hashed, &h, 120 * USEC_PER_SEC, NULL), 0);
    assert_int_equal(h.status, 0);
    assert_int_equal(h.n, LARGE);
    uint64_t sum = 0;
    FILE *f = fopen(path, "r");
    int c;
    while ((c = getc_unlocked(f)) != EOF)
        sum = (sum ^ (unsigned)c) * 0x100000001b3ULL;
    fclose(f);
    assert_true(sum == h.sum);
}

static void large_input_is_streamed(void **state)
{
    (void)state;
    NEED_SSHD();
    size_t n = (size_t)20 << 20;
    AUTO_FREE char *bytes = mem_alloc(n);
    digest_random(bytes, n);
    char want[SHA256_HEX_SIZE];
    digest_sha256_hex((struct str){bytes, n}, want);
    struct ssh_session *s = connect_ok();
    struct outcome o;
    start_command(s, "sleep 1; sha256sum", (struct str){bytes, n}, 0, &o);
    memset(bytes, 0, n); /* it was copied */
    wait_outcome(loop, &o);
    assert_int_equal(o.result.status, 0);
    assert_memory_equal(buf_text(&o.out), want, 64);
    outcome_done(&o);
    /* a command that does not read its input, and one that stops reading */
    AUTO_FREE char *more = mem_alloc(n);
    start_command(s, "true", (struct str){more, n}, 30 * USEC_PER_SEC, &o);
    wait_outcome(loop, &o);
    assert_int_equal(o.err.code, ERR_NONE);
    assert_int_equal(o.result.status, 0);
    outcome_done(&o);
    start_command(s, "head -c 100000 | wc -c; exit 7", (struct str){more, n}, 30 * USEC_PER_SEC,
                  &o);
    wait_outcome(loop, &o);
    assert_int_equal(o.result.status, 7);
    assert_string_equal(buf_text(&o.out), "100000\n");
    outcome_done(&o);
    run_command(loop, s, "cat; echo end", &o); /* no input is an end at once */
    assert_string_equal(buf_text(&o.out), "end\n");
    outcome_done(&o);
}

static void one_session_runs_many_commands(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    for (int i = 0; i < 100; i++) { /* one after another */
        struct outcome o;
        AUTO_FREE char *command = mem_printf("echo %d; exit %d", i, i);
        run_command(loop, s, command, &o);
        assert_int_equal(o.result.status, i);
        assert_int_equal(atoi(buf_text(&o.out)), i);
        outcome_done(&o);
    }
    enum { N = 40 }; /* side by side: more than sshd's MaxSessions */
    struct outcome o[N];
    for (int i = 0; i < N; i++) {
        AUTO_FREE char *command = mem_printf("sleep 0.0%d; echo %d; exit %d", i % 7, i, i);
        start_command(s, command, STR(""), 0, &o[i]);
    }
    for (int i = 0; i < N; i++) {
        wait_outcome(loop, &o[i]);
        assert_int_equal(o[i].err.code, ERR_NONE);
        assert_int_equal(o[i].result.status, i);
        assert_int_equal(atoi(buf_text(&o[i].out)), i);
        outcome_done(&o[i]);
    }
}

/* 51 ms a command without it, on an idle machine. */
static void every_socket_has_nodelay(void **state)
{
    (void)state;
    NEED_SSHD();
    connect_ok();
    int found = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 || peer.sin_family != AF_INET ||
            ntohs(peer.sin_port) != host.port)
            continue;
        int on = 0, flags = fcntl(fd, F_GETFL);
        size = sizeof on;
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
        assert_true(on);
        assert_true(flags & O_NONBLOCK); /* libssh takes it away */
        found++;
    }
    assert_int_equal(found, 2); /* libssh's and the one that uv polls */
}

static void a_command_that_does_not_end_times_out_and_the_session_lives(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    struct outcome o, flood;
    start_command(s, "sleep 20.25", STR(""), USEC_PER_SEC, &o);
    start_command(s, "yes", STR(""), USEC_PER_SEC, &flood);
    flood.out.max = 1000;
    flood.order.max = 1;
    wait_outcome(loop, &o);
    wait_outcome(loop, &flood);
    assert_int_equal(o.err.code, ERR_TIMEOUT);
    assert_int_equal(o.result.status, -1);
    assert_non_null(strstr(o.err.msg, "mine_factory_1"));
    assert_int_equal(flood.err.code, ERR_TIMEOUT);
    outcome_done(&o);
    outcome_done(&flood);
    /* sshd passes signals on for all users but root */
    run_command(loop, s, "sleep 0.2; test $(id -u) = 0 || pgrep -f '^sleep 20.25' || echo gone",
                &o);
    assert_string_equal(buf_text(&o.out), getuid() == 0 ? "" : "gone\n");
    assert_int_equal(o.result.status, 0);
    outcome_done(&o);
}

static void a_flooding_host_does_not_starve_another(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *loud[3], *quiet = connect_ok();
    struct outcome floods[3], o;
    for (int i = 0; i < 3; i++) {
        loud[i] = connect_ok();
        start_command(loud[i], "yes", STR(""), 5 * USEC_PER_SEC, &floods[i]);
        floods[i].out.max = floods[i].order.max = 1000;
    }
    int runs = 0;
    usec_t start = clock_mono(clock_system());
    for (; clock_mono(clock_system()) - start < 2 * USEC_PER_SEC; runs++) {
        run_command(loop, quiet, "true", &o);
        assert_int_equal(o.result.status, 0);
        outcome_done(&o);
    }
    assert_true(runs >= 3);
    for (int i = 0; i < 3; i++) {
        ssh_session_free(loud[i]); /* in the middle of it */
        outcome_done(&floods[i]);
    }
}

static void a_host_that_dies_fails_its_commands(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    struct outcome a, b, c;
    start_command(s, "echo begun; sleep 60", STR(""), 0, &a);
    start_command(s, "sleep 60", STR(""), 0, &b);
    struct err err;
    while (a.out.len == 0)
        assert_int_equal(loop_pause(loop, 10 * USEC_PER_MSEC, &err), 0);
    sshd_stop(&host);
    wait_outcome(loop, &a);
    wait_outcome(loop, &b);
    sshd_start(&host);
    assert_int_equal(a.err.code, ERR_UNREACHABLE);
    assert_int_equal(a.result.status, -1);
    assert_non_null(strstr(a.err.msg, "mine_factory_1"));
    assert_int_equal(b.err.code, ERR_UNREACHABLE);
    assert_string_equal(buf_text(&a.out), "begun\n");
    run_command(loop, s, "true", &c); /* a dead session says so, from the loop */
    assert_int_equal(c.err.code, ERR_UNREACHABLE);
    outcome_done(&a);
    outcome_done(&b);
    outcome_done(&c);
}

static void too_long_a_command_is_refused_here(void **state)
{
    (void)state;
    NEED_SSHD();
    struct ssh_session *s = connect_ok();
    AUTO_FREE char *command = mem_alloc((128 << 10) + 1);
    memset(command, ' ', 128 << 10);
    struct outcome o;
    run_command(loop, s, command, &o);
    assert_int_equal(o.err.code, ERR_LIMIT);
    outcome_done(&o);
    command[100000] = '\0';
    memcpy(command + 100000 - 4, "true", 4);
    run_command(loop, s, command, &o);
    assert_int_equal(o.err.code, ERR_NONE);
    assert_int_equal(o.result.status, 0);
    outcome_done(&o);
}

/* ---- callbacks may do what they like ---- */

static struct ssh_session *suicidal;
static int calls;

static void free_on_output(void *ctx, bool is_err, struct str bytes)
{
    (void)ctx, (void)is_err, (void)bytes;
    calls++;
    ssh_session_free(TAKE(suicidal));
}

static void never_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    (void)ctx, (void)r, (void)err;
    fail_msg("called back after ssh_session_free");
}

static void a_session_may_be_freed_in_a_callback(void **state)
{
    (void)state;
    NEED_SSHD();
    calls = 0;
    suicidal = connect_ok();
    struct ssh_exec_request r = {
        .command = "seq 1 100000; seq 1 100000 >&2", .output = free_on_output, .done = never_done};
    ssh_exec_start(suicidal, &r);
    ssh_exec_start(suicidal, &r);
    struct err err;
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 2, &err), 0);
    assert_int_equal(calls, 1);
}

struct chain {
    struct ssh_session *s;
    int left;
    bool done;
};

static void chain_next(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    struct chain *c = ctx;
    assert_null(err);
    assert_int_equal(r->status, 0);
    if (c->left-- == 0) {
        c->done = true;
        ssh_session_free(c->s);
        return;
    }
    struct ssh_exec_request request = {.command = "true", .done = chain_next, .ctx = c};
    ssh_exec_start(c->s, &request);
}

static void chain_connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)s;
    assert_null(err);
    chain_next(ctx, &(struct ssh_exec_result){0}, NULL);
}

static bool chain_done(void *ctx)
{
    return ((struct chain *)ctx)->done;
}

static void commands_may_be_started_in_callbacks(void **state)
{
    (void)state;
    NEED_SSHD();
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    struct chain c = {.left = 5};
    c.s = ssh_session_open(pool, &t, &o, chain_connected, &c);
    assert_int_equal(loop_wait(loop, chain_done, &c, 30 * USEC_PER_SEC, NULL), 0);
}

static void count_connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)s;
    if (err)
        fail_msg("%s", err->msg);
    ++*(int *)ctx;
}

static bool fifty(void *ctx)
{
    return *(int *)ctx == 50;
}

static void fifty_sessions_at_once(void **state)
{
    (void)state;
    NEED_SSHD();
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    struct ssh_session *s[50];
    struct outcome out[50];
    int up = 0;
    for (int i = 0; i < 50; i++)
        s[i] = ssh_session_open(pool, &t, &o, count_connected, &up);
    assert_int_equal(loop_wait(loop, fifty, &up, 60 * USEC_PER_SEC, NULL), 0);
    for (int i = 0; i < 50; i++)
        start_command(s[i], "echo $SSH_CONNECTION", STR(""), 0, &out[i]);
    for (int i = 0; i < 50; i++) {
        wait_outcome(loop, &out[i]);
        assert_int_equal(out[i].result.status, 0);
        outcome_done(&out[i]);
    }
    /* idle sessions are watched, not polled */
    struct err err;
    clock_t before = clock();
    assert_int_equal(loop_pause(loop, USEC_PER_SEC, &err), 0);
    assert_true(clock() - before < CLOCKS_PER_SEC / 10);
}

static void whatever(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)ctx, (void)s, (void)err;
}

static void freeing_in_any_state_is_clean(void **state)
{
    (void)state;
    NEED_SSHD();
    const char *pins[] = {host.host_ed25519};
    struct ssh_target t = sshd_target(&host, pins, 1);
    struct ssh_connect_options o = options();
    for (int i = 0; i < 40; i++) {
        t.address = i % 5 == 4 ? "localhost" : "127.0.0.31";
        struct ssh_session *s = ssh_session_open(pool, &t, &o, whatever, NULL);
        struct err err;
        assert_int_equal(loop_pause(loop, i * USEC_PER_MSEC, &err), 0);
        ssh_session_free(s);
    }
    ssh_session_free(NULL);
}

static void an_idle_session_answers_keepalives(void **state)
{
    (void)state;
    NEED_SSHD();
    struct sshd strict;
    sshd_init(&strict, "127.0.0.32", "ClientAliveInterval 1\nClientAliveCountMax 1\n");
    sshd_start(&strict);
    struct ssh_identity *id;
    assert_int_equal(ssh_identity_load(strict.key_path, &id, NULL), 0);
    const char *pins[] = {strict.host_ed25519};
    struct ssh_target t = sshd_target(&strict, pins, 1);
    struct ssh_connect_options options_ = options();
    options_.identity = id;
    struct opened opened;
    struct ssh_session *s = open_session(loop, pool, &t, &options_, &opened);
    assert_int_equal(opened.err.code, ERR_NONE);
    struct err err;
    assert_int_equal(loop_pause(loop, 4 * USEC_PER_SEC, &err), 0);
    struct outcome o;
    run_command(loop, s, "true", &o);
    if (o.err.code)
        fail_msg("%s", o.err.msg);
    outcome_done(&o);
    ssh_session_free(s);
    ssh_identity_free(id);
    sshd_done(&strict);
}

static void new_keys_in_the_middle_of_a_stream(void **state)
{
    (void)state;
    NEED_SSHD();
    struct sshd rekeying;
    sshd_init(&rekeying, "127.0.0.33", "RekeyLimit 1M\n");
    sshd_start(&rekeying);
    struct ssh_identity *id;
    assert_int_equal(ssh_identity_load(rekeying.key_path, &id, NULL), 0);
    const char *pins[] = {rekeying.host_ed25519};
    struct ssh_target t = sshd_target(&rekeying, pins, 1);
    struct ssh_connect_options options_ = options();
    options_.identity = id;
    struct opened opened;
    struct ssh_session *s = open_session(loop, pool, &t, &options_, &opened);
    assert_int_equal(opened.err.code, ERR_NONE);
    size_t n = (size_t)8 << 20;
    AUTO_FREE char *bytes = mem_alloc(n);
    digest_random(bytes, n);
    struct outcome o;
    start_command(s, "cat", (struct str){bytes, n}, 60 * USEC_PER_SEC, &o);
    wait_outcome(loop, &o);
    if (o.err.code)
        fail_msg("%s", o.err.msg);
    assert_int_equal(o.out.len, n);
    assert_memory_equal(o.out.data, bytes, n);
    outcome_done(&o);
    ssh_session_free(s);
    ssh_identity_free(id);
    sshd_done(&rekeying);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(any_pinned_type_is_asked_for),
        T(a_foreign_host_key_is_a_loud_stop),
        T(a_host_without_the_pinned_type_shows_another_and_is_refused),
        T(no_pin_or_a_broken_pin_is_refused_without_a_connection),
        T(a_wrong_user_key_is_refused_once),
        T(a_key_that_comes_later_is_waited_for),
        T(nobody_there_is_unreachable),
        T(a_name_is_resolved),
        T(a_booting_host_is_found_soon_after_it_listens),
        T(exit_statuses_and_signals),
        T(output_and_errors_stay_apart),
        T(a_hundred_megabytes_arrive_whole),
        T(large_input_is_streamed),
        T(one_session_runs_many_commands),
        T(every_socket_has_nodelay),
        T(a_command_that_does_not_end_times_out_and_the_session_lives),
        T(a_flooding_host_does_not_starve_another),
        T(a_host_that_dies_fails_its_commands),
        T(too_long_a_command_is_refused_here),
        T(a_session_may_be_freed_in_a_callback),
        T(commands_may_be_started_in_callbacks),
        T(fifty_sessions_at_once),
        T(freeing_in_any_state_is_clean),
        T(an_idle_session_answers_keepalives),
        T(new_keys_in_the_middle_of_a_stream),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

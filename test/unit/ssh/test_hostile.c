/* Servers that do not mean well: each must end in a clear error within its bound. */
#include "base/mem.h"
#include "sshd.h"
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct ssh_pool *pool;
static struct ssh_identity *identity;
static char dir[64];
static struct buf pin;

/* A server on the same loop, which runs a script: what it says when somebody connects, and what it
 * does then. */
struct server {
    uv_tcp_t uv;
    int port;
    struct str greeting; /* NULL pointer: silence */
    bool forever;        /* says the greeting again and again */
    bool close_after;    /* hangs up when it has said it */
    size_t accepted, heard;
    bool user_name_heard;
};

struct peer {
    uv_tcp_t uv;
    struct server *server;
    uv_write_t write;
    char block[4096];
};

static void peer_closed(uv_handle_t *h)
{
    free(h->data);
}

static void hang_up(struct peer *p)
{
    if (!uv_is_closing((uv_handle_t *)&p->uv))
        uv_close((uv_handle_t *)&p->uv, peer_closed);
}

static void say(struct peer *p);

static void said(uv_write_t *w, int status)
{
    struct peer *p = w->data;
    if (status != 0 || p->server->close_after)
        hang_up(p);
    else if (p->server->forever)
        say(p);
}

static void say(struct peer *p)
{
    uv_buf_t b = uv_buf_init((char *)p->server->greeting.p, (unsigned)p->server->greeting.n);
    p->write.data = p;
    if (uv_write(&p->write, (uv_stream_t *)&p->uv, &b, 1, said) != 0)
        hang_up(p);
}

static void give(uv_handle_t *h, size_t n, uv_buf_t *out)
{
    (void)n;
    struct peer *p = h->data;
    *out = uv_buf_init(p->block, sizeof p->block);
}

static void heard(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct peer *p = s->data;
    if (n < 0) {
        hang_up(p);
        return;
    }
    p->server->heard += (size_t)n;
    if (memmem(b->base, (size_t)n, "secret-user", 11))
        p->server->user_name_heard = true;
}

static void came(uv_stream_t *s, int status)
{
    struct server *server = s->data;
    assert_int_equal(status, 0);
    struct peer *p = mem_alloc(sizeof *p);
    p->server = server;
    p->uv.data = p;
    uv_tcp_init(loop_uv(loop), &p->uv);
    assert_int_equal(uv_accept(s, (uv_stream_t *)&p->uv), 0);
    server->accepted++;
    uv_read_start((uv_stream_t *)&p->uv, give, heard);
    if (server->greeting.p)
        say(p);
    else if (server->close_after)
        hang_up(p);
}

static void serve(struct server *s)
{
    struct sockaddr_in a;
    uv_ip4_addr("127.0.0.34", 0, &a);
    uv_tcp_init(loop_uv(loop), &s->uv);
    s->uv.data = s;
    assert_int_equal(uv_tcp_bind(&s->uv, (struct sockaddr *)&a, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->uv, 512, came), 0);
    int size = sizeof a;
    uv_tcp_getsockname(&s->uv, (struct sockaddr *)&a, &size);
    s->port = ntohs(a.sin_port);
}

static int group_setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-hostile-XXXXXX");
    assert_non_null(mkdtemp(dir));
    struct buf pem = {0}, line = {0};
    struct err err;
    assert_int_equal(ssh_keygen_ed25519(&pem, &line, &err), 0);
    AUTO_FREE char *path = mem_printf("%s/key", dir);
    FILE *f = fopen(path, "w");
    fwrite(pem.data, 1, pem.len, f);
    fclose(f);
    free(shell("chmod 600 %s", path));
    if (ssh_identity_load(path, &identity, &err) == -1)
        fail_msg("%s", err.msg);
    pin = line;
    buf_wipe(&pem);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    ssh_identity_free(identity);
    buf_done(&pin);
    free(shell("rm -rf %s", dir));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    pool = ssh_pool_new(loop);
    return 0;
}

/* Peers are closed through their own callbacks, which free them. */
static int teardown(void **state)
{
    (void)state;
    ssh_pool_free(pool);
    struct err err;
    assert_int_equal(loop_pause(loop, 50 * USEC_PER_MSEC, &err), 0);
    loop_free(loop);
    return 0;
}

/* The handle is on the caller's stack: closed before it goes. */
static void stop_serving(struct server *s)
{
    struct err err;
    uv_close((uv_handle_t *)&s->uv, NULL);
    assert_int_equal(loop_pause(loop, 20 * USEC_PER_MSEC, &err), 0);
}

static struct err meet(struct server *s, usec_t timeout)
{
    serve(s);
    const char *pins[] = {buf_text(&pin)};
    struct ssh_target t = {.label = "mine_factory_1",
                           .address = "127.0.0.34",
                           .port = s->port,
                           .user = "secret-user",
                           .host_keys = pins,
                           .host_key_count = 1};
    struct ssh_connect_options o = {.identity = identity, .attempt_timeout = timeout};
    struct opened opened;
    usec_t start = clock_mono(clock_system());
    ssh_session_free(open_session(loop, pool, &t, &o, &opened));
    assert_true(clock_mono(clock_system()) - start < timeout + 2 * USEC_PER_SEC);
    assert_int_not_equal(opened.err.code, ERR_NONE);
    assert_non_null(strstr(opened.err.msg, "mine_factory_1"));
    for (const char *p = opened.err.msg; *p; p++)
        assert_true((unsigned char)*p >= 0x20);
    assert_false(s->user_name_heard);
    stop_serving(s);
    return opened.err;
}

static void silence(void **state)
{
    (void)state;
    struct server s = {0};
    struct err err = meet(&s, USEC_PER_SEC);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "said nothing"));
    assert_int_equal(s.heard, 0);
}

static void a_hang_up_at_once(void **state)
{
    (void)state;
    struct server s = {.close_after = true};
    assert_int_equal(meet(&s, 5 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void garbage(void **state)
{
    (void)state;
    char noise[3000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 7919 >> 3);
    struct server s = {.greeting = {noise, sizeof noise}};
    struct err err = meet(&s, 2 * USEC_PER_SEC);
    assert_true(err.code == ERR_UNREACHABLE || err.code == ERR_TIMEOUT);
}

static void another_protocol(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("HTTP/1.1 400 Bad Request\r\n\r\n"), .close_after = true};
    assert_int_equal(meet(&s, 5 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void an_endless_banner_line(void **state)
{
    (void)state;
    char noise[4096];
    memset(noise, 'x', sizeof noise);
    struct server s = {.greeting = {noise, sizeof noise}, .forever = true};
    assert_int_equal(meet(&s, 5 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void endless_banner_lines(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("hello\r\nhello\r\nhello\r\nhello\r\n"), .forever = true};
    struct err err = meet(&s, USEC_PER_SEC);
    assert_true(err.code == ERR_UNREACHABLE || err.code == ERR_TIMEOUT);
}

static void an_old_protocol(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("SSH-1.5-old\r\n")};
    assert_int_equal(meet(&s, 2 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void a_banner_then_silence(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("SSH-2.0-x\r\n")};
    struct err err = meet(&s, USEC_PER_SEC);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "key exchange"));
}

static void a_banner_with_escapes_then_a_hang_up(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("SSH-2.0-\033[2J\007x\r\n"), .close_after = true};
    assert_int_equal(meet(&s, 5 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void a_huge_packet(void **state)
{
    (void)state;
    struct server s = {.greeting =
                           STR("SSH-2.0-x\r\n\x7f\xff\xff\xff\x04\x14zzzzzzzzzzzzzzzzzzzz")};
    assert_int_equal(meet(&s, 3 * USEC_PER_SEC).code, ERR_UNREACHABLE);
}

static void a_packet_of_zero_bytes(void **state)
{
    (void)state;
    struct server s = {.greeting = STR("SSH-2.0-x\r\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")};
    struct err err = meet(&s, 2 * USEC_PER_SEC);
    assert_true(err.code == ERR_UNREACHABLE || err.code == ERR_TIMEOUT);
}

static void packets_for_ever(void **state)
{
    (void)state;
    /* SSH_MSG_IGNORE with nothing in it, again and again, after a banner that comes again and
     * again, too */
    struct server s = {.greeting = STR("SSH-2.0-x\r\n"
                                       "\0\0\0\x0c\x06\x02\0\0\0\0\0\0\0\0\0\0"
                                       "\0\0\0\x0c\x06\x02\0\0\0\0\0\0\0\0\0\0"),
                       .forever = true};
    struct err err = meet(&s, 2 * USEC_PER_SEC);
    assert_true(err.code == ERR_UNREACHABLE || err.code == ERR_TIMEOUT);
}

static void ignore_connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)ctx, (void)s, (void)err;
}

/* Silent hosts take up no handshake: with 200 of them, a host that hangs up is done at once. */
static void silent_hosts_hold_nobody_up(void **state)
{
    (void)state;
    struct server silent = {0};
    serve(&silent);
    const char *pins[] = {buf_text(&pin)};
    struct ssh_target t = {.address = "127.0.0.34",
                           .port = silent.port,
                           .user = "u",
                           .host_keys = pins,
                           .host_key_count = 1};
    struct ssh_connect_options o = {.identity = identity};
    struct ssh_session *sessions[200];
    for (int i = 0; i < 200; i++) {
        sessions[i] = ssh_session_open(pool, &t, &o, ignore_connected, NULL);
    }
    struct server quick = {.close_after = true};
    assert_int_equal(meet(&quick, 3 * USEC_PER_SEC).code, ERR_UNREACHABLE);
    struct err err;
    assert_int_equal(loop_pause(loop, USEC_PER_SEC / 5, &err), 0);
    assert_int_equal(silent.accepted, 200);
    for (int i = 0; i < 200; i++)
        ssh_session_free(sessions[i]);
    stop_serving(&silent);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(silence),
        T(a_hang_up_at_once),
        T(garbage),
        T(another_protocol),
        T(an_endless_banner_line),
        T(endless_banner_lines),
        T(an_old_protocol),
        T(a_banner_then_silence),
        T(a_banner_with_escapes_then_a_hang_up),
        T(a_huge_packet),
        T(a_packet_of_zero_bytes),
        T(packets_for_ever),
        T(silent_hosts_hold_nobody_up),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

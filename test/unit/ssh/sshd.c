/* See sshd.h. */
#include "sshd.h"
#include "base/mem.h"
#include "os/fs.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD "/usr/sbin/sshd"

bool sshd_available(void)
{
    static bool said;
    bool there = access(SSHD, X_OK) == 0 && access("/usr/bin/ssh-keygen", X_OK) == 0;
    if (!there && !said)
        print_message("# skipped: no " SSHD " or no ssh-keygen (package openssh-server)\n");
    said = said || !there;
    return there;
}

char *shell(const char *fmt, ...)
{
    char line[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    struct buf out = {0};
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&out, block, n);
    int status = pclose(f);
    if (status != 0)
        fail_msg("'%s' ended with %d: %s", line, status, buf_text(&out));
    if (str_ends(buf_view(&out), "\n"))
        out.data[--out.len] = '\0';
    return buf_take(&out);
}

static int try_connect(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    close(fd);
    return rc;
}

int free_port(const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static char *make_host_key(const struct sshd *d, const char *type)
{
    free(shell("ssh-keygen -q -t %s -N '' -C host -f %s/host_%s", type, d->dir, type));
    return shell("cut -d' ' -f1,2 %s/host_%s.pub", d->dir, type);
}

void sshd_init(struct sshd *d, const char *address, const char *extra)
{
    *d = (struct sshd){0};
    snprintf(d->dir, sizeof d->dir, "/tmp/flambe-sshd-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->address, sizeof d->address, "%s", address);
    d->port = free_port(address);
    d->user = mem_dup(getpwuid(getuid())->pw_name);
    d->host_ed25519 = make_host_key(d, "ed25519");
    d->host_rsa = make_host_key(d, "rsa");
    d->host_ecdsa = make_host_key(d, "ecdsa");
    d->key_path = mem_printf("%s/user", d->dir);
    free(shell("ssh-keygen -q -t ed25519 -N '' -f %s && cp %s.pub %s/authorized_keys", d->key_path,
               d->key_path, d->dir));
    if (getuid() == 0)
        (void)mkdir("/run/sshd", 0755); /* sshd's own empty directory; there once it ever ran */
    AUTO_FREE char *conf = mem_printf("%s/sshd_config", d->dir);
    AUTO_FREE char *text =
        mem_printf("ListenAddress %s\nPort %d\nPidFile none\nUsePAM no\nStrictModes no\n"
                   "HostKey %s/host_ed25519\nHostKey %s/host_rsa\nHostKey %s/host_ecdsa\n"
                   "AuthorizedKeysFile %s/authorized_keys\nPasswordAuthentication no\n"
                   "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
                   "PrintMotd no\nUseDNS no\nLogLevel VERBOSE\nMaxStartups 300:30:400\n"
                   "SetEnv HOME=%s\n%s", /* no start-up files of whoever runs the test */
                   address, d->port, d->dir, d->dir, d->dir, d->dir, d->dir, extra);
    struct err err;
    if (fs_write_atomic(conf, 0600, str_of(text), &err) == -1)
        fail_msg("%s", err.msg);
}

void sshd_start(struct sshd *d)
{
    AUTO_FREE char *conf = mem_printf("%s/sshd_config", d->dir);
    AUTO_FREE char *log = mem_printf("%s/log", d->dir);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, 2);
        dup2(open("/dev/null", O_RDWR), 0);
        execl(SSHD, SSHD, "-D", "-e", "-f", conf, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && try_connect(d->address, d->port) != 0; i++)
        usleep(10000);
    if (try_connect(d->address, d->port) != 0)
        fail_msg("sshd does not listen; see %s", log);
}

void sshd_stop(struct sshd *d)
{
    if (!d->pid)
        return;
    /* Each connection's sshd leads a session of its own; it goes before its commands, so that it
     * cannot tell how they ended. */
    free(shell("for p in $(pgrep -P %d); do c=$(pgrep -P $p); kill -KILL $p $c; done; true",
               d->pid));
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
    d->pid = 0;
}

void sshd_done(struct sshd *d)
{
    sshd_stop(d);
    if (d->dir[0])
        assert_int_equal(fs_remove_tree(d->dir, NULL), 0);
    free(d->user);
    free(d->host_ed25519);
    free(d->host_rsa);
    free(d->host_ecdsa);
    free(d->key_path);
    *d = (struct sshd){0};
}

struct ssh_target sshd_target(const struct sshd *d, const char *const *keys, size_t count)
{
    return (struct ssh_target){.label = "mine_factory_1",
                               .address = d->address,
                               .port = d->port,
                               .user = d->user,
                               .host_keys = keys,
                               .host_key_count = count};
}

static void connected(void *ctx, struct ssh_session *s, const struct err *err)
{
    (void)s;
    struct opened *o = ctx;
    assert_false(o->done);
    o->done = true;
    if (err)
        o->err = *err;
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

struct ssh_session *open_session(struct loop *loop, struct ssh_pool *pool,
                                 const struct ssh_target *t, const struct ssh_connect_options *o,
                                 struct opened *result)
{
    *result = (struct opened){0};
    struct ssh_session *s = ssh_session_open(pool, t, o, connected, result);
    assert_false(result->done);
    struct err err = {0};
    if (loop_wait(loop, is_set, &result->done, 60 * USEC_PER_SEC, &err) == -1)
        fail_msg("ssh_session_open never called back: %s", err.msg);
    return s;
}

static void got_output(void *ctx, bool is_err, struct str bytes)
{
    struct outcome *o = ctx;
    buf_add_str(is_err ? &o->err_out : &o->out, bytes);
    buf_addc(&o->order, is_err ? 'e' : 'o');
}

static void command_done(void *ctx, const struct ssh_exec_result *r, const struct err *err)
{
    struct outcome *o = ctx;
    assert_false(o->done);
    o->done = true;
    o->result = *r;
    if (err)
        o->err = *err;
}

void start_command(struct ssh_session *s, const char *command, struct str input, usec_t timeout,
                   struct outcome *o)
{
    *o = (struct outcome){0};
    struct ssh_exec_request r = {.command = command,
                                 .input = input,
                                 .timeout = timeout,
                                 .output = got_output,
                                 .done = command_done,
                                 .ctx = o};
    assert_non_null(ssh_exec_start(s, &r));
    assert_false(o->done);
}

void wait_outcome(struct loop *loop, struct outcome *o)
{
    struct err err = {0};
    if (loop_wait(loop, is_set, &o->done, 120 * USEC_PER_SEC, &err) == -1)
        fail_msg("the command never called back: %s", err.msg);
}

void run_command(struct loop *loop, struct ssh_session *s, const char *command, struct outcome *o)
{
    start_command(s, command, STR(""), 30 * USEC_PER_SEC, o);
    wait_outcome(loop, o);
}

void outcome_done(struct outcome *o)
{
    buf_done(&o->out);
    buf_done(&o->err_out);
    buf_done(&o->order);
}

/* start: opens the sandbox in a process of its own, waits until it serves, and prints the exports.
 *
 * The new process tells its parent over a pipe, a line at a time: "P text" is progress, "R" that it
 * serves, "E status text" that it does not. Its own output goes to DIR/log, so that whoever reads
 * the exports sees their end. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/cli.h"
#include "sandbox/client.h"
#include "sandbox/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 86400
#define LINE_MAX_BYTES 2048
#define START_LOOKS 100 /* while another start is at work */
#define START_LOOK (100 * USEC_PER_MSEC)

/* ---- what the command line says ------------------------------------------------------------- */

static void take_text(char **to, const struct cli_args *args, const char *option)
{
    *to = mem_dup(cli_option(args, option));
}

static int take_port(const struct cli_args *args, const char *option, int *out, struct err *err)
{
    int64_t port = 0;
    if (cli_int(args, option, 1, 65535, &port, err) == -1)
        return -1;
    *out = (int)port;
    return 0;
}

static int read_said(const struct cli_args *args, struct settings *said, struct err *err)
{
    const char *hosts = cli_option(args, "--hosts");
    settings_init(said);
    if (hosts)
        said->kind_known = host_kind_from_name(hosts, &said->kind);
    take_text(&said->region, args, "--region");
    take_text(&said->network, args, "--network");
    take_text(&said->public_network, args, "--public-network");
    take_text(&said->bridge, args, "--bridge");
    if (take_port(args, "--port", &said->port, err) == -1 ||
        take_port(args, "--ssh-port", &said->ssh_port, err) == -1 ||
        cli_number(args, "--visible-after", 0, SECONDS_MAX, &said->visible_after, err) == -1 ||
        cli_number(args, "--pending-for", 0, SECONDS_MAX, &said->pending_for, err) == -1 ||
        cli_number(args, "--stopping-for", 0, SECONDS_MAX, &said->stopping_for, err) == -1 ||
        cli_number(args, "--boot-after", 0, SECONDS_MAX, &said->boot_after, err) == -1)
        return -1;
    return 0;
}

/* ---- the process that serves ---------------------------------------------------------------- */

struct daemon {
    struct sandbox sandbox;
    int pipe; /* to the parent; -1: none, or it knows all it must */
    bool serves;
};

static void tell(struct daemon *d, const char *line)
{
    size_t n = strlen(line);
    if (d->pipe >= 0 && write(d->pipe, line, n) != (ssize_t)n)
        d->pipe = -1; /* the parent is gone: nobody wants to know */
}

static void progress(void *ctx, const char *line)
{
    struct daemon *d = ctx;
    if (d->serves || d->pipe < 0) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    AUTO_FREE char *text = mem_printf("P %.*s\n", LINE_MAX_BYTES - 4, line);
    tell(d, text);
}

static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* only many ghosts miss it */
    }
}

static int prepare(struct daemon *d, const struct settings *said, struct err *err)
{
    struct sandbox *s = &d->sandbox;
    AUTO_FREE char *world = fs_join(s->dir, "world.json");
    if (settings_load(&s->settings, s->dir, err) == -1 ||
        settings_merge(&s->settings, said, fs_exists(world), err) == -1)
        return -1;
    settings_defaults(&s->settings, s->dir);
    return 0;
}

/* What to type where the machine cannot do what nobody asked for by name. */
static void add_hint(const struct settings *said, struct err *err)
{
    bool no_machines = err->code == ERR_PERMISSION || err->code == ERR_NOT_FOUND;
    if (said->kind_known || !no_machines || strstr(err->msg, "--hosts ghost"))
        return;
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof err->msg - n,
             "; without real hosts, type: flambe-sandbox start --hosts ghost");
}

static void serves(struct daemon *d)
{
    const struct sandbox *s = &d->sandbox;
    d->serves = true;
    if (d->pipe < 0) {
        exports_print(s->dir, s->settings.port, s->settings.region);
        fprintf(stderr, "flambe-sandbox serves; Ctrl-C stops it\n");
        return;
    }
    tell(d, "R\n");
    close(d->pipe);
    d->pipe = -1;
}

static int serve(struct daemon *d, const char *dir, const struct settings *said, struct err *err)
{
    struct sandbox *s = &d->sandbox;
    s->loop = loop_new();
    s->dir = mem_dup(dir);
    s->progress = progress;
    s->progress_ctx = d;
    settings_init(&s->settings);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    loop_catch_signals(s->loop, NULL, NULL);
    int rc = prepare(d, said, err);
    if (rc == 0)
        rc = sandbox_open(s, err);
    if (rc == -1)
        add_hint(said, err);
    if (rc == 0) {
        serves(d);
        rc = sandbox_run(s, err);
    }
    struct loop *loop = s->loop;
    sandbox_close(s);
    loop_free(loop);
    return rc;
}

static void redirect(const char *dir)
{
    AUTO_FREE char *path = fs_join(dir, "log");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(log >= 0 ? log : null, STDERR_FILENO);
    }
}

NORETURN static void run_daemon(int pipe, const char *dir, const struct settings *said)
{
    struct daemon d = {.pipe = pipe};
    struct err err = {0};
    setsid();
    umask(022); /* images and disks are made from here; what is secret has a mode of its own */
    redirect(dir);
    if (chdir("/") == -1)
        progress(&d, "cannot leave the directory");
    int rc = serve(&d, dir, said, &err);
    if (rc == -1 && d.serves)
        fprintf(stderr, "%s\n", err.msg);
    if (rc == -1 && !d.serves) {
        AUTO_FREE char *text = mem_printf("E %d %s\n", err_exit_status(err.code), err.msg);
        tell(&d, text);
    }
    exit(rc == -1 ? 1 : 0);
}

/* ---- the parent ----------------------------------------------------------------------------- */

/* Reads what the new process tells; 0 once it serves. */
static int await(int pipe, const char *dir, struct err *err)
{
    FILE *f = fdopen(pipe, "r");
    char line[LINE_MAX_BYTES];
    int rc = -1;
    bool told = false;
    while (f && !told && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == 'P') {
            fprintf(stderr, "%s\n", line + 2);
        } else if (line[0] == 'R') {
            told = true;
            rc = 0;
        } else if (line[0] == 'E') {
            told = true;
            err_set(err, strncmp(line, "E 2 ", 4) == 0 ? ERR_USAGE : ERR_REJECTED, "%s", line + 4);
        }
    }
    if (f)
        fclose(f);
    if (!told)
        err_set(err, ERR_INTERNAL, "the sandbox ended before it served; see '%s/log'", dir);
    return rc;
}

static int start_daemon(const char *dir, const struct settings *said, struct err *err)
{
    int ends[2];
    if (fs_mkdirs(dir, 0700, err) == -1)
        return -1;
    if (pipe2(ends, O_CLOEXEC) == -1)
        return err_set_sys(err, errno, "cannot make a pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == -1) {
        int sys = errno;
        close(ends[0]);
        close(ends[1]);
        return err_set_sys(err, sys, "cannot start a process");
    }
    if (pid == 0) {
        close(ends[0]);
        run_daemon(ends[1], dir, said);
    }
    close(ends[1]);
    if (await(ends[0], dir, err) == -1) {
        (void)waitpid(pid, NULL, 0);
        return -1;
    }
    return 0;
}

static int print_running(const char *dir, const char *words, struct err *err)
{
    struct client_facts f = {0};
    if (client_facts(dir, &f, err) == -1)
        return -1;
    fprintf(stderr,
            "%s at http://127.0.0.1:%d, region %s, %s hosts\n"
            "a ready cluster: flambe %s/aws-cluster.yaml\n",
            words, f.port, f.region, f.hosts, dir);
    if (isatty(STDOUT_FILENO))
        fprintf(stderr, "for this shell: eval \"$(flambe-sandbox env)\"\n\n");
    exports_print(dir, f.port, f.region);
    client_facts_done(&f);
    return 0;
}

/* Another process has the directory: it serves, or is about to. */
static int join_running(const char *dir, const struct settings *said, struct err *err)
{
    struct loop *loop = loop_new();
    struct err why = {0};
    json_auto_t *answer = NULL;
    int rc = -1;
    for (int i = 0; i < START_LOOKS && rc == -1 && client_is_held(dir); i++) {
        rc = client_call(loop, dir, "status", NULL, &answer, &why);
        if (rc == -1 && loop_pause(loop, START_LOOK, NULL) == -1)
            break;
    }
    loop_free(loop);
    if (rc == -1)
        return err_set(err, ERR_CONFLICT, "a sandbox holds '%s' but does not answer; see its log",
                       dir);
    const json_t *hosts = json_object_get(json_object_get(answer, "result"), "hosts");
    const char *kind = json_string_value(hosts);
    if (said->kind_known && kind && strcmp(kind, host_kind_name(said->kind)) != 0)
        return err_set(
            err, ERR_CONFLICT,
            "a sandbox with %s hosts runs in '%s' already; stop it first: flambe-sandbox "
            "stop",
            kind, dir);
    return print_running(dir, "runs already", err);
}

int cmd_start(const struct cli_args *args, struct err *err)
{
    struct settings said;
    int rc = read_said(args, &said, err);
    if (rc == 0 && client_is_held(args->dir)) {
        rc = join_running(args->dir, &said, err);
    } else if (rc == 0 && cli_option(args, "--foreground")) {
        struct daemon d = {.pipe = -1};
        rc = serve(&d, args->dir, &said, err);
    } else if (rc == 0) {
        rc = start_daemon(args->dir, &said, err);
        if (rc == 0)
            rc = print_running(args->dir, "serves", err);
    }
    settings_done(&said);
    return rc;
}

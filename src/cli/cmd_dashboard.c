/* flambe dashboard: TensorBoard, which listens on the orchestrator's loopback alone, through a
 * tunnel of the user's own ssh over the pinned connection. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/reach.h"
#include "cli/text.h"
#include "net/http.h"
#include "os/children.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TENSORBOARD_PORT 49558 /* on the orchestrator, and here where it is free */
#define PROBE_GAP (250 * USEC_PER_MSEC)
#define PROBE_TIMEOUT (5 * USEC_PER_SEC)
#define SAY_AFTER (3 * USEC_PER_SEC) /* that TensorBoard does not answer yet */
#define TRY_GAP (2 * USEC_PER_SEC)   /* between a tunnel that broke and the next */
#define TRY_FOR (30 * USEC_PER_MIN)  /* without a tunnel that answers */
#define STATUS_CTRL_C 130

struct dashboard {
    struct cli *cli;
    struct reach reach;
    struct loop *loop;
    struct http *http;
    struct http_call *probe;
    struct timer *timer;
    int port;
    char url[64];
    usec_t began;          /* monotonic: this tunnel */
    usec_t answered;       /* monotonic: TensorBoard last did, or when it was first asked */
    bool waiting_said, up; /* up: the link has been printed */
    char last_words[256];  /* ssh's */
};

/* ---- a port here ----------------------------------------------------------------------------- */

/* Whether the port of this machine's loopback is free; 0 asks for any. The port, or -1. */
static int free_port(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int one = 1, found = -1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &size) == 0)
        found = ntohs(a.sin_port);
    close(fd);
    return found;
}

static int choose_port(struct dashboard *d, struct err *err)
{
    int64_t wanted = TENSORBOARD_PORT;
    const char *text = d->cli->opt.port;
    if (text && !str_to_i64(str_of(text), 1, 65535, &wanted))
        return err_set(err, ERR_USAGE, "'--port' is a number from 1 to 65535, not '%s'", text);
    d->port = free_port((int)wanted);
    if (d->port == -1 && text)
        return err_set(err, ERR_CONFLICT, "port %s of this machine is taken", text);
    if (d->port == -1)
        d->port = free_port(0);
    if (d->port == -1)
        return err_set_sys(err, errno, "no port of this machine can be had");
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%d/", d->port);
    return 0;
}

/* ---- whether it answers ---------------------------------------------------------------------- */

static void probe(void *ctx);

static void say_up(struct dashboard *d)
{
    if (d->up) {
        console_line(&d->cli->screen, "flambe: the tunnel is there again");
        return;
    }
    d->up = true;
    if (d->cli->json) {
        output_json(&d->cli->out, json_pack("{s:s, s:i, s:s}", "url", d->url, "port", d->port,
                                            "cluster", d->reach.target.name));
        return;
    }
    output_printf(&d->cli->out, "TensorBoard of '%s': %s\n", d->reach.target.name, d->url);
    console_line(&d->cli->screen, "the tunnel is open until Ctrl-C");
}

static void probed(void *ctx, const struct http_response *response, const struct err *err)
{
    struct dashboard *d = ctx;
    usec_t now = clock_mono(loop_clock(d->loop));
    (void)err;
    d->probe = NULL;
    if (response && response->status < 500) {
        d->answered = now;
        say_up(d);
        return;
    }
    if (!d->waiting_said && now - d->began > SAY_AFTER) {
        d->waiting_said = true;
        console_line(&d->cli->screen,
                     "waiting for TensorBoard to answer on the orchestrator; 'flambe ssh %s -- "
                     "systemctl status flambe-tensorboard' says how it stands",
                     d->reach.target.name);
    }
    d->timer = timer_start(d->loop, PROBE_GAP, probe, d);
}

static void probe(void *ctx)
{
    struct dashboard *d = ctx;
    timer_stop(TAKE(d->timer));
    struct http_request r = {
        .method = "GET", .url = d->url, .timeout = PROBE_TIMEOUT, .no_proxy = true, .once = true};
    d->probe = http_start(d->http, &r, probed, d);
}

/* ---- the tunnel ------------------------------------------------------------------------------ */

static void got_output(void *ctx, size_t child, bool is_err, struct str bytes)
{
    struct dashboard *d = ctx;
    AUTO_BUF struct buf clean = {0};
    (void)child;
    text_clean(str_trim(bytes), false, &clean);
    if (is_err && clean.len)
        snprintf(d->last_words, sizeof d->last_words, "%s", buf_text(&clean));
}

static int make_argv(struct dashboard *d, struct strv *argv, struct err *err)
{
    const struct ssh_target *t = reach_target(&d->reach, 0);
    if (!t) {
        reach_no_address(&d->reach, 0, err);
        return err_wrap(err, "the orchestrator of '%s'", d->reach.target.name);
    }
    static const char *const options[] = {"ExitOnForwardFailure=yes", "ServerAliveInterval=5",
                                          "ServerAliveCountMax=3", "ConnectTimeout=15",
                                          "BatchMode=yes"};
    strv_add(argv, "ssh");
    if (reach_ssh_options(&d->reach, 0, argv, err) == -1)
        return -1;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        strv_add(argv, "-o");
        strv_add(argv, options[i]);
    }
    strv_add(argv, "-NT");
    strv_add(argv, "-L");
    strv_take(argv, mem_printf("127.0.0.1:%d:127.0.0.1:%d", d->port, TENSORBOARD_PORT));
    strv_add(argv, "-p");
    strv_take(argv, mem_printf("%d", t->port ? t->port : 22));
    strv_take(argv, mem_printf("%s@%s", t->user, t->address));
    return 0;
}

/* One tunnel, until it ends. */
static int tunnel(struct dashboard *d, const struct strv *argv, struct err *err)
{
    struct child child = {0};
    strv_copy(&child.argv, argv);
    d->began = clock_mono(loop_clock(d->loop));
    d->last_words[0] = '\0';
    d->timer = timer_start(d->loop, PROBE_GAP, probe, d);
    struct children_request r = {
        .items = &child, .count = 1, .at_once = 1, .output = got_output, .ctx = d};
    int rc = children_run(d->loop, &r, err);
    timer_stop(TAKE(d->timer));
    if (d->probe)
        http_cancel(TAKE(d->probe));
    if (rc == 0 && child.err.code)
        rc = err_copy(err, &child.err);
    child_done(&child);
    return rc;
}

static int serve(struct dashboard *d, struct err *err)
{
    AUTO_STRV struct strv argv = {0};
    if (make_argv(d, &argv, err) == -1)
        return -1;
    d->answered = clock_mono(loop_clock(d->loop));
    for (;;) {
        if (tunnel(d, &argv, err) == -1)
            return -1;
        usec_t now = clock_mono(loop_clock(d->loop));
        if (!d->up || now - d->answered > TRY_FOR)
            return err_set(err, ERR_UNREACHABLE, "the tunnel to the orchestrator of '%s' ended%s%s",
                           d->reach.target.name, d->last_words[0] ? ": " : "", d->last_words);
        console_line(&d->cli->screen, "flambe: the tunnel broke; it is opened again");
        if (loop_pause(d->loop, TRY_GAP, err) == -1)
            return -1;
    }
}

static int run(struct cli *cli, struct err *err)
{
    struct dashboard d = {.cli = cli};
    struct http_options o = {.user_agent = "flambe"};
    struct err why = {0};
    int rc = reach_open(&d.reach, cli, cli->args.items[0], "orchestrator", &why);
    d.loop = d.reach.session.loop;
    if (rc == 0)
        rc = choose_port(&d, &why);
    if (rc == 0)
        rc = http_new(d.loop, &o, &d.http, &why);
    if (rc == 0)
        rc = serve(&d, &why);
    http_free(d.http);
    reach_done(&d.reach);
    if (rc == -1 && why.code == ERR_CANCELLED && d.up) {
        console_line(&cli->screen, "the tunnel is closed");
        cli->exit_status = STATUS_CTRL_C;
        return 0;
    }
    return rc == 0 ? 0 : err_copy(err, &why);
}

static const struct option_row options[] = {
    {"port", 0, OPTION_TEXT, "PORT", NULL,
     "the port of this machine (default: 49558, or a free one where that is taken)",
     offsetof(struct cli_options, port)},
    OPTION_CREATOR,
    OPTION_IDENTITY,
};

static const char *const examples[] = {"flambe dashboard mine",
                                       "flambe dashboard aws-cluster.yaml --port 6006", NULL};

const struct command cmd_dashboard = {
    .name = "dashboard",
    .usage = "CLUSTER",
    .summary = "open TensorBoard of a cluster, through a tunnel",
    .help = "TensorBoard runs on the orchestrator and listens on its loopback alone. This opens a "
            "tunnel to it with your own ssh, over the connection whose host key is pinned, and "
            "prints the link to open in a browser. The tunnel stays until Ctrl-C, and is opened "
            "again where the network broke it. With -o json the link is written as JSON.",
    .examples = examples,
    .options = options,
    .option_count = COUNT_OF(options),
    .min = 1,
    .max = 1,
    .complete = "cluster",
    .run = run,
};

/* See session.h. */
#include "cli/session.h"
#include "base/mem.h"
#include "cli/text.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static void cancelled(void *ctx)
{
    struct session *s = ctx;
    if (s->after_signal)
        console_line(&s->cli->screen, "flambe: %s", s->after_signal);
}

static void warned(void *ctx, const char *text)
{
    cli_warn(((struct session *)ctx)->cli, text);
}

void session_watch(struct session *s)
{
    s->cluster.watch = (struct cluster_watch){.warn = warned, .ctx = s};
}

void session_init(struct session *s, struct cli *cli)
{
    *s = (struct session){.cli = cli, .loop = loop_new()};
    s->state_root = fs_state_dir();
    s->cache_root = fs_cache_dir();
    s->cluster =
        (struct cluster){.loop = s->loop, .state_root = s->state_root, .cache_root = s->cache_root};
    session_watch(s);
    loop_catch_signals(s->loop, cancelled, s);
}

/* A sandbox that does not run, or an endpoint of another region, looks like broken AWS or wrong
 * keys: what to type is said where the endpoint is not AWS's own. */
static void advise(struct session *s, const struct err *err)
{
    const char *endpoint = s->cluster.aws ? aws_endpoint(s->cluster.aws, "ec2") : NULL;
    if (s->cli->hints.count || !endpoint || strstr(endpoint, ".amazonaws.com") ||
        strstr(endpoint, ".api.aws"))
        return;
    if (err->code == ERR_UNREACHABLE && strncmp(endpoint, "http://127.", 11) == 0)
        cli_hint(s->cli, "flambe-sandbox start, where %s is meant to be the sandbox", endpoint);
    else if (strcmp(err->origin, "AuthFailure") == 0)
        cli_hint(s->cli,
                 "another region with --region or 'region_name', where %s is not an endpoint of %s",
                 endpoint, aws_region(s->cluster.aws));
}

static void traced(void *ctx, const struct aws_trace *t)
{
    struct session *s = ctx;
    if (t->err && !t->retry_in)
        advise(s, t->err);
    if (t->err && t->err->code == ERR_CLOCK_SKEW && !s->skew_said) {
        s->skew_said = true;
        AUTO_FREE char *text = mem_printf("%s (going on by AWS's clock)", t->err->msg);
        cli_warn(s->cli, text);
    }
    if (!s->cli->opt.verbose)
        return;
    struct buf line = {0};
    buf_addf(&line, "aws: %s %s", t->service, t->action);
    if (t->attempt > 1)
        buf_addf(&line, ", attempt %d", t->attempt);
    if (t->status)
        buf_addf(&line, ": %d", t->status);
    buf_addf(&line, " in %.0f ms", (double)t->took / (double)USEC_PER_MSEC);
    if (t->err)
        buf_addf(&line, ": %s%s%s%s", t->err->msg, t->err->origin[0] ? " [" : "", t->err->origin,
                 t->err->origin[0] ? "]" : "");
    if (t->retry_in)
        buf_addf(&line, "; again in %.1f s", (double)t->retry_in / (double)USEC_PER_SEC);
    cli_verbose(s->cli, 1, "%s", buf_text(&line));
    buf_done(&line);
}

/* From here on there are secrets in memory: no core dump and no debugger of the same user. */
static void guard_memory(void)
{
#if defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__) /* its leak check looks at the process from outside */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

int session_connect(struct session *s, const char *region, struct err *err)
{
    guard_memory();
    struct aws_options o = {
        .loop = s->loop,
        .region = s->cli->opt.region ? s->cli->opt.region : region,
        .profile = s->cli->opt.profile,
        .trace = traced,
        .trace_ctx = s,
    };
    if (aws_open(&o, &s->cluster.aws, err) == -1)
        return -1;
    if (s->cli->opt.verbose < 2)
        return 0;
    char source[256];
    if (aws_credentials_source(s->cluster.aws, source, sizeof source, err) == -1)
        return -1;
    cli_verbose(s->cli, 2, "aws: region %s, endpoint %s, credentials from %s",
                aws_region(s->cluster.aws), aws_endpoint(s->cluster.aws, "ec2"), source);
    return 0;
}

void session_done(struct session *s)
{
    aws_close(s->cluster.aws);
    loop_free(s->loop);
    free(s->state_root);
    free(s->cache_root);
    *s = (struct session){0};
}

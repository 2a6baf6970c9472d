/* See net_fetch.h. */
#include "cli/net_fetch.h"
#include "aws/s3.h"
#include "base/mem.h"
#include "base/url.h"
#include "net/download.h"
#include <stdlib.h>
#include <string.h>

static void traced(void *ctx, const struct aws_trace *t)
{
    struct net_fetch *n = ctx;
    char took[CLOCK_SPAN_SIZE];
    clock_span(t->took, took);
    cli_verbose(n->cli, 1, "%s %s: %s, try %d, %s%s", t->service, t->action,
                t->err ? t->err->msg : "done", t->attempt, took, t->retry_in ? "; again" : "");
}

static int fetch_s3(struct net_fetch *n, const char *url, const char *destination,
                    fetch_progress_fn *progress, void *progress_ctx, struct fetched *out,
                    struct err *err)
{
    struct aws_options o = {.loop = n->loop,
                            .region = n->cli->opt.region,
                            .profile = n->cli->opt.profile,
                            .trace = traced,
                            .trace_ctx = n};
    struct s3_fetched got;
    if (!n->aws && aws_open(&o, &n->aws, err) == -1)
        return -1;
    if (s3_fetch(n->aws, url, destination, progress, progress_ctx, &got, err) == -1)
        return -1;
    *out = (struct fetched){.etag = TAKE(got.etag), .size = got.size};
    s3_fetched_done(&got);
    return 0;
}

static int fetch_http(struct net_fetch *n, const char *url, const char *destination,
                      fetch_progress_fn *progress, void *progress_ctx, struct fetched *out,
                      struct err *err)
{
    struct http_options o = {0};
    AUTO_FREE char *identity = url_masked(url); /* it is written beside the part */
    struct download_order order = {.url = url,
                                   .identity = identity,
                                   .path = destination,
                                   .progress = progress,
                                   .ctx = progress_ctx};
    struct download_result got;
    if (!n->http && http_new(n->loop, &o, &n->http, err) == -1)
        return -1;
    if (download_run(n->http, &order, &got, err) == -1)
        return -1;
    *out = (struct fetched){.etag = got.etag, .size = got.size};
    return 0;
}

static int fetch(void *ctx, const char *url, const char *destination, fetch_progress_fn *progress,
                 void *progress_ctx, struct fetched *out, struct err *err)
{
    if (str_starts(str_of(url), "s3://"))
        return fetch_s3(ctx, url, destination, progress, progress_ctx, out, err);
    return fetch_http(ctx, url, destination, progress, progress_ctx, out, err);
}

void net_fetch_init(struct net_fetch *n, struct cli *cli, struct loop *loop)
{
    *n = (struct net_fetch){.cli = cli, .loop = loop};
}

struct fetcher net_fetch_fetcher(struct net_fetch *n)
{
    return (struct fetcher){fetch, n};
}

void net_fetch_done(struct net_fetch *n)
{
    http_free(n->http);
    aws_close(n->aws);
    *n = (struct net_fetch){0};
}

/* The way out to the net for an experiment's resources: http and https by net, s3 by aws. Both are
 * opened when the first URL asks for them. */
#ifndef FLAMBE_CLI_NET_FETCH_H
#define FLAMBE_CLI_NET_FETCH_H

#include "cli/cli.h"
#include "experiment/fetch.h"

struct aws;
struct http;

struct net_fetch {
    struct cli *cli; /* for --profile, --region and -v */
    struct loop *loop;
    struct http *http;
    struct aws *aws;
};

void net_fetch_init(struct net_fetch *n, struct cli *cli, struct loop *loop);
/* Valid as long as `n`. */
struct fetcher net_fetch_fetcher(struct net_fetch *n);
void net_fetch_done(struct net_fetch *n);

#endif

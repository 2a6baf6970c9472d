/* The network of the LXC hosts: one bridge with two ranges, and a gateway that leads nowhere.
 *
 *   this machine        10.213.0.2, 10.214.0.2   on the bridge; reaches every host directly
 *   the hosts' gateway  10.213.0.1, 10.214.0.1   a network namespace of its own; it alone has
 *                       169.254.169.254          and answers all else with "unreachable"
 *
 * Hosts reach each other and the gateway, and nothing else: a table of our own in nftables, bound
 * to the bridge alone, drops what they send to this machine uninvited. The machine's own routes,
 * its forwarding and its firewall stay as they are. Before anything else both ranges get a
 * blackhole route with a bad metric: without it a packet to a host that is not up yet would leave
 * by the machine's uplink, where something may answer. */
#ifndef FLAMBE_SANDBOX_BRIDGE_H
#define FLAMBE_SANDBOX_BRIDGE_H

#include "base/err.h"
#include "os/loop.h"
#include <netinet/in.h>

#define BRIDGE_NAME_MAX 11 /* of an interface's 15, less what the gateway's interface adds */
#define BRIDGE_METRIC 9999

struct ip_range {
    uint32_t base; /* host byte order */
    int bits;
};

/* "10.213.0.0/16", at least 8 and at most 28 bits, nothing set behind them. */
int ip_range_parse(const char *text, struct ip_range *out, struct err *err) MUST_CHECK;
bool ip_range_overlap(struct ip_range a, struct ip_range b);
/* The nth address of the range; out holds at least INET_ADDRSTRLEN bytes. */
void ip_range_address(struct ip_range c, uint32_t n, char *out);
void ip_range_broadcast(struct ip_range c, char *out);

struct bridge_options {
    const char *name;
    const char *network, *public_network;
    const char *owner; /* the sandbox's directory; a bridge of another owner is refused */
};

struct bridge {
    char *name, *owner, *netns;
    struct ip_range private_range, public_range;
    bool guarded; /* hosts cannot reach this machine's own services; needs nftables */
};

/* Makes what is missing, also after an earlier process was killed half-way; waits on the loop.
 * ERR_CONFLICT where the name or a range is taken; ERR_NOT_FOUND without `ip`. */
int bridge_open(struct loop *loop, const struct bridge_options *o, struct bridge *out,
                struct err *err) MUST_CHECK;
void bridge_done(struct bridge *b); /* frees; the network stays */
/* Removes it all, the blackhole routes last; what is not there is fine. */
void bridge_remove(struct loop *loop, const struct bridge_options *o);
/* A listening TCP socket inside the gateway, at 169.254.169.254. */
int bridge_listen(const struct bridge *b, int port, int *fd, struct err *err) MUST_CHECK;

#endif

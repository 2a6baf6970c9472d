/* See bridge.h. Everything is said to `ip` in batches: one process for a dozen changes. */
#include "sandbox/bridge.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/proc.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IP_PROGRAM "ip"
#define PROGRAM_TIMEOUT (20 * USEC_PER_SEC)
#define IP_OUTPUT_MAX ((size_t)8 << 20)
#define ALIAS_PREFIX "flambe-sandbox "
#define ALIAS_MAX 255
#define GATEWAY_AT 1
#define MACHINE_AT 2

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool ip_range_read(const char *text, struct ip_range *out)
{
    struct str rest = str_of(text);
    struct str address = str_cut(&rest, '/');
    AUTO_FREE char *copy = str_dup(address);
    struct in_addr in;
    int64_t bits = 32;
    if (inet_pton(AF_INET, copy, &in) != 1 || (rest.p && !str_to_i64(rest, 0, 32, &bits)))
        return false;
    *out = (struct ip_range){.base = ntohl(in.s_addr), .bits = (int)bits};
    return true;
}

static uint32_t ip_range_mask(struct ip_range c)
{
    return c.bits ? ~(uint32_t)0 << (32 - c.bits) : 0;
}

int ip_range_parse(const char *text, struct ip_range *out, struct err *err)
{
    struct ip_range c;
    if (!ip_range_read(text, &c) || c.bits < 8 || c.bits > 28)
        return err_set(err, ERR_USAGE, "'%s' is no IPv4 network such as 10.213.0.0/16", text);
    if (c.base & ~ip_range_mask(c))
        return err_set(err, ERR_USAGE, "'%s' has bits set behind its prefix", text);
    *out = c;
    return 0;
}

bool ip_range_overlap(struct ip_range a, struct ip_range b)
{
    uint32_t mask = ip_range_mask(a) & ip_range_mask(b);
    return (a.base & mask) == (b.base & mask);
}

void ip_range_address(struct ip_range c, uint32_t n, char *out)
{
    struct in_addr in = {htonl(c.base + n)};
    inet_ntop(AF_INET, &in, out, INET_ADDRSTRLEN);
}

void ip_range_broadcast(struct ip_range c, char *out)
{
    ip_range_address(c, ~ip_range_mask(c), out);
}

static void ip_range_text(struct ip_range c, struct buf *out)
{
    char base[INET_ADDRSTRLEN];
    ip_range_address(c, 0, base);
    buf_addf(out, "%s/%d", base, c.bits);
}

/* ---- ip -------------------------------------------------------------------------------------- */

static int run_program(struct loop *loop, const char *const *argv, struct str input,
                       struct buf *out, struct err *err)
{
    struct proc_result r;
    if (proc_run(loop, argv, NULL, input, PROGRAM_TIMEOUT, &r, err) == -1) {
        if (err && err->code == ERR_NOT_FOUND)
            return err_set(err, ERR_NOT_FOUND,
                           "'%s' is not installed; type: sudo apt-get install iproute2", argv[0]);
        return -1;
    }
    int rc = 0;
    if (r.exit_status != 0)
        rc = err_set(err, ERR_IO, "'%s' failed: %.*s", argv[0],
                     STR_FMT(str_trim(buf_view(&r.err_out))));
    else if (out)
        buf_add_str(out, buf_view(&r.out));
    proc_result_done(&r);
    return rc;
}

/* netns NULL: the machine's own. With `force` a line that fails does not stop the others. */
static int run_batch(struct loop *loop, const char *netns, bool force, const struct buf *lines,
                     struct err *err)
{
    const char *argv[8];
    int n = 0;
    argv[n++] = IP_PROGRAM;
    if (netns) {
        argv[n++] = "-n";
        argv[n++] = netns;
    }
    if (force)
        argv[n++] = "-force";
    argv[n++] = "-batch";
    argv[n++] = "-";
    argv[n] = NULL;
    return run_program(loop, argv, buf_view(lines), NULL, err);
}

/* ---- what the machine has already ------------------------------------------------------------ */

static int refuse_overlap(const struct bridge *b, const char *text, const char *device,
                          struct err *err)
{
    struct ip_range there;
    if (!ip_range_read(text, &there) || there.bits == 0)
        return 0;
    const struct ip_range *ours = NULL;
    if (ip_range_overlap(there, b->private_range))
        ours = &b->private_range;
    else if (ip_range_overlap(there, b->public_range))
        ours = &b->public_range;
    if (!ours)
        return 0;
    AUTO_BUF struct buf name = {0};
    ip_range_text(*ours, &name);
    return err_set(
        err, ERR_CONFLICT,
        "the sandbox's network %s overlaps %s, which this machine reaches by '%s'; choose "
        "other networks",
        buf_text(&name), text, device ? device : "another route");
}

static int check_routes(struct loop *loop, const struct bridge *b, struct err *err)
{
    AUTO_BUF struct buf out = {.max = IP_OUTPUT_MAX};
    static const char *const argv[] = {IP_PROGRAM, "-j", "-4", "route", "show", NULL};
    if (run_program(loop, argv, (struct str){"", 0}, &out, err) == -1)
        return -1;
    json_auto_t *routes = NULL;
    if (json_parse(buf_view(&out), IP_OUTPUT_MAX, &routes, err) == -1)
        return -1;
    size_t i;
    json_t *route;
    json_array_foreach(routes, i, route)
    {
        const char *to = json_text(route, "dst"), *device = json_text(route, "dev");
        const char *type = json_text(route, "type");
        if (!to || strcmp(to, "default") == 0 || (device && strcmp(device, b->name) == 0))
            continue;
        bool ours = type && strcmp(type, "blackhole") == 0 &&
                    json_integer_value(json_object_get(route, "metric")) == BRIDGE_METRIC;
        if (!ours && refuse_overlap(b, to, device, err) == -1)
            return -1;
    }
    return 0;
}

static int check_addresses(struct loop *loop, const struct bridge *b, struct err *err)
{
    AUTO_BUF struct buf out = {.max = IP_OUTPUT_MAX};
    static const char *const argv[] = {IP_PROGRAM, "-j", "-4", "addr", "show", NULL};
    if (run_program(loop, argv, (struct str){"", 0}, &out, err) == -1)
        return -1;
    json_auto_t *links = NULL;
    if (json_parse(buf_view(&out), IP_OUTPUT_MAX, &links, err) == -1)
        return -1;
    size_t i, k;
    json_t *link, *address;
    json_array_foreach(links, i, link)
    {
        const char *name = json_text(link, "ifname");
        if (!name || strcmp(name, b->name) == 0)
            continue;
        json_array_foreach(json_object_get(link, "addr_info"), k, address)
        {
            const char *local = json_text(address, "local");
            if (local && refuse_overlap(b, local, name, err) == -1)
                return -1;
        }
    }
    return 0;
}

/* Whether the bridge's alias names a sandbox whose directory somebody has removed. */
static bool is_orphan(struct str alias)
{
    size_t n = strlen(ALIAS_PREFIX);
    if (!str_starts(alias, ALIAS_PREFIX) || alias.n >= ALIAS_MAX || alias.p[n] != '/')
        return false;
    AUTO_FREE char *dir = str_dup((struct str){alias.p + n, alias.n - n});
    return !fs_exists(dir);
}

/* ERR_CONFLICT where an interface of the name is somebody else's. *exists: there is one, and it is
 * ours; *orphan: there is one, and it is nobody's any more. */
static int check_owner(const struct bridge *b, bool *exists, bool *orphan, struct err *err)
{
    AUTO_FREE char *path = mem_printf("/sys/class/net/%s/ifalias", b->name);
    AUTO_BUF struct buf alias = {0};
    *orphan = false;
    *exists = fs_exists(path);
    if (!*exists)
        return 0;
    if (fs_read(path, 4096, &alias, err) == -1)
        return -1;
    struct str text = str_trim(buf_view(&alias));
    if (!text.n)
        return 0; /* an earlier process was killed between making and naming it, or see below */
    AUTO_FREE char *ours = mem_printf("%s%s", ALIAS_PREFIX, b->owner);
    if (strlen(ours) > ALIAS_MAX)
        ours[ALIAS_MAX] = '\0';
    if (str_is(text, ours))
        return 0;
    *orphan = is_orphan(text);
    *exists = !*orphan;
    if (*orphan)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "the network interface '%s' belongs to '%.*s'; choose another name: --bridge "
                   "NAME --network CIDR --public-network CIDR",
                   b->name, STR_FMT(text));
}

/* ---- making and removing --------------------------------------------------------------------- */

static int write_text(const char *path, const char *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n) {
        int sys = errno;
        if (fd >= 0)
            close(fd);
        return err_set_sys(err, sys, "cannot write '%s'", path);
    }
    close(fd);
    return 0;
}

/* A fixed hardware address from an IPv4 one: after a restart nobody holds a stale neighbour. */
static void add_mac(struct buf *out, uint32_t address)
{
    buf_addf(out, "02:00:%02x:%02x:%02x:%02x", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255);
}

static int add_blackholes(struct loop *loop, const struct bridge *b, struct err *err)
{
    AUTO_BUF struct buf lines = {0};
    const struct ip_range ranges[] = {b->private_range, b->public_range};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        buf_adds(&lines, "route replace blackhole ");
        ip_range_text(ranges[i], &lines);
        buf_addf(&lines, " metric %d\n", BRIDGE_METRIC);
    }
    return run_batch(loop, NULL, false, &lines, err);
}

static void remove_blackholes(struct loop *loop, const struct bridge *b)
{
    AUTO_BUF struct buf lines = {0};
    const struct ip_range ranges[] = {b->private_range, b->public_range};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        buf_adds(&lines, "route delete blackhole ");
        ip_range_text(ranges[i], &lines);
        buf_addf(&lines, " metric %d\n", BRIDGE_METRIC);
    }
    (void)!run_batch(loop, NULL, true, &lines, NULL);
}

static int add_bridge(struct loop *loop, const struct bridge *b, bool exists, struct err *err)
{
    AUTO_BUF struct buf lines = {0};
    if (!exists) {
        buf_addf(&lines, "link add name %s address ", b->name);
        add_mac(&lines, b->private_range.base + MACHINE_AT);
        buf_adds(&lines, " type bridge\n");
        if (run_batch(loop, NULL, false, &lines, err) == -1)
            return -1;
        buf_clear(&lines);
    }
    AUTO_FREE char *alias = mem_printf("%s%s", ALIAS_PREFIX, b->owner);
    if (strlen(alias) > ALIAS_MAX)
        alias[ALIAS_MAX] = '\0';
    AUTO_FREE char *alias_path = mem_printf("/sys/class/net/%s/ifalias", b->name);
    AUTO_FREE char *ipv6 = mem_printf("/proc/sys/net/ipv6/conf/%s/disable_ipv6", b->name);
    AUTO_FREE char *retry = mem_printf("/proc/sys/net/ipv4/neigh/%s/retrans_time_ms", b->name);
    AUTO_FREE char *tries = mem_printf("/proc/sys/net/ipv4/neigh/%s/mcast_solicit", b->name);
    AUTO_FREE char *forward = mem_printf("/proc/sys/net/ipv4/conf/%s/forwarding", b->name);
    if (write_text(alias_path, alias, err) == -1)
        return -1;
    /* A machine that forwards for others (a router, Docker) must not forward for the hosts. */
    if (write_text(forward, "0\n", err) == -1)
        return -1;
    (void)!write_text(ipv6, "1\n", NULL); /* there may be no IPv6 at all */
    /* Who connects while a host boots is through when it is up, not up to a second later: the
     * neighbour is asked for every 50 ms, for the usual 3 s. */
    (void)!write_text(retry, "50\n", NULL);
    (void)!write_text(tries, "60\n", NULL);
    const struct ip_range ranges[] = {b->private_range, b->public_range};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        char address[INET_ADDRSTRLEN];
        ip_range_address(ranges[i], MACHINE_AT, address);
        buf_addf(&lines, "addr replace %s/%d dev %s\n", address, ranges[i].bits, b->name);
    }
    buf_addf(&lines, "link set %s up\n", b->name);
    return run_batch(loop, NULL, false, &lines, err);
}

/* Calls fn inside the gateway's namespace; only sockets and /proc/sys/net look different there. */
static int in_gateway(const struct bridge *b, int (*fn)(void *ctx, struct err *err), void *ctx,
                      struct err *err)
{
    AUTO_FREE char *path = mem_printf("/run/netns/%s", b->netns);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int rc;
    if (there < 0 || home < 0 || setns(there, CLONE_NEWNET) == -1) {
        rc = err_set_sys(err, errno, "cannot enter the network namespace '%s'", b->netns);
    } else {
        rc = fn(ctx, err);
        if (setns(home, CLONE_NEWNET) == -1)
            abort(); /* every later socket would lie in the wrong network */
    }
    if (there >= 0)
        close(there);
    if (home >= 0)
        close(home);
    return rc;
}

static int enable_forwarding(void *ctx, struct err *err)
{
    (void)ctx;
    /* So that the gateway says "unreachable" at once instead of dropping in silence. */
    return write_text("/proc/sys/net/ipv4/ip_forward", "1\n", err);
}

static int nothing(void *ctx, struct err *err)
{
    (void)ctx, (void)err;
    return 0;
}

static int add_gateway(struct loop *loop, const struct bridge *b, struct err *err)
{
    AUTO_BUF struct buf lines = {0};
    AUTO_FREE char *path = mem_printf("/run/netns/%s", b->netns);
    if (fs_exists(path) && in_gateway(b, nothing, NULL, NULL) == -1) {
        buf_addf(&lines, "netns delete %s\n", b->netns);
        (void)!run_batch(loop, NULL, true, &lines, NULL);
        buf_clear(&lines);
    }
    if (!fs_exists(path))
        buf_addf(&lines, "netns add %s\n", b->netns);
    AUTO_FREE char *link_path = mem_printf("/sys/class/net/%s-gw", b->name);
    if (!fs_exists(link_path)) {
        buf_addf(&lines, "link add %s-gw type veth peer name eth0 address ", b->name);
        add_mac(&lines, b->private_range.base + GATEWAY_AT);
        buf_addf(&lines, " netns %s\n", b->netns);
    }
    buf_addf(&lines, "link set %s-gw master %s up\n", b->name, b->name);
    if (run_batch(loop, NULL, false, &lines, err) == -1)
        return -1;
    buf_clear(&lines);
    buf_adds(&lines, "link set lo up\naddr replace 169.254.169.254/32 dev lo\n");
    const struct ip_range ranges[] = {b->private_range, b->public_range};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        char address[INET_ADDRSTRLEN];
        ip_range_address(ranges[i], GATEWAY_AT, address);
        buf_addf(&lines, "addr replace %s/%d dev eth0\n", address, ranges[i].bits);
    }
    buf_adds(&lines, "link set eth0 up\nroute replace unreachable default\n");
    if (run_batch(loop, b->netns, false, &lines, err) == -1)
        return -1;
    return in_gateway(b, enable_forwarding, NULL, err);
}

/* The table's name: nft allows no '-'. */
static void add_table_name(const struct bridge *b, struct buf *out)
{
    buf_adds(out, "flambe_");
    for (const char *p = b->name; *p; p++)
        buf_addc(out, *p == '-' ? '_' : *p);
}

/* Without state: connections that this machine opens go on working, those that hosts open do not.
 */
static bool set_guard(struct loop *loop, const struct bridge *b, bool on)
{
    AUTO_BUF struct buf name = {0};
    AUTO_BUF struct buf lines = {0};
    add_table_name(b, &name);
    const char *t = buf_text(&name);
    buf_addf(&lines, "table ip %s\ndelete table ip %s\n", t, t);
    if (on)
        buf_addf(&lines,
                 "table ip %s {\n chain in {\n  type filter hook input priority -10;\n"
                 "  iifname \"%s\" tcp flags & (syn|ack) == syn drop\n"
                 "  iifname \"%s\" meta l4proto != { tcp, icmp } drop\n }\n}\n",
                 t, b->name, b->name);
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    return run_program(loop, argv, buf_view(&lines), NULL, NULL) == 0;
}

static int bridge_init(const struct bridge_options *o, struct bridge *out, struct err *err)
{
    struct bridge b = {0};
    size_t n = strlen(o->name);
    if (!n || n > BRIDGE_NAME_MAX ||
        strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n || o->name[0] == '-')
        return err_set(err, ERR_USAGE,
                       "'%s' is no name for a bridge: at most %d of a-z, 0-9, '_' and '-'", o->name,
                       BRIDGE_NAME_MAX);
    if (ip_range_parse(o->network, &b.private_range, err) == -1 ||
        ip_range_parse(o->public_network, &b.public_range, err) == -1)
        return -1;
    if (ip_range_overlap(b.private_range, b.public_range))
        return err_set(err, ERR_USAGE, "the networks '%s' and '%s' overlap", o->network,
                       o->public_network);
    b.name = mem_dup(o->name);
    b.owner = mem_dup(o->owner);
    b.netns = mem_printf("flambe-%s", o->name);
    *out = b;
    return 0;
}

static void remove_links(struct loop *loop, const struct bridge *b)
{
    AUTO_BUF struct buf lines = {0};
    buf_addf(&lines, "link delete %s-gw\nnetns delete %s\nlink delete %s\n", b->name, b->netns,
             b->name);
    (void)!run_batch(loop, NULL, true, &lines, NULL);
    (void)set_guard(loop, b, false);
}

int bridge_open(struct loop *loop, const struct bridge_options *o, struct bridge *out,
                struct err *err)
{
    struct bridge b;
    bool exists, orphan;
    if (bridge_init(o, &b, err) == -1)
        return -1;
    int rc = check_owner(&b, &exists, &orphan, err);
    if (rc == 0 && orphan)
        remove_links(loop, &b);
    if (rc == -1 || check_routes(loop, &b, err) == -1 || check_addresses(loop, &b, err) == -1 ||
        add_blackholes(loop, &b, err) == -1 || add_bridge(loop, &b, exists, err) == -1 ||
        add_gateway(loop, &b, err) == -1) {
        bridge_done(&b);
        return -1;
    }
    b.guarded = set_guard(loop, &b, true);
    *out = b;
    return 0;
}

void bridge_done(struct bridge *b)
{
    mem_freep(&b->name);
    mem_freep(&b->owner);
    mem_freep(&b->netns);
}

void bridge_remove(struct loop *loop, const struct bridge_options *o)
{
    struct bridge b;
    bool exists, orphan;
    if (bridge_init(o, &b, NULL) == -1)
        return;
    if (check_owner(&b, &exists, &orphan, NULL) == 0) {
        remove_links(loop, &b);
        /* Where the ranges are another sandbox's by now, so are the blackhole routes. */
        if (check_routes(loop, &b, NULL) == 0 && check_addresses(loop, &b, NULL) == 0)
            remove_blackholes(loop, &b);
    }
    bridge_done(&b);
}

/* ---- the metadata service's socket ----------------------------------------------------------- */

static int make_socket(void *ctx, struct err *err)
{
    int *fd = ctx;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return *fd < 0 ? err_set_sys(err, errno, "cannot make a socket") : 0;
}

int bridge_listen(const struct bridge *b, int port, int *out, struct err *err)
{
    int fd = -1, one = 1;
    if (in_gateway(b, make_socket, &fd, err) == -1)
        return -1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "169.254.169.254", &at.sin_addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == -1 || listen(fd, 256) == -1) {
        int sys = errno;
        close(fd);
        return err_set_sys(err, sys, "cannot listen at 169.254.169.254 in the gateway");
    }
    *out = fd;
    return 0;
}

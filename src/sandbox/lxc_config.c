/* A container's configuration file, from what the host is. See lxc.container.conf(5). */
#include "base/digest.h"
#include "base/mem.h"
#include "sandbox/hosts_lxc_priv.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define INTERFACE_HASH_CHARS 12 /* with "fv" within an interface's 15 */

void lxc_veth_name(const char *name, char out[16])
{
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(name), hex);
    snprintf(out, 16, "fv%.*s", INTERFACE_HASH_CHARS, hex);
}

void lxc_mac(const char *private_ip, char out[18])
{
    struct in_addr in = {0};
    inet_pton(AF_INET, private_ip, &in);
    uint32_t a = ntohl(in.s_addr);
    snprintf(out, 18, "02:00:%02x:%02x:%02x:%02x", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void address(const char *ip, struct ip_range range, struct buf *out)
{
    char broadcast[INET_ADDRSTRLEN]; /* lxc's own guess at it is wrong */
    ip_range_broadcast(range, broadcast);
    buf_addf(out, "lxc.net.0.ipv4.address = %s/%d %s\n", ip, range.bits, broadcast);
}

static void network(const struct host *h, struct buf *out)
{
    const struct bridge *b = &h->all->bridge;
    char veth[16], mac[18], gateway[INET_ADDRSTRLEN];
    lxc_veth_name(h->name, veth);
    lxc_mac(h->private_ip, mac);
    ip_range_address(b->private_range, 1, gateway);
    buf_addf(out,
             "lxc.net.0.type = veth\nlxc.net.0.link = %s\nlxc.net.0.veth.pair = %s\n"
             "lxc.net.0.name = eth0\nlxc.net.0.flags = up\nlxc.net.0.hwaddr = %s\n",
             b->name, veth, mac);
    address(h->private_ip, b->private_range, out);
    if (h->public_ip)
        address(h->public_ip, b->public_range, out);
    buf_addf(out, "lxc.net.0.ipv4.gateway = %s\n", gateway);
}

/* As many CPUs as the type has, or all of the machine's where it has no more. */
static void cpus(const struct host *h, struct buf *out)
{
    int have = h->all->cpus;
    int count = h->vcpus > 0 && h->vcpus < have ? h->vcpus : have;
    for (int i = 0; i < count; i++)
        buf_addf(out, "%s%u", i ? "," : "", (h->first_cpu + (unsigned)i) % (unsigned)have);
}

static void limits(const struct host *h, struct buf *out)
{
    const char *key = h->all->cgroup2 ? "lxc.cgroup2" : "lxc.cgroup";
    buf_addf(out, "%s.%s = %lldM\n%s.cpuset.cpus = ", key,
             h->all->cgroup2 ? "memory.max" : "memory.limit_in_bytes", (long long)h->memory_mib,
             key);
    cpus(h, out);
    /* No block device: a host must not mount the machine's disks. */
    buf_addf(out, "\n%s.devices.deny = a\n%s.devices.allow = c *:* rwm\n", key, key);
}

void lxc_config(const struct host *h, struct buf *out)
{
    const struct image *image = &h->all->image;
    bool light = h->kind == HOST_LIGHT;
    buf_addf(out, "lxc.uts.name = %s\nlxc.rootfs.path = overlayfs:%s%s%s:%s/disk/upper\n",
             h->hostname, light ? image->light : "", light ? ":" : "", image->root, h->dir);
    network(h, out);
    limits(h, out);
    buf_addf(out,
             "lxc.autodev = 1\nlxc.pty.max = 1024\nlxc.tty.max = 0\n"
             "lxc.console.logfile = %s/console.log\nlxc.console.size = " LXC_CONSOLE_FILE_MAX "\n"
             "lxc.console.buffer.size = " LXC_CONSOLE_FILE_MAX "\nlxc.console.rotate = 1\n"
             "lxc.apparmor.profile = unconfined\n"
             "lxc.cap.drop = sys_time sys_module sys_rawio\n",
             h->dir);
    if (!light) {
        buf_adds(out, "lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\n"
                      "lxc.init.cmd = /sbin/init\nlxc.signal.halt = SIGRTMIN+3\n");
        buf_addf(out, "lxc.mount.entry = %s %s none bind,create=dir 0 0\n", h->all->shared,
                 &HOST_SHARED[1]);
        return;
    }
    buf_addf(out,
             "lxc.mount.auto = proc:mixed sys:ro\n"
             "lxc.mount.entry = tmpfs run tmpfs mode=755,create=dir 0 0\n"
             "lxc.mount.entry = tmpfs tmp tmpfs mode=1777,create=dir 0 0\n"
             "lxc.mount.entry = tmpfs dev/shm tmpfs mode=1777,create=dir 0 0\n"
             "lxc.init.cmd = %s\n",
             h->never_boots ? "/bin/sleep infinity" : "/usr/sbin/light-init");
}

/* Addresses: CIDR ranges, and who has which address.
 *
 * A private address is unique over all VPCs, though EC2 lets VPCs overlap: the hosts behind them
 * share one bridge. Freed addresses are given out again as late as possible, so that a host of
 * yesterday is not taken for one of today. */
#include "sandbox/world_priv.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_OFFSET 10 /* where a range's search begins; below it EC2 and the gateways live */

bool ip_parse(const char *text, uint32_t *out)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    *out = ntohl(a.s_addr);
    return true;
}

char *ip_text(uint32_t address)
{
    return mem_printf("%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                      address & 255);
}

static uint32_t mask_of(int bits)
{
    return bits == 0 ? 0 : ~(uint32_t)0 << (32 - bits);
}

bool cidr_parse(const char *text, struct cidr *out)
{
    const char *slash = strchr(text, '/');
    if (!slash || slash - text >= INET_ADDRSTRLEN)
        return false;
    char address[INET_ADDRSTRLEN];
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    int64_t bits;
    uint32_t ip;
    if (!ip_parse(address, &ip) || !str_to_i64(str_of(slash + 1), 0, 32, &bits))
        return false;
    out->bits = (int)bits;
    out->address = ip & mask_of(out->bits);
    return true;
}

char *cidr_text(struct cidr c)
{
    AUTO_FREE char *ip = ip_text(c.address);
    return mem_printf("%s/%d", ip, c.bits);
}

bool cidr_holds(struct cidr outer, struct cidr inner)
{
    return inner.bits >= outer.bits && (inner.address & mask_of(outer.bits)) == outer.address;
}

bool cidr_overlaps(struct cidr a, struct cidr b)
{
    return cidr_holds(a, b) || cidr_holds(b, a);
}

static uint32_t cidr_size(struct cidr c)
{
    return c.bits == 0 ? UINT32_MAX : (uint32_t)1 << (32 - c.bits);
}

static struct cidr cidr_of(const char *text)
{
    struct cidr c = {0, 32};
    (void)cidr_parse(text, &c); /* was proven when it came in */
    return c;
}

int subnet_free(const struct world_subnet *s)
{
    return (int)cidr_size(cidr_of(s->cidr)) - SUBNET_RESERVED - s->used;
}

/* The first four and the last are EC2's. */
static bool usable(struct cidr c, uint32_t address)
{
    uint32_t offset = address - c.address;
    return cidr_holds(c, (struct cidr){address, 32}) && offset >= 4 && offset != cidr_size(c) - 1;
}

bool private_ip_take_this(struct world *w, struct world_subnet *s, struct world_instance *i,
                          const char *ip)
{
    uint32_t address;
    if (!ip_parse(ip, &address) || !usable(cidr_of(s->cidr), address))
        return false;
    AUTO_FREE char *text = ip_text(address);
    if (strtab_get(w->private_ips, str_of(text)))
        return false;
    strtab_put(w->private_ips, str_of(text), i);
    s->used++;
    i->private_ip = TAKE(text);
    return true;
}

bool private_ip_take(struct world *w, struct world_subnet *s, struct world_instance *i)
{
    if (subnet_free(s) <= 0)
        return false;
    struct cidr c = cidr_of(s->cidr);
    uint32_t size = cidr_size(c);
    if (s->cursor == 0)
        s->cursor = size > FIRST_OFFSET * 2 ? FIRST_OFFSET : 4;
    for (uint32_t tried = 0; tried < size; tried++) {
        uint32_t offset = ((uint32_t)s->cursor + tried) % size;
        AUTO_FREE char *ip = ip_text(c.address + offset);
        if (!private_ip_take_this(w, s, i, ip))
            continue;
        s->cursor = (int)((offset + 1) % size);
        return true;
    }
    return false;
}

void private_ip_drop(struct world *w, struct world_instance *i)
{
    if (!i->private_ip)
        return;
    strtab_remove(w->private_ips, str_of(i->private_ip));
    struct world_subnet *s = resource_get(w, KIND_SUBNET, i->subnet_id);
    if (s)
        s->used--;
    free(TAKE(i->private_ip));
}

void public_ip_take(struct world *w, struct world_instance *i)
{
    struct cidr c = cidr_of(w->public_network);
    uint32_t size = cidr_size(c);
    for (uint32_t tried = 0; tried < size; tried++) {
        uint32_t offset = ((uint32_t)w->public_cursor + tried) % size;
        if (offset < FIRST_OFFSET || offset == size - 1)
            continue;
        AUTO_FREE char *ip = ip_text(c.address + offset);
        if (strtab_get(w->public_ips, str_of(ip)))
            continue;
        strtab_put(w->public_ips, str_of(ip), i);
        w->public_cursor = (int)((offset + 1) % size);
        i->public_ip = TAKE(ip);
        return;
    }
}

void public_ip_drop(struct world *w, struct world_instance *i)
{
    if (!i->public_ip)
        return;
    strtab_remove(w->public_ips, str_of(i->public_ip));
    free(TAKE(i->public_ip));
}

/* ---- names --------------------------------------------------------------------------------- */

static char *dashed(const char *prefix, const char *ip, const char *domain)
{
    char *name = mem_printf("%s-%s%s", prefix, ip, domain);
    for (char *p = name, *end = name + strlen(prefix) + 1 + strlen(ip); p < end; p++) {
        if (*p == '.')
            *p = '-';
    }
    return name;
}

char *private_hostname(const char *private_ip)
{
    return dashed("ip", private_ip, "");
}

char *private_dns_name(const struct world *w, const char *private_ip)
{
    if (strcmp(w->region, "us-east-1") == 0)
        return dashed("ip", private_ip, ".ec2.internal");
    AUTO_FREE char *domain = mem_printf(".%s.compute.internal", w->region);
    return dashed("ip", private_ip, domain);
}

char *public_dns_name(const struct world *w, const char *public_ip)
{
    if (strcmp(w->region, "us-east-1") == 0)
        return dashed("ec2", public_ip, ".compute-1.amazonaws.com");
    AUTO_FREE char *domain = mem_printf(".%s.compute.amazonaws.com", w->region);
    return dashed("ec2", public_ip, domain);
}

bool addresses_shown(const struct world_instance *i, usec_t now)
{
    return now >= i->addresses_at;
}

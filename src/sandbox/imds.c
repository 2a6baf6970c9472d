/* See imds.h. The tree is a table of paths, sorted, each with a function that gives the value, so
 * that listings and values cannot disagree. */
#include "sandbox/imds.h"
#include "base/digest.h"
#include "base/mem.h"
#include "net/httpd.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)64 << 10)
#define PATH_MAX_BYTES 1024
#define SECRET_BYTES 16
#define TOKEN_MAC_CHARS 40

struct imds {
    struct imds_options o;
    struct httpd *httpd;
    uint8_t secret[SECRET_BYTES]; /* tokens are proofs made with it, so that none need be kept */
    int ttl;                      /* of the token given last, for its header */
};

static const char plain[] = "text/plain";

/* ---- tokens ---------------------------------------------------------------------------------- */

/* "EXPIRES-MAC": the time in seconds, and an HMAC of it and the asker's address. */
static char *token_for(const struct imds *i, const char *peer, int64_t expires)
{
    AUTO_FREE char *text = mem_printf("%lld %s", (long long)expires, peer);
    uint8_t mac[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    digest_hmac_sha256((struct str){(const char *)i->secret, sizeof i->secret}, str_of(text), mac);
    digest_hex(mac, sizeof mac, hex);
    return mem_printf("%lld-%.*s", (long long)expires, TOKEN_MAC_CHARS, hex);
}

static int64_t now_seconds(const struct imds *i)
{
    return clock_mono(i->o.clock) / USEC_PER_SEC;
}

static bool token_valid(const struct imds *i, const char *peer, struct str token)
{
    struct str rest = token;
    int64_t expires;
    if (!str_to_i64(str_cut(&rest, '-'), 0, INT64_MAX, &expires) || now_seconds(i) >= expires)
        return false;
    AUTO_FREE char *right = token_for(i, peer, expires);
    return digest_equal(token, str_of(right));
}

static int give_token(struct imds *i, const struct imds_request *q, struct buf *body)
{
    int64_t seconds;
    if (!str_is(q->method, "PUT"))
        return 405;
    if (q->forwarded)
        return 403;
    if (!str_to_i64(q->ttl, 1, IMDS_TOKEN_SECONDS_MAX, &seconds))
        return 400;
    AUTO_FREE char *token = token_for(i, q->peer, now_seconds(i) + seconds);
    buf_adds(body, token);
    i->ttl = (int)seconds;
    return 200;
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Appends the value; false: there is no such thing here. */
typedef bool value_fn(const struct imds_facts *f, struct buf *out);

static bool text(const char *value, struct buf *out)
{
    if (!value)
        return false;
    buf_adds(out, value);
    return true;
}

#define FACT(name, expression)                                           \
    static bool give_##name(const struct imds_facts *f, struct buf *out) \
    {                                                                    \
        return text(expression, out);                                    \
    }
FACT(ami_id, f->image_id)
FACT(index, "0")
FACT(manifest, "(unknown)")
FACT(hostname, f->hostname)
FACT(action, "none")
FACT(instance_id, f->instance_id)
FACT(life_cycle, f->spot_action ? "spot" : "on-demand")
FACT(type, f->type)
FACT(private_ip, f->private_ip)
FACT(public_ip, f->public_ip)
FACT(public_hostname, f->public_ip ? f->public_hostname : NULL)
FACT(mac, f->mac)
FACT(zone, f->zone)
FACT(region, f->region)
FACT(groups, f->security_groups)
FACT(account, f->account)
FACT(subnet, f->subnet_id)
FACT(vpc, f->vpc_id)
FACT(profile, "default-hvm")
FACT(domain, "amazonaws.com")
FACT(partition, "aws")
FACT(root_device, "/dev/sda1")
FACT(spot_action, f->spot_action)
FACT(public_key, f->public_key)
FACT(empty_list, "[]")

/* "r-" and what the instance's id has behind its "i-": one reservation an instance is near enough.
 */
static bool give_reservation(const struct imds_facts *f, struct buf *out)
{
    buf_addf(out, "r-%s", strchr(f->instance_id, '-') ? strchr(f->instance_id, '-') + 1 : "0");
    return true;
}

/* EC2's termination time: the "time" of the JSON that is in spot/instance-action. */
static bool give_termination_time(const struct imds_facts *f, struct buf *out)
{
    const char *at = f->spot_action ? strstr(f->spot_action, "\"time\"") : NULL;
    at = at ? strchr(at + 6, ':') : NULL;
    at = at ? strchr(at, '"') : NULL;
    if (!at)
        return false;
    buf_add(out, at + 1, strcspn(at + 1, "\""));
    return true;
}

static bool give_zone_id(const struct imds_facts *f, struct buf *out)
{
    size_t n = strlen(f->zone);
    buf_addf(out, "use1-az%d", n ? f->zone[n - 1] - 'a' + 1 : 1);
    return true;
}

static bool give_public_keys(const struct imds_facts *f, struct buf *out)
{
    if (!f->key_name)
        return false;
    buf_addf(out, "0=%s", f->key_name);
    return true;
}

/* MAC stands for the interface's address. A path that ends in '/' is a listing of its own making.
 */
static const struct {
    const char *path;
    value_fn *give;
} tree[] = {
    {"ami-id", give_ami_id},
    {"ami-launch-index", give_index},
    {"ami-manifest-path", give_manifest},
    {"block-device-mapping/ami", give_root_device},
    {"block-device-mapping/root", give_root_device},
    {"events/maintenance/history", give_empty_list},
    {"events/maintenance/scheduled", give_empty_list},
    {"hostname", give_hostname},
    {"instance-action", give_action},
    {"instance-id", give_instance_id},
    {"instance-life-cycle", give_life_cycle},
    {"instance-type", give_type},
    {"local-hostname", give_hostname},
    {"local-ipv4", give_private_ip},
    {"mac", give_mac},
    {"network/interfaces/macs/MAC/device-number", give_index},
    {"network/interfaces/macs/MAC/local-hostname", give_hostname},
    {"network/interfaces/macs/MAC/local-ipv4s", give_private_ip},
    {"network/interfaces/macs/MAC/mac", give_mac},
    {"network/interfaces/macs/MAC/owner-id", give_account},
    {"network/interfaces/macs/MAC/public-hostname", give_public_hostname},
    {"network/interfaces/macs/MAC/public-ipv4s", give_public_ip},
    {"network/interfaces/macs/MAC/security-groups", give_groups},
    {"network/interfaces/macs/MAC/subnet-id", give_subnet},
    {"network/interfaces/macs/MAC/vpc-id", give_vpc},
    {"placement/availability-zone", give_zone},
    {"placement/availability-zone-id", give_zone_id},
    {"placement/region", give_region},
    {"profile", give_profile},
    {"public-hostname", give_public_hostname},
    {"public-ipv4", give_public_ip},
    {"public-keys/", give_public_keys},
    {"public-keys/0/openssh-key", give_public_key},
    {"reservation-id", give_reservation},
    {"security-groups", give_groups},
    {"services/domain", give_domain},
    {"services/partition", give_partition},
    {"spot/instance-action", give_spot_action},
    {"spot/termination-time", give_termination_time},
};

/* The table's path with this machine's hardware address in it. */
static char *tree_path(size_t i, const struct imds_facts *f)
{
    const char *mac = strstr(tree[i].path, "MAC");
    if (!mac)
        return mem_dup(tree[i].path);
    return mem_printf("%.*s%s%s", (int)(mac - tree[i].path), tree[i].path, f->mac ? f->mac : "",
                      mac + 3);
}

/* One line of a listing, once: listings are sorted, so that a repeat follows its first. */
static void list_entry(struct buf *out, struct str entry, bool is_dir)
{
    AUTO_FREE char *line = mem_printf("%.*s%s", STR_FMT(entry), is_dir ? "/" : "");
    struct str all = buf_view(out);
    for (struct str rest = all; rest.p;) {
        if (str_is(str_cut(&rest, '\n'), line))
            return;
    }
    buf_addf(out, "%s%s", out->len ? "\n" : "", line);
}

/* The tags as paths "tags/instance/KEY", where they are shown to the instance. */
static void tag_entries(const struct imds_facts *f, struct str dir, struct buf *out)
{
    if (!f->tags_visible)
        return;
    if (!dir.n)
        list_entry(out, STR("tags"), true);
    else if (str_is(dir, "tags/"))
        list_entry(out, STR("instance"), true);
    for (size_t i = 0; str_is(dir, "tags/instance/") && i < f->tag_count; i++)
        list_entry(out, str_of(f->tags[i].key), false);
}

static bool give_tag(const struct imds_facts *f, struct str path, struct buf *out)
{
    static const char start[] = "tags/instance/";
    if (!f->tags_visible || !str_starts(path, start))
        return false;
    struct str key = {path.p + sizeof start - 1, path.n - (sizeof start - 1)};
    for (size_t i = 0; i < f->tag_count; i++) {
        if (str_is(key, f->tags[i].key))
            return text(f->tags[i].value, out);
    }
    return false;
}

static bool give_listing(const struct imds_facts *f, struct str dir, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(tree); i++) {
        AUTO_FREE char *path = tree_path(i, f);
        AUTO_BUF struct buf ignored = {0};
        if (strncmp(path, dir.p, dir.n) != 0 || !tree[i].give(f, &ignored))
            continue;
        struct str rest = str_of(path + dir.n);
        if (!rest.n) {
            buf_add_str(out, buf_view(&ignored)); /* a listing of its own making */
            return true;
        }
        bool is_dir = memchr(rest.p, '/', rest.n) != NULL;
        list_entry(out, str_cut(&rest, '/'), is_dir);
    }
    tag_entries(f, dir, out);
    return out->len > 0;
}

/* Below meta-data/. */
static bool give_meta_data(const struct imds_facts *f, struct str path, struct buf *out)
{
    if (!path.n || str_ends(path, "/"))
        return give_listing(f, path, out);
    for (size_t i = 0; i < COUNT_OF(tree); i++) {
        AUTO_FREE char *full = tree_path(i, f);
        if (str_is(path, full))
            return tree[i].give(f, out);
    }
    if (give_tag(f, path, out))
        return true;
    AUTO_FREE char *dir = mem_printf("%.*s/", STR_FMT(path)); /* a directory without its slash */
    return give_listing(f, str_of(dir), out);
}

static void give_document(const struct imds_facts *f, struct buf *out)
{
    json_auto_t *j =
        json_pack("{s:s,s:s?,s:s,s:s?,s:s?,s:s?,s:s?,s:s,s:n,s:n,s:n,s:n,s:n,s:s,s:s}", "version",
                  "2017-09-30", "accountId", f->account, "architecture", "x86_64",
                  "availabilityZone", f->zone, "imageId", f->image_id, "instanceId", f->instance_id,
                  "instanceType", f->type, "privateIp", f->private_ip, "billingProducts",
                  "devpayProductCodes", "marketplaceProductCodes", "kernelId", "ramdiskId",
                  "region", f->region, "pendingTime", "2024-01-01T00:00:00Z");
    AUTO_FREE char *dump = j ? json_dumps(j, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    buf_adds(out, dump ? dump : "{}");
}

static bool give_dynamic(const struct imds_facts *f, struct str path, const char **type,
                         struct buf *out)
{
    if (!path.n)
        return text("instance-identity/", out);
    if (str_is(path, "instance-identity") || str_is(path, "instance-identity/"))
        return text("document", out);
    if (!str_is(path, "instance-identity/document"))
        return false;
    give_document(f, out);
    *type = plain;
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* "latest", or a date such as "2021-03-23" that EC2 has had: cloud-init asks for several, newest
 * first, and takes the first that is there. */
static bool is_version(struct str s)
{
    static const char *const versions[] = {"1.0",        "2009-04-04", "2011-01-01",
                                           "2014-11-05", "2016-09-02", "2018-09-24",
                                           "2020-10-27", "2021-03-23", "latest"};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        if (str_is(s, versions[i]))
            return true;
    }
    return false;
}

static bool find_answer(const struct imds_facts *f, struct str path, const char **type,
                        struct buf *out)
{
    struct str rest = path;
    struct str part = str_cut(&rest, '/');
    struct str below = rest.p ? rest : (struct str){"", 0};
    if (!part.n && !rest.p) {
        buf_adds(out, "dynamic\nmeta-data");
        if (f->user_data.n)
            buf_adds(out, "\nuser-data");
        return true;
    }
    if (str_is(part, "meta-data"))
        return give_meta_data(f, below, out);
    if (str_is(part, "dynamic"))
        return give_dynamic(f, below, type, out);
    if (str_is(part, "user-data") && !below.n && f->user_data.n) {
        *type = "application/octet-stream";
        buf_add_str(out, f->user_data);
        return true;
    }
    return false;
}

int imds_answer(struct imds *i, const struct imds_request *q, struct buf *body,
                const char **content_type)
{
    *content_type = plain;
    struct imds_facts facts;
    if (!i->o.facts(i->o.ctx, q->peer, &facts))
        return 404;
    struct str path = q->path;
    if (path.n > PATH_MAX_BYTES || !path.n || path.p[0] != '/')
        return 400;
    path.p++;
    path.n--;
    while (path.n && path.p[0] == '/') { /* doubled slashes are common and legal */
        path.p++;
        path.n--;
    }
    if (str_is(path, "latest/api/token"))
        return give_token(i, q, body);
    if (!str_is(q->method, "GET") && !str_is(q->method, "HEAD"))
        return 405;
    if (q->token.n ? !token_valid(i, q->peer, q->token) : facts.tokens_required)
        return 401;
    if (!path.n) {
        buf_adds(body, "1.0\n2009-04-04\n2011-01-01\n2014-11-05\n2016-09-02\n2018-09-24\n"
                       "2020-10-27\n2021-03-23\nlatest");
        return 200;
    }
    struct str rest = path;
    if (!is_version(str_cut(&rest, '/')))
        return 404;
    return find_answer(&facts, rest.p ? rest : (struct str){"", 0}, content_type, body) ? 200 : 404;
}

static const char *phrase(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 405:
        return "Method Not Allowed";
    default:
        return "Not Found";
    }
}

static void fail_page(int status, struct buf *body)
{
    const char *p = phrase(status);
    buf_clear(body);
    buf_addf(body,
             "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>%d - %s</title>"
             "</head><body><h1>%d - %s</h1></body></html>\n",
             status, p, status, p);
}

static void handle(void *ctx, struct httpd_request *r)
{
    struct imds *i = ctx;
    char peer[INET_ADDRSTRLEN] = "";
    const struct sockaddr *at = httpd_peer(r);
    if (at && at->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, at, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, peer, sizeof peer);
    }
    struct imds_request q = {
        .method = httpd_method(r),
        .path = httpd_path(r),
        .token = httpd_header(r, "X-aws-ec2-metadata-token"),
        .ttl = httpd_header(r, "X-aws-ec2-metadata-token-ttl-seconds"),
        .forwarded = httpd_header(r, "X-Forwarded-For").n > 0,
        .peer = peer,
    };
    AUTO_BUF struct buf body = {0};
    const char *type;
    i->ttl = 0;
    int status = imds_answer(i, &q, &body, &type);
    if (status != 200) {
        fail_page(status, &body);
        type = "text/html";
    }
    AUTO_FREE char *type_line = mem_printf("Content-Type: %s", type);
    AUTO_FREE char *ttl_line = mem_printf("X-aws-ec2-metadata-token-ttl-seconds: %d", i->ttl);
    const char *headers[] = {type_line, "Server: EC2ws", i->ttl ? ttl_line : NULL, NULL};
    httpd_answer(r, status, headers, buf_view(&body));
}

int imds_start(const struct imds_options *o, struct imds **out, struct err *err)
{
    struct imds *i = mem_alloc(sizeof *i);
    i->o = *o;
    digest_random(i->secret, sizeof i->secret);
    struct httpd_options h = {
        .listen_fd = o->listen_fd, .body_max = BODY_MAX, .handle = handle, .ctx = i};
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)o->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(&h.address, &at, sizeof at);
    if (httpd_start(o->loop, &h, &i->httpd, err) == -1) {
        free(i);
        return -1;
    }
    *out = i;
    return 0;
}

int imds_port(const struct imds *i)
{
    return httpd_port(i->httpd);
}

void imds_stop(struct imds *i)
{
    if (!i)
        return;
    httpd_stop(i->httpd);
    explicit_bzero(i->secret, sizeof i->secret);
    free(i);
}

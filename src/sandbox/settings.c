/* See settings.h. */
#include "sandbox/settings.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_NAME "sandbox.json"
#define FILE_MAX ((size_t)64 << 10)
#define REGION "us-east-1"
#define NETWORK "10.213.0.0/16"
#define PUBLIC_NETWORK "10.214.0.0/16"
#define BRIDGE "flambe0"
#define SSH_PORT 22
#define SSH_PORT_UNPRIVILEGED 2222

void settings_init(struct settings *s)
{
    *s = (struct settings){
        .visible_after = -1, .pending_for = -1, .stopping_for = -1, .boot_after = -1};
}

void settings_done(struct settings *s)
{
    free(s->region);
    free(s->network);
    free(s->public_network);
    free(s->bridge);
    settings_init(s);
}

static void take_text(char **to, const json_t *j, const char *key)
{
    const char *text = json_text(j, key);
    if (!text)
        return;
    free(*to);
    *to = mem_dup(text);
}

static bool take_port(int *to, const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);
    if (!value)
        return true;
    int64_t port = json_integer_value(value);
    if (!json_is_integer(value) || port < 0 || port > 65535)
        return false;
    *to = (int)port;
    return true;
}

int settings_load(struct settings *s, const char *dir, struct err *err)
{
    AUTO_FREE char *path = fs_join(dir, FILE_NAME);
    AUTO_BUF struct buf text = {0};
    struct err why = {0};
    if (fs_read(path, FILE_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    json_auto_t *j = NULL;
    if (json_parse(buf_view(&text), FILE_MAX, &j, err) == -1)
        return err_wrap(err, "'%s'", path);
    const char *hosts = json_text(j, "hosts");
    if (!hosts || !host_kind_from_name(hosts, &s->kind) || !take_port(&s->port, j, "port") ||
        !take_port(&s->ssh_port, j, "ssh_port"))
        return err_set(err, ERR_PARSE, "'%s' is damaged", path);
    s->kind_known = true;
    take_text(&s->region, j, "region");
    take_text(&s->network, j, "network");
    take_text(&s->public_network, j, "public_network");
    take_text(&s->bridge, j, "bridge");
    const json_t *boot = json_object_get(j, "boot_after");
    if (json_is_number(boot))
        s->boot_after = json_number_value(boot);
    return 0;
}

int settings_save(const struct settings *s, const char *dir, struct err *err)
{
    AUTO_FREE char *path = fs_join(dir, FILE_NAME);
    AUTO_BUF struct buf text = {0};
    json_auto_t *j = json_object();
    json_object_set_new(j, "hosts", json_string(host_kind_name(s->kind)));
    json_object_set_new(j, "port", json_integer(s->port));
    json_object_set_new(j, "ssh_port", json_integer(s->ssh_port));
    json_object_set_new(j, "region", json_string(s->region));
    json_object_set_new(j, "network", json_string(s->network));
    json_object_set_new(j, "public_network", json_string(s->public_network));
    json_object_set_new(j, "bridge", json_string(s->bridge));
    if (s->boot_after >= 0)
        json_object_set_new(j, "boot_after", json_real(s->boot_after));
    json_write(j, true, &text);
    return fs_write_atomic(path, 0600, buf_view(&text), err);
}

static int merge_text(char **to, const char *said, const char *what, bool fixed, struct err *err)
{
    if (!said || (*to && strcmp(*to, said) == 0))
        return 0;
    if (*to && fixed)
        return err_set(err, ERR_CONFLICT,
                       "this sandbox's account has %s '%s', not '%s'; to begin anew, type: "
                       "flambe-sandbox reset",
                       what, *to, said);
    free(*to);
    *to = mem_dup(said);
    return 0;
}

int settings_merge(struct settings *s, const struct settings *said, bool account_exists,
                   struct err *err)
{
    if (said->kind_known && s->kind_known && said->kind != s->kind && account_exists)
        return err_set(err, ERR_CONFLICT,
                       "this sandbox's hosts are %s, not %s; to begin anew, type: flambe-sandbox "
                       "reset",
                       host_kind_name(s->kind), host_kind_name(said->kind));
    if (merge_text(&s->region, said->region, "the region", account_exists, err) == -1 ||
        merge_text(&s->network, said->network, "the network", account_exists, err) == -1 ||
        merge_text(&s->public_network, said->public_network, "the public network", account_exists,
                   err) == -1 ||
        merge_text(&s->bridge, said->bridge, "the bridge", account_exists, err) == -1)
        return -1;
    if (said->kind_known) {
        if (s->kind_known && s->kind != said->kind && !said->public_network)
            free(TAKE(s->public_network)); /* each kind has a default of its own */
        s->kind = said->kind;
        s->kind_known = true;
    }
    if (said->port)
        s->port = said->port;
    if (said->ssh_port)
        s->ssh_port = said->ssh_port;
    s->visible_after = said->visible_after;
    s->pending_for = said->pending_for;
    s->stopping_for = said->stopping_for;
    if (said->boot_after >= 0)
        s->boot_after = said->boot_after;
    return 0;
}

/* ---- what nobody said ----------------------------------------------------------------------- */

/* Ghosts answer SSH on loopback addresses: a /16 of its own for each sandbox, so that two of them
 * do not meet. */
static char *ghost_network(const char *dir)
{
    uint8_t hash[SHA256_SIZE];
    digest_sha256(str_of(dir), hash);
    return mem_printf("127.%d.0.0/16", 2 + hash[0] % 252);
}

static bool can_listen(const char *network, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct str rest = str_of(network);
    AUTO_FREE char *address = str_dup(str_cut(&rest, '/'));
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
        return false;
    a.sin_addr.s_addr |= htonl(0xfffe); /* an address of the network that no host has */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0;
    if (fd >= 0)
        close(fd);
    return can;
}

void settings_defaults(struct settings *s, const char *dir)
{
    if (!s->region)
        s->region = mem_dup(REGION);
    if (!s->network)
        s->network = mem_dup(NETWORK);
    if (!s->public_network)
        s->public_network = s->kind == HOST_GHOST ? ghost_network(dir) : mem_dup(PUBLIC_NETWORK);
    if (!s->bridge)
        s->bridge = mem_dup(BRIDGE);
    if (s->kind == HOST_GHOST && s->ssh_port == 0)
        s->ssh_port = can_listen(s->public_network, SSH_PORT) ? SSH_PORT : SSH_PORT_UNPRIVILEGED;
}

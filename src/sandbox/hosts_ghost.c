/* Ghosts: hosts without a machine. The API's word says that they run, and where the public address
 * is one of this machine's own (127.0.0.0/8 always is), their SSH is answered in this process.
 *
 * A ghost's host key outlives the process in a small file, so that a client that has pinned it
 * finds it again after a restart of the sandbox. */
#include "base/digest.h"
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/ghost_ssh.h"
#include "sandbox/hosts.h"
#include "sandbox/userdata.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FILE_MAX ((size_t)16 << 10)
#define SSH_PORT 22

struct ghosts {
    struct loop *loop;
    char *keys_dir;
    int port;
    usec_t boot_delay;
    struct host *first;
};

struct host {
    struct ghosts *all;
    struct host *next, *previous;
    struct host_events events;
    char *instance_id, *hostname, *user, *address;
    ssh_key host_key;
    ssh_key next_key; /* made, not shown yet; or NULL */
    bool rotated;     /* host_key was a next_key */
    ssh_key *authorized;
    size_t authorized_count;
    struct ghost_door *door; /* NULL while it is off or boots */
    struct timer *timer;     /* the one change that is coming */
    bool never_boots, running, partitioned, frozen;
    char *why; /* of the end that is coming */
};

/* ---- the host key's file --------------------------------------------------------------------- */

static char *key_path(const struct host *h)
{
    return mem_printf("%s/%s", h->all->keys_dir, h->instance_id);
}

static void key_save(const struct host *h)
{
    AUTO_FREE char *path = key_path(h);
    AUTO_FREE char *fresh = mem_printf("%s.new", path);
    /* A lost key costs a client a new pin after a crash of the machine; a sync for each of a
     * thousand ghosts would cost seconds. */
    if (ssh_pki_export_privkey_file(h->host_key, NULL, NULL, NULL, fresh) == SSH_OK)
        (void)rename(fresh, path);
}

static bool key_load(struct host *h)
{
    AUTO_FREE char *path = key_path(h);
    ssh_key key = NULL;
    if (!fs_exists(path) || ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK)
        return false;
    ssh_key_free(h->host_key);
    h->host_key = key;
    return true;
}

/* ---- what the door asks ---------------------------------------------------------------------- */

static void facts(void *ctx, struct ghost_facts *out)
{
    const struct host *h = ctx;
    *out = (struct ghost_facts){.hostname = h->hostname,
                                .user = h->user,
                                .host_key = h->host_key,
                                .authorized = h->authorized,
                                .authorized_count = h->authorized_count};
}

static char *next_host_key(void *ctx)
{
    struct host *h = ctx;
    if (h->rotated)
        return ghost_key_line(h->host_key);
    if (!h->next_key)
        h->next_key = ghost_key_new();
    return ghost_key_line(h->next_key);
}

static void serve_next_key(void *ctx)
{
    struct host *h = ctx;
    if (!h->next_key)
        return;
    ssh_key_free(h->host_key);
    h->host_key = TAKE(h->next_key);
    h->rotated = true;
    key_save(h);
}

/* ---- power ----------------------------------------------------------------------------------- */

static void ended(void *ctx)
{
    struct host *h = ctx;
    timer_stop(h->timer);
    h->timer = NULL;
    ghost_door_close(TAKE(h->door));
    AUTO_FREE char *why = TAKE(h->why);
    h->events.ended(h->events.ctx, h, why); /* h may be gone after this */
}

static void end_later(struct host *h)
{
    if (!h->running)
        return;
    h->running = false;
    timer_stop(h->timer);
    h->timer = timer_start(h->all->loop, 0, ended, h);
}

static void boot_later(struct host *h);
static void power_off(void *ctx)
{
    end_later(ctx);
}

static void reboot(void *ctx)
{
    struct host *h = ctx;
    if (h->running)
        boot_later(h);
}

static const struct ghost_door_ops door_ops = {.facts = facts,
                                               .next_host_key = next_host_key,
                                               .serve_next_key = serve_next_key,
                                               .power_off = power_off,
                                               .reboot = reboot};

static void booted(void *ctx)
{
    struct host *h = ctx;
    timer_stop(h->timer);
    h->timer = NULL;
    ghost_door_close(TAKE(h->door));
    if (h->never_boots)
        return;
    struct err err = {0};
    if (ghost_door_open(h->all->loop, h->address, h->all->port, &door_ops, h, &h->door, &err) ==
        0) {
        if (h->partitioned || h->frozen)
            ghost_door_hold(h->door, true);
        return;
    }
    if (err.code == ERR_NOT_FOUND)
        return; /* not an address of this machine: the API's word only */
    h->why = mem_dup(err.msg);
    end_later(h);
}

static void boot_later(struct host *h)
{
    timer_stop(h->timer);
    h->timer = timer_start(h->all->loop, h->all->boot_delay, booted, h);
}

/* ---- host_ops -------------------------------------------------------------------------------- */

static void authorize(struct host *h, const char *line)
{
    struct str rest = str_trim(str_of(line));
    struct str type = str_cut(&rest, ' ');
    AUTO_FREE char *type_name = str_dup(type);
    struct str text = rest.p ? str_trim(rest) : (struct str){"", 0};
    AUTO_FREE char *base64 = str_dup(str_cut(&text, ' '));
    ssh_key key = NULL;
    if (ssh_pki_import_pubkey_base64(base64, ssh_key_type_from_name(type_name), &key) != SSH_OK)
        return; /* options and unknown kinds of keys let nobody in */
    h->authorized = mem_grow(h->authorized, h->authorized_count + 1, sizeof *h->authorized);
    h->authorized[h->authorized_count++] = key;
}

static void set_address(struct host *h, const struct host_config *c)
{
    free(h->address);
    h->address = mem_dup(c->public_ip ? c->public_ip : c->private_ip);
}

static struct host *host_new(struct ghosts *all, const struct host_config *c,
                             const struct host_events *events)
{
    struct host *h = mem_alloc(sizeof *h);
    h->all = all;
    h->events = *events;
    h->instance_id = mem_dup(c->instance_id);
    h->hostname = mem_dup(c->hostname);
    h->user = mem_dup(c->user);
    h->never_boots = c->never_boots;
    set_address(h, c);
    struct userdata data;
    userdata_read(c->user_data, &data);
    if (c->public_key)
        authorize(h, c->public_key);
    for (size_t i = 0; i < data.authorized_keys.count; i++)
        authorize(h, data.authorized_keys.items[i]);
    if (data.host_key_private && !c->foreign_host_key)
        (void)ssh_pki_import_privkey_base64(secret_expose(data.host_key_private).p, NULL, NULL,
                                            NULL, &h->host_key);
    userdata_done(&data);
    if (!h->host_key)
        h->host_key = ghost_key_new();
    h->next = all->first;
    if (h->next)
        h->next->previous = h;
    all->first = h;
    return h;
}

static void host_free(struct host *h)
{
    if (h->next)
        h->next->previous = h->previous;
    if (h->previous)
        h->previous->next = h->next;
    else
        h->all->first = h->next;
    timer_stop(h->timer);
    ghost_door_close(h->door);
    ssh_key_free(h->host_key);
    ssh_key_free(h->next_key);
    for (size_t i = 0; i < h->authorized_count; i++)
        ssh_key_free(h->authorized[i]);
    free(h->authorized);
    free(h->why);
    free(h->instance_id);
    free(h->hostname);
    free(h->user);
    free(h->address);
    free(h);
}

static int ghost_create(void *self, const struct host_config *config,
                        const struct host_events *events, struct host **out, struct err *err)
{
    (void)err;
    struct host *h = host_new(self, config, events);
    key_save(h);
    h->running = true;
    boot_later(h);
    *out = h;
    return 0;
}

static int ghost_start(void *self, struct host *h, const struct host_config *config,
                       struct err *err)
{
    (void)self, (void)err;
    set_address(h, config);
    h->running = true;
    boot_later(h);
    return 0;
}

static void ghost_stop(void *self, struct host *h)
{
    (void)self;
    end_later(h);
}

static void ghost_reboot(void *self, struct host *h)
{
    (void)self;
    reboot(h);
}

static void ghost_destroy(void *self, struct host *h)
{
    (void)self;
    AUTO_FREE char *path = key_path(h);
    (void)remove(path);
    host_free(h);
}

static void hold(struct host *h)
{
    if (h->door)
        ghost_door_hold(h->door, h->partitioned || h->frozen);
}

static int ghost_partition(void *self, struct host *h, bool on, struct err *err)
{
    (void)self, (void)err;
    h->partitioned = on;
    hold(h);
    return 0;
}

static int ghost_freeze(void *self, struct host *h, bool on, struct err *err)
{
    (void)self, (void)err;
    h->frozen = on;
    hold(h);
    return 0;
}

static void ghost_console(void *self, struct host *h, struct buf *out)
{
    (void)self;
    if (!h->running || h->never_boots)
        return;
    AUTO_FREE char *line = ghost_key_line(h->host_key);
    buf_addf(out,
             "-----BEGIN SSH HOST KEY KEYS-----\n%s root@%s\n-----END SSH HOST KEY KEYS-----\n",
             line, h->hostname);
}

static int ghost_adopt(void *self, const struct host_config *config,
                       const struct host_events *events, struct host **out, struct err *err)
{
    (void)err;
    struct host *h = host_new(self, config, events);
    if (!key_load(h))
        key_save(h);
    h->running = true;
    boot_later(h);
    *out = h;
    return 0;
}

static int ghost_adopt_stopped(void *self, const struct host_config *config,
                               const struct host_events *events, struct host **out, struct err *err)
{
    (void)err;
    struct host *h = host_new(self, config, events);
    (void)key_load(h);
    *out = h;
    return 0;
}

static void ghosts_close(void *self, bool keep)
{
    struct ghosts *all = self;
    while (all->first)
        host_free(all->first);
    if (!keep)
        (void)!fs_remove_tree(all->keys_dir, NULL);
    free(all->keys_dir);
    free(all);
}

static const struct host_ops ghost_ops = {
    .create = ghost_create,
    .start = ghost_start,
    .stop = ghost_stop,
    .kill = ghost_stop,
    .reboot = ghost_reboot,
    .destroy = ghost_destroy,
    .partition = ghost_partition,
    .freeze = ghost_freeze,
    .console = ghost_console,
    .adopt = ghost_adopt,
    .adopt_stopped = ghost_adopt_stopped,
    .close = ghosts_close,
};

int hosts_open_ghost(const struct host_options *o, struct host_driver *out, struct err *err)
{
    AUTO_FREE char *keys_dir = fs_join(o->dir, "ghosts");
    if (fs_mkdirs(keys_dir, 0700, err) == -1)
        return -1;
    struct ghosts *all = mem_alloc(sizeof *all);
    all->loop = o->loop;
    all->keys_dir = TAKE(keys_dir);
    all->port = o->ghost_port ? o->ghost_port : SSH_PORT;
    all->boot_delay = o->ghost_boot_delay;
    out->ops = &ghost_ops;
    out->self = all;
    return 0;
}

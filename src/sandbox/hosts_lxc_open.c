/* The LXC driver: opening, closing, taking up what an earlier process left, and host_ops. */
#include "base/digest.h"
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/hosts_lxc_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAUNCHES_MIN 4
#define LAUNCHES_MAX 16
#define ORPHANS_AFTER (3 * USEC_PER_SEC)
#define CLOSE_BOUND (60 * USEC_PER_SEC)
#define SWEEP_EVERY (100 * USEC_PER_MSEC)
#define SWEEP_STILL_ROUNDS 300 /* in which nothing has changed: a disk may keep a process long */
#define SWEEP_ROUNDS 3000
#define PREFIX_CHARS 8

/* ---- hosts ----------------------------------------------------------------------------------- */

static void replace(char **to, const char *text)
{
    free(*to);
    *to = mem_dup(text);
}

static void set_config(struct host *h, const struct host_config *c)
{
    replace(&h->hostname, c->hostname);
    replace(&h->user, c->user);
    replace(&h->private_ip, c->private_ip);
    replace(&h->public_ip, c->public_ip);
    replace(&h->public_key, c->public_key);
    buf_wipe(&h->user_data);
    buf_add_str(&h->user_data, c->user_data);
    h->vcpus = c->vcpus;
    h->memory_mib = c->memory_mib;
    h->volume_gb = c->volume_gb;
    h->never_boots = c->never_boots;
    h->foreign_host_key = c->foreign_host_key;
}

static struct host *host_new(struct lxc *all, const char *id, const struct host_events *events)
{
    struct host *h = mem_alloc(sizeof *h);
    h->all = all;
    h->kind = all->kind;
    if (events)
        h->events = *events;
    h->id = mem_dup(id);
    h->name = mem_printf("%s%s", all->prefix, id);
    h->dir = fs_join(all->dir, id);
    h->pidfd = -1;
    h->first_cpu = all->turn++;
    h->next = all->first;
    if (h->next)
        h->next->previous = h;
    all->first = h;
    return h;
}

static int make_directory(const struct host *h, struct err *err)
{
    AUTO_FREE char *kind_path = fs_join(h->dir, "kind");
    if (mkdir(h->dir, 0700) == -1)
        return err_set_sys(err, errno, "cannot make the host's directory '%s'", h->dir);
    return lxc_write(kind_path, 0600, 0, str_of(host_kind_name(h->kind)), err);
}

/* The kind of the host whose directory is there already. */
static bool read_kind(struct host *h)
{
    AUTO_FREE char *path = fs_join(h->dir, "kind");
    AUTO_BUF struct buf text = {0};
    return fs_read(path, 64, &text, NULL) == 0 && host_kind_from_name(buf_text(&text), &h->kind);
}

/* ---- host_ops -------------------------------------------------------------------------------- */

static int op_create(void *self, const struct host_config *config, const struct host_events *events,
                     struct host **out, struct err *err)
{
    struct host *h = host_new(self, config->instance_id, events);
    set_config(h, config);
    if (make_directory(h, err) == -1) {
        lxc_host_free(h);
        return -1;
    }
    lxc_host_power_on(h);
    *out = h;
    return 0;
}

static int op_start(void *self, struct host *h, const struct host_config *config, struct err *err)
{
    (void)self;
    if (h->state != LXC_OFF)
        return err_set(err, ERR_CONFLICT, "the host '%s' is not off", h->id);
    set_config(h, config);
    lxc_host_power_on(h);
    return 0;
}

static void op_stop(void *self, struct host *h)
{
    (void)self;
    lxc_host_stop(h);
}

static void op_kill(void *self, struct host *h)
{
    (void)self;
    lxc_host_kill(h);
}

static void op_reboot(void *self, struct host *h)
{
    (void)self;
    lxc_host_reboot(h);
}

static void op_destroy(void *self, struct host *h)
{
    (void)self;
    lxc_host_destroy(h);
}

static int op_partition(void *self, struct host *h, bool on, struct err *err)
{
    (void)self;
    return lxc_partition(h, on, err);
}

static int op_freeze(void *self, struct host *h, bool on, struct err *err)
{
    (void)self;
    return lxc_freeze(h, on, err);
}

static void op_console(void *self, struct host *h, struct buf *out)
{
    (void)self;
    /* When console.log is full lxc moves it to console.log.1 and begins anew. */
    static const char *const names[] = {"console.log.1", "console.log"};
    AUTO_BUF struct buf text = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_FREE char *path = fs_join(h->dir, names[i]);
        (void)!fs_read(path, (size_t)16 << 20, &text, NULL);
    }
    if (text.len > LXC_CONSOLE_TAIL)
        buf_consume(&text, text.len - LXC_CONSOLE_TAIL);
    buf_add_str(out, buf_view(&text));
}

static struct host *take_up(struct lxc *all, const struct host_config *config,
                            const struct host_events *events)
{
    struct host *h = host_new(all, config->instance_id, events);
    AUTO_FREE char *made = fs_join(h->dir, "lxc.conf");
    if (!fs_exists(made) || !read_kind(h)) {
        lxc_host_free(h);
        return NULL;
    }
    set_config(h, config);
    h->seeded = h->taken_up = true;
    return h;
}

static int op_adopt(void *self, const struct host_config *config, const struct host_events *events,
                    struct host **out, struct err *err)
{
    (void)err;
    struct host *h = take_up(self, config, events);
    pid_t monitor = h ? lxc_find_monitor(h) : 0;
    if (h && (monitor == 0 || lxc_host_watch(h, monitor) == -1)) {
        lxc_host_free(h);
        h = NULL;
    }
    *out = h;
    return 0;
}

static int op_adopt_stopped(void *self, const struct host_config *config,
                            const struct host_events *events, struct host **out, struct err *err)
{
    (void)err;
    *out = take_up(self, config, events);
    return 0;
}

/* ---- leftovers ------------------------------------------------------------------------------- */

/* Ends all containers of the name, unmounts and removes their disks; waits on the loop, as long as
 * there is progress: many hosts on a busy machine take their time to end. */
static int sweep(struct loop *loop, const char *dir, const char *prefix, struct err *err)
{
    struct err why = {0};
    struct lxc_leftovers left = {0}, before = {0};
    loop_shield(loop);
    for (int i = 0, still = 0; i < SWEEP_ROUNDS && still < SWEEP_STILL_ROUNDS; i++, still++) {
        why = (struct err){0};
        if (lxc_kill_leftovers(prefix, dir, &left)) {
            err_set(&why, ERR_TIMEOUT, "hosts called '%s…' do not end: %s", prefix, left.example);
        } else {
            lxc_unmount_below(dir);
            if (fs_remove_tree(dir, &why) == 0)
                break;
        }
        if (left.count != before.count || left.pids != before.pids)
            still = 0;
        before = left;
        (void)!loop_pause(loop, SWEEP_EVERY, NULL);
    }
    loop_unshield(loop);
    lxc_remove_cgroups(prefix);
    return why.code ? err_copy(err, &why) : 0;
}

static bool is_known(const struct lxc *all, const char *id)
{
    for (const struct host *h = all->first; h; h = h->next) {
        if (strcmp(h->id, id) == 0)
            return true;
    }
    return false;
}

/* What a killed process made and no saved state knows of. A machine that still runs, or is being
 * started, is killed in this round and removed in the next. */
static void remove_orphans(void *ctx)
{
    struct lxc *all = ctx;
    timer_stop(all->orphans);
    all->orphans = NULL;
    bool more = false;
    DIR *d = opendir(all->dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.' || is_known(all, e->d_name))
            continue;
        AUTO_FREE char *name = mem_printf("%s%s", all->prefix, e->d_name);
        AUTO_FREE char *host_dir = fs_join(all->dir, e->d_name);
        if (lxc_kill_leftovers(name, host_dir, NULL))
            more = true;
        else
            lxc_host_destroy(host_new(all, e->d_name, NULL));
    }
    if (d)
        closedir(d);
    if (more)
        all->orphans = timer_start(all->loop, SWEEP_EVERY, remove_orphans, all);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void lxc_free(struct lxc *all)
{
    while (all->first)
        lxc_host_free(all->first);
    timer_stop(all->orphans);
    image_done(&all->image);
    bridge_done(&all->bridge);
    free(all->dir);
    free(all->shared);
    free(all->network);
    free(all->public_network);
    free(all->prefix);
    free(all);
}

static bool all_gone(void *ctx)
{
    const struct lxc *all = ctx;
    return !all->first;
}

static bool all_off(const struct lxc *all)
{
    for (const struct host *h = all->first; h; h = h->next)
        if (h->state != LXC_OFF)
            return false;
    return true;
}

static void remove_network(struct lxc *all)
{
    struct bridge_options o = {.name = all->bridge.name,
                               .network = all->network,
                               .public_network = all->public_network,
                               .owner = all->bridge.owner};
    bridge_remove(all->loop, &o);
}

static void op_close(void *self, bool keep)
{
    struct lxc *all = self;
    if (keep && all_off(all)) /* no machine needs it, and the next start makes it again */
        remove_network(all);
    if (!keep) {
        for (struct host *h = all->first, *next; h; h = next) {
            next = h->next;
            if (h->state != LXC_REMOVING)
                lxc_host_destroy(h);
        }
        loop_shield(all->loop);
        (void)!loop_wait(all->loop, all_gone, all, CLOSE_BOUND, NULL);
        loop_unshield(all->loop);
        (void)!sweep(all->loop, all->dir, all->prefix, NULL);
        (void)!fs_remove_tree(all->shared, NULL);
        remove_network(all);
    }
    lxc_free(all);
}

static const struct host_ops lxc_ops = {
    .create = op_create,
    .start = op_start,
    .stop = op_stop,
    .kill = op_kill,
    .reboot = op_reboot,
    .destroy = op_destroy,
    .partition = op_partition,
    .freeze = op_freeze,
    .console = op_console,
    .adopt = op_adopt,
    .adopt_stopped = op_adopt_stopped,
    .close = op_close,
};

/* lxc and overlayfs take their paths from lists, with no way to quote. */
static int check_path(const char *path, struct err *err)
{
    if (path[0] != '/' || strpbrk(path, ":,\\\"' \t\n"))
        return err_set(
            err, ERR_USAGE,
            "hosts cannot lie in '%s': it must be absolute, without spaces, quotes, ':', "
            "',' or '\\'",
            path);
    return 0;
}

static int check_machine(struct err *err)
{
    if (geteuid() != 0)
        return err_set(err, ERR_PERMISSION,
                       "real hosts need root (network namespaces, mounts); run it with sudo, or "
                       "choose ghosts, which need nothing");
    static const char *const places[] = {"/usr/bin/lxc-start", "/usr/local/bin/lxc-start",
                                         "/bin/lxc-start"};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (fs_exists(places[i]))
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND,
                   "LXC is not installed; type: sudo apt-get install lxc (or choose ghosts, which "
                   "need nothing)");
}

/* What this machine lacks, and hosts do without. */
static void warn(const struct host_options *o, const struct lxc *all)
{
    if (!o->progress)
        return;
    if (!all->bridge.guarded)
        o->progress(o->progress_ctx, "hosts can reach this machine's own services: nftables is "
                                     "missing (type: sudo apt-get install nftables)");
    if (!all->volumes && all->kind == HOST_BOOTED)
        o->progress(o->progress_ctx, "volumes have no size of their own: this machine has no loop "
                                     "devices");
}

static char *make_prefix(const char *dir)
{
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(dir), hex);
    return mem_printf("fl%.*s-", PREFIX_CHARS, hex);
}

int hosts_open_lxc(const struct host_options *o, enum host_kind kind, struct host_driver *out,
                   struct err *err)
{
    if (check_machine(err) == -1 || check_path(o->dir, err) == -1 ||
        check_path(o->cache_dir, err) == -1)
        return -1;
    struct lxc *all = mem_alloc(sizeof *all);
    all->loop = o->loop;
    all->kind = kind;
    all->dir = fs_join(o->dir, "hosts");
    all->shared = fs_join(o->dir, "shared");
    all->network = mem_dup(o->network);
    all->public_network = mem_dup(o->public_network);
    all->prefix = make_prefix(o->dir);
    all->cgroup2 = lxc_cgroup2_has_memory();
    all->volumes = fs_exists("/dev/loop-control");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    all->cpus = cpus > 0 ? (int)cpus : 1;
    all->launching_max = 2 * all->cpus;
    if (all->launching_max < LAUNCHES_MIN)
        all->launching_max = LAUNCHES_MIN;
    if (all->launching_max > LAUNCHES_MAX)
        all->launching_max = LAUNCHES_MAX;
    struct image_options image = {.loop = o->loop,
                                  .cache_dir = o->cache_dir,
                                  .progress = o->progress,
                                  .progress_ctx = o->progress_ctx};
    struct bridge_options bridge = {.name = o->bridge,
                                    .network = o->network,
                                    .public_network = o->public_network,
                                    .owner = o->dir};
    if (fs_mkdirs(all->dir, 0700, err) == -1 || fs_mkdirs(all->shared, 0755, err) == -1 ||
        bridge_open(o->loop, &bridge, &all->bridge, err) == -1 ||
        image_ensure(&image, &all->image, err) == -1) {
        lxc_free(all);
        return -1;
    }
    warn(o, all);
    all->orphans = timer_start(o->loop, ORPHANS_AFTER, remove_orphans, all);
    out->ops = &lxc_ops;
    out->self = all;
    return 0;
}

int hosts_imds_socket(const struct host_driver *d, int *fd, struct err *err)
{
    if (d->ops != &lxc_ops)
        return err_set(err, ERR_NOT_FOUND, "ghosts have no metadata service");
    const struct lxc *all = d->self;
    return bridge_listen(&all->bridge, 80, fd, err);
}

int hosts_sweep(const struct host_options *o, struct err *err)
{
    AUTO_FREE char *dir = fs_join(o->dir, "hosts");
    AUTO_FREE char *prefix = make_prefix(o->dir);
    AUTO_FREE char *ghosts = fs_join(o->dir, "ghosts");
    if (fs_remove_tree(ghosts, err) == -1)
        return -1;
    if (geteuid() != 0)
        return fs_remove_tree(dir, err);
    AUTO_FREE char *shared = fs_join(o->dir, "shared");
    if (sweep(o->loop, dir, prefix, err) == -1 || fs_remove_tree(shared, err) == -1)
        return -1;
    struct bridge_options bridge = {.name = o->bridge,
                                    .network = o->network,
                                    .public_network = o->public_network,
                                    .owner = o->dir};
    bridge_remove(o->loop, &bridge);
    return 0;
}

/* See sandbox.h. */
#include "sandbox/sandbox.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
#include "sandbox/world_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_FILE "world.json"
#define FLUSH_MS 50u /* changes that no request waits for are saved together */
#define POWER_OFF_BOUND (30 * USEC_PER_SEC) /* for all machines to be off */
#define TICK_MAX_MS ((uint64_t)3600 * 1000)

static void say(const struct sandbox *s, const char *line)
{
    if (s->progress)
        s->progress(s->progress_ctx, line);
}

/* ---- keeping -------------------------------------------------------------------------------- */

int sandbox_save(struct sandbox *s, struct err *err)
{
    if (!s->world)
        return 0;
    AUTO_FREE char *path = fs_join(s->dir, WORLD_FILE);
    AUTO_BUF struct buf text = {.max = SANDBOX_STATE_MAX};
    json_auto_t *state = world_save(s->world);
    json_write(state, false, &text);
    buf_addc(&text, '\n');
    if (text.overflowed)
        return err_set(err, ERR_LIMIT, "the account is larger than %zu bytes", SANDBOX_STATE_MAX);
    if (s->timers_open)
        uv_timer_stop(&s->flush);
    return fs_write_atomic(path, 0600, buf_view(&text), err);
}

static void flush_due(uv_timer_t *t)
{
    struct sandbox *s = t->data;
    struct err err = {0};
    if (sandbox_save(s, &err) == -1)
        say(s, err.msg); /* the next change tries again */
}

static void set_tick(struct sandbox *s);

static void world_has_changed(void *ctx)
{
    struct sandbox *s = ctx;
    if (!s->timers_open)
        return;
    if (!uv_is_active((uv_handle_t *)&s->flush))
        uv_timer_start(&s->flush, flush_due, FLUSH_MS, 0);
    set_tick(s);
}

static void tick_due(uv_timer_t *t)
{
    sandbox_advance(t->data);
}

static void set_tick(struct sandbox *s)
{
    if (!s->world || !s->timers_open)
        return;
    usec_t next = world_next_change(s->world);
    if (next == USEC_FOREVER) {
        uv_timer_stop(&s->tick);
        return;
    }
    usec_t left = next - clock_wall(s->clock);
    uint64_t ms = left > 0 ? (uint64_t)(left + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;
    uv_update_time(loop_uv(s->loop));
    uv_timer_start(&s->tick, tick_due, ms < TICK_MAX_MS ? ms : TICK_MAX_MS, 0);
}

void sandbox_advance(struct sandbox *s)
{
    if (!s->world)
        return;
    world_advance(s->world);
    set_tick(s);
}

/* ---- what the server asks ------------------------------------------------------------------- */

static struct world *server_world(void *ctx)
{
    struct sandbox *s = ctx;
    return s->world;
}

static void server_advance(void *ctx)
{
    sandbox_advance(ctx);
}

static int server_save(void *ctx, struct err *err)
{
    return sandbox_save(ctx, err);
}

static void server_control(void *ctx, struct httpd_request *r)
{
    control_handle(ctx, r);
}

static const char *server_subnet_zone(void *ctx, const char *subnet_id)
{
    struct sandbox *s = ctx;
    const struct world_subnet *subnet = resource_get(s->world, KIND_SUBNET, subnet_id);
    return subnet ? subnet->zone : NULL;
}

static bool facts(void *ctx, const char *private_ip, struct imds_facts *out)
{
    struct sandbox *s = ctx;
    return s->world && world_imds_facts(s->world, private_ip, out);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_driver(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *cache = fs_cache_dir();
    struct host_options o = {
        .loop = s->loop,
        .dir = s->dir,
        .cache_dir = cache,
        .bridge = s->settings.bridge,
        .network = s->settings.network,
        .public_network = s->settings.public_network,
        .ghost_port = s->settings.ssh_port,
        .ghost_boot_delay =
            s->settings.boot_after > 0 ? (usec_t)(s->settings.boot_after * USEC_PER_SEC) : 0,
        .progress = s->progress,
        .progress_ctx = s->progress_ctx,
    };
    if (s->settings.kind == HOST_GHOST)
        return hosts_open_ghost(&o, &s->driver, err);
    return hosts_open_lxc(&o, s->settings.kind, &s->driver, err);
}

static void world_options(struct sandbox *s, struct world_options *o)
{
    *o = (struct world_options){.loop = s->loop,
                                .clock = s->clock,
                                .region = s->settings.region,
                                .account = SANDBOX_ACCOUNT,
                                .network = s->settings.network,
                                .public_network = s->settings.public_network,
                                .kind = s->settings.kind,
                                .driver = s->driver,
                                .faults = s->faults,
                                .user_public_key = s->public_key,
                                .ssh_port = s->settings.ssh_port,
                                .changed = world_has_changed,
                                .changed_ctx = s};
    world_default_delays(o);
}

static int read_state(const char *path, json_t **out, struct err *err)
{
    AUTO_BUF struct buf text = {.max = SANDBOX_STATE_MAX};
    if (fs_read(path, SANDBOX_STATE_MAX, &text, err) == -1)
        return -1;
    return json_parse(buf_view(&text), SANDBOX_STATE_MAX, out, err);
}

static int damaged(struct err *err, const char *path)
{
    err_wrap(err, "the account's file '%s' cannot be used", path);
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof err->msg - n,
             "; put back a good copy of it, or begin anew: flambe-sandbox reset");
    return -1;
}

static int open_world(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *path = fs_join(s->dir, WORLD_FILE);
    struct world_options o;
    world_options(s, &o);
    json_auto_t *state = NULL;
    struct err why = {0};
    if (read_state(path, &state, &why) == -1 && why.code != ERR_NOT_FOUND) {
        err_copy(err, &why);
        return damaged(err, path);
    }
    if (!state) {
        s->world = world_new(&o);
    } else if (world_load(&o, state, &s->world, err) == -1) {
        return err && err->code == ERR_PARSE ? damaged(err, path) : -1;
    }
    s->driver = (struct host_driver){0}; /* it is the world's now */
    return 0;
}

static int apply_delays(struct sandbox *s, struct err *err)
{
    const struct {
        const char *name;
        double value;
    } delays[] = {{"visible-after", s->settings.visible_after},
                  {"pending-for", s->settings.pending_for},
                  {"stopping-for", s->settings.stopping_for}};
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        if (delays[i].value >= 0 && world_set(s->world, delays[i].name, delays[i].value, err) == -1)
            return -1;
    }
    return 0;
}

static int open_imds(struct sandbox *s, struct err *err)
{
    if (s->settings.kind == HOST_GHOST)
        return 0;
    struct imds_options o = {
        .loop = s->loop, .clock = s->clock, .facts = facts, .ctx = s, .listen_fd = -1};
    if (hosts_imds_socket(&s->driver, &o.listen_fd, err) == -1)
        return -1;
    return imds_start(&o, &s->imds, err);
}

/* The hosts, the metadata service that they ask while they boot, and the account behind both. */
static int open_account(struct sandbox *s, struct err *err)
{
    if (open_driver(s, err) == -1 || open_imds(s, err) == -1 || open_world(s, err) == -1)
        return -1;
    if (apply_delays(s, err) == -1 || sandbox_save(s, err) == -1)
        return -1;
    sandbox_advance(s);
    return 0;
}

static int open_server(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *log = fs_join(s->dir, "requests.jsonl");
    struct server_options o = {.loop = s->loop,
                               .clock = s->clock,
                               .region = s->settings.region,
                               .account = SANDBOX_ACCOUNT,
                               .services = sandbox_services,
                               .identities = s->identities,
                               .faults = s->faults,
                               .log_path = log,
                               .port = s->settings.port,
                               .world = server_world,
                               .advance = server_advance,
                               .save = server_save,
                               .control = server_control,
                               .subnet_zone = server_subnet_zone,
                               .ctx = s};
    if (server_start(&o, &s->server, err) == -1)
        return -1;
    s->settings.port = server_port(s->server);
    return 0;
}

static int open_files(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *identity = fs_join(s->dir, "identity.json");
    AUTO_FREE char *faults_path = fs_join(s->dir, "faults.json");
    if (identities_open(identity, SANDBOX_ACCOUNT, &s->identities, err) == -1 ||
        faults_open(faults_path, &s->faults, err) == -1)
        return -1;
    return setup_keys(s, err);
}

int sandbox_open(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *lock = fs_join(s->dir, "lock");
    char token[65];
    if (fs_mkdirs(s->dir, 0700, err) == -1 || lock_take(lock, &s->lock, err) == -1)
        return -1;
    s->clock = loop_clock(s->loop);
    digest_random_hex(token, sizeof token - 1);
    s->control_token = mem_dup(token);
    uv_timer_init(loop_uv(s->loop), &s->tick);
    uv_timer_init(loop_uv(s->loop), &s->flush);
    s->tick.data = s->flush.data = s;
    s->timers_open = true;
    if (open_files(s, err) == -1 || open_account(s, err) == -1 || open_server(s, err) == -1)
        return -1;
    if (settings_save(&s->settings, s->dir, err) == -1 || setup_files(s, err) == -1 ||
        setup_control(s, err) == -1)
        return -1;
    setup_owner(s->dir);
    return 0;
}

/* ---- closing -------------------------------------------------------------------------------- */

static bool all_off(void *ctx)
{
    const struct sandbox *s = ctx;
    return !world_any_host_runs(s->world);
}

static void power_off(struct sandbox *s)
{
    struct err err = {0};
    world_power_off(s->world);
    if (loop_wait(s->loop, all_off, s, POWER_OFF_BOUND, &err) == -1)
        say(s, "some machines did not end in time");
    err = (struct err){0};
    if (sandbox_save(s, &err) == -1)
        say(s, err.msg);
}

static void close_account(struct sandbox *s, bool keep)
{
    imds_stop(TAKE(s->imds));
    if (s->world)
        world_close(TAKE(s->world), keep);
    else if (s->driver.ops)
        s->driver.ops->close(s->driver.self, keep);
    s->driver = (struct host_driver){0};
}

static void timer_closed(uv_handle_t *h)
{
    struct sandbox *s = h->data;
    s->timers_open = false;
}

static bool timers_closed(void *ctx)
{
    const struct sandbox *s = ctx;
    return !s->timers_open;
}

static void close_timers(struct sandbox *s)
{
    if (!s->timers_open)
        return;
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_close((uv_handle_t *)&s->flush, timer_closed); /* closed in the order of these calls */
    if (loop_wait(s->loop, timers_closed, s, POWER_OFF_BOUND, NULL) == -1)
        abort();
}

void sandbox_close(struct sandbox *s)
{
    loop_shield(s->loop);
    bool served = s->server != NULL;
    server_stop(TAKE(s->server));
    if (s->world && served)
        power_off(s);
    close_account(s, true);
    close_timers(s);
    loop_unshield(s->loop);
    faults_free(TAKE(s->faults));
    identities_free(TAKE(s->identities));
    free(TAKE(s->public_key));
    free(TAKE(s->control_token));
    settings_done(&s->settings);
    free(TAKE(s->dir));
    lock_release(TAKE(s->lock));
}

/* ---- running -------------------------------------------------------------------------------- */

static int begin_anew(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *path = fs_join(s->dir, WORLD_FILE);
    server_drop_held(s->server);
    close_account(s, false);
    if (faults_clear(s->faults, 0, err) == -1 || fs_remove_tree(path, err) == -1)
        return -1;
    if (open_account(s, err) == -1 || setup_files(s, err) == -1)
        return -1;
    setup_owner(s->dir);
    return 0;
}

static bool has_errand(void *ctx)
{
    const struct sandbox *s = ctx;
    return s->errand != ERRAND_NONE;
}

int sandbox_run(struct sandbox *s, struct err *err)
{
    for (;;) {
        struct err why = {0};
        if (loop_wait(s->loop, has_errand, s, USEC_FOREVER, &why) == -1)
            return why.code == ERR_CANCELLED ? 0 : err_copy(err, &why);
        enum sandbox_errand errand = s->errand;
        struct httpd_request *request = TAKE(s->errand_request);
        if (errand == ERRAND_STOP)
            return 0;
        int rc = begin_anew(s, &why);
        s->errand = ERRAND_NONE;
        control_done(request, "the account is as new; all instances are gone",
                     rc == 0 ? NULL : &why);
        if (rc == -1)
            return err_copy(err, &why);
    }
}

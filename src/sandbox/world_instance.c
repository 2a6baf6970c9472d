/* How an instance lives: its states, its machine, and what ends it.
 *
 *     pending -> running -> stopping -> stopped -> pending …
 *     any of them -> shutting-down -> terminated -> forgotten after an hour
 *
 * A request changes the state at once and sets when the next change is due; world_advance() carries
 * that out. The machine is made at launch and boots while the instance is pending: as in EC2,
 * 'running' says nothing about what answers inside. */
#include "base/digest.h"
#include "sandbox/world_priv.h"
#include <stdlib.h>
#include <string.h>

static void set_text(char **at, const char *s)
{
    free(*at);
    *at = mem_dup(s);
}

void instance_set_state(struct world_instance *i, enum instance_state state)
{
    i->state = state;
    i->state_since = world_now(i->world);
    i->due = 0;
}

void instance_set_reason(struct world_instance *i, const char *code, const char *message)
{
    free(i->reason_message);
    i->reason_message = code ? mem_printf("%s: %s", code, message) : NULL;
    set_text(&i->reason_code, code);
}

/* EC2's `reason`: "User initiated (2026-01-31 23:59:59 GMT)". */
static void set_transition(struct world_instance *i, const char *what)
{
    char iso[CLOCK_ISO_SIZE];
    clock_iso(world_now(i->world), iso);
    free(i->transition);
    i->transition = mem_printf("%s (%.10s %.8s GMT)", what, iso, iso + 11);
}

bool instance_visible(const struct world_instance *i, usec_t now)
{
    return now >= i->visible_at;
}

bool instance_alive(const struct world_instance *i)
{
    return i->state != STATE_TERMINATED && i->state != STATE_SHUTTING_DOWN;
}

int64_t vcpus_in_use(const struct world *w)
{
    int64_t sum = 0;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        const struct catalog_type *t = catalog_type(i->type);
        if (t && (i->state == STATE_PENDING || i->state == STATE_RUNNING))
            sum += t->vcpus;
    }
    return sum;
}

/* ---- user data, one copy for all instances of a launch ------------------------------------------
 */

struct str instance_user_data(const struct world_instance *i)
{
    if (!i->user_data_key)
        return (struct str){0};
    const struct user_data *d = strtab_get(i->world->user_data, str_of(i->user_data_key));
    return (struct str){d->bytes, d->n};
}

static void user_data_release(struct world_instance *i)
{
    if (!i->user_data_key)
        return;
    struct str key = str_of(i->user_data_key);
    struct user_data *d = strtab_get(i->world->user_data, key);
    if (--d->uses == 0) {
        strtab_remove(i->world->user_data, key);
        free(d->bytes);
        free(d);
    }
    free(TAKE(i->user_data_key));
}

void instance_set_user_data(struct world_instance *i, struct str bytes)
{
    user_data_release(i);
    if (bytes.n == 0)
        return;
    char key[SHA256_HEX_SIZE];
    digest_sha256_hex(bytes, key);
    struct user_data *d = strtab_get(i->world->user_data, str_of(key));
    if (!d) {
        d = mem_alloc(sizeof *d);
        d->bytes = mem_dup_n(bytes.p, bytes.n);
        d->n = bytes.n;
        strtab_put(i->world->user_data, str_of(key), d);
    }
    d->uses++;
    i->user_data_key = mem_dup(key);
}

/* ---- the machine --------------------------------------------------------------------------------
 */

void instance_host_config(const struct world_instance *i, struct host_config *out)
{
    const struct world *w = i->world;
    const struct catalog_type *t = catalog_type(i->type);
    const struct catalog_image *image = image_of(w, i->image_id);
    const struct world_key_pair *k = i->key_name ? key_pair_named(w, i->key_name) : NULL;
    const struct world_volume *v =
        i->volumes.count ? resource_get(w, KIND_VOLUME, i->volumes.items[0]) : NULL;
    *out = (struct host_config){
        .instance_id = i->r.id,
        .private_ip = i->private_ip,
        .public_ip = i->public_ip,
        .user = image->user,
        .public_key = k ? k->public_key : NULL,
        .user_data = instance_user_data(i),
        .vcpus = t->vcpus,
        .memory_mib = t->memory_mib,
        .volume_gb = v ? v->gb : image->root_gb,
        .never_boots = i->never_boots,
        .foreign_host_key = i->foreign_host_key,
    };
}

/* Runs `call` with the instance's configuration; the host name lives as long as the call. */
#define WITH_CONFIG(i, config, call)                                     \
    __extension__({                                                      \
        struct host_config config;                                       \
        instance_host_config((i), &config);                              \
        AUTO_FREE char *config_name = private_hostname((i)->private_ip); \
        config.hostname = config_name;                                   \
        (call);                                                          \
    })

static void on_host_ended(void *ctx, struct host *h, const char *why);

static const struct host_driver *driver_of(const struct world_instance *i)
{
    return &i->world->o.driver;
}

static void host_create(struct world_instance *i)
{
    const struct host_driver *d = driver_of(i);
    struct err err = {0};
    i->events = (struct host_events){.ended = on_host_ended, .ctx = i};
    if (WITH_CONFIG(i, c, d->ops->create(d->self, &c, &i->events, &i->host, &err)) == 0)
        i->host_runs = true;
    else
        set_text(&i->host_failure, err.msg);
}

static void host_start(struct world_instance *i)
{
    if (!i->host) {
        host_create(i);
        return;
    }
    const struct host_driver *d = driver_of(i);
    struct err err = {0};
    if (WITH_CONFIG(i, c, d->ops->start(d->self, i->host, &c, &err)) == 0)
        i->host_runs = true;
    else
        set_text(&i->host_failure, err.msg);
}

static void host_stop(struct world_instance *i)
{
    if (i->host && i->host_runs)
        driver_of(i)->ops->stop(driver_of(i)->self, i->host);
}

static void host_kill(struct world_instance *i)
{
    if (i->host && i->host_runs)
        driver_of(i)->ops->kill(driver_of(i)->self, i->host);
}

static void host_destroy(struct world_instance *i)
{
    i->host_runs = false;
    if (i->host)
        driver_of(i)->ops->destroy(driver_of(i)->self, TAKE(i->host));
}

/* ---- changes of state -------------------------------------------------------------------------
 */

void instance_begin(struct world_instance *i)
{
    instance_set_state(i, STATE_PENDING);
    instance_set_reason(i, "pending", "pending");
    set_text(&i->reason_message, "pending");
    i->due = world_now(i->world) + i->world->o.pending_for;
    host_create(i);
}

static void begin_shutdown(struct world_instance *i)
{
    instance_set_state(i, STATE_SHUTTING_DOWN);
    i->due = i->state_since + i->world->o.stopping_for;
    i->grace_until = i->state_since + TERMINATE_GRACE;
    i->reclaim_at = 0;
    host_stop(i);
}

void instance_terminate(struct world_instance *i)
{
    if (!instance_alive(i))
        return;
    instance_set_reason(i, "Client.UserInitiatedShutdown", "User initiated shutdown");
    set_transition(i, "User initiated");
    begin_shutdown(i);
}

/* Its machine broke, or could not be made. */
static void instance_fail(struct world_instance *i, const char *message)
{
    instance_set_reason(i, "Server.InternalError", message);
    set_transition(i, "Server.InternalError");
    begin_shutdown(i);
}

static void begin_stop(struct world_instance *i)
{
    instance_set_state(i, STATE_STOPPING);
    i->due = i->state_since + i->world->o.stopping_for;
    i->grace_until = i->state_since + STOP_GRACE;
}

void instance_stop(struct world_instance *i, bool force)
{
    if (i->state == STATE_STOPPED || (i->state == STATE_STOPPING && !force))
        return;
    instance_set_reason(i, "Client.UserInitiatedShutdown", "User initiated shutdown");
    set_transition(i, "User initiated");
    begin_stop(i);
    if (force)
        host_kill(i);
    else
        host_stop(i);
}

void instance_start(struct world_instance *i)
{
    if (i->state != STATE_STOPPED)
        return;
    instance_set_state(i, STATE_PENDING);
    instance_set_reason(i, NULL, NULL);
    free(TAKE(i->transition));
    i->launched = i->state_since;
    i->addresses_at = i->state_since;
    i->due = i->state_since + i->world->o.pending_for;
    if (i->wants_public_ip)
        public_ip_take(i->world, i);
    host_start(i);
}

void instance_reboot(struct world_instance *i)
{
    if (i->host && i->host_runs)
        driver_of(i)->ops->reboot(driver_of(i)->self, i->host);
}

static void shutdown_from_inside(struct world_instance *i)
{
    instance_set_reason(i, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
    free(TAKE(i->transition));
    if (i->terminate_on_shutdown)
        begin_shutdown(i);
    else
        begin_stop(i);
}

/* From the loop: the machine is off. */
static void on_host_ended(void *ctx, struct host *h, const char *why)
{
    struct world_instance *i = ctx;
    if (i->world->closing || i->host != h)
        return;
    i->host_runs = false;
    if (i->world->powered_off)
        return;
    bool asked = i->state == STATE_SHUTTING_DOWN || i->state == STATE_STOPPING;
    if (!asked && (why || i->killed))
        instance_fail(i, i->state == STATE_PENDING ? "Internal error on launch"
                                                   : "The machine of the instance failed");
    else if (!asked && i->state != STATE_TERMINATED && i->state != STATE_STOPPED)
        shutdown_from_inside(i);
    world_changed(i->world);
}

static void volumes_let_go(struct world_instance *i)
{
    for (size_t k = 0; k < i->volumes.count; k++) {
        struct world_volume *v = resource_get(i->world, KIND_VOLUME, i->volumes.items[k]);
        if (v->delete_on_termination) {
            resource_remove(i->world, &v->r);
            continue;
        }
        free(TAKE(v->instance_id));
        free(TAKE(v->device));
        v->attached = 0;
    }
    strv_done(&i->volumes);
}

static void spot_request_close(struct world_instance *i)
{
    struct world_spot_request *s = resource_get(i->world, KIND_SPOT_REQUEST, i->spot_request_id);
    if (!s)
        return;
    bool reclaimed =
        i->reason_code && strcmp(i->reason_code, "Server.SpotInstanceTermination") == 0;
    set_text(&s->state, "closed");
    set_text(&s->status_code,
             reclaimed ? "instance-terminated-no-capacity" : "instance-terminated-by-user");
    set_text(&s->status_message, reclaimed ? "Your Spot instance was terminated because there is "
                                             "no Spot capacity available at this time."
                                           : "Spot Instance terminated due to user-initiated "
                                             "termination.");
}

/* What EC2 takes back; ids, tags, type and reasons stay to be seen for an hour. */
static void finish_termination(struct world_instance *i)
{
    struct world *w = i->world;
    host_destroy(i);
    spot_request_close(i);
    volumes_let_go(i);
    struct resource *interface = resource_get(w, KIND_INTERFACE, i->interface_id);
    if (interface)
        resource_remove(w, interface);
    private_ip_drop(w, i);
    public_ip_drop(w, i);
    free(TAKE(i->subnet_id));
    free(TAKE(i->vpc_id));
    free(TAKE(i->mac));
    free(TAKE(i->interface_id));
    strv_done(&i->groups);
    user_data_release(i);
    instance_set_state(i, STATE_TERMINATED);
    i->due = i->state_since + TERMINATED_SHOWN_FOR;
}

/* ---- time ---------------------------------------------------------------------------------------
 */

/* When something is to happen to it by itself; USEC_FOREVER: nothing is. */
static usec_t next_change(const struct world_instance *i)
{
    if (i->host_failure && instance_alive(i))
        return 0;
    usec_t next = i->due ? i->due : USEC_FOREVER;
    bool waits = (i->state == STATE_SHUTTING_DOWN || i->state == STATE_STOPPING) && i->host_runs;
    if (waits)
        next = next > i->grace_until ? next : i->grace_until;
    if (i->reclaim_at && i->reclaim_at < next)
        next = i->reclaim_at;
    return next;
}

static void reclaim(struct world_instance *i)
{
    i->reclaim_at = 0;
    if (!instance_alive(i))
        return;
    instance_set_reason(i, "Server.SpotInstanceTermination", "Spot instance termination");
    set_transition(i, "Server.SpotInstanceTermination");
    begin_shutdown(i);
}

static void change(struct world_instance *i, usec_t now)
{
    if (i->host_failure && instance_alive(i)) {
        instance_fail(i, "Internal error on launch");
    } else if (i->reclaim_at && now >= i->reclaim_at) {
        reclaim(i);
    } else if (i->state == STATE_PENDING) {
        instance_set_reason(i, NULL, NULL);
        instance_set_state(i, STATE_RUNNING);
    } else if (i->state == STATE_SHUTTING_DOWN) {
        finish_termination(i);
    } else if (i->state == STATE_STOPPING && i->host_runs) {
        i->grace_until = now + STOP_GRACE; /* it would not hear: the plug is pulled */
        host_kill(i);
    } else if (i->state == STATE_STOPPING) {
        public_ip_drop(i->world, i);
        instance_set_state(i, STATE_STOPPED);
    } else if (i->state == STATE_TERMINATED) {
        resource_remove(i->world, &i->r);
    }
}

static void forget_launches(struct world *w, usec_t now)
{
    struct world_launch *l = w->launches.items;
    while (w->launches.count > 0 && now - l[0].created >= LAUNCH_REMEMBERED_FOR) {
        free(l[0].token);
        free(l[0].zone);
        free(l[0].digest);
        free(l[0].reservation_id);
        vec_remove(&w->launches, sizeof *l, 0);
    }
}

void world_advance(struct world *w)
{
    if (w->powered_off)
        return;
    usec_t now = world_now(w);
    struct resource_list *l = &w->lists[KIND_INSTANCE];
    bool changed = false;
    for (size_t k = l->count; k-- > 0;) { /* backwards: a forgotten one leaves the list */
        struct world_instance *i = (struct world_instance *)(void *)l->items[k];
        /* A delay of zero makes two changes due at once; each instance has few. */
        for (int step = 0; step < 4 && k < l->count && l->items[k] == &i->r; step++) {
            if (next_change(i) > now)
                break;
            change(i, now);
            changed = true;
        }
    }
    forget_launches(w, now);
    if (changed)
        world_changed(w);
}

usec_t world_next_change(const struct world *w)
{
    usec_t next = USEC_FOREVER;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        usec_t at = next_change(i);
        next = at < next ? at : next;
    }
    return next;
}

/* ---- after a restart of the sandbox -------------------------------------------------------------
 */

/* Only its disk is left. NULL in i->host where not even that. */
static int adopt_disk(struct world_instance *i, struct err *err)
{
    const struct host_driver *d = driver_of(i);
    if (!d->ops->adopt_stopped)
        return 0;
    return WITH_CONFIG(i, c, d->ops->adopt_stopped(d->self, &c, &i->events, &i->host, err));
}

/* It ran when the last process looked, and does not now. */
static int bring_back(struct world_instance *i, bool machine_rebooted, struct err *err)
{
    if (adopt_disk(i, err) != 0)
        return -1;
    if (!instance_alive(i) || i->state == STATE_STOPPING)
        return 0; /* world_advance() finishes it */
    if (!machine_rebooted) {
        shutdown_from_inside(i); /* while nobody looked */
        return 0;
    }
    if (i->host)
        host_start(i);
    else
        instance_fail(i, "The machine of the instance failed");
    return 0;
}

int instances_adopt(struct world *w, bool machine_rebooted, struct err *err)
{
    const struct host_driver *d = &w->o.driver;
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (i->state == STATE_TERMINATED)
            continue;
        i->events = (struct host_events){.ended = on_host_ended, .ctx = i};
        if (i->state == STATE_STOPPED) {
            if (adopt_disk(i, err) != 0)
                return err_wrap(err, "cannot take up the disk of '%s'", i->r.id);
            continue;
        }
        if (WITH_CONFIG(i, c, d->ops->adopt(d->self, &c, &i->events, &i->host, err)) != 0)
            return err_wrap(err, "cannot take up the machine of '%s'", i->r.id);
        i->host_runs = i->host != NULL;
        if (!i->host && bring_back(i, machine_rebooted, err) != 0)
            return err_wrap(err, "cannot take up the disk of '%s'", i->r.id);
        if (i->state == STATE_SHUTTING_DOWN || i->state == STATE_STOPPING)
            host_stop(i);
    }
    return 0;
}

/* Reaching hosts: SSH targets with this laptop's pins, or with the keys that the console shows.
 *
 * What a console shows was written by that very instance, and EC2 vouches for which instance it
 * is; so a key from there is as good as one that we injected. It is only asked where this laptop
 * has no pin at all: a pin that does not fit is never replaced. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include <stdlib.h>
#include <string.h>

#define KEYS_A_HOST_MAX 4
#define CONSOLES_AT_ONCE 16

struct asking {
    const struct cluster_host *host;
    struct aws_call *call;
};

/* Whether EC2's answer to one host's console had keys. */
static bool take_console(struct pins *pins, const struct asking *a, struct err *why)
{
    AUTO_BUF struct buf text = {0};
    AUTO_STRV struct strv keys = {0};
    if (ec2_get_console_output_end(a->call, &text, why) == -1)
        return false;
    if (!console_host_keys(buf_view(&text), &keys))
        return false;
    size_t n = keys.count < KEYS_A_HOST_MAX ? keys.count : KEYS_A_HOST_MAX;
    pinfile_set(pins, a->host->instance_id, (const char *const *)keys.items, n);
    return true;
}

/* Asks for the consoles of a handful of hosts side by side. */
static int ask_some(struct cluster *c, struct pins *pins, const struct cluster_host *const *hosts,
                    size_t count, bool latest, size_t *learned, struct err *err)
{
    struct asking asking[CONSOLES_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        asking[i] = (struct asking){hosts[i],
                                    ec2_get_console_output(c->aws, hosts[i]->instance_id, latest)};
    struct err cancelled = {0};
    for (size_t i = 0; i < count; i++) {
        struct err why = {0};
        if (take_console(pins, &asking[i], &why))
            ++*learned;
        else if (why.code == ERR_CANCELLED)
            cancelled = why;
    }
    return cancelled.code ? err_copy(err, &cancelled) : 0;
}

static int learn(struct cluster *c, struct pins *pins, const struct cluster_hosts *hosts,
                 bool latest, size_t *learned, struct err *err)
{
    const struct cluster_host *some[CONSOLES_AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i <= hosts->count; i++) {
        if (n == CONSOLES_AT_ONCE || (i == hosts->count && n)) {
            if (ask_some(c, pins, some, n, latest, learned, err) == -1)
                return -1;
            n = 0;
        }
        if (i == hosts->count)
            break;
        const struct cluster_host *h = &hosts->items[i];
        if (h->instance_id && h->state == EC2_RUNNING && !pinfile_count(pins, h->instance_id))
            some[n++] = h;
    }
    return 0;
}

static size_t count_unknown(const struct pins *pins, const struct cluster_hosts *hosts)
{
    size_t unknown = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        unknown +=
            h->instance_id && h->state == EC2_RUNNING && !pinfile_count(pins, h->instance_id);
    }
    return unknown;
}

/* Without saving. */
static int learn_all(struct cluster *c, struct pins *pins, const struct cluster_hosts *hosts,
                     size_t *all, struct err *err)
{
    size_t learned = 0, unknown = count_unknown(pins, hosts);
    if (!unknown)
        return 0;
    /* Latest first: it is what the host printed a moment ago, where the type can do it. */
    if (learn(c, pins, hosts, true, &learned, err) == -1)
        return -1;
    if (learned < unknown && learn(c, pins, hosts, false, &learned, err) == -1)
        return -1;
    if (learned)
        warn_user(c, "this machine had no keys of %zu host%s: took them from EC2's console output",
                  learned, learned == 1 ? "" : "s");
    *all = learned;
    return 0;
}

int pinfile_learn(struct cluster *c, struct pins *pins, const struct cluster_hosts *hosts,
                  struct err *err)
{
    size_t learned = 0;
    if (learn_all(c, pins, hosts, &learned, err) == -1)
        return -1;
    return learned ? pinfile_save(pins, err) : 0;
}

/* As pinfile_learn(), by a verb that does not hold the lock. The file is `up`'s while that runs:
 * what was read before it would overwrite the pins that it writes. So what is learned is then used
 * and not kept. */
static int learn_beside(struct cluster *c, const char *creator, const char *name, struct pins *pins,
                        const struct cluster_hosts *hosts, struct err *err)
{
    if (!c->aws || !count_unknown(pins, hosts)) /* only EC2 has consoles to look at */
        return 0;
    struct lock *lock = NULL;
    struct err why = {0};
    AUTO_FREE char *path = mem_dup(pins->path);
    int rc = 0;
    if (state_lock(c, creator, name, &lock, &why) == 0) {
        pinfile_done(pins); /* another may have written it since */
        rc = pinfile_load(path, pins, err);
    } else if (why.code != ERR_CONFLICT) {
        return err_copy(err, &why);
    }
    size_t learned = 0;
    if (rc == 0)
        rc = learn_all(c, pins, hosts, &learned, err);
    if (rc == 0 && learned && lock)
        rc = pinfile_save(pins, err);
    lock_release(lock);
    return rc;
}

void cluster_targets_done(struct cluster_targets *t)
{
    free(t->items);
    free(t->host_index);
    free(t->keys);
    strv_done(&t->strings);
    *t = (struct cluster_targets){0};
}

static const char *own(struct cluster_targets *t, const char *s)
{
    strv_add(&t->strings, s);
    return t->strings.items[t->strings.count - 1];
}

static void add_target(struct cluster_targets *t, const struct pins *pins,
                       const struct cluster_hosts *hosts, size_t index, const char *user, int port)
{
    const struct cluster_host *h = &hosts->items[index];
    const char **keys = &t->keys[t->count * KEYS_A_HOST_MAX];
    size_t n = pinfile_get(pins, h->instance_id, keys, KEYS_A_HOST_MAX);
    for (size_t k = 0; k < n; k++)
        keys[k] = own(t, keys[k]);
    t->host_index[t->count] = index;
    t->items[t->count++] = (struct ssh_target){
        .label = own(t, h->name),
        .address = own(t, h->public_ip ? h->public_ip : h->private_ip),
        .port = port,
        .user = own(t, user),
        .host_keys = keys,
        .host_key_count = n,
    };
}

static bool reachable(const struct cluster_host *h)
{
    return h->instance_id && h->state == EC2_RUNNING && (h->public_ip || h->private_ip);
}

int cluster_targets(struct cluster *c, const char *creator, const char *name,
                    const struct cluster_hosts *hosts, const char *user, int port,
                    struct cluster_targets *out, struct err *err)
{
    AUTO_FREE char *path = cluster_known_hosts_path(c, creator, name);
    CLEANUP(pinfile_done) struct pins pins = {0};
    if (pinfile_load(path, &pins, err) == -1 ||
        learn_beside(c, creator, name, &pins, hosts, err) == -1)
        return -1;
    struct cluster_targets t = {
        .items = mem_array(hosts->count + 1, sizeof *t.items),
        .host_index = mem_array(hosts->count + 1, sizeof *t.host_index),
        .keys = mem_array((hosts->count + 1) * KEYS_A_HOST_MAX, sizeof *t.keys),
    };
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        if (!reachable(h))
            continue;
        if (!pinfile_count(&pins, h->instance_id)) {
            cluster_targets_done(&t);
            if (!c->aws)
                return err_set(err, ERR_HOST_KEY,
                               "no host key is known for %s (%s), so it is not trusted: 'flambe "
                               "up' with the cluster's file asks for it",
                               h->name, h->public_ip);
            return err_set(
                err, ERR_HOST_KEY,
                "no host key is known for %s (%s), so it is not trusted: run flambe where "
                "the cluster was made, or copy '%s' from there",
                h->name, h->instance_id, path);
        }
        add_target(&t, &pins, hosts, i, user, port);
    }
    *out = t;
    return 0;
}

/* Machines that are only remembered: a host driver whose hosts end when the test says so. */
#ifndef FLAMBE_TEST_FAKE_HOSTS_H
#define FLAMBE_TEST_FAKE_HOSTS_H

#include "base/mem.h"
#include "sandbox/hosts.h"
#include <stdlib.h>
#include <string.h>

struct host {
    struct fake_hosts *all;
    char *instance_id, *hostname, *private_ip, *public_ip, *user_data, *public_key;
    int vcpus, volume_gb;
    const struct host_events *events;
    bool runs, stopping, killed, frozen, partitioned;
    int reboots;
    struct host *next;
};

struct fake_hosts {
    struct host *first;
    int created, started, destroyed, adopted;
    bool fail_create, fail_start;
    bool machines_lost; /* adopt() finds nothing that runs */
    bool disks_lost;    /* adopt_stopped() finds no disk */
    bool closed, kept;
};

static inline struct host *fake_host(const struct fake_hosts *f, const char *instance_id)
{
    struct host *h = f->first;
    while (h && strcmp(h->instance_id, instance_id) != 0)
        h = h->next;
    return h;
}

static void fake_configure(struct host *h, const struct host_config *c)
{
    free(h->public_ip);
    free(h->user_data);
    h->public_ip = mem_dup(c->public_ip);
    h->user_data = mem_dup_n(c->user_data.p ? c->user_data.p : "", c->user_data.n);
}

static struct host *fake_new(struct fake_hosts *f, const struct host_config *c,
                             const struct host_events *events)
{
    struct host *h = mem_alloc(sizeof *h);
    h->all = f;
    h->instance_id = mem_dup(c->instance_id);
    h->hostname = mem_dup(c->hostname);
    h->private_ip = mem_dup(c->private_ip);
    h->public_key = mem_dup(c->public_key);
    h->vcpus = c->vcpus;
    h->volume_gb = c->volume_gb;
    h->events = events;
    fake_configure(h, c);
    h->next = f->first;
    f->first = h;
    return h;
}

static void fake_free(struct host *h)
{
    struct host **at = &h->all->first;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    free(h->instance_id);
    free(h->hostname);
    free(h->private_ip);
    free(h->public_ip);
    free(h->user_data);
    free(h->public_key);
    free(h);
}

static int fake_create(void *self, const struct host_config *c, const struct host_events *events,
                       struct host **out, struct err *err)
{
    struct fake_hosts *f = self;
    if (f->fail_create)
        return err_set(err, ERR_IO, "no room for the disk");
    f->created++;
    *out = fake_new(f, c, events);
    (*out)->runs = true;
    return 0;
}

static int fake_start(void *self, struct host *h, const struct host_config *c, struct err *err)
{
    struct fake_hosts *f = self;
    if (f->fail_start)
        return err_set(err, ERR_IO, "the machine does not start");
    f->started++;
    fake_configure(h, c);
    h->runs = true;
    h->stopping = h->killed = false;
    return 0;
}

static void fake_stop(void *self, struct host *h)
{
    h->stopping = true;
}

static void fake_kill(void *self, struct host *h)
{
    h->killed = true;
}

static void fake_reboot(void *self, struct host *h)
{
    h->reboots++;
}

static void fake_destroy(void *self, struct host *h)
{
    ((struct fake_hosts *)self)->destroyed++;
    fake_free(h);
}

static int fake_partition(void *self, struct host *h, bool on, struct err *err)
{
    h->partitioned = on;
    return 0;
}

static int fake_freeze(void *self, struct host *h, bool on, struct err *err)
{
    h->frozen = on;
    return 0;
}

static void fake_console(void *self, struct host *h, struct buf *out)
{
    buf_addf(out, "console of %s\n", h->instance_id);
}

static int fake_adopt(void *self, const struct host_config *c, const struct host_events *events,
                      struct host **out, struct err *err)
{
    struct fake_hosts *f = self;
    *out = f->machines_lost ? NULL : fake_new(f, c, events);
    if (*out) {
        (*out)->runs = true;
        f->adopted++;
    }
    return 0;
}

static int fake_adopt_stopped(void *self, const struct host_config *c,
                              const struct host_events *events, struct host **out, struct err *err)
{
    struct fake_hosts *f = self;
    *out = f->disks_lost ? NULL : fake_new(f, c, events);
    return 0;
}

static void fake_close(void *self, bool keep)
{
    struct fake_hosts *f = self;
    while (f->first)
        fake_free(f->first);
    f->closed = true;
    f->kept = keep;
}

static const struct host_ops fake_ops = {
    .create = fake_create,
    .start = fake_start,
    .stop = fake_stop,
    .kill = fake_kill,
    .reboot = fake_reboot,
    .destroy = fake_destroy,
    .partition = fake_partition,
    .freeze = fake_freeze,
    .console = fake_console,
    .adopt = fake_adopt,
    .adopt_stopped = fake_adopt_stopped,
    .close = fake_close,
};

/* The machine ends, as the loop would tell. */
static inline void fake_end(struct host *h, const char *why)
{
    h->runs = false;
    h->events->ended(h->events->ctx, h, why);
}

#endif

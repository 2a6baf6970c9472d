/* Meeting: the host keys of machines that exist already, before anything is sent to them.
 *
 * A machine whose key is pinned in the cluster's known_hosts is no concern of this file. Of others
 * the key is looked at, without logging in: the user's own known_hosts files vouch for it, or the
 * user does. What they vouch for is pinned, the one key that was shown, so that what they hold
 * later changes nothing. A key that is not theirs for that machine, or is revoked, is refused. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_TIMEOUT (10 * USEC_PER_SEC)

/* As OpenSSH's UserKnownHostsFile and GlobalKnownHostsFile are without a word to the contrary. */
static const char *const files[] = {"~/.ssh/known_hosts", "~/.ssh/known_hosts2",
                                    "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"};

struct met {
    const struct cluster_host *host;
    struct strv known, revoked;
    bool vouched; /* by the user's files */
};

struct meeting {
    struct cluster *c;
    const struct cluster_spec *spec;
    struct met *items;
    size_t count;
    struct ssh_target *targets;
    struct ssh_looked *shown;
};

static int read_known(struct meeting *m, struct err *err)
{
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        AUTO_FREE char *path = fs_expand_home(files[f]);
        for (size_t i = 0; i < m->count; i++) {
            struct met *one = &m->items[i];
            if (ssh_known_keys(path, one->host->public_ip, m->spec->ssh_port, &one->known,
                               &one->revoked, err) == -1)
                return -1;
        }
    }
    return 0;
}

/* Which hosts have no pin yet. */
static int find_strangers(struct meeting *m, const struct cluster_hosts *hosts, struct err *err)
{
    AUTO_FREE char *path = cluster_known_hosts_path(m->c, m->spec->creator, m->spec->name);
    CLEANUP(pinfile_done) struct pins pins = {0};
    if (pinfile_load(path, &pins, err) == -1)
        return -1;
    for (size_t i = 0; i < hosts->count; i++)
        if (!pinfile_count(&pins, hosts->items[i].instance_id))
            m->items[m->count++].host = &hosts->items[i];
    return 0;
}

static int look(struct meeting *m, struct err *err)
{
    for (size_t i = 0; i < m->count; i++) {
        struct met *one = &m->items[i];
        m->targets[i] = (struct ssh_target){
            .label = one->host->name,
            .address = one->host->public_ip,
            .port = m->spec->ssh_port,
            .user = m->spec->username,
            .host_keys = (const char *const *)one->known.items,
            .host_key_count = one->known.count,
        };
    }
    return ssh_look(m->c->loop, m->targets, m->count, LOOK_TIMEOUT, m->shown, err);
}

/* How ssh-keygen calls the machine in the user's file; the caller frees. */
static char *known_name(const struct meeting *m, const struct cluster_host *h)
{
    if (m->spec->ssh_port == 22)
        return mem_dup(h->public_ip);
    return mem_printf("'[%s]:%d'", h->public_ip, m->spec->ssh_port);
}

static int refuse_changed(const struct meeting *m, size_t i, struct err *err)
{
    const struct met *one = &m->items[i];
    AUTO_FREE char *name = known_name(m, one->host);
    AUTO_FREE char *shown = ssh_fingerprint(m->shown[i].line);
    AUTO_FREE char *known = ssh_fingerprint(one->known.items[0]);
    return err_set(err, ERR_HOST_KEY,
                   "the host key of %s (%s) is not the one in your known_hosts: it shows %s, known "
                   "is %s%s; another machine may be answering in its place, and nothing was sent "
                   "to it. If you know why it changed: 'ssh-keygen -R %s' forgets the old one",
                   one->host->name, one->host->public_ip, shown, known,
                   one->known.count > 1 ? " or another" : "", name);
}

/* What cannot be helped by asking. */
static int judge(struct meeting *m, struct err *err)
{
    for (size_t i = 0; i < m->count; i++) {
        struct met *one = &m->items[i];
        const char *line = m->shown[i].line;
        if (line && strv_has(&one->revoked, line))
            return err_set(err, ERR_HOST_KEY,
                           "the host key of %s (%s) is revoked in your known_hosts",
                           one->host->name, one->host->public_ip);
        if (line && one->known.count && !strv_has(&one->known, line))
            return refuse_changed(m, i, err);
        one->vouched = line && one->known.count;
    }
    for (size_t i = 0; i < m->count; i++)
        if (m->shown[i].err.code) {
            err_copy(err, &m->shown[i].err);
            return err_wrap(err, "a machine is met for the first time, and has to be there");
        }
    return 0;
}

static int ask_user(struct meeting *m, cluster_ask_fn *ask, void *ctx, struct err *err)
{
    AUTO_FREE struct cluster_stranger *list = mem_array(m->count + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        if (!m->items[i].vouched)
            list[n++] = (struct cluster_stranger){m->items[i].host, m->shown[i].line};
    return n ? ask(ctx, list, n, err) : 0;
}

static int pin(struct meeting *m, struct err *err)
{
    AUTO_FREE char *path = cluster_known_hosts_path(m->c, m->spec->creator, m->spec->name);
    CLEANUP(pinfile_done) struct pins pins = {0};
    struct lock *lock = NULL;
    if (state_lock(m->c, m->spec->creator, m->spec->name, &lock, err) == -1)
        return -1;
    int rc = pinfile_load(path, &pins, err); /* as it is now: the answer took its time */
    for (size_t i = 0; rc == 0 && i < m->count; i++)
        if (!pinfile_count(&pins, m->items[i].host->instance_id))
            pinfile_add(&pins, m->items[i].host->instance_id, m->shown[i].line, false);
    if (rc == 0)
        rc = pinfile_save(&pins, err);
    lock_release(lock);
    return rc;
}

static int meet(struct meeting *m, const struct cluster_hosts *hosts, cluster_ask_fn *ask,
                void *ctx, struct err *err)
{
    if (find_strangers(m, hosts, err) == -1)
        return -1;
    if (!m->count)
        return 0;
    return read_known(m, err) == -1 || look(m, err) == -1 || judge(m, err) == -1 ||
                   ask_user(m, ask, ctx, err) == -1 || pin(m, err) == -1
               ? -1
               : 0;
}

int cluster_meet(struct cluster *c, const struct cluster_spec *spec,
                 const struct cluster_hosts *hosts, cluster_ask_fn *ask, void *ctx, struct err *err)
{
    struct meeting m = {
        .c = c,
        .spec = spec,
        .items = mem_array(hosts->count + 1, sizeof *m.items),
        .targets = mem_array(hosts->count + 1, sizeof *m.targets),
        .shown = mem_array(hosts->count + 1, sizeof *m.shown),
    };
    int rc = meet(&m, hosts, ask, ctx, err);
    for (size_t i = 0; i < m.count; i++) {
        strv_done(&m.items[i].known);
        strv_done(&m.items[i].revoked);
        free(m.shown[i].line);
    }
    free(m.items);
    free(m.targets);
    free(m.shown);
    return rc;
}

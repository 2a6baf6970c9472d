/* What the hosts are to be, from what they said: who takes part, where the shared tree comes from,
 * which nodes Slurm has. Asks nobody anything. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include <string.h>

struct cluster_host *equip_host_of(const struct equip *e, const struct equip_member *m)
{
    return &e->hosts->items[m->host];
}

/* Where the tree comes from. A factory that cannot have it is left out. */
static int decide_shared(struct equip *e, struct err *err)
{
    const struct equip_probe *first = &e->members[0].probe;
    if (e->spec->shared) {
        e->plan.shared = SHARED_BIND;
        e->shared_dir = mem_dup(e->spec->shared);
        if (!first->shared_found)
            return err_set(err, ERR_FILE, "there is no directory '%s' (the file's 'shared') on %s",
                           e->spec->shared, equip_host_of(e, e->members)->name);
    } else if (first->shared_dir && !first->nfs_server) {
        e->plan.shared = SHARED_BIND;
        e->shared_dir =
            mem_printf("%s/%s", first->shared_dir, equip_host_of(e, e->members)->instance_id);
    } else if (e->count == 1) {
        e->plan.shared = SHARED_OWN;
    } else if (first->nfs_server) {
        e->plan.shared = SHARED_NFS;
    } else {
        return err_set(err, ERR_REMOTE,
                       "the orchestrator's kernel has no NFS server; name a directory that all "
                       "hosts share by 'shared' in the file");
    }
    for (size_t i = 1; i < e->count; i++) {
        struct equip_member *m = &e->members[i];
        const struct equip_probe *p = &m->probe;
        if (!m->in)
            continue;
        if (e->spec->shared && !p->shared_found)
            equip_leave_out(e, m, "it has no directory of the name that the file's 'shared' gives");
        else if (e->plan.shared == SHARED_NFS && !p->nfs_client)
            equip_leave_out(e, m, "its kernel has no NFS");
        else if (e->plan.shared == SHARED_BIND && !e->spec->shared && !p->shared_dir)
            equip_leave_out(e, m, "it does not see the directory that the orchestrator shares");
    }
    return 0;
}

static void add_node(struct equip *e, const struct equip_member *m)
{
    e->nodes[e->slurm.count++] = (struct slurm_node){
        .name = m->name,
        .address = equip_host_of(e, m)->private_ip,
        .cpus = m->probe.cpus,
        .gpus = m->probe.gpus,
        .memory_mb = slurm_memory(m->probe.memory_mb),
    };
}

/* A host that EC2 has, and that did not answer now, stays as it was: dropping its line would end
 * the jobs that run there. */
static void keep_node(struct equip *e, const char *name, const char *address)
{
    const struct strv *was = &e->members[0].probe.was;
    for (size_t i = 0; i < was->count; i++) {
        struct slurm_node n;
        char *text = mem_dup(was->items[i]);
        strv_take(&e->texts, text);
        if (slurm_node_read(text, &n) && strcmp(n.name, name) == 0 &&
            strcmp(n.address, address) == 0) {
            e->nodes[e->slurm.count++] = n;
            return;
        }
    }
}

static const struct equip_member *member_of(const struct equip *e, size_t host)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->members[i].host == host)
            return &e->members[i];
    return NULL;
}

const char *equip_short_name(const struct equip *e, const struct cluster_host *h)
{
    const char *rest = h->name + strlen(e->spec->name);
    return strncmp(h->name, e->spec->name, strlen(e->spec->name)) == 0 && *rest == '_' ? rest + 1
                                                                                       : h->name;
}

static void decide_slurm(struct equip *e)
{
    const struct equip_member *first = &e->members[0];
    struct slurm_cluster *s = &e->slurm;
    s->controller = first->probe.hostname ? first->probe.hostname : "localhost";
    s->controller_address = equip_host_of(e, first)->private_ip;
    s->version = first->probe.slurm_version;
    s->nodes = e->nodes;
    s->cgroups = s->version >= 2205;
    for (size_t i = 0; i < e->hosts->count; i++) {
        const struct cluster_host *h = &e->hosts->items[i];
        const struct equip_member *m = member_of(e, i);
        bool jobs = h->role == ROLE_FACTORY || e->plan.jobs_here;
        if (!jobs || !h->private_ip)
            continue;
        if (!m || !m->in) {
            keep_node(e, equip_short_name(e, h), h->private_ip);
            continue;
        }
        add_node(e, m);
        s->cgroups = s->cgroups && m->probe.cgroup_v2 && !m->probe.container;
        s->cgroup_v1 = s->cgroup_v1 || m->probe.cgroup_v1;
    }
}

int equip_decide(struct equip *e, struct err *err)
{
    e->plan.spec = e->spec;
    if (decide_shared(e, err) == -1)
        return -1;
    e->plan.shared_dir = e->shared_dir;
    e->plan.jobs_here = e->count == 1 && e->hosts->count == 1;
    e->plan.has_node = e->program.bytes.len > 0;
    e->plan.hosts = e->list;
    /* One that does not answer now is still of the cluster: its exports and names stay. */
    for (size_t i = 0; i < e->hosts->count; i++) {
        const struct cluster_host *h = &e->hosts->items[i];
        if (h->private_ip && h->instance_id)
            e->list[e->plan.count++] =
                (struct equip_host){equip_short_name(e, h), h->instance_id, h->private_ip, h->role};
    }
    for (size_t i = 0; i < e->count; i++)
        e->plan.container = e->plan.container || e->members[i].probe.container;
    if (cluster_has_slurm(e->spec)) {
        decide_slurm(e);
        e->plan.slurm = &e->slurm;
    }
    return 0;
}

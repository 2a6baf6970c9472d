/* Machines that exist already, as hosts: what EC2 says of others, the file or the record says of
 * these. That one of them runs is taken for granted until somebody tries to reach it. */
#include "base/mem.h"
#include "cluster/cluster_priv.h"

void hosts_from_machines(const char *cluster, const struct cluster_machines *machines,
                         struct cluster_hosts *out)
{
    for (size_t i = 0; i < machines->count; i++) {
        const struct cluster_machine *m = &machines->items[i];
        struct cluster_host *h = hosts_push(out);
        h->role = i == 0 ? ROLE_ORCHESTRATOR : ROLE_FACTORY;
        h->index = (int)i;
        h->name = host_name(cluster, h->role, h->index);
        /* By it the machine's key is pinned, and it knows what was set up on it. */
        h->instance_id = mem_printf("ssh-%s", m->address);
        h->public_ip = mem_dup(m->address);
        h->private_ip = mem_dup(m->inside);
        h->state = EC2_RUNNING;
        h->phase = HOST_RUNNING;
    }
}

void cluster_hosts_of_spec(const struct cluster_spec *spec, struct cluster_hosts *out)
{
    *out = (struct cluster_hosts){0};
    hosts_from_machines(spec->name, &spec->machines, out);
}

int observe_machines(struct cluster *c, const char *creator, const char *name,
                     struct cluster_hosts *out, struct err *err)
{
    struct cluster_record r;
    struct err why = {0};
    *out = (struct cluster_hosts){0};
    if (cluster_record_load(c, creator, name, &r, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    hosts_from_machines(name, &r.machines, out);
    cluster_record_done(&r);
    return 0;
}

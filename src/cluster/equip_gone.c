/* What EC2 has ended is told to Slurm before anything else is done: by itself it would wait for the
 * host's silence to last, and the trials that ran there would begin again only then. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include <string.h>

#define GONE_TIMEOUT (8 * USEC_PER_SEC)
#define COMMAND_GONE "sudo -n sh -s flambe-gone"

static void said(void *ctx, size_t target, struct str line)
{
    struct cluster *c = ctx;
    (void)target;
    line = str_trim(line);
    if (str_starts(line, "flambe: gone ") && line.n < 100)
        step(c, "Slurm knows that %.*s is gone", (int)(line.n - 13), line.p + 13);
}

int equip_mark_gone(struct cluster *c, const struct cluster_spec *spec,
                    const struct cluster_hosts *hosts, const struct ssh_identity *identity,
                    struct err *err)
{
    CLEANUP(cluster_targets_done) struct cluster_targets targets = {0};
    struct err why = {0};
    if (!cluster_has_slurm(spec) || hosts->count == 0 ||
        hosts->items[0].role != ROLE_ORCHESTRATOR || hosts->items[0].state != EC2_RUNNING)
        return 0;
    struct cluster_hosts first = {.items = hosts->items, .count = 1};
    if (cluster_targets(c, spec->creator, spec->name, &first, spec->username, spec->ssh_port,
                        &targets, &why) == -1)
        return why.code == ERR_CANCELLED ? err_copy(err, &why) : 0;
    AUTO_FREE const char **addresses = mem_array(hosts->count + 1, sizeof *addresses);
    size_t n = 0;
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->items[i].private_ip)
            addresses[n++] = hosts->items[i].private_ip;
    AUTO_BUF struct buf script = {0};
    script_gone(addresses, n, &script);
    struct equip_fan fan = {
        .c = c, .identity = identity, .targets = targets.items, .line = said, .ctx = c};
    struct ssh_fanout_result r;
    struct str input = buf_view(&script);
    if (targets.count == 0)
        return 0;
    return equip_fan(&fan, (const size_t[]){0}, 1, COMMAND_GONE, &input, GONE_TIMEOUT, &r, err);
}

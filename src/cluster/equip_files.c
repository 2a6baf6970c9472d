/* A factory that joins while experiments run or wait gets their files before Slurm may give it a
 * trial: those of the next experiment come with that. See files.h. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include "cluster/files.h"
#include "cluster/files_priv.h"
#include <stdio.h>
#include <string.h>

#define GIVE_TIMEOUT (30 * USEC_PER_MIN)

/* Of a command that ends with a script: the names of the queue's entries, one spread each. */
static const char script_each[] =
    "script=$1; shift\n"
    "for e in " FILES_ROOT "/queue/*.json; do\n"
    "  [ -f \"$e\" ] || continue\n"
    "  n=${e##*/}; n=${n#*-}; n=${n#*-}; n=${n%.json}; s=0\n"
    "  [ -d \"" FILES_ROOT "/files/$n/work\" ] || continue\n"
    "  [ ! -f \"" FILES_ROOT "/secrets/$n.ini\" ] || s=1\n"
    "  printf '%s\\n' \"$@\" | sh -c \"$script\" flambe-files-spread \"$n\" $s\n"
    "done\n";

struct giving {
    struct equip *e;
    const size_t *which;
    struct files_host *hosts;
    size_t count;
};

static void said(void *ctx, size_t target, struct str line)
{
    struct giving *g = ctx;
    (void)target;
    for (size_t i = 0; i < g->count; i++)
        g->hosts[i].done = false; /* each experiment has its own turn */
    size_t at;
    if (!files_read_host(str_trim(line), g->hosts, g->count, &at) || !g->hosts[at].err.code)
        return;
    struct equip_member *m = &g->e->members[g->which[at]];
    if (m->in)
        equip_leave_out(g->e, m, g->hosts[at].err.msg);
}

int equip_give_files(struct equip *e, const size_t *which, size_t count, struct err *err)
{
    AUTO_FREE struct files_host *hosts = mem_array(count + 1, sizeof *hosts);
    AUTO_BUF struct buf command = {0};
    struct giving g = {e, which, hosts, count};
    if (!count)
        return 0;
    files_command(script_each, "files-each", script_files_spread, &command);
    for (size_t i = 0; i < count; i++) {
        hosts[i].name = e->members[which[i]].name;
        buf_addf(&command, " %s", hosts[i].name);
    }
    struct equip_fan fan = e->fan;
    fan.line = said;
    fan.ctx = &g;
    struct str input = STR("");
    struct ssh_fanout_result r;
    return equip_fan(&fan, (const size_t[]){0}, 1, buf_text(&command), &input, GIVE_TIMEOUT, &r,
                     err);
}

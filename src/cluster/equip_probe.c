/* What a host says when it is asked what it is and has: one script, which also waits for the
 * packages and installs them where nobody else does. What it prints is hostile: it is read by
 * probe_line() and nowhere else, and only what is well formed is kept. */
#include "base/mem.h"
#include "cluster/equip_priv.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_TEXT_MAX 200
#define CPUS_MAX 4096
#define GPUS_MAX 64
#define MEMORY_MB_MAX ((int64_t)64 << 20)

/* A host without systemd (a light host or a ghost of the sandbox) ends here. */
static const char probe_begin[] =
    "say() { echo \"flambe: $*\"; }\n"
    "[ \"$(id -u)\" = 0 ] || { say error sudo gave no root; exit 1; }\n"
    "if [ ! -d /run/systemd/system ]; then say ok; exit 0; fi\n"
    "say systemd\n";

/* On a machine that existed before: what flambe would replace, and nobody asked it to. */
static const char probe_own_slurm[] =
    "f=/etc/slurm/slurm.conf\n"
    "if [ -e $f ] && ! grep -qs '^" EQUIP_MARK "' $f ||"
    " { systemctl -q is-active slurmd && ! grep -qs '^" EQUIP_MARK
    "' /etc/default/slurmd; }; then\n"
    "  say refused it has a Slurm of its own, which flambe would replace: remove $f and the"
    " services, or use other machines\n"
    "  say ok; exit 0\n"
    "fi\n";
static const char probe_own_exports[] =
    "if PATH=$PATH:/usr/sbin exportfs -s 2>/dev/null | grep -v '^" EQUIP_SHARED " ' | grep -q .;"
    " then\n"
    "  say refused it exports directories by NFS, which flambe would change: name one that all"
    " machines share with \"'shared'\"\n"
    "  say ok; exit 0\n"
    "fi\n";

static const char probe_packages[] =
    "exec 9>/run/flambe-packages.lock\n"
    "if ! flock -n 9 || missing; then say installing; fi\n"
    "flock -w 1400 9 && packages\n"
    "exec 9>&-\n"
    "{ read -r x && say packages $x; [ \"$x\" = ok ] || say packages-error $(cat); }"
    " < $p/packages\n";

static const char probe_facts[] =
    "say hostname $(hostname -s)\n"
    "say cpus $(nproc)\n"
    "while read -r k v x; do [ $k != MemTotal: ] || say memory $((v / 1024)); done < "
    "/proc/meminfo\n"
    /* a container's limit, which /proc does not show */
    "for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do\n"
    "  read -r v 2>/dev/null < $f || continue\n"
    "  case $v in max | *[!0-9]* | ????????????????*) ;;"
    " *) say memory $((v / 1048576)) ;; esac\n"
    "done 2>/dev/null\n"
    "! systemd-detect-virt -cq || say container\n"
    "if [ \"$(stat -fc %T /sys/fs/cgroup)\" = cgroup2fs ]; then\n"
    "  for f in /usr/lib/*/slurm*/cgroup_v2.so; do [ ! -e $f ] || say cgroup v2; done\n"
    "else say cgroup v1; fi\n"
    /* the driver makes its devices when it is first asked */
    "[ -e /dev/nvidia0 ] || ! command -v nvidia-smi >/dev/null ||"
    " timeout 60 nvidia-smi -L </dev/null >/dev/null 2>&1\n"
    "n=0; for f in /dev/nvidia[0-9]*; do [ ! -e $f ] || n=$((n + 1)); done; say gpus $n\n"
    "say uid $(id -u ${SUDO_USER:-root})\n"
    "read -r x 2>/dev/null < /etc/flambe/shared-directory && say shared-directory $x\n"
    "[ ! -e $p/packages ] || df -Pm $p | { read -r x; read -r a b c free used x;"
    " say disk $used $free; }\n"
    "! read -r x 2>/dev/null < /etc/flambe/equipped || say equipped $x\n"
    "hash() { [ ! -s $2 ] || { x=$(sha256sum < $2); say $1 ${x%% *}; }; }\n"
    "hash node " EQUIP_NODE_BIN "\n"
    "u=$(cat /etc/flambe/units 2>/dev/null)\n"
    "if [ \"$(systemctl is-active $u 2>/dev/null | sort -u)\" = active ]; then say active; fi\n";

static const char probe_slurm[] =
    "hash munge /etc/munge/munge.key\n"
    "say slurm $(slurmd -V 2>/dev/null)\n"
    "nfs() { grep -qs \"^$1\" /proc/modules || grep -qsw $2 /proc/filesystems ||"
    " modprobe -q $1 2>/dev/null; }\n";

static const char probe_orchestrator[] =
    "if nfs nfsd nfsd; then say nfs-server; fi\n"
    "grep -s '^NodeName=' /etc/slurm/slurm.conf | while read -r x; do say was $x; done\n"
    "! systemctl -q is-active slurmctld || timeout 4 sinfo -hN -o '%N %T %E' 2>/dev/null |\n"
    "  while read -r n s r; do say node $n $s $r; done\n";

static const char probe_tensorboard[] =
    "{ read -r x && [ \"$x\" = ok ] || say tensorboard $x $(cat); }"
    " 2>/dev/null < $p/tensorboard\n";

void script_probe(const struct probe_ask *ask, struct buf *out)
{
    buf_adds(out, probe_begin);
    if (ask->existed && ask->slurm)
        buf_adds(out, probe_own_slurm);
    if (ask->existed && ask->slurm && ask->role == ROLE_ORCHESTRATOR && !ask->shared)
        buf_adds(out, probe_own_exports);
    script_packages(ask->role, ask->slurm, out);
    buf_adds(out, probe_packages);
    buf_adds(out, probe_facts);
    if (ask->slurm)
        buf_adds(out, probe_slurm);
    if (ask->slurm && ask->role == ROLE_FACTORY)
        buf_adds(out, "if nfs nfs nfs4; then say nfs-client; fi\n");
    if (ask->slurm && ask->role == ROLE_ORCHESTRATOR)
        buf_adds(out, probe_orchestrator);
    if (ask->role == ROLE_ORCHESTRATOR)
        buf_adds(out, probe_tensorboard);
    if (ask->shared) {
        buf_adds(out, "[ ! -d ");
        shell_quote(ask->shared, out);
        buf_adds(out, " ] || say shared-found\n");
    }
    buf_adds(out, "say clock $(date +%s.%N)\nsay ok\n");
}

/* ---- reading ------------------------------------------------------------------------------ */

static char *clean_text(struct str s)
{
    s = str_trim(s);
    if (s.n > PROBE_TEXT_MAX)
        s.n = PROBE_TEXT_MAX;
    char *copy = str_dup(s);
    for (char *p = copy; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    return copy;
}

static bool is_name(struct str s)
{
    if (!s.n || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("-_.", s.p[i]))
            return false;
    return s.p[0] != '-' && s.p[0] != '.';
}

static bool is_hex(struct str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isxdigit((unsigned char)s.p[i]))
            return false;
    return true;
}

static void take_hex(struct str v, char *out, size_t n)
{
    if (!is_hex(v, n))
        return;
    memcpy(out, v.p, n);
    out[n] = '\0';
}

static void take_int(struct str v, int max, int *out)
{
    int64_t n;
    if (str_to_i64(v, 0, max, &n))
        *out = (int)n;
}

static void take_memory(struct str v, int64_t *out)
{
    int64_t mb;
    if (str_to_i64(v, 1, MEMORY_MB_MAX, &mb) && (*out == 0 || mb < *out))
        *out = mb;
}

static void take_text(struct str v, char **out)
{
    free(*out);
    *out = clean_text(v);
}

/* An absolute path that needs no quotes anywhere. */
static void take_path(struct str v, char **out)
{
    if (v.n < 2 || v.n > 200 || v.p[0] != '/')
        return;
    for (size_t i = 0; i < v.n; i++)
        if (!isalnum((unsigned char)v.p[i]) && !strchr("/-_.", v.p[i]))
            return;
    free(*out);
    *out = str_dup(v);
}

static void take_clock(struct equip_probe *p, struct str v, usec_t now)
{
    struct str fraction = v, seconds = str_cut(&fraction, '.');
    int64_t s, micro = 0;
    if (!str_to_i64(seconds, 0, (int64_t)1 << 40, &s))
        return;
    if (fraction.p && fraction.n >= 6)
        (void)!str_to_i64((struct str){fraction.p, 6}, 0, 999999, &micro);
    p->clock_offset = s * USEC_PER_SEC + micro - now;
    p->clock_known = true;
}

static void take_disk(struct equip_probe *p, struct str v)
{
    struct str free_mb = v, used = str_cut(&free_mb, ' ');
    int64_t mb;
    int percent = -1;
    if (str_ends(used, "%"))
        used.n--;
    take_int(used, 100, &percent);
    if (percent < 0 || !free_mb.p || !str_to_i64(str_trim(free_mb), 0, INT64_MAX >> 20, &mb))
        return;
    p->disk_used_percent = percent;
    p->disk_free_mb = mb;
}

static void take_node(struct equip_probe *p, struct str v)
{
    struct str rest = v, name = str_cut(&rest, ' ');
    struct str state = rest.p ? str_cut(&rest, ' ') : (struct str){0};
    if (!is_name(name) || !state.n || p->node_count >= EQUIP_NODES_MAX)
        return;
    if (p->node_count == p->node_cap) {
        p->node_cap = p->node_cap ? 2 * p->node_cap : 8;
        p->nodes = mem_grow(p->nodes, p->node_cap, sizeof *p->nodes);
    }
    p->nodes[p->node_count++] = (struct equip_node_state){str_dup(name), clean_text(state),
                                                          rest.p ? clean_text(rest) : mem_dup("")};
}

static void take_flag(struct equip_probe *p, struct str key)
{
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {
        {"systemd", &p->systemd},       {"installing", &p->installing},
        {"container", &p->container},   {"nfs-server", &p->nfs_server},
        {"nfs-client", &p->nfs_client}, {"shared-found", &p->shared_found},
        {"active", &p->units_active},   {"ok", &p->answered},
    };
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (str_is(key, flags[i].key))
            *flags[i].flag = true;
}

void probe_line(struct equip_probe *p, struct str line, usec_t now)
{
    line = str_trim(line);
    if (!str_starts(line, "flambe: "))
        return;
    struct str v = {line.p + 8, line.n - 8}, key = str_cut(&v, ' ');
    v = v.p ? str_trim(v) : (struct str){"", 0};
    if (!v.n)
        take_flag(p, key);
    else if (str_is(key, "packages"))
        p->packages_ok = str_is(v, "ok");
    else if (str_is(key, "refused"))
        take_text(v, &p->refused);
    else if (str_is(key, "error"))
        take_text(v, &p->error);
    else if (str_is(key, "packages-error"))
        take_text(v, &p->packages_error);
    else if (str_is(key, "hostname") && is_name(v) && !p->hostname)
        p->hostname = str_dup(v);
    else if (str_is(key, "slurm"))
        p->slurm_version = slurm_version(v);
    else if (str_is(key, "cpus"))
        take_int(v, CPUS_MAX, &p->cpus);
    else if (str_is(key, "gpus"))
        take_int(v, GPUS_MAX, &p->gpus);
    else if (str_is(key, "memory"))
        take_memory(v, &p->memory_mb);
    else if (str_is(key, "cgroup"))
        *(str_is(v, "v2") ? &p->cgroup_v2 : &p->cgroup_v1) = true;
    else if (str_is(key, "shared-directory"))
        take_path(v, &p->shared_dir);
    else if (str_is(key, "uid"))
        take_int(v, INT32_MAX, &p->uid);
    else if (str_is(key, "clock"))
        take_clock(p, v, now);
    else if (str_is(key, "disk"))
        take_disk(p, v);
    else if (str_is(key, "equipped"))
        take_hex(v, p->equipped, 16);
    else if (str_is(key, "munge"))
        take_hex(v, p->munge, SHA256_HEX_SIZE - 1);
    else if (str_is(key, "node") && is_hex(v, SHA256_HEX_SIZE - 1))
        take_hex(v, p->node, SHA256_HEX_SIZE - 1);
    else if (str_is(key, "node"))
        take_node(p, v);
    else if (str_is(key, "was") && p->was.count < EQUIP_NODES_MAX)
        strv_add_str(&p->was, v);
    else if (str_is(key, "tensorboard"))
        take_text(v, &p->tensorboard);
}

void probe_done(struct equip_probe *p)
{
    free(p->error);
    free(p->refused);
    free(p->packages_error);
    free(p->hostname);
    free(p->shared_dir);
    free(p->tensorboard);
    for (size_t i = 0; i < p->node_count; i++) {
        free(p->nodes[i].name);
        free(p->nodes[i].state);
        free(p->nodes[i].reason);
    }
    free(p->nodes);
    strv_done(&p->was);
    *p = (struct equip_probe){0};
}

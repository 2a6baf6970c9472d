/* What runs on a host to equip it. A script's text says all that a host should be, so its
 * fingerprint, left on the host, says whether the host is that already; what is secret is no part
 * of it. */
#include "cluster/equip_priv.h"

static void add_slurm_files(const struct equip_plan *p, struct buf *out)
{
    AUTO_BUF struct buf text = {0};
    buf_adds(out, "conf=\nown /etc/slurm 0755 root:root\n");
    slurm_conf(p->slurm, &text);
    add_put("/etc/slurm/slurm.conf", "0644", buf_view(&text), "conf=1", out);
    buf_clear(&text);
    cgroup_conf(p->slurm, &text);
    add_put("/etc/slurm/cgroup.conf", "0644", buf_view(&text), "conf=1", out);
    buf_clear(&text);
    gres_conf(p->slurm, &text);
    add_put("/etc/slurm/gres.conf", "0644", buf_view(&text), "conf=1", out);
}

/* The key is made once for each orchestrator: one that its image brought is nobody's secret. */
static const char munge_make[] =
    "m=/etc/munge/munge.key munge= was=\n"
    "own /etc/munge 0700 munge:munge\n"
    "[ ! -e $d/munge ] || read -r was < $d/munge\n"
    "if [ \"$was\" != \"$instance\" ] || [ ! -s $m ]; then\n"
    "  (umask 077; head -c 1024 /dev/urandom > $m.flambe) && mv -f $m.flambe $m &&"
    " echo \"$instance\" > $d/munge || fail 'cannot make the munge key'\n"
    "  munge=1\n"
    "fi\n";

/* $key came on standard input; printf is the shell's own, so no process list shows it. */
static const char munge_take[] =
    "m=/etc/munge/munge.key munge=\n"
    "own /etc/munge 0700 munge:munge\n"
    "if [ \"$key\" ]; then\n"
    "  (umask 077; printf %s \"$key\" | base64 -d > $m.flambe) || fail 'cannot write the munge "
    "key'\n"
    "  if cmp -s $m.flambe $m; then rm -f $m.flambe; else mv -f $m.flambe $m; munge=1; fi\n"
    "fi\n"
    "[ -s $m ] || fail 'there is no munge key'\n";

static void add_munge(bool make, struct buf *out, struct buf *runs)
{
    buf_adds(out, make ? munge_make : munge_take);
    buf_adds(out, "chown munge:munge $m && chmod 400 $m || fail \"cannot own $m\"\n"
                  "unit munge.service\n");
    buf_adds(runs, "run munge $munge\n");
}

static void add_slurmd(const struct equip_plan *p, const struct equip_host *h, struct buf *out,
                       struct buf *runs)
{
    static const char dropin[] =
        "# written by flambe; changes are lost\n[Unit]\n"
        /* the package's unit wants a slurm.conf, and ours comes from the controller */
        "ConditionPathExists=\nStartLimitIntervalSec=0\n"
        "After=munge.service srv-flambe.mount\n[Service]\n"
        /* a GPU has its device once its driver was asked */
        "ExecStartPre=-/bin/sh -c 'command -v nvidia-smi && exec timeout 60 nvidia-smi -L'\n"
        "Restart=on-failure\nRestartSec=1\n";
    AUTO_BUF struct buf options = {0};
    buf_addf(&options, "# written by flambe; changes are lost\nSLURMD_OPTIONS=\"-N %s", h->name);
    if (h->role == ROLE_FACTORY)
        buf_addf(&options, " --conf-server %s:%d", p->hosts[0].private_ip, SLURM_PORT);
    /* A container has the machine's uptime, by which a node that was off seems never to boot. */
    buf_addf(&options, "%s\"\n", p->container ? " -b" : "");
    buf_adds(out, "slurmd=\nown /var/log/slurm 0755 slurm:slurm\nown /var/lib/slurm/slurmd 0755"
                  " root:root\n[ -d /etc/systemd/system/slurmd.service.d ] ||"
                  " mkdir -p /etc/systemd/system/slurmd.service.d\n");
    add_put("/etc/systemd/system/slurmd.service.d/flambe.conf", "0644", STR(dropin),
            "reload=1 slurmd=1", out);
    add_put("/etc/default/slurmd", "0644", buf_view(&options), "slurmd=1", out);
    buf_adds(out, "unit slurmd.service\n");
    buf_adds(runs, "run slurmd ${slurmd:-$kick}\n");
}

/* It answers before factories are sent to it. */
static void add_slurmctld(struct buf *out, struct buf *runs)
{
    /* One that was killed gives numbers again that it gave to jobs a moment before. A host where
     * such a job runs yet is drained for that, and nobody else would ever take it back. */
    static const char mend[] = "# written by flambe; changes are lost\n"
                               "n=0\n"
                               "while [ $n -lt 60 ]; do\n"
                               "  timeout 5 sinfo -hN -t drain -o '%N %E' | while read -r h r; do\n"
                               "    case $r in Duplicate*)"
                               " timeout 5 scontrol update nodename=$h state=resume ;; esac\n"
                               "  done\n"
                               "  n=$((n + 1))\n"
                               "  sleep 2\n"
                               "done\n";
    static const char dropin[] = "# written by flambe; changes are lost\n[Unit]\n"
                                 "StartLimitIntervalSec=0\n[Service]\n"
                                 "ExecStartPost=-/bin/sh -c 'sh /etc/flambe/slurm-mend </dev/null"
                                 " >/dev/null 2>&1 &'\n"
                                 "Restart=on-failure\nRestartSec=1\n";
    add_put("/etc/flambe/slurm-mend", "0644", STR(mend), ":", out);
    buf_adds(out, "own " SLURM_JOBS " 0755 slurm:slurm\nown " SLURM_JOBS "/state 0700 slurm:slurm\n"
                  "own /var/log/slurm 0755 slurm:slurm\n"
                  "[ -d /etc/systemd/system/slurmctld.service.d ] ||"
                  " mkdir -p /etc/systemd/system/slurmctld.service.d\n");
    add_put("/etc/systemd/system/slurmctld.service.d/flambe.conf", "0644", STR(dropin), "reload=1",
            out);
    buf_adds(out, "unit slurmctld.service\n");
    buf_adds(runs, "run slurmctld $conf\n"
                   "n=0\n"
                   "until timeout 5 scontrol ping 2>/dev/null | grep -q 'is UP'; do\n"
                   "  n=$((n + 1))\n"
                   "  [ $n -lt 100 ] || fail \"slurmctld does not answer:"
                   " $(tail -n 1 /var/log/slurm/slurmctld.log)\"\n"
                   "  sleep 0.1\n"
                   "done\n");
}

/* What the next look wants to find at work. */
static void add_units(const struct equip_plan *p, bool orchestrator, struct buf *out)
{
    AUTO_BUF struct buf units = {0};
    if (p->slurm)
        buf_adds(&units, orchestrator ? "munge slurmctld" : "munge slurmd");
    if (p->slurm && orchestrator && p->jobs_here)
        buf_adds(&units, " slurmd");
    if (p->shared == SHARED_NFS && orchestrator)
        buf_adds(&units, " nfs-server");
    if (p->shared == SHARED_BIND || (p->shared == SHARED_NFS && !orchestrator))
        buf_adds(&units, " srv-flambe.mount");
    if (p->has_node)
        buf_adds(&units, " flambe-node");
    if (!units.len) /* there is always one: an empty list would say nothing */
        buf_adds(&units, "multi-user.target");
    add_put("/etc/flambe/units", "0644", buf_view(&units), ":", out);
}

void script_orchestrator(const struct equip_plan *p, struct buf *out)
{
    const struct equip_host *h = &p->hosts[0];
    AUTO_BUF struct buf runs = {0};
    add_equip_prologue(h->instance_id, out);
    add_tree(p, true, out);
    if (p->shared == SHARED_NFS)
        add_exports(p, out, &runs);
    if (p->slurm) {
        add_slurm_files(p, out);
        add_munge(true, out, &runs);
        add_slurmctld(out, &runs);
        if (p->jobs_here)
            add_slurmd(p, h, out, &runs);
        else
            buf_adds(out, "! systemctl -q is-enabled slurmd 2>/dev/null ||"
                          " systemctl -q disable --now slurmd 2>/dev/null\n");
    }
    buf_adds(out, "node=\n");
    add_node_json(p, h, out);
    add_node_service(p, out, &runs);
    add_tensorboard(out, &runs);
    add_units(p, true, out);
    buf_adds(out, "reloaded\n");
    buf_add_str(out, buf_view(&runs));
    if (p->slurm) /* those that were there are to take the new files */
        buf_adds(out, "[ ! \"$conf\" ] || echo 'flambe: reconfigure'\n");
}

void script_factory(const struct equip_plan *p, const struct equip_host *h, struct buf *out)
{
    AUTO_BUF struct buf runs = {0};
    add_equip_prologue(h->instance_id, out);
    buf_addf(out,
             "timeout 5 bash -c '</dev/tcp/%s/%d' 2>/dev/null ||"
             " fail \"cannot reach the orchestrator's port %d (Slurm): does the security group let"
             " its own members in?\"\n",
             p->hosts[0].private_ip, SLURM_PORT, SLURM_PORT);
    add_tree(p, false, out);
    add_munge(false, out, &runs);
    add_slurmd(p, h, out, &runs);
    buf_adds(out, "node=\n");
    add_node_json(p, h, out);
    add_node_service(p, out, &runs);
    add_units(p, false, out);
    buf_adds(out, "reloaded\n");
    buf_add_str(out, buf_view(&runs));
}

void script_key(struct str key_base64, bool kick, struct buf *out)
{
    buf_adds(out, "key='");
    buf_add_str(out, key_base64);
    buf_addf(out, "' kick=%s\n", kick ? "1" : "");
}

void script_end(const char print[17], bool tell_key, struct buf *out)
{
    buf_addf(out,
             "echo %s > /etc/flambe/equipped.new && mv -f /etc/flambe/equipped.new"
             " /etc/flambe/equipped || fail 'cannot write in /etc/flambe'\n",
             print);
    if (tell_key)
        buf_adds(out, "echo \"flambe: munge-key $(base64 -w 0 < $m)\"\n");
    buf_adds(out, "echo 'flambe: ok'\n");
}

/* ---- who is in ---------------------------------------------------------------------------- */

void script_join(const char *const *names, size_t count, bool reconfigure, struct buf *out)
{
    buf_adds(out, "want=' ");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s ", names[i]);
    buf_adds(out, "'\n");
    if (reconfigure)
        buf_adds(out, "timeout 20 scontrol reconfigure\n");
    buf_adds(out,
             "n=0\n"
             "while :; do\n"
             "  s=$(timeout 5 sinfo -hN -o '%N %T %E') bad=\n"
             "  while read -r h t r; do\n"
             "    case $want in *\" $h \"*) ;; *) continue ;; esac\n"
             "    case $t in\n"
             /* It answers, so it is not what it was called; a drained one is a person's wish,
              * but for what Slurm drained itself over a configuration that was mended. */
             "    down | down[!*]*) bad=1; timeout 5 scontrol update nodename=$h state=resume ;;\n"
             "    drain*) case $r in Low* | gres* | Duplicate* |"
             " *'flambe:'*) bad=1\n"
             "      timeout 5 scontrol update nodename=$h state=resume ;; esac ;;\n"
             "    *\\* | unk* | inval* | *inval) bad=1 ;;\n"
             "    esac\n"
             "  done <<EOF_STATES\n$s\nEOF_STATES\n"
             "  [ \"$s\" ] && [ ! \"$bad\" ] && break\n"
             "  n=$((n + 1)); [ $n -lt 60 ] || break\n"
             "  sleep 0.25\n"
             "done\n"
             "while read -r h t r; do [ ! \"$h\" ] || echo \"flambe: node $h $t $r\"; done"
             " <<EOF_STATES\n$s\nEOF_STATES\n"
             "echo 'flambe: ok'\n");
}

void script_gone(const char *const *addresses, size_t count, struct buf *out)
{
    buf_adds(out, "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\nset -f\nalive=' ");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s ", addresses[i]);
    buf_adds(out,
             "'\n"
             "timeout 5 scontrol -o show nodes 2>/dev/null | while read -r line; do\n"
             "  h= a=\n"
             "  for w in $line; do\n"
             "    case $w in NodeName=*) h=${w#*=} ;; NodeAddr=*) a=${w#*=} ;; esac\n"
             "  done\n"
             "  case \"$h$a\" in '' | *[!a-zA-Z0-9_.-]*) continue ;; esac\n"
             "  case $alive in *\" $a \"*) continue ;; esac\n"
             "  timeout 5 scontrol update nodename=$h state=down reason=flambe:gone </dev/null &&"
             " echo \"flambe: gone $h\"\n"
             "done\n"
             "echo 'flambe: ok'\n");
}

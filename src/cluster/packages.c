/* The packages that a host needs for experiments, installed by its own package manager.
 *
 * The same text runs twice: as the last part of user data, so that the packages come while the host
 * boots and nobody waits for them, and first thing in equip, which finds them there, waits for
 * whoever installs them, or installs them itself (a host that an older flambe made, or whose
 * mirror had a bad day). A lock keeps the two apart. Where all programs are there already, as in an
 * image that brings them, it asks nobody and takes milliseconds.
 *
 * Nothing that is installed may run before equip has configured it: the units are masked, and
 * policy-rc.d forbids starts while dpkg works.
 *
 * The end is in /var/lib/flambe/packages: "ok", or "failed" and the last of the output. */
#include "cluster/equip_priv.h"

/* Debian 12, Ubuntu 22.04 and 24.04 have all of these names. */
static const char *package_names(enum cluster_role role, bool slurm)
{
    if (!slurm)
        return "rsync python3-venv";
    if (role == ROLE_ORCHESTRATOR)
        return "slurmctld slurmd slurm-client munge nfs-kernel-server rsync python3-venv";
    return "slurmd slurm-client munge nfs-common rsync";
}

static const char *program_names(enum cluster_role role, bool slurm)
{
    if (!slurm)
        return "rsync";
    if (role == ROLE_ORCHESTRATOR)
        return "slurmctld slurmd sbatch munged exportfs rsync";
    return "slurmd sbatch munged mount.nfs rsync";
}

void script_packages(enum cluster_role role, bool slurm, struct buf *out)
{
    buf_addf(out,
             "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin p=/var/lib/flambe\n"
             "[ -d $p ] || mkdir -p -m 755 $p\n"
             "missing() {\n"
             "  for x in %s; do command -v $x >/dev/null || return 0; done\n"
             "  %s\n"
             "}\n",
             program_names(role, slurm),
             role == ROLE_ORCHESTRATOR ? "! python3 -c 'import ensurepip, venv' >/dev/null 2>&1"
                                       : "return 1");
    buf_addf(out,
             "get() {\n"
             "  command -v apt-get >/dev/null || { echo 'the image has no apt-get, and not all of:"
             " %s'; return 1; }\n"
             "  for x in " EQUIP_MASKED_UNITS "; do systemctl -q is-active $x ||"
             " systemctl mask -q $x; done\n"
             "  r=/usr/sbin/policy-rc.d\n"
             "  [ -e $r ] || { printf '#!/bin/sh\\n# flambe\\nexit 101\\n' > $r; chmod 755 $r; }\n"
             "  n=0 a='apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3'\n"
             "  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l\n"
             "  while :; do\n"
             "    timeout 300 $a update\n"
             "    timeout 900 $a -y --no-install-recommends -o Dpkg::Options::=--force-confold"
             " install %s && return 0\n"
             "    n=$((n + 1))\n"
             "    [ $n -lt 4 ] || return 1\n"
             "    sleep $((n * 5))\n"
             "    timeout 300 dpkg --force-confold --configure -a\n"
             "  done\n"
             "}\n",
             package_names(role, slurm), package_names(role, slurm));
    buf_adds(out,
             "packages() {\n"
             "  if missing; then\n"
             "    get </dev/null >$p/packages.log 2>&1 9>&-\n"
             "    ! grep -qs '^# flambe$' /usr/sbin/policy-rc.d || rm -f /usr/sbin/policy-rc.d\n"
             "  fi\n"
             "  if missing; then echo failed; tail -c 400 $p/packages.log; else echo ok; fi"
             " > $p/packages.new\n"
             "  mv -f $p/packages.new $p/packages\n"
             "}\n");
}

void script_packages_boot(enum cluster_role role, bool slurm, struct buf *out)
{
    script_packages(role, slurm, out);
    buf_adds(out, "exec 9>/run/flambe-packages.lock\nflock -w 1500 9 && packages\n");
}

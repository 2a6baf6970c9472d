/* See slurm_conf.h. Options are those that 21.08 (Ubuntu 22.04), 22.05 (Debian 12) and 23.11
 * (Ubuntu 24.04) all know; the settings are those that were measured to be fast on few hosts with
 * many short jobs. */
#include "cluster/slurm_conf.h"
#include <ctype.h>
#include <string.h>

int slurm_version(struct str text)
{
    for (size_t i = 0; i + 4 < text.n; i++) {
        const char *p = text.p + i;
        if ((i == 0 || p[-1] == ' ') && isdigit((unsigned char)p[0]) &&
            isdigit((unsigned char)p[1]) && p[2] == '.' && isdigit((unsigned char)p[3]) &&
            isdigit((unsigned char)p[4]))
            return (p[0] - '0') * 1000 + (p[1] - '0') * 100 + (p[3] - '0') * 10 + (p[4] - '0');
    }
    return 0;
}

static void who(const struct slurm_cluster *c, struct buf *out)
{
    buf_addf(out,
             "# written by flambe; changes are lost\n"
             "ClusterName=flambe\n"
             "SlurmctldHost=%s(%s)\n"
             "SlurmUser=slurm\n"
             "AuthType=auth/munge\n"
             "SlurmctldPort=%d\n"
             "SlurmdPort=%d\n"
             "StateSaveLocation=" SLURM_JOBS "/state\n"
             "SlurmdSpoolDir=/var/lib/slurm/slurmd\n"
             "SlurmctldPidFile=/run/slurmctld.pid\n"
             "SlurmdPidFile=/run/slurmd.pid\n"
             "SlurmctldLogFile=/var/log/slurm/slurmctld.log\n"
             "SlurmdLogFile=/var/log/slurm/slurmd.log\n"
             "MailProg=/bin/true\n",
             c->controller, c->controller_address, SLURM_PORT, SLURMD_PORT);
}

static void how(const struct slurm_cluster *c, struct buf *out)
{
    buf_addf(out, "ProctrackType=%s\nTaskPlugin=%s\n",
             c->cgroups ? "proctrack/cgroup" : "proctrack/linuxproc",
             c->cgroups ? "task/cgroup" : "task/none");
    buf_adds(out, "JobAcctGatherType=jobacct_gather/none\n"
                  "AccountingStorageType=accounting_storage/none\n"
                  "JobCompType=jobcomp/filetxt\n"
                  "JobCompLoc=" SLURM_JOBCOMP "\n"
                  "MpiDefault=none\n"
                  "ReturnToService=2\n"
                  "SlurmctldParameters=enable_configless,idle_on_node_suspend\n"
                  /* A CPU is a hardware thread, as everywhere else in flambe. */
                  "SelectType=select/cons_tres\n"
                  "SelectTypeParameters=CR_CPU\n"
                  "GresTypes=gpu\n"
                  "SchedulerType=sched/backfill\n"
                  "SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,"
                  "sched_interval=1,default_queue_depth=1000,bf_interval=1,bf_continue\n"
                  "PriorityType=priority/basic\n"
                  /* A dead host is known as one within seconds. cred_expire=3 would mean 120 s. */
                  "SlurmdTimeout=5\n"
                  "MessageTimeout=4\n"
                  "TCPTimeout=1\n"
                  "AuthInfo=cred_expire=5\n"
                  "KillWait=10\n"
                  "TreeWidth=65533\n"
                  "SlurmctldDebug=error\n"
                  "SlurmdDebug=error\n");
    buf_addf(out, "MaxArraySize=%d\nMaxJobCount=%d\n", SLURM_ARRAY_MAX, SLURM_JOBS_MAX);
}

int64_t slurm_memory(int64_t measured_mb)
{
    return measured_mb * 95 / 100;
}

static void node(const struct slurm_node *n, struct buf *out)
{
    buf_addf(out, "NodeName=%s NodeAddr=%s CPUs=%d", n->name, n->address,
             n->cpus > 0 ? n->cpus : 1);
    if (n->memory_mb > 0)
        buf_addf(out, " RealMemory=%lld", (long long)n->memory_mb);
    if (n->gpus > 0)
        buf_addf(out, " Gres=gpu:%d", n->gpus);
    buf_adds(out, " State=UNKNOWN\n");
}

static bool is_plain(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-");
    return n > 0 && n <= 64 && s[n] == '\0';
}

bool slurm_node_read(char *text, struct slurm_node *out)
{
    struct slurm_node n = {0};
    char *rest = NULL;
    for (char *w = strtok_r(text, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest)) {
        char *value = strchr(w, '=');
        if (!value)
            return false;
        *value++ = '\0';
        int64_t number = 0;
        bool is_number = str_to_i64(str_of(value), 1, (int64_t)1 << 30, &number);
        if (strcmp(w, "NodeName") == 0)
            n.name = value;
        else if (strcmp(w, "NodeAddr") == 0)
            n.address = value;
        else if (strcmp(w, "CPUs") == 0 && is_number)
            n.cpus = (int)number;
        else if (strcmp(w, "RealMemory") == 0 && is_number)
            n.memory_mb = number;
        else if (strcmp(w, "Gres") == 0 && strncmp(value, "gpu:", 4) == 0 &&
                 str_to_i64(str_of(value + 4), 1, 64, &number))
            n.gpus = (int)number;
    }
    if (!n.name || !n.address || !is_plain(n.name) || !is_plain(n.address))
        return false;
    *out = n;
    return true;
}

void slurm_conf(const struct slurm_cluster *c, struct buf *out)
{
    who(c, out);
    how(c, out);
    for (size_t i = 0; i < c->count; i++)
        node(&c->nodes[i], out);
    if (!c->count) /* Slurm refuses a partition without nodes */
        return;
    buf_adds(out, "PartitionName=" SLURM_PARTITION
                  " Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO Nodes=");
    for (size_t i = 0; i < c->count; i++)
        buf_addf(out, "%s%s", i ? "," : "", c->nodes[i].name);
    buf_addc(out, '\n');
}

void cgroup_conf(const struct slurm_cluster *c, struct buf *out)
{
    buf_adds(out, "# written by flambe; changes are lost\n");
    /* 21.08 has no such key. With mixed cgroups slurmd cannot tell by itself, and exits. */
    if (c->cgroup_v1 && c->version >= 2205)
        buf_adds(out, "CgroupPlugin=cgroup/v1\n");
    if (c->cgroups)
        buf_adds(out, "ConstrainCores=yes\nConstrainDevices=yes\nConstrainRAMSpace=yes\n");
}

void gres_conf(const struct slurm_cluster *c, struct buf *out)
{
    buf_adds(out, "# written by flambe; changes are lost\n");
    for (size_t i = 0; i < c->count; i++) {
        const struct slurm_node *n = &c->nodes[i];
        if (n->gpus == 1)
            buf_addf(out, "NodeName=%s Name=gpu File=/dev/nvidia0\n", n->name);
        else if (n->gpus > 1)
            buf_addf(out, "NodeName=%s Name=gpu File=/dev/nvidia[0-%d]\n", n->name, n->gpus - 1);
    }
}

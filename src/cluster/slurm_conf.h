/* Slurm's configuration as text: a pure function of what the hosts are. */
#ifndef FLAMBE_CLUSTER_SLURM_CONF_H
#define FLAMBE_CLUSTER_SLURM_CONF_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* One host that runs jobs, as it was measured. */
struct slurm_node {
    const char *name;    /* "factory_1": letters, digits, '-', '_' */
    const char *address; /* numeric */
    int cpus, gpus;
    int64_t memory_mb; /* that Slurm counts with: slurm_memory(); 0: unknown */
};

struct slurm_cluster {
    const char *controller;         /* the orchestrator's name to itself, */
    const char *controller_address; /* and its numeric address */
    int version;                    /* slurmctld's, 2205 for 22.05 */
    bool cgroups;                   /* work on every host that runs jobs */
    bool cgroup_v1;                 /* some host's cgroups are v1 or mixed: Slurm is to know */
    const struct slurm_node *nodes;
    size_t count;
};

/* SLURM_JOBS is slurm's own directory; the file has one line a finished job (jobcomp/filetxt). */
#define SLURM_JOBS "/var/lib/flambe/slurm"
#define SLURM_JOBCOMP SLURM_JOBS "/jobcomp.log"
#define SLURM_PORT 6817
#define SLURMD_PORT 6818
#define SLURM_PARTITION "flambe"
#define SLURM_ARRAY_MAX 5001 /* an array's highest index, and one */
#define SLURM_JOBS_MAX 20000

/* Slurm takes a node out of service that registers with less than its line says, and memory is
 * never twice the same: 95 % of what the host has. */
int64_t slurm_memory(int64_t measured_mb);
/* Reads a line of slurm_conf()'s again; name and address point into `text`, a writable copy of it
 * that the caller owns. False where it is none. */
bool slurm_node_read(char *text, struct slurm_node *out);

/* "slurm-wlm 22.05.8" gives 2205; 0 where it is no version. */
int slurm_version(struct str text);

void slurm_conf(const struct slurm_cluster *c, struct buf *out);
void cgroup_conf(const struct slurm_cluster *c, struct buf *out);
void gres_conf(const struct slurm_cluster *c, struct buf *out);

#endif

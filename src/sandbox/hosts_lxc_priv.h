/* Inside the LXC hosts. Private to hosts_lxc*.c and lxc_config.c.
 *
 * A host is one LXC container: an overlay on the image, started by `lxc-start -d`, which leaves a
 * monitor process behind that outlives this process, reaps the container's init, carries out its
 * reboots, and ends when it ends. That monitor's life is the machine's life: a pidfd on it is all
 * the watching there is. Everything of a host lies in one directory, DIR/hosts/INSTANCE-ID:
 *
 *   kind         "booted" or "light"
 *   disk.img     booted: the root volume, a sparse ext4 file of the volume's size
 *   disk/        where that is mounted; light: a plain directory
 *   disk/upper   the overlay's writable layer
 *   lxc.conf     written before each start; its presence says that the disk is whole
 *   pid          of the monitor
 *   console.log, lxc.log
 *
 * Containers are called flHASH-INSTANCE-ID, HASH being of the sandbox's directory, so that
 * leftovers are found by name, whatever became of the process that made them. */
#ifndef FLAMBE_SANDBOX_HOSTS_LXC_PRIV_H
#define FLAMBE_SANDBOX_HOSTS_LXC_PRIV_H

#include "sandbox/bridge.h"
#include "sandbox/child.h"
#include "sandbox/hosts.h"
#include "sandbox/image.h"
#include <sys/types.h>

#define LXC_STOP_BOUND (30 * USEC_PER_SEC)      /* booted: from the request to the kill */
#define LXC_STOP_BOUND_LIGHT (2 * USEC_PER_SEC) /* light */
#define LXC_CONSOLE_TAIL ((size_t)64 << 10)
#define LXC_CONSOLE_FILE_MAX "262144" /* bytes of console.log, before it begins anew */
/* A directory that all booted hosts see: it stands in for NFS, which a container has only where the
 * machine's kernel has it. A host says so in the announcement, which holds the path. What belongs
 * to one instance lies there below its id, and goes with it. */
#define HOST_SHARED "/srv/flambe-shared"
#define HOST_SHARED_ANNOUNCEMENT "etc/flambe/shared-directory"
#define LXC_VOLUME_GB_MAX 16384 /* EBS's own */

enum lxc_state {
    LXC_OFF,
    LXC_MAKING,    /* the volume is made and mounted */
    LXC_WAITING,   /* for its turn to start */
    LXC_LAUNCHING, /* lxc-start runs */
    LXC_RUNNING,
    LXC_REMOVING, /* the disk is on its way out */
};

struct lxc {
    struct loop *loop;
    enum host_kind kind;
    char *dir, *public_network, *network; /* DIR/hosts; as the options say */
    char *shared;                         /* DIR/shared: see HOST_SHARED */
    char *prefix;                         /* of containers' names: "fl1a2b3c4d-" */
    struct image image;
    struct bridge bridge;
    bool cgroup2; /* the memory controller is cgroup v2's */
    bool volumes; /* there are loop devices */
    int cpus;
    int launching, launching_max;
    unsigned turn; /* spreads hosts over the CPUs */
    struct host *first;
    struct timer *orphans; /* removes what nobody has adopted */
};

struct host {
    struct lxc *all;
    struct host *next, *previous;
    struct host_events events;
    enum host_kind kind;
    char *id, *name, *dir;
    char *hostname, *user, *private_ip, *public_ip, *public_key;
    struct buf user_data;
    int vcpus, volume_gb;
    int64_t memory_mib;
    unsigned first_cpu;
    bool never_boots, foreign_host_key;

    enum lxc_state state;
    bool volume_made; /* mkfs has run to its end in this process */
    bool seeded;
    bool taken_up; /* from an earlier process, or its monitor was killed: something of it may still
                    * run under its name, or lie there */
    bool hangs;    /* the monitor outlived its container when last looked at */
    bool stop_wanted, kill_wanted; /* carried out as soon as it runs */
    bool again;                    /* starts once more when it ends: a reboot */
    bool doomed;                   /* destroyed: no events, its disk goes when it has ended */
    pid_t rebooting;               /* the init that was asked to reboot */
    pid_t monitor;
    int pidfd;        /* of the monitor, while it runs; else -1 */
    uv_poll_t *watch; /* on it */
    struct child *child;
    struct timer *timer; /* until a request is asked again or enforced */
    usec_t deadline;     /* monotonic */
};

/* ---- hosts_lxc.c: a host's life -----------------------------------------------------------------
 */

void lxc_host_power_on(struct host *h); /* from the next turn of the loop */
void lxc_host_stop(struct host *h);
void lxc_host_kill(struct host *h);
void lxc_host_reboot(struct host *h);
void lxc_host_destroy(struct host *h);             /* h is gone, now or later */
void lxc_host_remove(struct host *h);              /* of a host that is off */
int lxc_host_watch(struct host *h, pid_t monitor); /* -1: it has ended */
void lxc_host_free(struct host *h);

/* ---- lxc_config.c -----------------------------------------------------------------------------
 */

/* The network interface's name on this machine: "fv" and a hash of the container's name, which no
 * other sandbox's host shares. */
void lxc_veth_name(const char *name, char out[16]);
/* "02:00:" and the address in hex; out holds 18 bytes. */
void lxc_mac(const char *private_ip, char out[18]);
/* The container's configuration file. */
void lxc_config(const struct host *h, struct buf *out);

/* ---- hosts_lxc_seed.c -------------------------------------------------------------------------
 */

/* Writes what differs from host to host into its upper layer, once. */
int lxc_seed(const struct host *h, struct err *err) MUST_CHECK;
/* Writes a file without syncing it: a thousand syncs cost a minute, and what was being made when
 * the whole machine died is not worth one. */
int lxc_write(const char *path, mode_t mode, uid_t owner, struct str text,
              struct err *err) MUST_CHECK;

/* ---- hosts_lxc_proc.c -------------------------------------------------------------------------
 */

/* The monitor's pid by the host's pid file, where that process is this container's monitor; else 0.
 */
pid_t lxc_find_monitor(const struct host *h);
pid_t lxc_find_init(pid_t monitor); /* 0 if none lives */
bool lxc_signal_init(const struct host *h, int number);
/* Kills what an earlier process left at work: containers and launchers of names that start so, and
 * programs that make or remove disks below the directory. True where something was found, which
 * `out` (may be NULL) then tells; cgroups may remain. */
#define LXC_LEFTOVER_WORDS 160 /* of its command line */
struct lxc_leftovers {
    size_t count;
    uint64_t pids; /* their sum: with the count it shows whether anything has changed */
    char example[LXC_LEFTOVER_WORDS + 64]; /* one of them, and its state, in words */
};
bool lxc_kill_leftovers(const char *name_start, const char *dir, struct lxc_leftovers *out);
int lxc_freeze(const struct host *h, bool on, struct err *err) MUST_CHECK;
int lxc_partition(const struct host *h, bool on, struct err *err) MUST_CHECK;
void lxc_remove_cgroups(const char *name_start);
bool lxc_is_mounted(const char *path);
bool lxc_cgroup2_has_memory(void);
/* Unmounts everything below the directory. */
void lxc_unmount_below(const char *dir);

#endif

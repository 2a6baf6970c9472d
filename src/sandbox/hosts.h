/* The hosts behind the sandbox's instances: what EC2 calls an instance's machine.
 *
 * Three kinds implement struct host_ops: booted (LXC, systemd and cloud-init), light (LXC, sshd
 * alone) and ghost (no machine: SSH is answered in this process). The API side (ec2_api) knows no
 * kind: it creates, starts, stops and removes, and is told when a host ends by itself. All calls
 * return at once; hosts report through host_events, from the loop. */
#ifndef FLAMBE_SANDBOX_HOSTS_H
#define FLAMBE_SANDBOX_HOSTS_H

#include "base/buf.h"
#include "base/err.h"
#include "os/loop.h"

enum host_kind { HOST_BOOTED, HOST_LIGHT, HOST_GHOST };
const char *host_kind_name(enum host_kind k); /* "booted", "light", "ghost" */
bool host_kind_from_name(const char *name, enum host_kind *out);

/* What a machine is made from; strings are the caller's and copied. */
struct host_config {
    const char *instance_id;
    const char *hostname; /* "ip-10-213-0-10" */
    const char *private_ip, *public_ip;
    const char *user;       /* the image's login user: "ubuntu", "admin" */
    const char *public_key; /* of the key pair: an OpenSSH line, or NULL */
    struct str user_data;   /* decoded */
    int vcpus;
    int64_t memory_mib;
    int volume_gb;
    /* faults */
    bool never_boots;      /* the machine comes up but sshd never answers */
    bool foreign_host_key; /* sshd shows a key that nobody injected */
};

struct host;

struct host_events {
    /* The machine powered itself off, was killed, or failed to start (`why`, else NULL). */
    void (*ended)(void *ctx, struct host *h, const char *why);
    void *ctx;
};

struct host_ops {
    /* Makes the machine's disk and starts it. `data` is what host_data() gives back. */
    int (*create)(void *self, const struct host_config *config, const struct host_events *events,
                  struct host **out, struct err *err);
    /* Starts a stopped machine again on its old disk (its public address may have changed). */
    int (*start)(void *self, struct host *h, const struct host_config *config, struct err *err);
    /* Asks for a clean shutdown; `ended` follows. After a bound of its own it kills. */
    void (*stop)(void *self, struct host *h);
    /* Sudden death, as when the hardware fails; `ended` follows. */
    void (*kill)(void *self, struct host *h);
    void (*reboot)(void *self, struct host *h);
    /* Stops it if it runs, and removes its disk. No event follows; h is gone. */
    void (*destroy)(void *self, struct host *h);
    /* Network partition and hang, on and off. */
    int (*partition)(void *self, struct host *h, bool on, struct err *err);
    int (*freeze)(void *self, struct host *h, bool on, struct err *err);
    /* Appends what the machine printed on its console, at most its last 64 KiB. */
    void (*console)(void *self, struct host *h, struct buf *out);
    /* After a restart of the sandbox: takes up a machine that an earlier process made. NULL in
     * *out where it no longer runs. */
    int (*adopt)(void *self, const struct host_config *config, const struct host_events *events,
                 struct host **out, struct err *err);
    /* The same for a machine that does not run, but whose disk is still there: start() then runs it
     * again. NULL in *out where there is no disk. The method may be NULL: no disk outlives us. */
    int (*adopt_stopped)(void *self, const struct host_config *config,
                         const struct host_events *events, struct host **out, struct err *err);
    /* Frees everything of this kind; machines that run go on where `keep`, else are destroyed. */
    void (*close)(void *self, bool keep);
};

/* One of a kind, opened for a sandbox. */
struct host_driver {
    const struct host_ops *ops;
    void *self;
};

struct host_options {
    struct loop *loop;
    const char *dir;            /* the sandbox's own directory, for disks and consoles */
    const char *cache_dir;      /* for images */
    const char *bridge;         /* "flambe0" */
    const char *network;        /* "10.213.0.0/16": private addresses */
    const char *public_network; /* "10.214.0.0/16": public addresses */
    int ghost_port;             /* where ghosts answer SSH; 0: 22 */
    usec_t ghost_boot_delay;    /* create to SSH answering */
    /* What is being made ready, a line at a time (an image takes 40 s the first time); or NULL. */
    void (*progress)(void *ctx, const char *line);
    void *progress_ctx;
};

/* ERR_PERMISSION (not root) or ERR_NOT_FOUND (no LXC, no image) with what to type, and what works
 * without. Both kinds of LXC host come from one opener. */
int hosts_open_lxc(const struct host_options *o, enum host_kind kind, struct host_driver *out,
                   struct err *err) MUST_CHECK;
/* The addresses of a network that are the sandbox's own and belong to no host: the first four, as
 * in EC2's subnets (the gateway of the hosts, the machine itself), and the last. */
#define HOSTS_RESERVED_ADDRESSES 4
/* The gateway's network namespace, where the metadata service listens at 169.254.169.254:80: an
 * already listening socket for httpd_options.listen_fd. Only with a driver of LXC hosts. */
int hosts_imds_socket(const struct host_driver *d, int *fd, struct err *err) MUST_CHECK;
/* Removes whatever an earlier sandbox in o->dir has left behind, however it ended: machines, disks,
 * mounts, bridge, routes. For `reset`; waits on the loop. Without root only files are removed. */
int hosts_sweep(const struct host_options *o, struct err *err) MUST_CHECK;
int hosts_open_ghost(const struct host_options *o, struct host_driver *out,
                     struct err *err) MUST_CHECK;

#endif

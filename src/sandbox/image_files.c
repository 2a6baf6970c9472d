/* What the image holds beside its packages. See image_priv.h. */
#include "sandbox/image_priv.h"

const char image_packages[] = "openssh-server,sudo,systemd-sysv,dbus,iproute2,cloud-init,python3,"
                              "ca-certificates,rsync,curl,procps,iputils-ping,less,tmux,vim-tiny,"
                              /* what user data would install on EC2 (cluster/packages.c) */
                              "slurmctld,slurmd,slurm-client,munge,nfs-kernel-server,python3-venv";

/* Modules that need a disk of their own, a package mirror or a boot loader are left out, and
 * `locale`, which would spend seconds compiling one. */
static const char cloud_config[] = "datasource_list: [ Ec2 ]\n"
                                   "datasource:\n"
                                   "  Ec2:\n"
                                   "    strict_id: false\n"
                                   "    timeout: 10\n"
                                   "    max_wait: 60\n"
                                   "network: {config: disabled}\n"
                                   "ssh_deletekeys: true\n"
                                   "preserve_hostname: false\n"
                                   "apt: {preserve_sources_list: true}\n"
                                   "cloud_init_modules:\n"
                                   " - migrator\n"
                                   " - seed_random\n"
                                   " - bootcmd\n"
                                   " - write-files\n"
                                   " - set_hostname\n"
                                   " - update_hostname\n"
                                   " - update_etc_hosts\n"
                                   " - ca-certs\n"
                                   " - users-groups\n"
                                   " - ssh\n"
                                   "cloud_config_modules:\n"
                                   " - set-passwords\n"
                                   " - timezone\n"
                                   " - disable-ec2-metadata\n"
                                   " - runcmd\n"
                                   "cloud_final_modules:\n"
                                   " - package-update-upgrade-install\n"
                                   " - write-files-deferred\n"
                                   " - scripts-vendor\n"
                                   " - scripts-per-once\n"
                                   " - scripts-per-boot\n"
                                   " - scripts-per-instance\n"
                                   " - scripts-user\n"
                                   " - ssh-authkey-fingerprints\n"
                                   " - keys-to-console\n"
                                   " - phone-home\n"
                                   " - final-message\n"
                                   " - power-state-change\n";

static const char sshd_config[] = "PasswordAuthentication no\n"
                                  "KbdInteractiveAuthentication no\n";

static const char journald_config[] = "[Journal]\n"
                                      "Storage=volatile\n"
                                      "RuntimeMaxUse=16M\n";

static const char resolv_conf[] = "# the sandbox has no name server\n"
                                  "nameserver 127.0.0.1\n"
                                  "options timeout:1 attempts:1\n";

static const char uuid[] = "ec2f1a3b-0000-4000-8000-000000000001\n";

#define MASK(unit)                                     \
    {                                                  \
        "etc/systemd/system/" unit, 0, "", "/dev/null" \
    }

const struct image_file image_root_files[] = {
    {"etc/cloud/cloud.cfg.d/90_sandbox.cfg", 0644, cloud_config, NULL},
    {"etc/ssh/sshd_config.d/50-sandbox.conf", 0644, sshd_config, NULL},
    {"etc/systemd/journald.conf.d/50-sandbox.conf", 0644, journald_config, NULL},
    {"etc/resolv.conf", 0644, resolv_conf, NULL},
    {"etc/hypervisor-uuid", 0644, uuid, NULL},
    {"etc/machine-id", 0444, "", NULL},
    {"etc/ssh/ssh_host_ed25519_key", 0, NULL, NULL},
    {"etc/ssh/ssh_host_ed25519_key.pub", 0, NULL, NULL},
    {"etc/ssh/ssh_host_ecdsa_key", 0, NULL, NULL},
    {"etc/ssh/ssh_host_ecdsa_key.pub", 0, NULL, NULL},
    {"etc/ssh/ssh_host_rsa_key", 0, NULL, NULL},
    {"etc/ssh/ssh_host_rsa_key.pub", 0, NULL, NULL},
    {"etc/hostname", 0, NULL, NULL},
    /* The host's addresses are set before it boots; no lease is to be had. */
    {"sbin/dhclient", 0, NULL, NULL},
    {"usr/sbin/dhclient", 0, NULL, NULL},
    /* A key that all hosts of all clusters share is none. */
    {"etc/munge/munge.key", 0, NULL, NULL},
    /* As after user data on EC2: nothing runs before it is configured. */
    MASK("munge.service"),
    MASK("slurmctld.service"),
    MASK("slurmd.service"),
    MASK("nfs-server.service"),
    MASK("rpcbind.service"),
    MASK("rpcbind.socket"),
    MASK("rpc-statd-notify.service"),
    /* A container's kernel may have no NFS at all. */
    MASK("nfs-client.target"),
    MASK("nfs-blkmap.service"),
    MASK("proc-fs-nfsd.mount"),
    MASK("run-rpc_pipefs.mount"),
    MASK("apt-daily.timer"),
    MASK("apt-daily-upgrade.timer"),
    MASK("dpkg-db-backup.timer"),
    MASK("e2scrub_all.timer"),
    MASK("e2scrub_reap.service"),
    MASK("fstrim.timer"),
    MASK("console-getty.service"),
    MASK("getty.target"),
    MASK("systemd-udevd.service"),
    MASK("systemd-udev-trigger.service"),
    MASK("systemd-networkd.service"),
    MASK("systemd-timesyncd.service"),
    {NULL, 0, NULL, NULL},
};

static const char light_init[] =
    "#!/bin/sh\n"
    "# The first process of a light host: no systemd, no cloud-init, sshd alone.\n"
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "mkdir -p /run/sshd /run/lock\n"
    "echo '-----BEGIN SSH HOST KEY KEYS-----'\n"
    "cat /etc/ssh/ssh_host_*_key.pub\n"
    "echo '-----END SSH HOST KEY KEYS-----'\n"
    "exec /usr/sbin/sshd -D -e\n";

/* poweroff, reboot, halt and shutdown are links to systemctl. */
static const char light_systemctl[] =
    "#!/bin/sh\n"
    "# A light host has no systemd; what ends it, and what reloads sshd, is done all the same.\n"
    "act() { exec /usr/lib/light-host/systemctl --force --force \"$1\"; }\n"
    "none() { echo \"$1: this is a light host, without systemd\" >&2; exit 1; }\n"
    "name=${0##*/}\n"
    "case $name in\n"
    "reboot) act reboot ;;\n"
    "poweroff | halt) act poweroff ;;\n"
    "shutdown)\n"
    "    what=poweroff when=\n"
    "    for word; do\n"
    "        case $word in\n"
    "        -r | --reboot) what=reboot ;;\n"
    "        -*) ;;\n"
    "        *) when=${when:-$word} ;;\n"
    "        esac\n"
    "    done\n"
    "    case $when in now | +0) act $what ;; esac\n"
    "    none \"shutdown ${when:-+1}\" ;;\n"
    "esac\n"
    "for word; do\n"
    "    case $word in\n"
    "    reboot) act reboot ;;\n"
    "    poweroff | halt) act poweroff ;;\n"
    "    reload | restart | try-restart | reload-or-restart | try-reload-or-restart) hup=1 ;;\n"
    "    ssh | sshd | ssh.service | sshd.service) [ \"$hup\" ] && exec kill -HUP 1 ;;\n"
    "    esac\n"
    "done\n"
    "none \"systemctl $*\"\n";

const struct image_file image_light_files[] = {
    {"usr/sbin/light-init", 0755, light_init, NULL},
    {"usr/bin/systemctl", 0755, light_systemctl, NULL},
    {NULL, 0, NULL, NULL},
};

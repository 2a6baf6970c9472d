/* The user data of a launch: a cloud-config that arms the dead-man before anything else and gives
 * the host a key that this laptop knows, so that not one byte goes to a host unverified.
 *
 * Every value is a JSON text, which YAML 1.2 reads as it is; nothing of the user's is in here.
 *
 * The dead-man: a timer of the host's own systemd. It needs neither this laptop nor credentials,
 * and since the instance was launched with InstanceInitiatedShutdownBehavior=terminate, its
 * power-off is a termination. bootcmd runs at every boot, so a host that reboots before it is ready
 * is armed again. DefaultDependencies=no, because bootcmd runs before sysinit.target, for which an
 * ordinary timer would wait, and systemd-run with it. No '$' reaches systemd's own command line,
 * which would expand it. The ready marker names its instance: a machine made from an image of a
 * ready host is not ready.
 *
 * Last come the packages that experiments need (packages.c): by cloud-init's runcmd, which is the
 * end of a boot, so that SSH does not wait for them, and which set-up commands do wait for, so that
 * the two do not fight for dpkg's lock. */
#include "base/json.h"
#include "cluster/equip_priv.h"

static void add_json(struct buf *out, json_t *value)
{
    json_write(value, false, out);
    json_decref(value);
    buf_addc(out, '\n');
}

static void add_deadman(int minutes, struct buf *out)
{
    AUTO_BUF struct buf script = {0};
    buf_addf(&script,
             "id=${INSTANCE_ID:-$(cat /var/lib/cloud/data/instance-id 2>/dev/null)}\n"
             "grep -qs \"^$id \" /var/lib/flambe/ready && exit 0\n"
             "off=\"grep -qs '^$id ' /var/lib/flambe/ready || systemctl poweroff || poweroff -f\"\n"
             "systemd-run --quiet --unit=flambe-deadman --on-active=%d"
             " --timer-property=DefaultDependencies=no --property=DefaultDependencies=no"
             " /bin/sh -c \"$off\" && exit 0\n"
             "(sleep %d; eval \"$off\") </dev/null >/dev/null 2>&1 &\n",
             minutes * 60, minutes * 60);
    json_t *argv = json_pack("[[s, s, s#]]", "/bin/sh", "-c", buf_text(&script), (int)script.len);
    buf_adds(out, "bootcmd: ");
    add_json(out, argv);
}

static void add_packages(const struct userdata *u, struct buf *out)
{
    AUTO_BUF struct buf script = {0};
    script_packages_boot(u->role, u->slurm, &script);
    json_t *argv = json_pack("[[s, s, s#]]", "/bin/sh", "-c", buf_text(&script), (int)script.len);
    buf_adds(out, "runcmd: ");
    add_json(out, argv);
}

int userdata_write(const struct userdata *u, struct buf *out, struct err *err)
{
    struct buf text = {.max = USERDATA_MAX};
    buf_adds(&text, "#cloud-config\n");
    add_deadman(u->deadman_minutes, &text);
    buf_adds(&text, "ssh_deletekeys: true\nssh_genkeytypes: [\"ed25519\"]\n"
                    "manage_etc_hosts: localhost\nssh_keys:\n  ed25519_private: ");
    add_json(&text, json_stringn(u->host_key_private.p, u->host_key_private.n));
    buf_adds(&text, "  ed25519_public: ");
    add_json(&text, json_string(u->host_key_public));
    add_packages(u, &text);
    if (text.overflowed) {
        buf_wipe(&text);
        return err_set(err, ERR_LIMIT, "the user data is longer than EC2's %d bytes", USERDATA_MAX);
    }
    buf_add_str(out, buf_view(&text));
    buf_wipe(&text);
    return 0;
}

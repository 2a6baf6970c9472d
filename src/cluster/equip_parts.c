/* Pieces of the scripts that equip a host: files that are written only where they differ, the
 * directories, the units. POSIX sh, safe to run again at any point. */
#include "base/json.h"
#include "cluster/equip_priv.h"
#include <string.h>

/* put FILE MODE OWNER < TEXT: true where the file was not so already. */
static const char functions[] =
    "put() {\n"
    "  cat > \"$1.flambe\" || fail \"cannot write $1\"\n"
    "  if cmp -s \"$1.flambe\" \"$1\" 2>/dev/null; then rm -f \"$1.flambe\"; return 1; fi\n"
    "  chown \"$3\" \"$1.flambe\" && chmod \"$2\" \"$1.flambe\" && mv -f \"$1.flambe\" \"$1\" ||"
    " fail \"cannot write $1\"\n"
    "}\n"
    /* own DIRECTORY MODE OWNER */
    "own() {\n"
    "  [ -d \"$1\" ] || mkdir -p \"$1\" || fail \"cannot make $1\"\n"
    "  chown \"$3\" \"$1\" && chmod \"$2\" \"$1\" || fail \"cannot own $1\"\n"
    "}\n"
    /* unit NAME: it will run at each boot. Every reload of systemd costs a fifth of a second on a
     * small host, so there is one for all. */
    "unit() {\n"
    "  x=/etc/systemd/system/$1\n"
    "  if [ -L \"$x\" ] && [ \"$(readlink \"$x\")\" = /dev/null ]; then rm -f \"$x\"; reload=1; "
    "fi\n"
    "  systemctl -q is-enabled \"$1\" 2>/dev/null ||"
    " { systemctl -q --no-reload enable \"$1\" 2>/dev/null; reload=1; }\n"
    "}\n"
    "reloaded() { [ ! \"$reload\" ] || systemctl daemon-reload; reload=; }\n"
    /* run UNIT CHANGED: runs it, anew where something of it changed */
    "run() {\n"
    "  if [ \"$2\" ]; then systemctl restart \"$1\"\n"
    "  else systemctl -q is-active \"$1\" || systemctl start \"$1\"; fi\n"
    "  [ $? = 0 ] || fail \"$1 does not start:"
    " $(journalctl -u \"$1\" -n 3 -o cat --no-pager 2>/dev/null | tr '\\n' ' ')\"\n"
    "}\n"
    "reload=\n";

void add_equip_prologue(const char *instance_id, struct buf *out)
{
    script_prologue(instance_id, out);
    buf_adds(out, functions);
    buf_adds(out, "umask 022\n");
}

void add_put(const char *file, const char *mode, struct str text, const char *then, struct buf *out)
{
    buf_addf(out, "if put %s %s root:root <<'EOF_FLAMBE'\n", file, mode);
    buf_add_str(out, text);
    if (!text.n || text.p[text.n - 1] != '\n')
        buf_addc(out, '\n');
    buf_addf(out, "EOF_FLAMBE\nthen %s; fi\n", then);
}

void script_print(const struct buf *script, char out[17])
{
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(buf_view(script), hex);
    memcpy(out, hex, 16);
    out[16] = '\0';
}

/* ---- the shared tree ---------------------------------------------------------------------- */

/* NFS that is silent is to give an error in the end, rather than hold a trial for ever: an
 * orchestrator that is gone for so long takes the experiment with it anyway, and trials that fail
 * by it run again. A request gives up after 10 + 20 + 30 s; an open waits longer, for the session
 * with the server. Who waits can be ended at any time (seen with Debian 12's kernel). softerr says
 * ETIMEDOUT, which is plain, instead of EIO. What somebody looked for in vain is asked for again
 * (lookupcache): a factory would else not see a trial's new directory for half a minute, and the
 * trial would fail. */
#define NFS_OPTIONS                                                   \
    "vers=4.2,proto=tcp,softerr,timeo=100,retrans=2,lookupcache=pos," \
    "noatime,nosuid,nodev"

static void add_mount(const struct equip_plan *p, bool nfs, struct buf *out)
{
    AUTO_BUF struct buf unit = {0};
    buf_adds(&unit, "# written by flambe; changes are lost\n[Unit]\n"
                    "Description=the tree that the cluster's hosts share\n"
                    "Before=slurmd.service flambe-node.service\n[Mount]\n");
    if (nfs)
        buf_addf(&unit, "What=%s:" EQUIP_SHARED "\nType=nfs4\nOptions=" NFS_OPTIONS "\n",
                 p->hosts[0].private_ip);
    else
        buf_addf(&unit, "What=%s\nType=none\nOptions=bind\n", p->shared_dir);
    buf_adds(&unit,
             "Where=" EQUIP_SHARED "\nTimeoutSec=60\n[Install]\nWantedBy=multi-user.target\n");
    buf_adds(out, "mount=\n");
    add_put("/etc/systemd/system/srv-flambe.mount", "0644", buf_view(&unit), "reload=1 mount=1",
            out);
    if (nfs) /* said before the mount's own words, which name no cause */
        buf_addf(out,
                 "grep -qs ' " EQUIP_SHARED " nfs' /proc/mounts ||"
                 " timeout 5 bash -c '</dev/tcp/%s/2049' 2>/dev/null ||"
                 " fail \"cannot reach the orchestrator's port 2049 (NFS): does the security group"
                 " let its own members in?\"\n",
                 p->hosts[0].private_ip);
    else
        buf_addf(out, "[ -d %s ] || mkdir -p %s || fail \"cannot make %s\"\n", p->shared_dir,
                 p->shared_dir, p->shared_dir);
    buf_adds(out, "unit srv-flambe.mount; reloaded\nrun srv-flambe.mount $mount\n");
}

/* The names that every part of flambe knows; see doc/flambe.1.scd. */
void add_tree(const struct equip_plan *p, bool orchestrator, struct buf *out)
{
    buf_adds(out, "own /etc/flambe 0755 root:root\n"
                  "own /opt/flambe 0755 root:root\nown /opt/flambe/bin 0755 root:root\n"
                  "ln -sfn flambe-node /opt/flambe/bin/flambe\n"
                  "own $d/files 0755 \"$user:$group\"\nown $d/secrets 0700 \"$user:$group\"\n"
                  "[ -d " EQUIP_SHARED " ] || mkdir -p " EQUIP_SHARED "\n");
    if (p->shared == SHARED_BIND || (p->shared == SHARED_NFS && !orchestrator))
        add_mount(p, p->shared == SHARED_NFS, out);
    if (!orchestrator) {
        /* Proof that it is the same tree: the orchestrator has put its name there. */
        buf_addf(out,
                 "read -r x < " EQUIP_SHARED "/.flambe-orchestrator 2>/dev/null &&"
                 " [ \"$x\" = %s ] || fail '" EQUIP_SHARED " is not the orchestrator'\\''s tree'\n",
                 p->hosts[0].instance_id);
        return;
    }
    buf_adds(out, "own " EQUIP_SHARED " 0755 \"$user:$group\"\n"
                  "own " EQUIP_SHARED "/results 0755 \"$user:$group\"\n"
                  "own " EQUIP_SHARED "/engine 0755 \"$user:$group\"\n"
                  "own $d/queue 0700 \"$user:$group\"\nown $d/state 0755 \"$user:$group\"\n"
                  "echo \"$instance\" > " EQUIP_SHARED "/.flambe-orchestrator ||"
                  " fail 'cannot write in " EQUIP_SHARED "'\n");
}

void add_exports(const struct equip_plan *p, struct buf *out, struct buf *runs)
{
    AUTO_BUF struct buf line = {0};
    buf_adds(&line, "# written by flambe; changes are lost\n" EQUIP_SHARED);
    for (size_t i = 1; i < p->count; i++)
        buf_addf(&line, " %s(rw,sync,no_subtree_check)", p->hosts[i].private_ip);
    buf_adds(out, "nfs= exports=\n"
                  "[ -d /etc/nfs.conf.d ] || mkdir -p /etc/nfs.conf.d\n"
                  "[ -d /etc/exports.d ] || mkdir -p /etc/exports.d\n");
    add_put("/etc/nfs.conf.d/flambe.conf", "0644",
            STR("# written by flambe; NFS 4 alone needs no rpcbind\n[nfsd]\nvers3=n\n"), "nfs=1",
            out);
    add_put("/etc/exports.d/flambe.exports", "0644", buf_view(&line), "exports=1", out);
    buf_adds(out, "unit nfs-server.service\n");
    buf_adds(runs, "run nfs-server $nfs\n"
                   "[ ! \"$exports\" ] || exportfs -ra || fail 'exportfs failed'\n");
}

/* ---- flambe-node -------------------------------------------------------------------------- */

void add_node_json(const struct equip_plan *p, const struct equip_host *h, struct buf *out)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < p->count; i++)
        json_array_append_new(
            hosts, json_pack("{s:s, s:s, s:s, s:s}", "name", p->hosts[i].name, "role",
                             p->hosts[i].role == ROLE_ORCHESTRATOR ? "orchestrator" : "factory",
                             "private_ip", p->hosts[i].private_ip, "instance_id",
                             p->hosts[i].instance_id));
    json_t *value =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "cluster", p->spec->name, "role",
                  h->role == ROLE_ORCHESTRATOR ? "orchestrator" : "factory", "name", h->name,
                  "user", p->spec->username, "orchestrator", p->hosts[0].private_ip, "engine",
                  p->slurm ? "slurm" : "local", "shared", EQUIP_SHARED, "own_disk",
                  p->spec->shared == NULL, "hosts", hosts);
    AUTO_BUF struct buf text = {0};
    json_write(value, true, &text);
    json_decref(value);
    add_put("/etc/flambe/node.json", "0644", buf_view(&text), "node=1", out);
}

/* Its unit is the program's own to say. Where that comes later, equip_node.c does the same then. */
void add_node_service(const struct equip_plan *p, struct buf *out, struct buf *runs)
{
    if (!p->has_node)
        return;
    buf_adds(out, "if [ -x " EQUIP_NODE_BIN " ]; then\n"
                  "  if " EQUIP_NODE_BIN " unit | put " EQUIP_NODE_UNIT " 0644 root:root\n"
                  "  then reload=1 node=1; fi\n"
                  "  unit flambe-node.service\n"
                  "fi\n");
    buf_adds(runs, "[ ! -x " EQUIP_NODE_BIN " ] || run flambe-node $node\n");
}

/* ---- TensorBoard -------------------------------------------------------------------------- */

/* Installing takes a while and nobody waits for it: the unit does it before its first start. */
static const char tensorboard_install[] =
    "#!/bin/sh\n"
    "# written by flambe; changes are lost\n"
    "d=/var/lib/flambe v=" EQUIP_TENSORBOARD "\n"
    "if [ ! -x $v/bin/tensorboard ] || [ -e $v/.partial ]; then\n"
    "  {\n"
    "    rm -rf $v && mkdir -p $v && : > $v/.partial && python3 -m venv $v &&\n"
    "    timeout 900 $v/bin/pip install --quiet --disable-pip-version-check --retries 2"
    " --timeout 20 tensorboard 'setuptools<81' && rm -f $v/.partial\n"
    "  } > $d/tensorboard.log 2>&1 </dev/null\n"
    "fi\n"
    "if [ -x $v/bin/tensorboard ] && [ ! -e $v/.partial ]; then echo ok > $d/tensorboard; exit 0; "
    "fi\n"
    "tail -n 1 $d/tensorboard.log > $d/tensorboard\n"
    "exit 1\n";

void add_tensorboard(struct buf *out, struct buf *runs)
{
    AUTO_BUF struct buf unit = {0};
    buf_addf(&unit,
             "# written by flambe; changes are lost\n[Unit]\n"
             "Description=TensorBoard of the experiments' results\n"
             "After=network-online.target srv-flambe.mount\nWants=network-online.target\n"
             "StartLimitIntervalSec=3600\nStartLimitBurst=3\n[Service]\n"
             "User=@USER@\nNice=5\nTimeoutStartSec=1200\n"
             "ExecStartPre=+/opt/flambe/tensorboard-install\n"
             "ExecStart=" EQUIP_TENSORBOARD "/bin/tensorboard --host 127.0.0.1 --port %d"
             " --logdir " EQUIP_SHARED "/results\n"
             "Restart=on-failure\nRestartSec=30\n[Install]\nWantedBy=multi-user.target\n",
             EQUIP_TENSORBOARD_PORT);
    buf_adds(out, "tensorboard=\n");
    add_put("/opt/flambe/tensorboard-install", "0755", STR(tensorboard_install), "tensorboard=1",
            out);
    /* the login user's name is the host's to say */
    buf_adds(out, "if sed \"s/@USER@/$user/\" <<'EOF_UNIT' |"
                  " put /etc/systemd/system/flambe-tensorboard.service 0644 root:root\n");
    buf_add_str(out, buf_view(&unit));
    buf_adds(out, "EOF_UNIT\nthen reload=1 tensorboard=1; fi\n"
                  "unit flambe-tensorboard.service\n");
    buf_adds(runs, "if [ \"$tensorboard\" ]; then systemctl --no-block restart flambe-tensorboard\n"
                   "else systemctl --no-block start flambe-tensorboard; fi\n");
}

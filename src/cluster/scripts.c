/* The shell that runs on hosts, and what is read back from it. Everything here is POSIX sh, safe to
 * run again at any point, and quotes what it is given. What a host prints is hostile: it is read by
 * contact_answer_read() and check_answer_read() and nowhere else.
 *
 * A host keeps its state in /var/lib/flambe:
 *   instance         the instance id that the rest belongs to (an image of a host starts anew)
 *   next, next.pub   a new host key that sshd does not serve yet
 *   rotated          sshd serves the new key
 *   cluster-key.pub  on the orchestrator: the public half of the cluster's own key
 *   ready            "INSTANCE SETUP MAP": set-up has finished; the dead-man is disarmed
 *
 * Nothing reloads sshd: it reads its host keys anew for each connection (it executes itself for
 * each; sshd-session does since OpenSSH 9.8), and a reload would refuse connections for a moment.
 *
 * The new host key is shown to the laptop before it is served and pinned beside the old one, so
 * that a kill on either side, at any point, leaves a host whose key is pinned. */
#include "base/digest.h"
#include "base/mem.h"
#include "base/port.h"
#include "cluster/cluster_priv.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void shell_quote(const char *s, struct buf *out)
{
    buf_addc(out, '\'');
    for (; *s; s++) {
        if (*s == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *s);
    }
    buf_addc(out, '\'');
}

/* Every program that a script starts costs a host about a millisecond, and all hosts of a small
 * machine share its processors: the shell's own words are used where they do. */
static const char prologue[] = "umask 077\n"
                               "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n"
                               "fail() { echo \"flambe: error $*\"; exit 1; }\n"
                               "[ \"$(id -u)\" = 0 ] || fail 'sudo gave no root'\n"
                               "d=/var/lib/flambe k=/etc/ssh/ssh_host_ed25519_key\n"
                               "[ -d $d ] || mkdir -p -m 755 $d || fail \"cannot make $d\"\n";

/* user, group (a number) and home of whom sudo was called by. */
static const char prologue_user[] =
    "user=${SUDO_USER:-root}\n"
    "IFS=: read -r x x x group x home x <<EOF_USER\n"
    "$(getent passwd \"$user\")\n"
    "EOF_USER\n"
    "[ -n \"$group\" ] && [ -d \"$home\" ] || fail \"the user $user has no home directory\"\n";

static void add_prologue(const char *instance_id, struct buf *out)
{
    buf_adds(out, "instance=");
    shell_quote(instance_id, out);
    buf_addc(out, '\n');
    buf_adds(out, prologue);
}

void script_prologue(const char *instance_id, struct buf *out)
{
    add_prologue(instance_id, out);
    buf_adds(out, prologue_user);
}

/* The new host key is made and shown; sshd does not serve it yet. */
static const char new_host_key_part[] =
    "if [ -e $d/rotated ]; then\n"
    "  shown=$k.pub\n"
    "else\n"
    /* ssh-keygen writes next.pub last: while it is missing or empty, both are made anew */
    "  if [ ! -s $d/next.pub ]; then\n"
    "    [ ! -e $d/next ] || rm -f $d/next $d/next.pub\n"
    "    make_key $d/next flambe || fail 'ssh-keygen failed'\n"
    "  fi\n"
    "  shown=$d/next.pub\n"
    "fi\n"
    "read -r p < $shown || fail \"cannot read $shown\"\n"
    "echo \"flambe: host-key $p\"\n";

void script_contact(const char *instance_id, bool orchestrator, bool new_host_key, struct buf *out)
{
    add_prologue(instance_id, out);
    buf_adds(out,
             "was=; [ ! -e $d/instance ] || read -r was < $d/instance\n"
             "if [ \"$was\" != \"$instance\" ]; then\n"
             "  [ ! -e $d/instance ] ||"
             " rm -f $d/next $d/next.pub $d/rotated $d/ready $d/cluster-key.pub\n"
             "  echo \"$instance\" > $d/instance || fail \"cannot write in $d\"\n"
             "fi\n"
             "make_key() { ssh-keygen -q -t ed25519 -N '' -C \"$2\" -f \"$1\" </dev/null; }\n");
    if (new_host_key)
        buf_adds(out, new_host_key_part);
    if (orchestrator) {
        buf_adds(out, prologue_user);
        buf_adds(out, "s=$home/.ssh c=$home/.ssh/flambe_cluster\n"
                      "[ -d \"$s\" ] || { mkdir -m 700 \"$s\" && chown \"$user:$group\" \"$s\"; }\n"
                      "if [ ! -s \"$c\" ] || [ ! -s \"$c.pub\" ]; then\n"
                      "  rm -f \"$c\" \"$c.pub\" $d/ck $d/ck.pub\n"
                      "  make_key $d/ck flambe-cluster || fail 'ssh-keygen failed'\n"
                      "  chown \"$user:$group\" $d/ck $d/ck.pub\n"
                      "  mv $d/ck \"$c\" && mv $d/ck.pub \"$c.pub\" || fail 'cannot keep the key'\n"
                      "fi\n"
                      "p=$(cut -d' ' -f1,2 \"$c.pub\")\n"
                      "echo \"flambe: cluster-key $p\" > $d/cluster-key.pub\n"
                      "chmod 644 $d/cluster-key.pub\n"
                      "cat $d/cluster-key.pub\n");
    }
    buf_adds(out, "echo 'flambe: ok'\n");
}

void script_activate(const char *instance_id, struct buf *out)
{
    add_prologue(instance_id, out);
    buf_adds(
        out,
        "if [ ! -e $d/rotated ] || [ -e $d/next.pub ]; then\n"
        "  [ -s $d/next ] && [ -s $d/next.pub ] || fail 'there is no new host key'\n"
        "  cp $d/next $k.flambe && mv -f $k.flambe $k || fail \"cannot write $k\"\n"
        "  umask 022\n"
        "  read -r p < $d/next.pub && echo \"$p\" > $k.pub.flambe && mv -f $k.pub.flambe $k.pub ||"
        " fail \"cannot write $k.pub\"\n"
        "  umask 077\n"
        "  : > $d/rotated\n"
        /* next.pub after the rest: while it is there, all this is done again */
        "  h=/etc/ssh/ssh_host\n"
        "  rm -f ${h}_rsa_key ${h}_rsa_key.pub ${h}_ecdsa_key ${h}_ecdsa_key.pub"
        " ${h}_dsa_key ${h}_dsa_key.pub $d/next.pub $d/next\n"
        "fi\n"
        /* Up to OpenSSH 9.7 each connection's sshd reads the host keys itself. Later the listener
         * reads them at its start and hands them to sshd-session, so it is told. */
        "for x in /usr/lib/openssh /usr/libexec/openssh /usr/libexec /usr/lib/ssh; do\n"
        "  [ -e $x/sshd-session ] || continue\n"
        "  { read -r pid < /run/sshd.pid && kill -HUP \"$pid\"; } 2>/dev/null ||"
        " systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null ||"
        " fail 'sshd does not reload'\n"
        "done\n"
        "read -r p < $k.pub || fail \"cannot read $k.pub\"\n"
        /* for other machines of the user: EC2 shows the console to who may see it */
        "{ echo '-----BEGIN SSH HOST KEY KEYS-----'; echo \"$p\";"
        " echo '-----END SSH HOST KEY KEYS-----'; } 2>/dev/null > /dev/console\n"
        "echo \"flambe: host-key $p\"\n"
        "echo 'flambe: ok'\n");
}

void script_setup(const struct strv *commands, const char *nonce, struct buf *out)
{
    /* cloud-init may still hold apt's lock; it is waited for, within reason. It runs under systemd
     * alone: without that, its word never comes. */
    buf_addf(out,
             "if [ -d /run/systemd/system ] && command -v cloud-init >/dev/null &&"
             " command -v timeout >/dev/null; then\n"
             "  timeout 300 cloud-init status --wait >/dev/null 2>&1 </dev/null\n"
             "fi\n"
             "shell=$(command -v bash || command -v sh)\n"
             "run() {\n"
             "  echo \"%s begin $1\"\n"
             "  \"$shell\" -c \"$2\" </dev/null 2>&1\n"
             "  rc=$?\n"
             "  [ $rc = 0 ] || { echo; echo \"%s failed $1 $rc\"; exit 1; }\n"
             "}\n",
             nonce, nonce);
    for (size_t i = 0; i < commands->count; i++) {
        buf_addf(out, "run %zu ", i + 1);
        shell_quote(commands->items[i], out);
        buf_addc(out, '\n');
    }
    buf_addf(out, "echo; echo \"%s done\"\n", nonce);
}

/* Lines between markers in a file, replaced as a whole. sed ends a last line that is unended. */
static const char replace_block[] =
    "begin='# flambe begin' end='# flambe end'\n"
    "put_block() {\n" /* FILE OWNER MASK; the new lines on standard input */
    "  umask \"$3\"\n"
    "  {\n"
    "    [ ! -e \"$1\" ] || sed -e \"/^$begin\\$/,/^$end\\$/d\" -e '$a\\' \"$1\"\n"
    "    echo \"$begin\"; cat; echo \"$end\"\n"
    "  } > \"$1.flambe\" || fail \"cannot write $1\"\n"
    "  umask 077\n"
    "  [ \"$2\" = 0 ] || chown \"$2\" \"$1.flambe\"\n"
    /* /etc/hosts can be a mount of its own, which mv cannot replace */
    "  mv -f \"$1.flambe\" \"$1\" 2>/dev/null ||"
    " { cat \"$1.flambe\" > \"$1\" && rm -f \"$1.flambe\"; } || fail \"cannot write $1\"\n"
    "}\n";

static void add_hosts(const struct finish *f, struct buf *out)
{
    buf_adds(out, "put_block /etc/hosts 0 022 <<'EOF_FLAMBE'\n");
    for (size_t i = 0; i < f->count; i++) {
        const struct map_host *h = &f->hosts[i];
        const char *shorter = h->name + strlen(f->cluster);
        if (*shorter == '_')
            shorter++;
        buf_addf(out, "%s %s %s\n", h->private_ip, h->name, shorter);
    }
    buf_adds(out, "EOF_FLAMBE\n");
}

static void add_authorized(const struct finish *f, struct buf *out)
{
    if (!f->cluster_key)
        return;
    buf_addf(out,
             "s=$home/.ssh\n"
             "[ -d \"$s\" ] || { mkdir -m 700 \"$s\" && chown \"$user:$group\" \"$s\"; }\n"
             "put_block \"$s/authorized_keys\" \"$user:$group\" 077 <<'EOF_FLAMBE'\n"
             "%s flambe-cluster\nEOF_FLAMBE\n",
             f->cluster_key);
}

/* On the orchestrator `ssh factory_1` works, verified, with the cluster's own key. */
static void add_inside_ssh(const struct finish *f, struct buf *out)
{
    buf_adds(out, "cat > \"$s/flambe_known_hosts\" <<'EOF_FLAMBE'\n");
    for (size_t i = 0; i < f->count; i++) {
        const struct map_host *h = &f->hosts[i];
        const char *shorter = h->name + strlen(f->cluster) + 1;
        if (h->host_key)
            buf_addf(out, "%s,%s,%s %s\n", h->name, shorter, h->private_ip, h->host_key);
        /* so ssh looks for it at another port than its own */
        if (h->host_key && f->ssh_port != 22)
            buf_addf(out, "[%s]:%d,[%s]:%d,[%s]:%d %s\n", h->name, f->ssh_port, shorter,
                     f->ssh_port, h->private_ip, f->ssh_port, h->host_key);
    }
    buf_adds(out, "EOF_FLAMBE\ncat > \"$s/flambe_config\" <<'EOF_FLAMBE'\nHost");
    for (size_t i = 0; i < f->count; i++)
        buf_addf(out, " %s %s %s", f->hosts[i].name, f->hosts[i].name + strlen(f->cluster) + 1,
                 f->hosts[i].private_ip);
    buf_addf(out, "\n  Port %d\n", f->ssh_port);
    buf_adds(
        out,
        "  IdentityFile ~/.ssh/flambe_cluster\n  IdentitiesOnly yes\n"
        "  UserKnownHostsFile ~/.ssh/flambe_known_hosts\n  StrictHostKeyChecking yes\n"
        "EOF_FLAMBE\n"
        "touch \"$s/config\"\n"
        "grep -qx 'Include flambe_config' \"$s/config\" || {\n"
        "  { echo 'Include flambe_config'; cat \"$s/config\"; } > \"$s/config.flambe\" &&"
        " mv \"$s/config.flambe\" \"$s/config\"; }\n"
        "chmod 600 \"$s/config\" \"$s/flambe_config\" \"$s/flambe_known_hosts\"\n"
        "chown \"$user:$group\" \"$s/config\" \"$s/flambe_config\" \"$s/flambe_known_hosts\"\n");
}

void script_finish(const struct finish *f, struct buf *out)
{
    add_prologue(f->instance_id, out);
    buf_adds(out, prologue_user);
    buf_adds(out, replace_block);
    add_hosts(f, out);
    add_authorized(f, out);
    if (f->orchestrator && f->cluster_key)
        add_inside_ssh(f, out);
    buf_addf(out,
             "umask 022\n"
             "echo \"$instance %s %s\" > $d/ready.new && mv -f $d/ready.new $d/ready ||"
             " fail 'cannot write the ready marker'\n"
             "[ ! -d /run/systemd/system ] ||"
             " systemctl stop flambe-deadman.timer >/dev/null 2>&1\n"
             "echo 'flambe: ok'\n",
             f->setup_print, f->map_print);
}

/* ---- fingerprints ------------------------------------------------------------------------- */

static void print_of(struct str bytes, char out[17])
{
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(bytes, hex);
    memcpy(out, hex, 16);
    out[16] = '\0';
}

void setup_print(const struct strv *commands, char out[17])
{
    AUTO_BUF struct buf all = {0};
    for (size_t i = 0; i < commands->count; i++)
        buf_add(&all, commands->items[i], strlen(commands->items[i]) + 1);
    print_of(buf_view(&all), out);
}

void map_print(const struct map_host *hosts, size_t count, char out[17])
{
    AUTO_BUF struct buf all = {0};
    for (size_t i = 0; i < count; i++)
        buf_addf(&all, "%s %s %s\n", hosts[i].name, hosts[i].private_ip, hosts[i].instance_id);
    print_of(buf_view(&all), out);
}

/* ---- answers ------------------------------------------------------------------------------ */

#define ANSWER_TEXT_MAX 200

static char *printable(struct str s)
{
    s = str_trim(s);
    if (s.n > ANSWER_TEXT_MAX)
        s.n = ANSWER_TEXT_MAX;
    char *copy = str_dup(s);
    for (char *p = copy; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    return copy;
}

static bool value_of(struct str line, const char *key, struct str *value)
{
    if (!str_starts(line, key))
        return false;
    size_t n = strlen(key);
    *value = str_trim((struct str){line.p + n, line.n - n});
    return true;
}

void contact_answer_read(struct str output, struct contact_answer *out)
{
    *out = (struct contact_answer){0};
    while (output.p && output.n) {
        struct str line = str_trim(str_cut(&output, '\n')), value;
        if (value_of(line, "flambe: host-key ", &value) && !out->host_key)
            out->host_key = pin_clean(value);
        else if (value_of(line, "flambe: cluster-key ", &value) && !out->cluster_key)
            out->cluster_key = pin_clean(value);
        else if (value_of(line, "flambe: error ", &value) && !out->error)
            out->error = printable(value);
        else if (str_is(line, "flambe: ok"))
            out->ok = true;
    }
}

void contact_answer_done(struct contact_answer *a)
{
    free(a->host_key);
    free(a->cluster_key);
    free(a->error);
    *a = (struct contact_answer){0};
}

char *last_line(struct str output)
{
    output = str_trim(output);
    if (!output.n)
        return NULL;
    const char *nl = port_memrchr(output.p, '\n', output.n);
    if (nl)
        output = (struct str){nl + 1, output.n - (size_t)(nl + 1 - output.p)};
    return printable(output);
}

static bool take_print(struct str *rest, char out[17])
{
    if (!rest->p)
        return false;
    struct str word = str_cut(rest, ' ');
    if (word.n != 16)
        return false;
    for (size_t i = 0; i < word.n; i++)
        if (!isxdigit((unsigned char)word.p[i]))
            return false;
    memcpy(out, word.p, 16);
    out[16] = '\0';
    return true;
}

void check_answer_read(struct str output, const char *instance_id, struct check_answer *out)
{
    *out = (struct check_answer){0};
    while (output.p && output.n) {
        struct str line = str_trim(str_cut(&output, '\n')), value;
        if (value_of(line, "flambe: cluster-key ", &value)) {
            if (!out->cluster_key)
                out->cluster_key = pin_clean(value);
            continue;
        }
        struct str rest = line;
        if (str_is(str_cut(&rest, ' '), instance_id))
            out->ready = take_print(&rest, out->setup_print) && take_print(&rest, out->map_print);
    }
}

void check_answer_done(struct check_answer *a)
{
    free(a->cluster_key);
    *a = (struct check_answer){0};
}

/* flambe-node's way to the hosts: once over the laptop's line, compressed, and from the
 * orchestrator to all factories by the cluster's own key. It is written beside its place, compared
 * with its digest, and renamed. */
#include "cluster/equip_priv.h"
#include "os/fs.h"
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* zlib's way to say gzip */
#define SPREAD_AT_ONCE 16

static int pack(struct str bytes, struct buf *out, struct err *err)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return err_set(err, ERR_INTERNAL, "zlib cannot be used");
    unsigned char piece[16384];
    z.next_in = (Bytef *)(uintptr_t)bytes.p;
    z.avail_in = (uInt)bytes.n;
    int rc;
    do {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        rc = deflate(&z, Z_FINISH);
        buf_add(out, piece, sizeof piece - z.avail_out);
    } while (rc == Z_OK);
    deflateEnd(&z);
    return rc == Z_STREAM_END ? 0 : err_set(err, ERR_INTERNAL, "zlib failed with %d", rc);
}

int node_program_load(const char *path, struct node_program *out, struct err *err)
{
    struct node_program n = {0};
    if (fs_read(path, NODE_PROGRAM_MAX, &n.bytes, err) == -1) {
        node_program_done(&n);
        return -1;
    }
    digest_sha256_hex(buf_view(&n.bytes), n.digest);
    *out = n;
    return 0;
}

int node_program_pack(const struct node_program *n, struct buf *out, struct err *err)
{
    return pack(buf_view(&n->bytes), out, err);
}

void node_program_done(struct node_program *n)
{
    buf_done(&n->bytes);
}

/* Unpacks $t into its place as root, once it has shown that it runs there: a laptop's program may
 * be for another processor. A program that runs keeps the file that it was started from. */
static void add_place(const char *digest, struct buf *out)
{
    buf_addf(out,
             "b=" EQUIP_NODE_BIN " u=" EQUIP_NODE_UNIT ";"
             " gzip -dc < $t > $b.new && x=$(sha256sum < $b.new) && [ ${x%%%% *} = %s ] ||"
             " { rm -f $t $b.new; echo flambe: error it came damaged; exit 1; };"
             " chmod 755 $b.new; x=$($b.new --version 2>&1 </dev/null) ||"
             " { rm -f $t $b.new; echo flambe: error $x; exit 1; };"
             " mv -f $b.new $b; $b unit > $u.new && mv -f $u.new $u && systemctl daemon-reload &&"
             " systemctl -q enable flambe-node && systemctl restart flambe-node",
             digest);
}

void command_node_put(const char *digest, struct buf *command)
{
    buf_adds(command, "sudo -n sh -c 'umask 022; mkdir -p /opt/flambe/bin && t=" EQUIP_NODE_PACKED
                      " && cat > $t.new && mv -f $t.new $t || exit 1; ");
    add_place(digest, command);
    buf_adds(command, "'");
}

void script_node_spread(const char *const *addresses, size_t count, int ssh_port,
                        const char *digest, struct buf *out)
{
    /* It may be gone where a program that did not run there was refused. */
    buf_adds(out, "[ -s " EQUIP_NODE_PACKED " ] || sudo -n sh -c 'gzip -c < " EQUIP_NODE_BIN
                  " > " EQUIP_NODE_PACKED ".new && mv -f " EQUIP_NODE_PACKED
                  ".new " EQUIP_NODE_PACKED "'\n"
                  "one() {\n"
                  "  if ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10"
                  " -o HostKeyAlias=$1");
    buf_addf(out, " -p %d $1 \"sudo -n sh -c '", ssh_port);
    AUTO_BUF struct buf place = {0};
    buf_adds(&place, "umask 022; mkdir -p /opt/flambe/bin && t=/opt/flambe/flambe-node.gz &&"
                     " cat > $t || exit 1; ");
    add_place(digest, &place);
    buf_adds(&place, "; rm -f $t");
    for (size_t i = 0; i < place.len; i++) { /* for the factory's shell, not for this one */
        if (place.data[i] == '$')
            buf_addc(out, '\\');
        buf_addc(out, place.data[i]);
    }
    buf_addf(out, "'\" < " EQUIP_NODE_PACKED " >/dev/null 2>&1\n"
                  "  then echo \"flambe: spread $1\"; fi\n"
                  "}\n"
                  "n=0\nfor a in");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, " %s", addresses[i]);
    buf_addf(out,
             "; do\n  one $a &\n  n=$((n + 1)); [ $((n %% %d)) != 0 ] || wait\ndone\nwait\n"
             "echo 'flambe: ok'\n",
             SPREAD_AT_ONCE);
}

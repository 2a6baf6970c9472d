/* Where this laptop keeps what it knows of a cluster: one directory each, private to the user.
 *
 *   STATE_ROOT/clusters/REGION/CREATOR/NAME/
 * (REGION is "ssh" for machines that exist already.)
 *     lock           one flambe at a time
 *     stamp          changes with every run that acts
 *     journal.jsonl  launches without an answer
 *     launched.json  machines of the last seconds, which EC2 may not show yet
 *     known_hosts    the pinned host keys, by instance id
 *     cluster.json   how to reach the cluster without its file
 *     alarms.json    the alarms that are in place
 *     setup/HOST.log what the set-up commands printed */
#include "base/digest.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

char *state_component(const char *s)
{
    struct buf out = {0};
    for (size_t i = 0; s[i]; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (isalnum(ch) || ch == '-' || ch == '_' || (ch == '.' && i > 0))
            buf_addc(&out, (char)ch);
        else
            buf_addf(&out, "%%%02X", ch);
    }
    return buf_take(&out);
}

const char *cluster_region(const struct cluster *c)
{
    return c->aws ? aws_region(c->aws) : CLUSTER_REGION_SSH;
}

char *state_path(struct cluster *c, const char *creator, const char *name, const char *file)
{
    AUTO_FREE char *region = state_component(cluster_region(c));
    AUTO_FREE char *who = state_component(creator);
    AUTO_FREE char *what = state_component(name);
    return mem_printf("%s/clusters/%s/%s/%s%s%s", c->state_root, region, who, what, file ? "/" : "",
                      file ? file : "");
}

int state_lock(struct cluster *c, const char *creator, const char *name, struct lock **out,
               struct err *err)
{
    AUTO_FREE char *dir = state_path(c, creator, name, NULL);
    if (fs_mkdirs(dir, 0700, err) == -1)
        return -1;
    AUTO_FREE char *path = fs_join(dir, "lock");
    if (lock_take(path, out, err) == -1)
        return err_wrap(err, "cluster '%s'", name);
    return 0;
}

void state_stamp(struct cluster *c, const char *creator, const char *name, char out[33])
{
    memset(out, 0, 33);
    AUTO_FREE char *path = state_path(c, creator, name, "stamp");
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, 64, &text, NULL) == -1)
        return;
    struct str trimmed = str_trim(buf_view(&text));
    if (trimmed.n <= 32)
        memcpy(out, trimmed.p, trimmed.n);
}

int state_stamp_renew(struct cluster *c, const char *creator, const char *name, struct err *err)
{
    AUTO_FREE char *path = state_path(c, creator, name, "stamp");
    digest_random_hex(c->seen, 32);
    return fs_write_atomic(path, 0600, str_of(c->seen), err);
}

/* See cp_operand.h. */
#include "cli/cp_operand.h"
#include "base/mem.h"
#include "base/port.h"
#include "os/fs.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !(i > 0 && (s.p[i] == '-' || s.p[i] == '_')))
            return false;
    return s.n > 0;
}

static bool is_file(struct str s)
{
    return str_ends(s, ".yaml") || str_ends(s, ".yml");
}

static bool is_cluster(struct str s)
{
    return is_name(s) || is_file(s);
}

/* Hosts: names, numbers, ids and addresses, with commas between. */
static bool is_hosts(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("-_.,", s.p[i]))
            return false;
    return s.n > 0 && s.p[0] != '.' && !is_file(s);
}

/* "~" and "~/x" are the home directory and x in it, which is where a remote path starts anyway. */
static char *remote_path(struct str path)
{
    if (str_starts(path, "~/"))
        path = (struct str){path.p + 2, path.n - 2};
    else if (str_is(path, "~"))
        path = STR("");
    while (path.n > 1 && path.p[0] == '/' && path.p[1] == '/')
        path = (struct str){path.p + 1, path.n - 1};
    return path.n ? str_dup(path) : mem_dup(".");
}

void cp_operand_parse(const char *word, struct cp_operand *out)
{
    struct str path = str_of(word);
    struct str where = str_cut(&path, ':');
    struct str cluster = where, hosts = {0};
    if (path.p && !is_cluster(where)) {
        const char *slash = port_memrchr(where.p, '/', where.n);
        if (slash) {
            cluster = (struct str){where.p, (size_t)(slash - where.p)};
            hosts = (struct str){slash + 1, where.n - cluster.n - 1};
        }
    }
    bool remote = path.p && is_cluster(cluster) && (!hosts.p || is_hosts(hosts));
    /* "./x.yaml:path" is a cluster file's, but "./name:path" has no name before the ':'. */
    if (!remote || fs_exists(word)) {
        *out = (struct cp_operand){.path = mem_dup(word)};
        return;
    }
    *out = (struct cp_operand){.cluster = str_dup(cluster),
                               .hosts = hosts.p ? str_dup(hosts) : NULL,
                               .path = remote_path(path)};
}

void cp_operand_done(struct cp_operand *o)
{
    free(o->cluster);
    free(o->hosts);
    free(o->path);
    *o = (struct cp_operand){0};
}

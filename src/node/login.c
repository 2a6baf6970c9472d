/* See login.h. */
#include "node/login.h"
#include "base/buf.h"
#include "base/mem.h"
#include "os/fs.h"
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)16 << 20)
#define ID_MAX 4294967294 /* the largest but the one that stands for none */

void login_done(struct login *l)
{
    free(l->name);
    free(l->home);
    free(l->shell);
    *l = (struct login){0};
}

/* ---- passwd(5), group(5) ----------------------------------------------------------------------
 */

/* name:password:uid:gid:gecos:home:shell */
static bool read_user(struct str line, const char *name, struct login *out)
{
    struct str field[7] = {{0}};
    for (size_t i = 0; i < COUNT_OF(field) && line.p; i++)
        field[i] = str_cut(&line, ':');
    int64_t uid, gid;
    if (!str_is(field[0], name) || !str_to_i64(field[2], 0, ID_MAX, &uid) ||
        !str_to_i64(field[3], 0, ID_MAX, &gid) || !field[5].n || field[5].p[0] != '/')
        return false;
    *out = (struct login){.name = mem_dup(name),
                          .home = str_dup(field[5]),
                          .shell = field[6].n ? str_dup(field[6]) : mem_dup("/bin/sh"),
                          .uid = (uid_t)uid,
                          .gid = (gid_t)gid};
    return true;
}

static void add_group(struct login *l, gid_t gid)
{
    for (size_t i = 0; i < l->group_count; i++)
        if (l->groups[i] == gid)
            return;
    if (l->group_count < LOGIN_GROUPS_MAX)
        l->groups[l->group_count++] = gid;
}

/* name:password:gid:member,member */
static void read_group(struct str line, struct login *l)
{
    (void)str_cut(&line, ':');
    (void)str_cut(&line, ':');
    struct str id = str_cut(&line, ':'), members = line;
    int64_t gid;
    if (!str_to_i64(id, 0, ID_MAX, &gid))
        return;
    while (members.p)
        if (str_is(str_cut(&members, ','), l->name))
            add_group(l, (gid_t)gid);
}

int login_find(const char *name, struct str passwd, struct str group, struct login *out,
               struct err *err)
{
    struct login l = {0};
    while (passwd.p && !l.name)
        read_user(str_cut(&passwd, '\n'), name, &l);
    if (!l.name)
        return err_set(err, ERR_NOT_FOUND, "this host has no user '%s'", name);
    add_group(&l, l.gid);
    while (group.p)
        read_group(str_cut(&group, '\n'), &l);
    *out = l;
    return 0;
}

int login_load(const char *name, struct login *out, struct err *err)
{
    AUTO_BUF struct buf passwd = {0}, group = {0};
    if (fs_read("/etc/passwd", FILE_MAX, &passwd, err) == -1 ||
        fs_read("/etc/group", FILE_MAX, &group, err) == -1)
        return -1;
    return login_find(name, buf_view(&passwd), buf_view(&group), out, err);
}

/* ---- becoming ---------------------------------------------------------------------------------
 */

char *login_word(const struct login *l)
{
    struct buf word = {0};
    buf_addf(&word, "%lu:%lu:", (unsigned long)l->uid, (unsigned long)l->gid);
    for (size_t i = 0; i < l->group_count; i++)
        buf_addf(&word, "%s%lu", i ? "," : "", (unsigned long)l->groups[i]);
    return buf_take(&word);
}

static bool read_word(const char *word, struct login *out)
{
    struct str rest = str_of(word);
    int64_t uid, gid, group;
    struct str ids[2];
    ids[0] = str_cut(&rest, ':');
    ids[1] = str_cut(&rest, ':');
    if (!str_to_i64(ids[0], 0, ID_MAX, &uid) || !str_to_i64(ids[1], 0, ID_MAX, &gid))
        return false;
    out->uid = (uid_t)uid;
    out->gid = (gid_t)gid;
    while (rest.p && rest.n) {
        if (!str_to_i64(str_cut(&rest, ','), 0, ID_MAX, &group))
            return false;
        add_group(out, (gid_t)group);
    }
    return true;
}

int login_become(const char *word, struct err *err)
{
    struct login l = {0};
    if (!read_word(word, &l))
        return err_set(err, ERR_USAGE, "'%s' is no user: it is UID:GID:GROUP,GROUP", word);
    if (geteuid() != 0 && geteuid() == l.uid)
        return 0;
    if (setgroups(l.group_count, l.groups) == -1 || setresgid(l.gid, l.gid, l.gid) == -1 ||
        setresuid(l.uid, l.uid, l.uid) == -1)
        return err_set_sys(err, errno, "cannot become the user %lu", (unsigned long)l.uid);
    if (l.uid != 0 && setuid(0) == 0)
        return err_set(err, ERR_INTERNAL, "root's rights cannot be given up");
    return 0;
}

void login_env(const struct login *l, struct strv *env)
{
    strv_take(env, mem_printf("HOME=%s", l->home));
    strv_take(env, mem_printf("USER=%s", l->name));
    strv_take(env, mem_printf("LOGNAME=%s", l->name));
    strv_take(env, mem_printf("SHELL=%s", l->shell));
}

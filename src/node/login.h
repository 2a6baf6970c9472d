/* As whom experiments run: the login user of the cluster's hosts, whom root becomes.
 *
 * The C library's ways to look a user up are not for static programs (static.c), so /etc/passwd and
 * /etc/group are read here, where node.json does not say more. */
#ifndef FLAMBE_NODE_LOGIN_H
#define FLAMBE_NODE_LOGIN_H

#include "base/err.h"
#include "base/str.h"
#include <sys/types.h>

#define LOGIN_GROUPS_MAX 256

struct login {
    char *name, *home, *shell;
    uid_t uid;
    gid_t gid;
    gid_t groups[LOGIN_GROUPS_MAX]; /* `gid` among them */
    size_t group_count;
};

void login_done(struct login *l);
/* From the texts of /etc/passwd and /etc/group. ERR_NOT_FOUND where there is no such user. */
int login_find(const char *name, struct str passwd, struct str group, struct login *out,
               struct err *err) MUST_CHECK;
/* The same from this host's files. */
int login_load(const char *name, struct login *out, struct err *err) MUST_CHECK;
/* "1000:1000:1000,4,27": uid, gid and groups, as one word of a command line. The caller frees. */
char *login_word(const struct login *l);
/* This process becomes that user, for good. ERR_USAGE where it is no such word. Where it is that
 * user already, and not root, nothing is done. */
int login_become(const char *word, struct err *err) MUST_CHECK;
/* Adds HOME, USER, LOGNAME and SHELL as "NAME=value". */
void login_env(const struct login *l, struct strv *env);

#endif

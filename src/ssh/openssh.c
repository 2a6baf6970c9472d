/* See openssh.h. */
#include "ssh/openssh.h"
#include "base/buf.h"
#include "base/mem.h"
#include <string.h>

#define DEFAULT_PORT 22

/* A path as ssh's options take it: '%' starts a token there, and blanks end an unquoted word. */
static char *option_path(const char *path)
{
    struct buf out = {0};
    buf_addc(&out, '"');
    for (; *path; path++) {
        if (*path == '%')
            buf_addc(&out, '%');
        if (*path == '"' || *path == '\\')
            buf_addc(&out, '\\');
        buf_addc(&out, *path);
    }
    buf_addc(&out, '"');
    return buf_take(&out);
}

static void add_option(struct strv *out, const char *name, const char *value)
{
    strv_add(out, "-o");
    strv_take(out, mem_printf("%s=%s", name, value));
}

void openssh_options(const struct openssh_trust *t, struct strv *out)
{
    AUTO_FREE char *key = option_path(t->key);
    AUTO_FREE char *known = option_path(t->known_hosts);
    add_option(out, "UserKnownHostsFile", known);
    add_option(out, "GlobalKnownHostsFile", "/dev/null");
    add_option(out, "HostKeyAlias", t->alias);
    add_option(out, "StrictHostKeyChecking", "yes");
    add_option(out, "CheckHostIP", "no");
    add_option(out, "UpdateHostKeys", "no");
    /* a shared connection would skip the check of the key */
    add_option(out, "ControlPath", "none");
    add_option(out, "IdentitiesOnly", "yes");
    add_option(out, "IdentityFile", key); /* -i looks for the file before it reads the tokens */
}

/* rsync takes quotes in -e, but no backslashes; a quote in quotes is doubled (rsync(1)). */
char *openssh_rsync_shell(const struct strv *options, int port)
{
    struct buf out = {0};
    buf_adds(&out, "ssh");
    for (size_t i = 0; i < options->count; i++) {
        buf_adds(&out, " '");
        for (const char *c = options->items[i]; *c; c++)
            buf_adds(&out, *c == '\'' ? "''" : (char[]){*c, '\0'});
        buf_addc(&out, '\'');
    }
    buf_addf(&out, " '-p' '%d'", port ? port : DEFAULT_PORT);
    return buf_take(&out);
}

char *openssh_place(const struct ssh_target *t, const char *path)
{
    bool v6 = strchr(t->address, ':') != NULL;
    return mem_printf("%s@%s%s%s:%s", t->user, v6 ? "[" : "", t->address, v6 ? "]" : "", path);
}

char *openssh_local(const char *path)
{
    return mem_printf("%s%s", path[0] == '/' ? "" : "./", path);
}

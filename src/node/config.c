/* See config.h. */
#include "node/config.h"
#include "base/json.h"
#include "base/mem.h"
#include "experiment/run.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define ID_MAX 4294967294

void config_done(struct config *c)
{
    login_done(&c->login);
    free(c->shared);
    strv_done(&c->factories);
    *c = (struct config){0};
}

static int read_id(const json_t *object, const char *key, int64_t *out, struct err *err)
{
    const json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= 0 && *out <= ID_MAX)
        return 0;
    return err_set(err, ERR_PARSE, "'%s' is no number of a user or group", key);
}

/* The user as the file has it whole, for hosts whose users are in no file. */
static int read_login(const json_t *object, const char *user, struct login *out, struct err *err)
{
    const json_t *groups = json_object_get(object, "groups");
    const char *home = json_text(object, "home");
    struct login l = {0};
    int64_t uid, gid;
    if (read_id(object, "uid", &uid, err) == -1 || read_id(object, "gid", &gid, err) == -1)
        return -1;
    if (json_array_size(groups) > LOGIN_GROUPS_MAX || (home && home[0] != '/'))
        return err_set(err, ERR_PARSE, "its user's groups or home are none");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *g = json_array_get(groups, i);
        if (!json_is_integer(g) || json_integer_value(g) < 0 || json_integer_value(g) > ID_MAX)
            return err_set(err, ERR_PARSE, "'groups' is no list of numbers");
        l.groups[l.group_count++] = (gid_t)json_integer_value(g);
    }
    if (!l.group_count)
        l.groups[l.group_count++] = (gid_t)gid;
    l.uid = (uid_t)uid;
    l.gid = (gid_t)gid;
    l.name = mem_dup(user);
    l.home = home ? mem_dup(home) : mem_printf("/home/%s", user);
    l.shell = mem_dup("/bin/sh");
    *out = l;
    return 0;
}

/* What is no address stays away: it would be a word of ssh's command line. */
static void read_factories(const json_t *hosts, struct strv *out)
{
    size_t i;
    const json_t *host;
    json_array_foreach(hosts, i, host)
    {
        const char *role = json_text(host, "role"), *ip = json_text(host, "private_ip");
        if (role && strcmp(role, "factory") == 0 && ip && *ip && ip[0] != '-' &&
            strspn(ip, "0123456789abcdefABCDEF.:") == strlen(ip))
            strv_add(out, ip);
    }
}

static int read_all(const json_t *object,
                    int (*find)(const char *name, struct login *out, struct err *err),
                    struct config *c, struct err *err)
{
    const char *role = json_text(object, "role"), *user = json_text(object, "user");
    const char *shared = json_text(object, "shared");
    bool orchestrator = role && strcmp(role, "orchestrator") == 0;
    if (!orchestrator && (!role || strcmp(role, "factory") != 0))
        return err_set(err, ERR_PARSE, "its 'role' is neither 'orchestrator' nor 'factory'");
    if (!user || !*user || strpbrk(user, ":/\n"))
        return err_set(err, ERR_PARSE, "its 'user' is none");
    if (shared && shared[0] != '/')
        return err_set(err, ERR_PARSE, "its 'shared' is no absolute path");
    c->role = orchestrator ? ROLE_ORCHESTRATOR : ROLE_FACTORY;
    c->shared = mem_dup(shared ? shared : CONFIG_SHARED);
    read_factories(json_object_get(object, "hosts"), &c->factories);
    return json_object_get(object, "uid") ? read_login(object, user, &c->login, err)
                                          : find(user, &c->login, err);
}

int config_parse(struct str text, int (*find)(const char *name, struct login *out, struct err *err),
                 struct config *out, struct err *err)
{
    json_auto_t *object = NULL;
    struct config c = {0};
    if (json_parse(text, CONFIG_BYTES_MAX, &object, err) == -1)
        return -1;
    if (read_all(object, find, &c, err) == -1) {
        config_done(&c);
        return -1;
    }
    *out = c;
    return 0;
}

int config_load(const char *path, struct config *out, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, CONFIG_BYTES_MAX, &text, err) == -1)
        return -1;
    if (config_parse(buf_view(&text), login_load, out, err) == 0)
        return 0;
    return err_wrap(err, "'%s' is no description of a host", path);
}

char *config_results(const struct config *c, const char *name)
{
    AUTO_FREE char *results = fs_join(c->shared, "results");
    return run_directory(results, name);
}

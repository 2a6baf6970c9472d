/* The files that the user's programs read: keys, AWS configuration, a ready cluster file. */
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/sandbox.h"
#include "sandbox/world_priv.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE "flambe-key.pem"
#define PUBLIC_KEY_FILE "flambe-key.pub"
#define KEY_FILE_MAX ((size_t)16 << 10)
#define EXAMPLE_NAME "my-cluster"
#define EXAMPLE_VOLUME_GB 8

/* ---- the key pair --------------------------------------------------------------------------- */

static int make_keys(struct sandbox *s, const char *pem_path, const char *public_path,
                     struct err *err)
{
    struct key_facts facts = {0};
    char *pem = NULL;
    if (!key_generate("ed25519", &facts, &pem))
        return err_set(err, ERR_INTERNAL, "cannot make a key pair");
    s->public_key = mem_dup(facts.line);
    int rc = fs_write_atomic(pem_path, 0600, str_of(pem), err);
    if (rc == 0)
        rc = fs_write_atomic(public_path, 0644, str_of(facts.line), err);
    explicit_bzero(pem, strlen(pem));
    free(pem);
    key_facts_done(&facts);
    return rc;
}

int setup_keys(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *pem = fs_join(s->dir, KEY_FILE);
    AUTO_FREE char *public_path = fs_join(s->dir, PUBLIC_KEY_FILE);
    AUTO_FREE char *world = fs_join(s->dir, "world.json");
    if (fs_exists(pem) && fs_exists(public_path)) {
        AUTO_BUF struct buf text = {0};
        if (fs_read(public_path, KEY_FILE_MAX, &text, err) == -1)
            return -1;
        s->public_key = str_dup(str_trim(buf_view(&text)));
        return 0;
    }
    if (fs_exists(world))
        return err_set(err, ERR_NOT_FOUND,
                       "'%s' is gone, and the account's key pair needs it; put it back, or begin "
                       "anew: flambe-sandbox reset",
                       fs_exists(pem) ? public_path : pem);
    return make_keys(s, pem, public_path, err);
}

/* ---- AWS's own configuration files ---------------------------------------------------------- */

static int write_aws(const struct sandbox *s, struct err *err)
{
    AUTO_FREE char *dir = fs_join(s->dir, "aws");
    AUTO_FREE char *config = fs_join(dir, "config");
    AUTO_FREE char *credentials = fs_join(dir, "credentials");
    struct buf text = {0};
    if (fs_mkdirs(dir, 0700, err) == -1)
        return -1;
    buf_addf(&text,
             "# Of flambe-sandbox. Written anew at each start.\n[default]\nregion = %s\n"
             "cli_pager =\n",
             s->settings.region);
    int rc = fs_write_atomic(config, 0644, buf_view(&text), err);
    buf_clear(&text);
    buf_addf(&text, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
             identities_access_key(s->identities),
             secret_expose(identities_secret(s->identities)).p);
    if (rc == 0)
        rc = fs_write_atomic(credentials, 0600, buf_view(&text), err);
    buf_wipe(&text);
    return rc;
}

/* ---- the cluster file ----------------------------------------------------------------------- */

static const char *first_public_subnet(const struct world *w)
{
    FOR_EACH(struct world_subnet, s, w, KIND_SUBNET)
    {
        if (s->map_public_ip)
            return s->r.id;
    }
    return "subnet-none";
}

static const char *ssh_group(const struct world *w)
{
    FOR_EACH(struct world_group, g, w, KIND_GROUP)
    {
        if (strcmp(g->name, "flambe-sg") == 0)
            return g->r.id;
    }
    return "sg-none";
}

static int write_cluster(const struct sandbox *s, struct err *err)
{
    AUTO_FREE char *path = fs_join(s->dir, "aws-cluster.yaml");
    AUTO_BUF struct buf b = {0};
    buf_addf(&b,
             "# A ready cluster in the sandbox: type  flambe %s\n"
             "# Written anew at each start of the sandbox: copy it before you change it.\n"
             "!AWSCluster\n\n"
             "name: " EXAMPLE_NAME "\n\n"
             "factories_num: 2\n\n"
             "factories_type: t3.small\n"
             "orchestrator_type: t3.small\n\n"
             "orchestrator_timeout: -1\n"
             "factories_timeout: -1\n\n"
             "creator: you@sandbox\n\n"
             "key_name: flambe-key\n"
             "key: '%s/" KEY_FILE "'\n\n"
             "tags:\n    project: sandbox\n\n"
             "subnet_id: %s\n"
             "security_group: %s\n\n"
             "volume_size: %d\n"
             "region_name: %s\n",
             path, s->dir, first_public_subnet(s->world), ssh_group(s->world), EXAMPLE_VOLUME_GB,
             s->settings.region);
    if (s->settings.kind == HOST_GHOST && s->settings.ssh_port != 22)
        buf_addf(&b, "ssh_port: %d\n", s->settings.ssh_port);
    return fs_write_atomic(path, 0644, buf_view(&b), err);
}

int setup_files(const struct sandbox *s, struct err *err)
{
    return write_aws(s, err) == -1 ? -1 : write_cluster(s, err);
}

int setup_control(struct sandbox *s, struct err *err)
{
    AUTO_FREE char *path = fs_join(s->dir, "control.json");
    struct buf text = {0};
    json_auto_t *j = json_object();
    json_object_set_new(j, "port", json_integer(s->settings.port));
    json_object_set_new(j, "token", json_string(s->control_token));
    json_object_set_new(j, "pid", json_integer(getpid()));
    json_object_set_new(j, "region", json_string(s->settings.region));
    json_object_set_new(j, "hosts", json_string(host_kind_name(s->settings.kind)));
    json_object_set_new(j, "version", json_string(FLAMBE_VERSION));
    json_write(j, true, &text);
    int rc = fs_write_atomic(path, 0600, buf_view(&text), err);
    buf_wipe(&text);
    return rc;
}

/* ---- by sudo
 * -----------------------------------------------------------------------------------------------
 */

static void give(const char *path, uid_t uid, gid_t gid)
{
    struct stat st;
    if (lstat(path, &st) == 0 && st.st_uid == 0 && !S_ISLNK(st.st_mode) &&
        lchown(path, uid, gid) == -1)
        fprintf(stderr, "flambe-sandbox: cannot give '%s' to its user: %s\n", path,
                strerror(errno));
}

/* The directories from the user's home down to `dir` that root has just made. */
static void give_way(const char *dir, const struct passwd *pw)
{
    size_t home = strlen(pw->pw_dir);
    if (strncmp(dir, pw->pw_dir, home) != 0 || dir[home] != '/')
        return;
    AUTO_FREE char *path = mem_dup(dir);
    for (char *p = path + home + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        give(path, pw->pw_uid, pw->pw_gid);
        *p = '/';
    }
}

void setup_owner(const char *dir)
{
    static const char *const names[] = {"aws",          "aws/config",     "aws/credentials",
                                        KEY_FILE,       PUBLIC_KEY_FILE,  "aws-cluster.yaml",
                                        "control.json", "requests.jsonl", "log",
                                        "lock"};
    const char *text = getenv("SUDO_UID");
    int64_t uid;
    if (geteuid() != 0 || !text || !str_to_i64(str_of(text), 1, INT32_MAX, &uid))
        return;
    const struct passwd *pw = getpwuid((uid_t)uid);
    if (!pw)
        return;
    give_way(dir, pw);
    give(dir, pw->pw_uid, pw->pw_gid);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_FREE char *path = fs_join(dir, names[i]);
        give(path, pw->pw_uid, pw->pw_gid);
    }
}

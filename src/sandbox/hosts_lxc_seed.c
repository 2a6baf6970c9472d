/* What differs from host to host, written into its upper layer before its first start.
 *
 * A booted host gets little: cloud-init and the metadata service do the rest, as on EC2. A light
 * host gets what cloud-init would have made of its user data. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/ghost_ssh.h"
#include "sandbox/hosts_lxc_priv.h"
#include "sandbox/userdata.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)
#define USER_ID 1000

struct seed {
    const struct host *h;
    char *upper;
    struct err *err;
};

int lxc_write(const char *path, mode_t mode, uid_t owner, struct str text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot write '%s'", path);
    bool ok = write(fd, text.p, text.n) == (ssize_t)text.n && fchmod(fd, mode) == 0 &&
              fchown(fd, owner, owner) == 0;
    int sys = errno;
    close(fd);
    return ok ? 0 : err_set_sys(err, sys, "cannot write '%s'", path);
}

/* Makes the directories above `path` (below the upper layer) and writes the file. */
static int put_as(struct seed *s, const char *path, mode_t mode, uid_t owner, struct str text)
{
    AUTO_FREE char *full = fs_join(s->upper, path);
    AUTO_FREE char *dir = mem_dup(full);
    *strrchr(dir, '/') = '\0';
    if (fs_mkdirs(dir, 0755, s->err) == -1)
        return -1;
    return lxc_write(full, mode, owner, text, s->err);
}

static int put(struct seed *s, const char *path, mode_t mode, struct str text)
{
    return put_as(s, path, mode, 0, text);
}

static int put_names(struct seed *s)
{
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "127.0.0.1 localhost\n%s %s.ec2.internal %s\n", s->h->private_ip,
             s->h->hostname, s->h->hostname);
    if (put(s, "etc/hosts", 0644, buf_view(&text)) == -1)
        return -1;
    buf_clear(&text);
    buf_addf(&text, "%s\n", s->h->hostname);
    return put(s, "etc/hostname", 0644, buf_view(&text));
}

static int put_host_key(struct seed *s, const char *path, struct str private_key,
                        const char *public_key)
{
    AUTO_FREE char *public_path = mem_printf("%s.pub", path);
    AUTO_FREE char *line = mem_printf("%s\n", public_key);
    if (put(s, path, 0600, private_key) == -1)
        return -1;
    return put(s, public_path, 0644, str_of(line));
}

static int put_new_host_key(struct seed *s, const char *path)
{
    AUTO_FREE char *full = fs_join(s->upper, path);
    AUTO_FREE char *dir = mem_dup(full);
    *strrchr(dir, '/') = '\0';
    if (fs_mkdirs(dir, 0755, s->err) == -1)
        return -1;
    ssh_key key = ghost_key_new();
    AUTO_FREE char *line = ghost_key_line(key);
    AUTO_FREE char *public_path = mem_printf("%s.pub", path);
    AUTO_FREE char *public_text = mem_printf("%s root@%s\n", line, s->h->hostname);
    int rc = ssh_pki_export_privkey_file(key, NULL, NULL, NULL, full);
    ssh_key_free(key);
    if (rc != SSH_OK || chmod(full, 0600) == -1)
        return err_set(s->err, ERR_IO, "cannot write '%s'", full);
    return put(s, public_path, 0644, str_of(public_text));
}

/* ---- booted ---------------------------------------------------------------------------------- */

static int seed_booted(struct seed *s)
{
    AUTO_FREE char *config =
        mem_printf("system_info:\n  default_user:\n    name: %s\n"
                   /* Debian's list has netdev, which is not in the image: made anew, it would take
                    * the user's number 1000. */
                   "    groups: [adm, audio, cdrom, dialout, dip, floppy, plugdev, sudo, video]\n",
                   s->h->user);
    if (put(s, "etc/cloud/cloud.cfg.d/95_user.cfg", 0644, str_of(config)) == -1 ||
        put(s, HOST_SHARED_ANNOUNCEMENT, 0644, STR(HOST_SHARED "\n")) == -1)
        return -1;
    if (s->h->foreign_host_key) {
        static const char sshd[] = "HostKey /etc/ssh/foreign_key\n";
        if (put_new_host_key(s, "etc/ssh/foreign_key") == -1 ||
            put(s, "etc/ssh/sshd_config.d/10-foreign.conf", 0644, str_of(sshd)) == -1)
            return -1;
    }
    if (s->h->never_boots) {
        AUTO_FREE char *dir = fs_join(s->upper, "etc/systemd/system");
        AUTO_FREE char *link = fs_join(dir, "ssh.service");
        if (fs_mkdirs(dir, 0755, s->err) == -1)
            return -1;
        if (symlink("/dev/null", link) == -1)
            return err_set_sys(s->err, errno, "cannot make '%s'", link);
    }
    return 0;
}

/* ---- light ----------------------------------------------------------------------------------- */

/* The image's file with one line more. */
static int put_appended(struct seed *s, const char *path, mode_t mode, const char *line)
{
    AUTO_FREE char *from = fs_join(s->h->all->image.root, path);
    AUTO_BUF struct buf text = {.max = FILE_MAX};
    if (fs_read(from, FILE_MAX, &text, s->err) == -1)
        return -1;
    buf_adds(&text, line);
    return put(s, path, mode, buf_view(&text));
}

static int put_user(struct seed *s)
{
    const char *user = s->h->user;
    AUTO_FREE char *passwd =
        mem_printf("%s:x:%d:%d:%s:/home/%s:/bin/bash\n", user, USER_ID, USER_ID, user, user);
    AUTO_FREE char *shadow = mem_printf("%s:*:19000:0:99999:7:::\n", user);
    AUTO_FREE char *group = mem_printf("%s:x:%d:\n", user, USER_ID);
    AUTO_FREE char *gshadow = mem_printf("%s:!::\n", user);
    AUTO_FREE char *sudoers = mem_printf("%s ALL=(ALL) NOPASSWD:ALL\n", user);
    if (put_appended(s, "etc/passwd", 0644, passwd) == -1 ||
        put_appended(s, "etc/shadow", 0640, shadow) == -1 ||
        put_appended(s, "etc/group", 0644, group) == -1 ||
        put_appended(s, "etc/gshadow", 0640, gshadow) == -1)
        return -1;
    return put(s, "etc/sudoers.d/90-user", 0440, str_of(sudoers));
}

/* The home directory, from the image's skeleton. */
static int put_home(struct seed *s, const struct userdata *data)
{
    AUTO_FREE char *home = mem_printf("home/%s", s->h->user);
    AUTO_BUF struct buf keys = {0};
    if (s->h->public_key)
        buf_addf(&keys, "%.*s\n", STR_FMT(str_trim(str_of(s->h->public_key))));
    for (size_t i = 0; i < data->authorized_keys.count; i++)
        buf_addf(&keys, "%s\n", data->authorized_keys.items[i]);
    AUTO_FREE char *keys_path = mem_printf("%s/.ssh/authorized_keys", home);
    if (put_as(s, keys_path, 0600, USER_ID, buf_view(&keys)) == -1)
        return -1;
    static const char *const skeleton[] = {".bashrc", ".profile", ".bash_logout"};
    for (size_t i = 0; i < COUNT_OF(skeleton); i++) {
        AUTO_FREE char *from = mem_printf("%s/etc/skel/%s", s->h->all->image.root, skeleton[i]);
        AUTO_FREE char *to = mem_printf("%s/%s", home, skeleton[i]);
        AUTO_BUF struct buf text = {.max = FILE_MAX};
        if (fs_read(from, FILE_MAX, &text, NULL) == 0 &&
            put_as(s, to, 0644, USER_ID, buf_view(&text)) == -1)
            return -1;
    }
    AUTO_FREE char *full = fs_join(s->upper, home);
    AUTO_FREE char *ssh = fs_join(full, ".ssh");
    if (chown(full, USER_ID, USER_ID) == -1 || chown(ssh, USER_ID, USER_ID) == -1 ||
        chmod(ssh, 0700) == -1)
        return err_set_sys(s->err, errno, "cannot make '%s'", full);
    return 0;
}

static int seed_light(struct seed *s)
{
    static const char key_path[] = "etc/ssh/ssh_host_ed25519_key";
    struct userdata data;
    userdata_read(buf_view(&s->h->user_data), &data);
    bool injected = data.host_key_private && !s->h->foreign_host_key;
    int rc = injected ? put_host_key(s, key_path, secret_expose(data.host_key_private),
                                     data.host_key_public)
                      : put_new_host_key(s, key_path);
    if (rc == 0)
        rc = put_user(s);
    if (rc == 0)
        rc = put_home(s, &data);
    userdata_done(&data);
    return rc;
}

int lxc_seed(const struct host *h, struct err *err)
{
    AUTO_FREE char *upper = fs_join(h->dir, "disk/upper");
    struct seed s = {.h = h, .upper = upper, .err = err};
    mode_t mask = umask(022);
    int rc = fs_mkdirs(upper, 0755, err);
    if (rc == 0)
        rc = put_names(&s);
    if (rc == 0)
        rc = h->kind == HOST_LIGHT ? seed_light(&s) : seed_booted(&s);
    umask(mask);
    return rc;
}

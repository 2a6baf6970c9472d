/* See fs.h. */
#include "os/fs.h"
#include "base/digest.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define AUTO_FD CLEANUP(close_fd)

int fs_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_NOT_FOUND, "no such file: '%s'", path);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot open '%s'", path);
    struct buf text = {.max = max + 1};
    char block[65536];
    ssize_t n;
    while ((n = read(fd, block, sizeof block)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int sys = errno;
            buf_wipe(&text);
            return err_set_sys(err, sys, "cannot read '%s'", path);
        }
        buf_add(&text, block, (size_t)n);
        if (text.len > max) {
            buf_wipe(&text);
            return err_set(err, ERR_LIMIT, "'%s' is longer than the %zu bytes allowed", path, max);
        }
    }
    explicit_bzero(block, sizeof block);
    buf_add(out, buf_text(&text), text.len);
    buf_wipe(&text);
    return 0;
}

int fs_read_user_file(const char *path, const char *what, size_t max, struct buf *out,
                      struct err *err)
{
    struct err why = {0};
    if (fs_is_directory(path))
        return err_set(err, ERR_FILE, "'%s' is a directory, not %s", path, what);
    if (fs_read(path, max, out, &why) == 0)
        return 0;
    why.code = ERR_FILE;
    return err_copy(err, &why);
}

int fs_write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

static void sync_directory_of(const char *path)
{
    AUTO_FREE char *dir = mem_dup(path);
    char *slash = strrchr(dir, '/');
    if (slash == dir)
        slash[1] = '\0';
    else if (slash)
        *slash = '\0';
    AUTO_FD int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd); /* the file itself is safe; some file systems refuse this */
}

int fs_write_atomic(const char *path, mode_t mode, struct str bytes, struct err *err)
{
    char tag[9];
    digest_random_hex(tag, 8);
    AUTO_FREE char *temporary = mem_printf("%s.%s.tmp", path, tag);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot write '%s'", path);
    if (fs_write_all(fd, bytes) == -1 || fsync(fd) == -1) {
        int sys = errno;
        close(fd);
        unlink(temporary);
        return err_set_sys(err, sys, "cannot write '%s'", path);
    }
    if (close(fd) == -1 || rename(temporary, path) == -1) {
        int sys = errno;
        unlink(temporary);
        return err_set_sys(err, sys, "cannot write '%s'", path);
    }
    sync_directory_of(path);
    return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
    AUTO_FREE char *work = mem_dup(path);
    for (char *p = work + 1; *work; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(work, mode) == -1 && errno != EEXIST)
            return err_set_sys(err, errno, "cannot make the directory '%s'", work);
        *p = saved;
        if (!saved)
            break;
    }
    if (!fs_is_directory(path))
        return err_set_sys(err, ENOTDIR, "cannot make the directory '%s'", path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path) == -1 && errno != ENOENT ? -1 : 0; /* another may clean up, too */
}

int fs_remove_tree(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) == -1 && errno == ENOENT)
        return 0;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return err_set_sys(err, errno, "cannot remove '%s'", path);
    return 0;
}

int fs_list(const char *directory, struct strv *out, struct err *err)
{
    DIR *dir = opendir(directory);
    if (!dir)
        return err_set_sys(err, errno, "cannot read '%s'", directory);
    const struct dirent *e;
    while ((e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            strv_add(out, e->d_name);
    closedir(dir);
    return 0;
}

int fs_remove_entries(const char *directory, bool (*which)(const char *name), struct err *err)
{
    AUTO_STRV struct strv names = {0};
    if (fs_list(directory, &names, err) == -1)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (!which(names.items[i]))
            continue;
        AUTO_FREE char *path = fs_join(directory, names.items[i]);
        if (fs_remove_tree(path, err) == -1)
            return -1;
    }
    return 0;
}

bool fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool fs_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *fs_home(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    const struct passwd *pw = getpwuid(getuid());
    return pw && pw->pw_dir ? pw->pw_dir : "/";
}

char *fs_expand_home(const char *path)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
        return mem_printf("%s%s", fs_home(), path + 1);
    return mem_dup(path);
}

char *fs_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return mem_printf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

char *fs_relative_to(const char *base, const char *path)
{
    const char *slash = strrchr(base, '/');
    if (path[0] == '/' || !slash)
        return mem_dup(path);
    return mem_printf("%.*s/%s", (int)(slash - base), base, path);
}

static char *xdg_dir(const char *variable, const char *below_home)
{
    const char *value = getenv(variable);
    if (value && value[0] == '/')
        return fs_join(value, "flambe");
    return mem_printf("%s/%s/flambe", fs_home(), below_home);
}

char *fs_state_dir(void)
{
    return xdg_dir("XDG_STATE_HOME", ".local/state");
}

char *fs_cache_dir(void)
{
    return xdg_dir("XDG_CACHE_HOME", ".cache");
}

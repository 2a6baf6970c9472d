/* See file_mark.h. */
#include "experiment/file_mark.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "experiment/store.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

#define FOLD_SIZE ((size_t)64 << 10) /* bytes that are digested at once */

struct walk {
    uint8_t digest[SHA256_SIZE]; /* of the one before, and of the text since */
    struct buf text;
    size_t entries, entries_max;
    bool cut; /* something was left out */
};

static void fold(struct walk *w)
{
    buf_add(&w->text, w->digest, sizeof w->digest);
    digest_sha256(buf_view(&w->text), w->digest);
    buf_clear(&w->text);
}

static void add_bytes(struct walk *w, const void *bytes, size_t n)
{
    buf_add(&w->text, bytes, n);
    if (w->text.len > FOLD_SIZE)
        fold(w);
}

static void add_times(const struct stat *st, struct buf *out)
{
    buf_addf(out, " size %lld time %lld.%09ld", (long long)st->st_size,
             (long long)st->st_mtim.tv_sec, (long)st->st_mtim.tv_nsec);
}

/* Names that a program's run changes, whatever its data are. */
static bool is_passed_over(const char *name)
{
    static const char *const names[] = {".", "..", ".git", "__pycache__"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool holds_results(int fd)
{
    struct stat st;
    return fstatat(fd, STORE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* The names in the directory, sorted: two listings of the same may differ in order. */
static void list(struct walk *w, DIR *dir, struct strv *names)
{
    const struct dirent *e;
    while ((e = readdir(dir))) {
        if (is_passed_over(e->d_name))
            continue;
        if (w->entries == w->entries_max) {
            w->cut = true;
            break;
        }
        w->entries++;
        strv_add(names, e->d_name);
    }
    strv_sort(names);
}

/* One entry as text; *folder: it is a directory, to be looked into. */
static void describe(int fd, const char *name, struct buf *out, bool *folder)
{
    struct stat st, target;
    char link[PATH_MAX];
    *folder = false;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return;
    *folder = S_ISDIR(st.st_mode);
    buf_addf(out, "%o", (unsigned)(st.st_mode & S_IFMT));
    if (S_ISREG(st.st_mode))
        add_times(&st, out);
    if (!S_ISLNK(st.st_mode))
        return;
    ssize_t n = readlinkat(fd, name, link, sizeof link);
    if (n > 0)
        buf_add(out, link, (size_t)n);
    if (fstatat(fd, name, &target, 0) == 0 && S_ISREG(target.st_mode))
        add_times(&target, out);
}

/* Takes the descriptor. Each entry is its name, a NUL, what it is, and a NUL; a folder's are
 * between
 * "/" and "..", which are no names. */
static void walk_below(struct walk *w, int fd, int depth)
{
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir || depth > FILE_MARK_DEPTH_MAX || holds_results(fd)) {
        w->cut = w->cut || depth > FILE_MARK_DEPTH_MAX;
        if (dir)
            closedir(dir);
        else if (fd >= 0)
            close(fd);
        return;
    }
    AUTO_STRV struct strv names = {0};
    list(w, dir, &names);
    for (size_t i = 0; i < names.count; i++) {
        AUTO_BUF struct buf text = {0};
        const char *name = names.items[i];
        bool folder;
        describe(dirfd(dir), name, &text, &folder);
        add_bytes(w, name, strlen(name) + 1);
        add_bytes(w, buf_text(&text), text.len + 1);
        if (!folder)
            continue;
        add_bytes(w, "/", 2);
        walk_below(
            w,
            openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK),
            depth + 1);
        add_bytes(w, "..", 3);
    }
    closedir(dir);
}

void file_mark(const char *path, const struct stat *st, size_t entries_max, struct buf *out)
{
    if (!S_ISDIR(st->st_mode)) {
        add_times(st, out);
        return;
    }
    struct walk w = {.entries_max = entries_max};
    char hex[SHA256_HEX_SIZE];
    walk_below(&w, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK), 0);
    fold(&w);
    digest_hex(w.digest, sizeof w.digest, hex);
    buf_addf(out, " directory %s", hex);
    if (w.cut)
        add_times(st, out);
    buf_done(&w.text);
}

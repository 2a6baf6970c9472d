/* See worktree.h. */
#include "experiment/worktree.h"
#include "base/mem.h"
#include "base/port.h"
#include "os/children.h"
#include "os/fs.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 500 /* of directories that are looked into */
#define SAID_MAX 4096

struct listing {
    struct buf out, said;
};

static void listing_done(struct listing *l)
{
    buf_done(&l->out);
    buf_done(&l->said);
}

static void got_output(void *ctx, size_t child, bool is_err, struct str bytes)
{
    (void)child;
    struct listing *l = ctx;
    buf_add_str(is_err ? &l->said : &l->out, bytes);
}

/* Runs argv; *status is its exit status, or -1 where there is no such program. */
static int run(struct loop *loop, const char *const *argv, struct listing *l, int *status,
               struct err *err)
{
    struct child child = {0};
    l->out.max = WORKTREE_NAMES_MAX;
    l->said.max = SAID_MAX;
    for (; *argv; argv++)
        strv_add(&child.argv, *argv);
    struct children_request r = {
        .items = &child, .count = 1, .at_once = 1, .output = got_output, .ctx = l};
    int rc = children_run(loop, &r, err);
    *status = child.status;
    child_done(&child);
    if (rc == 0 && l->out.overflowed)
        rc = err_set(err, ERR_LIMIT, "the names of the files here take more than %zu MiB",
                     WORKTREE_NAMES_MAX >> 20);
    return rc;
}

static struct str last_part(struct str path)
{
    const char *slash = port_memrchr(path.p, '/', path.n);
    return slash ? (struct str){slash + 1, path.n - (size_t)(slash + 1 - path.p)} : path;
}

/* ---- git --------------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names that `names` holds, sorted; pointers into it. The caller frees the array. */
static const char **index_names(const struct buf *names, size_t *count)
{
    const char **list = NULL;
    size_t n = 0, cap = 0;
    for (const char *p = buf_text(names), *end = p + names->len; p < end; p += strlen(p) + 1) {
        MEM_PUSH_ROOM(list, n, cap);
        list[n++] = p;
    }
    if (n)
        qsort(list, n, sizeof *list, compare_names);
    *count = n;
    return list;
}

static bool has_ignore_file(const struct buf *names)
{
    for (const char *p = buf_text(names), *end = p + names->len; p < end; p += strlen(p) + 1)
        if (str_is(last_part(str_of(p)), WORKTREE_IGNORE_FILE))
            return true;
    return false;
}

/* What .flambeignore names, tracked or not. */
static int ask_ignored(struct loop *loop, const char *directory, struct listing *l, struct err *err)
{
    const char *argv[] = {"git",      "-C", directory,
                          "ls-files", "-z", "-c",
                          "-o",       "-i", "--exclude-per-directory=" WORKTREE_IGNORE_FILE,
                          NULL};
    int status;
    if (run(loop, argv, l, &status, err) == -1)
        return -1;
    return status == 0 ? 0
                       : err_set(err, ERR_IO, "git cannot read the files '%s': status %d",
                                 WORKTREE_IGNORE_FILE, status);
}

/* *known is false where git does not take it for a checkout, or is not there. */
static int list_git(struct loop *loop, const char *directory, struct buf *names, bool *known,
                    struct err *err)
{
    const char *argv[] = {
        "git", "-C", directory, "ls-files", "-z", "-c", "-o", "--exclude-standard", NULL};
    CLEANUP(listing_done) struct listing all = {0}, ignored = {0};
    int status;
    if (run(loop, argv, &all, &status, err) == -1)
        return -1;
    *known = status == 0;
    if (!*known)
        return 0;
    if (has_ignore_file(&all.out) && ask_ignored(loop, directory, &ignored, err) == -1)
        return -1;
    size_t count;
    const char **skipped = index_names(&ignored.out, &count);
    const char *end = buf_text(&all.out) + all.out.len;
    for (const char *p = buf_text(&all.out); p < end; p += strlen(p) + 1) {
        size_t n = strlen(p);
        if (count && bsearch(&p, skipped, count, sizeof *skipped, compare_names))
            continue;
        buf_add(names, p, p[n - 1] == '/' ? n - 1 : n); /* git marks a repository by a '/' */
        buf_addc(names, '\0');
    }
    free(skipped);
    return 0;
}

/* ---- elsewhere --------------------------------------------------------------------------------
 */

static bool is_octal(const char *p)
{
    return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' && p[2] <= '7';
}

/* rsync writes "\#012" for a new line and its like. */
static void add_decoded(struct str line, struct buf *names)
{
    for (size_t i = 0; i < line.n; i++) {
        const char *p = line.p + i;
        if (line.n - i >= 5 && p[0] == '\\' && p[1] == '#' && is_octal(p + 2)) {
            buf_addc(names, (char)((p[2] - '0') * 64 + (p[3] - '0') * 8 + (p[4] - '0')));
            i += 4;
        } else {
            buf_addc(names, *p);
        }
    }
    buf_addc(names, '\0');
}

int worktree_list_plain(struct loop *loop, const char *directory, struct buf *names,
                        struct err *err)
{
    AUTO_FREE char *source = mem_printf("%s/", directory);
    const char *argv[] = {"rsync",
                          "-rln",
                          "-8",
                          "--out-format=%n",
                          "--exclude=.git",
                          "--filter=:- .gitignore",
                          "--filter=:- " WORKTREE_IGNORE_FILE,
                          "--",
                          source,
                          "/nonexistent/flambe/",
                          NULL};
    CLEANUP(listing_done) struct listing l = {0};
    int status;
    if (run(loop, argv, &l, &status, err) == -1)
        return -1;
    if (status == -1)
        return err_set(err, ERR_NOT_FOUND,
                       "this machine has no rsync; type: sudo apt-get install rsync");
    if (status != 0)
        return err_set(err, ERR_IO, "rsync cannot list '%s' (status %d): %.*s", directory, status,
                       STR_FMT(str_trim(buf_view(&l.said))));
    struct str rest = buf_view(&l.out);
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (line.n && line.p[line.n - 1] != '/')
            add_decoded(line, names);
    }
    return 0;
}

int worktree_list(struct loop *loop, const char *directory, struct buf *names, struct err *err)
{
    bool known;
    if (list_git(loop, directory, names, &known, err) == -1)
        return -1;
    return known ? 0 : worktree_list_plain(loop, directory, names, err);
}

/* ---- what is not meant ------------------------------------------------------------------------
 */

struct walk {
    const char *const *names;
    size_t count;
    struct buf *rest;
    struct err *err;
};

/* The first name that is not before `path`. */
static size_t lower_bound(const struct walk *w, const char *path)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(w->names[middle], path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_directory(const struct dirent *e, const char *path)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* `path` is the directory's, `below` what of it is below the tree: "", or with a '/' at its end. */
static int walk_rest(const struct walk *w, const char *path, const char *below, int depth)
{
    DIR *d = opendir(path);
    if (!d)
        return err_set_sys(w->err, errno, "cannot read '%s'", path);
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        AUTO_FREE char *whole = mem_printf("%s/%s", path, e->d_name);
        bool directory = is_directory(e, whole);
        AUTO_FREE char *name = mem_printf("%s%s%s", below, e->d_name, directory ? "/" : "");
        size_t n = strlen(name), at = lower_bound(w, name);
        bool has = at < w->count && strncmp(w->names[at], name, directory ? n : n + 1) == 0;
        if (has && directory && depth < DEPTH_MAX) {
            rc = walk_rest(w, whole, name, depth + 1);
        } else if (!has) {
            buf_add(w->rest, name, directory ? n - 1 : n);
            buf_addc(w->rest, '\0');
        }
    }
    closedir(d);
    return rc;
}

int worktree_rest(const char *directory, const char *const *names, size_t count, struct buf *rest,
                  struct err *err)
{
    struct walk w = {names, count, rest, err};
    return walk_rest(&w, directory, "", 0);
}

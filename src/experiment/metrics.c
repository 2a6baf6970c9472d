/* See metrics.h. Nothing stays open between polls: a machine may run many trials with many files.
 *
 * A folder is looked through when its mtime has changed, and now and then: a file system's clock
 * may stand still while a second file is made. */
#include "experiment/metrics.h"
#include "base/mem.h"
#include "base/strtab.h"
#include "experiment/eventfile.h"
#include "experiment/jsonlines.h"
#include "os/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_SIZE ((size_t)256 << 10) /* bytes read at once; more than a line may have */
#define RESCAN_POLLS 8                 /* every how many polls a folder is looked through anyway */

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

/* What was there at the last look; all zero: nothing yet. */
struct seen {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec mtime;
};

struct folder {
    char *path; /* below the directory, which is "" itself */
    int depth;
    size_t entries; /* at the last look */
    struct seen seen;
};

struct source {
    char *path;    /* below the directory */
    size_t prefix; /* bytes of the path up to its last slash, and with it */
    struct seen seen;
    bool told; /* that it cannot be read */
    struct eventfile_reader *reader;
};

struct lines {
    char *path;
    struct seen seen;
    off_t offset; /* of the first line that has not been read */
    bool told;
    struct jsonlines *reader;
};

struct metrics_reader {
    char *directory, *own;
    unsigned polls;
    size_t looked; /* entries, in this poll */
    struct folder **folders;
    size_t folder_count, folder_cap;
    struct source **sources; /* by path */
    size_t source_count, source_cap;
    struct strtab *known; /* path to folder or source; a folder's with a slash behind */
    struct strv kept;     /* tags that there is room for */
    struct strtab *tags;  /* those, and all that came; values mean nothing */
    struct lines lines;
    bool told_many, told_files, told_folders, told_entries, told_names, told_tags;
};

/* ---- what is told ------------------------------------------------------------------------- */

/* One poll of one file. */
struct telling {
    struct metrics_reader *r;
    const struct metrics_sink *sink;
    const struct source *source; /* NULL: the JSON lines */
    struct buf tag;
    char *chunk; /* made when there is something to read */
};

static void damage(const struct metrics_sink *sink, char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    sink->damage(sink->ctx, text);
    free(text);
}

static void damage_once(bool *told, const struct metrics_sink *sink, const char *what,
                        const char *why)
{
    if (*told)
        return;
    *told = true;
    damage(sink, mem_printf("%s: %s", what, why));
}

static const char *name_of(const struct telling *t)
{
    return t->source ? t->source->path : t->r->lines.path;
}

static bool has_room(struct metrics_reader *r, struct str tag)
{
    if (strtab_get(r->tags, tag))
        return true;
    if (strtab_count(r->tags) >= METRICS_TAGS_MAX)
        return false;
    (void)strtab_put(r->tags, tag, r);
    return true;
}

void metrics_reader_keep(struct metrics_reader *r, const char *tag)
{
    if (!tag || strtab_get(r->tags, str_of(tag)))
        return;
    (void)strtab_put(r->tags, str_of(tag), r);
    strv_add(&r->kept, tag);
    jsonlines_keep(r->lines.reader, tag);
}

static void tell_point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    struct telling *t = ctx;
    if (tag.n > 0 && t->source && t->source->prefix) {
        buf_clear(&t->tag);
        buf_add(&t->tag, t->source->path, t->source->prefix);
        buf_add_str(&t->tag, tag);
        tag = buf_view(&t->tag);
    }
    if (tag.n == 0)
        damage_once(&t->r->told_tags, t->sink, name_of(t), "a metric without a name is left out");
    else if (tag.n > METRICS_TAG_MAX)
        damage_once(&t->r->told_tags, t->sink, name_of(t),
                    "a metric whose name is longer than 256 bytes is left out");
    else if (!has_room(t->r, tag))
        damage_once(&t->r->told_many, t->sink, name_of(t),
                    "more different metrics than the 10000 allowed; the others are left out");
    else {
        if (!t->source && t->sink->line)
            t->sink->line(t->sink->ctx, tag, step, wall, value);
        t->sink->point(t->sink->ctx, tag, step, wall, value);
    }
}

static void tell_damage(void *ctx, const char *what)
{
    const struct telling *t = ctx;
    damage(t->sink, mem_dup(what));
}

static void tell_restart(void *ctx, int64_t step)
{
    const struct telling *t = ctx;
    for (size_t i = 0; i < t->r->source_count; i++) {
        const struct source *other = t->r->sources[i];
        if (other->prefix != t->source->prefix ||
            memcmp(other->path, t->source->path, other->prefix) != 0)
            return;
    }
    t->sink->purge(t->sink->ctx, step);
}

/* ---- the reader --------------------------------------------------------------------------- */

static char *folder_key(const char *path)
{
    return mem_printf("%s/", path);
}

static void add_folder(struct metrics_reader *r, char *path, int depth)
{
    struct folder *f = mem_alloc(sizeof *f);
    *f = (struct folder){.path = path, .depth = depth};
    AUTO_FREE char *key = folder_key(path);
    strtab_put(r->known, str_of(key), f);
    MEM_PUSH_ROOM(r->folders, r->folder_count, r->folder_cap);
    r->folders[r->folder_count++] = f;
}

static void folder_free(struct folder *f)
{
    free(f->path);
    free(f);
}

static void source_free(struct source *s)
{
    eventfile_reader_free(s->reader);
    free(s->path);
    free(s);
}

struct metrics_reader *metrics_reader_new(const char *directory, const char *own, const char *lines)
{
    struct metrics_reader *r = mem_alloc(sizeof *r);
    r->directory = mem_dup(directory);
    r->own = mem_dup(own);
    r->known = strtab_new();
    r->tags = strtab_new();
    r->lines.path = mem_dup(lines);
    r->lines.reader = jsonlines_new(lines);
    add_folder(r, mem_dup(""), 0);
    return r;
}

void metrics_reader_free(struct metrics_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->folder_count; i++)
        folder_free(r->folders[i]);
    for (size_t i = 0; i < r->source_count; i++)
        source_free(r->sources[i]);
    free(r->folders);
    free(r->sources);
    strtab_free(r->known);
    strtab_free(r->tags);
    strv_done(&r->kept);
    jsonlines_free(r->lines.reader);
    free(r->lines.path);
    free(r->directory);
    free(r->own);
    free(r);
}

/* ---- files and folders -------------------------------------------------------------------- */

/* Opens what is below the directory, through folders that are no links. -1 with errno. */
static int open_below(const struct metrics_reader *r, const char *path, int flags)
{
    const int safe = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(r->directory, safe | O_DIRECTORY);
    while (fd >= 0 && *path) {
        const char *slash = strchr(path, '/');
        AUTO_FREE char *name = slash ? mem_dup_n(path, (size_t)(slash - path)) : mem_dup(path);
        int next = openat(fd, name, safe | O_NOFOLLOW | (slash ? O_DIRECTORY : flags));
        int sys = errno;
        close(fd);
        errno = sys;
        fd = next;
        path = slash ? slash + 1 : "";
    }
    return fd;
}

static bool is_gone(int sys)
{
    return sys == ENOENT || sys == ENOTDIR || sys == ELOOP;
}

static bool is_same_file(const struct seen *seen, const struct stat *st)
{
    return seen->inode == st->st_ino && seen->device == st->st_dev;
}

static struct seen seen_of(const struct stat *st, off_t size)
{
    return (struct seen){st->st_dev, st->st_ino, size, st->st_mtim};
}

static int stat_below(const struct metrics_reader *r, const char *path, bool follow,
                      struct stat *st)
{
    AUTO_FREE char *whole = *path ? fs_join(r->directory, path) : mem_dup(r->directory);
    return follow ? stat(whole, st) : lstat(whole, st);
}

static void found_file(struct metrics_reader *r, char *path, const struct metrics_sink *sink)
{
    if (strcmp(path, r->own) == 0 || strcmp(path, r->lines.path) == 0 ||
        strtab_get(r->known, str_of(path))) {
        free(path);
        return;
    }
    if (r->source_count == METRICS_FILES_MAX) {
        damage_once(&r->told_files, sink, path,
                    "more event files than the 1000 allowed; the rest is left out");
        free(path);
        return;
    }
    struct source *s = mem_alloc(sizeof *s);
    const char *slash = strrchr(path, '/');
    *s = (struct source){.path = path,
                         .prefix = slash ? (size_t)(slash + 1 - path) : 0,
                         .reader = eventfile_reader_new()};
    strtab_put(r->known, str_of(path), s);
    MEM_PUSH_ROOM(r->sources, r->source_count, r->source_cap);
    r->sources[r->source_count++] = s;
}

static void found_folder(struct metrics_reader *r, char *path, int depth,
                         const struct metrics_sink *sink)
{
    AUTO_FREE char *key = folder_key(path);
    bool known = strtab_get(r->known, str_of(key));
    if (!known && !str_is_utf8(str_of(path), NULL))
        damage_once(&r->told_names, sink, path, "a folder's name is not UTF-8; it is left out");
    else if (!known && r->folder_count == METRICS_FOLDERS_MAX)
        damage_once(&r->told_folders, sink, path,
                    "more folders than the 1000 allowed; the rest is left out");
    else if (!known && depth <= METRICS_DEPTH_MAX) {
        add_folder(r, path, depth);
        return;
    }
    free(path);
}

enum entry_kind { ENTRY_OTHER, ENTRY_FILE, ENTRY_FOLDER };

static enum entry_kind kind_of(int fd, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_REG ? ENTRY_FILE : e->d_type == DT_DIR ? ENTRY_FOLDER : ENTRY_OTHER;
    if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return ENTRY_OTHER;
    return S_ISREG(st.st_mode) ? ENTRY_FILE : S_ISDIR(st.st_mode) ? ENTRY_FOLDER : ENTRY_OTHER;
}

/* Adds what is new in the folder. */
static void scan(struct metrics_reader *r, struct folder *f, const struct metrics_sink *sink)
{
    int fd = open_below(r, f->path, O_DIRECTORY);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    const struct dirent *e;
    size_t count = 0;
    for (; (e = readdir(d)); count++) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (count > METRICS_ENTRIES_MAX) {
            damage_once(&r->told_entries, sink, *f->path ? f->path : r->directory,
                        "more entries than the 100000 allowed; the rest is left out");
            break;
        }
        enum entry_kind kind = kind_of(fd, e);
        if (kind == ENTRY_FILE && strstr(e->d_name, "tfevents"))
            found_file(r, *f->path ? fs_join(f->path, e->d_name) : mem_dup(e->d_name), sink);
        else if (kind == ENTRY_FOLDER)
            found_folder(r, *f->path ? fs_join(f->path, e->d_name) : mem_dup(e->d_name),
                         f->depth + 1, sink);
    }
    closedir(d);
    f->entries = count;
    r->looked += count;
}

static int by_path(const void *a, const void *b)
{
    const struct source *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static void forget_folder(struct metrics_reader *r, size_t i)
{
    struct folder *f = r->folders[i];
    AUTO_FREE char *key = folder_key(f->path);
    strtab_remove(r->known, str_of(key));
    r->folders[i] = r->folders[--r->folder_count];
    folder_free(f);
}

static bool has_changed(const struct folder *f, const struct stat *st)
{
    return !is_same_file(&f->seen, st) || f->seen.mtime.tv_sec != st->st_mtim.tv_sec ||
           f->seen.mtime.tv_nsec != st->st_mtim.tv_nsec;
}

/* Looks for new files; folders that are found on the way are looked through as well. `all`: also
 * where nothing seems to have changed. */
static void look(struct metrics_reader *r, bool all, bool final, const struct metrics_sink *sink)
{
    size_t files = r->source_count;
    r->looked = 0;
    for (size_t i = 0; i < r->folder_count;) {
        struct folder *f = r->folders[i];
        struct stat st;
        bool there = stat_below(r, f->path, i == 0, &st) == 0 && S_ISDIR(st.st_mode);
        if (!there && i > 0) {
            forget_folder(r, i);
            continue;
        }
        bool changed = there && has_changed(f, &st), large = f->entries > METRICS_ENTRIES_OFTEN;
        if (r->looked > METRICS_LOOK_MAX) {
            damage_once(&r->told_entries, sink, r->directory,
                        "more entries than the 1000000 looked at in one go; the rest is left out");
            break;
        }
        if (there && (final || (large ? all && changed : all || changed))) {
            f->seen = seen_of(&st, 0);
            scan(r, f, sink);
        }
        i++;
    }
    if (r->source_count > files)
        qsort(r->sources, r->source_count, sizeof *r->sources, by_path);
}

/* ---- reading ------------------------------------------------------------------------------ */

#define UNCHANGED (-1) /* or it cannot be read, which was told */
#define GONE (-2)

/* Opens a file that has changed since the last look: its descriptor, UNCHANGED or GONE. */
static int open_changed(struct telling *t, const struct seen *seen, bool anyway, bool *told,
                        struct stat *st)
{
    bool follow = !t->source;
    const char *path = name_of(t);
    if (stat_below(t->r, path, follow, st) == -1)
        return is_gone(errno) ? GONE : UNCHANGED;
    if (is_same_file(seen, st) && seen->size == st->st_size && !anyway)
        return UNCHANGED;
    if (!S_ISREG(st->st_mode)) {
        if (follow)
            damage_once(told, t->sink, path, "not a regular file");
        return UNCHANGED;
    }
    AUTO_FREE char *whole = follow ? fs_join(t->r->directory, path) : NULL;
    int fd = follow ? open(whole, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
                    : open_below(t->r, path, 0);
    if (fd < 0 && is_gone(errno))
        return GONE;
    if (fd < 0) {
        damage_once(told, t->sink, path, strerror(errno));
        return UNCHANGED;
    }
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    return UNCHANGED;
}

/* A negative count where it cannot be read, which is told. */
static ssize_t read_chunk(struct telling *t, int fd, off_t offset, bool *told)
{
    ssize_t n;
    if (!t->chunk)
        t->chunk = mem_alloc(CHUNK_SIZE);
    do
        n = pread(fd, t->chunk, CHUNK_SIZE, offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        damage_once(told, t->sink, name_of(t), strerror(errno));
    return n;
}

/* False: it has vanished. */
static bool read_events(struct telling *t, struct source *s, bool final)
{
    struct stat st;
    int fd = open_changed(t, &s->seen, false, &s->told, &st);
    if (fd < 0)
        return fd != GONE;
    if (!is_same_file(&s->seen, &st) || st.st_size < s->seen.size) {
        eventfile_reader_free(s->reader);
        s->reader = eventfile_reader_new();
        s->seen.size = 0;
    }
    const struct eventfile_sink sink = {tell_point, tell_restart, t};
    off_t offset = s->seen.size, until = final ? st.st_size : offset + METRICS_POLL_MAX;
    while (offset < st.st_size && offset < until) {
        struct err err;
        ssize_t n = read_chunk(t, fd, offset, &s->told);
        if (n <= 0)
            break;
        offset += n;
        if (eventfile_reader_add(s->reader, (struct str){t->chunk, (size_t)n}, &sink, &err) == 0)
            continue;
        damage(t->sink, mem_printf("%s: %s; the rest is left out", s->path, err.msg));
        offset = st.st_size;
    }
    s->seen = seen_of(&st, offset);
    close(fd);
    return true;
}

static void restart_lines(const struct metrics_reader *r, struct lines *l)
{
    jsonlines_free(l->reader);
    l->reader = jsonlines_new(l->path);
    for (size_t i = 0; i < r->kept.count; i++)
        jsonlines_keep(l->reader, r->kept.items[i]);
    l->offset = 0;
    l->seen = (struct seen){0};
}

static void read_lines(struct telling *t, struct lines *l, bool final)
{
    struct stat st;
    const struct metrics_sink sink = {tell_point, NULL, tell_damage, t};
    int fd = open_changed(t, &l->seen, final, &l->told, &st);
    if (fd == GONE && l->seen.inode)
        restart_lines(t->r, l);
    if (fd < 0)
        return;
    if (!is_same_file(&l->seen, &st) || st.st_size < l->seen.size)
        restart_lines(t->r, l);
    off_t until = l->offset + METRICS_POLL_MAX;
    bool whole = true;
    for (bool end = false; !end;) {
        whole = final || l->offset < until;
        if (!whole)
            break;
        if (l->offset > METRICS_LINES_MAX) {
            damage_once(&l->told, t->sink, l->path,
                        "longer than the 1 GiB allowed; the rest is left out");
            break;
        }
        ssize_t n = read_chunk(t, fd, l->offset, &l->told);
        if (n < 0)
            break;
        end = n == 0 || l->offset + n >= st.st_size;
        struct str bytes = {t->chunk, (size_t)n};
        size_t taken = jsonlines_add(l->reader, bytes, final && end, &sink);
        l->offset += (off_t)taken;
        if (taken == 0)
            break; /* a line whose end has not come */
    }
    l->seen = seen_of(&st, whole ? st.st_size : l->offset);
    close(fd);
}

static void forget_source(struct metrics_reader *r, size_t i)
{
    struct source *s = r->sources[i];
    strtab_remove(r->known, str_of(s->path));
    memmove(&r->sources[i], &r->sources[i + 1], (--r->source_count - i) * sizeof *r->sources);
    source_free(s);
}

void metrics_reader_poll(struct metrics_reader *r, bool final, const struct metrics_sink *sink)
{
    struct telling t = {.r = r, .sink = sink};
    look(r, final || r->polls++ % RESCAN_POLLS == 0, final, sink);
    for (size_t i = 0; i < r->source_count;) {
        t.source = r->sources[i];
        if (read_events(&t, r->sources[i], final))
            i++;
        else
            forget_source(r, i);
    }
    t.source = NULL;
    read_lines(&t, &r->lines, final);
    free(t.chunk);
    buf_done(&t.tag);
}

/* See image.h. Built beside its final place and renamed when it is whole, under a lock that a
 * second builder waits for; what a killed builder left is removed by the next. */
#include "sandbox/image.h"
#include "base/buf.h"
#include "base/mem.h"
#include "os/fs.h"
#include "os/lock.h"
#include "sandbox/child.h"
#include "sandbox/image_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SUITE "bookworm"
#define BUILD_TIMEOUT (20 * USEC_PER_MIN)
#define LOCK_EVERY (500 * USEC_PER_MSEC)
#define SOURCES_MAX ((size_t)1 << 20)
#define FILE_MAX ((size_t)16 << 20)

static void say(const struct image_options *o, const char *line)
{
    if (o->progress)
        o->progress(o->progress_ctx, line);
}

/* ---- the machine's apt sources --------------------------------------------------------------- */

static bool has_word(struct str text, const char *word)
{
    while (text.p) {
        struct str w = str_cut(&text, ' ');
        if (str_is(str_trim(w), word))
            return true;
    }
    return false;
}

static bool is_debian(struct str words)
{
    return (has_word(words, SUITE) || has_word(words, SUITE "-updates") ||
            has_word(words, SUITE "-security")) &&
           has_word(words, "main");
}

/* One-line sources: the lines of Debian's own suites. */
static void pick_lines(struct str text, struct buf *out)
{
    while (text.p) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (!str_starts(line, "deb ") || !is_debian(line))
            continue;
        buf_add_str(out, line);
        buf_addc(out, '\n');
    }
}

/* deb822 sources: the stanzas of Debian's own suites, as one-line sources would mix with neither.
 */
static void pick_stanzas(struct str text, struct buf *out)
{
    AUTO_BUF struct buf stanza = {0};
    AUTO_BUF struct buf words = {0};
    bool go_on = true;
    while (go_on) {
        struct str line = str_cut(&text, '\n');
        go_on = text.p != NULL;
        struct str trimmed = str_trim(line);
        if (trimmed.n && trimmed.p[0] != '#') {
            buf_add_str(&stanza, line);
            buf_addc(&stanza, '\n');
            struct str value = trimmed;
            struct str key = str_cut(&value, ':');
            if (str_is(key, "Suites") || str_is(key, "Components") || str_is(key, "Types"))
                buf_addf(&words, " %.*s", STR_FMT(str_trim(value)));
        }
        if (trimmed.n && go_on)
            continue;
        if (is_debian(buf_view(&words)) && has_word(buf_view(&words), "deb"))
            buf_addf(out, "%s\n", buf_text(&stanza));
        buf_clear(&stanza);
        buf_clear(&words);
    }
}

/* Two files below dir, in apt's two formats: only what is Debian's, so that another vendor's
 * source, which may not be reachable, cannot break the image. */
static void pick_sources(struct buf *lines, struct buf *stanzas)
{
    AUTO_BUF struct buf text = {.max = SOURCES_MAX};
    if (fs_read("/etc/apt/sources.list", SOURCES_MAX, &text, NULL) == 0)
        pick_lines(buf_view(&text), lines);
    DIR *d = opendir("/etc/apt/sources.list.d");
    if (!d)
        return;
    const struct dirent *e;
    while ((e = readdir(d))) {
        struct str name = str_of(e->d_name);
        bool is_list = str_ends(name, ".list"), is_deb822 = str_ends(name, ".sources");
        if (!is_list && !is_deb822)
            continue;
        AUTO_FREE char *path = fs_join("/etc/apt/sources.list.d", e->d_name);
        buf_clear(&text);
        if (fs_read(path, SOURCES_MAX, &text, NULL) == -1)
            continue;
        if (is_list)
            pick_lines(buf_view(&text), lines);
        else
            pick_stanzas(buf_view(&text), stanzas);
    }
    closedir(d);
}

static int write_sources(const char *dir, struct strv *argv, struct err *err)
{
    AUTO_BUF struct buf lines = {0};
    AUTO_BUF struct buf stanzas = {0};
    pick_sources(&lines, &stanzas);
    const struct {
        const char *name;
        const struct buf *text;
    } files[] = {{"apt.list", &lines}, {"apt.sources", &stanzas}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        if (!files[i].text->len)
            continue;
        AUTO_FREE char *path = fs_join(dir, files[i].name);
        if (fs_write_atomic(path, 0644, buf_view(files[i].text), err) == -1)
            return -1;
        strv_add(argv, path);
    }
    return 0;
}

/* ---- building -------------------------------------------------------------------------------- */

static void on_line(void *ctx, const char *line)
{
    struct build *b = ctx;
    if (strncmp(line, "I: ", 3) == 0 || strncmp(line, "E: ", 3) == 0)
        say(b->o, line + 3);
}

static void on_done(void *ctx, int exit_status, const char *output)
{
    struct build *b = ctx;
    b->done = true;
    b->exit_status = exit_status;
    buf_adds(&b->output, output);
}

static bool is_done(void *ctx)
{
    const struct build *b = ctx;
    return b->done;
}

int image_run(struct build *b, const char *const *argv, struct err *err)
{
    b->done = false;
    buf_clear(&b->output);
    struct child *c = child_start(b->o->loop, argv, on_line, on_done, b);
    if (loop_wait(b->o->loop, is_done, b, BUILD_TIMEOUT, err) == -1) {
        child_kill(c);
        loop_shield(b->o->loop);
        (void)!loop_wait(b->o->loop, is_done, b, USEC_FOREVER, NULL);
        loop_unshield(b->o->loop);
        return err_wrap(err, "'%s'", argv[0]);
    }
    return 0;
}

static int run_mmdebstrap(struct build *b, const char *root, struct err *err)
{
    AUTO_FREE char *include = mem_printf("--include=%s", image_packages);
    AUTO_STRV struct strv args = {0};
    strv_add(&args, "mmdebstrap");
    strv_add(&args, "--mode=root");
    strv_add(&args, "--variant=apt");
    strv_add(&args, include);
    strv_add(&args, SUITE);
    strv_add(&args, root);
    if (write_sources(b->dir, &args, err) == -1)
        return -1;
    AUTO_FREE const char **argv = mem_array(args.count + 1, sizeof *argv);
    for (size_t i = 0; i < args.count; i++)
        argv[i] = args.items[i];
    if (image_run(b, argv, err) == -1)
        return -1;
    if (b->exit_status == 0)
        return 0;
    struct str said = str_trim(buf_view(&b->output));
    if (b->exit_status == -1 && strstr(buf_text(&b->output), "cannot run"))
        return err_set(err, ERR_NOT_FOUND,
                       "'mmdebstrap' is not installed; type: sudo apt-get install mmdebstrap");
    /* The last lines hold the cause. */
    if (said.n > 600) {
        said.p += said.n - 600;
        said.n = 600;
    }
    return err_set(err, ERR_UNREACHABLE,
                   "the image cannot be built: mmdebstrap failed; it needs Debian's package mirror "
                   "once, so try 'sudo apt-get update' first (or choose ghosts, which need no "
                   "image): %.*s",
                   STR_FMT(said));
}

static int write_file(const char *root, const struct image_file *f, struct err *err)
{
    AUTO_FREE char *path = fs_join(root, f->path);
    AUTO_FREE char *dir = mem_dup(path);
    *strrchr(dir, '/') = '\0';
    if (!f->text)
        return fs_remove_tree(path, err);
    if (fs_mkdirs(dir, 0755, err) == -1)
        return -1;
    if (f->link) {
        if (fs_remove_tree(path, err) == -1)
            return -1;
        if (symlink(f->link, path) == -1)
            return err_set_sys(err, errno, "cannot make the link '%s'", path);
        return 0;
    }
    if (fs_write_atomic(path, f->mode, str_of(f->text), err) == -1)
        return -1;
    if (chmod(path, f->mode) == -1)
        return err_set_sys(err, errno, "cannot change the mode of '%s'", path);
    return 0;
}

static int write_files(const char *root, const struct image_file *files, struct err *err)
{
    for (; files->path; files++) {
        if (write_file(root, files, err) == -1)
            return -1;
    }
    return 0;
}

/* Lets cloud-init know our metadata service for EC2's; see image_priv.h. */
static int point_at_uuid(const char *root, struct err *err)
{
    AUTO_FREE char *path = fs_join(root, IMAGE_EC2_SOURCE);
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, FILE_MAX, &text, err) == -1)
        return -1;
    const char *at = strstr(buf_text(&text), IMAGE_UUID_FROM);
    if (!at)
        return err_set(err, ERR_INTERNAL, "this cloud-init does not look for %s", IMAGE_UUID_FROM);
    AUTO_BUF struct buf changed = {0};
    buf_add(&changed, text.data, (size_t)(at - text.data));
    buf_adds(&changed, IMAGE_UUID_TO);
    buf_adds(&changed, at + strlen(IMAGE_UUID_FROM));
    return fs_write_atomic(path, 0644, buf_view(&changed), err);
}

static int copy_systemctl(const char *root, const char *light, struct err *err)
{
    AUTO_FREE char *from = fs_join(root, "usr/bin/systemctl");
    AUTO_FREE char *to = fs_join(light, IMAGE_SYSTEMCTL);
    AUTO_BUF struct buf bytes = {0};
    AUTO_FREE char *dir = mem_dup(to);
    *strrchr(dir, '/') = '\0';
    if (fs_read(from, FILE_MAX, &bytes, err) == -1 || fs_mkdirs(dir, 0755, err) == -1)
        return -1;
    return fs_write_atomic(to, 0755, buf_view(&bytes), err);
}

static int build(const struct image_options *o, const char *path, struct err *err)
{
    struct build b = {.o = o, .dir = mem_printf("%s.tmp", path)};
    AUTO_FREE char *dir = b.dir;
    AUTO_FREE char *root = fs_join(dir, "root");
    AUTO_FREE char *light = fs_join(dir, "light");
    say(o, "building the image of the hosts from Debian's packages, once, about a minute");
    mode_t mask = umask(022);
    int rc = -1;
    if (fs_remove_tree(dir, err) == 0 && fs_mkdirs(dir, 0755, err) == 0 &&
        run_mmdebstrap(&b, root, err) == 0 && point_at_uuid(root, err) == 0 &&
        write_files(root, image_root_files, err) == 0 &&
        image_add_tensorboard(&b, root, err) == 0 && fs_mkdirs(light, 0755, err) == 0 &&
        copy_systemctl(root, light, err) == 0 && write_files(light, image_light_files, err) == 0)
        rc = rename(dir, path) == 0 ? 0
                                    : err_set_sys(err, errno, "cannot name the image '%s'", path);
    umask(mask);
    buf_done(&b.output);
    if (rc == -1)
        (void)!fs_remove_tree(dir, NULL);
    else
        say(o, "the image is ready");
    return rc;
}

/* Takes the builders' lock, or finds that another builder has finished meanwhile. */
static int wait_for_lock(const struct image_options *o, const char *path, struct lock **out,
                         struct err *err)
{
    AUTO_FREE char *lock_path = mem_printf("%s.lock", path);
    for (bool told = false;; told = true) {
        struct err why = {0};
        if (lock_take(lock_path, out, &why) == 0)
            return 0;
        if (why.code != ERR_CONFLICT)
            return err_copy(err, &why);
        if (!told)
            say(o, "another process builds the image: waiting for it");
        if (loop_pause(o->loop, LOCK_EVERY, err) == -1)
            return -1;
    }
}

static int check_place(const char *cache_dir, struct err *err)
{
    struct statvfs fs;
    if (statvfs(cache_dir, &fs) == -1)
        return err_set_sys(err, errno, "cannot look at '%s'", cache_dir);
    if (fs.f_flag & (ST_NOSUID | ST_NODEV))
        return err_set(err, ERR_PERMISSION,
                       "'%s' is mounted nosuid or nodev, where no host can have sudo; set "
                       "XDG_CACHE_HOME to another place",
                       cache_dir);
    return 0;
}

int image_ensure(const struct image_options *o, struct image *out, struct err *err)
{
    AUTO_FREE char *path = mem_printf("%s/image-" IMAGE_VERSION, o->cache_dir);
    if (fs_mkdirs(o->cache_dir, 0755, err) == -1 || check_place(o->cache_dir, err) == -1)
        return -1;
    if (!fs_exists(path)) {
        struct lock *lock;
        if (wait_for_lock(o, path, &lock, err) == -1)
            return -1;
        int rc = fs_exists(path) ? 0 : build(o, path, err);
        lock_release(lock);
        if (rc == -1)
            return -1;
    }
    out->root = fs_join(path, "root");
    out->light = fs_join(path, "light");
    return 0;
}

void image_done(struct image *i)
{
    mem_freep(&i->root);
    mem_freep(&i->light);
}

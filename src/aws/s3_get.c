/* See s3.h: objects into files, several at once. All is decided on the main path, between waits, so
 * that fresh credentials may be fetched there.
 *
 * Keys come from whoever may write to the bucket: each is checked part by part before the first
 * byte is asked for, and part files are named by digests. */
#include "aws/s3.h"
#include "aws/s3_priv.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/strtab.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET "GetObject"
#define NAME_PART_MAX 255 /* bytes between two '/': Linux's NAME_MAX */
#define DONE_MAX ((size_t)256 << 20)

/* One object on its way. */
struct slot {
    struct get *get;
    size_t index;
    bool busy;
    struct download *download; /* NULL: between tries */
    struct s3_tries tries;
    usec_t not_before; /* mono */
    uint64_t so_far, best;
};

/* Where the object with this index goes; the caller frees both. *part NULL: beside the file. */
typedef int place_fn(void *ctx, size_t index, char **path, char **part, struct err *err);

struct get {
    struct s3_bucket *b;
    const struct s3_object *objects;
    size_t count, next, left;
    place_fn *place;
    int (*done)(void *ctx, size_t index, const struct download_result *r, struct err *err);
    void *ctx;
    download_progress_fn *progress;
    void *progress_ctx;
    uint64_t settled, total; /* bytes */
    usec_t wake;             /* mono: the next try is due */
    struct slot slots[S3_IN_FLIGHT];
};

static usec_t now(const struct get *g)
{
    return clock_mono(loop_clock(g->b->aws->loop));
}

static void on_progress(void *ctx, uint64_t so_far, uint64_t total)
{
    struct slot *s = ctx;
    struct get *g = s->get;
    s->so_far = so_far;
    if (!g->progress)
        return;
    uint64_t sum = g->settled;
    for (size_t i = 0; i < S3_IN_FLIGHT; i++)
        sum += g->slots[i].so_far;
    g->progress(g->progress_ctx, sum, g->total ? g->total : total);
}

static int send_slot(struct slot *s, struct err *err)
{
    struct get *g = s->get;
    AUTO_FREE char *path = NULL, *part = NULL, *identity = NULL;
    const char *key = g->objects[s->index].key;
    struct http *http = aws_http(g->b->aws, err);
    if (!http || g->place(g->ctx, s->index, &path, &part, err) == -1)
        return -1;
    struct s3_request q;
    if (s3_request_make(g->b, key, "", &q, err) == -1)
        return -1;
    /* by the bucket's name, not by the URL, which changes with the region */
    identity = mem_printf("s3://%s/", g->b->name);
    AUTO_BUF struct buf whole = {0};
    buf_adds(&whole, identity);
    for (const char *p = key; *p; p++) /* on one line */
        buf_addf(&whole, *p == '\n' ? "%%0A" : "%c", *p);
    struct download_order o = {.url = q.url,
                               .headers = q.lines,
                               .path = path,
                               .part = part,
                               .identity = buf_text(&whole),
                               .progress = on_progress,
                               .ctx = s};
    s->tries.attempt++;
    s->tries.sent = now(g);
    s->download = download_start(http, &o, err);
    s3_request_done(&q);
    return s->download ? 0 : -1;
}

/* Takes in what ended; sets when to try again. */
static int settle_slot(struct slot *s, struct err *err)
{
    struct get *g = s->get;
    CLEANUP(http_response_done) struct http_response answer = {0};
    CLEANUP(download_result_done) struct download_result got = {0};
    struct err why = {0};
    usec_t delay;
    int rc = download_end(TAKE(s->download), &answer, &got, &why);
    if (rc == 0 && answer.status == 200) {
        s3_succeeded(g->b, &s->tries, GET, 200);
        g->settled += got.size;
        g->left--;
        s->busy = false;
        s->so_far = 0;
        return g->done ? g->done(g->ctx, s->index, &got, err) : 0;
    }
    if (rc == 0)
        s3_set_error(&answer, &why);
    if (s->so_far > s->best) { /* the next try has less to do */
        s->best = s->so_far;
        s->tries.retry = (struct retry){0};
    }
    if (!s3_again(g->b, &s->tries, GET, rc == 0 ? &answer : NULL, &why, &delay)) {
        err_wrap(&why, "s3://%s/%.200s", g->b->name, g->objects[s->index].key);
        return err_copy(err, &why);
    }
    s->not_before = now(g) + delay;
    return 0;
}

/* Sends what is due, and says when the next is. */
static int feed(struct get *g, struct err *err)
{
    g->wake = USEC_FOREVER;
    for (size_t i = 0; i < S3_IN_FLIGHT; i++) {
        struct slot *s = &g->slots[i];
        if (!s->busy && g->next < g->count)
            *s = (struct slot){.get = g, .index = g->next++, .busy = true};
        if (!s->busy || s->download)
            continue;
        if (s->not_before <= now(g)) {
            if (send_slot(s, err) == -1)
                return -1;
        } else if (s->not_before < g->wake) {
            g->wake = s->not_before;
        }
    }
    return 0;
}

static bool any_ended(void *ctx)
{
    const struct get *g = ctx;
    for (size_t i = 0; i < S3_IN_FLIGHT; i++)
        if (g->slots[i].download && download_ended(g->slots[i].download))
            return true;
    return false;
}

static int run(struct get *g, struct err *err)
{
    while (g->left) {
        if (feed(g, err) == -1)
            return -1;
        usec_t span = g->wake == USEC_FOREVER ? USEC_FOREVER : g->wake - now(g);
        struct err why = {0};
        if (loop_wait(g->b->aws->loop, any_ended, g, span > 0 ? span : 1, &why) == -1 &&
            why.code != ERR_TIMEOUT)
            return err_copy(err, &why);
        for (size_t i = 0; i < S3_IN_FLIGHT; i++) {
            struct slot *s = &g->slots[i];
            if (s->download && download_ended(s->download) && settle_slot(s, err) == -1)
                return -1;
        }
    }
    return 0;
}

static int get_all(struct get *g, struct err *err)
{
    g->left = g->count;
    int rc = run(g, err);
    for (size_t i = 0; i < S3_IN_FLIGHT; i++)
        download_cancel(g->slots[i].download);
    return rc;
}

/* ---- one object -------------------------------------------------------------------------------
 */

struct one {
    const char *path;
    struct download_result result;
};

static int place_one(void *ctx, size_t index, char **path, char **part, struct err *err)
{
    (void)index, (void)part, (void)err;
    *path = mem_dup(((struct one *)ctx)->path);
    return 0;
}

static int done_one(void *ctx, size_t index, const struct download_result *r, struct err *err)
{
    (void)index, (void)err;
    struct one *one = ctx;
    one->result = (struct download_result){mem_dup(r->etag), r->size};
    return 0;
}

int s3_get(struct s3_bucket *b, const char *key, const char *path, download_progress_fn *progress,
           void *ctx, struct download_result *out, struct err *err)
{
    struct s3_object object = {.key = (char *)key};
    struct one one = {.path = path};
    struct get g = {.b = b,
                    .objects = &object,
                    .count = 1,
                    .place = place_one,
                    .done = done_one,
                    .ctx = &one,
                    .progress = progress,
                    .progress_ctx = ctx};
    if (get_all(&g, err) == -1)
        return -1;
    *out = one.result;
    return 0;
}

/* ---- all below a prefix -----------------------------------------------------------------------
 */

struct tree {
    const char *directory;
    char *parts;       /* the directory of part files */
    char *done_path;   /* the list of what is there, one digest a line */
    size_t prefix_len; /* of each key: cut off */
    const struct s3_object *objects;
    struct s3_object *files; /* those to fetch; their strings are `objects`' */
    size_t file_count;
    int done_fd;
};

static int check_part(struct str part, const char *key, struct err *err)
{
    if (part.n == 0 || str_is(part, ".") || str_is(part, "..") || part.n > NAME_PART_MAX)
        return err_set(err, ERR_REJECTED,
                       "the object's key '%.300s' cannot be a file's path: rename the object, or "
                       "name a prefix without it",
                       key);
    return 0;
}

/* What may be a path below the directory; a '/' at the end is a directory's. */
static int check_key(const char *key, const char *prefix, struct err *err)
{
    if (!str_starts(str_of(key), prefix))
        return err_set(err, ERR_PARSE, "the listing holds '%.300s', which was not asked for", key);
    struct str rest = str_of(key + strlen(prefix));
    if (rest.n && str_ends(rest, "/"))
        rest.n--;
    else if (rest.n == 0) /* the prefix is an object itself: a directory's marker */
        return 0;
    while (rest.p)
        if (check_part(str_cut(&rest, '/'), key, err) == -1)
            return -1;
    return 0;
}

/* Stands for this object in this state. */
static void object_digest(const struct s3_object *o, char out[SHA256_HEX_SIZE])
{
    AUTO_BUF struct buf text = {0};
    buf_addf(&text, "%s%c%s%c%llu", o->key, 0, o->etag ? o->etag : "", 0,
             (unsigned long long)o->size);
    digest_sha256_hex(buf_view(&text), out);
}

static char *file_path(const struct tree *t, const char *key)
{
    return fs_join(t->directory, key + t->prefix_len);
}

static int make_directory_of(const char *path, struct err *err)
{
    AUTO_FREE char *directory = mem_dup(path);
    *strrchr(directory, '/') = '\0';
    return fs_mkdirs(directory, 0777, err);
}

static int place_in_tree(void *ctx, size_t index, char **path, char **part, struct err *err)
{
    struct tree *t = ctx;
    char name[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(t->files[index].key), name);
    AUTO_FREE char *file = file_path(t, t->files[index].key);
    if (make_directory_of(file, err) == -1)
        return -1;
    *part = fs_join(t->parts, name);
    *path = TAKE(file);
    return 0;
}

static int done_in_tree(void *ctx, size_t index, const struct download_result *r, struct err *err)
{
    (void)r;
    struct tree *t = ctx;
    char line[SHA256_HEX_SIZE];
    object_digest(&t->files[index], line);
    line[SHA256_HEX_SIZE - 1] = '\n';
    if (write(t->done_fd, line, sizeof line) != (ssize_t)sizeof line)
        return err_set_sys(err, errno, "cannot write '%s'", t->done_path);
    return 0;
}

/* The objects that are not there yet, in their state of now. Directories are made right here. */
static int choose_files(struct tree *t, size_t count, uint64_t *total, struct err *err)
{
    AUTO_BUF struct buf text = {.max = DONE_MAX + 1};
    CLEANUP(strtab_freep) struct strtab *done = strtab_new();
    if (fs_read(t->done_path, DONE_MAX, &text, NULL) == 0) {
        struct str rest = buf_view(&text);
        while (rest.p && rest.n)
            strtab_put(done, str_cut(&rest, '\n'), t);
    }
    t->files = mem_array(count ? count : 1, sizeof *t->files);
    for (size_t i = 0; i < count; i++) {
        const struct s3_object *o = &t->objects[i];
        char digest[SHA256_HEX_SIZE];
        AUTO_FREE char *path = file_path(t, o->key);
        if (path[strlen(path) - 1] == '/') {
            if (fs_mkdirs(path, 0777, err) == -1)
                return -1;
            continue;
        }
        object_digest(o, digest);
        if (strtab_get(done, str_of(digest)) && fs_exists(path))
            continue;
        *total += o->size;
        t->files[t->file_count++] = *o;
    }
    return 0;
}

static int fetch_tree(struct tree *t, struct get *g, size_t count, struct err *err)
{
    if (fs_mkdirs(t->directory, 0777, err) == -1 || fs_mkdirs(t->parts, 0777, err) == -1 ||
        choose_files(t, count, &g->total, err) == -1)
        return -1;
    t->done_fd = open(t->done_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (t->done_fd < 0)
        return err_set_sys(err, errno, "cannot write '%s'", t->done_path);
    g->objects = t->files;
    g->count = t->file_count;
    if (get_all(g, err) == -1)
        return -1;
    return fs_remove_tree(t->parts, err);
}

int s3_get_tree(struct s3_bucket *b, const char *prefix, const struct s3_objects *objects,
                const char *directory, download_progress_fn *progress, void *ctx, struct err *err)
{
    for (size_t i = 0; i < objects->count; i++)
        if (check_key(objects->items[i].key, prefix, err) == -1)
            return err_wrap(err, "s3://%s/%.200s", b->name, prefix);
    struct tree t = {.directory = directory,
                     .parts = mem_printf("%s.parts", directory),
                     .prefix_len = strlen(prefix),
                     .objects = objects->items,
                     .done_fd = -1};
    t.done_path = fs_join(t.parts, "done");
    struct get g = {.b = b,
                    .place = place_in_tree,
                    .done = done_in_tree,
                    .ctx = &t,
                    .progress = progress,
                    .progress_ctx = ctx};
    int rc = fetch_tree(&t, &g, objects->count, err);
    if (t.done_fd >= 0)
        close(t.done_fd);
    free(t.parts);
    free(t.done_path);
    free(t.files);
    return rc;
}

/* ---- what a URL names -------------------------------------------------------------------------
 */

void s3_fetched_done(struct s3_fetched *f)
{
    free(f->etag);
    *f = (struct s3_fetched){0};
}

static int fetch_prefix(struct s3_bucket *b, const char *prefix, const char *destination,
                        download_progress_fn *progress, void *ctx, struct s3_fetched *out,
                        struct err *err)
{
    struct s3_objects objects = {0};
    if (s3_list(b, prefix, &objects, err) == -1)
        return -1;
    int rc = -1;
    if (objects.count == 0)
        err_set(err, ERR_NOT_FOUND, "there is nothing at 's3://%s/%s'", b->name, prefix);
    else
        rc = s3_get_tree(b, prefix, &objects, destination, progress, ctx, err);
    if (rc == 0) {
        *out = (struct s3_fetched){.is_tree = true, .count = objects.count};
        for (size_t i = 0; i < objects.count; i++)
            out->size += objects.items[i].size;
    }
    s3_objects_done(&objects);
    return rc;
}

static int fetch(struct s3_bucket *b, const char *key, const char *destination,
                 download_progress_fn *progress, void *ctx, struct s3_fetched *out, struct err *err)
{
    if (*key == '\0' || str_ends(str_of(key), "/"))
        return fetch_prefix(b, key, destination, progress, ctx, out, err);
    struct download_result got;
    struct err why = {0}, none = {0};
    if (s3_get(b, key, destination, progress, ctx, &got, &why) == 0) {
        *out = (struct s3_fetched){.etag = got.etag, .size = got.size, .count = 1};
        return 0;
    }
    if (why.code != ERR_NOT_FOUND || strcmp(why.origin, "NoSuchBucket") == 0)
        return err_copy(err, &why);
    AUTO_FREE char *prefix = mem_printf("%s/", key);
    if (fetch_prefix(b, prefix, destination, progress, ctx, out, &none) == 0)
        return 0;
    if (none.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no object 's3://%s/%s', and none below it",
                       b->name, key);
    return err_copy(err, &none);
}

int s3_fetch(struct aws *aws, const char *url, const char *destination,
             download_progress_fn *progress, void *ctx, struct s3_fetched *out, struct err *err)
{
    AUTO_FREE char *bucket = NULL, *key = NULL;
    struct s3_bucket *b;
    if (s3_parse_url(url, &bucket, &key, err) == -1 || s3_open(aws, bucket, &b, err) == -1)
        return -1;
    int rc = fetch(b, key, destination, progress, ctx, out, err);
    s3_close(b);
    return rc;
}

/* See fetch.h. */
#include "experiment/fetch.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"
#include "os/fs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_MAX ((size_t)64 << 10)
#define NAME_MAX_KEPT 100 /* bytes of a name that is made a file's name */

/* A file's name of any text: what a name or URL may hold and a file's name should not becomes '_'.
 * A long one, and one that lost something, gets a digest behind it where `exact` asks for names
 * that differ. */
static char *file_name(struct str s, bool exact)
{
    AUTO_BUF struct buf name = {0};
    char digest[SHA256_HEX_SIZE];
    bool changed = s.n > NAME_MAX_KEPT;
    for (size_t i = 0; i < s.n && i < NAME_MAX_KEPT; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool odd = c < ' ' || c == 0x7f || strchr("/\\:*?\"<>|", c);
        changed = changed || odd;
        buf_addc(&name, odd ? '_' : (char)c);
    }
    digest_sha256_hex(s, digest);
    if (exact && changed)
        buf_addf(&name, "-%.12s", digest);
    if (name.len == 0 || strspn(buf_text(&name), ".") == name.len)
        return mem_dup("data");
    return buf_take(&name);
}

/* The last part of a URL's path: programs look at how a file's name ends. */
static char *url_file_name(const char *url)
{
    const char *path = strstr(url, "://");
    path = path ? path + 3 : url;
    bool s3 = str_starts(str_of(url), "s3://"); /* whose keys may hold any byte */
    struct str rest = {path, s3 ? strlen(path) : strcspn(path, "?#")};
    struct str last = {NULL, 0};
    (void)str_cut(&rest, '/'); /* the host or the bucket */
    while (rest.p) {
        struct str part = str_cut(&rest, '/');
        if (part.n)
            last = part;
    }
    return file_name(last, false);
}

struct place {
    char *directory; /* resources/NAME */
    char *record;    /* resources/NAME.json */
    char *file;      /* resources/NAME/FILE */
};

static void place_done(struct place *p)
{
    free(p->directory);
    free(p->record);
    free(p->file);
}

static void find_place(const char *directory, const struct resource *r, struct place *out)
{
    AUTO_FREE char *all = fs_join(directory, "resources");
    AUTO_FREE char *name = file_name(str_of(r->name), true);
    AUTO_FREE char *file = url_file_name(r->location);
    out->directory = fs_join(all, name);
    out->record = mem_printf("%s/%s.json", all, name);
    out->file = fs_join(out->directory, file);
}

/* Whether what the record tells of is there, and is of this URL. */
static bool is_there(const struct place *p, const char *url)
{
    AUTO_BUF struct buf text = {0};
    json_auto_t *record = NULL;
    struct stat st;
    if (fs_read(p->record, RECORD_MAX, &text, NULL) == -1 ||
        json_parse(buf_view(&text), RECORD_MAX, &record, NULL) == -1)
        return false;
    const char *recorded = json_text(record, "url");
    if (!recorded || strcmp(recorded, url) != 0 ||
        !json_is_true(json_object_get(record, "whole")) || stat(p->file, &st) == -1)
        return false;
    return S_ISDIR(st.st_mode) ||
           (json_int_t)st.st_size == json_integer_value(json_object_get(record, "size"));
}

/* `f` is NULL while it is fetched: what is half there is this URL's. */
static int write_record(const struct place *p, const char *url, const struct fetched *f,
                        struct err *err)
{
    AUTO_BUF struct buf text = {0};
    json_auto_t *record =
        json_pack("{s:o, s:o, s:I, s:o, s:b}", "url", json_lossy(url), "etag",
                  json_lossy(f ? f->etag : NULL), "size", f ? (json_int_t)f->size : 0, "file",
                  json_lossy(strrchr(p->file, '/') + 1), "whole", f != NULL);
    json_write(record, true, &text);
    return fs_write_atomic(p->record, 0666, buf_view(&text), err);
}

/* What `fetch_progress_fn` needs to tell of the resource. */
struct watching {
    const struct fetch_watch *watch;
    const struct resource *resource;
};

static void on_progress(void *ctx, uint64_t so_far, uint64_t total)
{
    const struct watching *w = ctx;
    w->watch->progress(w->watch->ctx, w->resource, so_far, total);
}

/* Another URL's bytes, from a time when the file said otherwise, are in the way. */
static int clear_other(const struct place *p, const char *url, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    json_auto_t *record = NULL;
    if (fs_read(p->record, RECORD_MAX, &text, NULL) == -1)
        return 0;
    const char *recorded = json_parse(buf_view(&text), RECORD_MAX, &record, NULL) == 0
                               ? json_text(record, "url")
                               : NULL;
    if (recorded && strcmp(recorded, url) == 0)
        return 0;
    if (fs_remove_tree(p->directory, err) == -1)
        return -1;
    return fs_remove_tree(p->record, err);
}

/* What the net says, without the URL's secrets. */
static int tell(struct err *why, const char *url, struct err *err)
{
    AUTO_BUF struct buf clean = {0};
    url_mask_of(str_of(url), str_of(why->msg), &clean);
    snprintf(why->msg, sizeof why->msg, "%s", buf_text(&clean));
    return err_copy(err, why);
}

static int fetch_one(const struct resource *r, const char *directory, const struct fetcher *fetcher,
                     const struct fetch_watch *watch, struct strv *paths, struct err *err)
{
    CLEANUP(place_done) struct place p = {0};
    struct fetched f = {0};
    struct watching w = {watch, r};
    AUTO_FREE char *url = url_masked(r->location);
    find_place(directory, r, &p);
    if (!is_there(&p, url)) {
        if (clear_other(&p, url, err) == -1 || fs_mkdirs(p.directory, 0777, err) == -1 ||
            write_record(&p, url, NULL, err) == -1)
            return -1;
        if (watch && watch->begin)
            watch->begin(watch->ctx, r);
        struct err why = {0};
        if (fetcher->fetch(fetcher->ctx, r->location, p.file,
                           watch && watch->progress ? on_progress : NULL, &w, &f, &why) == -1)
            return tell(&why, r->location, err);
        int rc = write_record(&p, url, &f, err);
        free(f.etag);
        if (rc == -1)
            return -1;
        if (watch && watch->end)
            watch->end(watch->ctx, r, f.size);
    }
    char *absolute = realpath(p.file, NULL);
    if (!absolute)
        return err_set_sys(err, errno, "cannot find '%s'", p.file);
    strv_take(paths, absolute);
    return 0;
}

static int local_path(const struct resource *r, struct strv *paths, struct err *err)
{
    AUTO_FREE char *path = fs_expand_home(r->location);
    char *absolute = realpath(path, NULL);
    if (!absolute)
        return err_set(err, ERR_NOT_FOUND, "there is no '%s'", r->location);
    strv_take(paths, absolute);
    return 0;
}

int resources_fetch(const struct experiment *e, const char *directory,
                    const struct fetcher *fetcher, const struct fetch_watch *watch,
                    struct strv *paths, struct err *err)
{
    AUTO_STRV struct strv found = {0};
    for (size_t i = 0; i < e->resource_count; i++) {
        const struct resource *r = &e->resources[i];
        int rc = 0;
        if (r->kind == RESOURCE_CLUSTER)
            strv_add(&found, r->location);
        else if (r->kind == RESOURCE_LOCAL)
            rc = local_path(r, &found, err);
        else
            rc = fetch_one(r, directory, fetcher, watch, &found, err);
        if (rc == -1)
            return err_wrap(err, "the resource '%s'", r->name);
    }
    strv_copy(paths, &found);
    return 0;
}

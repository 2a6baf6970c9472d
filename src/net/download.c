/* See download.h. A part without a note beside it is of no use: the note goes first where the bytes
 * are about to change, and comes back with their ETag. */
#include "net/download.h"
#include "base/mem.h"
#include "os/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_MAX ((size_t)16 << 10)

struct download {
    struct http_call *call;
    char *url, *path, *part, *note, *identity;
    char *etag;   /* of the bytes in the part; strong, or NULL */
    char *server; /* the ETag of this answer, whatever it is */
    int fd;
    uint64_t offset, size, total; /* asked for from; in the part now; 0: not known */
    bool begun, ended;
    struct err bad; /* the answer is not what was asked for */
    struct http_response answer;
    struct err err;
    struct http_sink sink;
    download_progress_fn *progress;
    void *ctx;
};

void download_result_done(struct download_result *r)
{
    free(r->etag);
    *r = (struct download_result){0};
}

/* ---- the part ---------------------------------------------------------------------------------
 */

/* Finds out how much of the part may stay: all of it where the note says the same file. */
static void read_note(struct download *d)
{
    AUTO_BUF struct buf text = {0};
    struct stat st;
    if (fstat(d->fd, &st) == -1 || st.st_size <= 0 || fs_read(d->note, NOTE_MAX, &text, NULL) == -1)
        return;
    struct str rest = buf_view(&text);
    struct str identity = str_cut(&rest, '\n'), etag = str_trim(rest);
    if (!rest.p || !str_is(identity, d->identity) || !str_starts(etag, "\""))
        return;
    d->etag = str_dup(etag);
    d->offset = d->size = (uint64_t)st.st_size;
}

static void drop_part(struct download *d)
{
    unlink(d->note);
    unlink(d->part);
}

/* From the first byte on: what was there is void. */
static int begin_anew(struct download *d, struct err *err)
{
    unlink(d->note);
    d->size = 0;
    if (ftruncate(d->fd, 0) == -1 || lseek(d->fd, 0, SEEK_SET) == -1)
        return err_set_sys(err, errno, "cannot write '%s'", d->part);
    if (!d->server || d->server[0] != '"') /* a weak one (W/"…") says nothing of bytes */
        return 0;
    AUTO_FREE char *text = mem_printf("%s\n%s\n", d->identity, d->server);
    return fs_write_atomic(d->note, 0600, str_of(text), err);
}

/* "bytes 100-199/200", or with "*" in place of the range or the total. */
static bool parse_range(struct str s, bool *ranged, uint64_t *first, uint64_t *total)
{
    int64_t from = 0, to = 0, all = 0;
    if (!str_starts(s, "bytes"))
        return false;
    struct str rest = str_trim((struct str){s.p + 5, s.n - 5});
    struct str range = str_cut(&rest, '/');
    *ranged = !str_is(range, "*");
    if (*ranged) {
        struct str end = range;
        struct str start = str_cut(&end, '-');
        if (!end.p || !str_to_i64(start, 0, INT64_MAX, &from) ||
            !str_to_i64(end, from, INT64_MAX, &to))
            return false;
    }
    if (!rest.p || (!str_is(rest, "*") && !str_to_i64(rest, 0, INT64_MAX, &all)))
        return false;
    *first = (uint64_t)from;
    *total = (uint64_t)all;
    return true;
}

/* The rest of the same bytes, as asked? */
static int check_rest(struct download *d, const struct http_response *head, struct err *err)
{
    bool ranged;
    uint64_t first;
    struct str origin = http_origin(d->url);
    bool same = !d->server || strcmp(d->server, d->etag) == 0;
    if (d->offset && same &&
        parse_range(http_header(head, "Content-Range"), &ranged, &first, &d->total) && ranged &&
        first == d->offset && lseek(d->fd, (off_t)d->offset, SEEK_SET) != -1)
        return 0;
    drop_part(d);
    return err_set(err, ERR_UNREACHABLE, "'%.*s' sends other bytes than were asked for",
                   STR_FMT(origin));
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static bool wants(void *ctx, const struct http_response *head)
{
    struct download *d = ctx;
    int64_t length;
    if (head->status != 200 && head->status != 206)
        return false;
    struct str etag = http_header(head, "ETag");
    if (etag.n)
        d->server = str_dup(etag);
    d->begun = true;
    if (head->status == 206) {
        (void)check_rest(d, head, &d->bad);
        return true;
    }
    if (str_to_i64(http_header(head, "Content-Length"), 0, INT64_MAX, &length))
        d->total = (uint64_t)length;
    (void)begin_anew(d, &d->bad);
    return true;
}

static int take(void *ctx, struct str bytes, struct err *err)
{
    struct download *d = ctx;
    if (d->bad.code)
        return err_copy(err, &d->bad);
    while (bytes.n) {
        ssize_t n = write(d->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_sys(err, errno, "cannot write '%s'", d->part);
        bytes.p += n;
        bytes.n -= (size_t)n;
        d->size += (uint64_t)n;
    }
    if (d->progress)
        d->progress(d->ctx, d->size, d->total);
    return 0;
}

/* The part is whole: it becomes the file. */
static int put_in_place(struct download *d, struct err *err)
{
    if (fsync(d->fd) == -1)
        return err_set_sys(err, errno, "cannot write '%s'", d->part);
    if (rename(d->part, d->path) == -1)
        return err_set_sys(err, errno, "cannot write '%s'", d->path);
    unlink(d->note);
    d->answer.status = 200;
    return 0;
}

/* "There is nothing behind what you have": it may be all. */
static int had_it_all(struct download *d, struct err *err)
{
    bool ranged;
    uint64_t first, total;
    if (parse_range(http_header(&d->answer, "Content-Range"), &ranged, &first, &total) && !ranged &&
        total == d->offset)
        return put_in_place(d, err);
    drop_part(d);
    struct str origin = http_origin(d->url);
    return err_set(err, ERR_UNREACHABLE, "the file at '%.*s' has changed while it was fetched",
                   STR_FMT(origin));
}

static int settle(struct download *d, struct err *err)
{
    int status = d->answer.status;
    if (status == 416 && d->offset)
        return had_it_all(d, err);
    if (status != 200 && status != 206)
        return 0;
    if (!d->begun) /* an empty body */
        (void)wants(d, &d->answer);
    if (d->bad.code)
        return err_copy(err, &d->bad);
    if (d->total && d->size != d->total) {
        struct str origin = http_origin(d->url);
        if (d->size > d->total)
            drop_part(d);
        return err_set(err, ERR_UNREACHABLE, "'%.*s' sent %llu bytes of %llu", STR_FMT(origin),
                       (unsigned long long)d->size, (unsigned long long)d->total);
    }
    return put_in_place(d, err);
}

static void on_done(void *ctx, const struct http_response *r, const struct err *err)
{
    struct download *d = ctx;
    d->call = NULL;
    d->ended = true;
    if (err) {
        d->err = *err;
        return;
    }
    d->answer.status = r->status;
    d->answer.redirect = mem_dup(r->redirect);
    buf_add_str(&d->answer.headers, buf_view(&r->headers));
    buf_add_str(&d->answer.body, buf_view(&r->body));
    (void)settle(d, &d->err);
}

/* ---- one request ------------------------------------------------------------------------------
 */

static void download_free(struct download *d)
{
    http_cancel(d->call);
    if (d->fd >= 0)
        close(d->fd);
    http_response_done(&d->answer);
    free(d->url);
    free(d->path);
    free(d->part);
    free(d->note);
    free(d->identity);
    free(d->etag);
    free(d->server);
    free(d);
}

static void send_request(struct http *http, struct download *d, const struct download_order *o)
{
    size_t count = 0;
    while (o->headers && o->headers[count])
        count++;
    AUTO_FREE const char **lines = mem_array(count + 3, sizeof *lines);
    AUTO_FREE char *range = mem_printf("Range: bytes=%llu-", (unsigned long long)d->offset);
    AUTO_FREE char *condition = mem_printf("If-Range: %s", d->etag ? d->etag : "");
    for (size_t i = 0; i < count; i++)
        lines[i] = o->headers[i];
    if (d->offset) {
        lines[count++] = range;
        lines[count++] = condition;
    }
    struct http_request request = {.method = "GET",
                                   .url = o->url,
                                   .headers = lines,
                                   .stall = o->stall ? o->stall : DOWNLOAD_STALL,
                                   .sink = &d->sink};
    d->call = http_start(http, &request, on_done, d);
}

struct download *download_start(struct http *http, const struct download_order *o, struct err *err)
{
    struct download *d = mem_alloc(sizeof *d);
    d->url = mem_dup(o->url);
    d->path = mem_dup(o->path);
    d->part = o->part ? mem_dup(o->part) : mem_printf("%s.part", o->path);
    d->note = mem_printf("%s.etag", d->part);
    d->identity = mem_dup(o->identity ? o->identity : o->url);
    d->answer.headers.max = HTTP_HEADERS_MAX;
    d->sink = (struct http_sink){wants, take, d};
    d->progress = o->progress;
    d->ctx = o->ctx;
    d->fd = open(d->part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (d->fd < 0) {
        err_set_sys(err, errno, "cannot write '%s'", d->part);
        download_free(d);
        return NULL;
    }
    read_note(d);
    send_request(http, d, o);
    return d;
}

bool download_ended(const struct download *d)
{
    return d->ended;
}

int download_end(struct download *d, struct http_response *answer, struct download_result *out,
                 struct err *err)
{
    int rc = d->err.code ? err_copy(err, &d->err) : 0;
    if (rc == 0) {
        *out = (struct download_result){.etag = TAKE(d->server), .size = d->size};
        if (!out->etag)
            out->etag = TAKE(d->etag);
        *answer = d->answer;
        d->answer = (struct http_response){0};
    }
    if (d->size == 0) /* an error's answer leaves no empty part behind */
        drop_part(d);
    download_free(d);
    return rc;
}

void download_cancel(struct download *d)
{
    if (d)
        download_free(d);
}

/* ---- until it is there ------------------------------------------------------------------------
 */

static bool has_ended(void *ctx)
{
    return download_ended(ctx);
}

/* The URL for a message: without a user, a password and what stands behind '?'. */
static char *shown_url(const char *url)
{
    struct str origin = http_origin(url);
    const char *rest = origin.p + origin.n;
    return mem_printf("%.*s%.*s", STR_FMT(origin), (int)strcspn(rest, "?#"), rest);
}

static int refuse_status(const char *url, int status, struct err *err)
{
    AUTO_FREE char *shown = shown_url(url);
    if (status == 404 || status == 410)
        return err_set(err, ERR_NOT_FOUND, "there is no '%s' (HTTP status %d)", shown, status);
    if (status == 401 || status == 403)
        return err_set(err, ERR_PERMISSION, "'%s' may not be read by you (HTTP status %d)", shown,
                       status);
    enum err_code code = status == 429   ? ERR_THROTTLED
                         : status == 408 ? ERR_TIMEOUT
                         : status >= 500 ? ERR_SERVER
                                         : ERR_REJECTED;
    return err_set(err, code, "'%s' answers with HTTP status %d", shown, status);
}

static int check_redirect(const char *from, const char *to, struct err *err)
{
    AUTO_FREE char *shown = shown_url(from);
    if (str_starts(str_of(from), "https://") && !str_starts(str_of(to), "https://"))
        return err_set(err, ERR_REJECTED,
                       "'%s' leads from https to a connection that anyone can change", shown);
    return 0;
}

static bool is_redirect(const struct http_response *r)
{
    return r->redirect && (r->status == 301 || r->status == 302 || r->status == 303 ||
                           r->status == 307 || r->status == 308);
}

/* One request and its redirects. */
static int follow(struct http *http, const struct download_order *first,
                  struct download_result *out, struct err *err)
{
    struct download_order o = *first;
    AUTO_FREE char *url = mem_dup(first->url);
    o.identity = first->identity ? first->identity : first->url;
    for (int hops = 0; hops <= DOWNLOAD_REDIRECTS_MAX; hops++) {
        CLEANUP(http_response_done) struct http_response answer = {0};
        o.url = url;
        struct download *d = download_start(http, &o, err);
        if (!d)
            return -1;
        if (loop_wait(http_loop(http), has_ended, d, USEC_FOREVER, err) == -1) {
            download_cancel(d);
            return -1;
        }
        struct download_result got = {0};
        if (download_end(d, &answer, &got, err) == -1)
            return -1;
        if (answer.status == 200) {
            *out = got;
            return 0;
        }
        download_result_done(&got);
        if (!is_redirect(&answer))
            return refuse_status(url, answer.status, err);
        if (check_redirect(url, answer.redirect, err) == -1)
            return -1;
        if (!str_eq(http_origin(url), http_origin(answer.redirect)))
            o.headers = NULL;
        free(url);
        url = TAKE(answer.redirect);
    }
    AUTO_FREE char *shown = shown_url(first->url);
    return err_set(err, ERR_REJECTED, "'%s' leads on and on: more than %d redirects", shown,
                   DOWNLOAD_REDIRECTS_MAX);
}

static uint64_t part_size(const struct download_order *o)
{
    AUTO_FREE char *part = o->part ? mem_dup(o->part) : mem_printf("%s.part", o->path);
    struct stat st;
    return stat(part, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int download_run(struct http *http, const struct download_order *o, struct download_result *out,
                 struct err *err)
{
    uint64_t best = part_size(o);
    int in_a_row = 0;
    for (int tries = 1;; tries++) {
        struct err why = {0};
        if (follow(http, o, out, &why) == 0)
            return 0;
        uint64_t now = part_size(o);
        in_a_row = now > best ? 1 : in_a_row + 1;
        best = now > best ? now : best;
        if (!err_retryable(why.code) || in_a_row >= DOWNLOAD_TRIES || tries >= DOWNLOAD_TRIES_MAX)
            return err_copy(err, &why);
        usec_t delay = (o->delay ? o->delay : USEC_PER_SEC) << (in_a_row - 1);
        if (delay > DOWNLOAD_DELAY_MAX)
            delay = DOWNLOAD_DELAY_MAX;
        if (loop_pause(http_loop(http), delay, err) == -1)
            return -1;
    }
}

/* See record_priv.h. A line is, with tabs between: checksum, id, end, exit status, signal, started,
 * ended, user time, system time, memory peak, bytes of output dropped, host, message. */
#include "base/buf.h"
#include "base/mem.h"
#include "engine/record_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024 /* more than the longest entry */

int record_open(struct record *r, const char *path, struct err *err)
{
    if (!path) {
        *r = (struct record){.fd = -1};
        return 0;
    }
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return err_set_sys(err, errno, "cannot write '%s'", path);
    off_t size = lseek(fd, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
        last = '\0';
    *r = (struct record){.fd = fd, .torn = last != '\n'};
    return 0;
}

void record_close(struct record *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

/* FNV-1a: it tells an entry from what a crash left of one. */
static uint64_t checksum(struct str s)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3ULL;
    return h;
}

void record_put_text(struct buf *body, const char *text)
{
    for (; *text; text++)
        buf_addc(body, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

void record_put(const struct engine_result *r, struct buf *body)
{
    buf_addf(body, "%" PRIu64 "\t%s\t%d\t%d", r->id, engine_end_name(r->end), r->exit_status,
             r->signal);
    buf_addf(body, "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64, r->started, r->ended,
             r->user_time, r->system_time);
    buf_addf(body, "\t%" PRIu64 "\t%" PRIu64 "\t", r->memory_peak, r->console_dropped);
    record_put_text(body, r->host);
    buf_addc(body, '\t');
    record_put_text(body, r->message);
}

void record_seal(struct str body, struct buf *line)
{
    buf_addf(line, "%016" PRIx64 "\t%.*s\n", checksum(body), STR_FMT(body));
}

int record_append_line(struct record *r, struct str line)
{
    if (r->fd < 0)
        return 0;
    AUTO_BUF struct buf bytes = {.max = 4 * LINE_MAX_BYTES};
    if (r->torn)
        buf_addc(&bytes, '\n');
    buf_add_str(&bytes, line);
    ssize_t n;
    do
        n = write(r->fd, bytes.data, bytes.len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)bytes.len) {
        r->torn = false;
        return 0;
    }
    if (n >= 0)
        errno = ENOSPC;
    r->torn = r->torn || n > 0;
    return -1;
}

int record_append(struct record *r, const struct engine_result *result)
{
    AUTO_BUF struct buf body = {.max = LINE_MAX_BYTES}, line = {.max = 2 * LINE_MAX_BYTES};
    record_put(result, &body);
    record_seal(buf_view(&body), &line);
    return record_append_line(r, buf_view(&line));
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool get_u64(struct str *rest, uint64_t *out)
{
    struct str field = str_cut(rest, '\t');
    char digits[24];
    if (!rest->p || field.n == 0 || field.n >= sizeof digits)
        return false;
    memcpy(digits, field.p, field.n);
    digits[field.n] = '\0';
    if (strspn(digits, "0123456789") != field.n)
        return false;
    errno = 0;
    *out = strtoull(digits, NULL, 10);
    return errno == 0;
}

static bool get_i64(struct str *rest, int64_t min, int64_t max, int64_t *out)
{
    struct str field = str_cut(rest, '\t');
    return rest->p && str_to_i64(field, min, max, out);
}

static bool get_end(struct str *rest, enum engine_end *out)
{
    struct str field = str_cut(rest, '\t');
    for (int i = 0; i < ENGINE_END_COUNT; i++) {
        if (str_is(field, engine_end_name((enum engine_end)i))) {
            *out = (enum engine_end)i;
            return true;
        }
    }
    return false;
}

void record_get_text(struct str *rest, char *out, size_t size)
{
    struct str field = str_cut(rest, '\t');
    snprintf(out, size, "%.*s", STR_FMT(field));
}

bool record_unseal(struct str line, struct str *body)
{
    char want[17];
    if (line.n < 18 || line.p[16] != '\t')
        return false;
    struct str rest = {line.p + 17, line.n - 17};
    snprintf(want, sizeof want, "%016" PRIx64, checksum(rest));
    if (memcmp(want, line.p, 16) != 0)
        return false;
    *body = rest;
    return true;
}

bool record_get(struct str body, struct engine_result *out)
{
    struct str rest = body;
    struct engine_result r = {0};
    int64_t status, signal_number;
    if (!get_u64(&rest, &r.id) || !get_end(&rest, &r.end) || !get_i64(&rest, -1, 255, &status) ||
        !get_i64(&rest, 0, 255, &signal_number) || !get_i64(&rest, 0, INT64_MAX, &r.started) ||
        !get_i64(&rest, 0, INT64_MAX, &r.ended) || !get_i64(&rest, 0, INT64_MAX, &r.user_time) ||
        !get_i64(&rest, 0, INT64_MAX, &r.system_time) || !get_u64(&rest, &r.memory_peak) ||
        !get_u64(&rest, &r.console_dropped))
        return false;
    r.exit_status = (int)status;
    r.signal = (int)signal_number;
    record_get_text(&rest, r.host, sizeof r.host);
    record_get_text(&rest, r.message, sizeof r.message);
    *out = r;
    return true;
}

static void replay_lines(FILE *f, void (*ended)(void *, const struct engine_result *), void *ctx)
{
    char line[LINE_MAX_BYTES + 32];
    bool whole = true; /* `line` begins at the beginning of a line */
    while (fgets(line, sizeof line, f)) {
        struct str text = str_of(line);
        bool at_end = str_ends(text, "\n");
        struct engine_result r;
        text.n -= at_end;
        struct str body; /* the checksum tells a cut one, not the line's end */
        if (whole && record_unseal(text, &body) && record_get(body, &r))
            ended(ctx, &r);
        whole = at_end;
    }
}

int engine_local_replay(const char *record, void (*ended)(void *, const struct engine_result *),
                        void *ctx, struct err *err)
{
    FILE *f = fopen(record, "re");
    if (!f && errno == ENOENT)
        return 0;
    if (!f)
        return err_set_sys(err, errno, "cannot open '%s'", record);
    replay_lines(f, ended, ctx);
    int sys = ferror(f) ? (errno ? errno : EIO) : 0;
    (void)fclose(f); /* it was only read */
    if (sys)
        return err_set_sys(err, sys, "cannot read '%s'", record);
    return 0;
}

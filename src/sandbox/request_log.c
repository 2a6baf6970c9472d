/* See request_log.h. */
#include "sandbox/request_log.h"
#include "base/json.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 128

struct request_log {
    char *path;
    int fd;
    int64_t size;
};

static int open_file(struct request_log *l)
{
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    l->size = l->fd >= 0 && fstat(l->fd, &st) == 0 ? (int64_t)st.st_size : 0;
    return l->fd < 0 ? -1 : 0;
}

int request_log_open(const char *path, struct request_log **out, struct err *err)
{
    struct request_log *l = mem_alloc(sizeof *l);
    l->path = mem_dup(path);
    if (open_file(l) == -1) {
        int sys = errno;
        request_log_close(l);
        return err_set_sys(err, sys, "cannot open the request log '%s'", path);
    }
    *out = l;
    return 0;
}

void request_log_close(struct request_log *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    free(l);
}

static void turn_over(struct request_log *l)
{
    AUTO_FREE char *old = mem_printf("%s.1", l->path);
    close(l->fd);
    (void)rename(l->path, old);
    (void)open_file(l);
}

static void set_text(json_t *j, const char *key, struct str text)
{
    json_object_set_new(
        j, key, json_stringn_nocheck(text.p, text.n < TEXT_MAX ? text.n : (size_t)TEXT_MAX));
}

void request_log_add(struct request_log *l, const struct request_log_line *line)
{
    if (!l)
        return;
    char iso[CLOCK_ISO_SIZE], time[CLOCK_ISO_SIZE + 16];
    clock_iso(line->time, iso);
    snprintf(time, sizeof time, "%.19s.%06dZ", iso, (int)(line->time % USEC_PER_SEC));
    json_auto_t *j = json_object();
    set_text(j, "time", str_of(time));
    if (line->service)
        set_text(j, "service", str_of(line->service));
    if (line->action)
        set_text(j, "action", str_of(line->action));
    json_object_set_new(j, "status", json_integer(line->status));
    if (line->code)
        set_text(j, "code", str_of(line->code));
    json_object_set_new(j, "took_us", json_integer(line->took));
    set_text(j, "request_id", str_of(line->request_id));
    if (line->fault)
        set_text(j, "fault", str_of(line->fault));
    size_t bad;
    if (line->attempt.n && line->attempt.n <= TEXT_MAX && str_is_utf8(line->attempt, &bad))
        set_text(j, "attempt", line->attempt);
    AUTO_BUF struct buf text = {0};
    json_write(j, false, &text);
    buf_addc(&text, '\n');
    if (l->fd >= 0 && write(l->fd, text.data, text.len) == (ssize_t)text.len)
        l->size += (int64_t)text.len;
    if (l->size > REQUEST_LOG_MAX)
        turn_over(l);
}

/* See talk.h. */
#include "os/talk.h"
#include "base/mem.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_SHOWN 400 /* bytes of standard error in a message */

struct talk {
    struct loop *loop;
    char *name; /* argv[0], for messages */
    uv_process_t process;
    uv_pipe_t pipes[3];
    char block[2][16384];
    struct buf in;     /* read, not yet taken */
    size_t line_len;   /* what the last line took of it, with its end */
    size_t searched;   /* bytes of `in` that are known to hold no end of a line */
    struct buf errors; /* the last TALK_ERRORS_MAX bytes, or somewhat more */
    size_t queued;
    bool exited, in_closed, errors_closed;
    int64_t status;
    int signal;
    int open_handles;
};

struct message {
    uv_write_t write;
    struct talk *talk;
    size_t length;
    char bytes[];
};

static void closed(uv_handle_t *h)
{
    struct talk *t = h->data;
    t->open_handles--;
}

static void close_handle(void *h)
{
    if (!uv_is_closing(h))
        uv_close(h, closed);
}

static void exited(uv_process_t *p, int64_t status, int signal_number)
{
    struct talk *t = p->data;
    t->status = status;
    t->signal = signal_number;
    t->exited = true;
    close_handle(p);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct talk *t = h->data;
    int which = h == (uv_handle_t *)&t->pipes[1] ? 0 : 1;
    *out = uv_buf_init(t->block[which], sizeof t->block[which]);
}

static void got_line_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct talk *t = s->data;
    if (n > 0)
        buf_add(&t->in, b->base, (size_t)n);
    if (n < 0) {
        t->in_closed = true;
        close_handle(s);
    }
}

static void got_error_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct talk *t = s->data;
    if (n > 0) {
        buf_add(&t->errors, b->base, (size_t)n);
        if (t->errors.len > 2 * TALK_ERRORS_MAX)
            buf_consume(&t->errors, t->errors.len - TALK_ERRORS_MAX);
    }
    if (n < 0) {
        t->errors_closed = true;
        close_handle(s);
    }
}

static bool all_closed(void *ctx)
{
    const struct talk *t = ctx;
    return t->open_handles == 0;
}

int talk_start(struct loop *loop, const char *const *argv, struct talk **out, struct err *err)
{
    struct talk *t = mem_alloc(sizeof *t);
    t->loop = loop;
    t->name = mem_dup(argv[0]);
    t->in.max = TALK_LINE_MAX;
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        uv_pipe_init(loop_uv(loop), &t->pipes[i], 0);
        t->pipes[i].data = t;
        stdio[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&t->pipes[i];
    }
    t->open_handles = 4;
    t->process.data = t;
    uv_process_options_t options = {.exit_cb = exited,
                                    .file = argv[0],
                                    .args = (char **)argv,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int rc = uv_spawn(loop_uv(loop), &t->process, &options);
    if (rc != 0) {
        t->exited = true; /* there is none to end */
        close_handle(&t->process);
        talk_free(t);
        err_set_sys(err, -rc, "cannot run '%s'", argv[0]);
        if (err && rc == UV_ENOENT)
            err->code = ERR_NOT_FOUND;
        return -1;
    }
    uv_read_start((uv_stream_t *)&t->pipes[1], give_block, got_line_bytes);
    uv_read_start((uv_stream_t *)&t->pipes[2], give_block, got_error_bytes);
    *out = t;
    return 0;
}

void talk_free(struct talk *t)
{
    if (!t)
        return;
    if (!t->exited)
        uv_process_kill(&t->process, SIGKILL);
    for (int i = 0; i < 3; i++)
        close_handle(&t->pipes[i]);
    loop_shield(t->loop);
    /* Without a timeout and shielded it cannot fail; handles left open would need their memory. */
    bool gone = loop_wait(t->loop, all_closed, t, USEC_FOREVER, NULL) == 0;
    loop_unshield(t->loop);
    if (!gone)
        return;
    buf_done(&t->in);
    buf_done(&t->errors);
    free(t->name);
    free(t);
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static void written(uv_write_t *w, int status)
{
    (void)status; /* a child that is gone is noticed where its answer is awaited */
    struct message *m = w->data;
    m->talk->queued -= m->length;
    free(m);
}

int talk_send(struct talk *t, struct str line, struct err *err)
{
    size_t length = line.n + 1;
    if (line.n >= TALK_QUEUE_MAX || t->queued > TALK_QUEUE_MAX - length)
        return err_set(err, ERR_LIMIT, "'%s' has stopped to read what it is told", t->name);
    struct message *m = mem_alloc(sizeof *m + length);
    m->talk = t;
    m->length = length;
    if (line.n)
        memcpy(m->bytes, line.p, line.n);
    m->bytes[line.n] = '\n';
    m->write.data = m;
    t->queued += length;
    uv_buf_t bytes = uv_buf_init(m->bytes, (unsigned)length);
    if (uv_write(&m->write, (uv_stream_t *)&t->pipes[0], &bytes, 1, written) != 0)
        written(&m->write, 0);
    return 0;
}

/* The bytes of the first line, with its end; 0: it has not come yet. */
static size_t find_line(struct talk *t)
{
    const char *from = buf_text(&t->in) + t->searched;
    const char *end = memchr(from, '\n', t->in.len - t->searched);
    if (end)
        return t->searched + (size_t)(end - from) + 1;
    t->searched = t->in.len;
    return 0;
}

static bool has_news(void *ctx)
{
    struct talk *t = ctx;
    return find_line(t) || t->in.overflowed || (t->in_closed && t->errors_closed && t->exited);
}

/* Its standard error's last lines as one, fit to be shown. */
static void add_last_words(const struct talk *t, struct buf *out)
{
    struct str all = str_trim(buf_view(&t->errors));
    size_t skip = all.n > WORDS_SHOWN ? all.n - WORDS_SHOWN : 0;
    while (skip && skip < all.n && ((unsigned char)all.p[skip] & 0xc0) == 0x80)
        skip++;
    if (all.n == 0)
        return;
    buf_adds(out, skip ? "; its last words: …" : "; its last words: ");
    for (size_t i = skip; i < all.n; i++) {
        unsigned char c = (unsigned char)all.p[i];
        buf_addc(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
}

static int ended(const struct talk *t, struct err *err)
{
    AUTO_BUF struct buf words = {0};
    add_last_words(t, &words);
    if (t->signal)
        return err_set(err, ERR_REMOTE, "'%s' was ended by signal %d%s", t->name, t->signal,
                       buf_text(&words));
    return err_set(err, ERR_REMOTE, "'%s' has ended with status %d%s", t->name, (int)t->status,
                   buf_text(&words));
}

int talk_receive(struct talk *t, usec_t timeout, struct str *line, struct err *err)
{
    buf_consume(&t->in, t->line_len);
    t->line_len = t->searched = 0;
    struct err why = {0};
    if (loop_wait(t->loop, has_news, t, timeout, &why) == -1) {
        if (why.code != ERR_TIMEOUT)
            return err_copy(err, &why);
        AUTO_BUF struct buf words = {0};
        add_last_words(t, &words);
        return err_set(err, ERR_TIMEOUT, "no answer from '%s' within %lld s%s", t->name,
                       (long long)(timeout / USEC_PER_SEC), buf_text(&words));
    }
    if (t->in.overflowed)
        return err_set(err, ERR_LIMIT, "'%s' says too much at once", t->name);
    size_t length = find_line(t);
    if (length == 0)
        return ended(t, err);
    t->line_len = length;
    *line = (struct str){t->in.data, length - 1};
    return 0;
}

/* See agent.h. Frames are a 32-bit length, a type byte and a body. */
#include "ssh/agent.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/port.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define AGENT_FRAME_MAX ((size_t)1 << 20)
#define AGENT_KEYS_MAX 4096
/* Listing the keys takes an agent no time. (Signing may ask a person, and waits for the attempt's
 * deadline instead.) */
#define AGENT_LIST_TIMEOUT_SEC 5

enum {
    AGENT_FAILURE = 5,
    AGENTC_REQUEST_IDENTITIES = 11,
    AGENT_IDENTITIES_ANSWER = 12,
    AGENTC_SIGN_REQUEST = 13,
};

static uint32_t get_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static void add_u32(struct buf *b, uint32_t n)
{
    char bytes[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    buf_add(b, bytes, sizeof bytes);
}

/* Cuts a length-prefixed string off *rest; false where it is cut short. */
static bool take_string(struct str *rest, struct str *out)
{
    if (rest->n < 4)
        return false;
    uint32_t n = get_u32(rest->p);
    if (n > rest->n - 4)
        return false;
    *out = (struct str){rest->p + 4, n};
    rest->p += 4 + (size_t)n;
    rest->n -= 4 + (size_t)n;
    return true;
}

static bool answer_holds(struct str body, struct str blob)
{
    if (body.n < 5 || body.p[0] != AGENT_IDENTITIES_ANSWER)
        return false;
    uint32_t count = get_u32(body.p + 1);
    struct str rest = {body.p + 5, body.n - 5};
    struct str key, comment;
    for (uint32_t i = 0; i < count && i < AGENT_KEYS_MAX; i++) {
        if (!take_string(&rest, &key) || !take_string(&rest, &comment))
            return false;
        if (str_eq(key, blob))
            return true;
    }
    return false;
}

static bool read_exactly(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, n);
    int fd = port_socket(AF_UNIX, SOCK_STREAM, false);
    if (fd < 0)
        return -1;
    struct timeval limit = {.tv_sec = AGENT_LIST_TIMEOUT_SEC};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

bool agent_holds(const char *path, struct str blob)
{
    static const char request[] = {0, 0, 0, 1, AGENTC_REQUEST_IDENTITIES};
    int fd = connect_unix(path);
    if (fd < 0)
        return false;
    char head[4];
    bool holds = false;
    if (send(fd, request, sizeof request, PORT_NO_SIGNAL) == (ssize_t)sizeof request &&
        read_exactly(fd, head, sizeof head)) {
        size_t n = get_u32(head);
        AUTO_FREE char *body = n <= AGENT_FRAME_MAX ? mem_alloc(n) : NULL;
        holds = body && read_exactly(fd, body, n) && answer_holds((struct str){body, n}, blob);
    }
    close(fd);
    return holds;
}

/* ---- the filter ---- */

/* Requests come one at a time (libssh waits for each answer), so one frame is kept for each
 * direction. Handles close later than the filter goes: `open` counts them. */
struct agent_filter {
    struct loop *loop;
    const char *path;
    struct str blob;
    uv_pipe_t near; /* libssh's side */
    uv_pipe_t far;  /* the agent */
    bool far_open, stopped;
    int open;
    uv_connect_t connect;
    struct buf request, answer;
    char block[4096];
};

struct write {
    uv_write_t uv;
    struct buf bytes;
};

static void closed(uv_handle_t *h)
{
    struct agent_filter *f = h->data;
    if (--f->open || !f->stopped)
        return;
    buf_wipe(&f->request);
    buf_wipe(&f->answer);
    free(f);
}

static void close_far(struct agent_filter *f)
{
    if (f->far_open)
        uv_close((uv_handle_t *)&f->far, closed);
    f->far_open = false;
}

void agent_filter_stop(struct agent_filter *f)
{
    if (!f || f->stopped)
        return;
    f->stopped = true;
    close_far(f);
    uv_close((uv_handle_t *)&f->near, closed);
}

static void written(uv_write_t *w, int status)
{
    (void)status; /* a side that is gone is noticed by its reader */
    struct write *write = w->data;
    buf_wipe(&write->bytes);
    free(write);
}

static void send_bytes(uv_pipe_t *to, struct str bytes)
{
    struct write *w = mem_alloc(sizeof *w);
    w->uv.data = w;
    w->bytes.max = AGENT_FRAME_MAX + 4;
    buf_add_str(&w->bytes, bytes);
    uv_buf_t out = uv_buf_init(w->bytes.data, (unsigned)w->bytes.len);
    if (uv_write(&w->uv, (uv_stream_t *)to, &out, 1, written) != 0)
        written(&w->uv, 0);
}

static void answer_failure(struct agent_filter *f)
{
    static const char failure[] = {0, 0, 0, 1, AGENT_FAILURE};
    send_bytes(&f->near, (struct str){failure, sizeof failure});
}

static void answer_identity(struct agent_filter *f)
{
    static const char comment[] = "flambe";
    AUTO_BUF struct buf frame = {0};
    add_u32(&frame, (uint32_t)(1 + 4 + 4 + f->blob.n + 4 + sizeof comment - 1));
    buf_addc(&frame, AGENT_IDENTITIES_ANSWER);
    add_u32(&frame, 1);
    add_u32(&frame, (uint32_t)f->blob.n);
    buf_add_str(&frame, f->blob);
    add_u32(&frame, sizeof comment - 1);
    buf_adds(&frame, comment);
    send_bytes(&f->near, buf_view(&frame));
}

/* Whether a whole frame stands at the start; *too_long where it never will. */
static bool frame_complete(const struct buf *b, bool *too_long)
{
    *too_long = b->len >= 4 && get_u32(b->data) > AGENT_FRAME_MAX;
    return !*too_long && b->len >= 4 && b->len >= 4 + (size_t)get_u32(b->data);
}

static void give_block(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct agent_filter *f = h->data;
    *out = uv_buf_init(f->block, sizeof f->block);
}

static void agent_said(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct agent_filter *f = stream->data;
    if (n == 0)
        return;
    bool too_long = false;
    if (n > 0)
        buf_add(&f->answer, b->base, (size_t)n);
    if (n > 0 && !frame_complete(&f->answer, &too_long) && !too_long)
        return;
    if (n < 0 || too_long)
        answer_failure(f);
    else
        send_bytes(&f->near, buf_view(&f->answer));
    buf_wipe(&f->answer);
    close_far(f);
}

static void agent_reached(uv_connect_t *c, int status)
{
    struct agent_filter *f = c->data;
    if (f->stopped)
        return;
    if (status != 0) {
        close_far(f);
        answer_failure(f);
    } else {
        send_bytes(&f->far, buf_view(&f->request));
        uv_read_start((uv_stream_t *)&f->far, give_block, agent_said);
    }
    buf_wipe(&f->request);
}

static void forward(struct agent_filter *f)
{
    uv_pipe_init(loop_uv(f->loop), &f->far, 0);
    f->far.data = f;
    f->connect.data = f;
    f->far_open = true;
    f->open++;
    uv_pipe_connect(&f->connect, &f->far, f->path, agent_reached);
}

/* Only our key is signed with, whatever is asked. */
static void serve(struct agent_filter *f)
{
    struct str body = {f->request.data + 4, get_u32(f->request.data)};
    struct str rest = {body.p + 1, body.n ? body.n - 1 : 0};
    struct str blob;
    int type = body.n ? (unsigned char)body.p[0] : 0;
    if (type == AGENTC_SIGN_REQUEST && take_string(&rest, &blob) && str_eq(blob, f->blob) &&
        !f->far_open && f->open == 1) {
        forward(f); /* keeps the request until the agent is reached */
        return;
    }
    if (type == AGENTC_REQUEST_IDENTITIES)
        answer_identity(f);
    else
        answer_failure(f);
    buf_wipe(&f->request);
}

static void libssh_said(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct agent_filter *f = stream->data;
    if (n == 0)
        return;
    bool too_long = false;
    if (n > 0)
        buf_add(&f->request, b->base, (size_t)n);
    if (n > 0 && frame_complete(&f->request, &too_long))
        serve(f);
    if (n < 0 || too_long)
        uv_read_stop(stream);
}

int agent_filter_start(struct loop *loop, const char *path, struct str blob, int *fd,
                       struct agent_filter **out, struct err *err)
{
    int pair[2];
    if (port_socketpair(SOCK_STREAM, pair) == -1)
        return err_set_sys(err, errno, "cannot reach the ssh-agent");
    struct agent_filter *f = mem_alloc(sizeof *f);
    f->loop = loop;
    f->path = path;
    f->blob = blob;
    f->request.max = f->answer.max = AGENT_FRAME_MAX + 4;
    uv_pipe_init(loop_uv(loop), &f->near, 0);
    f->near.data = f;
    f->open = 1;
    int rc = uv_pipe_open(&f->near, pair[0]);
    if (rc != 0) {
        close(pair[0]);
        close(pair[1]);
        agent_filter_stop(f);
        return err_set_sys(err, -rc, "cannot reach the ssh-agent");
    }
    uv_read_start((uv_stream_t *)&f->near, give_block, libssh_said);
    *fd = pair[1];
    *out = f;
    return 0;
}

/* See prefix.h. */
#include "cli/prefix.h"
#include <stdlib.h>
#include <string.h>

static void add_line(struct prefix *p, struct str line, struct buf *out)
{
    buf_adds(out, p->label);
    buf_add_str(out, buf_view(&p->rest));
    buf_add_str(out, line);
    buf_addc(out, '\n');
    buf_clear(&p->rest);
}

void prefix_add(struct prefix *p, struct str bytes)
{
    struct buf out = {0};
    while (bytes.n) {
        size_t room = PREFIX_LINE_MAX - p->rest.len;
        size_t seen = bytes.n < room + 1 ? bytes.n : room + 1; /* the new line may stand behind */
        const char *end = memchr(bytes.p, '\n', seen);
        if (!end && bytes.n <= room) {
            buf_add_str(&p->rest, bytes);
            break;
        }
        size_t len = end ? (size_t)(end - bytes.p) : room;
        add_line(p, (struct str){bytes.p, len}, &out);
        size_t used = len + (end ? 1 : 0);
        bytes = (struct str){bytes.p + used, bytes.n - used};
    }
    if (out.len)
        p->write(p->ctx, buf_view(&out));
    buf_done(&out);
}

void prefix_end(struct prefix *p)
{
    if (!p->rest.len)
        return;
    struct buf out = {0};
    add_line(p, STR(""), &out);
    p->write(p->ctx, buf_view(&out));
    buf_done(&out);
}

void prefix_done(struct prefix *p)
{
    free(p->label);
    buf_done(&p->rest);
    *p = (struct prefix){0};
}

/* See wire_priv.h. */
#include "base/mem.h"
#include "engine/wire_priv.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct header {
    uint32_t type;
    uint32_t size;
};

/* The fixed part of a WIRE_START frame; behind it directory, console, arguments, environment. */
struct start {
    uint64_t id;
    usec_t time_limit;
    uint64_t memory_limit;
    uint32_t arguments, variables;
};

void wire_put(struct buf *out, enum wire_type type, const void *bytes, size_t n)
{
    struct header h = {.type = type, .size = (uint32_t)n};
    buf_add(out, &h, sizeof h);
    buf_add(out, bytes, n);
}

static uint32_t put_list(struct buf *out, const char *const *list)
{
    uint32_t count = 0;
    for (; list[count]; count++)
        buf_add(out, list[count], strlen(list[count]) + 1);
    return count;
}

void wire_put_program(struct buf *out, const struct engine_program *p, const char *const *env)
{
    struct start s = {.id = p->id, .time_limit = p->time_limit, .memory_limit = p->memory_limit};
    size_t at = out->len;
    wire_put(out, WIRE_START, &s, sizeof s);
    buf_add(out, p->directory, strlen(p->directory) + 1);
    buf_add(out, p->console, strlen(p->console) + 1);
    s.arguments = put_list(out, p->argv);
    s.variables = put_list(out, env);
    if (out->overflowed)
        return;
    struct header h = {.type = WIRE_START, .size = (uint32_t)(out->len - at - sizeof h)};
    memcpy(out->data + at, &h, sizeof h);
    memcpy(out->data + at + sizeof h, &s, sizeof s);
}

int wire_frame(struct str *rest, enum wire_type *type, struct str *payload)
{
    struct header h;
    if (rest->n < sizeof h)
        return 0;
    memcpy(&h, rest->p, sizeof h);
    if (h.size > WIRE_FRAME_MAX || h.type < WIRE_START || h.type > WIRE_ENDED)
        return -1;
    if (rest->n - sizeof h < h.size)
        return 0;
    *type = (enum wire_type)h.type;
    *payload = (struct str){rest->p + sizeof h, h.size};
    rest->p += sizeof h + h.size;
    rest->n -= sizeof h + h.size;
    return 1;
}

bool wire_get(struct str payload, void *value, size_t size)
{
    if (payload.n != size)
        return false;
    memcpy(value, payload.p, size);
    return true;
}

/* The next string, or NULL where none is left. */
static const char *next_string(struct str *rest)
{
    const char *s = rest->p;
    const char *end = rest->n ? memchr(s, '\0', rest->n) : NULL;
    if (!end)
        return NULL;
    rest->n -= (size_t)(end + 1 - s);
    rest->p = end + 1;
    return s;
}

/* A NULL-terminated array of `count` strings; NULL where there are fewer. */
static const char **get_list(struct str *rest, uint32_t count)
{
    if (count > rest->n) /* each takes a byte at least */
        return NULL;
    const char **list = mem_array((size_t)count + 1, sizeof *list);
    for (uint32_t i = 0; i < count; i++) {
        list[i] = next_string(rest);
        if (!list[i]) {
            free(list);
            return NULL;
        }
    }
    return list;
}

bool wire_program_parse(struct str payload, struct engine_program *out)
{
    struct start s;
    if (payload.n < sizeof s)
        return false;
    memcpy(&s, payload.p, sizeof s);
    struct str rest = {payload.p + sizeof s, payload.n - sizeof s};
    struct engine_program p = {
        .id = s.id, .time_limit = s.time_limit, .memory_limit = s.memory_limit};
    p.directory = next_string(&rest);
    p.console = next_string(&rest);
    if (!p.directory || !p.console || s.arguments == 0)
        return false;
    p.argv = get_list(&rest, s.arguments);
    p.env = p.argv ? get_list(&rest, s.variables) : NULL;
    if (!p.env || rest.n) {
        wire_program_done(&p);
        return false;
    }
    *out = p;
    return true;
}

void wire_program_done(struct engine_program *p)
{
    free((void *)p->argv);
    free((void *)p->env);
    p->argv = p->env = NULL;
}

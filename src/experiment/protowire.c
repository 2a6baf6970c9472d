/* See protowire.h. Reading never leaves the view that it was given, whatever the bytes say. */
#include "experiment/protowire.h"
#include <string.h>

#define VARINT_BYTES_MAX 10
#define FIELD_NUMBER_MAX ((1u << 29) - 1)
#define GROUP_START 3
#define GROUP_END 4

/* ---- reading ------------------------------------------------------------------------------ */

static bool malformed(struct wire *w)
{
    w->malformed = true;
    w->rest.n = 0;
    return false;
}

bool wire_varint(struct wire *w, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < w->rest.n && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)w->rest.p[i];
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte & 0x80)
            continue;
        w->rest.p += i + 1;
        w->rest.n -= i + 1;
        *out = value;
        return true;
    }
    return malformed(w);
}

static bool take(struct wire *w, uint64_t n, struct str *out)
{
    if (n > w->rest.n)
        return malformed(w);
    *out = (struct str){w->rest.p, (size_t)n};
    w->rest.p += n;
    w->rest.n -= (size_t)n;
    return true;
}

static bool key(struct wire *w, uint32_t *number, uint32_t *type)
{
    uint64_t both;
    if (!wire_varint(w, &both))
        return false;
    if (both >> 3 == 0 || both >> 3 > FIELD_NUMBER_MAX)
        return malformed(w);
    *number = (uint32_t)(both >> 3);
    *type = (uint32_t)(both & 7);
    return true;
}

static bool payload(struct wire *w, uint32_t type, struct wire_field *f)
{
    struct str raw;
    switch (type) {
    case WIRE_VARINT:
        return wire_varint(w, &f->value);
    case WIRE_FIXED64:
        if (!take(w, 8, &raw))
            return false;
        f->value = wire_le64(raw.p);
        return true;
    case WIRE_FIXED32:
        if (!take(w, 4, &raw))
            return false;
        f->value = wire_le32(raw.p);
        return true;
    case WIRE_BYTES:
        return wire_varint(w, &f->value) && take(w, f->value, &f->bytes);
    default:
        return malformed(w);
    }
}

/* Behind a group's start: to behind its end. */
static bool skip_group(struct wire *w, uint32_t number)
{
    uint32_t open[WIRE_GROUP_DEPTH_MAX] = {number};
    for (size_t depth = 1; depth;) {
        uint32_t inner, type;
        struct wire_field ignored;
        if (w->rest.n == 0)
            return malformed(w);
        if (!key(w, &inner, &type))
            return false;
        if (type == GROUP_START && depth == WIRE_GROUP_DEPTH_MAX)
            return malformed(w);
        if (type == GROUP_START)
            open[depth++] = inner;
        else if (type == GROUP_END && open[--depth] != inner)
            return malformed(w);
        else if (type != GROUP_END && !payload(w, type, &ignored))
            return false;
    }
    return true;
}

bool wire_next(struct wire *w, struct wire_field *f)
{
    while (w->rest.n) {
        uint32_t number, type;
        if (!key(w, &number, &type))
            return false;
        if (type == GROUP_START) {
            if (!skip_group(w, number))
                return false;
            continue;
        }
        f->number = number;
        f->type = (enum wire_type)type;
        return payload(w, type, f);
    }
    return false;
}

bool wire_is(const struct wire_field *f, uint32_t number, enum wire_type type)
{
    return f->number == number && f->type == type;
}

uint32_t wire_le32(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t wire_le64(const char *p)
{
    return wire_le32(p) | (uint64_t)wire_le32(p + 4) << 32;
}

double wire_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float wire_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_addc(out, (char)(value | 0x80));
    buf_addc(out, (char)value);
}

static void put_key(struct buf *out, uint32_t number, enum wire_type type)
{
    put_varint(out, (uint64_t)number << 3 | (uint64_t)type);
}

void wire_put_le32(struct buf *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        buf_addc(out, (char)(value >> 8 * i));
}

void wire_put_le64(struct buf *out, uint64_t value)
{
    wire_put_le32(out, (uint32_t)value);
    wire_put_le32(out, (uint32_t)(value >> 32));
}

void wire_put_varint(struct buf *out, uint32_t number, uint64_t value)
{
    put_key(out, number, WIRE_VARINT);
    put_varint(out, value);
}

void wire_put_double(struct buf *out, uint32_t number, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, number, WIRE_FIXED64);
    wire_put_le64(out, bits);
}

void wire_put_float(struct buf *out, uint32_t number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, number, WIRE_FIXED32);
    wire_put_le32(out, bits);
}

void wire_put_bytes(struct buf *out, uint32_t number, struct str bytes)
{
    put_key(out, number, WIRE_BYTES);
    put_varint(out, bytes.n);
    buf_add_str(out, bytes);
}

void wire_put_message(struct buf *out, uint32_t number, struct buf *message)
{
    wire_put_bytes(out, number, buf_view(message));
    buf_clear(message);
}

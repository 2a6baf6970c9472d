/* See tensor.h. A tensor keeps its elements either as raw little-endian bytes (tensor_content) or
 * in a repeated field of its type, packed or not. Field numbers and types are those of
 * tensorflow/core/framework/tensor.proto, tensor_shape.proto and types.proto. */
#include "experiment/tensor.h"
#include "base/attr.h"
#include "experiment/protowire.h"
#include <math.h>

enum element { FLOAT, DOUBLE, HALF, BFLOAT, SIGNED, UNSIGNED };

static const struct type {
    uint32_t dtype;
    enum element element;
    uint32_t size;  /* bytes in tensor_content */
    uint32_t field; /* the repeated field */
    enum wire_type wire;
} types[] = {
    {1, FLOAT, 4, 5, WIRE_FIXED32},     {2, DOUBLE, 8, 6, WIRE_FIXED64},
    {3, SIGNED, 4, 7, WIRE_VARINT},     {4, UNSIGNED, 1, 7, WIRE_VARINT},
    {5, SIGNED, 2, 7, WIRE_VARINT},     {6, SIGNED, 1, 7, WIRE_VARINT},
    {9, SIGNED, 8, 10, WIRE_VARINT},    {14, BFLOAT, 2, 13, WIRE_VARINT},
    {17, UNSIGNED, 2, 7, WIRE_VARINT},  {19, HALF, 2, 13, WIRE_VARINT},
    {22, UNSIGNED, 4, 16, WIRE_VARINT}, {23, UNSIGNED, 8, 17, WIRE_VARINT},
};

static const struct type *find_type(uint64_t dtype)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].dtype == dtype)
            return &types[i];
    return NULL;
}

/* IEEE 754 binary16. */
static double half(uint32_t bits)
{
    uint32_t exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
    double value;
    if (exponent == 0x1f)
        value = fraction ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, -24);
    else
        value = ldexp(fraction + 0x400, (int)exponent - 25);
    return bits & 0x8000 ? -value : value;
}

/* The low `size` bytes of `bits` are the element. */
static double decode(const struct type *t, uint64_t bits)
{
    unsigned unused = 64 - 8 * t->size;
    switch (t->element) {
    case FLOAT:
        return (double)wire_float((uint32_t)bits);
    case DOUBLE:
        return wire_double(bits);
    case HALF:
        return half((uint32_t)bits & 0xffff);
    case BFLOAT: /* the upper half of a float */
        return (double)wire_float((uint32_t)bits << 16);
    case SIGNED:
        return (double)((int64_t)(bits << unused) >> unused);
    case UNSIGNED:
        return (double)(bits << unused >> unused);
    }
    return 0;
}

/* Whether a shape has one element: each of its dimensions is 1. */
static bool is_one(struct wire *shape, bool *one)
{
    struct wire_field f, g;
    *one = true;
    while (wire_next(shape, &f)) {
        if (wire_is(&f, 3, WIRE_VARINT) && f.value) /* unknown rank */
            *one = false;
        if (!wire_is(&f, 2, WIRE_BYTES))
            continue;
        struct wire dimension = {.rest = f.bytes};
        uint64_t size = 0;
        while (wire_next(&dimension, &g))
            if (wire_is(&g, 1, WIRE_VARINT))
                size = g.value;
        if (dimension.malformed)
            return false;
        *one = *one && size == 1;
    }
    return !shape->malformed;
}

struct values {
    size_t count;
    uint64_t last;
};

/* One occurrence of a repeated field. */
static bool add_values(const struct type *t, const struct wire_field *f, struct values *v)
{
    if (f->type == t->wire) {
        v->count++;
        v->last = f->value;
    }
    if (f->type != WIRE_BYTES)
        return true;
    struct wire packed = {.rest = f->bytes};
    if (t->wire == WIRE_VARINT) {
        while (packed.rest.n && wire_varint(&packed, &v->last))
            v->count++;
        return !packed.malformed;
    }
    size_t size = t->wire == WIRE_FIXED32 ? 4 : 8;
    if (packed.rest.n % size != 0)
        return false;
    v->count += packed.rest.n / size;
    if (packed.rest.n) {
        const char *last = packed.rest.p + packed.rest.n - size;
        v->last = size == 4 ? wire_le32(last) : wire_le64(last);
    }
    return true;
}

static bool read_values(const struct type *t, struct str message, struct values *v)
{
    struct wire w = {.rest = message};
    struct wire_field f;
    while (wire_next(&w, &f))
        if (f.number == t->field && !add_values(t, &f, v))
            return false;
    return true;
}

static uint64_t little_endian(struct str bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes.n; i > 0; i--)
        value = value << 8 | (uint8_t)bytes.p[i - 1];
    return value;
}

enum tensor_kind tensor_number(struct str message, double *out)
{
    struct wire w = {.rest = message};
    struct wire_field f;
    struct str content = {0};
    uint64_t dtype = 0;
    bool one = true, shape_is_one;
    while (wire_next(&w, &f)) {
        if (wire_is(&f, 1, WIRE_VARINT))
            dtype = f.value;
        if (wire_is(&f, 4, WIRE_BYTES))
            content = f.bytes;
        if (!wire_is(&f, 2, WIRE_BYTES))
            continue;
        struct wire shape = {.rest = f.bytes};
        if (!is_one(&shape, &shape_is_one))
            return TENSOR_MALFORMED;
        one = one && shape_is_one;
    }
    if (w.malformed)
        return TENSOR_MALFORMED;
    const struct type *t = find_type(dtype);
    if (!t || !one)
        return TENSOR_OTHER;
    struct values v = {0};
    if (content.n == t->size)
        v = (struct values){1, little_endian(content)};
    else if (content.n == 0 && !read_values(t, message, &v))
        return TENSOR_MALFORMED;
    if (v.count != 1)
        return TENSOR_OTHER;
    *out = decode(t, v.last);
    return TENSOR_NUMBER;
}

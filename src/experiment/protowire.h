/* Protocol buffers at the level of the wire: fields in and out, without a schema.
 * https://protobuf.dev/programming-guides/encoding/ */
#ifndef FLAMBE_EXPERIMENT_PROTOWIRE_H
#define FLAMBE_EXPERIMENT_PROTOWIRE_H

#include "base/buf.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define WIRE_GROUP_DEPTH_MAX 32 /* groups within groups; more are malformed */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* ---- reading ------------------------------------------------------------------------------ */

struct wire {
    struct str rest;
    bool malformed; /* the bytes are no message; wire_next() gives no more */
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;   /* of all but WIRE_BYTES */
    struct str bytes; /* of WIRE_BYTES: a view into the message */
};

/* The next field; false at the end. Groups, which are of old, are passed over. */
bool wire_next(struct wire *w, struct wire_field *f);
/* A bare varint, of a packed field. False, and w->malformed, where there is none. */
bool wire_varint(struct wire *w, uint64_t *out);
bool wire_is(const struct wire_field *f, uint32_t number, enum wire_type type);
/* Little-endian. */
uint32_t wire_le32(const char *p);
uint64_t wire_le64(const char *p);
double wire_double(uint64_t bits);
float wire_float(uint32_t bits);

/* ---- writing: each appends one field ------------------------------------------------------ */

void wire_put_varint(struct buf *out, uint32_t number, uint64_t value);
void wire_put_double(struct buf *out, uint32_t number, double value);
void wire_put_float(struct buf *out, uint32_t number, float value);
void wire_put_bytes(struct buf *out, uint32_t number, struct str bytes);
/* The message is emptied: wire_put_message(&outer, 5, &inner). */
void wire_put_message(struct buf *out, uint32_t number, struct buf *message);
/* Bare. */
void wire_put_le32(struct buf *out, uint32_t value);
void wire_put_le64(struct buf *out, uint64_t value);

#endif

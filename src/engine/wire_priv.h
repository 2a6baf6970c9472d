/* What driver and supervisor say to each other: frames over a stream socket.
 *
 * Both are one program, of which one half was forked from the other, so numbers travel as they lie
 * in memory. A frame is its type and its size, then its bytes; strings end in a NUL. */
#ifndef FLAMBE_ENGINE_WIRE_PRIV_H
#define FLAMBE_ENGINE_WIRE_PRIV_H

#include "base/buf.h"
#include "engine/engine.h"

enum wire_type {
    WIRE_START = 1, /* to the supervisor: a program, see wire_program_parse() */
    WIRE_REFUSE,    /* to the supervisor: struct wire_refuse */
    WIRE_STOP,      /* to the supervisor: struct wire_stop */
    WIRE_STARTED,   /* to the driver: struct wire_started */
    WIRE_ENDED,     /* to the driver: struct engine_result */
};

#define WIRE_FRAME_MAX ((size_t)8 << 20) /* more than any kernel takes as arguments */

/* A program that cannot be started, so that its end is recorded and reported as any other's. */
struct wire_refuse {
    uint64_t id;
    char why[ENGINE_MESSAGE_MAX];
};

struct wire_stop {
    uint64_t id;
    usec_t grace;
};

struct wire_started {
    uint64_t id;
    usec_t wall;
    int64_t pid; /* of the program, and so of its session and group */
};

/* Appends a frame. */
void wire_put(struct buf *out, enum wire_type type, const void *bytes, size_t n);
/* Appends a WIRE_START frame, with `env` in the place of the program's own. `out` overflows where
 * it is too long. */
void wire_put_program(struct buf *out, const struct engine_program *p, const char *const *env);

/* Cuts the next frame off the front of *rest: 1, or 0 where it is not whole yet, or -1 where the
 * bytes are no frame. */
int wire_frame(struct str *rest, enum wire_type *type, struct str *payload) MUST_CHECK;
/* Copies a frame's bytes into a value; false where the sizes differ. */
bool wire_get(struct str payload, void *value, size_t size) MUST_CHECK;

/* Views of the payload, except for the two arrays. The members `cpus` and `gpus` stay 0. */
bool wire_program_parse(struct str payload, struct engine_program *out) MUST_CHECK;
void wire_program_done(struct engine_program *p);

#endif

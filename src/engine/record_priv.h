/* The record of ends: a text file, one line for each, that begins with a checksum of the rest. */
#ifndef FLAMBE_ENGINE_RECORD_PRIV_H
#define FLAMBE_ENGINE_RECORD_PRIV_H

#include "engine/engine.h"

struct record {
    int fd;    /* -1: none is kept */
    bool torn; /* the file ends within a line */
};

/* A NULL path is no record. */
int record_open(struct record *r, const char *path, struct err *err) MUST_CHECK;
/* With one write(), so that a reader sees the line or not. Returns -1, with errno, where it did
 * not reach the file. */
int record_append(struct record *r, const struct engine_result *result) MUST_CHECK;
void record_close(struct record *r);

#endif

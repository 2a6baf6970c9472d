/* The record of ends: a text file, one line for each, that begins with a checksum of the rest. */
#ifndef FLAMBE_ENGINE_RECORD_PRIV_H
#define FLAMBE_ENGINE_RECORD_PRIV_H

#include "base/buf.h"
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
/* The same with a whole line, end and all. */
int record_append_line(struct record *r, struct str line) MUST_CHECK;
void record_close(struct record *r);

/* The fields of an entry, with tabs between. */
void record_put(const struct engine_result *r, struct buf *body);
bool record_get(struct str body, struct engine_result *out) MUST_CHECK;
/* Appends the line: a checksum, a tab, the body. */
void record_seal(struct str body, struct buf *line);
/* What the line (without its end) holds, or false where it is not whole. */
bool record_unseal(struct str line, struct str *body) MUST_CHECK;
/* Appends the text without what would end a field or a line. */
void record_put_text(struct buf *body, const char *text);
/* The text of the next field. */
void record_get_text(struct str *rest, char *out, size_t size);

#endif

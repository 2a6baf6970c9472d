/* The source line and the caret under it, as columns of a terminal. */
#ifndef FLAMBE_CONFIG_EXCERPT_PRIV_H
#define FLAMBE_CONFIG_EXCERPT_PRIV_H

#include "base/buf.h"
#include "config/diag.h"

#define EXCERPT_COLUMNS_MAX 100 /* of a long line, the part around the caret */

struct excerpt_char {
    uint32_t code; /* the byte itself where it is no UTF-8 */
    size_t bytes;  /* at least 1 */
    int columns;   /* on a terminal, escaped where need be; a tab counts as 1 */
    bool escaped;  /* shown as \xNN or \uNNNN */
};

/* The character at `at` (< text.n). Bytes that are no UTF-8 come one at a time, escaped. */
struct excerpt_char excerpt_char(struct str text, size_t at);
/* Appends the text with all that could move a cursor, or hide, written as an escape. */
void excerpt_escape(struct str text, struct buf *out);
/* The line of `at` and what stands under it. False where there is no such line or it is blank. */
bool excerpt_make(struct str text, struct span at, struct buf *line, struct buf *caret);

#endif

/* Values as text: as Python writes them, since the original passed str(value) to its scripts, and
 * for a line of the shell. */
#ifndef FLAMBE_EXPERIMENT_VALUE_H
#define FLAMBE_EXPERIMENT_VALUE_H

#include "base/buf.h"
#include <jansson.h>

/* Python's repr() of a float: the shortest digits that give the number again; "0.001", "1e-05",
 * "1.0", "nan". */
void value_float(double x, struct buf *out);
/* Python's str() of a value. */
void value_text(const json_t *value, struct buf *out);

/* A number that JSON does not have is the text "nan", "inf" or "-inf". */
json_t *value_real(double x);

#define SHELL_DEPTH_MAX 32 /* of commands within commands */

/* Where in a shell's line a value is put: what stands before it decides how it is quoted. Zeroed at
 * the line's beginning. `cmd` within back quotes and the text of here-documents are not looked
 * into. */
struct shell_place {
    enum shell_quote { SHELL_PLAIN, SHELL_SINGLE, SHELL_DOUBLE } quote;
    bool escaped;  /* behind a backslash */
    bool variable; /* behind $NAME, which a letter would make longer */
    bool comment;
    char before; /* the byte before */
    int depth;   /* of $( and ( */
    unsigned char outer[SHELL_DEPTH_MAX];
};
/* Moves over one byte of the user's own line. */
void shell_step(struct shell_place *p, char c);
/* Appends the text so that the shell takes it as it is, as one word or a part of one, and moves
 * over it. */
void shell_add(struct shell_place *p, struct str text, struct buf *out);

#endif

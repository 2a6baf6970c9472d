/* The command line's options, parsed from const tables.
 *
 * --name=value, --name value, -o value, -ovalue, clusters of flags (-vvy), "--" as the end of
 * options, and options after operands. A negative number is an operand. Names are never
 * abbreviated, so that a new option cannot change what an old script means. */
#ifndef FLAMBE_CLI_OPTIONS_H
#define FLAMBE_CLI_OPTIONS_H

#include "base/buf.h"
#include "base/err.h"
#include <stddef.h>

enum option_kind {
    OPTION_FLAG,  /* bool */
    OPTION_COUNT, /* int, one more each time */
    OPTION_TEXT,  /* const char *, into argv; the last one given holds */
};

struct option_row {
    const char *name; /* without the dashes */
    char letter;      /* or 0 */
    enum option_kind kind;
    const char *value;          /* OPTION_TEXT: what help calls it, "REGION" */
    const char *const *choices; /* OPTION_TEXT: NULL-terminated, or NULL: any text */
    const char *help;           /* a phrase without a full stop */
    size_t offset;              /* of the field in the struct that is filled */
};

struct option_table {
    const struct option_row *rows;
    size_t count;
};

struct operands {
    const char *const *items; /* into argv; the array itself is owned */
    size_t count, cap;
    size_t dashes; /* how many operands stood before "--"; OPERANDS_NO_DASHES without one */
};
#define OPERANDS_NO_DASHES ((size_t)-1)
#define OPERANDS_ANY ((size_t)-1)
void operands_done(struct operands *o);

/* Reads argv[0..argc). Options may stand before and among the first `parsed` operands; the operand
 * after those, and all that follows it, is taken as it is (OPERANDS_ANY: options may stand
 * anywhere). Errors are ERR_USAGE, with a suggestion for a misspelt name. */
int options_parse(const struct option_table *tables, size_t table_count, size_t parsed, size_t argc,
                  const char *const *argv, void *out, struct operands *operands,
                  struct err *err) MUST_CHECK;

/* "-o, --output=FORMAT" */
void options_signature(const struct option_row *row, struct buf *out);

#endif

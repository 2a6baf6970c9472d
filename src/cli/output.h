/* Standard output: results only. A failed write (a closed pipe, a full disk) is remembered and
 * makes the program fail at its end. */
#ifndef FLAMBE_CLI_OUTPUT_H
#define FLAMBE_CLI_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>

struct output {
    int fd;
    bool tty, color;
    int failed; /* errno of the first write that failed, or 0 */
    bool wrote;
};

void output_write(struct output *o, struct str bytes);
/* False once a write failed, or nobody reads the pipe any more: for who waits long between two
 * writes, and would be left behind by a reader that is gone. */
bool output_is_read(struct output *o);
void output_printf(struct output *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Indented JSON and a new line; takes the value. */
void output_json(struct output *o, json_t *value);
/* Closes the descriptor, since some failures show only then. ERR_IO where any write failed. */
int output_close(struct output *o, struct err *err) MUST_CHECK;

#endif

/* Standard error as people see it: lines, and below them a live area that is redrawn in place.
 *
 * A line that is printed while a live area stands goes above it. Without a terminal there is no
 * live area and only lines are written. Failures to write are passed over: there is nowhere left to
 * report them. */
#ifndef FLAMBE_CLI_CONSOLE_H
#define FLAMBE_CLI_CONSOLE_H

#include "base/attr.h"
#include "base/str.h"
#include <stdbool.h>

struct console {
    int fd;
    bool tty, color;
    int fixed_width, fixed_height; /* for tests; 0: ask the terminal */
    struct strv area;              /* the lines that stand on the screen now */
    /* Where both go in place of `fd`; or NULL. */
    void (*on_lines)(void *ctx, struct str text);
    void (*on_area)(void *ctx, const struct strv *area);
    void *ctx;
};

void console_init(struct console *c, int fd, bool color);
void console_done(struct console *c); /* leaves the live area on the screen */
/* The terminal's size now; 80 by 24 where it is not known. */
void console_size(const struct console *c, size_t *width, size_t *height);
/* One line; the text is written as it is, so outside text is cleaned before. */
void console_line(struct console *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Whole lines, each with its new line. */
void console_lines(struct console *c, struct str text);
/* Replaces the live area; takes the lines. Does nothing without a terminal. */
void console_draw(struct console *c, struct strv *lines);
/* Takes the live area off the screen. */
void console_erase(struct console *c);
/* Lets the live area stand as ordinary lines and forgets it. */
void console_keep(struct console *c);

#endif

/* Text on a terminal: what may be shown, how wide it is, where it is cut and wrapped.
 *
 * Whatever came from outside (a host's output, a server's message, a file's name) goes through
 * text_clean before it is shown, so that it cannot move the cursor or colour the screen. */
#ifndef FLAMBE_CLI_TEXT_H
#define FLAMBE_CLI_TEXT_H

#include "base/buf.h"
#include "base/str.h"

/* SGR sequences; see text_styled. */
#define STYLE_NONE ""
#define STYLE_BOLD "1"
#define STYLE_DIM "2"
#define STYLE_RED "31"
#define STYLE_GREEN "32"
#define STYLE_YELLOW "33"
#define STYLE_BLUE "34"
#define STYLE_MAGENTA "35"
#define STYLE_CYAN "36"

/* Appends the text with control characters and bytes that are not UTF-8 as "\xNN"; new lines and
 * tabs too unless `keep_lines`. */
void text_clean(struct str s, bool keep_lines, struct buf *out);
/* Columns that the text takes; escape sequences of ours (CSI) count nothing. */
size_t text_width(struct str s);
/* Appends the text cut to `width` columns ("..." at its end where cut), padded to it if `pad`. */
void text_fit(struct str s, size_t width, bool pad, struct buf *out);
/* Appends the text in a style, or plain where the style is "" or `color` is false. */
void text_styled(const char *style, bool color, struct str s, struct buf *out);
/* Appends paragraphs wrapped at `width` columns, each line behind `indent` blanks. Lines that begin
 * with a blank are kept as they are. */
void text_wrap(const char *paragraphs, size_t indent, size_t width, struct buf *out);
/* A word for the shell, in single quotes where it needs them. */
void text_shell_quote(const char *word, struct buf *out);

#endif

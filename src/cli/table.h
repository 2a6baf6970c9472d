/* A table of text in columns, laid out for a width. Pure: lines come out, nothing is printed. */
#ifndef FLAMBE_CLI_TABLE_H
#define FLAMBE_CLI_TABLE_H

#include "base/str.h"
#include <stddef.h>

#define TABLE_COLUMNS_MAX 40
#define TABLE_GAP 2 /* blanks between columns */

struct table_column {
    const char *title;
    int drop;  /* where the width is too small: 1 is left out first, then 2, …; 0 never */
    bool fill; /* the last one shown, cut to what is left */
};

struct table_cell {
    char *text;
    const char *style; /* a STYLE_… of text.h */
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    struct table_cell *cells; /* row by row */
    size_t count, cap;
};

void table_init(struct table *t, const struct table_column *columns, size_t count);
void table_done(struct table *t);
/* Adds the next cell; the text is cleaned of control characters; NULL is "-". */
void table_add(struct table *t, const char *style, const char *text);
/* Appends a title line and one line a row to `lines`, none wider than `width` (0: any width). A
 * column in which every cell is empty is left out. */
void table_render(const struct table *t, size_t width, bool color, struct strv *lines);

#endif

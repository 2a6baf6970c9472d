/* See table.h. */
#include "cli/table.h"
#include "base/mem.h"
#include "cli/text.h"
#include <assert.h>
#include <stdlib.h>

#define FILL_WIDTH_MIN 12 /* a narrower note says nothing: its column goes instead */

struct layout {
    size_t widths[TABLE_COLUMNS_MAX];
    bool shown[TABLE_COLUMNS_MAX];
};

void table_init(struct table *t, const struct table_column *columns, size_t count)
{
    assert(count <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns, .column_count = count};
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    *t = (struct table){0};
}

void table_add(struct table *t, const char *style, const char *text)
{
    MEM_PUSH_ROOM(t->cells, t->count, t->cap);
    struct buf clean = {0};
    text_clean(str_of(text ? text : "-"), false, &clean);
    t->cells[t->count++] = (struct table_cell){buf_take(&clean), style};
}

static size_t total(const struct table *t, const struct layout *l)
{
    size_t sum = 0;
    for (size_t c = 0; c < t->column_count; c++)
        if (l->shown[c])
            sum += (sum ? TABLE_GAP : 0) + (t->columns[c].fill && l->widths[c] > FILL_WIDTH_MIN
                                                ? FILL_WIDTH_MIN
                                                : l->widths[c]);
    return sum;
}

static void measure(const struct table *t, struct layout *l)
{
    for (size_t c = 0; c < t->column_count; c++) {
        size_t widest = 0;
        for (size_t i = c; i < t->count; i += t->column_count) {
            size_t w = text_width(str_of(t->cells[i].text));
            if (w > widest)
                widest = w;
        }
        size_t title = text_width(str_of(t->columns[c].title));
        l->shown[c] = widest > 0 || t->count == 0;
        l->widths[c] = widest > title ? widest : title;
    }
}

static void choose(const struct table *t, size_t width, struct layout *l)
{
    for (int rank = 1; width && total(t, l) > width && rank <= TABLE_COLUMNS_MAX; rank++)
        for (size_t c = 0; c < t->column_count; c++)
            if (t->columns[c].drop == rank)
                l->shown[c] = false;
    if (!width)
        return;
    size_t others = 0;
    for (size_t c = 0; c < t->column_count; c++)
        if (l->shown[c] && !t->columns[c].fill)
            others += l->widths[c] + TABLE_GAP;
    for (size_t c = 0; c < t->column_count; c++)
        if (t->columns[c].fill && others + l->widths[c] > width)
            l->widths[c] = width > others ? width - others : 0;
}

/* The cells of one row; `row` is past the last for the titles. */
static void add_line(const struct table *t, const struct layout *l, const struct table_cell *row,
                     size_t width, bool color, struct strv *lines)
{
    struct buf line = {0}, plain = {0};
    size_t owed = 0; /* blanks that are only put before more text */
    for (size_t c = 0; c < t->column_count; c++) {
        if (!l->shown[c])
            continue;
        struct str text = str_of(row ? row[c].text : t->columns[c].title);
        buf_clear(&plain);
        text_fit(text, l->widths[c], false, &plain);
        if (plain.len) {
            buf_addf(&line, "%*s", (int)owed, "");
            owed = 0;
            text_styled(row ? row[c].style : STYLE_DIM, color, buf_view(&plain), &line);
        }
        owed += l->widths[c] - text_width(buf_view(&plain)) + TABLE_GAP;
    }
    if (width) {
        buf_clear(&plain);
        text_fit(buf_view(&line), width, false, &plain);
        if (color && plain.len < line.len)
            buf_adds(&plain, "\x1b[0m");
        strv_add_str(lines, buf_view(&plain));
    } else {
        strv_add_str(lines, buf_view(&line));
    }
    buf_done(&line);
    buf_done(&plain);
}

void table_render(const struct table *t, size_t width, bool color, struct strv *lines)
{
    struct layout l = {0};
    measure(t, &l);
    choose(t, width, &l);
    add_line(t, &l, NULL, width, color, lines);
    for (size_t i = 0; i + t->column_count <= t->count; i += t->column_count)
        add_line(t, &l, &t->cells[i], width, color, lines);
}

/* The list of diagnostics and its two shapes, text and JSON. The excerpt's pieces are in excerpt.c.
 */
#include "config/diag.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"
#include "config/excerpt_priv.h"
#include <stdlib.h>
#include <string.h>

void diags_init(struct diags *d, const char *path, struct str text)
{
    bool fit = str_is_utf8(text, NULL);
    *d = (struct diags){.path = mem_dup(path), .text = fit ? str_dup(text) : mem_dup("")};
    url_hide(d->text, strlen(d->text));
}

void diags_done(struct diags *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->items[i].problem);
        free(d->items[i].fix);
    }
    free(d->items);
    free(d->path);
    free(d->text);
    *d = (struct diags){0};
}

void diags_add(struct diags *d, struct span at, char *problem, char *fix)
{
    if (diags_full(d)) {
        diags_drop(d);
        free(problem);
        free(fix);
        return;
    }
    MEM_PUSH_ROOM(d->items, d->count, d->cap);
    d->items[d->count++] = (struct diag){at, problem, fix};
}

bool diags_full(const struct diags *d)
{
    return d->count == DIAGS_MAX;
}

void diags_drop(struct diags *d)
{
    d->dropped++;
}

bool diags_at(const struct diags *d, struct span at)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].at.line == at.line && d->items[i].at.column == at.column)
            return true;
    return false;
}

size_t diags_total(const struct diags *d)
{
    return d->count + d->dropped;
}

/* The order among equals is that of their finding: items are adjacent in one array. */
static int by_position(const void *a, const void *b)
{
    const struct diag *x = *(const struct diag *const *)a, *y = *(const struct diag *const *)b;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    if (x->at.column != y->at.column)
        return x->at.column < y->at.column ? -1 : 1;
    return x < y ? -1 : x > y;
}

static size_t sorted(const struct diags *d, const struct diag *out[DIAGS_MAX])
{
    for (size_t i = 0; i < d->count; i++)
        out[i] = &d->items[i];
    qsort(out, d->count, sizeof *out, by_position);
    return d->count;
}

struct style {
    const char *path, *error, *caret, *fix, *off;
};

static const struct style style_plain = {"", "", "", "", ""};
static const struct style style_color = {"\033[1m", "\033[1;31m", "\033[1;32m", "\033[36m",
                                         "\033[0m"};

/* What is shown goes into logs: passwords in URLs do not. */
static void add_masked(const char *text, struct buf *out)
{
    AUTO_FREE char *shown = text ? url_masked(text) : NULL;
    excerpt_escape(str_of(shown), out);
}

static void print_one(const struct diags *d, const struct diag *item, const struct style *style,
                      struct buf *out)
{
    buf_adds(out, style->path);
    excerpt_escape(str_of(d->path), out);
    if (item->at.line > 0)
        buf_addf(out, ":%d:%d", item->at.line, item->at.column);
    buf_addf(out, ":%s %serror:%s ", style->off, style->error, style->off);
    add_masked(item->problem, out);
    buf_addc(out, '\n');
    AUTO_BUF struct buf line = {0}, caret = {0};
    if (excerpt_make(str_of(d->text), item->at, &line, &caret)) {
        buf_addf(out, "%4d | ", item->at.line);
        buf_add_str(out, buf_view(&line));
        buf_addf(out, "\n     | %s", style->caret);
        buf_add_str(out, buf_view(&caret));
        buf_addf(out, "%s\n", style->off);
    }
    if (!item->fix)
        return;
    buf_addf(out, "  %sfix:%s ", style->fix, style->off);
    add_masked(item->fix, out);
    buf_addc(out, '\n');
}

void diags_print(const struct diags *d, bool color, struct buf *out)
{
    const struct diag *order[DIAGS_MAX];
    size_t count = sorted(d, order);
    for (size_t i = 0; i < count; i++)
        print_one(d, order[i], color ? &style_color : &style_plain, out);
    size_t total = diags_total(d);
    if (total == 0)
        return;
    buf_addf(out, "%zu error%s", total, total == 1 ? "" : "s");
    if (d->dropped)
        buf_addf(out, ", the first %d shown", DIAGS_MAX);
    buf_addc(out, '\n');
}

void diags_json(const struct diags *d, struct buf *out)
{
    const struct diag *order[DIAGS_MAX];
    size_t count = sorted(d, order);
    json_auto_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct diag *item = order[i];
        /* jansson refuses a path that is no UTF-8; its escaped form always is. */
        AUTO_BUF struct buf path = {0}, problem = {0}, fix = {0};
        excerpt_escape(str_of(d->path), &path);
        add_masked(item->problem, &problem);
        add_masked(item->fix, &fix);
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s, s:s?}", "file", buf_text(&path),
                                              "line", item->at.line, "column", item->at.column,
                                              "problem", buf_text(&problem), "fix",
                                              item->fix ? buf_text(&fix) : NULL));
    }
    json_write(list, true, out);
}

int diags_check(const struct diags *d, struct err *err)
{
    size_t total = diags_total(d);
    if (total == 0)
        return 0;
    return err_set(err, ERR_FILE, "'%s' has %zu error%s", d->path, total, total == 1 ? "" : "s");
}

char *diag_quote(struct str text)
{
    struct buf b = {0};
    AUTO_BUF struct buf shown = {0};
    url_mask(text, &shown); /* before it is cut, and is no URL any more */
    text = buf_view(&shown);
    buf_addc(&b, '\'');
    size_t at = 0;
    for (size_t n = 0; at < text.n && n < DIAG_QUOTE_MAX; n++)
        at += excerpt_char(text, at).bytes;
    excerpt_escape((struct str){text.p, at}, &b);
    buf_adds(&b, at < text.n ? "…'" : "'");
    return buf_take(&b);
}

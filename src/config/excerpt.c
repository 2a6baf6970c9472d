/* See excerpt_priv.h.
 *
 * A tab is copied into the caret's line, so that both lines meet the same tab stops; every other
 * character is answered by as many spaces as it has columns. Widths come from the short tables
 * below and not from wcwidth(3), whose answer depends on the user's locale. */
#include "config/excerpt_priv.h"
#include <string.h>

struct range {
    uint32_t first, last;
};

/* East Asian wide and fullwidth, and emoji: the blocks of Unicode's EastAsianWidth.txt (W and F).
 */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
    {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xa960, 0xa97c},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},
    {0xffe0, 0xffe6},   {0x17000, 0x18cff}, {0x1b000, 0x1b2ff}, {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* Combining marks, joiners and variation selectors: no column of their own. */
static const struct range zero[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0900, 0x0902}, {0x093c, 0x093c}, {0x0941, 0x0948}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200c, 0x200d}, {0x20d0, 0x20ff},
    {0x302a, 0x302d}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
};

/* Controls, and what reorders or hides text: shown escaped. */
static const struct range unseen[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200b, 0x200b}, {0x200e, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
};

static bool within(uint32_t code, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* The sequence at `at`, or 0 bytes where it is no UTF-8. */
static size_t decode(struct str text, size_t at, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)text.p + at;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    *code = p[0];
    if (n == 1)
        return 1;
    if (n > text.n - at || !str_is_utf8((struct str){text.p + at, n}, NULL))
        return 0;
    *code = p[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++)
        *code = *code << 6 | (p[i] & 0x3f);
    return n;
}

static int escape_width(uint32_t code, size_t bytes)
{
    if (code == '\n' || code == '\r' || code == '\t')
        return 2;
    return bytes <= 1 ? 4 : code <= 0xffff ? 6 : 8;
}

struct excerpt_char excerpt_char(struct str text, size_t at)
{
    struct excerpt_char c = {.columns = 1};
    c.bytes = decode(text, at, &c.code);
    bool foreign = c.bytes == 0;
    if (foreign)
        c.bytes = 1;
    if (!foreign && c.code >= 0x20 && c.code < 0x7f)
        return c;
    c.escaped = foreign || within(c.code, unseen, COUNT_OF(unseen));
    if (c.escaped)
        c.columns = escape_width(c.code, c.bytes);
    else if (within(c.code, zero, COUNT_OF(zero)))
        c.columns = 0;
    else if (within(c.code, wide, COUNT_OF(wide)))
        c.columns = 2;
    return c;
}

static void add_char(struct str text, size_t at, struct excerpt_char c, struct buf *out)
{
    if (!c.escaped)
        buf_add(out, text.p + at, c.bytes);
    else if (c.code == '\n' || c.code == '\r' || c.code == '\t')
        buf_adds(out, c.code == '\n' ? "\\n" : c.code == '\r' ? "\\r" : "\\t");
    else if (c.bytes == 1)
        buf_addf(out, "\\x%02x", (unsigned)c.code);
    else
        buf_addf(out, c.code <= 0xffff ? "\\u%04x" : "\\u%06x", (unsigned)c.code);
}

void excerpt_escape(struct str text, struct buf *out)
{
    for (size_t at = 0; at < text.n;) {
        struct excerpt_char c = excerpt_char(text, at);
        add_char(text, at, c, out);
        at += c.bytes;
    }
}

static bool find_line(struct str text, int number, struct str *line)
{
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = (struct str){text.p + 3, text.n - 3};
    size_t start = 0;
    for (int i = 1;; i++) {
        size_t end = start;
        while (end < text.n && text.p[end] != '\n' && text.p[end] != '\r')
            end++;
        if (i == number) {
            *line = (struct str){text.p + start, end - start};
            return true;
        }
        if (end == text.n)
            return false;
        bool pair = text.p[end] == '\r' && end + 1 < text.n && text.p[end + 1] == '\n';
        start = end + (pair ? 2 : 1);
    }
}

/* Where to begin, so that a far caret is on the screen: 0, or some columns in front of it. */
static int first_column(struct span at)
{
    return at.column <= EXCERPT_COLUMNS_MAX * 3 / 4 ? 1 : at.column - EXCERPT_COLUMNS_MAX / 2;
}

bool excerpt_make(struct str text, struct span at, struct buf *line, struct buf *caret)
{
    struct str source;
    if (at.line < 1 || !find_line(text, at.line, &source) || str_trim(source).n == 0)
        return false;
    int from = first_column(at), column = 1, width = 0, marked = 0;
    if (from > 1) {
        buf_adds(line, "…");
        buf_addc(caret, ' ');
    }
    size_t i = 0;
    for (; i < source.n && width < EXCERPT_COLUMNS_MAX; column++) {
        struct excerpt_char c = excerpt_char(source, i);
        bool tab = c.code == '\t';
        if (column >= from) {
            if (tab)
                buf_addc(line, '\t');
            else
                add_char(source, i, c, line);
            width += tab ? 8 : c.columns;
        }
        if (column >= from && column < at.column)
            for (int k = 0; k < (tab ? 1 : c.columns); k++)
                buf_addc(caret, tab ? '\t' : ' ');
        if (column >= at.column && column < at.column + at.length)
            marked += tab ? 1 : c.columns;
        i += c.bytes;
    }
    if (i < source.n)
        buf_adds(line, "…");
    buf_addc(caret, '^');
    for (int k = 1; k < marked; k++)
        buf_addc(caret, '~');
    return true;
}

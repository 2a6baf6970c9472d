/* See text.h. */
#include "cli/text.h"
#include <string.h>
#include <wchar.h>

/* The code point at the start of s and its length in bytes; length 0 where s is no valid UTF-8. */
static size_t decode(struct str s, wchar_t *out)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > s.n)
        return 0;
    size_t bad;
    if (p[0] && !str_is_utf8((struct str){s.p, len}, &bad))
        return 0;
    unsigned code = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (p[i] & 0x3fU);
    *out = (wchar_t)code;
    return len;
}

static size_t columns(wchar_t c)
{
    int n = wcwidth(c); /* -1 in the C locale for all that is not ASCII */
    return n < 0 ? 1 : (size_t)n;
}

/* The length of the escape sequence "ESC [ … letter" at the start of s, or 0. */
static size_t escape_length(struct str s)
{
    if (s.n < 3 || s.p[0] != '\x1b' || s.p[1] != '[')
        return 0;
    for (size_t i = 2; i < s.n; i++)
        if (s.p[i] >= 0x40 && s.p[i] <= 0x7e)
            return i + 1;
    return 0;
}

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

void text_clean(struct str s, bool keep_lines, struct buf *out)
{
    while (s.n) {
        wchar_t c = 0;
        size_t len = decode(s, &c);
        bool shown = len && c >= 0x20 && !(c >= 0x7f && c < 0xa0);
        /* Marks that turn the direction of writing can make a line read as another. */
        shown = shown && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
        if (shown || (keep_lines && (c == '\n' || c == '\t') && len)) {
            buf_add(out, s.p, len);
            s = behind(s, len);
            continue;
        }
        size_t bytes = len ? len : 1;
        for (size_t i = 0; i < bytes; i++)
            buf_addf(out, "\\x%02x", (unsigned char)s.p[i]);
        s = behind(s, bytes);
    }
}

size_t text_width(struct str s)
{
    size_t width = 0;
    while (s.n) {
        size_t skip = escape_length(s);
        if (skip) {
            s = behind(s, skip);
            continue;
        }
        wchar_t c = 0;
        size_t len = decode(s, &c);
        width += len ? columns(c) : 1;
        s = behind(s, len ? len : 1);
    }
    return width;
}

void text_fit(struct str s, size_t width, bool pad, struct buf *out)
{
    size_t full = text_width(s);
    if (full <= width) {
        buf_add_str(out, s);
        for (; pad && full < width; full++)
            buf_addc(out, ' ');
        return;
    }
    size_t dots = width < 3 ? width : 3, room = width - dots, used = 0;
    while (s.n) {
        size_t skip = escape_length(s);
        wchar_t c = 0;
        size_t len = skip ? skip : decode(s, &c);
        size_t w = skip ? 0 : len ? columns(c) : 1;
        if (used + w > room)
            break;
        used += w;
        buf_add(out, s.p, len ? len : 1);
        s = behind(s, len ? len : 1);
    }
    for (; used < room && pad; used++)
        buf_addc(out, ' ');
    buf_add(out, "...", dots);
}

void text_styled(const char *style, bool color, struct str s, struct buf *out)
{
    if (!color || !*style) {
        buf_add_str(out, s);
        return;
    }
    buf_addf(out, "\x1b[%sm", style);
    buf_add_str(out, s);
    buf_adds(out, "\x1b[0m");
}

static void wrap_line(struct str line, size_t indent, size_t width, struct buf *out)
{
    size_t used = 0;
    while (line.p) {
        struct str word = str_cut(&line, ' ');
        if (!word.n)
            continue;
        size_t w = text_width(word);
        if (used && indent + used + 1 + w > width) {
            buf_addc(out, '\n');
            used = 0;
        }
        if (used) {
            buf_addc(out, ' ');
            used++;
        } else {
            buf_addf(out, "%*s", (int)indent, "");
        }
        buf_add_str(out, word);
        used += w;
    }
    buf_addc(out, '\n');
}

void text_wrap(const char *paragraphs, size_t indent, size_t width, struct buf *out)
{
    struct str rest = str_of(paragraphs);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        if (!line.n && !rest.p)
            return;
        if (!line.n)
            buf_addc(out, '\n');
        else if (line.p[0] == ' ')
            buf_addf(out, "%*s%.*s\n", (int)indent, "", STR_FMT(line));
        else
            wrap_line(line, indent, width, out);
    }
}

void text_shell_quote(const char *word, struct buf *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "@%+=:,./-_";
    if (*word && strspn(word, plain) == strlen(word)) {
        buf_adds(out, word);
        return;
    }
    buf_addc(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *word);
    }
    buf_addc(out, '\'');
}

/* XML answers: elements and escaped text, appended to a buffer. */
#include "sandbox/api.h"
#include <inttypes.h>

void xml_open(struct buf *b, const char *name)
{
    buf_addf(b, "<%s>", name);
}

void xml_close(struct buf *b, const char *name)
{
    buf_addf(b, "</%s>", name);
}

static void escape(struct buf *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        switch (*p) {
        case '&':
            buf_adds(b, "&amp;");
            break;
        case '<':
            buf_adds(b, "&lt;");
            break;
        case '>':
            buf_adds(b, "&gt;");
            break;
        case '"':
            buf_adds(b, "&quot;");
            break;
        case '\r':
            buf_adds(b, "&#13;");
            break;
        default:
            /* U+FFFE and U+FFFF are the only forbidden ones beyond the control characters. */
            if ((*p < 0x20 && *p != '\t' && *p != '\n') || *p == 0x7f) {
                buf_addc(b, '?');
            } else if (p[0] == 0xef && p[1] == 0xbf && (p[2] == 0xbe || p[2] == 0xbf)) {
                buf_addc(b, '?');
                p += 2;
            } else {
                buf_addc(b, (char)*p);
            }
        }
    }
}

void xml_text(struct buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    xml_open(b, name);
    escape(b, text);
    xml_close(b, name);
}

void xml_int(struct buf *b, const char *name, int64_t value)
{
    buf_addf(b, "<%s>%" PRId64 "</%s>", name, value, name);
}

void xml_bool(struct buf *b, const char *name, bool value)
{
    xml_text(b, name, value ? "true" : "false");
}

void xml_time(struct buf *b, const char *name, usec_t wall)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(wall, text);
    size_t n = 0;
    while (text[n] && text[n] != 'Z')
        n++;
    buf_addf(b, "<%s>%.*s.%03dZ</%s>", name, (int)n, text,
             (int)(wall % USEC_PER_SEC / USEC_PER_MSEC), name);
}

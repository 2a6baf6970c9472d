/* The text of a YAML file before libyaml, and libyaml's complaints after it.
 *
 * libyaml counts three Unicode separators as line breaks that YAML 1.2 and every editor take as
 * ordinary characters; they are refused here, so that its lines and ours are the same. */
#include "base/mem.h"
#include "config/excerpt_priv.h"
#include "config/yaml_priv.h"
#include <string.h>

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static struct span span_of(struct str text, size_t at)
{
    struct span s = {.line = 1, .column = 1};
    size_t i = text.n >= 3 && memcmp(text.p, YAML_BOM, 3) == 0 ? 3 : 0;
    while (i < at) {
        bool pair = text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n';
        if (is_break(text.p[i])) {
            s.line++;
            s.column = 1;
        } else {
            s.column++;
        }
        i += pair ? 2 : excerpt_char(text, i).bytes;
    }
    return s;
}

size_t yaml_line_start(struct str text, int line)
{
    size_t i = 0;
    for (; line > 1 && i < text.n; i++) {
        bool pair = text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n';
        if (is_break(text.p[i]) && !pair)
            line--;
    }
    return i;
}

static bool looks_utf16(struct str text)
{
    if (text.n < 2)
        return false;
    const unsigned char *p = (const unsigned char *)text.p;
    return (p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) || p[0] == 0 ||
           p[1] == 0;
}

static bool check_encoding(struct str text, struct diags *diags)
{
    size_t bad;
    if (str_is_utf8(text, &bad))
        return true;
    struct span at = span_of(text, bad);
    unsigned byte = (unsigned char)text.p[bad];
    if (looks_utf16(text))
        diags_add(
            diags, (struct span){0}, mem_dup("the file is UTF-16, not UTF-8"),
            mem_printf("save it as UTF-8: iconv -f UTF-16 -t UTF-8 '%s' > new.yaml", diags->path));
    else if (byte == 0)
        diags_add(diags, at, mem_dup("a NUL byte"),
                  mem_dup("this is no text file, or it is damaged: look for another copy"));
    else
        diags_add(diags, at, mem_printf("byte 0x%02x is not UTF-8", byte),
                  mem_printf("save the file as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 "
                             "'%s' > new.yaml",
                             diags->path));
    return false;
}

/* c-printable of YAML 1.2 (5.1), without the three separators. */
static bool is_allowed(uint32_t c)
{
    if (c < 0x20)
        return c == '\t' || c == '\n' || c == '\r';
    return !(c >= 0x7f && c <= 0x9f) && c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe &&
           c != 0xffff;
}

static bool check_characters(struct str text, struct diags *diags)
{
    size_t before = diags_total(diags);
    size_t i = str_starts(text, YAML_BOM) ? 3 : 0;
    while (i < text.n) {
        unsigned char byte = (unsigned char)text.p[i];
        if (byte >= 0x20 && byte < 0x7f) {
            i++;
            continue;
        }
        struct excerpt_char c = excerpt_char(text, i);
        bool allowed = is_allowed(c.code);
        if (!allowed && diags_full(diags)) {
            diags_drop(diags);
        } else if (!allowed) {
            struct span at = span_of(text, i);
            at.length = 1;
            bool separator = c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
            diags_add(diags, at,
                      mem_printf("an invisible character, U+%04X%s", (unsigned)c.code,
                                 separator ? ", a line separator" : ""),
                      mem_dup(separator ? "replace it by an ordinary line break" : "remove it"));
        }
        i += c.bytes;
    }
    return diags_total(diags) == before;
}

bool yaml_text_check(struct str text, struct diags *diags)
{
    if (text.n > YAML_BYTES_MAX) {
        diags_add(diags, (struct span){0},
                  mem_printf("the file is longer than %zu MiB", YAML_BYTES_MAX >> 20),
                  mem_dup("is it the file you meant?"));
        return false;
    }
    return check_encoding(text, diags) && check_characters(text, diags);
}

/* ---- libyaml's complaints ------------------------------------------------------------------- */

/* The first row that fits is taken: `problem` and `context` are beginnings of libyaml's texts. */
static const struct {
    const char *problem, *context;
    bool at_context; /* the mistake is where it began, not where libyaml gave up */
    const char *say, *fix;
} explained[] = {
    {"found unexpected end of stream", "while scanning a quoted scalar", true,
     "this quote is never closed", "close it with the same quote"},
    {"found unexpected document indicator", "while scanning a quoted scalar", true,
     "this quote is never closed", "close it with the same quote"},
    {"could not find expected ':'", "while scanning a simple key", true,
     "a key without ': ' behind it", "write 'key: value', with a space behind the colon"},
    {"mapping values are not allowed in this context", NULL, false, "a ':' where no key can be",
     "align the key with the keys above; put a value that holds ': ' in quotes; is a ':' missing "
     "on "
     "the line above?"},
    {"did not find expected key", "while parsing a block mapping", false,
     "this line is not aligned with the keys above",
     "begin every key of one map in the same column"},
    {"did not find expected '-' indicator", NULL, false,
     "this line is not aligned with the list above",
     "begin every '-' of one list in the same column"},
    {"block sequence entries are not allowed in this context", NULL, false,
     "a '- ' where no list can begin", "put the list on the lines below its key"},
    {"did not find expected ',' or ']'", NULL, true, "this '[' is never closed",
     "put a ',' between the entries and a ']' behind the last"},
    {"did not find expected ',' or '}'", NULL, true, "this '{' is never closed",
     "put a ',' between the entries and a '}' behind the last"},
    {"did not find expected node content", "while parsing a flow node", false,
     "an entry is missing here", "write the entry, or remove the ','"},
    {"did not find expected node content", "while parsing a block node", false,
     "a value is missing here", "write the value behind the tag, or remove the tag"},
    {"found character that cannot start any token", NULL, false,
     "a value cannot begin with this character", "put the value in quotes"},
    {"did not find expected alphabetic or numeric character", "while scanning an alias", true,
     "a '*' begins the name of an alias", "if it is meant as text, put the value in quotes"},
    {"did not find expected alphabetic or numeric character", "while scanning an anchor", true,
     "a '&' begins the name of an anchor", "if it is meant as text, put the value in quotes"},
    {"found unknown escape character", NULL, false, "no such escape in double quotes",
     "double the backslash, or use single quotes"},
    {"found undefined tag handle", NULL, false, "an unknown tag prefix",
     "a tag has one '!', as in '!AWSCluster'"},
    {"did not find expected <document start>", NULL, false,
     "the document has ended before this line", "indent it like the lines above, or remove it"},
    {"found incompatible YAML document", NULL, false, "a version of YAML that flambe cannot read",
     "write '%YAML 1.2', or remove the line"},
    {"found a tab character", NULL, false, "a tab cannot indent", "use spaces"},
    {"did not find expected comment or line break", NULL, false,
     "nothing but a comment may follow here", "begin the text on the next line, indented"},
};

/* Where the white space in front of the line's text holds a tab: its place, else line 0. */
static struct span tab_of(struct str text, int line)
{
    size_t i = yaml_line_start(text, line);
    for (int column = 1; i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'); i++, column++)
        if (text.p[i] == '\t')
            return (struct span){line, column, 1};
    return (struct span){0};
}

static int later_lines_with_tab(struct str text, int line)
{
    int count = 0;
    bool indenting = true, here = false;
    for (size_t i = yaml_line_start(text, line + 1); i < text.n; i++) {
        if (is_break(text.p[i])) {
            indenting = true;
            here = false;
        } else if (indenting && text.p[i] == '\t' && !here) {
            here = true;
            count++;
        } else if (text.p[i] != ' ' && text.p[i] != '\t') {
            indenting = false;
        }
    }
    return count;
}

static bool explain_tab(struct str text, struct span at, struct diags *diags)
{
    struct span tab = tab_of(text, at.line);
    if (tab.line == 0)
        return false;
    int more = later_lines_with_tab(text, at.line);
    char *fix = mem_dup("use spaces: two for each level");
    if (more > 0) {
        char *first = fix;
        fix = mem_printf("%s (%d more line%s below begin%s with a tab)", first, more,
                         more == 1 ? "" : "s", more == 1 ? "s" : "");
        mem_freep(&first);
    }
    diags_add(diags, tab, mem_dup("a tab cannot indent"), fix);
    return true;
}

/* Whether the first thing on the line is a ':' at this place. */
static bool starts_with_colon(struct str text, struct span at)
{
    size_t i = yaml_line_start(text, at.line);
    int column = 1;
    for (; i < text.n && text.p[i] == ' '; i++)
        column++;
    return column == at.column && i < text.n && text.p[i] == ':';
}

void yaml_text_explain(struct str text, const char *problem, const char *context, struct span at,
                       struct span context_at, struct diags *diags)
{
    if (str_starts(text, YAML_BOM))
        text = (struct str){text.p + 3, text.n - 3};
    if (explain_tab(text, at, diags))
        return;
    if (starts_with_colon(text, at)) {
        diags_add(diags, at, mem_dup("a key is missing in front of this ':'"), NULL);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(explained); i++) {
        const char *want = explained[i].context;
        if (!str_starts(str_of(problem), explained[i].problem) ||
            (want && (!context || !str_starts(str_of(context), want))))
            continue;
        bool there = explained[i].at_context && context_at.line > 0;
        diags_add(diags, there ? context_at : at, mem_dup(explained[i].say),
                  mem_dup(explained[i].fix));
        return;
    }
    diags_add(diags, at, context ? mem_printf("%s (%s)", problem, context) : mem_dup(problem),
              mem_dup("look at the quotes, brackets and indentation here"));
}

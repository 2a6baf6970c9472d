/* See secrets.h. The rules are those of Python's configparser.ConfigParser() with its defaults
 * (https://docs.python.org/3/library/configparser.html): '#' and ';' begin a comment at a line's
 * start only, '=' and ':' stand between key and value, a line that is indented deeper than its
 * key's goes on with the value, and no section or key comes twice. */
#include "experiment/secrets.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/port.h"
#include "base/strtab.h"
#include "os/fs.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct reader {
    struct diags *diags;
    struct strtab *seen; /* digests of sections and keys; the value is the line */
    int line;
    char section[SHA256_HEX_SIZE]; /* "": before the first */
    bool in_value, no_section_said;
    size_t indent; /* of the last key or section */
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static struct str strip(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static void complain(struct reader *r, struct str line, struct str at, char *problem,
                     const char *fix)
{
    struct span span = {.line = r->line, .column = (int)(at.p - line.p) + 1};
    for (size_t i = 0; i < at.n; i++)
        span.length += ((unsigned char)at.p[i] & 0xc0) != 0x80;
    diags_add(r->diags, span, problem, mem_dup(fix));
}

/* Remembers a name by its digest; the line where it was before, or 0. */
static int see(struct reader *r, const char *section, struct str name, char digest[SHA256_HEX_SIZE])
{
    struct buf text = {0};
    buf_addf(&text, "%s ", section);
    for (size_t i = 0; i < name.n; i++)
        buf_addc(&text,
                 *section && name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    digest_sha256_hex(buf_view(&text), digest);
    buf_wipe(&text);
    void *before = strtab_get(r->seen, str_of(digest));
    if (!before)
        strtab_put(r->seen, str_of(digest), (void *)(intptr_t)r->line);
    return (int)(intptr_t)before;
}

static void read_section(struct reader *r, struct str line, struct str at, struct str name)
{
    int before = see(r, "", name, r->section);
    r->in_value = false;
    if (before && !str_is(name, "DEFAULT"))
        complain(r, line, at, mem_printf("this section is on line %d already", before),
                 "put its keys there");
}

static void read_key(struct reader *r, struct str line, struct str at)
{
    size_t n = 0;
    while (n < at.n && at.p[n] != '=' && at.p[n] != ':')
        n++;
    if (n == at.n) {
        complain(r, line, at, mem_dup("neither a [section] nor 'key = value'"),
                 "a value that goes on is indented deeper than its key");
        return;
    }
    struct str name = strip((struct str){at.p, n});
    r->in_value = true;
    if (name.n == 0) {
        complain(r, line, at, mem_dup("a value without a key"), "write 'key = value'");
        return;
    }
    char digest[SHA256_HEX_SIZE];
    int before = see(r, r->section, name, digest);
    if (before)
        complain(r, line, name, mem_printf("this key is on line %d already", before),
                 "keep one of them; small and capital letters are the same here");
}

static void read_line(struct reader *r, struct str line)
{
    struct str at = strip(line);
    if (at.n == 0 || at.p[0] == '#' || at.p[0] == ';')
        return;
    size_t indent = (size_t)(at.p - line.p);
    if (r->section[0] && r->in_value && indent > r->indent)
        return; /* more of a value */
    r->indent = indent;
    const char *end = at.p[0] == '[' ? port_memrchr(at.p, ']', at.n) : NULL;
    if (end && end > at.p + 1) {
        read_section(r, line, at, (struct str){at.p + 1, (size_t)(end - at.p - 1)});
    } else if (r->section[0]) {
        read_key(r, line, at);
    } else if (!r->no_section_said) {
        r->no_section_said = true;
        complain(r, line, at, mem_dup("a line before the first section"),
                 "write a section's name in brackets above it, such as [DEFAULT]");
    }
}

/* Up to a line's end of any kind: "\n", "\r\n", "\r". */
static struct str cut_line(struct str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    struct str line = {rest->p, n};
    size_t end = n;
    if (end < rest->n)
        end += rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n' ? 2 : 1;
    *rest = (struct str){rest->p + end, rest->n - end};
    return line;
}

void secrets_read(struct str text, struct diags *diags)
{
    CLEANUP(strtab_freep) struct strtab *seen = strtab_new();
    struct reader r = {.diags = diags, .seen = seen};
    size_t bad = text.n;
    bool sound = str_is_utf8(text, &bad);
    struct str rest = {text.p, sound ? text.n : bad};
    if (str_starts(rest, "\xef\xbb\xbf")) {
        diags_add(diags, (struct span){1, 1, 0},
                  mem_dup("a byte order mark, which Python's configparser takes for text"),
                  mem_dup("save the file as UTF-8 without it"));
        rest = (struct str){rest.p + 3, rest.n - 3};
    }
    while (rest.n) {
        struct str line = cut_line(&rest);
        r.line++;
        if (rest.n || sound)
            read_line(&r, line);
    }
    if (!sound)
        diags_add(diags, (struct span){r.line ? r.line : 1, 1, 0},
                  mem_dup("bytes that are no text"), mem_dup("save the file as UTF-8"));
}

int secrets_check(const char *given, char **path, char **warning, struct diags *diags,
                  struct err *err)
{
    AUTO_FREE char *place = fs_expand_home(given ? given : SECRETS_DEFAULT);
    struct buf text = {.max = SECRETS_MAX + 1};
    struct stat st;
    diags_init(diags, given ? given : SECRETS_DEFAULT, STR("")); /* and so without excerpts */
    if (!given && !fs_exists(place)) {
        *path = *warning = NULL;
        return 0;
    }
    if (fs_read_user_file(place, "a file of secrets", SECRETS_MAX, &text, err) == -1)
        return -1;
    secrets_read(buf_view(&text), diags);
    buf_wipe(&text);
    if (diags_check(diags, err) == -1)
        return -1;
    char *absolute = realpath(place, NULL);
    *path = absolute ? absolute : TAKE(place);
    bool open = stat(*path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO));
    *warning = open ? mem_printf("the secrets in '%s' can be read by others; type: chmod 600 %s",
                                 *path, *path)
                    : NULL;
    return 0;
}

/* See config_file.h. All entries are one list in the order of the files; the last match wins. */
#include "aws/config_file.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct entry {
    enum config_section kind;
    size_t section, path; /* indices into `sections` and `paths` */
    char *key, *sub;      /* sub: NULL unless indented */
    struct secret *value; /* may be a secret key */
};

struct section {
    enum config_section kind;
    char *name;
};

struct config_file {
    struct strv paths;
    struct section *sections;
    size_t section_count, section_cap;
    struct entry *entries;
    size_t count, cap;
};

/* Where the reading of one file stands. */
struct reader {
    struct config_file *file;
    const char *path;
    bool is_credentials;
    int line;
    bool in_section;
    size_t section;
    size_t last; /* entry of the last key that was not indented; SIZE_MAX: none in this section */
};

struct config_file *config_file_new(void)
{
    return mem_alloc(sizeof(struct config_file));
}

void config_file_free(struct config_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++) {
        free(f->entries[i].key);
        free(f->entries[i].sub);
        secret_free(f->entries[i].value);
    }
    for (size_t i = 0; i < f->section_count; i++)
        free(f->sections[i].name);
    free(f->entries);
    free(f->sections);
    strv_done(&f->paths);
    free(f);
}

static int wrong(const struct reader *r, struct err *err, const char *what)
{
    return err_set(err, ERR_FILE, "%s:%d: %s", r->path, r->line, what);
}

static char *lowered(struct str s)
{
    char *p = str_dup(s);
    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] |= 0x20;
    return p;
}

/* "profile x" with `word` "profile" gives "x"; quotes around the name go. */
static bool section_name(struct str head, const char *word, struct str *name)
{
    size_t n = strlen(word);
    if (!str_starts(head, word) || head.n <= n || (head.p[n] != ' ' && head.p[n] != '\t'))
        return false;
    *name = str_trim((struct str){head.p + n, head.n - n});
    if (name->n >= 2 && (name->p[0] == '"' || name->p[0] == '\'') &&
        name->p[name->n - 1] == name->p[0]) {
        name->p++;
        name->n -= 2;
    }
    return name->n > 0;
}

static enum config_section section_kind(const struct reader *r, struct str head, struct str *name)
{
    *name = head;
    if (r->is_credentials)
        return CONFIG_PROFILE;
    if (str_is(head, "default") || section_name(head, "profile", name))
        return CONFIG_PROFILE;
    if (section_name(head, "sso-session", name))
        return CONFIG_SSO_SESSION;
    if (section_name(head, "services", name))
        return CONFIG_SERVICES;
    return CONFIG_OTHER;
}

static int open_section(struct reader *r, struct str line, struct err *err)
{
    const char *end = memchr(line.p, ']', line.n);
    if (!end)
        return wrong(r, err, "a section that is not closed by ']'");
    struct str head = str_trim((struct str){line.p + 1, (size_t)(end - line.p) - 1});
    struct str behind = str_trim((struct str){end + 1, line.n - (size_t)(end - line.p) - 1});
    if (head.n == 0)
        return wrong(r, err, "a section without a name");
    if (behind.n && behind.p[0] != '#' && behind.p[0] != ';')
        return wrong(r, err, "text behind the section's ']'");
    struct str name;
    enum config_section kind = section_kind(r, head, &name);
    struct config_file *f = r->file;
    r->in_section = true;
    r->last = SIZE_MAX;
    for (r->section = 0; r->section < f->section_count; r->section++)
        if (f->sections[r->section].kind == kind && str_is(name, f->sections[r->section].name))
            return 0;
    if (f->section_count == CONFIG_SECTIONS_MAX)
        return wrong(r, err, "too many sections");
    MEM_PUSH_ROOM(f->sections, f->section_count, f->section_cap);
    f->sections[f->section_count++] = (struct section){kind, str_dup(name)};
    return 0;
}

static void add_entry(struct reader *r, struct str key, const char *parent, struct str value)
{
    struct config_file *f = r->file;
    MEM_PUSH_ROOM(f->entries, f->count, f->cap);
    f->entries[f->count++] = (struct entry){.kind = f->sections[r->section].kind,
                                            .section = r->section,
                                            .path = f->paths.count - 1,
                                            .key = parent ? mem_dup(parent) : lowered(key),
                                            .sub = parent ? lowered(key) : NULL,
                                            .value = secret_new(value)};
}

/* An indented line: a key of its own below one without a value, else more of the value above. */
static int add_indented(struct reader *r, struct str line, struct err *err)
{
    if (r->last == SIZE_MAX)
        return wrong(r, err, "an indented line with nothing above it");
    struct entry *above = &r->file->entries[r->last];
    if (!secret_is_empty(above->value)) {
        struct buf joined = {.max = CONFIG_VALUE_MAX};
        buf_add_str(&joined, secret_expose(above->value));
        buf_addc(&joined, '\n');
        buf_add_str(&joined, line);
        secret_free(above->value);
        above->value = secret_new(buf_view(&joined));
        bool too_long = joined.overflowed;
        buf_wipe(&joined);
        return too_long ? wrong(r, err, "a value that is too long") : 0;
    }
    struct str key = str_cut(&line, '=');
    key = str_trim(key);
    if (!line.p || key.n == 0)
        return wrong(r, err, "neither 'key = value' nor a [section]");
    add_entry(r, key, above->key, str_trim(line));
    return 0;
}

static int read_line(struct reader *r, struct str line, struct err *err)
{
    bool indented = line.n && (line.p[0] == ' ' || line.p[0] == '\t');
    if (memchr(line.p, '\0', line.n))
        return wrong(r, err, "a NUL byte; this is no configuration file");
    if (!str_is_utf8(line, NULL))
        return wrong(r, err, "text that is not UTF-8");
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
        return 0;
    if (line.p[0] == '[')
        return open_section(r, line, err);
    if (!r->in_section)
        return wrong(r, err, "text before the first [section]");
    if (indented)
        return add_indented(r, line, err);
    struct str key = str_cut(&line, '=');
    key = str_trim(key);
    if (!line.p || key.n == 0)
        return wrong(r, err, "neither 'key = value' nor a [section]");
    add_entry(r, key, NULL, str_trim(line));
    r->last = r->file->count - 1;
    return 0;
}

int config_file_add(struct config_file *f, const char *path, struct str text, bool is_credentials,
                    struct err *err)
{
    strv_add(&f->paths, path);
    struct reader r = {.file = f,
                       .path = f->paths.items[f->paths.count - 1],
                       .is_credentials = is_credentials,
                       .last = SIZE_MAX};
    if (str_starts(text, "\xef\xbb\xbf")) { /* a byte order mark */
        text.p += 3;
        text.n -= 3;
    }
    while (text.p && text.n) {
        r.line++;
        if (read_line(&r, str_cut(&text, '\n'), err) == -1)
            return -1;
    }
    return 0;
}

bool config_file_has(const struct config_file *f, enum config_section kind, const char *section)
{
    for (size_t i = 0; i < f->section_count; i++)
        if (f->sections[i].kind == kind && strcmp(f->sections[i].name, section) == 0)
            return true;
    return false;
}

static const struct entry *find(const struct config_file *f, enum config_section kind,
                                const char *section, const char *key, const char *sub)
{
    for (size_t i = f->count; i-- > 0;) {
        const struct entry *e = &f->entries[i];
        if (e->kind != kind || strcmp(f->sections[e->section].name, section) != 0 ||
            strcmp(e->key, key) != 0)
            continue;
        if (sub ? e->sub && strcmp(e->sub, sub) == 0 : !e->sub)
            return e;
    }
    return NULL;
}

const char *config_file_get(const struct config_file *f, enum config_section kind,
                            const char *section, const char *key)
{
    const struct entry *e = find(f, kind, section, key, NULL);
    return e ? secret_expose(e->value).p : NULL;
}

const char *config_file_get_sub(const struct config_file *f, enum config_section kind,
                                const char *section, const char *key, const char *sub)
{
    const struct entry *e = find(f, kind, section, key, sub);
    return e ? secret_expose(e->value).p : NULL;
}

const char *config_file_origin(const struct config_file *f, enum config_section kind,
                               const char *section, const char *key)
{
    const struct entry *e = find(f, kind, section, key, NULL);
    return e ? f->paths.items[e->path] : NULL;
}

void config_file_profiles(const struct config_file *f, struct strv *out)
{
    for (size_t i = 0; i < f->section_count; i++)
        if (f->sections[i].kind == CONFIG_PROFILE)
            strv_add(out, f->sections[i].name);
}

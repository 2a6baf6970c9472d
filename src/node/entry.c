/* See entry.h. The keys are rows of one table. */
#include "node/entry.h"
#include "base/json.h"
#include "base/mem.h"
#include "experiment/run.h"
#include "os/fs.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define SECONDS_MAX 253402300799 /* the end of the year 9999 */

static const char *const engines[] = {[ENTRY_LOCAL] = "local", [ENTRY_SLURM] = "slurm"};

const char *entry_engine_name(enum entry_engine e)
{
    return engines[e];
}

enum kind { VERSION, NAME, PATH, TEXT, PLACES, ENGINE, FLAG, SECONDS };

static const struct row {
    const char *key;
    enum kind kind;
    bool needed; /* else it may be absent, or null */
    size_t offset;
} rows[] = {
#define AT(field) offsetof(struct entry, field)
    {"version", VERSION, true, 0},
    {"name", NAME, true, AT(name)},
    {"file", PATH, true, AT(file)},
    {"work", PATH, true, AT(work)},
    {"resources", PLACES, false, AT(resources)},
    {"extensions", PLACES, false, AT(extensions)},
    {"save_path", PATH, true, AT(save_path)},
    {"state", PATH, false, AT(state)},
    {"engine", ENGINE, true, AT(engine)},
    {"secrets", PATH, false, AT(secrets)},
    {"python", TEXT, false, AT(python)},
    {"force", FLAG, false, AT(force)},
    {"reuse", FLAG, false, AT(reuse)},
    {"install", FLAG, false, AT(install)},
    {"by", TEXT, false, AT(by)},
    {"submitted", SECONDS, false, AT(submitted)},
#undef AT
};

static bool is_plain(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return n > 0 && n <= TEXT_MAX;
}

/* "..", by which a path leads elsewhere than it says, is not in it. */
static bool is_path(const char *text)
{
    struct str rest = str_of(text);
    if (text[0] != '/' || strlen(text) >= PATH_MAX)
        return false;
    while (rest.p)
        if (str_is(str_cut(&rest, '/'), ".."))
            return false;
    return true;
}

bool entry_name_ok(const char *name)
{
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    size_t n = strlen(name);
    return n <= ENTRY_NAME_MAX && strspn(name, LETTERS) > 0 && strspn(name, LETTERS "-_") == n;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static int wrong(const char *key, const char *what, struct err *err)
{
    return err_set(err, ERR_PARSE, "the entry's '%s' is not %s", key, what);
}

static int read_text(const struct row *row, const json_t *value, char **out, struct err *err)
{
    const char *text = json_string_value(value);
    if (row->kind == NAME && (!text || !entry_name_ok(text)))
        return wrong(row->key, "an experiment's name", err);
    if (row->kind == PATH && (!text || !is_path(text)))
        return wrong(row->key, "an absolute path", err);
    if (row->kind == TEXT && (!text || !is_plain(text)))
        return wrong(row->key, "a line of text", err);
    *out = mem_dup(text);
    return 0;
}

static void places_free(struct strtab *t)
{
    size_t at = 0;
    struct str key;
    void *path;
    while (t && strtab_next(t, &at, &key, &path))
        free(path);
    strtab_free(t);
}

static int read_places(const struct row *row, const json_t *value, struct strtab **out,
                       struct err *err)
{
    const char *key;
    json_t *path;
    if (!json_is_object(value) || json_object_size(value) > ENTRY_PLACES_MAX)
        return wrong(row->key, "an object of paths", err);
    struct strtab *t = strtab_new();
    json_object_foreach((json_t *)value, key, path)
    {
        const char *text = json_string_value(path);
        if (!text || !is_path(text) || !*key) {
            places_free(t);
            return wrong(row->key, "an object of absolute paths", err);
        }
        strtab_put(t, str_of(key), mem_dup(text));
    }
    *out = t;
    return 0;
}

static int read_engine(const struct row *row, const json_t *value, enum entry_engine *out,
                       struct err *err)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < COUNT_OF(engines); i++)
        if (strcmp(text, engines[i]) == 0) {
            *out = (enum entry_engine)i;
            return 0;
        }
    return wrong(row->key, "'local' or 'slurm'", err);
}

static int read_number(const struct row *row, const json_t *value, int64_t *out, struct err *err)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n > SECONDS_MAX)
        return wrong(row->key, "a number of seconds since 1970", err);
    *out = n;
    return 0;
}

static int read_value(const struct row *row, const json_t *value, struct entry *e, struct err *err)
{
    void *field = (char *)e + row->offset;
    switch (row->kind) {
    case VERSION:
        if (!json_is_integer(value) || json_integer_value(value) < 1)
            return wrong(row->key, "a version", err);
        if (json_integer_value(value) != ENTRY_VERSION)
            return err_set(err, ERR_CONFLICT, "the entry is of a newer flambe");
        return 0;
    case NAME:
    case PATH:
    case TEXT:
        return read_text(row, value, field, err);
    case PLACES:
        return read_places(row, value, field, err);
    case ENGINE:
        return read_engine(row, value, field, err);
    case FLAG:
        if (!json_is_boolean(value))
            return wrong(row->key, "true or false", err);
        *(bool *)field = json_is_true(value);
        return 0;
    case SECONDS:
        return read_number(row, value, field, err);
    }
    return 0;
}

/* ---- the entry --------------------------------------------------------------------------------
 */

static int check_keys(const json_t *object, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;
        while (i < COUNT_OF(rows) && strcmp(rows[i].key, key) != 0)
            i++;
        if (i == COUNT_OF(rows))
            return err_set(err, ERR_PARSE, "the entry has an unknown key '%.64s'", key);
    }
    return 0;
}

static int read_all(const json_t *object, struct entry *e, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const json_t *value = json_object_get(object, rows[i].key);
        bool absent = !value || json_is_null(value);
        if (absent && rows[i].needed)
            return err_set(err, ERR_PARSE, "the entry has no '%s'", rows[i].key);
        if (!absent && read_value(&rows[i], value, e, err) == -1)
            return -1;
    }
    return 0;
}

int entry_parse(struct str text, struct entry *out, struct err *err)
{
    json_auto_t *object = NULL;
    struct entry e = {0};
    if (json_parse(text, ENTRY_BYTES_MAX, &object, err) == -1)
        return -1;
    if (!json_is_object(object))
        return err_set(err, ERR_PARSE, "the entry is no JSON object");
    /* The version first: a newer entry's keys are not what is wrong with it. */
    if (read_all(object, &e, err) == -1 || check_keys(object, err) == -1) {
        entry_done(&e);
        return -1;
    }
    *out = e;
    return 0;
}

int entry_load(const char *path, struct entry *out, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, ENTRY_BYTES_MAX, &text, err) == -1)
        return -1;
    return entry_parse(buf_view(&text), out, err) == 0 ? 0 : err_wrap(err, "'%s'", path);
}

void entry_done(struct entry *e)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char **field = (char **)(void *)((char *)e + rows[i].offset);
        if (rows[i].kind == NAME || rows[i].kind == PATH || rows[i].kind == TEXT)
            free(*field);
    }
    places_free(e->resources);
    places_free(e->extensions);
    *e = (struct entry){0};
}

char *entry_results(const struct entry *e)
{
    return run_directory(e->save_path, e->name);
}

char *entry_order(const char *path, const struct entry *e)
{
    const char *slash = strrchr(path, '/');
    return mem_printf("%s@%lld", slash ? slash + 1 : path, (long long)e->submitted);
}

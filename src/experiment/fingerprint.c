/* See fingerprint.h. */
#include "experiment/fingerprint.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"
#include "experiment/file_mark.h"
#include "os/fs.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fingerprints {
    char *working;
    struct strv python_path;
    struct strtab *files; /* from a path as a command has it to its digest */
    struct strv used;     /* the files of the stage at hand */
};

struct fingerprints *fingerprints_new(const char *working, const struct strv *python_path)
{
    struct fingerprints *f = mem_alloc(sizeof *f);
    f->working = mem_dup(working);
    strv_copy(&f->python_path, python_path);
    f->files = strtab_new();
    return f;
}

void fingerprints_free(struct fingerprints *f)
{
    if (!f)
        return;
    size_t at = 0;
    struct str key;
    void *value;
    while (strtab_next(f->files, &at, &key, &value))
        free(value);
    strtab_free(f->files);
    strv_done(&f->python_path);
    strv_done(&f->used);
    free(f->working);
    free(f);
}

/* ---- files ------------------------------------------------------------------------------------
 */

/* "/", "." and "-" are more likely separators than inputs. */
static bool names_directory(const char *name)
{
    while (*name && !isalnum((unsigned char)*name) && (unsigned char)*name < 0x80)
        name++;
    return *name;
}

/* NULL where it is neither a regular file nor a directory. */
static char *digest_file(const char *name, const char *path)
{
    struct stat st;
    struct buf mark = {0};
    if (stat(path, &st) == -1 ||
        (!S_ISREG(st.st_mode) && !(S_ISDIR(st.st_mode) && names_directory(name))))
        return NULL;
    AUTO_BUF struct buf bytes = {.max = FINGERPRINT_FILE_MAX};
    if (S_ISDIR(st.st_mode) || (uint64_t)st.st_size > FINGERPRINT_FILE_MAX ||
        fs_read(path, FINGERPRINT_FILE_MAX, &bytes, NULL) == -1) {
        file_mark(path, &st, FILE_MARK_ENTRIES_MAX, &mark);
        return buf_take(&mark);
    }
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(buf_view(&bytes), hex);
    return mem_dup(hex);
}

/* NULL where there is no such file, which is not kept: each trial may have words of its own. */
static const char *file_digest(struct fingerprints *f, const char *name)
{
    const char *known = strtab_get(f->files, str_of(name));
    if (!known) {
        AUTO_FREE char *path = name[0] == '/' ? mem_dup(name) : fs_join(f->working, name);
        char *digest = digest_file(name, path);
        if (!digest)
            return NULL;
        strtab_put(f->files, str_of(name), digest);
        known = digest;
    }
    if (!strv_has(&f->used, name))
        strv_add(&f->used, name);
    return known;
}

static void add_file(struct fingerprints *f, const char *name, json_t *files)
{
    if (!*name || strlen(name) > 4096)
        return;
    const char *digest = file_digest(f, name);
    if (digest)
        json_object_set_new(files, name, json_string(digest));
}

/* "package.module": the first of the files that Python would run. */
static void add_module(struct fingerprints *f, const char *module, json_t *files)
{
    static const char *const forms[] = {".py", "/__main__.py", "/__init__.py"};
    AUTO_FREE char *relative = mem_dup(module);
    for (char *p = relative; *p; p++)
        *p = *p == '.' ? '/' : *p;
    for (size_t i = 0; i <= f->python_path.count; i++)
        for (size_t k = 0; k < COUNT_OF(forms); k++) {
            const char *base = i == 0 ? "." : f->python_path.items[i - 1];
            AUTO_BUF struct buf path = {0};
            buf_addf(&path, "%s/%s%s", base, relative, forms[k]);
            add_file(f, buf_text(&path), files);
        }
}

/* Each word of a shell's line counts as a word of a command does, but for what it writes to. */
static void add_words(struct fingerprints *f, const char *line, json_t *files)
{
    static const char separators[] = " \t\n;|&<>()\"'";
    const char *p = line;
    bool written = false;
    while (*p) {
        size_t n = strcspn(p, separators);
        AUTO_FREE char *word = mem_dup_n(p, n);
        if (!written)
            add_file(f, word, files);
        p += n;
        n = strspn(p, separators);
        written = memchr(p, '>', n) && !memchr(p, '<', n);
        p += n;
    }
}

static json_t *command_files(struct fingerprints *f, const struct stage *s, const struct launch *l)
{
    const struct strv *argv = &l->argv;
    json_t *files = json_object();
    if (l->line) {
        add_words(f, l->line, files);
        for (size_t i = 4; i < argv->count; i++) /* the values, behind the shell's name */
            add_file(f, argv->items[i], files);
        return files;
    }
    for (size_t i = 0; i < argv->count; i++)
        add_file(f, argv->items[i], files);
    if (s->kind == STAGE_SCRIPT && argv->count > 2 && strcmp(argv->items[1], "-m") == 0)
        add_module(f, argv->items[2], files);
    return files;
}

/* ---- a trial ----------------------------------------------------------------------------------
 */

/* Bytes that are no text of JSON's, as hexadecimal digits. The caller frees. */
static char *as_text(const char *bytes)
{
    struct buf out = {0};
    if (str_is_utf8(str_of(bytes), NULL))
        return mem_dup(bytes);
    for (; *bytes; bytes++)
        buf_addf(&out, "%02x", (unsigned char)*bytes);
    return buf_take(&out);
}

static json_t *texts(const struct strv *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++) {
        AUTO_FREE char *text = as_text(v->items[i]);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

char *fingerprint_make(struct fingerprints *f, const struct trial_values *t,
                       const struct launch_context *c, const json_t *options, struct err *err)
{
    static const char *const nothing[] = {NULL};
    const struct stage *s = &t->plan->experiment->stages[t->stage];
    struct launch_context plain = *c;
    plain.inherited = nothing;
    plain.variant = "";
    plain.number = 0;
    plain.attempt = 0;
    plain.secrets = NULL;
    plain.flambe = "";
    struct launch l;
    if (launch_make(t, &plain, &l, err) == -1)
        return NULL;
    json_auto_t *all = json_pack("{s:o, s:o, s:O, s:O, s:o, s:s?, s:b}", "argv", texts(&l.argv),
                                 "env", texts(&l.env), "params", l.params, "options", options,
                                 "files", command_files(f, s, &l), "metric", s->objective.metric,
                                 "best", s->objective.best);
    launch_done(&l);
    char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) { /* its digest would be that of every other one */
        err_set(err, ERR_INTERNAL, "the inputs of a trial of '%s' are no JSON", s->name);
        return NULL;
    }
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(text), hex);
    free(text);
    return mem_dup(hex);
}

char *fingerprint_resource(const struct resource *r, const char *path)
{
    struct stat st;
    if (r->kind != RESOURCE_LOCAL || stat(path, &st) == -1) {
        AUTO_FREE char *url =
            url_masked(r->location); /* another password makes no other resource */
        return mem_printf("@%s", url);
    }
    AUTO_FREE char *text = as_text(path);
    struct buf mark = {0};
    buf_addf(&mark, "@%s", text);
    file_mark(path, &st, FILE_MARK_ENTRIES_MAX, &mark);
    return buf_take(&mark);
}

/* ---- a stage ----------------------------------------------------------------------------------
 */

json_t *fingerprint_stage(struct fingerprints *f, const struct stage *s, struct str file,
                          const char *const *resources, size_t resource_count)
{
    json_t *files = json_object(), *list = json_array();
    for (size_t i = 0; i < f->used.count; i++)
        json_object_set_new(files, f->used.items[i],
                            json_string(strtab_get(f->files, str_of(f->used.items[i]))));
    strv_done(&f->used);
    for (size_t i = 0; i < resource_count; i++)
        json_array_append_new(list, json_string(resources[i]));
    char hex[SHA256_HEX_SIZE];
    size_t end = s->node->end < file.n ? s->node->end : file.n;
    size_t start = s->node->start < end ? s->node->start : end;
    digest_sha256_hex((struct str){file.p + start, end - start}, hex);
    return json_pack("{s:o, s:s, s:o}", "files", files, "text", hex, "resources", list);
}

void fingerprint_difference(const json_t *before, const json_t *now, struct buf *out)
{
    const char *name;
    json_t *digest;
    json_object_foreach(json_object_get(now, "files"), name, digest)
    {
        const json_t *old = json_object_get(json_object_get(before, "files"), name);
        if (!old || !json_equal(old, digest))
            buf_addf(out, "%s'%s' %s", out->len ? ", " : "", name, old ? "has changed" : "is new");
    }
    if (!json_equal(json_object_get(before, "text"), json_object_get(now, "text")))
        buf_addf(out, "%sthe stage's text has changed", out->len ? ", " : "");
    if (!json_equal(json_object_get(before, "resources"), json_object_get(now, "resources")))
        buf_addf(out, "%sa resource has changed", out->len ? ", " : "");
    if (out->len == 0)
        buf_adds(out, "an earlier stage's trials or the options differ");
}

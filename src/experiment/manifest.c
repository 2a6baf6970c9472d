/* See manifest.h. */
#include "experiment/manifest.h"
#include "base/mem.h"
#include "experiment/measure.h"
#include "experiment/worktree.h"
#include "os/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEFT_OUT_SHOWN 5
#define NESTED_MAX 16 /* repositories in repositories */

struct work {
    const struct experiment *e;
    const struct manifest_options *o;
    struct manifest *m;
    char *home;         /* real, or NULL */
    char *results;      /* save_path below the tree, "" for the tree itself; NULL: elsewhere */
    struct stat *never; /* of those that are there */
    size_t never_count;
    struct strv programs; /* below the tree: the experiment's file, and what it runs */
    const char **names;   /* into m->names, sorted */
    size_t count;
};

void manifest_done(struct manifest *m)
{
    free(m->tree);
    free(m->remote);
    buf_done(&m->names);
    buf_done(&m->rest);
    for (size_t i = 0; i < m->beside_count; i++) {
        free(m->beside[i].local);
        free(m->beside[i].remote);
    }
    free(m->beside);
    json_decref(m->resources);
    json_decref(m->extensions);
    for (size_t i = 0; i < MANIFEST_LARGEST; i++)
        free(m->largest[i].path);
    strv_done(&m->left_out);
    *m = (struct manifest){0};
}

/* ---- paths ------------------------------------------------------------------------------------
 */

/* The path below `tree` of an absolute one; NULL where it is not in it. "" is the tree itself. */
static const char *below(const char *tree, const char *path)
{
    size_t n = strcmp(tree, "/") == 0 ? 0 : strlen(tree);
    if (strncmp(path, tree, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return path[n] == '/' ? path + n + 1 : path + n;
}

/* The path with its directory resolved, but not its last part, which may be a link. */
static char *real_place(const char *working, const char *path)
{
    AUTO_FREE char *expanded = fs_expand_home(path);
    AUTO_FREE char *whole =
        expanded[0] == '/' ? mem_dup(expanded) : mem_printf("%s/%s", working, expanded);
    for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--)
        whole[n - 1] = '\0';
    char *slash = strrchr(whole, '/');
    if (strcmp(slash, "/..") == 0 || strcmp(slash, "/.") == 0)
        return realpath(whole, NULL);
    AUTO_FREE char *last = mem_dup(slash + 1);
    slash[slash == whole] = '\0';
    AUTO_FREE char *directory = realpath(whole, NULL);
    if (!directory)
        return NULL;
    return strcmp(directory, "/") == 0 ? mem_printf("/%s", last) : fs_join(directory, last);
}

/* ---- what is left out -------------------------------------------------------------------------
 */

static void leave_out(struct manifest *m, const char *path, const char *why)
{
    if (++m->left_out_count <= LEFT_OUT_SHOWN)
        strv_take(&m->left_out, mem_printf("%s (%s)", path, why));
}

static bool has_part(const char *path, const char *part)
{
    struct str rest = str_of(path);
    while (rest.p)
        if (str_is(str_cut(&rest, '/'), part))
            return true;
    return false;
}

static bool is_result(const struct work *w, const char *path)
{
    if (!w->results)
        return false;
    if (*w->results)
        return below(w->results, path) != NULL;
    return strncmp(path, "output__", 8) == 0 && strchr(path, '/');
}

static bool is_never(const struct work *w, const struct stat *st)
{
    for (size_t i = 0; i < w->never_count; i++)
        if (w->never[i].st_dev == st->st_dev && w->never[i].st_ino == st->st_ino)
            return true;
    return false;
}

/* Whether a name is one that private keys have; only those files are looked into. */
static bool may_be_key(const char *path)
{
    static const char *const ends[] = {".pem", ".key", ".ppk"};
    const char *slash = strrchr(path, '/');
    struct str base = str_of(slash ? slash + 1 : path);
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (str_ends(base, ends[i]))
            return true;
    return str_starts(base, "id_") && !str_ends(base, ".pub");
}

static bool is_key(const char *path)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, 65536, &text, NULL) == -1)
        return false;
    struct str s = buf_view(&text);
    bool is =
        s.n && (memmem(s.p, s.n, "PRIVATE KEY-----", 16) || str_starts(s, "PuTTY-User-Key-File"));
    buf_wipe(&text);
    return is;
}

/* As rsync --safe-links judges: '..' only at its front, and no more than there are directories. */
static bool leads_out(const char *path, const char *to)
{
    size_t depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (*to == '/' || !*to)
        return true;
    struct str rest = str_of(to);
    bool front = true;
    while (rest.p) {
        struct str part = str_cut(&rest, '/');
        if (!part.n || str_is(part, "."))
            continue;
        if (!str_is(part, "..")) {
            front = false;
            continue;
        }
        if (!front || depth == 0)
            return true;
        depth--;
    }
    return false;
}

static bool link_leads_out(const char *whole, const char *path)
{
    char to[4096];
    ssize_t n = readlink(whole, to, sizeof to - 1);
    if (n <= 0)
        return true;
    to[n] = '\0';
    return leads_out(path, to);
}

/* Whether the file goes, or what is in the directory; what is not self-evident is noted. */
static bool goes(struct work *w, const char *path, struct stat *st)
{
    struct manifest *m = w->m;
    if (has_part(path, ".git") || has_part(path, ".aws") || has_part(path, ".ssh") ||
        is_result(w, path))
        return false;
    AUTO_FREE char *whole = fs_join(m->tree, path);
    if (lstat(whole, st) == -1)
        return false;
    if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
        return S_ISDIR(st->st_mode);
    if (is_never(w, st) || (may_be_key(path) && S_ISREG(st->st_mode) && is_key(whole))) {
        leave_out(m, path, "secret");
        return false;
    }
    if (S_ISLNK(st->st_mode) && link_leads_out(whole, path)) {
        leave_out(m, path, "a link that leads out");
        return false;
    }
    return true;
}

/* ---- the tree ---------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted(const struct buf *names, size_t *count)
{
    const char **list = NULL;
    size_t n = 0, cap = 0;
    const char *end = buf_text(names) + names->len;
    for (const char *p = buf_text(names); p < end; p += strlen(p) + 1) {
        MEM_PUSH_ROOM(list, n, cap);
        list[n++] = p;
    }
    if (n)
        qsort(list, n, sizeof *list, compare);
    *count = n;
    return list;
}

static void note(struct manifest *m, const char *path, uint64_t bytes)
{
    m->files++;
    m->bytes += bytes;
    for (size_t i = 0; i < MANIFEST_LARGEST; i++) {
        if (m->largest[i].path && m->largest[i].bytes >= bytes)
            continue;
        free(m->largest[MANIFEST_LARGEST - 1].path);
        memmove(&m->largest[i + 1], &m->largest[i],
                (MANIFEST_LARGEST - 1 - i) * sizeof m->largest[0]);
        m->largest[i] = (struct manifest_large){mem_dup(path), bytes};
        return;
    }
}

static int list_below(struct work *w, const char *prefix, int depth, struct err *err);

/* A name that the list has: takes the file, or what another repository has. */
static int take(struct work *w, const char *name, int depth, struct err *err)
{
    struct manifest *m = w->m;
    struct stat st;
    if (!goes(w, name, &st))
        return 0;
    if (S_ISDIR(st.st_mode)) {
        AUTO_FREE char *prefix = mem_printf("%s/", name);
        AUTO_FREE char *git = mem_printf("%s/%s.git", m->tree, prefix);
        return depth < NESTED_MAX && fs_exists(git) ? list_below(w, prefix, depth + 1, err) : 0;
    }
    buf_add(&m->names, name, strlen(name) + 1);
    note(m, name, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
    return 0;
}

/* `prefix` is "", or a repository's directory with a '/' at its end. */
static int list_below(struct work *w, const char *prefix, int depth, struct err *err)
{
    const char *tree = w->m->tree;
    AUTO_BUF struct buf found = {.max = WORKTREE_NAMES_MAX};
    AUTO_FREE char *directory = *prefix ? fs_join(tree, prefix) : mem_dup(tree);
    if (worktree_list(w->o->loop, directory, &found, err) == -1)
        return -1;
    for (size_t i = 0; !depth && i < w->programs.count; i++)
        buf_add(&found, w->programs.items[i], strlen(w->programs.items[i]) + 1);
    size_t count;
    const char **list = sorted(&found, &count);
    AUTO_BUF struct buf name = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i && strcmp(list[i], list[i - 1]) == 0)
            continue;
        buf_clear(&name);
        buf_adds(&name, prefix);
        buf_adds(&name, list[i]);
        rc = take(w, buf_text(&name), depth, err);
    }
    free(list);
    return rc;
}

/* Names of repositories within come behind each other's: all are put in order, and once. */
static void put_in_order(struct work *w)
{
    struct buf ordered = {.max = WORKTREE_NAMES_MAX};
    const char **list = sorted(&w->m->names, &w->count);
    for (size_t i = 0; i < w->count; i++)
        if (!i || strcmp(list[i], list[i - 1]) != 0)
            buf_add(&ordered, list[i], strlen(list[i]) + 1);
    free(list);
    ordered.overflowed = w->m->names.overflowed;
    buf_done(&w->m->names);
    w->m->names = ordered;
    w->names = sorted(&w->m->names, &w->count);
}

static int list_tree(struct work *w, struct err *err)
{
    struct manifest *m = w->m;
    m->names.max = m->rest.max = WORKTREE_NAMES_MAX;
    if (list_below(w, "", 0, err) == -1)
        return -1;
    put_in_order(w);
    if (worktree_rest(m->tree, w->names, w->count, &m->rest, err) == -1)
        return -1;
    if (!m->names.overflowed && !m->rest.overflowed)
        return 0;
    return err_set(err, ERR_LIMIT, "the names of the files in '%s' take more than %zu MiB", m->tree,
                   WORKTREE_NAMES_MAX >> 20);
}

static bool in_tree(const struct work *w, const char *path)
{
    return w->count && bsearch(&path, w->names, w->count, sizeof *w->names, compare);
}

/* ---- the programs -----------------------------------------------------------------------------
 */

/* Words of a command that are files of the tree go, too, whatever is ignored. */
static void add_word(struct work *w, struct str word)
{
    AUTO_FREE char *text = str_dup(word);
    struct stat st;
    if (!*text || *text == '/' || *text == '~')
        return;
    AUTO_FREE char *place = real_place(w->m->tree, text);
    const char *path = place ? below(w->m->tree, place) : NULL;
    if (path && stat(place, &st) == 0 && S_ISREG(st.st_mode))
        strv_add(&w->programs, path);
}

static void add_words(struct work *w, const struct yaml_node *command)
{
    if (!command || command->kind != YAML_LIST) { /* a line for the shell */
        struct str rest = command ? str_of(command->text) : (struct str){0};
        while (rest.p)
            add_word(w, str_cut(&rest, ' '));
        return;
    }
    for (size_t i = 0; i < command->count; i++)
        if (command->items[i]->kind == YAML_STRING)
            add_word(w, str_of(command->items[i]->text));
}

/* The word by which the stage names a file that it runs, or NULL. */
static const char *program_word(const struct stage *s)
{
    const struct yaml_node *n = s->kind == STAGE_SCRIPT ? s->script : s->command;
    if (s->kind == STAGE_COMMAND && n && n->kind == YAML_LIST && n->count)
        n = n->items[0];
    else if (s->kind == STAGE_COMMAND)
        return NULL; /* a line for the shell: its words are the shell's */
    if (!n || n->kind != YAML_STRING || strchr(n->text, '{'))
        return NULL;
    bool file =
        strchr(n->text, '/') || (s->kind == STAGE_SCRIPT && str_ends(str_of(n->text), ".py"));
    return file ? n->text : NULL;
}

/* A program that is out of the tree is a host's own, such as /usr/bin/time, or a mistake. */
static int add_program(struct work *w, const char *word, struct err *err)
{
    const char *tree = w->m->tree;
    AUTO_FREE char *place = real_place(tree, word);
    const char *path = place ? below(tree, place) : NULL;
    if (path && *word != '/' && *word != '~') {
        strv_add(&w->programs, path);
        return 0;
    }
    if (path)
        return err_set(err, ERR_USAGE,
                       "the program '%s' has another path on the hosts: write it as it is called "
                       "from here, './%s'",
                       word, path);
    if (*word == '/' && !(w->home && place && below(w->home, place)))
        return 0;
    return err_set(err, ERR_USAGE,
                   "the program '%s' is not in the directory that is sent to the hosts, '%s': "
                   "start flambe in a directory that holds all of the experiment",
                   word, tree);
}

static int find_programs(struct work *w, struct err *err)
{
    const struct experiment *e = w->e;
    AUTO_FREE char *file = real_place(w->o->working, e->path);
    const char *path = file ? below(w->m->tree, file) : NULL;
    for (size_t i = 0; i < e->stage_count; i++) {
        const char *word = program_word(&e->stages[i]);
        if (word && add_program(w, word, err) == -1)
            return -1;
        if (e->stages[i].kind == STAGE_COMMAND)
            add_words(w, e->stages[i].command);
    }
    bool wide = strcmp(w->m->tree, "/") == 0 || (w->home && strcmp(w->m->tree, w->home) == 0);
    bool meant = wide ? path && !strchr(path, '/') : path || w->programs.count;
    if (path)
        strv_add(&w->programs, path);
    if (meant)
        return 0;
    const char *slash = file ? strrchr(file, '/') : NULL;
    return err_set(err, ERR_USAGE,
                   wide
                       ? "all of '%s' would be sent to the hosts; type: cd %.*s, and flambe there, "
                         "with the programs' paths from there on"
                       : "nothing of the experiment is in '%s', which would be sent to the hosts; "
                         "type: cd %.*s, and flambe there",
                   w->m->tree, slash ? (int)(slash - file) : 1, slash ? file : ".");
}

/* ---- resources and extensions -----------------------------------------------------------------
 */

struct looking {
    struct work *w;
    const char *base; /* below the tree; NULL: it is measured, not looked for */
    const char *shown;
    size_t listed, missing; /* of its files, in the tree's list */
};

static bool look(void *ctx, const char *path, uint64_t bytes)
{
    struct looking *l = ctx;
    AUTO_FREE char *whole =
        *path ? fs_join(l->base ? l->base : l->shown, path) : mem_dup(l->base ? l->base : l->shown);
    if (!l->base) {
        note(l->w->m, whole, bytes);
        return true;
    }
    if (in_tree(l->w, whole[0] == '/' ? whole + 1 : whole))
        l->listed++;
    else
        l->missing++;
    return true;
}

/* Finds where a local path is on the hosts, and notes what has to be carried. Where only some of
 * its files are in the list, `all` says whether that will not do: of a module's directory what is
 * not ignored is enough. The caller frees. */
static char *place_there(struct work *w, const char *kind, const char *name, const char *local,
                         bool all, struct err *err)
{
    struct manifest *m = w->m;
    AUTO_FREE char *whole = local[0] == '/' ? mem_dup(local) : fs_join(m->tree, local);
    AUTO_FREE char *real = realpath(whole, NULL);
    if (!real) {
        err_set_sys(err, errno, "cannot find '%s'", local);
        return NULL;
    }
    struct looking l = {.w = w, .base = below(m->tree, real), .shown = real};
    if (l.base && measure(real, look, &l, err) == -1)
        return NULL;
    if (l.base && (all ? !l.missing : l.listed > 0))
        return mem_printf("%s/work%s%s", m->remote, *l.base ? "/" : "", l.base);
    l.base = NULL;
    struct stat st;
    if (stat(real, &st) == -1 || measure(real, look, &l, err) == -1)
        return NULL;
    const char *last = strrchr(real, '/') + 1;
    AUTO_FREE char *directory = mem_printf("%s/%s/%s", m->remote, kind, name);
    char *there = fs_join(directory, *last ? last : "root");
    bool is_file = !S_ISDIR(st.st_mode);
    MEM_PUSH_ROOM(m->beside, m->beside_count, m->beside_cap);
    m->beside[m->beside_count++] =
        (struct manifest_transfer){TAKE(real), is_file ? TAKE(directory) : mem_dup(there), is_file};
    return there;
}

static int set_path(json_t *object, const char *name, const char *path, struct err *err)
{
    json_t *value = json_string(path);
    if (value && json_object_set_new(object, name, value) == 0)
        return 0;
    return err_set(err, ERR_FILE, "the path of '%s' is not UTF-8: rename it", name);
}

static int place_resources(struct work *w, struct err *err)
{
    const struct experiment *e = w->e;
    for (size_t i = 0; i < e->resource_count; i++) {
        const struct resource *r = &e->resources[i];
        const char *local = w->o->resources->items[i];
        AUTO_FREE char *there = r->kind == RESOURCE_CLUSTER
                                    ? mem_dup(r->location)
                                    : place_there(w, "resources", r->name, local, true, err);
        if (!there || set_path(w->m->resources, r->name, there, err) == -1)
            return err_wrap(err, "the resource '%s'", r->name);
    }
    return 0;
}

static int place_extensions(struct work *w, struct err *err)
{
    const struct experiment *e = w->e;
    for (size_t i = 0; i < e->extension_count; i++) {
        const struct extension *x = &e->extensions[i];
        if (x->kind != EXTENSION_PATH)
            continue;
        AUTO_FREE char *local = fs_expand_home(x->source);
        AUTO_FREE char *there = place_there(w, "extensions", x->module, local, false, err);
        if (!there || set_path(w->m->extensions, x->module, there, err) == -1)
            return err_wrap(err, "the extension '%s'", x->module);
    }
    return 0;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void find_never(struct work *w)
{
    size_t n = 0;
    while (w->o->never && w->o->never[n])
        n++;
    w->never = mem_array(n + 1, sizeof *w->never);
    for (size_t i = 0; i < n; i++)
        if (stat(w->o->never[i], &w->never[w->never_count]) == 0)
            w->never_count++;
}

static void find_results(struct work *w)
{
    AUTO_FREE char *place = real_place(w->m->tree, w->e->save_path);
    const char *path = place ? below(w->m->tree, place) : NULL;
    w->results = path ? mem_dup(path) : NULL;
}

static int make(struct work *w, struct err *err)
{
    find_never(w);
    find_results(w);
    if (find_programs(w, err) == -1 || list_tree(w, err) == -1 || place_resources(w, err) == -1)
        return -1;
    return place_extensions(w, err);
}

int manifest_make(const struct experiment *e, const struct manifest_options *o,
                  struct manifest *out, struct err *err)
{
    struct manifest m = {
        .tree = realpath(o->working, NULL),
        .remote = mem_printf(MANIFEST_REMOTE "/%s", e->name),
        .resources = json_object(),
        .extensions = json_object(),
    };
    struct work w = {.e = e, .o = o, .m = &m, .home = realpath(fs_home(), NULL)};
    int rc = m.tree ? make(&w, err) : err_set_sys(err, errno, "cannot use '%s'", o->working);
    free(w.home);
    free(w.results);
    free(w.never);
    free(w.names);
    strv_done(&w.programs);
    if (rc == 0)
        *out = m;
    else
        manifest_done(&m);
    return rc;
}

/* ---- words ------------------------------------------------------------------------------------
 */

static void add_size(uint64_t bytes, struct buf *out)
{
    if (bytes < 1000)
        buf_addf(out, "%d byte%s", (int)bytes, bytes == 1 ? "" : "s");
    else if (bytes < 1000 * 1000)
        buf_addf(out, "%.1f kB", (double)bytes / 1e3);
    else if (bytes < MANIFEST_ASK_BYTES)
        buf_addf(out, "%.1f MB", (double)bytes / 1e6);
    else
        buf_addf(out, "%.1f GB", (double)bytes / 1e9);
}

void manifest_text(const struct manifest *m, struct buf *out)
{
    buf_addf(out, "%llu file%s, ", (unsigned long long)m->files, m->files == 1 ? "" : "s");
    add_size(m->bytes, out);
    for (size_t i = 0; i < m->left_out.count; i++)
        buf_addf(out, "%s%s", i ? ", " : "; left out: ", m->left_out.items[i]);
    if (m->left_out_count > m->left_out.count)
        buf_addf(out, " and %zu more", m->left_out_count - m->left_out.count);
}

bool manifest_warning(const struct manifest *m, struct buf *out)
{
    if (m->bytes <= MANIFEST_WARN_BYTES)
        return false;
    add_size(m->bytes, out);
    buf_adds(out, " are sent to the hosts; the largest: ");
    for (size_t i = 0; i < MANIFEST_LARGEST && m->largest[i].path; i++) {
        buf_addf(out, "%s%s (", i ? ", " : "", m->largest[i].path);
        add_size(m->largest[i].bytes, out);
        buf_addc(out, ')');
    }
    buf_adds(out, "; name in '" WORKTREE_IGNORE_FILE "' what is not needed there");
    return true;
}

bool manifest_is_huge(const struct manifest *m)
{
    return m->bytes > MANIFEST_ASK_BYTES || m->files > MANIFEST_ASK_FILES;
}

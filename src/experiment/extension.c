/* See extension.h. No shell is between us and pip; words that pip or git would take for an option
 * are refused. */
#include "experiment/extension.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"
#include "experiment/child_env.h"
#include "os/fs.h"
#include "os/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX ((size_t)1 << 20)
#define IMPORT_TIMEOUT (30 * USEC_PER_SEC)
#define REASON_MAX ((size_t)500)
#define GIT_CONFIG_MAX 1000 /* settings in the environment already */

void extensions_done(struct extensions *x)
{
    strv_done(&x->python_path);
    free(x->bin);
    free(x->python);
    *x = (struct extensions){0};
}

/* ---- paths ------------------------------------------------------------------------------------
 */

/* Whether `import MODULE` finds something in this directory. */
static bool has_module(const char *directory, const char *module)
{
    AUTO_FREE char *package = fs_join(directory, module);
    AUTO_FREE char *file = mem_printf("%s.py", package);
    return fs_is_directory(package) || fs_exists(file);
}

/* The directory to be in PYTHONPATH for this extension; the caller frees. NULL: there is none. */
static char *python_path_of(const char *path, const char *module)
{
    AUTO_FREE char *source = fs_join(path, "src");
    if (has_module(path, module))
        return mem_dup(path);
    if (has_module(source, module))
        return TAKE(source);
    const char *slash = strrchr(path, '/');
    struct str base = str_of(slash + 1);
    if (!fs_is_directory(path) && str_ends(base, ".py"))
        base.n -= 3;
    else if (!fs_is_directory(path))
        return NULL;
    return str_is(base, module) ? mem_printf("%.*s", slash == path ? 1 : (int)(slash - path), path)
                                : NULL;
}

static int add_path(const struct extension *x, struct extensions *out, struct err *err)
{
    AUTO_FREE char *expanded = fs_expand_home(x->source);
    AUTO_FREE char *path = realpath(expanded, NULL);
    if (!path)
        return err_set(err, ERR_FILE, "there is no '%s', the extension '%s'", x->source, x->module);
    AUTO_FREE char *directory = python_path_of(path, x->module);
    if (!directory)
        return err_set(err, ERR_FILE,
                       "the module '%s' is not at '%s': it should be that directory, or "
                       "'%s/' or '%s.py' in it",
                       x->module, x->source, x->module, x->module);
    if (strchr(directory, ':'))
        return err_set(err, ERR_FILE, "PYTHONPATH cannot hold '%s', for the ':' in it", directory);
    if (!strv_has(&out->python_path, directory))
        strv_add(&out->python_path, directory);
    return 0;
}

/* ---- what is installed ------------------------------------------------------------------------
 */

/* Whether pip takes the URL as it is: 'name @ URL', or an archive's. */
static bool is_pip_url(const char *source)
{
    static const char *const ends[] = {".whl", ".tar.gz", ".tgz", ".tar.bz2", ".zip"};
    const char *scheme = strstr(source, "://"), *at = strstr(source, " @ ");
    if (!scheme || (at && at < scheme))
        return at != NULL;
    struct str path = {source, strcspn(source, "?#")};
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (str_ends(path, ends[i]))
            return true;
    return false;
}

/* What pip is given; the caller frees. "git@host:a/b" is git's own way to write ssh. */
static char *pip_word(const struct extension *x)
{
    struct str s = str_of(x->source);
    const char *colon = strchr(x->source, ':');
    if (x->kind != EXTENSION_GIT || str_starts(s, "git+") || is_pip_url(x->source))
        return mem_dup(x->source);
    if (str_starts(s, "git@") && colon && !strstr(x->source, "://"))
        return mem_printf("git+ssh://%.*s/%s", (int)(colon - x->source), x->source, colon + 1);
    return mem_printf("git+%s", x->source);
}

struct work {
    struct loop *loop;
    char *directory, *venv, *log, *record;
    struct strv words, shown; /* of packages and git URLs: for pip, and without secrets */
    struct strv modules;      /* one each */
};

static void work_done(struct work *w)
{
    free(w->directory);
    free(w->venv);
    free(w->log);
    free(w->record);
    strv_done(&w->words);
    strv_done(&w->shown);
    strv_done(&w->modules);
}

static bool is_recorded(const struct work *w)
{
    AUTO_BUF struct buf text = {0};
    json_auto_t *record = NULL;
    AUTO_FREE char *python = fs_join(w->venv, "bin/python3");
    if (fs_read(w->record, RECORD_MAX, &text, NULL) == -1 ||
        json_parse(buf_view(&text), RECORD_MAX, &record, NULL) == -1)
        return false;
    const json_t *list = json_object_get(record, "installed");
    if (json_array_size(list) != w->words.count || access(python, X_OK) == -1)
        return false;
    for (size_t i = 0; i < w->words.count; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (!word || strcmp(word, w->shown.items[i]) != 0)
            return false;
    }
    return true;
}

static int write_record(const struct work *w, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    json_auto_t *list = json_array();
    for (size_t i = 0; i < w->words.count; i++)
        json_array_append_new(list, json_string(w->shown.items[i]));
    json_auto_t *record = json_pack("{s:O}", "installed", list);
    json_write(record, true, &text);
    return fs_write_atomic(w->record, 0666, buf_view(&text), err);
}

/* A program that is run for an extension. */
struct command {
    const char *const *argv;
    const char *title;          /* for the log */
    const char *word;           /* whose secrets it might say; or NULL */
    struct str input;           /* on its standard input */
    const char *const *changes; /* of its environment, NULL-terminated */
    usec_t timeout;
};

static void add_to_log(const struct work *w, const struct command *c, const struct proc_result *r)
{
    AUTO_BUF struct buf text = {0};
    struct str word = str_of(c->word);
    buf_addf(&text, "$ %s\n", c->title);
    url_mask_of(word, buf_view(&r->out), &text);
    url_mask_of(word, buf_view(&r->err_out), &text);
    int fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return; /* the error itself is told anyway */
    (void)!fs_write_all(fd, buf_view(&text));
    close(fd);
}

/* The line that says why: pip's last "ERROR: ", else the last that is not empty. */
static struct str reason(const struct proc_result *r)
{
    struct str rest = buf_view(r->err_out.len ? &r->err_out : &r->out);
    struct str last = STR("no reason given"), error = {NULL, 0};
    while (rest.p) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.n)
            last = line;
        if (str_starts(line, "ERROR: "))
            error = (struct str){line.p + 7, line.n - 7};
    }
    return error.n ? error : last;
}

static int run(const struct work *w, const struct command *c, struct err *err)
{
    AUTO_STRV struct strv env = {0};
    struct proc_result r;
    child_env_make(c->changes, &env);
    if (proc_run(w->loop, c->argv, (const char *const *)env.items, c->input, c->timeout, &r, err) ==
        -1)
        return -1;
    int rc = 0;
    add_to_log(w, c, &r);
    if (r.exit_status != 0) {
        AUTO_BUF struct buf why = {0};
        url_mask_of(str_of(c->word), reason(&r), &why);
        struct str text = buf_view(&why);
        if (text.n > REASON_MAX)
            text.n = REASON_MAX;
        rc = err_set(err, ERR_REMOTE, "%.*s; all that was said is in '%s'", STR_FMT(text), w->log);
    }
    proc_result_done(&r);
    return rc;
}

/* ---- secrets ----------------------------------------------------------------------------------
 */

/* "%40" is "@". */
static void unescape(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char hex[3] = {0}, *end;
        if (s.p[i] == '%' && i + 2 < s.n)
            memcpy(hex, s.p + i + 1, 2);
        long byte = hex[0] ? strtol(hex, &end, 16) : 0;
        if (hex[0] && end == hex + 2) {
            buf_addc(out, (char)byte);
            i += 2;
        } else {
            buf_addc(out, s.p[i]);
        }
    }
}

/* What stands in front of the host of a word for git over http: from *start up to and with the '@'.
 */
static bool git_userinfo(const char *word, const char **url, size_t *start, size_t *end)
{
    *url = strstr(word, "git+http");
    const char *host = *url ? strstr(*url, "://") : NULL;
    if (!host)
        return false;
    host += 3;
    size_t n = strcspn(host, "/?#"), at = n;
    while (at > 0 && host[at - 1] != '@')
        at--;
    *start = (size_t)(host - word);
    *end = *start + at;
    return at > 0;
}

/* Git would hand a URL with its password to helpers as an argument: it gets the URL without, and
 * the header that it would make of it by its environment (git-config(1), GIT_CONFIG_COUNT). */
static char *without_password(const char *word, struct strv *changes)
{
    const char *url;
    size_t start, end;
    if (!git_userinfo(word, &url, &start, &end))
        return mem_dup(word);
    AUTO_BUF struct buf plain = {0}, header = {0};
    unescape((struct str){word + start, end - start - 1}, &plain);
    if (!memchr(word + start, ':', end - start))
        buf_addc(&plain, ':');
    const char *had = getenv("GIT_CONFIG_COUNT");
    int64_t n = 0;
    if (!had || !str_to_i64(str_of(had), 0, GIT_CONFIG_MAX, &n))
        n = 0;
    int host = (int)strcspn(word + end, "/?#"), scheme = (int)(word + start - url - 4);
    digest_base64(buf_view(&plain), &header);
    strv_take(changes, mem_printf("GIT_CONFIG_COUNT=%d", (int)n + 1));
    strv_take(changes, mem_printf("GIT_CONFIG_KEY_%d=http.%.*s%.*s/.extraHeader", (int)n, scheme,
                                  url + 4, host, word + end));
    strv_take(changes,
              mem_printf("GIT_CONFIG_VALUE_%d=Authorization: Basic %s", (int)n, buf_text(&header)));
    buf_wipe(&plain);
    buf_wipe(&header);
    return mem_printf("%.*s%s", (int)start, word, word + end);
}

/* ---- installing -------------------------------------------------------------------------------
 */

static const char *const quiet[] = {"PIP_NO_INPUT=1", "PIP_DISABLE_PIP_VERSION_CHECK=1",
                                    "GIT_TERMINAL_PROMPT=0"};

static int install(const struct work *w, const char *python, size_t i, struct err *err)
{
    /* The word comes by standard input: everybody can read a command line. */
    static const char by_input[] =
        "import runpy, sys\n"
        "sys.argv = ['pip', 'install', '--', sys.stdin.readline().rstrip('\\n')]\n"
        "runpy.run_module('pip', run_name='__main__', alter_sys=True)\n";
    const char *word = w->words.items[i], *shown = w->shown.items[i];
    AUTO_STRV struct strv changes = {0};
    for (size_t k = 0; k < COUNT_OF(quiet); k++)
        strv_add(&changes, quiet[k]);
    bool secret = strcmp(word, shown) != 0;
    AUTO_FREE char *given = secret ? without_password(word, &changes) : mem_dup(word);
    strv_take(&changes, NULL);
    AUTO_FREE char *title = mem_printf("%s -m pip install -- %s", python, shown);
    AUTO_FREE char *line = mem_printf("%s\n", given);
    const char *plain[] = {python, "-m", "pip", "install", "--", word, NULL};
    const char *hidden[] = {python, "-c", by_input, NULL};
    struct command c = {.argv = secret ? hidden : plain,
                        .title = title,
                        .word = word,
                        .input = secret ? str_of(line) : STR(""),
                        .changes = (const char *const *)changes.items,
                        .timeout = EXTENSIONS_PIP_TIMEOUT};
    if (run(w, &c, err) == -1)
        return err_wrap(err, "cannot install '%.200s'", shown);
    return 0;
}

static int install_all(const struct work *w, void (*installing)(void *ctx, const char *what),
                       void *ctx, struct err *err)
{
    AUTO_FREE char *python = fs_join(w->venv, "bin/python3");
    if (fs_mkdirs(w->directory, 0777, err) == -1 || fs_remove_tree(w->record, err) == -1 ||
        fs_remove_tree(w->venv, err) == -1 || fs_remove_tree(w->log, err) == -1)
        return -1;
    AUTO_FREE char *title = mem_printf("python3 -m venv --system-site-packages %s", w->venv);
    const char *make[] = {"python3", "-m", "venv", "--system-site-packages", w->venv, NULL};
    const char *changes[] = {quiet[0], quiet[1], quiet[2], NULL};
    struct command c = {.argv = make,
                        .title = title,
                        .input = STR(""),
                        .changes = changes,
                        .timeout = EXTENSIONS_VENV_TIMEOUT};
    if (run(w, &c, err) == -1)
        return err_wrap(err, "cannot make a virtual environment");
    for (size_t i = 0; i < w->words.count; i++) {
        if (installing)
            installing(ctx, w->shown.items[i]);
        if (install(w, python, i, err) == -1)
            return -1;
    }
    return write_record(w, err);
}

/* Python looks for the modules itself; the first that it does not find is *missing, else "". */
static int find_missing(const struct work *w, const struct extensions *x, char **missing,
                        struct err *err)
{
    static const char program[] = "import importlib.util, sys\n"
                                  "sys.path = [p for p in sys.path if p]\n"
                                  "for name in sys.argv[1:]:\n"
                                  "    if importlib.util.find_spec(name) is None:\n"
                                  "        print(name)\n"
                                  "        break\n";
    AUTO_FREE const char **argv = mem_array(w->modules.count + 4, sizeof *argv);
    struct proc_result r;
    size_t count = 0;
    argv[count++] = x->python;
    argv[count++] = "-c";
    argv[count++] = program;
    for (size_t i = 0; i < w->modules.count; i++)
        argv[count++] = w->modules.items[i];
    if (proc_run(w->loop, argv, NULL, STR(""), IMPORT_TIMEOUT, &r, err) == -1)
        return -1;
    int rc = 0;
    if (r.exit_status == 0)
        *missing = str_dup(str_trim(buf_view(&r.out)));
    else
        rc = err_set(err, ERR_IO, "python3 fails: %.*s", STR_FMT(reason(&r)));
    proc_result_done(&r);
    return rc;
}

static int prepare_installed(const struct work *w, const struct experiment *e, bool may_install,
                             void (*installing)(void *ctx, const char *what), void *ctx,
                             struct extensions *out, struct err *err)
{
    bool there = is_recorded(w);
    if (may_install && !there) {
        if (install_all(w, installing, ctx, err) == -1)
            return -1;
        there = true;
    }
    if (there) {
        out->bin = fs_join(w->venv, "bin");
        free(out->python);
        out->python = fs_join(out->bin, "python3");
        return 0;
    }
    AUTO_FREE char *missing = NULL;
    if (find_missing(w, out, &missing, err) == -1)
        return -1;
    if (!missing[0])
        return 0;
    return err_set(err, ERR_USAGE,
                   "the extension '%s' is not installed; to install the extensions, type: "
                   "flambe -i %s",
                   missing, e->path);
}

static int check_words(const struct extension *x, struct err *err)
{
    AUTO_FREE char *shown = url_masked(x->source);
    if (x->source[0] == '-')
        return err_set(err, ERR_FILE, "the extension '%s' is an option, not a package: '%s'",
                       x->module, shown);
    for (const char *p = x->source; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return err_set(err, ERR_FILE, "the extension '%s' has a control character in its text",
                           x->module);
    return 0;
}

static int prepare(struct work *w, const struct experiment *e, bool install,
                   void (*installing)(void *ctx, const char *what), void *ctx,
                   struct extensions *out, struct err *err)
{
    for (size_t i = 0; i < e->extension_count; i++) {
        const struct extension *x = &e->extensions[i];
        if (check_words(x, err) == -1)
            return -1;
        if (x->kind == EXTENSION_PATH) {
            if (add_path(x, out, err) == -1)
                return -1;
            continue;
        }
        char *word = pip_word(x);
        strv_take(&w->words, word);
        strv_take(&w->shown, url_masked(word));
        strv_add(&w->modules, x->module);
    }
    return w->words.count ? prepare_installed(w, e, install, installing, ctx, out, err) : 0;
}

int extensions_prepare(struct loop *loop, const struct experiment *e, const char *directory,
                       bool install, void (*installing)(void *ctx, const char *what), void *ctx,
                       struct extensions *out, struct err *err)
{
    struct extensions x = {.python = mem_dup("python3")};
    AUTO_FREE char *results = realpath(directory, NULL); /* what runs may change its directory */
    CLEANUP(work_done)
    struct work w = {.loop = loop,
                     .directory = fs_join(results ? results : directory, "extensions")};
    w.venv = fs_join(w.directory, "venv");
    w.log = fs_join(w.directory, "install.log");
    w.record = fs_join(w.directory, "record.json");
    if (prepare(&w, e, install, installing, ctx, &x, err) == -1) {
        extensions_done(&x);
        return -1;
    }
    *out = x;
    return 0;
}

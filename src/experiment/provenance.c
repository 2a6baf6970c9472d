/* See provenance.h. Git is run without whatever a repository's configuration could have it run: no
 * file-system monitor, external diff, text conversion, pager or hook; and it takes no locks. */
#include "experiment/provenance.h"
#include "base/json.h"
#include "base/mem.h"
#include "experiment/child_env.h"
#include "experiment/machine.h"
#include "os/fs.h"
#include "os/proc.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPUINFO_MAX ((size_t)16 << 20)
#define WORDS_MAX 16 /* of one git command */

/* Text from outside, as JSON: null where it is no UTF-8. */
static json_t *text_json(struct str s)
{
    json_t *v = s.n && str_is_utf8(s, NULL) ? json_stringn(s.p, s.n) : NULL;
    return v ? v : json_null();
}

/* The first line of what it prints. False, with `err` set only where the loop is cancelled, where
 * it does not end well. */
static bool first_line(struct loop *loop, const char *const *argv, struct buf *out, struct err *err)
{
    struct proc_result r;
    struct err why = {0};
    if (proc_run(loop, argv, NULL, STR(""), PROVENANCE_PATIENCE, &r, &why) == -1) {
        if (why.code == ERR_CANCELLED)
            err_copy(err, &why);
        return false;
    }
    bool ok = r.exit_status == 0;
    struct str rest = buf_view(r.out.len ? &r.out : &r.err_out);
    if (ok)
        buf_add_str(out, str_trim(str_cut(&rest, '\n')));
    proc_result_done(&r);
    return ok;
}

/* ---- git --------------------------------------------------------------------------------------
 */

struct git {
    struct loop *loop;
    struct strv env;
    usec_t until;    /* mono: the end of our patience with all of its commands */
    struct err *err; /* set where the loop is cancelled */
};

/* Runs one git command; false where it does not end well. The words end with a NULL. */
static bool git_run(struct git *g, const char *const *words, struct proc_result *out)
{
    const char *argv[WORDS_MAX * 2] = {"git", "--no-pager",
                                       "-c",  "core.fsmonitor=false",
                                       "-c",  "core.hooksPath=/dev/null",
                                       "-c",  "diff.relative=false",
                                       "-c",  "diff.noprefix=false",
                                       "-c",  "diff.mnemonicPrefix=false"};
    size_t count = 12;
    struct err why = {0};
    usec_t left = g->until - clock_mono(loop_clock(g->loop));
    for (size_t i = 0; words[i] && i < WORDS_MAX; i++)
        argv[count++] = words[i];
    if (left <= 0)
        return false;
    if (proc_run(g->loop, argv, (const char *const *)g->env.items, STR(""), left, out, &why) ==
        -1) {
        if (why.code == ERR_CANCELLED)
            err_copy(g->err, &why);
        return false;
    }
    if (out->exit_status == 0)
        return true;
    proc_result_done(out);
    return false;
}

static json_t *git_text(struct git *g, const char *const *words)
{
    struct proc_result r;
    if (!git_run(g, words, &r))
        return json_null();
    json_t *v = text_json(str_trim(buf_view(&r.out)));
    proc_result_done(&r);
    return v;
}

/* Leaves out the results, this run's and its neighbours'; NULL where they are elsewhere. */
static char *results_pattern(const char *root, const char *directory)
{
    AUTO_FREE char *results = realpath(directory, NULL);
    char *slash = results ? strrchr(results, '/') : NULL;
    size_t n = strlen(root);
    if (!slash || strncmp(results, root, n) != 0 || results[n] != '/' || strpbrk(results, "*?[\\"))
        return NULL;
    *slash = '\0';
    return mem_printf(":(top,exclude,glob)%s%soutput__*/**", results[n] ? results + n + 1 : "",
                      results[n] ? "/" : "");
}

static void add_untracked(struct git *g, const char *root, const char *directory, json_t *out)
{
    AUTO_FREE char *results = results_pattern(root, directory);
    const char *words[] = {"-C", root, "ls-files", "--others", "--exclude-standard",
                           "-z", "--", ".",        results,    NULL};
    json_t *names = json_array();
    json_int_t count = 0;
    struct proc_result r;
    json_object_set_new(out, "untracked", names);
    if (!git_run(g, words, &r))
        return;
    struct str rest = buf_view(&r.out);
    while (rest.p && rest.n) {
        struct str name = str_cut(&rest, '\0');
        if (!rest.p) /* cut by the limit on output */
            break;
        count++;
        if (json_array_size(names) < PROVENANCE_UNTRACKED_MAX)
            json_array_append_new(names, text_json(name));
    }
    proc_result_done(&r);
    json_object_set_new(out, "untracked_count", json_integer(count));
}

/* What the tracked files differ in from the commit; null for "dirty" where git cannot say. */
static int add_diff(struct git *g, const char *directory, json_t *out, struct err *err)
{
    static const char *const words[] = {"diff",
                                        "HEAD",
                                        "--binary",
                                        "--no-color",
                                        "--no-ext-diff",
                                        "--no-textconv",
                                        "--ignore-submodules=dirty",
                                        NULL};
    struct proc_result r;
    json_object_set_new(out, "dirty", json_null());
    json_object_set_new(out, "diff", json_null());
    json_object_set_new(out, "diff_truncated", json_false());
    if (!git_run(g, words, &r))
        return 0;
    int rc = 0;
    json_object_set_new(out, "dirty", json_boolean(r.out.len > 0));
    json_object_set_new(out, "diff_truncated", json_boolean(r.out.overflowed));
    if (r.out.len) {
        AUTO_FREE char *path = fs_join(directory, PROVENANCE_DIFF);
        rc = fs_write_atomic(path, 0666, buf_view(&r.out), err);
        json_object_set_new(out, "diff", json_string(PROVENANCE_DIFF));
    }
    proc_result_done(&r);
    return rc;
}

/* An object, or null outside of a repository or without git. */
static int collect_git(struct loop *loop, const char *directory, json_t **out, struct err *err)
{
    static const char *const changes[] = {"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
                                          "LC_ALL=C", NULL};
    static const char *const root[] = {"rev-parse", "--show-toplevel", NULL};
    static const char *const commit[] = {"rev-parse", "--verify", "--quiet", "HEAD", NULL};
    static const char *const branch[] = {"symbolic-ref", "--quiet", "--short", "HEAD", NULL};
    struct err why = {0};
    struct git g = {
        .loop = loop, .until = clock_mono(loop_clock(loop)) + PROVENANCE_PATIENCE, .err = &why};
    child_env_make(changes, &g.env);
    json_auto_t *top = git_text(&g, root);
    json_auto_t *found = json_is_string(top) ? json_object() : json_null();
    int rc = 0;
    if (json_is_object(found)) {
        json_object_set(found, "root", top);
        json_object_set_new(found, "commit", git_text(&g, commit));
        json_object_set_new(found, "branch", git_text(&g, branch));
        rc = add_diff(&g, directory, found, err);
        add_untracked(&g, json_string_value(top), directory, found);
    }
    strv_done(&g.env);
    if (rc == -1)
        return -1;
    if (why.code)
        return err_copy(err, &why);
    *out = json_incref(found);
    return 0;
}

/* ---- the machine ------------------------------------------------------------------------------
 */

/* "model name : …" of x86; ARM's kernel tells no name. */
static json_t *cpu_model(void)
{
    AUTO_BUF struct buf text = {.max = CPUINFO_MAX + 1};
    if (fs_read("/proc/cpuinfo", CPUINFO_MAX, &text, NULL) == -1)
        return json_null();
    struct str rest = buf_view(&text);
    while (rest.p) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, ':');
        if (value.p && str_is(str_trim(name), "model name"))
            return text_json(str_trim(value));
    }
    return json_null();
}

static json_t *gpus(struct loop *loop)
{
    AUTO_STRV struct strv lines = {0};
    json_t *list = json_array();
    if (!machine_ask_nvidia(loop, "memory.total,driver_version,name", &lines))
        return list;
    for (size_t i = 0; i < lines.count; i++) {
        struct str rest = str_of(lines.items[i]);
        struct str memory = str_trim(str_cut(&rest, ','));
        struct str driver = str_trim(str_cut(&rest, ','));
        int64_t mib;
        if (!rest.p || !str_to_i64(memory, 0, INT_MAX, &mib))
            continue;
        json_array_append_new(list, json_pack("{s:o, s:o, s:I}", "name", text_json(str_trim(rest)),
                                              "driver", text_json(driver), "memory_mib",
                                              (json_int_t)mib));
    }
    return list;
}

static json_t *host_json(struct loop *loop)
{
    struct utsname u = {0};
    char kernel[sizeof u.sysname + sizeof u.release + sizeof u.machine + 3];
    (void)uname(&u);
    snprintf(kernel, sizeof kernel, "%s %s %s", u.sysname, u.release, u.machine);
    return json_pack("{s:o, s:o, s:I, s:o, s:I, s:o}", "name", text_json(str_of(u.nodename)),
                     "kernel", text_json(str_of(kernel)), "cpus",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "cpu_model", cpu_model(),
                     "memory_bytes", (json_int_t)uv_get_total_memory(), "gpus", gpus(loop));
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static json_t *environment(void)
{
    static const char *const names[] = {"PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES",
                                        "CONDA_DEFAULT_ENV", "VIRTUAL_ENV"};
    json_t *o = json_object();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (getenv(names[i]))
            json_object_set_new(o, names[i], text_json(str_of(getenv(names[i]))));
    return o;
}

static json_t *command(const char *const *argv)
{
    json_t *list = json_array();
    for (size_t i = 0; argv && argv[i]; i++)
        json_array_append_new(list, text_json(str_of(argv[i])));
    return list;
}

/* "3.11.2" of "Python 3.11.2". */
static json_t *python_version(struct loop *loop, const char *python, struct err *err)
{
    AUTO_BUF struct buf line = {0};
    const char *argv[] = {python ? python : "python3", "--version", NULL};
    if (!first_line(loop, argv, &line, err))
        return json_null();
    struct str s = buf_view(&line);
    return text_json(str_starts(s, "Python ") ? (struct str){s.p + 7, s.n - 7} : s);
}

int provenance_collect(struct loop *loop, const struct provenance_options *o, json_t **out,
                       struct err *err)
{
    char started[CLOCK_ISO_SIZE];
    json_t *git = NULL;
    struct err why = {0};
    if (collect_git(loop, o->directory, &git, err) == -1)
        return -1;
    json_t *python = python_version(loop, o->python, &why);
    AUTO_FREE char *here = getcwd(NULL, 0);
    clock_iso(o->started, started);
    json_t *all = json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "started", started,
                            "command", command(o->argv), "directory", text_json(str_of(here)),
                            "flambe", FLAMBE_VERSION, "python", python, "environment",
                            environment(), "git", git, "host", host_json(loop));
    if (why.code) {
        json_decref(all);
        return err_copy(err, &why);
    }
    *out = all;
    return 0;
}

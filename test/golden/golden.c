/* Golden files: every NAME.yaml of a folder is read as a cluster's file, or as an experiment's
 * where the folder is called 'experiment', and what flambe says about it must be NAME.expected to
 * the byte. Prints TAP.
 *
 *   golden DIR            compares
 *   golden DIR --update   writes the .expected files anew; look at the difference before you commit
 *
 * The .expected file holds the diagnostics as a person sees them, then a line with the error's name
 * ("file"), or "ok" where nothing is wrong. */
#include "base/mem.h"
#include "cluster/spec.h"
#include "experiment/plan.h"
#include "os/fs.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void answer_cluster(const char *path, struct buf *out)
{
    struct cluster_spec spec = {0};
    struct diags diags;
    struct err err = {0};
    int r = cluster_spec_load(path, &spec, &diags, &err);
    diags_print(&diags, false, out);
    buf_addf(out, "%s\n", r == 0 ? "ok" : err_name(err.code));
    diags_done(&diags);
    if (r == 0)
        cluster_spec_done(&spec);
}

/* Of a good one, the number of trials too. */
static void answer_experiment(const char *path, struct buf *out)
{
    struct experiment e;
    struct experiment_plan plan;
    struct experiment_options options = {.machine = {.cpus = 4, .gpus = 0}, .seed = 1};
    struct diags diags;
    struct err err = {0};
    int r = experiment_load(path, &options, &e, &diags, &err);
    diags_print(&diags, false, out);
    diags_done(&diags);
    if (r != 0) {
        buf_addf(out, "%s\n", err_name(err.code));
        return;
    }
    if (experiment_plan_make(&e, &plan, &err) == 0) {
        buf_addf(out, "ok, trials: %zu\n", plan.total);
        experiment_plan_done(&plan);
    } else {
        buf_addf(out, "%s: %s\n", err_name(err.code), err.msg);
    }
    experiment_done(&e);
}

static bool compare(const char *name, const char *path, const struct buf *got)
{
    AUTO_BUF struct buf want = {0};
    struct err err = {0};
    if (fs_read(path, YAML_BYTES_MAX, &want, &err) != 0) {
        printf("# %s\n", err.msg);
        return false;
    }
    if (str_eq(buf_view(&want), buf_view(got)))
        return true;
    struct str lines = buf_view(got);
    printf("# %s: what was said instead of %s:\n", name, path);
    while (lines.p && lines.n) {
        struct str line = str_cut(&lines, '\n');
        printf("#   %.*s\n", STR_FMT(line));
    }
    return false;
}

static bool update(const char *path, const struct buf *got)
{
    struct err err = {0};
    if (fs_write_atomic(path, 0644, buf_view(got), &err) == 0)
        return true;
    printf("# %s\n", err.msg);
    return false;
}

static void list_names(struct strv *names)
{
    DIR *dir = opendir(".");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        struct str name = str_of(e->d_name);
        if (str_ends(name, ".yaml"))
            strv_add_str(names, (struct str){name.p, name.n - strlen(".yaml")});
    }
    if (dir)
        closedir(dir);
    strv_sort(names);
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: golden DIR [--update]\n");
        return 2;
    }
    bool experiments = str_ends(str_of(argv[1]), "experiment");
    bool writing = argc > 2 && strcmp(argv[2], "--update") == 0;
    AUTO_STRV struct strv names = {0};
    list_names(&names);
    printf("1..%zu\n", names.count);
    size_t failed = 0;
    for (size_t i = 0; i < names.count; i++) {
        AUTO_BUF struct buf got = {0};
        AUTO_FREE char *file = mem_printf("%s.yaml", names.items[i]);
        if (experiments)
            answer_experiment(file, &got);
        else
            answer_cluster(file, &got);
        AUTO_FREE char *path = mem_printf("%s.expected", names.items[i]);
        bool ok = writing ? update(path, &got) : compare(names.items[i], path, &got);
        printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, names.items[i]);
        failed += !ok;
    }
    return failed || names.count == 0 ? 1 : 0;
}

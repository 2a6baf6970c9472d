/* What changes a trial's fingerprint, and what does not. */
#include "experiment/file_mark.h"
#include "experiment/fingerprint.h"
#include "place.h"
#include "trial.h"
#include <stdio.h>

/* All that goes into one fingerprint; tests change a part of it. */
struct input {
    const char *text;
    size_t index;
    struct launch_context context;
    const char *mark;     /* of the earlier stage's trial, or NULL */
    const char *resource; /* of the first resource, or NULL */
    const char *options;  /* JSON */
    const char *python_path;
};

static const char *const nothing[] = {NULL};

static struct input input_of(const char *text)
{
    return (struct input){.text = text,
                          .options = "{}",
                          .context = {.python = "/py",
                                      .flambe = "/bin/flambe",
                                      .experiment = "x",
                                      .variant = "v",
                                      .inherited = nothing,
                                      .attempt = 1}};
}

/* Of the stage `s`. The caller frees. */
static char *print_of(struct place *p, const struct input *in)
{
    struct trial t;
    struct err err = {0};
    trial_set_up(&t, in->text, "s", in->index);
    struct strv path = {0};
    if (in->python_path)
        strv_add(&path, in->python_path);
    if (in->mark) {
        free(t.directories[0]);
        t.directories[0] = mem_dup(in->mark);
    }
    if (in->resource) {
        free(t.resources[0]);
        t.resources[0] = mem_dup(in->resource);
    }
    json_auto_t *options = json_loads(in->options, 0, NULL);
    assert_non_null(options);
    struct fingerprints *f = fingerprints_new(p->dir, &path);
    char *print = fingerprint_make(f, &t.values, &in->context, options, &err);
    if (!print)
        fail_msg("%s", err.msg);
    assert_int_equal(strlen(print), 64);
    fingerprints_free(f);
    strv_done(&path);
    trial_tear_down(&t);
    return print;
}

static void assert_same(struct place *p, const struct input *a, const struct input *b, bool same)
{
    AUTO_FREE char *x = print_of(p, a), *y = print_of(p, b);
    if (same)
        assert_string_equal(x, y);
    else
        assert_string_not_equal(x, y);
}

#define STAGE(keys) HEAD "  s: !Script\n    script: m\n" keys

static void each_part_of_a_trial_counts(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *a, *b;
    } pairs[] = {
        {STAGE("    args: [1]\n"), STAGE("    args: [2]\n")},
        {STAGE("    args: [1, 2]\n"), STAGE("    args: ['1 2']\n")},
        {STAGE("    args: [a]\n"), STAGE("    kwargs: {a: a}\n")},
        {STAGE("    kwargs: {a: 1}\n"), STAGE("    kwargs: {a: 2}\n")},
        {STAGE("    kwargs: {a: 1}\n"), STAGE("    kwargs: {a: '1'}\n")},
        {STAGE("    kwargs: {a: 1, b: 2}\n"), STAGE("    kwargs: {b: 2, a: 1}\n")},
        {STAGE(""), STAGE("    metrics: m.jsonl\n")},
        {STAGE("    output_dir_arg: a\n"), STAGE("    output_dir_arg: b\n")},
        {STAGE("    objective: {metric: a, mode: min}\n"),
         STAGE("    objective: {metric: b, mode: min}\n")},
        {STAGE("    objective: {metric: a, mode: min}\n"),
         STAGE("    objective: {metric: a, mode: min, value: best}\n")},
        {HEAD "  s: !Command\n    command: [/bin/sh]\n    env: {A: 1}\n",
         HEAD "  s: !Command\n    command: [/bin/sh]\n    env: {A: 2}\n"},
        {HEAD "  s: !Command\n    command: [/bin/sh]\n    params: {A: 1}\n",
         HEAD "  s: !Command\n    command: [/bin/sh]\n    params: {A: 2}\n"},
        {HEAD "  s: !Command\n    command: [/bin/sh, a]\n",
         HEAD "  s: !Command\n    command: /bin/sh a\n"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct input a = input_of(pairs[i].a), b = input_of(pairs[i].b);
        assert_same(p, &a, &a, true);
        assert_same(p, &a, &b, false);
    }
    struct input a = input_of(STAGE("    args: [!g [1, 2]]\n")), b = a;
    b.index = 1;
    assert_same(p, &a, &b, false);
    b = a;
    b.options = "{\"lr\": 1}";
    assert_same(p, &a, &b, false);
    b = a;
    b.context.python = "/another/py";
    assert_same(p, &a, &b, false);
}

static void where_and_when_it_runs_does_not_count(void **state)
{
    struct place *p = *state;
    static const char *const inherited[] = {"PATH=/other", "LANG=C", NULL};
    struct input a = input_of(STAGE("    args: [!g [1, 1]]\n")), b = a;
    b.index = 1; /* another variant of the same values */
    b.context.variant = "args_0=1_1";
    b.context.number = 1;
    b.context.attempt = 4;
    b.context.inherited = inherited;
    b.context.secrets = "/a/file";
    b.context.flambe = "/elsewhere/flambe";
    assert_same(p, &a, &b, true);
    a = input_of(HEAD "  s: !Command\n    command: [/bin/sh, '{variant}']\n");
    b = a;
    b.context.variant = "another";
    assert_same(p, &a, &b, true);
    a = input_of(STAGE("    time_limit: 1 h\n"));
    b = input_of(STAGE("    time_limit: 2 h\n"));
    assert_same(p, &a, &b, true);
    a = input_of(STAGE("    objective: {metric: a, mode: min}\n"));
    b = input_of(STAGE("    objective: {metric: a, mode: max}\n"));
    assert_same(p, &a, &b, true); /* the same number, of another worth */
}

static void what_it_builds_on_counts(void **state)
{
    struct place *p = *state;
    struct input a = input_of("!Experiment\nname: x\nresources: {data: /}\npipeline:\n"
                              "  e: !Script\n    script: m\n"
                              "  s: !Script\n    script: m\n    args: [!@ e.dir, !@ data]\n");
    a.mark = "@1";
    a.resource = "@/data size 1";
    struct input b = a;
    assert_same(p, &a, &b, true);
    b.mark = "@2";
    assert_same(p, &a, &b, false);
    b = a;
    b.resource = "@/data size 2";
    assert_same(p, &a, &b, false);
}

/* A file that the command names, changed; both fingerprints. */
static void assert_file_counts(struct place *p, const char *text, const char *name,
                               const char *python_path, bool counts)
{
    struct input in = input_of(text);
    in.python_path = python_path;
    free(place_write(p, name, 0755, "#!/bin/sh\n"));
    AUTO_FREE char *before = print_of(p, &in);
    free(place_write(p, name, 0755, "#!/bin/sh\nexit 1\n"));
    AUTO_FREE char *after = print_of(p, &in);
    free(place_write(p, name, 0755, "#!/bin/sh\n"));
    AUTO_FREE char *again = print_of(p, &in);
    assert_string_equal(before, again); /* the content, not the time */
    if (counts == (strcmp(before, after) == 0))
        fail_msg("%s: '%s'", text, name);
}

static void files_of_the_command_count_by_content(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *script = place_write(p, "train.py", 0755, "x");
    AUTO_FREE char *path = fs_join(p->dir, "lib/path");
    AUTO_FREE char *text = mem_printf(
        HEAD "  s: !Script\n    script: %s\n    args: [config.yaml, sub/data]\n", script);
    assert_file_counts(p, text, "train.py", NULL, true);
    assert_file_counts(p, text, "config.yaml", NULL, true); /* below the working directory */
    assert_file_counts(p, text, "sub/data", NULL, true);
    assert_file_counts(p, text, "other.py", NULL, false);
    static const char module[] = HEAD "  s: !Script\n    script: pkg.mod\n";
    assert_file_counts(p, module, "pkg/mod.py", NULL, true);
    assert_file_counts(p, module, "pkg/mod/__main__.py", NULL, true);
    assert_file_counts(p, module, "lib/path/pkg/mod.py", path, true);
    assert_file_counts(p, module, "lib/path/pkg/mod.py", NULL, false);
    assert_file_counts(p, HEAD "  s: !Command\n    command: [/bin/sh, run.sh]\n", "run.sh", NULL,
                       true);
    assert_file_counts(p,
                       HEAD "  s: !Command\n    command: sh run.sh<in.txt|sort>'out.txt';./go.sh\n",
                       "in.txt", NULL, true);
    assert_file_counts(p,
                       HEAD "  s: !Command\n    command: sh run.sh<in.txt|sort>'out.txt';./go.sh\n",
                       "go.sh", NULL, true);
    assert_file_counts(
        p, HEAD "  s: !Command\n    command: [/bin/sh, '{f}']\n    params: {f: run.sh}\n", "run.sh",
        NULL, true);
}

/* Where words are no UTF-8, JSON has no text for them: trials must differ all the same. */
static void bytes_that_are_no_text_count(void **state)
{
    struct place *p = *state;
    struct input a = input_of(STAGE("    args: [!g [1, 2]]\n"));
    a.context.python = "/home/\xff/py";
    struct input b = a;
    b.index = 1;
    assert_same(p, &a, &a, true);
    assert_same(p, &a, &b, false);
    b = a;
    b.context.python = "/home/\xfe/py";
    assert_same(p, &a, &b, false);
    struct resource r = {.kind = RESOURCE_LOCAL, .location = (char *)"data"};
    AUTO_FREE char *path = place_write(p, "\xff.bin", 0600, "1");
    AUTO_FREE char *mark = fingerprint_resource(&r, path);
    assert_true(str_is_utf8(str_of(mark), NULL));
    assert_non_null(strstr(mark, " size 1 "));
}

/* It fails when it is started; until then it is a trial like another. */
static void a_trial_that_cannot_be_launched_has_one_too(void **state)
{
    struct place *p = *state;
    struct input in = input_of(HEAD "  a: !Script\n    script: m\n    kwargs: {p: 5}\n"
                                    "  s: !Script\n    script: !@ 'a[p]'\n");
    assert_same(p, &in, &in, true);
    fingerprints_free(NULL);
}

static void values_of_a_shell_s_line_count(void **state)
{
    struct place *p = *state;
    struct input a = input_of(HEAD "  s: !Command\n    command: 'echo x{n} {m}'\n"
                                   "    params: {n: !g [1, 2], m: 1}\n");
    struct input b = a;
    b.index = 1;
    assert_same(p, &a, &b, false);
    static const char text[] = HEAD "  s: !Command\n    command: 'cat conf/{n}.txt \"{f}\"'\n"
                                    "    params: {n: a, f: 'b c.txt'}\n";
    assert_file_counts(p, text, "conf/a.txt", NULL, true); /* only the two together name it */
    assert_file_counts(p, text, "b c.txt", NULL, true);    /* a value as it is */
}

static void a_resource_is_its_place_size_and_time(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *path = place_write(p, "data.bin", 0600, "12345");
    struct resource local = {.kind = RESOURCE_LOCAL, .location = path};
    AUTO_FREE char *before = fingerprint_resource(&local, path);
    AUTO_FREE char *same = fingerprint_resource(&local, path);
    assert_string_equal(before, same);
    assert_non_null(strstr(before, "size 5"));
    free(place_write(p, "data.bin", 0600, "123456"));
    AUTO_FREE char *after = fingerprint_resource(&local, path);
    assert_string_not_equal(before, after);
    struct resource web = {.kind = RESOURCE_HTTP, .location = (char *)"http://h/x"};
    AUTO_FREE char *url = fingerprint_resource(&web, path);
    assert_string_equal(url, "@http://h/x");
    AUTO_FREE char *gone = fingerprint_resource(&local, "/non/existing");
    assert_non_null(gone);
}

/* ---- directories ------------------------------------------------------------------------------
 */

static char *mark_of(struct place *p, const char *name)
{
    AUTO_FREE char *path = fs_join(p->dir, name);
    struct resource r = {.kind = RESOURCE_LOCAL, .location = path};
    return fingerprint_resource(&r, path);
}

/* What the shell does to the directory `data`, and whether that counts. */
static void assert_change(struct place *p, const char *line, bool counts)
{
    AUTO_FREE char *before = mark_of(p, "data");
    AUTO_FREE char *command = mem_printf("cd '%s/data' && { %s; }", p->dir, line);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(pclose(f), 0);
    AUTO_FREE char *after = mark_of(p, "data");
    if (counts == (strcmp(before, after) == 0))
        fail_msg("'%s': %s, %s", line, before, after);
}

static void a_directory_is_all_that_is_in_it(void **state)
{
    struct place *p = *state;
    free(place_write(p, "data/a/b/deep.bin", 0600, "12345"));
    free(place_write(p, "data/first.bin", 0600, "12345"));
    free(place_write(p, "elsewhere/file", 0600, "12345"));
    assert_change(p, "true", false);
    assert_change(p, "echo x > a/b/new", true);
    assert_change(p, "rm a/b/new", true);
    assert_change(p, "printf 54321 > a/b/deep.bin", true); /* of the same size */
    assert_change(p, "touch -d 2020-01-01T00:00:00.000000001Z first.bin", true);
    assert_change(p, "touch -d 2020-01-01T00:00:00.000000002Z first.bin", true);
    assert_change(p, "mv first.bin second.bin", true);
    assert_change(p, "mkdir empty", true);
    assert_change(p, "touch empty; cat a/b/deep.bin >/dev/null",
                  false); /* names and files count alone */
    assert_change(p, "ln -s ../elsewhere/file link", true);
    assert_change(p, "printf 123456 > ../elsewhere/file", true);
    assert_change(p, "ln -s ../elsewhere away", true);
    assert_change(p, "echo x > ../elsewhere/other", false);
    assert_change(p, "ln -s . self; ln -s nowhere broken; mkfifo fifo", true);
    assert_change(p, "mkdir .git __pycache__ out; touch .git/x __pycache__/x.pyc out/flambe.db",
                  true);
    assert_change(p, "touch .git/y __pycache__/y.pyc out/y", false); /* a run's own traces */
}

static void a_directory_among_the_words_counts(void **state)
{
    struct place *p = *state;
    struct input in = input_of(STAGE("    kwargs: {data: sets, separator: /, here: .}\n"));
    free(place_write(p, "sets/train/1.bin", 0600, "1"));
    AUTO_FREE char *first = print_of(p, &in);
    free(place_write(p, "beside", 0600, "1"));
    AUTO_FREE char *beside = print_of(p, &in);
    assert_string_equal(first, beside);
    free(place_write(p, "sets/train/1.bin", 0600, "22"));
    AUTO_FREE char *second = print_of(p, &in);
    assert_string_not_equal(first, second);
}

/* Many entries, and deep ones, take a bounded time. */
static void a_directory_is_looked_through_so_far(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *command = mem_printf(
        "mkdir '%s/data' && cd '%s/data' && i=0 && while [ $i -lt 70 ]; do mkdir d && cd d "
        "&& i=$((i + 1)); done && touch x",
        p->dir, p->dir);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(pclose(f), 0);
    AUTO_FREE char *mark = mark_of(p, "data");
    assert_non_null(strstr(mark, " time ")); /* its own, too */
    assert_change(p, "cd d/d/d && touch y", true);
    AUTO_FREE char *many = fs_join(p->dir, "many");
    AUTO_FREE char *last = mem_dup("");
    struct stat st;
    for (int i = 0; i < 12; i++) {
        AUTO_FREE char *name = mem_printf("many/%d", i);
        AUTO_BUF struct buf before = {0}, after = {0};
        free(place_write(p, name, 0600, "x"));
        assert_int_equal(stat(many, &st), 0);
        file_mark(many, &st, 10, &before);
        file_mark(many, &st, 10, &after);
        assert_string_equal(buf_text(&before), buf_text(&after));
        assert_string_not_equal(buf_text(&before), last); /* by its own time, with more than 10 */
        assert_true((strstr(buf_text(&before), " time ") != NULL) == (i >= 10));
        free(last);
        last = buf_take(&before);
    }
}

/* ---- what changed -----------------------------------------------------------------------------
 */

static json_t *stage_of(struct place *p, const char *text, const char *const *resources, size_t n)
{
    struct trial t;
    struct err err = {0};
    trial_set_up(&t, text, "s", 0);
    struct strv path = {0};
    struct input in = input_of(text);
    json_auto_t *options = json_object();
    struct fingerprints *f = fingerprints_new(p->dir, &path);
    free(fingerprint_make(f, &t.values, &in.context, options, &err));
    json_t *all = fingerprint_stage(f, &t.e.stages[0], str_of(text), resources, n);
    json_auto_t *none = fingerprint_stage(f, &t.e.stages[0], str_of(text), resources, n);
    assert_int_equal(json_object_size(json_object_get(none, "files")), 0); /* of the next stage */
    fingerprints_free(f);
    trial_tear_down(&t);
    return all;
}

static void assert_difference(const json_t *before, const json_t *now, const char *want)
{
    AUTO_BUF struct buf words = {0};
    fingerprint_difference(before, now, &words);
    assert_string_equal(buf_text(&words), want);
}

static void the_difference_is_said_in_words(void **state)
{
    struct place *p = *state;
    static const char text[] = HEAD "  s: !Command\n    command: [/bin/echo, a.txt, b.txt]\n";
    static const char other[] = HEAD "  s: !Command\n    command: [/bin/echo, a.txt, b.txt, c]\n";
    static const char *const r1[] = {"@r1"}, *const r2[] = {"@r2"};
    free(place_write(p, "a.txt", 0600, "1"));
    json_auto_t *first = stage_of(p, text, r1, 1);
    assert_non_null(json_object_get(json_object_get(first, "files"), "a.txt"));
    assert_null(json_object_get(json_object_get(first, "files"), "b.txt"));
    assert_difference(first, first, "an earlier stage's trials or the options differ");
    free(place_write(p, "a.txt", 0600, "2"));
    json_auto_t *second = stage_of(p, text, r1, 1);
    assert_difference(first, second, "'a.txt' has changed");
    free(place_write(p, "b.txt", 0600, "2"));
    json_auto_t *third = stage_of(p, other, r2, 1);
    assert_difference(first, third,
                      "'a.txt' has changed, 'b.txt' is new, the stage's text has changed, a "
                      "resource has changed");
}

/* The same text at another place of the file is the same. */
static void a_stage_s_text_is_its_own_alone(void **state)
{
    struct place *p = *state;
    static const char a[] = HEAD "  s: !Command\n    command: [/bin/echo, a]\nmax_failures: 1\n";
    static const char b[] = "!Experiment\nname: y\npipeline:\n  s: !Command\n    command: "
                            "[/bin/echo, a]\nmax_failures: 2\n";
    json_auto_t *first = stage_of(p, a, NULL, 0), *second = stage_of(p, b, NULL, 0);
    assert_true(json_equal(first, second));
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_part_of_a_trial_counts),
        T(where_and_when_it_runs_does_not_count),
        T(what_it_builds_on_counts),
        T(files_of_the_command_count_by_content),
        T(bytes_that_are_no_text_count),
        T(a_trial_that_cannot_be_launched_has_one_too),
        T(values_of_a_shell_s_line_count),
        T(a_resource_is_its_place_size_and_time),
        T(a_directory_is_all_that_is_in_it),
        T(a_directory_among_the_words_counts),
        T(a_directory_is_looked_through_so_far),
        T(the_difference_is_said_in_words),
        T(a_stage_s_text_is_its_own_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

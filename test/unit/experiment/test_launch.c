/* What is run: the words, the environment, the parameters. */
#include "experiment/value.h"
#include "trial.h"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const nothing[] = {NULL};

static struct launch_context context(const char *const *inherited)
{
    return (struct launch_context){.python = "/py",
                                   .flambe = "/bin/flambe",
                                   .experiment = "x",
                                   .variant = "v=1_1",
                                   .inherited = inherited,
                                   .number = 3,
                                   .attempt = 2};
}

/* The stage `s` of the text. */
static void make(struct trial *t, const char *text, size_t index, const struct launch_context *c,
                 struct launch *l)
{
    struct err err = {0};
    trial_set_up(t, text, "s", index);
    if (launch_make(&t->values, c, l, &err) == -1)
        fail_msg("%s", err.msg);
}

/* `want`: the words, with '|' between. */
static void assert_words(const char *text, size_t index, const char *want)
{
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    make(&t, text, index, &c, &l);
    AUTO_FREE char *words = strv_join(&l.argv, "|");
    assert_string_equal(words, want);
    launch_done(&l);
    trial_tear_down(&t);
}

/* Nothing to run, for the reason `why`, which is the trial's trouble and not the run's. */
static void assert_nothing(const char *text, const char *why)
{
    AUTO_FREE char *words = mem_printf("|%s", why);
    assert_words(text, 0, words);
}

/* ---- scripts ----------------------------------------------------------------------------------
 */

#define SCRIPT(keys) HEAD "  s: !Script\n" keys

static void scripts_are_files_modules_or_programs(void **state)
{
    (void)state;
    assert_int_equal(access("/bin/sh", X_OK), 0);
    assert_words(SCRIPT("    script: pkg.train\n"), 0, "/py|-m|pkg.train");
    assert_words(SCRIPT("    script: /bin/sh\n"), 0, "/bin/sh");
    char path[] = "/tmp/flambe-test-XXXXXX.py";
    int fd = mkstemps(path, 3);
    assert_true(fd >= 0);
    close(fd);
    AUTO_FREE char *text = mem_printf(SCRIPT("    script: %s\n    args: [1]\n"), path);
    AUTO_FREE char *want = mem_printf("/py|%s|1", path);
    assert_words(text, 0, want);
    assert_words(SCRIPT("    script: !g [a, b.c]\n"), 1, "/py|-m|b.c");
    unlink(path);
}

static void arguments_are_text_as_python_writes_it(void **state)
{
    (void)state;
    assert_words(SCRIPT("    script: m\n    args: [a b, 1, 1e-5, true, null, [1, x], {k: 1.0}, '', "
                        ".inf]\n"),
                 0, "/py|-m|m|a b|1|1e-05|True|None|[1, 'x']|{'k': 1.0}||inf");
}

/* The original makes the variants, and passes the option's own text. */
static void options_among_arguments_work(void **state)
{
    (void)state;
    static const char text[] = SCRIPT("    script: m\n    args: [train, !g [1, 2], !g [a, b]]\n");
    assert_words(text, 0, "/py|-m|m|train|1|a");
    assert_words(text, 1, "/py|-m|m|train|2|a");
    assert_words(text, 2, "/py|-m|m|train|1|b");
}

static void keywords_follow_in_the_file_s_order(void **state)
{
    (void)state;
    assert_words(SCRIPT("    script: m\n    kwargs: {zeta: 1, alpha: !g [x, y], m-n: [1]}\n"
                        "    args: [first]\n    output_dir_arg: out\n"),
                 1, "/py|-m|m|first|--zeta|1|--alpha|y|--m-n|[1]|--out|/r/s");
    assert_words(SCRIPT("    script: m\n    output_dir_arg: save_path\n"), 0,
                 "/py|-m|m|--save_path|/r/s");
}

static void a_script_s_keywords_are_its_parameters(void **state)
{
    (void)state;
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    make(&t, SCRIPT("    script: m\n    kwargs: {b: !g [1, 2], a: {k: [x]}}\n"), 1, &c, &l);
    char *have = json_dumps(l.params, JSON_COMPACT);
    assert_string_equal(have, "{\"b\":2,\"a\":{\"k\":[\"x\"]}}");
    free(have);
    launch_done(&l);
    trial_tear_down(&t);
    make(&t, SCRIPT("    script: m\n"), 0, &c, &l);
    assert_true(json_is_object(l.params) && json_object_size(l.params) == 0);
    launch_done(&l);
    launch_done(&l); /* a second time is legal */
    trial_tear_down(&t);
}

/* The results may lie below a directory whose name is no UTF-8. */
static void paths_are_passed_on_as_bytes(void **state)
{
    (void)state;
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    struct err err = {0};
    trial_set_up(&t,
                 "!Experiment\nname: x\nresources: {data: /}\npipeline:\n"
                 "  a: !Script\n    script: m\n    outputs: {o: f}\n"
                 "  s: !Script\n    script: m\n    args: [!@ data, !@ a.dir, !@ a.o]\n",
                 "s", 0);
    free(t.directories[0]);
    free(t.resources[0]);
    t.directories[0] = mem_dup("/\xff");
    t.resources[0] = mem_dup("/\xfe");
    assert_int_equal(launch_make(&t.values, &c, &l, &err), 0);
    AUTO_FREE char *words = strv_join(&l.argv, "|");
    assert_string_equal(words, "/py|-m|m|/\xfe|/\xff|/\xff/f");
    launch_done(&l);
    trial_tear_down(&t);
}

static void a_script_that_comes_to_nothing_is_the_trial_s_trouble(void **state)
{
    (void)state;
    static const char text[] = HEAD "  a: !Script\n    script: m\n    kwargs: {p: 5, q: ''}\n"
                                    "  s: !Script\n    script: !@ 'a[%s]'\n";
    AUTO_FREE char *number = mem_printf(text, "p"), *empty = mem_printf(text, "q");
    assert_nothing(number, "'script' is no text, or empty");
    assert_nothing(empty, "'script' is no text, or empty");
}

/* ---- commands ---------------------------------------------------------------------------------
 */

#define COMMAND(keys) HEAD "  s: !Command\n" keys

static void a_command_s_words_have_places(void **state)
{
    (void)state;
    assert_words(COMMAND("    command: [/bin/sh, '{lr}', 'a{lr}b{n}', '{dir}/x', '{stage}', "
                         "'{variant}', 5, 0.10, !g [p, q]]\n    params: {lr: 1e-5, n: a b}\n"),
                 1, "/bin/sh|1e-05|a1e-05ba b|/r/s/x|s|v=1_1|5|0.1|q");
}

/* A parameter named as one of flambe's own is the user's. */
static void braces_that_are_no_places_stay(void **state)
{
    (void)state;
    assert_words(COMMAND("    command: [/bin/sh, '{{lr}}', '{{{lr}}}', '${lr}', '{ lr }', '{}', "
                         "'{', '}', '{lr', 'a}}b', '{stage}']\n    params: {lr: 1, stage: mine}\n"),
                 0, "/bin/sh|{lr}|{1}|${lr}|{ lr }|{}|{|}|{lr|a}b|mine");
}

/* What the shell parses has none of the values in it. */
static void a_line_is_the_shell_s_with_values_as_arguments(void **state)
{
    (void)state;
    assert_words(
        COMMAND("    command: \"echo {n} '{n}' \\\"{n}\\\" {lr} ${HOME} {{n}} {dir} | cat\"\n"
                "    params: {n: \"a 'b\", lr: 0.5}\n"),
        0,
        "/bin/sh|-c|FLAMBE_1=${1} FLAMBE_2=${2} FLAMBE_3=${3} && shift 3; "
        "echo \"${FLAMBE_1}\" ''\"${FLAMBE_1}\"'' \"${FLAMBE_1}\" \"${FLAMBE_2}\" "
        "${HOME} {n} \"${FLAMBE_3}\" | cat|/bin/sh|a 'b|0.5|/r/s");
    assert_words(COMMAND("    command: 'echo {{x}} ${HOME}'\n"), 0, "/bin/sh|-c|echo {x} ${HOME}");
    assert_words(
        COMMAND("    command: !g [\"true {n}\", [/bin/sh, '{n}']]\n    params: {n: a b}\n"), 1,
        "/bin/sh|a b");
    assert_words(
        COMMAND("    command: !g [\"true {n}\", [/bin/sh, '{n}']]\n    params: {n: a b}\n"), 0,
        "/bin/sh|-c|FLAMBE_1=${1} && shift 1; true \"${FLAMBE_1}\"|/bin/sh|a b");
}

/* The line as the shell has it: all of its places give the value back. */
static void a_line_s_values_come_out_of_the_shell(void **state)
{
    (void)state;
    static const char text[] =
        COMMAND("    command: |\n"
                "      # it isn't {n}\n"
                "      V=v; printf '<%s>' {n} '{n}' \"{n}\" \\{n} $V{n} \"$(printf %s. {n})\" "
                "\\{{'{n}' {n} $#\n"
                "    params: {n: \"a'\\\"\\\\ $V `id` $(id) # * é\\n z\\n\"}\n");
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    make(&t, text, 0, &c, &l);
    static const char value[] = "a'\"\\ $V `id` $(id) # * é\n z\n";
    AUTO_FREE char *want = mem_printf("<%s><%s><%s><%s><v%s><%s.><{%s><%s><0>", value, value, value,
                                      value, value, value, value, value);
    char got[1024];
    AUTO_FREE const char **argv = launch_vector(&l.argv);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    FILE *f = fdopen(fds[0], "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(got, want);
    launch_done(&l);
    trial_tear_down(&t);
}

/* What is known only when the values are fails that trial. */
static void a_line_that_cannot_be_filled_is_the_trial_s_trouble(void **state)
{
    (void)state;
    assert_words(COMMAND("    command: 'echo $(({n} + 1))'\n    params: {n: 41}\n"), 0,
                 "/bin/sh|-c|FLAMBE_1=${1} && shift 1; echo $((41 + 1))|/bin/sh|41");
    assert_nothing(COMMAND("    command: 'echo $(({n} + 1))'\n    params: {n: 'a[$(id)]'}\n"),
                   "within $((…)) only a whole number can stand, not 'a[$(id)]'");
    assert_nothing(HEAD "  a: !Script\n    script: m\n    kwargs: {line: \"cat <<'E'\\n{n}\\nE\"}\n"
                        "  s: !Command\n    command: !@ 'a[line]'\n    params: {n: 1}\n",
                   "it stands in a here-document whose end is quoted, where nothing is replaced; "
                   "write the end behind '<<' without quotes; {{ and }} are braces");
}

static void a_command_s_parameters_are_its_own(void **state)
{
    (void)state;
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    make(&t, COMMAND("    command: [/bin/sh]\n    params: {b: !g [1, 2], a: x}\n"), 1, &c, &l);
    char *have = json_dumps(l.params, JSON_COMPACT);
    assert_string_equal(have, "{\"b\":2,\"a\":\"x\"}");
    free(have);
    launch_done(&l);
    trial_tear_down(&t);
}

static void a_command_that_comes_to_nothing_is_the_trial_s_trouble(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "  a: !Command\n    command: [/bin/sh]\n    params: {p: 5, q: '', l: []}\n"
             "  s: !Command\n    command: %s\n";
    static const char *const commands[] = {"!@ 'a[l]'", "[!@ 'a[q]', x]", "!@ 'a[p]'", "!@ 'a[q]'"};
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        AUTO_FREE char *file = mem_printf(text, commands[i]);
        assert_nothing(file, "'command' is empty");
    }
}

/* ---- the environment --------------------------------------------------------------------------
 */

static const char *env_of(const struct launch *l, const char *name)
{
    const char *value = NULL;
    size_t n = strlen(name);
    for (size_t i = 0; i < l->env.count; i++)
        if (strncmp(l->env.items[i], name, n) == 0 && l->env.items[i][n] == '=') {
            assert_null(value); /* each has one */
            value = l->env.items[i] + n + 1;
        }
    return value;
}

static void assert_env(const struct launch *l, const char *name, const char *want)
{
    const char *have = env_of(l, name);
    if (!want && have)
        fail_msg("%s is '%s'", name, have);
    if (want && (!have || strcmp(have, want) != 0))
        fail_msg("%s is '%s', not '%s'", name, have ? have : "(nothing)", want);
}

static void flambe_s_variables_say_what_the_trial_is(void **state)
{
    (void)state;
    struct trial t;
    struct launch l;
    struct launch_context c = context(nothing);
    c.secrets = "/secrets.ini";
    make(&t, SCRIPT("    script: m\n    metrics: logs/m.jsonl\n"), 0, &c, &l);
    assert_env(&l, "FLAMBE", "/bin/flambe");
    assert_env(&l, "FLAMBE_EXPERIMENT", "x");
    assert_env(&l, "FLAMBE_STAGE", "s");
    assert_env(&l, "FLAMBE_VARIANT", "v=1_1");
    assert_env(&l, "FLAMBE_DIR", "/r/s");
    assert_env(&l, "FLAMBE_PARAMS", "/r/s/params.json");
    assert_env(&l, "FLAMBE_METRICS", "/r/s/logs/m.jsonl");
    assert_env(&l, "FLAMBE_CHECKPOINT", "/r/s/checkpoint");
    assert_env(&l, "FLAMBE_TRIAL", "3");
    assert_env(&l, "FLAMBE_ATTEMPT", "2");
    assert_env(&l, "FLAMBE_SECRETS", "/secrets.ini");
    assert_env(&l, "PYTHONUNBUFFERED", "1");
    launch_done(&l);
    trial_tear_down(&t);
    c.secrets = NULL;
    make(&t, SCRIPT("    script: m\n"), 0, &c, &l);
    assert_env(&l, "FLAMBE_METRICS", "/r/s/metrics.jsonl");
    assert_env(&l, "FLAMBE_SECRETS", NULL);
    launch_done(&l);
    trial_tear_down(&t);
}

static void what_is_inherited_is_changed_by_the_file(void **state)
{
    (void)state;
    static const char *const inherited[] = {"PATH=/bin",
                                            "A=old",
                                            "AB=kept",
                                            "EMPTY=",
                                            "FLAMBE_STAGE=not",
                                            "FLAMBE_OTHER=not",
                                            "FLAMBE=old",
                                            "PYTHONUNBUFFERED=",
                                            "HAS=a=b",
                                            "FLAMBE_SECRETS=/of/another",
                                            NULL};
    struct trial t;
    struct launch l;
    struct launch_context c = context(inherited);
    make(&t,
         COMMAND("    command: [/bin/sh]\n    params: {n: 1}\n"
                 "    env: {A: !g [1.0, x y], NEW: !@ 's[n]', T: true, FLAMBEAU: f}\n"),
         0, &c, &l);
    assert_env(&l, "PATH", "/bin");
    assert_env(&l, "A", "1.0");
    assert_env(&l, "AB", "kept");
    assert_env(&l, "EMPTY", "");
    assert_env(&l, "HAS", "a=b");
    assert_env(&l, "NEW", "1");
    assert_env(&l, "T", "True");
    assert_env(&l, "FLAMBEAU", "f");
    assert_env(&l, "FLAMBE", "/bin/flambe");
    assert_env(&l, "FLAMBE_STAGE", "s");
    assert_env(&l, "FLAMBE_OTHER", NULL);
    assert_env(&l, "FLAMBE_SECRETS", NULL);
    assert_env(&l, "PYTHONUNBUFFERED", ""); /* the user's own */
    launch_done(&l);
    trial_tear_down(&t);
}

static void a_vector_ends_with_null(void **state)
{
    (void)state;
    struct strv v = {0};
    strv_add(&v, "a");
    strv_add(&v, "b");
    const char **vector = launch_vector(&v);
    assert_ptr_equal(vector[0], v.items[0]);
    assert_ptr_equal(vector[1], v.items[1]);
    assert_null(vector[2]);
    free(vector);
    strv_done(&v);
    vector = launch_vector(&v);
    assert_null(vector[0]);
    free(vector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_are_files_modules_or_programs),
        cmocka_unit_test(arguments_are_text_as_python_writes_it),
        cmocka_unit_test(options_among_arguments_work),
        cmocka_unit_test(keywords_follow_in_the_file_s_order),
        cmocka_unit_test(a_script_s_keywords_are_its_parameters),
        cmocka_unit_test(paths_are_passed_on_as_bytes),
        cmocka_unit_test(a_script_that_comes_to_nothing_is_the_trial_s_trouble),
        cmocka_unit_test(a_command_s_words_have_places),
        cmocka_unit_test(braces_that_are_no_places_stay),
        cmocka_unit_test(a_line_is_the_shell_s_with_values_as_arguments),
        cmocka_unit_test(a_line_s_values_come_out_of_the_shell),
        cmocka_unit_test(a_line_that_cannot_be_filled_is_the_trial_s_trouble),
        cmocka_unit_test(a_command_s_parameters_are_its_own),
        cmocka_unit_test(a_command_that_comes_to_nothing_is_the_trial_s_trouble),
        cmocka_unit_test(flambe_s_variables_say_what_the_trial_is),
        cmocka_unit_test(what_is_inherited_is_changed_by_the_file),
        cmocka_unit_test(a_vector_ends_with_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The experiment's own keys: what is taken, with which defaults. What is said about bad files, to
 * the byte, is in test/golden/experiment; here are the original's cases
 * (test_experiment_preprocess.py and the rule for names) and what depends on the machine. */
#include "fixture.h"
#include <sys/stat.h>
#include <unistd.h>

#define STAGE "pipeline:\n  s: !Script\n    script: m\n"

static void defaults_are_the_original_s(void **state)
{
    (void)state;
    struct experiment e;
    read_good("!Experiment\nname: x\n" STAGE, &e);
    assert_string_equal(e.save_path, "./flambe-output");
    assert_int_equal(e.max_failures, 1);
    assert_true(e.stop_on_failure && e.merge_plot);
    assert_int_equal(e.devices.cpu, 1);
    assert_int_equal(e.devices.gpu, 0);
    assert_int_equal(e.drawn_with, 7);
    experiment_done(&e);
}

static void names_follow_the_original_s_rule(void **state)
{
    (void)state;
    static const char *const good[] = {"9x", "a--_", "random-name"};
    static const char *const bad[] = {
        "_a", "a.b", "\"\"", "/some/invalid/name", "some-invalid-name-!@$%^&", "-a", ""};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        AUTO_FREE char *text = mem_printf("!Experiment\nname: %s\n" STAGE, good[i]);
        struct experiment e;
        read_good(text, &e);
        assert_string_equal(e.name, good[i]);
        experiment_done(&e);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO_FREE char *text = mem_printf("!Experiment\nname: %s\n" STAGE, bad[i]);
        free(read_bad(text));
    }
}

static void assert_says(const char *text, const char *words)
{
    AUTO_FREE char *said = read_bad(text);
    if (!strstr(said, words))
        fail_msg("no '%s' in: %s", words, said);
}

static void the_original_s_bad_files_are_bad(void **state)
{
    (void)state;
    assert_says("\nNot a YAML file content\n", "the file does not say what it describes");
    assert_says("!Experiment\nname: x\nresources:\npipeline:\n", "'pipeline' has no value");
    assert_says("!Experiment\nname:\n" STAGE, "'name' has no value");
    assert_says("!Experiment\nname: x\nresources:\n  v1: non/existent/path\n" STAGE,
                "there is no 'non/existent/path'");
    assert_says("!Experiment\nname: x\npipeline:\n  b0: !Something\n", "'!Something' is a Python");
    assert_says("!Experiment\nname: x\npipeline:\n  b0: !Trainer.something\n",
                "'!Trainer.something' is a Python");
    assert_says("a: b\n---\n"
                "!Experiment\nname: x\n" STAGE "---\nx: y\n",
                "");
}

static void a_file_that_is_not_there_is_an_error_of_the_file(void **state)
{
    (void)state;
    struct experiment e;
    struct diags diags;
    struct err err = {0};
    assert_int_equal(experiment_load("/non/existing/file", &on_machine, &e, &diags, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_int_equal(diags_total(&diags), 0);
    diags_done(&diags);
}

static void extensions_come_first(void **state)
{
    (void)state;
    struct experiment e;
    read_good("here: /\nthere: https://example.com/x.git\npackage: numpy>=1.2\n---\n"
              "!Experiment\nname: x\n" STAGE,
              &e);
    assert_int_equal(e.extension_count, 3);
    assert_int_equal(e.extensions[0].kind, EXTENSION_PATH);
    assert_int_equal(e.extensions[1].kind, EXTENSION_GIT);
    assert_int_equal(e.extensions[2].kind, EXTENSION_PIP);
    experiment_done(&e);
}

/* On a cluster's host, where the files are not where the user had them. */
static void what_is_placed_is_not_looked_for_where_the_file_says(void **state)
{
    (void)state;
    static const char *const text =
        "lib: ./nowhere/lib\nnumpy: numpy\n---\n!Experiment\nname: x\nresources:\n"
        "  local: nowhere/data\n  there: !cluster /nowhere\n  net: https://example.com/x\n" STAGE;
    static const char *const names[] = {"local", "there", "net"};
    static char root[] = "/", gone[] = "/nowhere/at/all";
    struct experiment_options options = on_machine;
    struct strtab *resources = strtab_new(), *extensions = strtab_new();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        strtab_put(resources, str_of(names[i]), root);
    strtab_put(extensions, STR("lib"), root);
    options.resources = resources;
    options.extensions = extensions;
    struct experiment e;
    struct diags diags;
    assert_int_equal(experiment_parse("x", str_of(text), &options, &e, &diags, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_string_equal(e.resources[i].location, "/");
        assert_int_equal(e.resources[i].kind, RESOURCE_LOCAL);
    }
    assert_string_equal(e.extensions[0].source, "/");
    assert_int_equal(e.extensions[0].kind, EXTENSION_PATH);
    assert_int_equal(e.extensions[1].kind, EXTENSION_PIP); /* as the file has it */
    experiment_done(&e);
    diags_done(&diags);
    strtab_put(resources, STR("net"), gone);
    strtab_put(extensions, STR("lib"), gone);
    assert_int_equal(experiment_parse("x", str_of(text), &options, &e, &diags, NULL), -1);
    AUTO_BUF struct buf said = {0};
    diags_print(&diags, false, &said);
    assert_non_null(
        strstr(buf_text(&said), "'net' was to be at '/nowhere/at/all', and is not there"));
    assert_non_null(
        strstr(buf_text(&said), "'lib' was to be at '/nowhere/at/all', and is not there"));
    diags_done(&diags);
    strtab_free(resources);
    strtab_free(extensions);
}

static void devices_are_held_to_the_machine(void **state)
{
    (void)state;
    struct experiment_options options = {.machine = {.cpus = 8, .gpus = 2}};
    const char *text = "!Experiment\nname: x\ndevices: {cpu: 8, gpu: 2}\n" STAGE;
    struct experiment e;
    struct diags diags;
    assert_int_equal(experiment_parse("x", str_of(text), &options, &e, &diags, NULL), 0);
    assert_int_equal(e.devices.gpu, 2);
    experiment_done(&e);
    diags_done(&diags);
    assert_says(text, "each trial asks for 8 CPUs; this machine has 4");
    assert_says(text, "each trial asks for 2 GPUs; this machine has 0");
}

static void a_gpu_is_the_default_where_there_is_one(void **state)
{
    (void)state;
    struct experiment_options options = {.machine = {.cpus = 8, .gpus = 2}};
    struct experiment e;
    struct diags diags;
    assert_int_equal(
        experiment_parse("x", STR("!Experiment\nname: x\n" STAGE), &options, &e, &diags, NULL), 0);
    assert_int_equal(e.devices.gpu, 1);
    experiment_done(&e);
    diags_done(&diags);
}

static void ray_s_schedulers_are_asha(void **state)
{
    (void)state;
    static const char *const tags[] = {"!asha", "!ray.ASHAScheduler",
                                       "!ray.AsyncHyperBandScheduler", "!ray.HyperBandScheduler"};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        AUTO_FREE char *text = mem_printf(
            "!Experiment\nname: x\nschedulers:\n  s: %s\n    max_t: 10\n    metric: m\n" STAGE,
            tags[i]);
        struct experiment e;
        read_good(text, &e);
        assert_int_equal(e.stages[0].scheduler.kind, SCHEDULER_ASHA);
        experiment_done(&e);
    }
    struct experiment e;
    read_good("!Experiment\nname: x\nschedulers: {s: !ray.HyperBandScheduler {metric: m}}\n" STAGE,
              &e);
    experiment_done(&e);
}

static void scripts_are_files_or_modules(void **state)
{
    (void)state;
    char path[] = "/tmp/flambe-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    AUTO_FREE char *text = mem_printf(HEAD "  s: !Script\n    script: %s\n", path);
    assert_says(text, "is not executable");
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    struct experiment e;
    read_good(text, &e);
    experiment_done(&e);
    unlink(path);
    assert_says(text, "there is no '/tmp/flambe-test-");
    read_good(HEAD "  s: !Script\n    script: flambe_script.train\n", &e);
    experiment_done(&e);
    assert_says(HEAD "  s: !Script\n    script: train.py\n", "there is no 'train.py'");
    assert_says(HEAD "  s: !Script\n    script: python3 train\n", "neither a file nor a module");
}

static void places_of_a_command_are_parameters(void **state)
{
    (void)state;
    struct experiment e;
    read_good(HEAD "  s: !Command\n    command: \"echo {lr} {dir} ${HOME} {{x}} '{ print }' {}\"\n"
                   "    params: {lr: !g [1, 2]}\n",
              &e);
    experiment_done(&e);
    assert_says(HEAD "  s: !Command\n    command: [echo, \"{rl}\"]\n    params: {lr: 1}\n",
                "no parameter 'rl'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_original_s),
        cmocka_unit_test(names_follow_the_original_s_rule),
        cmocka_unit_test(the_original_s_bad_files_are_bad),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error_of_the_file),
        cmocka_unit_test(extensions_come_first),
        cmocka_unit_test(what_is_placed_is_not_looked_for_where_the_file_says),
        cmocka_unit_test(devices_are_held_to_the_machine),
        cmocka_unit_test(a_gpu_is_the_default_where_there_is_one),
        cmocka_unit_test(ray_s_schedulers_are_asha),
        cmocka_unit_test(scripts_are_files_or_modules),
        cmocka_unit_test(places_of_a_command_are_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

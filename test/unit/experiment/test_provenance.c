/* Where results come from, with repositories of real git. */
#include "base/json.h"
#include "experiment/provenance.h"
#include "os/proc.h"
#include "place.h"

static const char *const command[] = {"flambe", "x.yaml", NULL};

static json_t *collect(struct place *p, const char *results)
{
    struct provenance_options o = {
        .directory = results, .argv = command, .started = 1767225599 * USEC_PER_SEC};
    json_t *out = NULL;
    struct err err = {0};
    if (provenance_collect(p->loop, &o, &out, &err) == -1)
        fail_msg("%s", err.msg);
    return out;
}

static void git(struct place *p, const char *script)
{
    AUTO_FREE char *text = mem_printf(
        "cd %s && export HOME=%s GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=a "
        "GIT_COMMITTER_EMAIL=a@x && %s",
        p->dir, p->dir, script);
    const char *argv[] = {"sh", "-ec", text, NULL};
    struct proc_result r;
    assert_int_equal(proc_run(p->loop, argv, NULL, STR(""), 30 * USEC_PER_SEC, &r, NULL), 0);
    if (r.exit_status != 0)
        fail_msg("%s", buf_text(&r.err_out));
    proc_result_done(&r);
}

static void test_repository(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *back = getcwd(NULL, 0);
    AUTO_FREE char *results = fs_join(p->dir, "out/output__x");
    git(p, "git init -q -b main . && echo one >a && git add a && git commit -qm m && "
           "mkdir -p out/output__x out/output__y sub && touch out/output__x/log out/output__y/log");
    assert_int_equal(chdir(p->dir), 0);
    json_t *all = collect(p, results);
    const json_t *g = json_object_get(all, "git");
    assert_int_equal(strlen(json_text(g, "commit")), 40);
    assert_string_equal(json_text(g, "branch"), "main");
    assert_true(json_is_false(json_object_get(g, "dirty")));
    assert_true(json_is_null(json_object_get(g, "diff")));
    assert_int_equal(json_array_size(json_object_get(g, "untracked")),
                     0); /* results are not told */
    json_decref(all);

    /* from below the root; with what a repository could have git run */
    git(p, "echo two >a && echo new >new.py && git config core.fsmonitor 'touch evil; false' && "
           "git config diff.external 'touch evil' && git config diff.noprefix true && "
           "git config core.pager 'touch evil' && git config diff.x.textconv 'touch evil;cat' && "
           "echo '* diff=x' >.git/info/attributes");
    AUTO_FREE char *sub = fs_join(p->dir, "sub");
    assert_int_equal(chdir(sub), 0);
    all = collect(p, results);
    g = json_object_get(all, "git");
    assert_true(json_is_true(json_object_get(g, "dirty")));
    assert_string_equal(json_text(g, "diff"), "git.diff");
    assert_int_equal(json_integer_value(json_object_get(g, "untracked_count")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(g, "untracked"), 0)),
                        "new.py");
    json_decref(all);
    AUTO_BUF struct buf diff = {0};
    AUTO_FREE char *file = fs_join(results, "git.diff");
    assert_int_equal(fs_read(file, 10000, &diff, NULL), 0);
    assert_non_null(strstr(buf_text(&diff), "--- a/a\n+++ b/a\n"));
    assert_non_null(strstr(buf_text(&diff), "-one\n+two\n"));
    AUTO_FREE char *evil = fs_join(p->dir, "evil");
    AUTO_FREE char *evil_sub = fs_join(sub, "evil");
    assert_false(fs_exists(evil));
    assert_false(fs_exists(evil_sub));
    assert_int_equal(chdir(back), 0);
}

static void test_elsewhere(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *back = getcwd(NULL, 0);
    assert_int_equal(chdir(p->dir), 0);
    json_t *all = collect(p, p->dir); /* no repository */
    assert_true(json_is_null(json_object_get(all, "git")));
    json_decref(all);
    git(p, "git init -q -b main .");
    all = collect(p, p->dir); /* no commit yet */
    assert_true(json_is_null(json_object_get(json_object_get(all, "git"), "commit")));
    assert_string_equal(json_text(json_object_get(all, "git"), "branch"), "main");
    json_decref(all);
    place_program(p, "git", "exit 1");
    all = collect(p, p->dir);
    assert_true(json_is_null(json_object_get(all, "git")));
    json_decref(all);
    assert_int_equal(chdir(back), 0);
}

static void test_machine_and_environment(void **state)
{
    struct place *p = *state;
    place_program(p, "nvidia-smi", "echo '81920, 535.1, NVIDIA A100, big'");
    place_program(p, "python3", "echo Python 3.11.2");
    setenv("MY_SECRET", "hunter2", 1);
    setenv("VIRTUAL_ENV", "/v", 1);
    json_t *all = collect(p, p->dir);
    assert_string_equal(json_text(all, "started"), "2025-12-31T23:59:59Z");
    assert_string_equal(json_text(all, "flambe"), FLAMBE_VERSION);
    assert_string_equal(json_text(all, "python"), "3.11.2");
    assert_string_equal(json_string_value(json_array_get(json_object_get(all, "command"), 1)),
                        "x.yaml");
    assert_string_equal(json_text(json_object_get(all, "environment"), "VIRTUAL_ENV"), "/v");
    const json_t *host = json_object_get(all, "host");
    assert_true(json_integer_value(json_object_get(host, "cpus")) > 0);
    assert_true(json_integer_value(json_object_get(host, "memory_bytes")) > 0);
    const json_t *gpu = json_array_get(json_object_get(host, "gpus"), 0);
    assert_string_equal(json_text(gpu, "name"), "NVIDIA A100, big");
    assert_string_equal(json_text(gpu, "driver"), "535.1");
    assert_int_equal(json_integer_value(json_object_get(gpu, "memory_mib")), 81920);
    AUTO_BUF struct buf text = {0};
    json_write(all, false, &text);
    assert_null(strstr(buf_text(&text), "hunter2"));
    json_decref(all);
    unsetenv("VIRTUAL_ENV");
}

static void test_cancelled(void **state)
{
    struct place *p = *state;
    struct provenance_options o = {.directory = p->dir, .argv = command};
    json_t *out;
    struct err err = {0};
    loop_cancel(p->loop);
    assert_int_equal(provenance_collect(p->loop, &o, &out, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {T(test_repository), T(test_elsewhere),
                                       T(test_machine_and_environment), T(test_cancelled)};
    return cmocka_run_group_tests_name("provenance", tests, NULL, NULL);
}

/* The environment of trials, above all where they look for programs. */
#include "base/mem.h"
#include "experiment/child_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* NULL where there is none; each has one. */
static const char *value_of(const struct strv *env, const char *name)
{
    const char *value = NULL;
    size_t n = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
            assert_null(value);
            value = env->items[i] + n + 1;
        }
    assert_null(env->items[env->count]);
    return value;
}

static void assert_value(const struct strv *env, const char *name, const char *want)
{
    const char *have = value_of(env, name);
    if (!have != !want || (want && strcmp(have, want) != 0))
        fail_msg("%s is '%s', not '%s'", name, have ? have : "(nothing)",
                 want ? want : "(nothing)");
}

static void set(const char *path, const char *python_path)
{
    assert_int_equal(path ? setenv("PATH", path, 1) : unsetenv("PATH"), 0);
    assert_int_equal(python_path ? setenv("PYTHONPATH", python_path, 1) : unsetenv("PYTHONPATH"),
                     0);
    assert_int_equal(unsetenv("VIRTUAL_ENV"), 0);
    assert_int_equal(setenv("OTHER", "kept", 1), 0);
}

static void paths_are_put_around_the_user_s(void **state)
{
    (void)state;
    AUTO_STRV struct strv env = {0}, modules = {0};
    struct child_env_paths p = {"/v/bin", &modules, "/opt/f/flambe"};
    set("/usr/bin:/bin", "/home/lib");
    strv_add(&modules, "/x/a");
    strv_add(&modules, "/x/b");
    child_env_trials(&p, &env);
    assert_value(&env, "PATH", "/v/bin:/usr/bin:/bin:/opt/f");
    assert_value(&env, "PYTHONPATH", "/x/a:/x/b:/home/lib");
    assert_value(&env, "VIRTUAL_ENV", "/v");
    assert_value(&env, "OTHER", "kept");
}

/* An empty entry is the current directory: whoever writes there would choose what runs. */
static void no_entry_is_empty(void **state)
{
    (void)state;
    static const char *const paths[] = {NULL, ""};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        AUTO_STRV struct strv env = {0}, modules = {0};
        struct child_env_paths p = {NULL, &modules, "/opt/f/flambe"};
        set(paths[i], paths[i]);
        strv_add(&modules, "/x/a");
        child_env_trials(&p, &env);
        assert_value(&env, "PATH", "/usr/local/bin:/usr/bin:/bin:/opt/f");
        assert_value(&env, "PYTHONPATH", "/x/a");
        assert_value(&env, "VIRTUAL_ENV", NULL);
    }
}

static void what_is_not_known_changes_nothing(void **state)
{
    (void)state;
    AUTO_STRV struct strv env = {0}, modules = {0};
    struct child_env_paths p = {NULL, &modules, "flambe"};
    set("/bin", "/home/lib");
    child_env_trials(&p, &env);
    assert_value(&env, "PATH", "/bin");
    assert_value(&env, "PYTHONPATH", "/home/lib");
    AUTO_STRV struct strv odd = {0}, root = {0};
    p.flambe = "/a:b/flambe"; /* two entries, of which none is meant */
    child_env_trials(&p, &odd);
    assert_value(&odd, "PATH", "/bin");
    p.flambe = "/flambe";
    child_env_trials(&p, &root);
    assert_value(&root, "PATH", "/bin:/");
}

static void changes_replace_what_was_there(void **state)
{
    (void)state;
    AUTO_STRV struct strv env = {0};
    set("/bin", NULL);
    child_env_make((const char *const[]){"OTHER=new", "PAT=x", NULL}, &env);
    assert_value(&env, "OTHER", "new");
    assert_value(&env, "PAT", "x");
    assert_value(&env, "PATH", "/bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_put_around_the_user_s),
        cmocka_unit_test(no_entry_is_empty),
        cmocka_unit_test(what_is_not_known_changes_nothing),
        cmocka_unit_test(changes_replace_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where the program for hosts is found, and which build it is. */
#include "base/mem.h"
#include "os/companion.h"
#include "os/fs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define VARIABLE "FLAMBE_TEST_COMPANION"

static char dir[64], *root;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-companion-XXXXXX");
    assert_non_null(mkdtemp(dir));
    root = realpath(dir, NULL);
    unsetenv(VARIABLE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    free(root);
    return 0;
}

/* The path of a file with these bytes; the caller frees. */
static char *put(const char *name, const char *bytes)
{
    char *path = fs_join(root, name);
    AUTO_FREE char *above = mem_dup_n(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(fs_mkdirs(above, 0755, NULL), 0);
    assert_int_equal(fs_write_atomic(path, 0755, str_of(bytes), NULL), 0);
    return path;
}

static void assert_found(const char *program, const char *want)
{
    struct err err = {0};
    char *found = NULL;
    if (companion_find(program, "node", VARIABLE, &found, &err) == -1)
        fail_msg("%s", err.msg);
    assert_string_equal(found, want);
    free(found);
}

static void it_is_beside_in_the_build_tree_and_in_lib_when_installed(void **state)
{
    (void)state;
    AUTO_FREE char *program = put("bin/flambe", "");
    AUTO_FREE char *installed = put("lib/flambe/node", "i");
    assert_found(program, installed);
    AUTO_FREE char *beside = put("bin/node", "b");
    assert_found(program, beside);
}

static void a_variable_goes_before_both(void **state)
{
    (void)state;
    AUTO_FREE char *program = put("bin/flambe", ""), *beside = put("bin/node", "b");
    AUTO_FREE char *mine = put("mine", "m");
    setenv(VARIABLE, mine, 1);
    assert_found(program, mine);
    setenv(VARIABLE, "", 1); /* is none */
    assert_found(program, beside);
    setenv(VARIABLE, "/nowhere/node", 1);
    struct err err = {0};
    char *found = NULL;
    assert_int_equal(companion_find(program, "node", VARIABLE, &found, &err), -1);
    assert_null(found);
    assert_non_null(strstr(err.msg, VARIABLE));
    unsetenv(VARIABLE);
}

static void where_there_is_none_that_is_said_with_what_to_do(void **state)
{
    (void)state;
    AUTO_FREE char *program = put("bin/flambe", "");
    struct err err = {0};
    char *found = NULL;
    assert_int_equal(companion_find(program, "node", VARIABLE, &found, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "there is no 'node'"));
    assert_non_null(strstr(err.msg, VARIABLE));
}

static void the_id_is_that_of_the_bytes(void **state)
{
    (void)state;
    AUTO_FREE char *a = put("a", "abc"), *b = put("b", "abc"), *c = put("c", "abd");
    char id[3][COMPANION_ID_SIZE];
    struct err err = {0};
    assert_int_equal(companion_id(a, id[0], &err), 0);
    assert_int_equal(companion_id(b, id[1], &err), 0);
    assert_int_equal(companion_id(c, id[2], &err), 0);
    assert_string_equal(id[0], "ba7816bf8f01cfea"); /* as sha256sum has it */
    assert_string_equal(id[0], id[1]);
    assert_string_not_equal(id[0], id[2]);
    assert_int_equal(companion_id("/nowhere", id[0], &err), -1);
    assert_int_equal(companion_own_id(id[1], &err), 0);
    assert_int_equal(companion_id("/proc/self/exe", id[2], &err), 0);
    assert_string_equal(id[1], id[2]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_is_beside_in_the_build_tree_and_in_lib_when_installed),
        T(a_variable_goes_before_both),
        T(where_there_is_none_that_is_said_with_what_to_do),
        T(the_id_is_that_of_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

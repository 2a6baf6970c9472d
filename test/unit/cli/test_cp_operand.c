/* What `cp` takes as a place on a cluster and what as a file of this machine. */
#include "base/attr.h"
#include "cli/cp_operand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

static void assert_text(const char *have, const char *want)
{
    if (!want)
        assert_null(have);
    else {
        assert_non_null(have);
        assert_string_equal(have, want);
    }
}

static void words(void **state)
{
    (void)state;
    static const struct {
        const char *word, *cluster, *hosts, *path;
    } cases[] = {
        {"mine:data", "mine", NULL, "data"},
        {"mine:", "mine", NULL, "."},
        {"mine:~", "mine", NULL, "."},
        {"mine:~/a b", "mine", NULL, "a b"},
        {"mine:/tmp/x:y", "mine", NULL, "/tmp/x:y"},
        {"my-own_2:x", "my-own_2", NULL, "x"},
        {"mine/factory_1:log", "mine", "factory_1", "log"},
        {"mine/1,2:log", "mine", "1,2", "log"},
        {"mine/i-0abc:log", "mine", "i-0abc", "log"},
        {"aws-cluster.yaml:x", "aws-cluster.yaml", NULL, "x"},
        {"dir/aws-cluster.yaml:x", "dir/aws-cluster.yaml", NULL, "x"},
        {"dir/aws-cluster.yml/2:x", "dir/aws-cluster.yml", "2", "x"},
        {"./my.yaml:x", "./my.yaml", NULL, "x"},
        {"plain", NULL, NULL, "plain"},
        {"./mine:x", NULL, NULL, "./mine:x"},
        {"/mine:x", NULL, NULL, "/mine:x"},
        {"a/b/c:x", NULL, NULL, "a/b/c:x"},
        {"../mine:x", NULL, NULL, "../mine:x"},
        {":x", NULL, NULL, ":x"},
        {"-mine:x", NULL, NULL, "-mine:x"},
        {"mine/:x", NULL, NULL, "mine/:x"},
        {"with blank:x", NULL, NULL, "with blank:x"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cp_operand o;
        cp_operand_parse(cases[i].word, &o);
        assert_text(o.cluster, cases[i].cluster);
        assert_text(o.hosts, cases[i].hosts);
        assert_text(o.path, cases[i].path);
        cp_operand_done(&o);
    }
}

static void a_file_that_is_there_is_local(void **state)
{
    (void)state;
    char dir[] = "/tmp/flambe-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    FILE *f = fopen("mine:x", "w");
    assert_non_null(f);
    fclose(f);
    struct cp_operand o;
    cp_operand_parse("mine:x", &o);
    assert_null(o.cluster);
    assert_string_equal(o.path, "mine:x");
    cp_operand_done(&o);
    assert_int_equal(unlink("mine:x"), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(a_file_that_is_there_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

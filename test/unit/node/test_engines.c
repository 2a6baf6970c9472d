/* What the cluster has, by Slurm's list of nodes. */
#include "node/engines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void assert_largest(const char *sinfo, int cpus, int gpus)
{
    struct machine m = node_largest(str_of(sinfo));
    assert_int_equal(m.cpus, cpus);
    assert_int_equal(m.gpus, gpus);
}

static void the_largest_node_counts(void **state)
{
    (void)state;
    assert_largest("2|(null)\n", 2, 0);
    assert_largest("2|(null)\n8|gpu:4\n64|gpu:1\n", 64, 4);
    assert_largest("8|gpu:tesla:2(S:0-1)\n", 8, 2);
    assert_largest("8|gpu:a100:2,gpu:v100:1,shard:9", 8, 3);
    assert_largest("8|gpu:a100:2(S:0,1)\n", 8, 2);
}

static void what_is_no_line_counts_nothing(void **state)
{
    (void)state;
    assert_largest("", 0, 0);
    assert_largest("slurm_load_node error: Unable to contact slurm controller\n", 0, 0);
    assert_largest("x|gpu:2\n-1|gpu:2\n4\n2|gpu\n3|gpu:\n1|gpu:x\n", 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_node_counts),
        cmocka_unit_test(what_is_no_line_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

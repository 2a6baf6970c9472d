/* What /proc tells of processes. */
#include "engine/tree_priv.h"
#include "programs.h"

static pid_t child;
static struct tree tree;

static int begin_child(void **state)
{
    (void)state;
    child = fork();
    if (child == 0) {
        setsid();
        static char a[] = "A=1", mark[] = "FLAMBE_PROGRAM=abc.7", b[] = "B=";
        execle("/bin/sh", "sh", "-c", "sleep 60 & sleep 60", (char *)NULL,
               (char *const[]){a, mark, b, NULL});
        _exit(127);
    }
    tree_init(&tree);
    for (int i = 0; i < 500; i++) { /* until its children are there */
        int below = 0;
        tree_scan(&tree);
        for (size_t k = 0; k < tree.count; k++)
            below += tree.items[k].parent == child;
        if (below == 2)
            return 0;
        usleep(10000);
    }
    return -1;
}

static int end_child(void **state)
{
    (void)state;
    kill(-child, SIGKILL);
    waitpid(child, NULL, 0);
    tree_done(&tree);
    return 0;
}

static void children_by_the_list_and_by_the_table(void **state)
{
    (void)state;
    pid_t found[4] = {0};
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(tree_children(&tree, found, 4), 1);
        assert_int_equal(found[0], child);
        found[0] = 0;
        assert_int_equal(tree_children(&tree, found, 0), 1);
        assert_int_equal(found[0], 0);
        if (tree.children_fd >= 0)
            close(tree.children_fd);
        tree.children_fd = -1;
    }
}

static void a_process_is_looked_at(void **state)
{
    (void)state;
    struct tree_process p;
    assert_true(tree_look(&tree, child, &p));
    assert_int_equal(p.parent, getpid());
    assert_int_equal(p.group, child);
    assert_int_equal(p.session, child);
    assert_true(p.resident > 100000);
    uint64_t exact = tree_proportional(&tree, child, 0);
    assert_true(exact > 10000 && exact <= 2 * p.resident);
    assert_int_equal(tree_proportional(&tree, 0x7ffffff, 5), 0);
    assert_false(tree_look(&tree, 0x7ffffff, &p));
    char text[16];
    assert_true(tree_variable(&tree, child, "FLAMBE_PROGRAM", text, sizeof text));
    assert_string_equal(text, "abc.7");
    assert_true(tree_variable(&tree, child, "B", text, sizeof text));
    assert_string_equal(text, "");
    assert_false(tree_variable(&tree, child, "FLAMBE", text, sizeof text));
}

static void owners_go_down_the_tree(void **state)
{
    (void)state;
    int mine = 0;
    tree_scan(&tree);
    for (size_t i = 0; i < tree.count; i++) {
        if (tree.items[i].pid == child)
            tree.items[i].owner = &child;
    }
    tree_inherit(&tree);
    for (size_t i = 0; i < tree.count; i++) {
        mine += tree.items[i].owner == &child;
        if (tree.items[i].owner)
            assert_int_equal(tree.items[i].session, child);
    }
    assert_int_equal(mine, 3);
}

#define C(f) cmocka_unit_test_setup_teardown(f, begin_child, end_child)

int main(void)
{
    const struct CMUnitTest tests[] = {
        C(children_by_the_list_and_by_the_table),
        C(a_process_is_looked_at),
        C(owners_go_down_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

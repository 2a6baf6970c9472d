/* Files: bounded reads, atomic writes, trees. */
#include "base/mem.h"
#include "os/fs.h"
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-fs-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    assert_false(fs_exists(dir));
    return 0;
}

static char *in_dir(const char *name)
{
    return fs_join(dir, name);
}

static void write_text(const char *path, const char *text)
{
    struct err err;
    if (fs_write_atomic(path, 0644, str_of(text), &err) == -1)
        fail_msg("%s", err.msg);
}

static void reads_are_bounded(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("f");
    AUTO_FREE char *missing = in_dir("missing");
    AUTO_FREE char *below = in_dir("f/g");
    write_text(path, "0123456789");
    AUTO_BUF struct buf out = {0};
    struct err err;
    assert_int_equal(fs_read(path, 10, &out, &err), 0);
    assert_string_equal(buf_text(&out), "0123456789");
    assert_int_equal(fs_read(path, 10, &out, &err), 0);
    assert_int_equal(out.len, 20); /* appends */
    assert_int_equal(fs_read(path, 9, &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(out.len, 20); /* untouched on failure */
    assert_int_equal(fs_read(missing, 9, &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(fs_read(below, 9, &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(fs_read(dir, 9, &out, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(err.sys, EISDIR);
    assert_int_equal(fs_read("/dev/zero", 100000, &out, &err), -1); /* endless */
    assert_int_equal(err.code, ERR_LIMIT);
    write_text(path, "");
    buf_clear(&out);
    assert_int_equal(fs_read(path, 0, &out, &err), 0);
    assert_int_equal(out.len, 0);
}

static size_t entries(void)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void a_write_is_all_or_nothing(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("f");
    AUTO_FREE char *link_path = in_dir("link");
    struct err err;
    assert_int_equal(fs_write_atomic(path, 0600, STR("secret"), &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs_write_atomic(path, 0640, STR("new"), &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0);
    assert_int_equal(entries(), 1); /* no temporary file stays */
    AUTO_FREE char *sub = in_dir("sub");
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(fs_write_atomic(sub, 0600, STR("x"), &err), -1); /* a directory is there */
    assert_int_equal(entries(), 2);
    AUTO_FREE char *nowhere = in_dir("none/f");
    assert_int_equal(fs_write_atomic(nowhere, 0600, STR("x"), &err), -1);
    assert_int_equal(err.code, ERR_IO);
    /* a link is replaced, not followed */
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(fs_write_atomic(link_path, 0600, STR("other"), &err), 0);
    AUTO_BUF struct buf out = {0};
    assert_int_equal(fs_read(path, 100, &out, &err), 0);
    assert_string_equal(buf_text(&out), "new");
}

/* A reader beside a writer sees the old bytes or the new ones; a killed writer leaves one of them.
 */
static void killed_in_the_middle(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("f");
    static char a[200000], b[200000];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_int_equal(fs_write_atomic(path, 0600, (struct str){a, sizeof a}, NULL), 0);
    for (int i = 0; i < 20; i++) {
        int pid = fork();
        if (pid == 0)
            for (int j = 0;; j++)
                (void)!fs_write_atomic(path, 0600, (struct str){j % 2 ? a : b, sizeof a}, NULL);
        for (int j = 0; j < 20; j++) {
            AUTO_BUF struct buf out = {0};
            assert_int_equal(fs_read(path, sizeof a, &out, NULL), 0);
            assert_int_equal(out.len, sizeof a);
            assert_true(memcmp(out.data, a, sizeof a) == 0 || memcmp(out.data, b, sizeof b) == 0);
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static void directories_are_made(void **state)
{
    (void)state;
    AUTO_FREE char *deep = in_dir("a/b//c/./d/");
    struct err err;
    assert_int_equal(fs_mkdirs(deep, 0700, &err), 0);
    assert_int_equal(fs_mkdirs(deep, 0700, &err), 0);
    AUTO_FREE char *c = in_dir("a/b/c");
    struct stat st;
    assert_int_equal(stat(c, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    AUTO_FREE char *file = in_dir("a/file");
    write_text(file, "x");
    AUTO_FREE char *under = in_dir("a/file/d");
    assert_int_equal(fs_mkdirs(under, 0700, &err), -1);
    assert_int_equal(fs_mkdirs(file, 0700, &err), -1);
    assert_int_equal(err.sys, ENOTDIR);
    assert_int_equal(fs_mkdirs("", 0700, &err), -1);
    assert_int_equal(fs_mkdirs("/", 0700, &err), 0);
}

static void a_tree_goes_but_not_what_it_links_to(void **state)
{
    (void)state;
    AUTO_FREE char *outside = in_dir("outside/precious");
    AUTO_FREE char *outside_dir = in_dir("outside");
    AUTO_FREE char *tree = in_dir("tree/a/b");
    AUTO_FREE char *top = in_dir("tree");
    AUTO_FREE char *link_dir = in_dir("tree/a/link");
    AUTO_FREE char *link_top = in_dir("toplink");
    AUTO_FREE char *dangling = in_dir("tree/dangling");
    assert_int_equal(fs_mkdirs(outside_dir, 0700, NULL), 0);
    write_text(outside, "x");
    assert_int_equal(fs_mkdirs(tree, 0700, NULL), 0);
    assert_int_equal(symlink(outside_dir, link_dir), 0);
    assert_int_equal(symlink("/nonexistent", dangling), 0);
    assert_int_equal(symlink(outside_dir, link_top), 0);
    for (int i = 0; i < 100; i++) {
        AUTO_FREE char *f = mem_printf("%s/f%d", tree, i);
        write_text(f, "x");
    }
    struct err err;
    assert_int_equal(fs_remove_tree(top, &err), 0);
    assert_false(fs_exists(top));
    assert_true(fs_exists(outside));
    assert_int_equal(fs_remove_tree(link_top, &err), 0); /* a link itself, too */
    assert_true(fs_exists(outside));
    assert_int_equal(fs_remove_tree(top, &err), 0);     /* gone already */
    assert_int_equal(fs_remove_tree(outside, &err), 0); /* a file */
    assert_false(fs_exists(outside));
}

static void a_tree_deeper_than_any_limit(void **state)
{
    (void)state;
    AUTO_FREE char *top = in_dir("deep");
    struct buf path = {0};
    buf_adds(&path, top);
    for (int i = 0; i < 200; i++)
        buf_adds(&path, "/dir");
    assert_int_equal(fs_mkdirs(buf_text(&path), 0700, NULL), 0);
    buf_done(&path);
    assert_int_equal(fs_remove_tree(top, NULL), 0);
    assert_false(fs_exists(top));
}

static void places(void **state)
{
    (void)state;
    AUTO_FREE char *home_before = mem_dup(getenv("HOME"));
    setenv("HOME", "/home/jane", 1);
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_CACHE_HOME", "/var/cache/jane", 1);
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"~", "/home/jane"},
        {"~/x", "/home/jane/x"},
        {"~joe/x", "~joe/x"},
        {"x/~", "x/~"},
        {"", ""},
        {"/a", "/a"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_FREE char *path = fs_expand_home(rows[i].in);
        assert_string_equal(path, rows[i].out);
    }
    AUTO_FREE char *state_dir = fs_state_dir();
    assert_string_equal(state_dir, "/home/jane/.local/state/flambe");
    AUTO_FREE char *cache = fs_cache_dir();
    assert_string_equal(cache, "/var/cache/jane/flambe");
    setenv("XDG_CACHE_HOME", "relative", 1); /* the specification says: ignore it */
    AUTO_FREE char *cache2 = fs_cache_dir();
    assert_string_equal(cache2, "/home/jane/.cache/flambe");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_true(fs_home()[0] == '/');
    if (home_before)
        setenv("HOME", home_before, 1);
    AUTO_FREE char *a = fs_join("/a", "b");
    AUTO_FREE char *b = fs_join("/a/", "b");
    assert_string_equal(a, "/a/b");
    assert_string_equal(b, "/a/b");
    AUTO_FREE char *r1 = fs_relative_to("/etc/x.yaml", "key.pem");
    AUTO_FREE char *r2 = fs_relative_to("x.yaml", "key.pem");
    AUTO_FREE char *r3 = fs_relative_to("/etc/x.yaml", "/key.pem");
    AUTO_FREE char *r4 = fs_relative_to("/x.yaml", "key.pem");
    assert_string_equal(r1, "/etc/key.pem");
    assert_string_equal(r2, "key.pem");
    assert_string_equal(r3, "/key.pem");
    assert_string_equal(r4, "/key.pem");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void a_path_is_shown_the_shorter_way(void **state)
{
    (void)state;
    AUTO_FREE char *before = getcwd(NULL, 0), *inner = fs_join(dir, "a/bc");
    static const struct {
        const char *path, *want; /* behind the test's directory, unless it begins with '!' */
    } cases[] = {{"/a/bc/d/e", "d/e"}, {"/a/bc", "."},     {"/a/b", "../b"},  {"/a", ".."},
                 {"/a/bcd", "../bcd"}, {"/a/bc/", "."},    {"/x", "../../x"}, {"!/etc", "/etc"},
                 {"!/", "/"},          {"!rel/x", "rel/x"}};
    assert_int_equal(fs_mkdirs(inner, 0700, NULL), 0);
    AUTO_FREE char *real = realpath(dir, NULL);
    assert_int_equal(chdir(inner), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *path = cases[i].path;
        AUTO_FREE char *whole = path[0] == '!' ? mem_dup(path + 1) : mem_printf("%s%s", real, path);
        AUTO_FREE char *have = fs_shown(whole);
        assert_string_equal(have, cases[i].want);
    }
    assert_int_equal(chdir("/"), 0);
    AUTO_FREE char *root = fs_shown("/etc/x");
    assert_string_equal(root, "/etc/x");
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_are_bounded),
        T(a_write_is_all_or_nothing),
        T(killed_in_the_middle),
        T(directories_are_made),
        T(a_tree_goes_but_not_what_it_links_to),
        T(a_tree_deeper_than_any_limit),
        T(a_path_is_shown_the_shorter_way),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

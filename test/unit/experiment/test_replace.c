/* --force: earlier results give way, come back where the new run does not begin, and nobody else's
 * files are touched. */
#include "earlier.h"
#include <sys/wait.h>

/* The trials that an open run has begun, in the results of leave(). */
static void begin_one(struct place *p, struct run *r)
{
    struct err err = {0};
    struct store_stage stage = {.id = 0, .name = (char *)"new", .state = STAGE_RUNNING};
    assert_int_equal(store_put_stage(r->store, &stage, &err), 0);
    assert_int_equal(store_commit(r->store, &err), 0);
    put(p, "new/a=7_0/result.json", "{}");
    put(p, "s/a=7_0/result.json", "{}");
    put(p, "resources/r/file", "new");
    put(p, RUN_RECORD_FILE, "[new]");
}

static void assert_left(struct place *p)
{
    AUTO_FREE char *directory = in_results(p, ""), *path = in_results(p, RUN_RECORD_FILE);
    AUTO_BUF struct buf record = {0};
    struct store *s;
    assert_int_equal(fs_read(path, 100, &record, NULL), 0);
    assert_string_equal(buf_text(&record), "[old]");
    assert_true(has(p, "s/a=1_0/result.json"));
    assert_false(has(p, "s/a=7_0") || has(p, "new") || has(p, "resources/r"));
    assert_true(has(p, "resources/old"));
    assert_false(has(p, ".replaced"));
    assert_int_equal(store_open(directory, STORE_READ, &s, NULL), 0);
    AUTO_FREE char *file = store_get(s, "file");
    assert_string_equal(file, text);
    store_close(s);
}

static void leave_more(struct place *p)
{
    leave(p, text, RUN_FINISHED);
    put(p, RUN_RECORD_FILE, "[old]");
    put(p, "resources/old", "x");
}

static void force_removes_the_results(void **state)
{
    struct place *p = *state;
    struct run r;
    leave(p, text, RUN_FINISHED);
    AUTO_FREE char *precious = place_write(p, "precious/file", 0600, "x");
    AUTO_FREE char *link = in_results(p, "s/link"), *target = fs_join(p->dir, "precious");
    AUTO_FREE char *resources = in_results(p, "resources");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(symlink(target, resources), 0);
    struct run_options o = forced(p, text);
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    assert_int_equal(r.seed, 99);
    assert_int_equal(trials_of(&r), 0);
    assert_int_equal(r.foreign.count, 0);
    assert_false(has(p, "s") || has(p, "resources"));
    assert_true(has(p, ".replaced/s/a=1_0/result.json"));
    keep_good(&r);
    assert_false(has(p, ".replaced"));
    assert_true(fs_exists(precious)); /* links are not followed */
    run_close(&r);
    AUTO_STRV struct strv names = {0};
    AUTO_FREE char *all = in_results(p, "");
    assert_int_equal(fs_list(all, &names, NULL), 0);
    strv_sort(&names);
    AUTO_FREE char *have = strv_join(&names, " ");
    assert_string_equal(have, STORE_FILE " " RUN_LOCK_FILE);
}

static void a_forced_run_that_does_not_begin_puts_them_back(void **state)
{
    struct place *p = *state;
    struct run r;
    leave_more(p);
    struct run_options o = forced(p, other);
    open_good(p, &o, &r);
    begin_one(p, &r);
    run_close(&r);
    assert_left(p);
    o.force = false;
    assert_refused(p, &o, ERR_EXISTS, "another file has run");
}

/* Killed after a forced run was opened: wherever it was with putting aside and back. */
static void what_a_killed_forced_run_put_aside_comes_back(void **state)
{
    struct place *p = *state;
    struct run_options o = options(p, text);
    for (int stop = 0; stop < 4; stop++) {
        struct run r;
        leave_more(p);
        struct run_options force = forced(p, other);
        int pid = fork();
        if (pid == 0) {
            struct loop *loop = loop_new();
            if (run_open(loop, &force, &r, NULL) == -1)
                _exit(1);
            begin_one(p, &r);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        AUTO_FREE char *aside = in_results(p, ".replaced"), *all = in_results(p, "");
        if (stop == 1) { /* the way back has cleared away */
            AUTO_FREE char *s = in_results(p, "s"), *db = in_results(p, STORE_FILE);
            assert_int_equal(fs_remove_tree(s, NULL), 0);
            assert_int_equal(fs_remove_tree(db, NULL), 0);
            AUTO_FREE char *fresh = in_results(p, "new"); /* a stage that no state tells of */
            assert_int_equal(fs_remove_tree(fresh, NULL), 0);
        } else if (stop == 2) { /* … and moved the state */
            static const char *const gone[] = {"s",
                                               "new",
                                               "resources",
                                               RUN_RECORD_FILE,
                                               STORE_FILE,
                                               STORE_FILE "-wal",
                                               STORE_FILE "-shm"};
            for (size_t i = 0; i < COUNT_OF(gone); i++) {
                AUTO_FREE char *path = in_results(p, gone[i]);
                assert_int_equal(fs_remove_tree(path, NULL), 0);
            }
            AUTO_FREE char *from = in_results(p, ".replaced/" STORE_FILE);
            AUTO_FREE char *to = in_results(p, STORE_FILE);
            assert_int_equal(rename(from, to), 0);
        }
        if (stop == 3) { /* all is back already */
            open_good(p, &force, &r);
            run_close(&r);
            assert_int_equal(mkdir(aside, 0777), 0);
        }
        assert_refused(p, &o, ERR_EXISTS, "the experiment has run already");
        assert_left(p);
        assert_int_equal(fs_remove_tree(all, NULL), 0);
    }
}

static void force_moves_nobody_elses_files(void **state)
{
    struct place *p = *state;
    struct run r;
    leave(p, text, RUN_FINISHED);
    put(p, "thesis.tex", "x");
    put(p, "data/set", "x");
    struct run_options o = forced(p, text);
    open_good(p, &o, &r);
    assert_int_equal(r.foreign.count, 2);
    assert_string_equal(r.foreign.items[0], "data");
    assert_string_equal(r.foreign.items[1], "thesis.tex");
    keep_good(&r);
    assert_true(has(p, "thesis.tex") && has(p, "data/set"));
    run_close(&r);
    /* a stage of that name would write into it */
    AUTO_STRV struct strv stages = {0};
    strv_add(&stages, "data");
    o.stages = &stages;
    assert_refused(p, &o, ERR_EXISTS, "is in the way of the stage 'data'");
    assert_true(has(p, "data/set") && has(p, STORE_FILE));
    assert_false(has(p, ".replaced"));
}

static void force_leaves_what_is_not_flambe_s(void **state)
{
    struct place *p = *state;
    put(p, "thesis.tex", "x");
    struct run_options o = options(p, text);
    assert_refused(p, &o, ERR_EXISTS, "no state of an experiment: nothing in it is touched");
    o.force = true;
    assert_refused(p, &o, ERR_EXISTS, "no state of an experiment: nothing in it is touched");
    assert_true(has(p, "thesis.tex"));
    assert_false(has(p, STORE_FILE));
    AUTO_FREE char *file = in_results(p, "thesis.tex");
    unlink(file);
    struct run r; /* the lock that was left is flambe's */
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_BEGINS);
    run_close(&r);
}

static void what_cannot_be_removed_is_told_and_in_nobodys_way(void **state)
{
    struct place *p = *state;
    struct run r;
    struct err err = {0};
    bool root = geteuid() == 0; /* for whom nothing is sealed */
    if (root) {
        assert_int_equal(chown(p->dir, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    leave(p, text, RUN_FINISHED);
    put(p, "s/sealed/file", "x");
    AUTO_FREE char *sealed = in_results(p, "s/sealed");
    assert_int_equal(chmod(sealed, 0500), 0);
    struct run_options o = forced(p, text);
    for (int i = 0; i < 2; i++) { /* the second time beside what is left */
        open_good(p, &o, &r);
        assert_false(has(p, "s"));
        assert_int_equal(run_keep(&r, &err), -1);
        assert_non_null(strstr(err.msg, "cannot remove"));
        assert_false(r.replaces);
        run_close(&r);
    }
    AUTO_STRV struct strv names = {0};
    AUTO_FREE char *all = in_results(p, "");
    assert_int_equal(fs_list(all, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++) {
        AUTO_FREE char *path = mem_printf("%s/%s/s/sealed", all, names.items[i]);
        (void)!chmod(path, 0700);
    }
    o.force = false;
    open_good(p, &o, &r);
    assert_int_equal(r.kind, RUN_GOES_ON);
    run_close(&r);
    strv_done(&names);
    assert_int_equal(fs_list(all, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++)
        assert_false(str_starts(str_of(names.items[i]), ".removing"));
    if (root)
        assert_int_equal(seteuid(0), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(force_removes_the_results),
        T(force_leaves_what_is_not_flambe_s),
        T(what_cannot_be_removed_is_told_and_in_nobodys_way),
        T(a_forced_run_that_does_not_begin_puts_them_back),
        T(what_a_killed_forced_run_put_aside_comes_back),
        T(force_moves_nobody_elses_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Resources as local paths, with a net of the test's own. */
#include "experiment/fetch.h"
#include "place.h"

struct net {
    struct place *p;
    struct strv asked;
    bool fails;
    const char *etag;
    int begun, ended;
    uint64_t so_far;
};

static int fetch(void *ctx, const char *url, const char *destination, fetch_progress_fn *progress,
                 void *progress_ctx, struct fetched *out, struct err *err)
{
    struct net *n = ctx;
    strv_add(&n->asked, url);
    n->etag = n->etag ? n->etag : "\"e\"";
    if (n->fails)
        return strstr(url, "hunter22")
                   ? err_set(err, ERR_NOT_FOUND, "there is nothing at %s for hunter22", url)
                   : err_set(err, ERR_NOT_FOUND, "there is nothing there");
    if (progress)
        progress(progress_ctx, 3, 5);
    if (str_ends(str_of(url), "/")) {
        AUTO_FREE char *inner = fs_join(destination, "a");
        assert_int_equal(fs_mkdirs(destination, 0777, NULL), 0);
        assert_int_equal(fs_write_atomic(inner, 0666, STR("tree!"), NULL), 0);
    } else {
        assert_int_equal(fs_write_atomic(destination, 0666, STR("bytes"), NULL), 0);
    }
    *out = (struct fetched){mem_dup(n->etag), 5};
    return 0;
}

static void begin(void *ctx, const struct resource *r)
{
    (void)r;
    ((struct net *)ctx)->begun++;
}

static void progress(void *ctx, const struct resource *r, uint64_t so_far, uint64_t total)
{
    (void)r;
    assert_int_equal(total, 5);
    ((struct net *)ctx)->so_far = so_far;
}

static void end(void *ctx, const struct resource *r, uint64_t size)
{
    (void)r;
    assert_int_equal(size, 5);
    ((struct net *)ctx)->ended++;
}

static int run(struct net *n, struct resource *resources, size_t count, struct strv *paths,
               struct err *err)
{
    struct experiment e = {.resources = resources, .resource_count = count};
    struct fetcher f = {fetch, n};
    struct fetch_watch w = {begin, progress, end, n};
    AUTO_FREE char *dir = fs_join(n->p->dir, "output__x");
    return resources_fetch(&e, dir, &f, &w, paths, err);
}

static void assert_path(struct net *n, const char *path, const char *want)
{
    AUTO_FREE char *whole = fs_join(n->p->dir, want);
    assert_string_equal(path, whole);
    assert_true(fs_exists(path));
}

static void test_once(void **state)
{
    struct net n = {.p = *state};
    AUTO_FREE char *local = place_write(n.p, "here/data.csv", 0600, "x");
    struct resource rs[] = {
        {(char *)"local", local, RESOURCE_LOCAL, {0}},
        {(char *)"web", (char *)"https://h/a/model%20x.bin?token=1#y", RESOURCE_HTTP, {0}},
        {(char *)"tree", (char *)"s3://bucket/some/data/", RESOURCE_S3, {0}},
        {(char *)"whole", (char *)"s3://bucket/", RESOURCE_S3, {0}},
        {(char *)"a/../b", (char *)"http://h/..", RESOURCE_HTTP, {0}},
    };
    for (int i = 0; i < 2; i++) {
        AUTO_STRV struct strv paths = {0};
        assert_int_equal(run(&n, rs, 5, &paths, NULL), 0);
        assert_int_equal(paths.count, 5);
        assert_string_equal(paths.items[0], local);
        assert_path(&n, paths.items[1], "output__x/resources/web/model%20x.bin");
        assert_path(&n, paths.items[2], "output__x/resources/tree/data");
        assert_path(&n, paths.items[3], "output__x/resources/whole/data");
        assert_true(str_ends(str_of(paths.items[4]), "/data"));
        assert_non_null(strstr(paths.items[4], "/output__x/resources/a_.._b-"));
        assert_int_equal(n.asked.count, 4); /* and no more at the second time */
        assert_int_equal(n.begun, 4);
        assert_int_equal(n.ended, 4);
        assert_int_equal(n.so_far, 3);
    }
    strv_done(&n.asked);
}

static void test_again(void **state)
{
    struct net n = {.p = *state};
    struct resource r = {(char *)"r", (char *)"http://h/f", RESOURCE_HTTP, {0}};
    AUTO_STRV struct strv paths = {0};
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_int_equal(fs_write_atomic(paths.items[0], 0666, STR("cut"), NULL), 0);
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0); /* its size is not the recorded one */
    assert_int_equal(n.asked.count, 2);
    AUTO_FREE char *other = mem_printf("%s.part", paths.items[0]);
    assert_int_equal(fs_write_atomic(other, 0666, STR("cut"), NULL), 0);
    r.location = (char *)"http://other/f";
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0); /* another URL */
    assert_int_equal(n.asked.count, 3);
    assert_false(fs_exists(other));
    assert_int_equal(unlink(paths.items[2]), 0);
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0); /* it is gone */
    assert_int_equal(n.asked.count, 4);
    strv_done(&n.asked);
}

/* Of a record that could not be written as JSON, an empty one would be left, and all be fetched at
 * each run. */
static void test_any_bytes(void **state)
{
    struct net n = {.p = *state, .etag = "\"\xff\xc3\""};
    char name[120];
    memset(name, 'x', sizeof name); /* a letter across the place where a long name is cut */
    memcpy(name + 99, "\xc3\xa9", 2);
    name[sizeof name - 1] = '\0';
    AUTO_FREE char *url = mem_printf("s3://b/%s", name);
    struct resource r = {(char *)"r", url, RESOURCE_S3, {0}};
    AUTO_STRV struct strv paths = {0};
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_int_equal(n.asked.count, 1);
    strv_done(&n.asked);
}

/* Nothing of a password is written down, and a new one fetches nothing again. */
static void test_secrets(void **state)
{
    struct net n = {.p = *state};
    struct resource r = {
        (char *)"r", (char *)"https://me:hunter22@h/f?sig=abcd&v=1", RESOURCE_HTTP, {0}};
    AUTO_STRV struct strv paths = {0};
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_string_equal(n.asked.items[0], r.location);
    AUTO_FREE char *path = fs_join(n.p->dir, "output__x/resources/r.json");
    AUTO_BUF struct buf record = {0};
    assert_int_equal(fs_read(path, 10000, &record, NULL), 0);
    assert_non_null(strstr(buf_text(&record), "https://me:***@h/f?sig=***&v=1"));
    assert_null(strstr(buf_text(&record), "hunter22"));
    assert_null(strstr(buf_text(&record), "abcd"));
    r.location = (char *)"https://me:other@h/f?sig=efgh&v=1";
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_int_equal(n.asked.count, 1);
    r.location = (char *)"https://me:other@h/f?sig=efgh&v=2";
    assert_int_equal(run(&n, &r, 1, &paths, NULL), 0);
    assert_int_equal(n.asked.count, 2);
    strv_done(&n.asked);
}

static void test_failures(void **state)
{
    struct net n = {.p = *state, .fails = true};
    struct err err = {0};
    struct resource r = {(char *)"r", (char *)"http://h/f", RESOURCE_HTTP, {0}};
    AUTO_STRV struct strv paths = {0};
    assert_int_equal(run(&n, &r, 1, &paths, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.msg, "the resource 'r': there is nothing there");
    assert_int_equal(paths.count, 0);
    r.location = (char *)"https://me:hunter22@h/f?token=abcd"; /* and the net says too much */
    assert_int_equal(run(&n, &r, 1, &paths, &err), -1);
    assert_string_equal(err.msg,
                        "the resource 'r': there is nothing at https://me:***@h/f?token=*** "
                        "for ***");
    r.location = (char *)"http://h/f";
    assert_int_equal(run(&n, &r, 1, &paths, &err), -1);
    AUTO_FREE char *half = fs_join(n.p->dir, "output__x/resources/r/f.part");
    assert_int_equal(fs_write_atomic(half, 0666, STR("half"), NULL), 0);
    assert_int_equal(run(&n, &r, 1, &paths, &err), -1);
    assert_true(fs_exists(half)); /* to go on with */
    r.location = (char *)"http://other/f";
    n.fails = false;
    assert_int_equal(run(&n, &r, 1, &paths, &err), 0);
    assert_int_equal(n.asked.count, 5);
    assert_false(fs_exists(half)); /* it was the other's */
    struct resource local = {(char *)"l", (char *)"/nonexistent", RESOURCE_LOCAL, {0}};
    assert_int_equal(run(&n, &local, 1, &paths, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    strv_done(&n.asked);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {T(test_once), T(test_again), T(test_any_bytes),
                                       T(test_secrets), T(test_failures)};
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}

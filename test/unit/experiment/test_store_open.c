/* The store over files that somebody else made: nothing in them is executed, and no number or name
 * of theirs is believed; and how a state comes to its name, and from an earlier version. */
#include "storing.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sqlite3.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- helpers ----------------------------------------------------------------------------------
 */

/* One stage with a trial, an attempt, and points. */
static int64_t make_whole(void)
{
    struct store *s = opened(STORE_CREATE);
    struct store_stage g = {.name = (char *)"train", .planned = 1, .metric = (char *)"loss"};
    struct store_attempt a = {.number = 1, .end = (char *)"exited"};
    good(store_put_stage(s, &g, &err));
    int64_t id = add_trial(s, 0, 0, 1);
    good(store_add_attempt(s, id, &a, &err));
    for (int i = 0; i < 3; i++)
        point(s, id, "loss", i, i);
    good(store_set(s, "name", "x", &err));
    good(store_commit(s, &err));
    store_close(s);
    return id;
}

/* Changes the file behind flambe's back. */
static void craft(const char *sql)
{
    AUTO_FREE char *path = db_path();
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void remake(void)
{
    AUTO_FREE char *path = db_path();
    unlink(path);
    make_whole();
}

static int64_t asked(const char *sql)
{
    AUTO_FREE char *path = db_path();
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* ---- schemas ----------------------------------------------------------------------------------
 */

static void another_schema_is_refused(void **state)
{
    (void)state;
    static const char *const crafts[] = {
        "CREATE TRIGGER t AFTER INSERT ON fact BEGIN DELETE FROM trial; END",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE fact RENAME TO f; CREATE VIEW fact AS SELECT key, value FROM f",
        "CREATE TABLE more(x)",
        "CREATE INDEX more ON trial(message)",
        "DROP TABLE attempt",
        "DROP INDEX metric_trial",
        "DROP INDEX trial_retired_params",
        "DROP INDEX trial_state; CREATE INDEX trial_state ON trial(stage, abs(state))",
        "ALTER TABLE trial ADD COLUMN more TEXT",
        "ALTER TABLE trial RENAME COLUMN params TO parms",
        "DROP TABLE tag; CREATE TABLE tag(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL "
        "DEFAULT (randomblob(1000000000)))",
        "DROP TABLE tag; CREATE TABLE tag(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL CHECK "
        "(length(randomblob(1000000000))))",
        "DROP TABLE tag; CREATE VIRTUAL TABLE tag USING fts5(id, name)",
        "CREATE TABLE s(x); ANALYZE",
    };
    for (size_t i = 0; i < COUNT_OF(crafts); i++) {
        remake();
        craft(crafts[i]);
        refused(STORE_READ, ERR_PARSE, "was not written by flambe");
        refused(STORE_WRITE, ERR_PARSE, "was not written by flambe");
        refused(STORE_WRITE, ERR_PARSE, "'--force'");
    }
}

static void what_is_no_file_is_not_waited_for(void **state)
{
    (void)state;
    AUTO_FREE char *path = db_path();
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20);
    refused(STORE_READ, ERR_PARSE, "no plain file");
    refused(STORE_WRITE, ERR_PARSE, "no plain file");
    alarm(0);
}

/* SQLite would remove the file that a journal of several names. */
static void a_journal_removes_no_other_file(void **state)
{
    (void)state;
    make_whole();
    AUTO_FREE char *mine = fs_join(dir, "mine"), *path = db_path();
    AUTO_FREE char *journal = mem_printf("%s-journal", path);
    AUTO_BUF struct buf b = {0};
    static const char magic[] = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7";
    unsigned sum = 0;
    unsigned pages = (unsigned)asked("PRAGMA page_count");
    buf_add(&b, magic, 8);
    buf_add(&b, "\0\0\0\0\0\0\0\1", 8); /* no pages; what their sums begin with */
    buf_add(&b, (char[]){0, 0, (char)(pages >> 8), (char)pages}, 4);
    buf_add(&b, "\0\0\2\0\0\0\x10\0", 8); /* a sector's and a page's size */
    while (b.len < 512)
        buf_addc(&b, '\0');
    buf_add(&b, "\x40\0\0\1", 4); /* the page that no file has, then the name */
    buf_adds(&b, mine);
    for (const char *c = mine; *c; c++)
        sum += (unsigned char)*c;
    size_t n = strlen(mine);
    buf_add(&b,
            (char[]){0, 0, 0, (char)n, (char)(sum >> 24), (char)(sum >> 16), (char)(sum >> 8),
                     (char)sum},
            8);
    buf_add(&b, magic, 8);
    good(fs_write_atomic(mine, 0600, STR("precious"), &err));
    good(fs_write_atomic(journal, 0600, buf_view(&b), &err));
    refused(STORE_WRITE, ERR_PARSE, "the journal beside it names another file");
    refused(STORE_READ, ERR_PARSE, "was not written by flambe");
    AUTO_FREE char *elsewhere = fs_join(dir, "elsewhere"), *behind = NULL;
    behind = mem_printf("%s-journal", elsewhere);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(rename(journal, behind), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    refused(STORE_WRITE, ERR_PARSE, "the journal beside it names another file");
    assert_true(fs_exists(mine));
}

/* ---- versions ---------------------------------------------------------------------------------
 */

static const char to_version_1[] = "DROP INDEX trial_retired_params; PRAGMA user_version=1";

static void an_earlier_version_is_read_and_brought_up(void **state)
{
    (void)state;
    int64_t id = make_whole();
    craft(to_version_1);
    struct store *s = opened(STORE_READ);
    assert_metrics(s, id, "loss:3[0..2] 2 0 2;");
    store_close(s);
    assert_int_equal(asked("PRAGMA user_version"), 1);
    s = opened(STORE_WRITE);
    assert_metrics(s, id, "loss:3[0..2] 2 0 2;");
    store_close(s);
    assert_int_equal(asked("PRAGMA user_version"), STORE_VERSION);
    assert_int_equal(asked("SELECT count(*) FROM sqlite_master WHERE name='trial_retired_params'"),
                     1);
    store_close(opened(STORE_READ));
}

static void what_to_do_with_a_newer_version_is_said(void **state)
{
    (void)state;
    make_whole();
    craft("PRAGMA user_version=77");
    refused(STORE_READ, ERR_CONFLICT, "its form is 77, and this one knows up to 2");
    refused(STORE_WRITE, ERR_CONFLICT, "use that flambe, or begin anew with '--force'");
    craft("PRAGMA user_version=-1");
    refused(STORE_READ, ERR_PARSE, "flambe's");
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static struct store_trial seen;

static bool see(void *ctx, const struct store_trial *t)
{
    (void)ctx;
    seen = *t;
    seen.name = NULL; /* the store's */
    return true;
}

static int read_trials(void)
{
    struct store *s = opened(STORE_READ);
    struct store_query q = {.stage = -1, .state = -1};
    int rc = store_each_trial(s, &q, see, NULL, &err);
    struct store_trial t;
    if (rc == -1) {
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, "damaged"));
        assert_int_equal(store_trial(s, 0, 0, &t, &err), -1);
    }
    store_close(s);
    return rc;
}

static void no_trial_leads_out_of_its_directory(void **state)
{
    (void)state;
    static const char *const crafts[] = {
        "UPDATE trial SET name='../../x'", "UPDATE trial SET name='..'", "UPDATE trial SET name=''",
        "UPDATE trial SET name='/etc'", "UPDATE trial SET name=x'00'"};
    for (size_t i = 0; i < COUNT_OF(crafts); i++) {
        remake();
        assert_int_equal(read_trials(), 0);
        craft(crafts[i]);
        assert_int_equal(read_trials(), -1);
        struct store *s = opened(STORE_WRITE);
        int64_t generation;
        struct store_retired r;
        good(store_retire(s, &generation, &err));
        assert_int_equal(store_find_retired(s, NULL, "train", "{\"x\": 1}", &r, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        store_close(s);
    }
}

static void no_stage_leads_out_of_the_results(void **state)
{
    (void)state;
    static const char *const crafts[] = {"UPDATE stage SET name='../x'", "UPDATE stage SET name=''",
                                         "UPDATE stage SET id=1024",
                                         "UPDATE stage SET id=9223372036854775807"};
    for (size_t i = 0; i < COUNT_OF(crafts); i++) {
        remake();
        craft(crafts[i]);
        struct store *s = opened(STORE_READ);
        struct store_stage *stages = NULL;
        size_t count = 0;
        assert_int_equal(store_stages(s, &stages, &count, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        assert_null(stages);
        store_close(s);
    }
}

static void numbers_come_within_bounds(void **state)
{
    (void)state;
    make_whole();
    craft(
        "UPDATE trial SET state=1e300, attempts=9223372036854775807, started=-9223372036854775807,"
        " ended=9223372036854775807, exit_status=99999999999, signal='x', user_time=-1, "
        "memory_peak=-1, objective='many'; UPDATE stage SET planned=9223372036854775807, "
        "state=-7; UPDATE summary SET count=9223372036854775807, low=5, high=x'ff'");
    assert_int_equal(read_trials(), 0);
    assert_int_equal(seen.state, TRIAL_PENDING);
    assert_int_equal(seen.attempts, 1000000000);
    assert_int_equal(seen.exit_status, 2147483647);
    assert_true(seen.started == 0 && seen.ended == 253402300799 * USEC_PER_SEC);
    assert_true(seen.signal == 0 && seen.user_time == 0 && seen.memory_peak == 0);
    assert_false(seen.has_objective);
    struct store *s = opened(STORE_WRITE);
    struct store_stage *stages;
    size_t count;
    good(store_stages(s, &stages, &count, &err));
    assert_true(stages[0].planned == (int64_t)1 << 50 && stages[0].state == STAGE_PENDING);
    store_stages_free(stages, count);
    for (int i = 0; i < 3; i++) /* no number runs over */
        point(s, 1, "loss", 5 + i, 1);
    good(store_purge(s, 1, 1, &err));
    good(store_purge(s, 1, INT64_MIN, &err));
    assert_metrics(s, 1, "");
    store_close(s);
    craft("UPDATE trial SET number=-1");
    assert_int_equal(read_trials(), -1);
    craft("UPDATE trial SET number=10000000");
    assert_int_equal(read_trials(), -1);
}

static void extremes_of_what_are_no_numbers(void **state)
{
    (void)state;
    int64_t id = make_whole();
    craft("UPDATE metric SET value=5; UPDATE metric SET value='x' WHERE step=2;"
          "UPDATE summary SET low=9e999, high=-9e999");
    for (int i = 0; i < 2; i++) {
        struct store *s = opened(i ? STORE_WRITE : STORE_READ);
        assert_metrics(s, id, "loss:3[0..2] 2 nan nan;");
        store_close(s);
    }
}

static void a_generation_is_a_small_number(void **state)
{
    (void)state;
    static const char *const values[] = {"'9223372036854775807'", "'-1'", "'x'", "x'ff'"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        remake();
        AUTO_FREE char *sql = mem_printf("INSERT INTO fact VALUES('generation', %s)", values[i]);
        craft(sql);
        struct store *s = opened(STORE_WRITE);
        int64_t generation;
        assert_int_equal(store_retire(s, &generation, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        store_close(s);
    }
}

static void huge_texts_are_not_read(void **state)
{
    (void)state;
    make_whole();
    craft("UPDATE trial SET params=zeroblob(40000000)");
    assert_int_equal(read_trials(), -1);
}

/* ---- a state's name ---------------------------------------------------------------------------
 */

#define ANSWER(name, error)                                 \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((error)&SECCOMP_RET_DATA))

/* From now on this process's file systems have no hard links, nor, where `plain`, renames with
 * flags. False: it cannot be had here. */
static bool without_links(bool plain)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ANSWER(linkat, EPERM),
#ifdef __NR_link
        ANSWER(link, EPERM),
#endif
        ANSWER(renameat2, EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(filter), filter};
    if (!plain) /* jumps over nothing, and allows */
        filter[COUNT_OF(filter) - 2] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { MADE, NOT_MADE, NO_SECCOMP, NOT_WITHOUT };

static int make_without_links(bool plain)
{
    int pid = fork();
    if (pid == 0) {
        struct store *s;
        if (!without_links(plain))
            _exit(NO_SECCOMP);
        if (link("/nonexistent/a", "/nonexistent/b") == 0 || errno != EPERM)
            _exit(NOT_WITHOUT);
        if (store_open(dir, STORE_CREATE, &s, &err) == -1)
            _exit(err.sys == EEXIST ? NOT_MADE : NOT_WITHOUT);
        store_close(s);
        _exit(MADE);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_file_system_without_hard_links(void **state)
{
    (void)state;
    AUTO_FREE char *path = db_path();
    AUTO_FREE char *fresh = mem_printf("%s.new", path);
    for (int plain = 0; plain < 2; plain++) {
        int made = make_without_links(plain);
        if (made == NO_SECCOMP)
            skip();
        assert_int_equal(made, MADE);
        assert_false(fs_exists(fresh));
        store_close(opened(STORE_WRITE));
        good(fs_write_atomic(path, 0600, STR("another's"), &err));
        assert_int_equal(make_without_links(plain), NOT_MADE);
        assert_false(fs_exists(fresh));
        AUTO_BUF struct buf there = {0};
        good(fs_read(path, 100, &there, &err));
        assert_string_equal(buf_text(&there), "another's");
        assert_int_equal(unlink(path), 0);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(another_schema_is_refused),
        T(what_is_no_file_is_not_waited_for),
        T(a_journal_removes_no_other_file),
        T(an_earlier_version_is_read_and_brought_up),
        T(what_to_do_with_a_newer_version_is_said),
        T(no_trial_leads_out_of_its_directory),
        T(no_stage_leads_out_of_the_results),
        T(numbers_come_within_bounds),
        T(extremes_of_what_are_no_numbers),
        T(a_generation_is_a_small_number),
        T(huge_texts_are_not_read),
        T(a_file_system_without_hard_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

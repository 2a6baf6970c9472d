/* The journal: what a kill at any point leaves readable. */
#include "unit.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct launch_entry make_entry(const char *token, int first, int count)
{
    return (struct launch_entry){.token = mem_dup(token),
                                 .body = mem_printf("Action=RunInstances&ClientToken=%s", token),
                                 .host_key = mem_dup(LINE_A),
                                 .role = first ? ROLE_FACTORY : ROLE_ORCHESTRATOR,
                                 .first = first,
                                 .count = count,
                                 .at = 1700000000 * USEC_PER_SEC};
}

static void begin(struct journal *j, const char *token, int first, int count)
{
    struct launch_entry e = make_entry(token, first, count);
    struct err err = {0};
    assert_int_equal(journal_begin(j, &e, &err), 0);
    assert_null(e.token); /* taken over */
}

static struct journal reopen(const char *path)
{
    struct journal j = {0};
    struct err err = {0};
    if (journal_open(path, &j, &err) == -1)
        fail_msg("%s", err.msg);
    return j;
}

static void what_was_begun_is_found_again(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "journal.jsonl");
    CLEANUP(journal_done) struct journal a = reopen(path);
    assert_int_equal(a.count, 0);
    begin(&a, "one", 0, 1);
    begin(&a, "two", 1, 20);
    CLEANUP(journal_done) struct journal b = reopen(path);
    assert_int_equal(b.count, 2);
    assert_string_equal(b.pending[0].token, "one");
    assert_int_equal(b.pending[0].role, ROLE_ORCHESTRATOR);
    assert_string_equal(b.pending[1].body, "Action=RunInstances&ClientToken=two");
    assert_int_equal(b.pending[1].first, 1);
    assert_int_equal(b.pending[1].count, 20);
    assert_string_equal(b.pending[1].host_key, LINE_A);
    assert_true(b.pending[1].at == 1700000000 * USEC_PER_SEC);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    drop_dir(dir);
}

static void the_last_answer_empties_it(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "journal.jsonl");
    CLEANUP(journal_done) struct journal a = reopen(path);
    begin(&a, "one", 0, 1);
    begin(&a, "two", 1, 1);
    struct err err = {0};
    assert_int_equal(journal_end(&a, "one", &err), 0);
    CLEANUP(journal_done) struct journal b = reopen(path);
    assert_int_equal(b.count, 1);
    assert_string_equal(b.pending[0].token, "two");
    assert_int_equal(journal_end(&a, "two", &err), 0);
    assert_false(fs_exists(path));                     /* and with it the bootstrap keys */
    assert_int_equal(journal_end(&a, "two", &err), 0); /* again: no harm */
    drop_dir(dir);
}

static void append_raw(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A crash at each byte of the second line: the first launch survives, the second counts only once
 * it is whole. */
static void a_torn_line_is_dropped(void **state)
{
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "journal.jsonl");
    {
        CLEANUP(journal_done) struct journal a = reopen(path);
        begin(&a, "one", 0, 1);
        begin(&a, "two", 1, 1);
    }
    AUTO_BUF struct buf whole = {0};
    assert_int_equal(fs_read(path, 65536, &whole, NULL), 0);
    size_t first = (size_t)((char *)memchr(whole.data, '\n', whole.len) - whole.data) + 1;
    for (size_t n = 0; n <= whole.len; n++) {
        assert_int_equal(fs_write_atomic(path, 0600, (struct str){whole.data, n}, NULL), 0);
        CLEANUP(journal_done) struct journal b = reopen(path);
        assert_int_equal(b.count, n < first ? 0 : n < whole.len ? 1 : 2);
        begin(&b, "three", 5, 1); /* must not be swallowed by the torn line */
        CLEANUP(journal_done) struct journal c = reopen(path);
        assert_true(c.count >= 1);
        assert_string_equal(c.pending[c.count - 1].token, "three");
    }
    drop_dir(dir);
}

static void what_is_no_journal_is_refused(void **state)
{
    static const char *const bad[] = {
        "nonsense\n",
        "{\"event\":\"launch\",\"token\":\"x\"}\n",
        "{\"event\":\"launch\",\"token\":\"x\",\"body\":\"b\",\"host_key\":\"k\",\"role\":"
        "\"Factory\","
        "\"first\":1,\"count\":0,\"at\":1}\n",
        "{\"event\":\"launch\",\"token\":\"x\",\"body\":\"b\",\"host_key\":\"k\",\"role\":"
        "\"Factory\","
        "\"first\":-1,\"count\":1,\"at\":1}\n",
        "[]\n",
        "{\"event\":1}\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *dir = make_dir();
        AUTO_FREE char *path = fs_join(dir, "journal.jsonl");
        append_raw(path, bad[i]);
        struct journal j = {0};
        struct err err = {0};
        assert_int_equal(journal_open(path, &j, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
        assert_non_null(strstr(err.msg, "line 1"));
        drop_dir(dir);
    }
}

static void only_young_launches_are_replayed(void **state)
{
    struct launch_entry e = {.at = 1000 * USEC_PER_SEC};
    assert_int_equal(journal_judge(&e, e.at), JOURNAL_REPLAY);
    assert_int_equal(journal_judge(&e, e.at + JOURNAL_REPLAY_WITHIN), JOURNAL_REPLAY);
    assert_int_equal(journal_judge(&e, e.at + JOURNAL_REPLAY_WITHIN + 1), JOURNAL_FORGET);
    assert_int_equal(journal_judge(&e, 0), JOURNAL_REPLAY); /* the clock went backwards */
}

static bool final(enum err_code code, const char *origin)
{
    struct err e = {0};
    err_set_origin(&e, code, origin, "x");
    return journal_replay_is_final(&e);
}

static void a_no_is_final_and_silence_is_not(void **state)
{
    assert_true(final(ERR_REJECTED, "IdempotentInstanceTerminated"));
    assert_true(final(ERR_SERVER, "IdempotentParameterMismatch"));
    assert_true(final(ERR_CAPACITY, "InsufficientInstanceCapacity"));
    assert_true(final(ERR_QUOTA, "VcpuLimitExceeded"));
    assert_true(final(ERR_PERMISSION, "UnauthorizedOperation"));
    assert_false(final(ERR_UNREACHABLE, ""));
    assert_false(final(ERR_TIMEOUT, ""));
    assert_false(final(ERR_SERVER, "InternalError"));
    assert_false(final(ERR_THROTTLED, "RequestLimitExceeded"));
    assert_false(final(ERR_CANCELLED, ""));
    assert_false(final(ERR_CREDENTIALS, "ExpiredToken"));
}

/* A disk that is full in the middle of a line must not cost the lines around it. */
static void half_a_line_is_taken_back(void **state)
{
    (void)state;
    char *dir = make_dir();
    AUTO_FREE char *path = fs_join(dir, "journal.jsonl");
    CLEANUP(journal_done) struct journal a = reopen(path);
    begin(&a, "one", 0, 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit tight = {.rlim_cur = (rlim_t)st.st_size + 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct launch_entry e = make_entry("two", 1, 2);
    struct err err = {0};
    int rc = journal_begin(&a, &e, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -1);
    free(e.token);
    free(e.body);
    free(e.host_key);
    begin(&a, "three", 1, 2);
    CLEANUP(journal_done) struct journal b = reopen(path);
    assert_int_equal(b.count, 2);
    assert_string_equal(b.pending[1].token, "three");
    drop_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_begun_is_found_again),
        cmocka_unit_test(the_last_answer_empties_it),
        cmocka_unit_test(half_a_line_is_taken_back),
        cmocka_unit_test(a_torn_line_is_dropped),
        cmocka_unit_test(what_is_no_journal_is_refused),
        cmocka_unit_test(only_young_launches_are_replayed),
        cmocka_unit_test(a_no_is_final_and_silence_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The record of ends: what a crash cut or another hand wrote into it is passed over. */
#include "engine/record_priv.h"
#include "programs.h"
#include <fcntl.h>

static char path[96];
static struct engine_result seen[8];
static size_t seen_count;

static int setup_path(void **state)
{
    int rc = make_dir(state);
    snprintf(path, sizeof path, "%s/record", dir);
    return rc;
}

static int remove_dir(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static void keep(void *ctx, const struct engine_result *r)
{
    (void)ctx;
    assert_true(seen_count < COUNT_OF(seen));
    seen[seen_count++] = *r;
}

static size_t replay(void)
{
    seen_count = 0;
    struct err err = {0};
    if (engine_local_replay(path, keep, NULL, &err) == -1)
        fail_msg("%s", err.msg);
    return seen_count;
}

static void append(const struct engine_result *r)
{
    struct record record;
    assert_int_equal(record_open(&record, path, NULL), 0);
    assert_int_equal(record_append(&record, r), 0);
    record_close(&record);
}

static void add_bytes(const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static const struct engine_result full = {.id = UINT64_MAX,
                                          .end = ENGINE_TIMED_OUT,
                                          .exit_status = -1,
                                          .signal = 9,
                                          .started = 1700000000000001,
                                          .ended = 1700000000000002,
                                          .user_time = 3,
                                          .system_time = 4,
                                          .memory_peak = (uint64_t)1 << 40,
                                          .console_dropped = 6,
                                          .host = "a-host",
                                          .message = "a message: 'x'"};

static void what_is_written_is_read(void **state)
{
    (void)state;
    assert_int_equal(replay(), 0); /* a missing file is an empty one */
    append(&full);
    struct engine_result r = full;
    for (int end = 0; end < ENGINE_END_COUNT; end++) {
        r = (struct engine_result){.id = (uint64_t)end, .end = (enum engine_end)end};
        if (end < 6)
            append(&r);
    }
    assert_int_equal(replay(), 7);
    assert_memory_equal(&seen[0], &full, sizeof full);
    for (int end = 0; end < 6; end++)
        assert_int_equal(seen[1 + end].end, end);
    assert_string_equal(engine_end_name(ENGINE_LOST), "lost");
    assert_string_equal(engine_end_name((enum engine_end)99), "unknown");
}

static void odd_text_keeps_its_line(void **state)
{
    (void)state;
    struct engine_result r = full;
    snprintf(r.message, sizeof r.message, "tab\there\nand a line\033[2J\xff");
    memset(r.host, 'h', sizeof r.host - 1);
    append(&r);
    append(&full);
    assert_int_equal(replay(), 2);
    assert_string_equal(seen[0].message, "tab?here?and a line?[2J\xff");
    assert_string_equal(seen[0].host, r.host);
}

static void every_cut_of_the_tail_is_passed_over(void **state)
{
    (void)state;
    append(&full);
    AUTO_FREE char *one = text_of("record");
    size_t n = strlen(one);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(truncate(path, 0), 0);
        add_bytes(one, n);
        add_bytes(one, cut);
        size_t whole = cut == n - 1 ? 2 : 1; /* nothing but the line's end is missing */
        assert_int_equal(replay(), whole);
        append(&full); /* what comes next stands on a line of its own */
        assert_int_equal(replay(), whole + 1);
        assert_memory_equal(&seen[whole], &full, sizeof full);
    }
}

static void garbage_is_passed_over(void **state)
{
    (void)state;
    append(&full);
    AUTO_FREE char *one = text_of("record");
    size_t n = strlen(one);
    for (size_t i = 0; i < n; i++) { /* any byte that has changed */
        one[i] ^= 1;
        assert_int_equal(truncate(path, 0), 0);
        add_bytes(one, n);
        assert_int_equal(replay(), 0);
        one[i] ^= 1;
    }
    assert_int_equal(truncate(path, 0), 0);
    add_bytes("\0\0\0\n\n\xff\xfe\n", 8);
    add_bytes(one, n);
    AUTO_FREE char *lump = mem_alloc(100000);
    memset(lump, 'a', 99999);
    lump[99999] = '\n';
    add_bytes(lump, 100000);
    add_bytes(one, n);
    add_bytes(lump, 5000);
    assert_int_equal(replay(), 2);
}

static void what_is_no_file(void **state)
{
    (void)state;
    struct err err = {0};
    struct record r;
    assert_int_equal(engine_local_replay(dir, keep, NULL, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(record_open(&r, dir, &err), -1);
    assert_int_equal(record_open(&r, NULL, &err), 0);
    assert_int_equal(record_append(&r, &full), 0); /* nowhere */
    struct engine_local_options o = {.cpus = 1, .record = "/no/such/record", .keep_fd = -1};
    struct engine *e = NULL;
    loop = loop_new();
    assert_int_equal(engine_local_new(loop, &o, &events, &e, &err), -1);
    assert_null(e);
    assert_non_null(strstr(err.msg, "/no/such/record"));
    loop_free(loop);
}

#define R(f) cmocka_unit_test_setup_teardown(f, setup_path, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(what_is_written_is_read),
        R(odd_text_keeps_its_line),
        R(every_cut_of_the_tail_is_passed_over),
        R(garbage_is_passed_over),
        R(what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

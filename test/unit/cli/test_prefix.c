/* Lines of many hosts: never torn, never lost, whatever pieces they come in. */
#include "base/mem.h"
#include "cli/prefix.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

static struct buf got;
static size_t writes;

static void take(void *ctx, struct str lines)
{
    (void)ctx;
    assert_true(lines.n > 0);
    assert_int_equal(lines.p[lines.n - 1], '\n'); /* whole lines only */
    buf_add_str(&got, lines);
    writes++;
}

static struct prefix fresh(void)
{
    buf_clear(&got);
    writes = 0;
    return (struct prefix){mem_dup("h: "), take, NULL, {0}};
}

static void torn_lines_come_whole(void **state)
{
    (void)state;
    struct prefix p = fresh();
    prefix_add(&p, STR("on"));
    prefix_add(&p, STR("e\ntw"));
    assert_string_equal(buf_text(&got), "h: one\n");
    prefix_add(&p, STR("o"));
    prefix_add(&p, STR("\n\nthree\nfo"));
    assert_string_equal(buf_text(&got), "h: one\nh: two\nh: \nh: three\n");
    prefix_end(&p);
    assert_string_equal(buf_text(&got), "h: one\nh: two\nh: \nh: three\nh: fo\n");
    prefix_end(&p);
    assert_int_equal(writes, 3);
    prefix_done(&p);
}

static void no_output_writes_nothing(void **state)
{
    (void)state;
    struct prefix p = fresh();
    prefix_add(&p, STR(""));
    prefix_end(&p);
    assert_int_equal(writes, 0);
    prefix_done(&p);
}

static void binary_passes_as_it_is(void **state)
{
    (void)state;
    struct prefix p = fresh();
    prefix_add(&p, (struct str){"\0\xff\r\x1b\n\0", 6});
    prefix_end(&p);
    assert_int_equal(got.len, 3 + 5 + 3 + 2);
    assert_memory_equal(buf_text(&got), "h: \0\xff\r\x1b\nh: \0\n", got.len);
    prefix_done(&p);
}

/* A line of n bytes, in pieces of `piece`: how many lines come out, and whether all bytes do. */
static size_t lines_of(size_t n, size_t piece, bool ended)
{
    struct prefix p = fresh();
    AUTO_FREE char *bytes = mem_alloc(n + 1);
    memset(bytes, 'x', n);
    bytes[n] = '\n';
    size_t all = n + (ended ? 1 : 0);
    for (size_t at = 0; at < all; at += piece)
        prefix_add(&p, (struct str){bytes + at, all - at < piece ? all - at : piece});
    assert_true(p.rest.len <= PREFIX_LINE_MAX);
    prefix_end(&p);
    size_t lines = 0, payload = 0;
    for (size_t i = 0; i < got.len; i++) {
        lines += got.data[i] == '\n';
        payload += got.data[i] == 'x';
    }
    assert_int_equal(payload, n);
    prefix_done(&p);
    return lines;
}

static void huge_lines_come_in_parts(void **state)
{
    (void)state;
    static const size_t pieces[] = {1000, 65535, 65536, 65537, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        assert_int_equal(lines_of(PREFIX_LINE_MAX - 1, pieces[i], true), 1);
        assert_int_equal(lines_of(PREFIX_LINE_MAX, pieces[i], true), 1);
        assert_int_equal(lines_of(PREFIX_LINE_MAX, pieces[i], false), 1);
        assert_int_equal(lines_of(PREFIX_LINE_MAX + 1, pieces[i], true), 2);
        assert_int_equal(lines_of(3 * PREFIX_LINE_MAX, pieces[i], true), 3);
        assert_int_equal(lines_of(3 * PREFIX_LINE_MAX + 5, pieces[i], false), 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torn_lines_come_whole),
        cmocka_unit_test(no_output_writes_nothing),
        cmocka_unit_test(binary_passes_as_it_is),
        cmocka_unit_test(huge_lines_come_in_parts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&got);
    return failed;
}

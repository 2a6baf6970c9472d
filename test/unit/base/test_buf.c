/* Buffers grow to their maximum and no further; secrets. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void an_empty_one_is_a_string(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_view(&b).n, 0);
    AUTO_FREE char *taken = buf_take(&b);
    assert_string_equal(taken, "");
    buf_consume(&b, 5);
    buf_clear(&b);
    buf_done(&b);
    buf_wipe(&b);
}

static void it_holds_its_maximum(void **state)
{
    (void)state;
    for (size_t max = 1; max < 200; max++) {
        AUTO_BUF struct buf b = {.max = max};
        for (size_t i = 0; i < max; i++)
            buf_addc(&b, 'x');
        assert_false(b.overflowed);
        assert_int_equal(b.len, max);
        buf_addc(&b, 'y');
        assert_true(b.overflowed);
        assert_int_equal(b.len, max);
        assert_int_equal(strlen(buf_text(&b)), max);
        assert_null(strchr(buf_text(&b), 'y'));
        buf_clear(&b);
        assert_false(b.overflowed);
        buf_adds(&b, "0123456789"); /* what fits is kept */
        assert_int_equal(b.len, max < 10 ? max : 10);
        assert_int_equal(b.overflowed, max < 10);
    }
}

static void formats_of_every_length(void **state)
{
    (void)state;
    char big[1001];
    memset(big, 'z', 1000);
    big[1000] = '\0';
    for (int n = 0; n <= 1000; n += n > 240 && n < 270 ? 1 : 7) {
        AUTO_BUF struct buf b = {0};
        buf_adds(&b, "<");
        buf_addf(&b, "%.*s", n, big);
        buf_adds(&b, ">");
        assert_int_equal(b.len, (size_t)n + 2);
        assert_int_equal(b.data[b.len - 1], '>');
    }
}

static void consume_and_take(void **state)
{
    (void)state;
    struct buf b = {.max = 100};
    buf_add_str(&b, STR("hello world"));
    buf_consume(&b, 6);
    assert_string_equal(buf_text(&b), "world");
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    buf_adds(&b, "again");
    AUTO_FREE char *taken = buf_take(&b);
    assert_string_equal(taken, "again");
    assert_int_equal(b.max, 100); /* the limit stays */
    buf_adds(&b, "x");
    buf_done(&b);
    assert_int_equal(b.max, 100);
}

static void zero_bytes_are_bytes(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0};
    buf_add(&b, "a\0b", 3);
    buf_add(&b, NULL, 0);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
}

static void secrets(void **state)
{
    (void)state;
    struct secret *s = secret_new(STR("hush"));
    struct secret *t = secret_copy(s);
    assert_true(str_is(secret_expose(s), "hush"));
    secret_free(s);
    assert_true(str_is(secret_expose(t), "hush"));
    assert_int_equal(secret_expose(t).p[4], '\0');
    assert_false(secret_is_empty(t));
    secret_freep(&t);
    assert_null(t);
    secret_free(NULL);
    assert_null(secret_copy(NULL));
    assert_true(secret_is_empty(NULL));
    assert_int_equal(secret_expose(NULL).n, 0);
    s = secret_new((struct str){NULL, 0});
    assert_true(secret_is_empty(s));
    secret_free(s);
}

static void memory(void **state)
{
    (void)state;
    assert_null(mem_dup(NULL));
    AUTO_FREE char *s = mem_dup_n("abc", 2);
    assert_string_equal(s, "ab");
    AUTO_FREE char *e = mem_dup_n(NULL, 0);
    assert_string_equal(e, "");
    AUTO_FREE unsigned char *z = mem_array(100, 3);
    for (int i = 0; i < 300; i++)
        assert_int_equal(z[i], 0);
    char *p = mem_dup("x");
    char *moved = TAKE(p);
    assert_null(p);
    mem_freep(&moved);
    assert_null(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_is_a_string),
        cmocka_unit_test(it_holds_its_maximum),
        cmocka_unit_test(formats_of_every_length),
        cmocka_unit_test(consume_and_take),
        cmocka_unit_test(zero_bytes_are_bytes),
        cmocka_unit_test(secrets),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The files between engine and wrapper: what is written is read, and what is damaged is not. */
#include "engine/slurm_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void heads_and_rows(void **state)
{
    (void)state;
    const struct slurm_spec spec = {INT64_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};
    const struct slurm_row row = {UINT64_MAX, 1 << 20, 1 << 20, 70 << 20, 8 << 20};
    struct slurm_spec s;
    struct slurm_row r;
    AUTO_BUF struct buf text = {0};
    slurm_spec_put_head(&spec, &text);
    assert_int_equal(text.len, SLURM_HEAD_SIZE);
    slurm_spec_put_row(&row, &text);
    assert_int_equal(text.len, SLURM_HEAD_SIZE + SLURM_ROW_SIZE);
    assert_true(slurm_spec_head(buf_view(&text), &s));
    assert_memory_equal(&s, &spec, sizeof s);
    struct str rest = {text.data + SLURM_HEAD_SIZE, SLURM_ROW_SIZE};
    assert_true(slurm_spec_row(rest, &r));
    assert_memory_equal(&r, &row, sizeof r);
    rest.n--;
    assert_false(slurm_spec_row(rest, &r));
    assert_false(slurm_spec_head((struct str){text.data, SLURM_HEAD_SIZE - 1}, &s));
    assert_false(slurm_spec_head((struct str){text.data + 1, SLURM_HEAD_SIZE}, &s));
    text.data[SLURM_HEAD_SIZE + 3] = 'x';
    assert_false(slurm_spec_row((struct str){text.data + SLURM_HEAD_SIZE, SLURM_ROW_SIZE}, &r));
}

static void records(void **state)
{
    (void)state;
    const struct slurm_task task = {"0123456789abcdef", 12, 345};
    const struct slurm_start start = {77, "w1", "0,1"};
    struct engine_result result = {.id = 9,
                                   .end = ENGINE_SIGNALLED,
                                   .exit_status = -1,
                                   .signal = 9,
                                   .started = 5,
                                   .ended = 6,
                                   .host = "w1",
                                   .message = "tab\there"};
    struct slurm_task t;
    struct slurm_start s;
    struct engine_result r;
    AUTO_BUF struct buf one = {0}, two = {0};
    slurm_record_start(&task, &start, &one);
    assert_true(str_ends(buf_view(&one), "\n"));
    struct str line = {one.data, one.len - 1};
    assert_int_equal(slurm_record_parse(line, &t, &s, &r), SLURM_RECORD_START);
    assert_string_equal(t.token, task.token);
    assert_true(t.index == 12 && t.job == 345 && s.wall == 77);
    assert_string_equal(s.host, "w1");
    assert_string_equal(s.gpus, "0,1");
    slurm_record_end(&task, &result, &two);
    line = (struct str){two.data, two.len - 1};
    assert_int_equal(slurm_record_parse(line, &t, &s, &r), SLURM_RECORD_END);
    assert_true(r.id == 9 && r.end == ENGINE_SIGNALLED && r.signal == 9 && r.ended == 6);
    assert_string_equal(r.message, "tab?here");
    for (size_t i = 0; i < line.n; i++) { /* a cut one, a changed one */
        assert_int_equal(slurm_record_parse((struct str){line.p, i}, &t, &s, &r),
                         SLURM_RECORD_NONE);
        two.data[i] ^= 1;
        assert_int_equal(slurm_record_parse(line, &t, &s, &r), SLURM_RECORD_NONE);
        two.data[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_and_rows),
        cmocka_unit_test(records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

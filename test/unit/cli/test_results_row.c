/* Rows of results as CSV and JSON, numbers, lines of metrics, and the ends of growing files. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/metric_line.h"
#include "cli/results_row.h"
#include "cli/tail.h"
#include "os/fs.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

/* ---- CSV --------------------------------------------------------------------------------------
 */

static void assert_field(const char *text, const char *want)
{
    AUTO_BUF struct buf have = {0};
    csv_field(str_of(text), &have);
    assert_string_equal(buf_text(&have), want);
}

static void fields_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    assert_field("", "");
    assert_field("plain text", "plain text");
    assert_field("a,b", "\"a,b\"");
    assert_field("say \"hi\"", "\"say \"\"hi\"\"\"");
    assert_field("two\nlines", "\"two\nlines\"");
    assert_field("cr\r", "\"cr\r\"");
    assert_field(" blank", "\" blank\"");
    assert_field("=1+1", "\"=1+1\"");
    assert_field("@x", "\"@x\"");
    assert_field("+cmd", "\"+cmd\"");
    assert_field("-0.5", "-0.5"); /* a number is no formula */
    assert_field("-", "\"-\"");
    assert_field("+1e3", "+1e3");
}

static const struct store_trial trial = {
    .stage = 3,
    .number = 7,
    .name = (char *)"lr=0.1_7",
    .params =
        (char *)"{\"lr\": 0.1, \"state\": \"x,y\", \"deep\": [1, 2], \"on\": true, \"no\": null}",
    .state = TRIAL_SUCCESS,
    .attempts = 2,
    .started = 1000 * USEC_PER_SEC,
    .ended = 1001 * USEC_PER_SEC + 500000,
    .end = (char *)"exited",
    .has_objective = true,
    .objective = -INFINITY};

static void a_trial_as_a_row(void **state)
{
    (void)state;
    struct store_stage stage = {.id = 3, .name = (char *)"train"};
    struct results r = {.stages = &stage, .stage_count = 1};
    struct row_columns c = {0};
    row_columns_add(&c, trial.params);
    row_columns_add(&c, "{\"lr\": 1, \"extra\": 2}");
    row_columns_add(&c, "not JSON");
    row_columns_add(&c, NULL);
    struct row row;
    assert_int_equal(row_read(&r, &c, &trial, 0, &row, NULL), 0);
    AUTO_BUF struct buf csv = {0}, json = {0};
    row_csv_header(&c, &csv);
    row_csv(&row, &c, &csv);
    assert_string_equal(buf_text(&csv),
                        "stage,number,state,objective,lr,param.state,deep,on,no,extra,started,"
                        "duration_s,attempts,end,message,reason,name\r\n"
                        "train,7,success,-Infinity,0.1,\"x,y\",\"[1,2]\",true,,,"
                        "1970-01-01T00:16:40Z,1.500,2,exited,,,lr=0.1_7\r\n");
    row_json(&row, &c, &json);
    assert_string_equal(
        buf_text(&json),
        "{\"stage\": \"train\", \"number\": 7, \"name\": \"lr=0.1_7\", \"state\": \"success\", "
        "\"objective\": \"-inf\", \"params\": {\"lr\": 0.1, \"state\": \"x,y\", \"deep\": "
        "[1,2], "
        "\"on\": true, \"no\": null}, \"metrics\": {}, \"started\": \"1970-01-01T00:16:40Z\", "
        "\"duration_s\": 1.500, \"attempts\": 2, \"end\": \"exited\", \"exit_status\": 0, "
        "\"signal\": "
        "0, \"message\": null, \"reason\": null}");
    row_done(&row);
    row_columns_done(&c);
}

static void a_failed_trial_has_its_reason(void **state)
{
    (void)state;
    struct store_trial failed = trial;
    failed.name = (char *)"n\xff";
    failed.params = NULL;
    failed.state = TRIAL_FAILURE;
    failed.exit_status = 3;
    failed.message = (char *)"a,\xc3\x1b[2J";
    struct results r = {0};
    struct row_columns c = {0};
    struct row row;
    assert_int_equal(row_read(&r, &c, &failed, 0, &row, NULL), 0);
    AUTO_BUF struct buf csv = {0}, json = {0}, clean = {0};
    row_csv(&row, &c, &csv);
    assert_true(str_ends(buf_view(&csv), ",exited,\"a,\xc3\x1b[2J\",\"exited with status 3: "
                                         "a,\xc3\x1b[2J\",n\xff\r\n"));
    row_csv_clean(buf_view(&csv), &clean);
    assert_true(str_ends(buf_view(&clean), ",exited,\"a,\\xc3\\x1b[2J\",\"exited with status 3: "
                                           "a,\\xc3\\x1b[2J\",n\\xff\r\n"));
    row_json(&row, &c, &json);
    json_auto_t *value = NULL;
    assert_int_equal(json_parse(buf_view(&json), BUF_MAX_DEFAULT, &value, NULL), 0);
    assert_string_equal(json_text(value, "reason"), "exited with status 3: a,\xef\xbf\xbd\x1b[2J");
    assert_string_equal(json_text(value, "name"), "n\xef\xbf\xbd");
    row_done(&row);
    failed.exit_status = -1;
    failed.signal = 9;
    failed.end = (char *)"killed";
    failed.message = NULL;
    assert_int_equal(row_read(&r, &c, &failed, 0, &row, NULL), 0);
    assert_string_equal(buf_text(&row.reason), "killed by signal 9 (Killed)");
    row_done(&row);
    row_columns_done(&c);
}

/* Names of a directory, and texts of a state that somebody else wrote. */
static void a_state_of_any_bytes_is_shown(void **state)
{
    (void)state;
    char dir[] = "/tmp/flambe-results-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct err err = {0};
    struct store_stage stage = {.name = (char *)"s\xff",
                                .planned = INT64_MAX,
                                .metric = (char *)"m\xff",
                                .note = (char *)"n\xff"};
    struct store_trial t = trial;
    t.stage = 0;
    t.objective = 1;
    t.name = (char *)"t\xff";
    struct results r = {.directory = (char *)"d\xff",
                        .file = (char *)"f\xff",
                        .name = (char *)"e\xff",
                        .stages = &stage,
                        .stage_count = 1};
    assert_int_equal(store_open(dir, STORE_CREATE, &r.store, &err), 0);
    assert_int_equal(store_put_trial(r.store, &t, &err), 0);
    struct results_state s = {0};
    json_auto_t *value = NULL;
    assert_int_equal(results_json(&r, &s, &value, &err), 0);
    assert_string_equal(json_text(value, "experiment"), "e\xef\xbf\xbd");
    assert_string_equal(json_text(value, "directory"), "d\xef\xbf\xbd");
    assert_string_equal(json_text(value, "file"), "f\xef\xbf\xbd");
    const json_t *first = json_array_get(json_object_get(value, "stages"), 0);
    assert_string_equal(json_text(first, "name"), "s\xef\xbf\xbd");
    assert_string_equal(json_text(first, "metric"), "m\xef\xbf\xbd");
    assert_string_equal(json_text(first, "note"), "n\xef\xbf\xbd");
    assert_string_equal(json_text(json_object_get(first, "best"), "trial"), "t\xef\xbf\xbd");
    store_close(r.store);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void numbers_read_back_as_the_same(void **state)
{
    (void)state;
    static const double values[] = {
        0.1, 1.0 / 3, 1e300, DBL_MIN, DBL_MAX, -0.0, 123456789012345678.0, 5e-324};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        AUTO_BUF struct buf text = {0};
        number_text(values[i], &text);
        assert_true(strtod(buf_text(&text), NULL) == values[i]);
    }
    AUTO_BUF struct buf text = {0};
    number_text(0.1, &text);
    number_text(NAN, &text);
    number_short(1.0 / 3, &text);
    number_short(-INFINITY, &text);
    assert_string_equal(buf_text(&text), "0.1NaN0.333333-Infinity");
}

/* ---- metric lines -----------------------------------------------------------------------------
 */

static void assert_line(const char *tag, const char *value, const char *step, const char *want)
{
    AUTO_BUF struct buf have = {0};
    struct err err = {0};
    if (metric_line(tag, value, step, 1500000, &have, &err) == -1)
        fail_msg("%s", err.msg);
    assert_string_equal(buf_text(&have), want);
}

static void assert_no_line(const char *tag, const char *value, const char *step, const char *words)
{
    AUTO_BUF struct buf have = {0};
    struct err err = {0};
    assert_int_equal(metric_line(tag, value, step, 0, &have, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(have.len, 0);
    assert_non_null(strstr(err.msg, words));
}

static void lines_of_metrics(void **state)
{
    (void)state;
    assert_line("loss", "0.25", "10",
                "{\"tag\": \"loss\", \"value\": 0.25, \"step\": 10, \"time\": 1.500000}\n");
    assert_line("a/\"b\"\n", "-1e-3", NULL,
                "{\"tag\": \"a/\\\"b\\\"\\n\", \"value\": -0.001, \"time\": 1.500000}\n");
    assert_line("x", "nan", "-9223372036854775808",
                "{\"tag\": \"x\", \"value\": NaN, \"step\": -9223372036854775808, \"time\": "
                "1.500000}\n");
    assert_line("x", "-inf", "0",
                "{\"tag\": \"x\", \"value\": -Infinity, \"step\": 0, \"time\": 1.500000}\n");
    assert_line("x", "1e999", "0",
                "{\"tag\": \"x\", \"value\": Infinity, \"step\": 0, \"time\": 1.500000}\n");
    assert_no_line("", "1", NULL, "a tag has 1 to 256 bytes");
    assert_no_line("\xff", "1", NULL, "not UTF-8");
    assert_no_line("x", "", NULL, "not a number");
    assert_no_line("x", " 1", NULL, "not a number");
    assert_no_line("x", "1 ", NULL, "not a number");
    assert_no_line("x", "0x10", NULL, "not a number");
    assert_no_line("x", "nan(1)", NULL, "not a number");
    assert_no_line("x", "1", "1.5", "not a whole number");
    assert_no_line("x", "1", "9223372036854775808", "not a whole number");
}

/* ---- growing files ----------------------------------------------------------------------------
 */

static bool keep(void *ctx, struct str bytes)
{
    buf_add_str(ctx, bytes);
    return true;
}

static void assert_tail(struct tail *t, const char *path, int64_t lines, const char *want)
{
    AUTO_BUF struct buf have = {0};
    struct err err = {0};
    if (tail_read(t, path, lines, keep, &have, &err) == -1)
        fail_msg("%s", err.msg);
    assert_string_equal(buf_text(&have), want);
}

static void the_end_of_a_file_that_grows(void **state)
{
    (void)state;
    char dir[] = "/tmp/flambe-tail-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_FREE char *path = fs_join(dir, "f");
    struct tail t = {0};
    assert_tail(&t, path, TAIL_ALL, "");
    assert_false(t.begun);
    assert_int_equal(fs_write_atomic(path, 0600, STR("one\ntwo\nthree"), NULL), 0);
    assert_tail(&t, path, 2, "two\nthree");
    assert_tail(&t, path, 2, "");
    assert_int_equal(fs_write_atomic(path, 0600, STR("one\ntwo\nthree\nfour\n"), NULL), 0);
    assert_tail(&t, path, 2, "\nfour\n");
    assert_int_equal(fs_write_atomic(path, 0600, STR("anew\n"), NULL), 0);
    assert_tail(&t, path, 2, "anew\n");
    static const struct {
        int64_t lines;
        const char *want;
    } cases[] = {{0, ""}, {1, "anew\n"}, {5, "anew\n"}, {TAIL_ALL, "anew\n"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        t = (struct tail){0};
        assert_tail(&t, path, cases[i].lines, cases[i].want);
    }
    struct buf large = {0};
    for (int i = 0; i < 50000; i++)
        buf_addf(&large, "line %d\n", i);
    assert_int_equal(fs_write_atomic(path, 0600, buf_view(&large), NULL), 0);
    t = (struct tail){0};
    assert_tail(&t, path, 2, "line 49998\nline 49999\n");
    t = (struct tail){0};
    assert_tail(&t, path, 20000, strstr(buf_text(&large), "line 30000\n"));
    t = (struct tail){0};
    assert_tail(&t, path, 50000, buf_text(&large));
    buf_done(&large);
    /* begun again, into a file that is not there yet: what an earlier attempt left is passed over
     */
    usec_t now = clock_wall(clock_system());
    assert_int_equal(fs_write_atomic(path, 0600, STR("earlier\n"), NULL), 0);
    tail_restart(&t, now + USEC_PER_SEC);
    assert_tail(&t, path, TAIL_ALL, "");
    tail_restart(&t, now);
    assert_tail(&t, path, TAIL_ALL, "earlier\n");
    tail_restart(&t, 0);
    assert_tail(&t, path, TAIL_ALL, "earlier\n");
    struct err err = {0};
    assert_int_equal(tail_read(&t, dir, 1, keep, NULL, &err), -1);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void a_programs_line_cannot_move_the_cursor(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"plain\ttext", "plain\ttext"},
        {"\x1b[1;31mred\x1b[0m", "red"},
        {"10%\r20%\r30%\r", "30%"},
        {"a\r", "a"},
        {"\x1b]0;title\ax\x1b]0;t\x1b\\y", "xy"},
        {"\x1b"
         "7x\x1b",
         "x\\x1b"},
        {"\x1b[2", ""},
        {"b\bc\xff", "b\\x08c\\xff"},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_BUF struct buf have = {0};
        tail_clean_line(str_of(cases[i].line), &have);
        assert_string_equal(buf_text(&have), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_quoted_where_they_must_be),
        cmocka_unit_test(a_trial_as_a_row),
        cmocka_unit_test(a_failed_trial_has_its_reason),
        cmocka_unit_test(a_state_of_any_bytes_is_shown),
        cmocka_unit_test(numbers_read_back_as_the_same),
        cmocka_unit_test(lines_of_metrics),
        cmocka_unit_test(the_end_of_a_file_that_grows),
        cmocka_unit_test(a_programs_line_cannot_move_the_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

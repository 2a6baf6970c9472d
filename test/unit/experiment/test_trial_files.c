/* What a trial's directory holds: before its start, between attempts, at its end. */
#include "base/json.h"
#include "experiment/eventfile.h"
#include "experiment/trial_files.h"
#include "place.h"
#include <signal.h>

static struct err err;

static void good(int rc)
{
    if (rc == -1)
        fail_msg("%s", err.msg);
}

static char *directory_of(struct place *p)
{
    return fs_join(p->dir, "stage/x=1_0");
}

/* With one parameter and one option. */
static void begin(struct place *p)
{
    AUTO_FREE char *directory = directory_of(p);
    json_auto_t *params = json_pack("{s:s, s:[i], s:f}", "name", "é", "list", 1, "sum", 0.1 + 0.2);
    json_auto_t *options = json_pack("{s:f}", "x", 0.5), *domains = json_pack("{s:[f]}", "x", 0.5);
    good(trial_files_begin(directory, "stage/x=1_0", params, options, domains, 1000 * USEC_PER_SEC,
                           &err));
}

static bool has(struct place *p, const char *name)
{
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *path = fs_join(directory, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

static void put(struct place *p, const char *name, const char *text)
{
    AUTO_FREE char *in = mem_printf("stage/x=1_0/%s", name);
    free(place_write(p, in, 0600, text));
}

/* "" where there is none; the caller frees. */
static char *get(struct place *p, const char *name)
{
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *path = fs_join(directory, name);
    struct buf text = {0};
    if (fs_read(path, 1 << 20, &text, NULL) == -1)
        return mem_dup("");
    return buf_take(&text);
}

static json_t *result_of(struct place *p)
{
    AUTO_FREE char *text = get(p, "result.json");
    json_t *value = NULL;
    good(json_parse(str_of(text), 1 << 20, &value, &err));
    return value;
}

static struct store_trial ended(enum trial_state state)
{
    return (struct store_trial){.id = 1,
                                .state = state,
                                .attempts = 2,
                                .started = 1000 * USEC_PER_SEC,
                                .ended = 1002 * USEC_PER_SEC + USEC_PER_SEC / 2,
                                .end = (char *)"exited",
                                .user_time = USEC_PER_SEC,
                                .system_time = USEC_PER_SEC / 4,
                                .memory_peak = 4096};
}

static void end(struct place *p, const struct store_trial *t)
{
    AUTO_FREE char *directory = directory_of(p);
    json_auto_t *metrics = json_pack("{s:f}", "loss", 0.25);
    good(trial_files_end(directory, t, metrics, &err));
}

/* The one file that begins with "error_"; the caller frees its text. NULL where there is none. */
static char *error_text(struct place *p, struct buf *name)
{
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *command = mem_printf("cd '%s' && ls error_* 2>/dev/null", directory);
    char line[128] = "";
    FILE *f = popen(command, "re");
    assert_non_null(f);
    bool one = fgets(line, sizeof line, f) != NULL;
    char more[8];
    assert_null(fgets(more, sizeof more, f));
    pclose(f);
    line[strcspn(line, "\n")] = '\0';
    if (name)
        buf_adds(name, line);
    return one ? get(p, line) : NULL;
}

/* ---- before -----------------------------------------------------------------------------------
 */

static void the_directory_is_made_with_the_parameters(void **state)
{
    struct place *p = *state;
    begin(p);
    AUTO_FREE char *text = get(p, "params.json");
    json_t *value = NULL;
    good(json_parse(str_of(text), 1 << 20, &value, &err));
    assert_string_equal(json_text(value, "name"), "é");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(value, "list"), 0)), 1);
    assert_true(json_real_value(json_object_get(value, "sum")) == 0.1 + 0.2); /* bit for bit */
    json_decref(value);
    assert_true(has(p, TRIAL_EVENTS_FILE));
    assert_true(has(p, "checkpoint"));
    assert_false(has(p, "result.json"));
}

static void between_attempts_all_but_errors_is_cleared(void **state)
{
    struct place *p = *state;
    begin(p);
    put(p, "error_2020-01-01_00-00-00_1.txt", "kept");
    put(p, "metrics.jsonl", "{\"loss\": 1}\n");
    put(p, "out/deep/file", "x");
    put(p, ".hidden", "x");
    put(p, "console.out", "x");
    put(p, "result.json", "x");
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *empty = fs_join(directory, "checkpoint");
    assert_int_equal(rmdir(empty), 0);
    put(p, "checkpoint", "no directory");
    begin(p);
    assert_false(has(p, "metrics.jsonl") || has(p, "out") || has(p, ".hidden") ||
                 has(p, "console.out") || has(p, "result.json"));
    assert_int_equal(rmdir(empty), 0); /* it is there again, and empty */
    assert_true(has(p, "params.json"));
    AUTO_FREE char *kept = get(p, "error_2020-01-01_00-00-00_1.txt");
    assert_string_equal(kept, "kept");
}

static void with_a_checkpoint_all_is_kept(void **state)
{
    struct place *p = *state;
    begin(p);
    put(p, "checkpoint/step-3", "weights");
    put(p, "metrics.jsonl", "{}\n");
    put(p, "params.json", "old");
    put(p, TRIAL_EVENTS_FILE, "old");
    begin(p);
    AUTO_FREE char *weights = get(p, "checkpoint/step-3");
    AUTO_FREE char *params = get(p, "params.json");
    assert_string_equal(weights, "weights");
    assert_true(has(p, "metrics.jsonl"));
    assert_string_not_equal(params, "old"); /* flambe's own are new */
    AUTO_FREE char *events = get(p, TRIAL_EVENTS_FILE);
    assert_string_not_equal(events, "old");
}

static void an_empty_checkpoint_goes_at_the_end(void **state)
{
    struct place *p = *state;
    struct store_trial t = ended(TRIAL_SUCCESS);
    begin(p);
    end(p, &t);
    assert_false(has(p, "checkpoint"));
    begin(p);
    put(p, "checkpoint/x", "x");
    end(p, &t);
    assert_true(has(p, "checkpoint/x"));
}

/* A program may link to what is not the trial's. */
static void links_are_removed_and_not_followed(void **state)
{
    struct place *p = *state;
    begin(p);
    AUTO_FREE char *precious = place_write(p, "precious/file", 0600, "precious");
    AUTO_FREE char *outside = fs_join(p->dir, "precious");
    AUTO_FREE char *directory = directory_of(p);
    static const char *const names[] = {"link", "params.json", "sub/link"};
    put(p, "sub/x", "x");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_FREE char *path = fs_join(directory, names[i]);
        unlink(path);
        assert_int_equal(symlink(i == 1 ? precious : outside, path), 0);
    }
    begin(p);
    assert_false(has(p, "link") || has(p, "sub"));
    AUTO_BUF struct buf text = {0};
    good(fs_read(precious, 100, &text, &err));
    assert_string_equal(buf_text(&text), "precious");
}

/* With a checkpoint nothing is cleared: flambe's own files are still not written through a link. */
static void nothing_is_written_through_a_link(void **state)
{
    struct place *p = *state;
    begin(p);
    put(p, "checkpoint/x", "x");
    AUTO_FREE char *precious = place_write(p, "precious", 0600, "precious");
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *path = fs_join(directory, "params.json");
    unlink(path);
    assert_int_equal(symlink(precious, path), 0);
    json_auto_t *params = json_object();
    good(trial_files_begin(directory, "g", params, params, params, 1, &err));
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    AUTO_BUF struct buf text = {0};
    good(fs_read(precious, 100, &text, &err));
    assert_string_equal(buf_text(&text), "precious");
}

/* ---- after ------------------------------------------------------------------------------------
 */

static void a_success_leaves_its_result(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_SUCCESS);
    t.has_objective = true;
    t.objective = 0.25;
    t.host = (char *)"node1";
    end(p, &t);
    json_auto_t *r = result_of(p);
    assert_string_equal(json_text(r, "state"), "success");
    assert_string_equal(json_text(r, "end"), "exited");
    assert_int_equal(json_integer_value(json_object_get(r, "exit_status")), 0);
    assert_int_equal(json_integer_value(json_object_get(r, "attempts")), 2);
    assert_true(json_real_value(json_object_get(r, "seconds")) == 2.5);
    assert_true(json_real_value(json_object_get(r, "user_seconds")) == 1);
    assert_true(json_real_value(json_object_get(r, "system_seconds")) == 0.25);
    assert_int_equal(json_integer_value(json_object_get(r, "memory_peak")), 4096);
    assert_true(json_real_value(json_object_get(r, "objective")) == 0.25);
    assert_true(json_real_value(json_object_get(json_object_get(r, "metrics"), "loss")) == 0.25);
    assert_string_equal(json_text(r, "host"), "node1");
    assert_true(json_is_null(json_object_get(r, "message")));
    assert_true(json_is_null(json_object_get(r, "warning")));
    assert_non_null(strstr(json_text(r, "started"), "1970-01-01"));
    assert_null(error_text(p, NULL));
}

static void a_failure_leaves_its_error_too(void **state)
{
    struct place *p = *state;
    begin(p);
    put(p, TRIAL_CONSOLE_FILE, "Traceback\nValueError: x\n");
    struct store_trial t = ended(TRIAL_FAILURE);
    t.exit_status = 3;
    end(p, &t);
    json_auto_t *r = result_of(p);
    assert_string_equal(json_text(r, "state"), "failure");
    assert_int_equal(json_integer_value(json_object_get(r, "exit_status")), 3);
    assert_true(json_is_null(json_object_get(r, "objective")));
    AUTO_BUF struct buf name = {0};
    AUTO_FREE char *text = error_text(p, &name);
    assert_string_equal(text, "attempt 2: exited with status 3\nTraceback\nValueError: x\n");
    assert_true(str_ends(buf_view(&name), "_2.txt"));
    char want[TRIAL_ERROR_NAME_SIZE]; /* as messages have it */
    trial_files_error_name(&t, want);
    assert_string_equal(buf_text(&name), want);
}

static void a_signal_and_a_message_are_said(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_FAILURE);
    t.end = (char *)"signalled";
    t.exit_status = -1;
    t.signal = SIGKILL;
    t.message = (char *)"the kernel's";
    end(p, &t);
    AUTO_FREE char *text = error_text(p, NULL);
    assert_string_equal(text, "attempt 2: signalled by signal 9 (Killed): the kernel's\n");
}

static void only_the_output_s_end_is_kept(void **state)
{
    struct place *p = *state;
    begin(p);
    AUTO_BUF struct buf console = {0};
    for (int i = 0; i < 20000; i++)
        buf_addf(&console, "line %06d\n", i);
    put(p, TRIAL_CONSOLE_FILE, buf_text(&console));
    struct store_trial t = ended(TRIAL_FAILURE);
    end(p, &t);
    AUTO_FREE char *text = error_text(p, NULL);
    assert_true(str_ends(str_of(text), "line 019999\n"));
    const char *note = strstr(text, "[the last 65536 bytes of console.out]\n");
    assert_non_null(note);
    assert_int_equal(strlen(strchr(note, '\n') + 1), TRIAL_ERROR_TAIL);
}

static void one_to_be_tried_again_has_no_result_yet(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_PENDING);
    end(p, &t);
    assert_false(has(p, "result.json"));
    AUTO_FREE char *text = error_text(p, NULL);
    assert_non_null(text);
}

static void one_that_was_stopped_early_has_a_result_and_no_error(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_STOPPED);
    t.end = (char *)"stopped";
    end(p, &t);
    json_auto_t *r = result_of(p);
    assert_string_equal(json_text(r, "state"), "stopped");
    assert_null(error_text(p, NULL));
}

/* A message that was cut within a letter, a file's name in a warning. */
static void what_is_no_utf8_costs_no_result(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_FAILURE);
    t.message = (char *)"cannot start 'caf\xc3";
    t.warning = (char *)"\xff.tfevents: damaged";
    t.host = (char *)"h\xff";
    end(p, &t);
    json_auto_t *r = result_of(p);
    assert_string_equal(json_text(r, "state"), "failure");
    assert_non_null(strstr(json_text(r, "message"), "cannot start 'caf"));
    assert_non_null(strstr(json_text(r, "warning"), ".tfevents: damaged"));
}

static void numbers_that_json_has_not_are_text(void **state)
{
    struct place *p = *state;
    begin(p);
    struct store_trial t = ended(TRIAL_SUCCESS);
    t.has_objective = true;
    t.objective = __builtin_inf();
    end(p, &t);
    json_auto_t *r = result_of(p);
    assert_string_equal(json_text(r, "objective"), "inf");
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void note_scalar(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    (void)wall;
    buf_addf(ctx, "%.*s@%lld=%g;", STR_FMT(tag), (long long)step, value);
}

static void the_event_file_can_be_read(void **state)
{
    struct place *p = *state;
    AUTO_FREE char *directory = directory_of(p);
    AUTO_FREE char *path = fs_join(directory, TRIAL_EVENTS_FILE);
    struct store_trial t = ended(TRIAL_SUCCESS);
    t.has_objective = true;
    t.objective = 0.5;
    begin(p);
    end(p, &t);
    AUTO_BUF struct buf bytes = {0}, said = {0};
    good(fs_read(path, 1 << 20, &bytes, &err));
    struct eventfile_reader *r = eventfile_reader_new();
    struct eventfile_sink sink = {note_scalar, NULL, &said};
    good(eventfile_reader_add(r, buf_view(&bytes), &sink, &err));
    eventfile_reader_free(r);
    assert_string_equal(buf_text(&said), "objective@0=0.5;");
    assert_non_null(memmem(bytes.data, bytes.len, "_hparams_/session_start_info", 28));
    assert_non_null(memmem(bytes.data, bytes.len, "_hparams_/session_end_info", 26));
    assert_non_null(memmem(bytes.data, bytes.len, "stage/x=1_0", 11));
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_directory_is_made_with_the_parameters),
        T(between_attempts_all_but_errors_is_cleared),
        T(with_a_checkpoint_all_is_kept),
        T(an_empty_checkpoint_goes_at_the_end),
        T(links_are_removed_and_not_followed),
        T(nothing_is_written_through_a_link),
        T(a_success_leaves_its_result),
        T(a_failure_leaves_its_error_too),
        T(a_signal_and_a_message_are_said),
        T(only_the_output_s_end_is_kept),
        T(one_to_be_tried_again_has_no_result_yet),
        T(one_that_was_stopped_early_has_a_result_and_no_error),
        T(what_is_no_utf8_costs_no_result),
        T(numbers_that_json_has_not_are_text),
        T(the_event_file_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

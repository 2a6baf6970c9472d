/* The queue on the disk: each step, and what is left where a process dies between two. */
#include "base/json.h"
#include "base/mem.h"
#include "node/queue.h"
#include "os/fs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define NOW (1700000100 * USEC_PER_SEC)

static char dir[64];
static struct loop *loop;
static struct lock *lock;
static usec_t finished = NOW;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-queue-XXXXXX");
    assert_non_null(mkdtemp(dir));
    loop = loop_new();
    assert_int_equal(queue_lock(loop, dir, &lock, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lock_release(lock);
    loop_free(loop);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    return 0;
}

static char *in_dir(const char *name)
{
    return fs_join(dir, name);
}

static bool is_there(const char *name)
{
    AUTO_FREE char *path = in_dir(name);
    return fs_exists(path);
}

static void put(const char *name, const char *text)
{
    AUTO_FREE char *path = in_dir(name);
    assert_int_equal(fs_write_atomic(path, 0600, str_of(text), NULL), 0);
}

static void drop(const char *name)
{
    AUTO_FREE char *path = in_dir(name);
    assert_int_equal(unlink(path), 0);
}

static char *entry_text(const char *name, const char *secrets)
{
    return mem_printf(
        "{\"version\":1,\"name\":\"%s\",\"file\":\"/f\",\"work\":\"/w\",\"save_path\":"
        "\"/s\",\"engine\":\"local\",\"by\":\"me@laptop\",\"submitted\":1700000000,"
        "\"secrets\":%s%s%s}",
        name, secrets ? "\"" : "", secrets ? secrets : "null", secrets ? "\"" : "");
}

static void read_queue(struct queue *q)
{
    struct err err = {0};
    if (queue_read(dir, q, &err) == -1)
        fail_msg("%s", err.msg);
}

static void add(const char *name, bool ahead, const char *secrets)
{
    struct queue q;
    AUTO_FREE char *text = entry_text(name, secrets), *id = NULL;
    read_queue(&q);
    assert_int_equal(queue_add(&q, ahead, name, str_of(text), &id, NULL), 0);
    queue_done(&q);
}

/* The names in order, with blanks between. */
static void assert_queue(const char *want)
{
    struct queue q;
    AUTO_BUF struct buf have = {0};
    read_queue(&q);
    for (size_t i = 0; i < q.count; i++)
        buf_addf(&have, "%s%s", i ? " " : "", q.items[i].damage ? "?" : q.items[i].entry.name);
    queue_done(&q);
    assert_string_equal(buf_text(&have), want);
}

static void finish_first(enum queue_outcome outcome, const char *reason)
{
    struct queue q;
    struct err err = {0};
    read_queue(&q);
    assert_true(q.count > 0);
    if (queue_finish(&q, &q.items[0], outcome, 3, reason, ++finished, &err) == -1)
        fail_msg("%s", err.msg);
    queue_done(&q);
}

static void entries_keep_their_turns(void **state)
{
    (void)state;
    assert_queue("");
    add("b", false, NULL);
    add("a", false, NULL);
    add("c", true, NULL);
    assert_queue("c b a");
    struct stat st;
    AUTO_FREE char *path = in_dir("1-0000000001-b.json");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct queue q;
    read_queue(&q);
    struct queue_turn turn = {.began = NOW};
    assert_int_equal(queue_put_turn(&q, queue_by_name(&q, "a"), &turn, NULL), 0);
    queue_done(&q);
    assert_queue("a c b"); /* what runs is first, whatever has come since */
}

static void a_turn_is_read_back_with_its_deaths(void **state)
{
    (void)state;
    struct queue q;
    struct queue_turn turn = {.began = NOW};
    add("a", false, NULL);
    read_queue(&q);
    for (int i = 0; i < 7; i++)
        (void)queue_death(&turn, NOW + i * 30 * USEC_PER_SEC);
    assert_int_equal(queue_put_turn(&q, &q.items[0], &turn, NULL), 0);
    assert_int_equal(queue_ask(&q, &q.items[0], QUEUE_REPLACED, "you@laptop", NULL), 0);
    queue_done(&q);
    read_queue(&q);
    assert_true(q.items[0].has_turn);
    assert_memory_equal(&q.items[0].turn, &turn, sizeof turn);
    assert_true(q.items[0].asked);
    assert_int_equal(q.items[0].ask, QUEUE_REPLACED);
    assert_string_equal(q.items[0].asked_by, "you@laptop");
    queue_done(&q);
}

static void one_that_is_over_is_kept_with_what_became_of_it(void **state)
{
    (void)state;
    add("a", false, NULL);
    add("b", false, NULL);
    finish_first(QUEUE_FAILED, "2 trials failed");
    assert_queue("b");
    json_t *over;
    assert_int_equal(queue_outcomes(dir, NULL, 10, &over, NULL), 0);
    assert_int_equal(json_array_size(over), 1);
    const json_t *row = json_array_get(over, 0);
    assert_string_equal(json_text(row, "name"), "a");
    assert_string_equal(json_text(row, "state"), "failed");
    assert_string_equal(json_text(row, "reason"), "2 trials failed");
    assert_string_equal(json_text(row, "by"), "me@laptop");
    assert_int_equal(json_integer_value(json_object_get(row, "exit")), 3);
    json_decref(over);
    add("c", false, NULL); /* its number is a new one all the same */
    assert_true(is_there("1-0000000003-c.json"));
    finish_first(QUEUE_FINISHED, NULL);
    assert_int_equal(queue_outcomes(dir, NULL, 10, &over, NULL), 0);
    assert_string_equal(json_text(json_array_get(over, 0), "name"), "b"); /* the latest first */
    json_decref(over);
    assert_int_equal(queue_outcomes(dir, "a", 10, &over, NULL), 0);
    assert_int_equal(json_array_size(over), 1);
    json_decref(over);
}

static void the_last_outcomes_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < QUEUE_DONE_MAX + 3; i++) {
        add("a", i % 2, NULL);
        finish_first(QUEUE_FINISHED, NULL);
    }
    json_t *over;
    assert_int_equal(queue_outcomes(dir, NULL, 1000, &over, NULL), 0);
    assert_int_equal(json_array_size(over), QUEUE_DONE_MAX);
    json_decref(over);
    assert_false(is_there("done/0-0000000002-a.json") || is_there("done/1-0000000003-a.json"));
    assert_true(is_there("done/0-0000000004-a.json"));
}

static void secrets_go_with_the_last_that_needs_them(void **state)
{
    (void)state;
    put("a.ini", "[a]\nb=c\n");
    AUTO_FREE char *secrets = in_dir("a.ini");
    add("a", false, secrets);
    add("a2", false, secrets);
    finish_first(QUEUE_REPLACED, NULL);
    assert_true(is_there("a.ini"));
    finish_first(QUEUE_FINISHED, NULL);
    assert_false(is_there("a.ini"));
}

/* ---- deaths between two steps -----------------------------------------------------------------
 */

static void one_that_is_in_done_too_is_over(void **state)
{
    (void)state;
    add("a", false, NULL);
    add("b", false, NULL);
    put("1-0000000001-a.turn", "{}");
    put("done/1-0000000001-a.json", "{}");
    assert_queue("b");
    assert_int_equal(queue_clean(dir, NULL), 0);
    assert_false(is_there("1-0000000001-a.json") || is_there("1-0000000001-a.turn"));
    assert_true(is_there("done/1-0000000001-a.json"));
    assert_queue("b");
}

static void what_belongs_to_no_entry_is_swept(void **state)
{
    (void)state;
    add("a", false, NULL);
    put("1-0000000007-gone.turn", "{}");
    put("1-0000000007-gone.ask", "{}");
    put("1-0000000008-half.json.0123abcd.tmp", "{\"vers");
    put("done/1-0000000008-half.json.0123abcd.tmp", "{\"vers");
    put("1-0000000001-a.turn", "not JSON");
    put("mine.txt", "");
    assert_queue("a");
    assert_int_equal(queue_clean(dir, NULL), 0);
    assert_false(is_there("1-0000000007-gone.turn") || is_there("1-0000000007-gone.ask"));
    assert_false(is_there("1-0000000008-half.json.0123abcd.tmp"));
    assert_false(is_there("done/1-0000000008-half.json.0123abcd.tmp"));
    assert_true(is_there("mine.txt")); /* is somebody's */
    struct queue q;
    read_queue(&q);
    assert_true(q.items[0].has_turn); /* its file is there */
    assert_int_equal(q.items[0].turn.death_count, 0);
    queue_done(&q);
}

static void a_damaged_entry_has_its_turn_and_fails(void **state)
{
    (void)state;
    put("1-0000000001-a.json", "{\"version\":1");
    AUTO_FREE char *other = entry_text("other", NULL);
    put("1-0000000002-b.json", other);
    add("c", false, NULL);
    assert_queue("? ? c");
    struct queue q;
    read_queue(&q);
    assert_non_null(strstr(q.items[0].damage, "malformed JSON"));
    assert_non_null(strstr(q.items[1].damage, "of 'other'"));
    AUTO_FREE char *why = mem_dup(q.items[0].damage);
    json_auto_t *shown = queue_item_json(&q.items[0]);
    assert_non_null(shown);
    queue_done(&q);
    finish_first(QUEUE_FAILED, why);
    assert_queue("? c");
    drop("1-0000000002-b.json");
    assert_queue("c");
}

static void a_reason_that_is_no_text_is_cut_there(void **state)
{
    (void)state;
    add("a", false, NULL);
    finish_first(QUEUE_FAILED, "bad \xff byte");
    json_t *over;
    assert_int_equal(queue_outcomes(dir, "a", 1, &over, NULL), 0);
    assert_string_equal(json_text(json_array_get(over, 0), "reason"), "bad ");
    json_decref(over);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(entries_keep_their_turns),
        T(a_turn_is_read_back_with_its_deaths),
        T(one_that_is_over_is_kept_with_what_became_of_it),
        T(the_last_outcomes_are_kept),
        T(secrets_go_with_the_last_that_needs_them),
        T(one_that_is_in_done_too_is_over),
        T(what_belongs_to_no_entry_is_swept),
        T(a_damaged_entry_has_its_turn_and_fails),
        T(a_reason_that_is_no_text_is_cut_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

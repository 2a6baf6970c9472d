/* What trials report: event files and JSON lines that grow, vanish, shrink, and are damaged. */
#include "base/mem.h"
#include "experiment/eventfile.h"
#include "experiment/jsonlines.h"
#include "experiment/metrics.h"
#include "os/fs.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define OWN "events.out.tfevents.0.flambe"

static char dir[64];
static struct metrics_reader *reader;
static struct buf notes;

static void note_point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    (void)ctx;
    buf_addf(&notes, "%.*s %lld %g", STR_FMT(tag), (long long)step, value);
    if (wall)
        buf_addf(&notes, " @%lld", (long long)wall);
    buf_adds(&notes, "\n");
}

static void note_purge(void *ctx, int64_t step)
{
    (void)ctx;
    buf_addf(&notes, "purge %lld\n", (long long)step);
}

static void note_damage(void *ctx, const char *what)
{
    (void)ctx;
    buf_addf(&notes, "damage: %s\n", what);
}

static const struct metrics_sink sink = {note_point, note_purge, note_damage, NULL};

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/flambe-metrics-XXXXXX");
    assert_non_null(mkdtemp(dir));
    reader = metrics_reader_new(dir, OWN, METRICS_FILE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    metrics_reader_free(reader);
    buf_done(&notes);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    return 0;
}

static void expect_at(bool final, const char *want)
{
    buf_clear(&notes);
    metrics_reader_poll(reader, final, &sink);
    assert_string_equal(buf_text(&notes), want);
}

#define expect(want) expect_at(false, want)

static void put(const char *name, struct str bytes, int flags)
{
    AUTO_FREE char *path = fs_join(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(fd >= 0);
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        assert_true(n > 0);
        bytes = (struct str){bytes.p + n, bytes.n - (size_t)n};
    }
    close(fd);
}

static void append(const char *name, const char *text)
{
    put(name, str_of(text), O_APPEND);
}

static void append_scalar(const char *name, const char *tag, int64_t step, double value)
{
    AUTO_BUF struct buf b = {0};
    eventfile_scalar(0, step, str_of(tag), value, &b);
    put(name, buf_view(&b), O_APPEND);
}

static void make_folder(const char *name)
{
    AUTO_FREE char *path = fs_join(dir, name);
    assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
}

/* Polls until even a folder with an unchanged mtime has been looked through. */
static void expect_soon(const char *want)
{
    buf_clear(&notes);
    for (int i = 0; i < 20; i++)
        metrics_reader_poll(reader, false, &sink);
    assert_string_equal(buf_text(&notes), want);
}

/* ---- event files -------------------------------------------------------------------------- */

static void a_file_that_grows(void **state)
{
    (void)state;
    expect("");
    append_scalar("events.out.tfevents.1", "loss", 0, 0.5);
    expect_soon("loss 0 0.5\n");
    expect("");
    AUTO_BUF struct buf b = {0};
    eventfile_scalar(0, 1, STR("loss"), 0.25, &b);
    for (size_t i = 0; i + 1 < b.len; i++) {
        put("events.out.tfevents.1", (struct str){b.data + i, 1}, O_APPEND);
        expect("");
    }
    put("events.out.tfevents.1", (struct str){b.data + b.len - 1, 1}, O_APPEND);
    expect("loss 1 0.25\n");
    expect_at(true, "");
}

static void nothing_is_there(void **state)
{
    (void)state;
    struct metrics_reader *r = metrics_reader_new("/nonexistent/flambe", OWN, METRICS_FILE);
    buf_clear(&notes);
    metrics_reader_poll(r, false, &sink);
    metrics_reader_poll(r, true, &sink);
    assert_string_equal(buf_text(&notes), "");
    metrics_reader_free(r);
    metrics_reader_free(NULL);
}

static void more_than_a_chunk(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0}, lines = {0}, want = {0};
    for (int i = 0; i < 20000; i++) {
        eventfile_scalar(0, i, STR("e"), i, &b);
        buf_addf(&want, "e %d %d\n", i, i);
    }
    for (int i = 0; i < 20000; i++) {
        buf_addf(&lines, "{\"step\": %d, \"l\": %d}\n", i, i);
        buf_addf(&want, "l %d %d\n", i, i);
    }
    put("x.tfevents", buf_view(&b), 0);
    put(METRICS_FILE, buf_view(&lines), 0);
    assert_true(b.len > 600000 && lines.len > 400000);
    expect(buf_text(&want));
}

static void files_by_name_and_folders_in_front(void **state)
{
    (void)state;
    make_folder("sub/deep");
    append_scalar("b.tfevents.2", "loss", 2, 2);
    append_scalar("b.tfevents.1", "loss", 1, 1);
    append_scalar("sub/tfevents", "loss", 3, 3);
    append_scalar("sub/deep/tfevents", "acc", 4, 4);
    append_scalar(OWN, "loss", 9, 9);
    append_scalar("other.txt", "loss", 9, 9);
    expect("loss 1 1\nloss 2 2\nsub/deep/acc 4 4\nsub/loss 3 3\n");
    append_scalar("sub/" OWN, "loss", 5, 5); /* only beside the trial's other files is it ours */
    expect_at(true, "sub/loss 5 5\n");
}

static void folders_have_a_bottom(void **state)
{
    (void)state;
    make_folder("1/2/3/4/5");
    append_scalar("1/2/3/4/tfevents", "in", 0, 0);
    append_scalar("1/2/3/4/5/tfevents", "out", 0, 0);
    expect("1/2/3/4/in 0 0\n");
}

static void links_are_not_followed(void **state)
{
    (void)state;
    make_folder("real");
    append_scalar("real/tfevents", "a", 0, 0);
    AUTO_FREE char *folder = fs_join(dir, "link");
    AUTO_FREE char *file = fs_join(dir, "linked.tfevents");
    AUTO_FREE char *fifo = fs_join(dir, "fifo.tfevents");
    assert_int_equal(symlink("real", folder), 0);
    assert_int_equal(symlink("real/tfevents", file), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect("real/a 0 0\n");
    /* A folder that became a link. */
    AUTO_FREE char *real = fs_join(dir, "real");
    AUTO_FREE char *moved = fs_join(dir, "moved");
    assert_int_equal(rename(real, moved), 0);
    assert_int_equal(symlink("moved", real), 0);
    append_scalar("moved/tfevents", "a", 1, 1);
    expect_at(true, "moved/a 0 0\nmoved/a 1 1\n");
}

static void damage_is_told_once(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0};
    eventfile_scalar(0, 0, STR("a"), 0, &b);
    size_t first = b.len;
    eventfile_scalar(0, 1, STR("a"), 1, &b);
    b.data[b.len - 1] ^= 1;
    put("e\n.tfevents", buf_view(&b), 0);
    append_scalar("f.tfevents", "b", 0, 0);
    AUTO_FREE char *want =
        mem_printf("a 0 0\ndamage: e?.tfevents: bad checksum at byte %zu; the rest is left out\n"
                   "b 0 0\n",
                   first);
    expect(want);
    append_scalar("e\n.tfevents", "a", 2, 2);
    append_scalar("f.tfevents", "b", 1, 1);
    expect("b 1 1\n");
}

static void a_file_begun_again(void **state)
{
    (void)state;
    append_scalar("tfevents", "a", 0, 0);
    append_scalar("tfevents", "a", 1, 1);
    append(METRICS_FILE, "{\"x\": 1}\n{\"x\": 2}\n");
    expect("a 0 0\na 1 1\nx 0 1\nx 1 2\n");
    put("tfevents", STR(""), O_TRUNC);
    put(METRICS_FILE, STR("{\"x\": 5}\n"), O_TRUNC);
    append_scalar("tfevents", "a", 0, 7);
    expect("a 0 7\nx 0 5\n");
    append_scalar("new", "a", 0, 8);
    append_scalar("new", "a", 1, 9);
    put("new.jsonl", STR("{\"x\": 6}\n{\"x\": 7}\n"), 0);
    AUTO_FREE char *from = fs_join(dir, "new"), *to = fs_join(dir, "tfevents");
    AUTO_FREE char *from_lines = fs_join(dir, "new.jsonl"), *to_lines = fs_join(dir, METRICS_FILE);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(rename(from_lines, to_lines), 0);
    expect("a 0 8\na 1 9\nx 0 6\nx 1 7\n");
    assert_int_equal(unlink(to), 0);
    assert_int_equal(unlink(to_lines), 0);
    expect("");
    append_scalar("tfevents", "a", 3, 3);
    append(METRICS_FILE, "{\"x\": 8}\n");
    expect_at(true, "a 3 3\nx 0 8\n");
}

static void restarts_void_only_what_is_theirs(void **state)
{
    (void)state;
    AUTO_BUF struct buf b = {0};
    eventfile_begin(0, &b);
    put("tfevents", buf_view(&b), 0);
    AUTO_FREE char *corpus = fs_join(SOURCE_ROOT, "test/fuzz/corpus/event/restart");
    AUTO_BUF struct buf restart = {0};
    assert_int_equal(fs_read(corpus, 4096, &restart, NULL), 0);
    put("tfevents", buf_view(&restart), O_APPEND);
    expect("purge 5\nloss 5 1 @1700000005000000\n");
    make_folder("sub");
    put("sub/tfevents", buf_view(&restart), 0);
    expect_at(true, "sub/loss 5 1 @1700000005000000\n");
}

static void a_restart_among_folders(void **state)
{
    (void)state;
    AUTO_FREE char *corpus = fs_join(SOURCE_ROOT, "test/fuzz/corpus/event/restart");
    AUTO_BUF struct buf restart = {0};
    assert_int_equal(fs_read(corpus, 4096, &restart, NULL), 0);
    make_folder("a");
    put("a/tfevents", buf_view(&restart), 0);
    expect("purge 5\na/loss 5 1 @1700000005000000\n");
    make_folder("b");
    put("b/tfevents", buf_view(&restart), 0);
    expect_at(true, "b/loss 5 1 @1700000005000000\n");
}

/* A second file within one tick of the file system's clock. */
static void a_folder_whose_time_stands_still(void **state)
{
    (void)state;
    struct stat st;
    append_scalar("1.tfevents", "a", 0, 0);
    expect("a 0 0\n");
    assert_int_equal(stat(dir, &st), 0);
    append_scalar("2.tfevents", "a", 1, 1);
    assert_int_equal(utimensat(AT_FDCWD, dir, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
    expect_soon("a 1 1\n");
    append_scalar("3.tfevents", "a", 2, 2);
    assert_int_equal(utimensat(AT_FDCWD, dir, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
    expect_at(true, "a 2 2\n");
}

static void a_file_that_comes_back(void **state)
{
    (void)state;
    AUTO_FREE char *file = fs_join(dir, "tfevents"), *lines = fs_join(dir, METRICS_FILE);
    AUTO_FREE char *away = fs_join(dir, "1"), *lines_away = fs_join(dir, "2");
    append_scalar("tfevents", "a", 0, 0);
    append(METRICS_FILE, "{\"x\": 1}\n");
    expect("a 0 0\nx 0 1\n");
    assert_int_equal(rename(file, away), 0);
    assert_int_equal(rename(lines, lines_away), 0);
    expect("");
    assert_int_equal(rename(away, file), 0);
    assert_int_equal(rename(lines_away, lines), 0);
    expect_at(true, "a 0 0\nx 0 1\n");
}

static void too_many_files(void **state)
{
    (void)state;
    for (int i = 0; i < METRICS_FILES_MAX + 2; i++) {
        AUTO_FREE char *name = mem_printf("tfevents.%04d", i);
        append_scalar(name, "a", 0, 0);
    }
    buf_clear(&notes);
    metrics_reader_poll(reader, false, &sink);
    size_t points = 0, told = 0;
    struct str rest = buf_view(&notes);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        points += str_is(line, "a 0 0");
        told += str_ends(line, ": more event files than the 1000 allowed; the rest is left out");
    }
    assert_int_equal(points, METRICS_FILES_MAX);
    assert_int_equal(told, 1);
    expect_at(true, "");
}

static void names_have_a_length(void **state)
{
    (void)state;
    char tag[METRICS_TAG_MAX + 2];
    memset(tag, 'x', sizeof tag);
    tag[METRICS_TAG_MAX] = '\0';
    append_scalar("tfevents", tag, 0, 1);
    AUTO_FREE char *want = mem_printf("%s 0 1\n", tag);
    expect(want);
    tag[METRICS_TAG_MAX] = 'x';
    tag[METRICS_TAG_MAX + 1] = '\0';
    append_scalar("tfevents", tag, 1, 1);
    append_scalar("tfevents", tag, 2, 1);
    append_scalar("tfevents", "", 3, 1);
    append_scalar("tfevents", "a", 3, 1);
    expect("damage: tfevents: a metric whose name is longer than 256 bytes is left out\na 3 1\n");
}

/* ---- JSON lines --------------------------------------------------------------------------- */

static void expect_lines(const char *text, const char *want)
{
    metrics_reader_free(reader);
    reader = metrics_reader_new(dir, OWN, METRICS_FILE);
    put(METRICS_FILE, str_of(text), O_TRUNC);
    expect(want);
    expect_at(true, "");
}

static void forms_of_lines(void **state)
{
    (void)state;
    expect_lines("{\"step\": 3, \"loss\": 0.5, \"acc\": 1}\n", "loss 3 0.5\nacc 3 1\n");
    expect_lines("{\"tag\": \"loss\", \"value\": 0.5, \"step\": 3}\r\n", "loss 3 0.5\n");
    expect_lines("{\"tag\": \"train\", \"loss\": 2}\n", "loss 0 2\n"); /* a text, not a tag */
    expect_lines("{\"value\": 2, \"epoch\": 1}\n", "value 0 2\nepoch 0 1\n");
    expect_lines("{\"a\": true, \"b\": null, \"c\": \"1\", \"d\": [1], \"e\": {\"f\": 1}}\n", "");
    expect_lines("{\"a\": 1, \"time\": 1.5}\n{\"a\": 2, \"wall_time\": 2}\n", "a 0 1 @1500000\n"
                                                                              "a 1 2 @2000000\n");
    expect_lines("{\"a\": 1, \"step\": 4.0}\n{\"a\": 1, \"step\": null}\n", "a 4 1\na 5 1\n");
    expect_lines("\n  \n{}\n{\"a\": -1e-3}\n", "a 0 -0.001\n");
    expect_lines("{\"a\": 1, \"step\": -5}\n{\"a\": 1}\n{\"b\": 1}\n", "a -5 1\na -4 1\nb 0 1\n");
}

static void numbers_of_python(void **state)
{
    (void)state;
    expect_lines("{\"a\": NaN, \"b\": Infinity, \"c\": -Infinity, \"d\": 1}\n",
                 "a 0 nan\nb 0 inf\nc 0 -inf\nd 0 1\n");
    expect_lines("{\"NaN\": 1, \"x\": \"\\\"NaN\", \"Infinity\": NaN}\n",
                 "NaN 0 1\nInfinity 0 nan\n");
    expect_lines("{\"tag\": \"NaN\", \"value\": NaN}\n", "NaN 0 nan\n");
    expect_lines("{\"tag\": NaN, \"value\": 1}\n", "tag 0 nan\nvalue 0 1\n");
    expect_lines("{\"a\": \"\\u0000n\", \"b\": NaN}\n",
                 "damage: metrics.jsonl: line 1 is left out: malformed JSON\n");
    expect_lines("{\"a\": \"\\\\u0000n\", \"b\": NaN}\n", "b 0 nan\n");
    expect_lines("{\"a\": NaNa}\n", "damage: metrics.jsonl: line 1 is left out: malformed JSON\n");
    expect_lines("{\"step\": NaN, \"a\": 1}\n",
                 "damage: metrics.jsonl: line 1 is left out: 'step' is not a whole number\n");
}

static void malformed_lines(void **state)
{
    (void)state;
    expect_lines("{\"a\": 1}\n{\"a\": 2,}\nno\n{\"a\": 3}\n",
                 "a 0 1\ndamage: metrics.jsonl: line 2 is left out: malformed JSON at column 9\n"
                 "a 1 3\n");
    static const char *const bad[] = {"{\"a\": 1, \"a\": 2}", "{\"a\": 1} x", "\"\\ud800\"",
                                      "{\"a\": 1e999}", "\xff"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO_FREE char *text = mem_printf("%s\n{\"a\": 1}\n", bad[i]);
        metrics_reader_free(reader);
        reader = metrics_reader_new(dir, OWN, METRICS_FILE);
        put(METRICS_FILE, str_of(text), O_TRUNC);
        buf_clear(&notes);
        metrics_reader_poll(reader, true, &sink);
        assert_true(str_starts(buf_view(&notes), "damage: metrics.jsonl: line 1 is left out: "));
        assert_true(str_ends(buf_view(&notes), "\na 0 1\n"));
    }
    expect_lines("[1]\n", "damage: metrics.jsonl: line 1 is left out: not an object\n");
    expect_lines("{\"a\": 1, \"step\": 1.5}\n",
                 "damage: metrics.jsonl: line 1 is left out: 'step' is not a whole number\n");
    expect_lines("{\"a\": 1, \"step\": true}\n",
                 "damage: metrics.jsonl: line 1 is left out: 'step' is not a whole number\n");
}

static void a_line_in_pieces(void **state)
{
    (void)state;
    append(METRICS_FILE, "{\"a\": ");
    expect("");
    append(METRICS_FILE, "1}");
    expect("");
    append(METRICS_FILE, "\n{\"a\": 2");
    expect("a 0 1\n");
    append(METRICS_FILE, "2}");
    expect("");
    expect_at(true, "a 1 22\n");
    expect_at(true, "");
}

static void a_last_line_that_is_cut(void **state)
{
    (void)state;
    append(METRICS_FILE, "{\"a\": 1}\n{\"a\": ");
    expect("a 0 1\n");
    expect_at(true, "damage: metrics.jsonl: line 2 is left out: malformed JSON at column 5\n");
}

static void long_lines(void **state)
{
    (void)state;
    AUTO_BUF struct buf line = {0};
    buf_adds(&line, "{\"a\": 1, \"b\": \"");
    while (line.len < JSONLINES_LINE_MAX - 2)
        buf_addc(&line, 'x');
    buf_adds(&line, "\"}\n");
    put(METRICS_FILE, (struct str){line.data, line.len - 1}, O_APPEND); /* of the maximum */
    expect("");
    append(METRICS_FILE, "\n");
    expect("a 0 1\n");
    line.data[line.len - 3] = 'x';
    line.data[line.len - 1] = '"';
    buf_adds(&line, "}\n");
    put(METRICS_FILE, (struct str){line.data, line.len - 1}, O_APPEND);
    expect("");
    AUTO_FREE char *more = mem_alloc(1 << 20);
    memset(more, 'y', (1 << 20) - 1);
    append(METRICS_FILE, more);
    expect("");
    append(METRICS_FILE, "\n{\"a\": 2}\n");
    expect(
        "damage: metrics.jsonl: line 2 is left out: it is longer than the 64 KiB allowed\na 1 2\n");
    append(METRICS_FILE, more);
    append(METRICS_FILE, "\n{\"a\": 3}\n");
    append(METRICS_FILE, more);
    expect_at(true, "a 2 3\n");
}

/* A trial that writes much does not keep the others waiting, and one that writes a file of holes
 * does not keep the run. */
static void much_is_read_in_pieces(void **state)
{
    (void)state;
    size_t n = 60000;
    AUTO_FREE char *blank = mem_alloc(n + 1);
    memset(blank, ' ', n);
    blank[n - 1] = '\n';
    for (size_t at = 0; at <= (size_t)METRICS_POLL_MAX + (1 << 20); at += n)
        append(METRICS_FILE, blank);
    append(METRICS_FILE, "{\"a\": 1}\n");
    expect("");
    expect("a 0 1\n");
    expect("");
    for (size_t at = 0; at <= (size_t)METRICS_POLL_MAX + (1 << 20); at += n)
        append(METRICS_FILE, blank);
    append(METRICS_FILE, "{\"a\": 2}\n");
    expect_at(true, "a 1 2\n");
    AUTO_FREE char *path = fs_join(dir, METRICS_FILE);
    assert_int_equal(truncate(path, METRICS_LINES_MAX + 10 * METRICS_POLL_MAX), 0);
    append(METRICS_FILE, "\n{\"a\": 3}\n");
    expect_at(true, "damage: metrics.jsonl: longer than the 1 GiB allowed; the rest is left out\n");
    expect_at(true, "");
}

static void much_of_an_event_file_too(void **state)
{
    (void)state;
    AUTO_BUF struct buf many = {0};
    size_t count = 0;
    for (; many.len <= (size_t)METRICS_POLL_MAX; count++)
        eventfile_scalar(0, (int64_t)count, STR("a"), 1, &many);
    put("tfevents.1", buf_view(&many), O_APPEND);
    size_t told = 0;
    for (int polls = 0; polls < 2; polls++) {
        buf_clear(&notes);
        metrics_reader_poll(reader, false, &sink);
        assert_null(strstr(buf_text(&notes), "damage"));
        for (const char *p = buf_text(&notes); (p = strchr(p, '\n')); p++)
            told++;
        assert_true((told < count) == (polls == 0) && told > 0);
    }
    assert_int_equal(told, count);
}

/* Of a folder with many files a new event file is found all the same. */
static void a_folder_of_many_files(void **state)
{
    (void)state;
    make_folder("many");
    for (int i = 0; i <= METRICS_ENTRIES_OFTEN; i++) {
        AUTO_FREE char *name = mem_printf("many/%d", i);
        put(name, STR(""), 0);
    }
    expect("");
    append_scalar("many/tfevents", "a", 1, 2);
    expect_soon("many/a 1 2\n");
    append_scalar("many/tfevents.2", "b", 1, 2);
    expect_at(true, "many/b 1 2\n");
}

static void lines_elsewhere(void **state)
{
    (void)state;
    metrics_reader_free(reader);
    reader = metrics_reader_new(dir, OWN, "logs/my.tfevents");
    make_folder("logs/real");
    append("logs/real/file", "{\"a\": 1}\n");
    append(METRICS_FILE, "{\"a\": 2}\n");
    AUTO_FREE char *link_path = fs_join(dir, "logs/my.tfevents");
    assert_int_equal(symlink("real/file", link_path), 0);
    expect("a 0 1\n");
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(mkfifo(link_path, 0600), 0);
    expect("damage: logs/my.tfevents: not a regular file\n");
    expect_at(true, "");
}

static void many_tags(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = {0};
    for (int i = 0; i < JSONLINES_TAGS_MAX + 5; i++)
        buf_addf(&text, "{\"t%d\": 1}\n", i);
    buf_adds(&text, "{\"t0\": 2}\n");
    put(METRICS_FILE, buf_view(&text), 0);
    buf_clear(&notes);
    metrics_reader_poll(reader, true, &sink);
    assert_true(str_ends(buf_view(&notes),
                         "t9999 0 1\ndamage: metrics.jsonl: line 10001 is left out: more metrics "
                         "than are read from one file\nt0 1 2\n"));
}

static void objectives_have_room_among_many_tags(void **state)
{
    (void)state;
    metrics_reader_keep(reader, "acc");
    metrics_reader_keep(reader, "loss");
    metrics_reader_keep(reader, "loss");
    metrics_reader_keep(reader, NULL);
    AUTO_BUF struct buf lines = {0};
    for (int i = 0; i < METRICS_TAGS_MAX + 5; i++) {
        AUTO_FREE char *tag = mem_printf("t%d", i);
        append_scalar("x.tfevents", tag, 0, 1);
        buf_addf(&lines, "{\"t%d\": 2}\n", i);
    }
    append_scalar("x.tfevents", "loss", 0, 0.5);
    buf_adds(&lines, "{\"acc\": 0.25}\n");
    for (int i = 0; i < 2; i++) { /* the second file takes the first one's place */
        AUTO_FREE char *path = fs_join(dir, METRICS_FILE);
        assert_int_equal(fs_write_atomic(path, 0600, buf_view(&lines), NULL), 0);
        buf_clear(&notes);
        metrics_reader_poll(reader, true, &sink);
        assert_true(str_ends(buf_view(&notes),
                             "t9997 0 2\ndamage: metrics.jsonl: line 9999 is left "
                             "out: more metrics than are read from one file\n"
                             "acc 0 0.25\n"));
        const char *told = strstr(buf_text(&notes), "t9997 0 1\ndamage: x.tfevents: more different "
                                                    "metrics than the 10000 allowed; the others "
                                                    "are left out\nloss 0 0.5\n");
        assert_true(i == 0 ? told != NULL : told == NULL);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_grows),
        TEST(nothing_is_there),
        TEST(more_than_a_chunk),
        TEST(files_by_name_and_folders_in_front),
        TEST(folders_have_a_bottom),
        TEST(links_are_not_followed),
        TEST(damage_is_told_once),
        TEST(a_file_begun_again),
        TEST(restarts_void_only_what_is_theirs),
        TEST(a_restart_among_folders),
        TEST(a_folder_whose_time_stands_still),
        TEST(a_file_that_comes_back),
        TEST(too_many_files),
        TEST(names_have_a_length),
        TEST(forms_of_lines),
        TEST(numbers_of_python),
        TEST(malformed_lines),
        TEST(a_line_in_pieces),
        TEST(a_last_line_that_is_cut),
        TEST(long_lines),
        TEST(much_is_read_in_pieces),
        TEST(much_of_an_event_file_too),
        TEST(a_folder_of_many_files),
        TEST(lines_elsewhere),
        TEST(many_tags),
        TEST(objectives_have_room_among_many_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

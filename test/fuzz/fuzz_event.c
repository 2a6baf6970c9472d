/* Any bytes as an event file, as one record of it with good checksums, and as JSON lines: what they
 * say does not depend on the pieces in which they come. */
#include "base/mem.h"
#include "experiment/crc32c.h"
#include "experiment/eventfile.h"
#include "experiment/jsonlines.h"
#include "experiment/protowire.h"
#include "fuzz.h"
#include <string.h>

/* All that a sink was told, as one number. */
struct told {
    uint64_t sum, points, damages;
};

static void add(struct told *t, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        t->sum = (t->sum ^ ((const uint8_t *)p)[i]) * 0x100000001b3;
}

static void point(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    struct told *t = ctx;
    FUZZ_CHECK(str_is_utf8(tag, NULL));
    FUZZ_CHECK(wall >= 0);
    t->points++;
    add(t, tag.p, tag.n);
    add(t, &step, sizeof step);
    add(t, &wall, sizeof wall);
    if (value == value) /* NaN has many forms */
        add(t, &value, sizeof value);
}

static void restart(void *ctx, int64_t step)
{
    add(ctx, &step, sizeof step);
}

static void damage(void *ctx, const char *what)
{
    struct told *t = ctx;
    FUZZ_CHECK(*what);
    t->damages++;
    add(t, what, strlen(what));
}

static struct told read_events(struct str bytes, size_t piece)
{
    struct told told = {0};
    const struct eventfile_sink sink = {point, restart, &told};
    struct eventfile_reader *r = eventfile_reader_new();
    while (bytes.n) {
        struct err err = {0};
        size_t n = piece < bytes.n ? piece : bytes.n;
        if (eventfile_reader_add(r, (struct str){bytes.p, n}, &sink, &err) == -1) {
            FUZZ_CHECK(err.code == ERR_PARSE);
            damage(&told, err.msg);
        }
        bytes = (struct str){bytes.p + n, bytes.n - n};
    }
    eventfile_reader_free(r);
    FUZZ_CHECK(told.damages <= 1);
    return told;
}

/* The file grows by `piece` bytes at a time. */
static struct told read_lines(struct str bytes, size_t piece)
{
    struct told told = {0};
    const struct metrics_sink sink = {point, restart, damage, &told};
    struct jsonlines *l = jsonlines_new("m");
    size_t at = 0, end = 0;
    while (end < bytes.n) {
        end = bytes.n - end > piece ? end + piece : bytes.n;
        struct str there = {bytes.p + at, end - at};
        size_t taken = jsonlines_add(l, there, end == bytes.n, &sink);
        FUZZ_CHECK(taken <= there.n);
        at += taken;
    }
    FUZZ_CHECK(at == bytes.n);
    jsonlines_free(l);
    return told;
}

static void check_same(const struct told *a, const struct told *b)
{
    FUZZ_CHECK(a->sum == b->sum && a->points == b->points && a->damages == b->damages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    AUTO_BUF struct buf record = {0};
    wire_put_le64(&record, size);
    wire_put_le32(&record, crc32c_masked(buf_view(&record)));
    buf_add_str(&record, bytes);
    wire_put_le32(&record, crc32c_masked(bytes));
    static const size_t pieces[] = {1, 13};
    struct told whole = read_events(bytes, SIZE_MAX);
    struct told one = read_events(buf_view(&record), SIZE_MAX);
    struct told lines = read_lines(bytes, SIZE_MAX);
    for (size_t i = 0; i < COUNT_OF(pieces) && size < 4096; i++) {
        struct told again = read_events(bytes, pieces[i]);
        check_same(&whole, &again);
        again = read_events(buf_view(&record), pieces[i]);
        check_same(&one, &again);
        again = read_lines(bytes, pieces[i]);
        check_same(&lines, &again);
    }
    return 0;
}

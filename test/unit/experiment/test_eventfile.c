/* Event files: published checksums, records in pieces, tensors, damage, and what is written. */
#include "base/mem.h"
#include "experiment/crc32c.h"
#include "experiment/eventfile.h"
#include "experiment/protowire.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

/* ---- a sink that writes down -------------------------------------------------------------- */

static void note_scalar(void *ctx, struct str tag, int64_t step, usec_t wall, double value)
{
    buf_addf(ctx, "%.*s %lld %lld %.17g\n", STR_FMT(tag), (long long)step, (long long)wall, value);
}

static void note_restart(void *ctx, int64_t step)
{
    buf_addf(ctx, "restart %lld\n", (long long)step);
}

static struct eventfile_sink noting(struct buf *notes)
{
    return (struct eventfile_sink){note_scalar, note_restart, notes};
}

/* Reads in pieces of `piece` bytes; the notes, and a line for damage. */
static void read_pieces(struct str file, size_t piece, struct buf *notes)
{
    struct eventfile_reader *r = eventfile_reader_new();
    struct eventfile_sink sink = noting(notes);
    while (file.n) {
        size_t n = piece < file.n ? piece : file.n;
        struct err err = {0};
        /* A copy of its own, so that a sanitizer sees a read behind the end. */
        AUTO_FREE char *copy = mem_alloc(n);
        memcpy(copy, file.p, n);
        if (eventfile_reader_add(r, (struct str){copy, n}, &sink, &err) == -1) {
            assert_int_equal(err.code, ERR_PARSE);
            buf_addf(notes, "damage: %s\n", err.msg);
        }
        file = (struct str){file.p + n, file.n - n};
    }
    eventfile_reader_free(r);
}

static void expect(struct str file, const char *want)
{
    static const size_t pieces[] = {1, 3, 12, 17, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        AUTO_BUF struct buf notes = {0};
        read_pieces(file, pieces[i], &notes);
        assert_string_equal(buf_text(&notes), want);
    }
}

/* ---- files by hand ------------------------------------------------------------------------ */

static void add_record(struct buf *file, struct str event)
{
    AUTO_BUF struct buf length = {0};
    wire_put_le64(&length, event.n);
    buf_add_str(file, buf_view(&length));
    wire_put_le32(file, crc32c_masked(buf_view(&length)));
    buf_add_str(file, event);
    wire_put_le32(file, crc32c_masked(event));
}

/* An event at step 1 whose summary has one value "t" with these further fields. */
static void add_value(struct buf *file, const struct buf *fields)
{
    AUTO_BUF struct buf event = {0}, summary = {0}, value = {0};
    wire_put_bytes(&value, 1, STR("t"));
    buf_add_str(&value, buf_view(fields));
    wire_put_message(&summary, 1, &value);
    wire_put_varint(&event, 2, 1);
    wire_put_message(&event, 5, &summary);
    add_record(file, buf_view(&event));
}

static void put_shape(struct buf *tensor, size_t rank, const int64_t *sizes)
{
    AUTO_BUF struct buf shape = {0}, dimension = {0};
    for (size_t i = 0; i < rank; i++) {
        wire_put_varint(&dimension, 1, (uint64_t)sizes[i]);
        wire_put_message(&shape, 2, &dimension);
    }
    wire_put_message(tensor, 2, &shape);
}

/* What a value of this tensor, with `more` behind, reads as. */
static void expect_tensor(const struct buf *tensor, const char *want)
{
    AUTO_BUF struct buf file = {0}, fields = {0};
    wire_put_bytes(&fields, 8, buf_view(tensor));
    add_value(&file, &fields);
    expect(buf_view(&file), want);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void checksums(void **state)
{
    (void)state;
    char zeros[32] = {0}, ones[32], rising[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        rising[i] = (char)i;
    /* RFC 3720, appendix B.4 */
    assert_int_equal(crc32c((struct str){zeros, 32}), 0x8a9136aau);
    assert_int_equal(crc32c((struct str){ones, 32}), 0x62a8ab43u);
    assert_int_equal(crc32c((struct str){rising, 32}), 0x46dd794eu);
    assert_int_equal(crc32c(STR("123456789")), 0xe3069283u);
    assert_int_equal(crc32c(STR("")), 0);
    /* tensorflow's own */
    assert_int_equal(crc32c_masked(STR("\x1a\x11"
                                       "CRC test, one two")),
                     0x5794d08au);
    assert_int_equal(crc32c_masked(STR("\x18\0\0\0\0\0\0\0")), 0x224b7fa3u);
}

static void both_ways_to_sum_agree(void **state)
{
    (void)state;
    char bytes[600];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    for (size_t at = 0; at < 16; at++)
        for (size_t n = 0; at + n <= sizeof bytes; n++) {
            struct str s = {bytes + at, n};
            assert_int_equal(crc32c(s), crc32c_by_table(s));
        }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    eventfile_begin(1700000000 * USEC_PER_SEC, &file);
    eventfile_scalar(1700000000 * USEC_PER_SEC + 250000, 3, STR("loss"), 0.5, &file);
    eventfile_scalar(0, -7, STR("gain/\xc3\xa9"), -1e300, &file);
    eventfile_scalar(0, INT64_MAX, STR("loss"), (double)NAN, &file);
    json_auto_t *params = json_pack("{s:f, s:s}", "lr", 0.1, "kind", "a");
    eventfile_hparams_start(5, "g", params, NULL, &file);
    eventfile_hparams_end(6, EVENTFILE_SUCCESS, &file);
    expect(buf_view(&file), "loss 3 1700000000250000 0.5\n"
                            "gain/\xc3\xa9 -7 0 -inf\n"
                            "loss 9223372036854775807 0 nan\n");
}

/* The whole of a file, byte by byte, as TensorBoard's own protocol buffers write it. */
static void a_record_byte_by_byte(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    eventfile_begin(0, &file);
    static const char want[] = "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22"
                               "\x09\0\0\0\0\0\0\0\0\x1a\x0d"
                               "brain.Event:2";
    assert_int_equal(file.len, sizeof want - 1 + 4);
    assert_memory_equal(file.data, want, sizeof want - 1);
}

static void a_cut_record_waits(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    eventfile_scalar(0, 1, STR("a"), 1, &file);
    size_t first = file.len;
    eventfile_scalar(0, 2, STR("a"), 2, &file);
    for (size_t cut = 0; cut <= file.len; cut++) {
        AUTO_BUF struct buf notes = {0};
        struct eventfile_reader *r = eventfile_reader_new();
        struct eventfile_sink sink = noting(&notes);
        struct err err;
        assert_int_equal(eventfile_reader_add(r, (struct str){file.data, cut}, &sink, &err), 0);
        assert_string_equal(buf_text(&notes), cut < first      ? ""
                                              : cut < file.len ? "a 1 0 1\n"
                                                               : "a 1 0 1\na 2 0 2\n");
        struct str rest = {file.data + cut, file.len - cut};
        assert_int_equal(eventfile_reader_add(r, rest, &sink, &err), 0);
        assert_string_equal(buf_text(&notes), "a 1 0 1\na 2 0 2\n");
        eventfile_reader_free(r);
    }
}

static void any_flipped_bit_is_damage(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    eventfile_scalar(0, 1, STR("a"), 1, &file);
    size_t first = file.len;
    eventfile_scalar(0, 2, STR("a"), 2, &file);
    eventfile_scalar(0, 3, STR("a"), 3, &file);
    for (size_t bit = 0; bit < 8 * first; bit++) {
        file.data[first + bit / 8] ^= (char)(1 << bit % 8);
        AUTO_BUF struct buf notes = {0}, want = {0};
        read_pieces(buf_view(&file), file.len, &notes);
        buf_addf(&want, "a 1 0 1\ndamage: bad checksum%s at byte %zu\n",
                 bit < 96 ? " of a length" : "", first);
        assert_string_equal(buf_text(&notes), buf_text(&want));
        file.data[first + bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void a_record_past_the_maximum_is_damage(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {EVENTFILE_RECORD_MAX + 1, UINT64_MAX, UINT64_MAX - 15};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        AUTO_BUF struct buf file = {0};
        wire_put_le64(&file, lengths[i]);
        wire_put_le32(&file, crc32c_masked(buf_view(&file)));
        buf_adds(&file, "and more");
        expect(buf_view(&file), "damage: a record that is too long at byte 0\n");
    }
    /* One of the maximum itself is read. */
    AUTO_FREE char *big = mem_alloc(EVENTFILE_RECORD_MAX);
    AUTO_BUF struct buf file = {.max = EVENTFILE_RECORD_MAX + 1000}, field = {0}, notes = {0};
    wire_put_varint(&field, 2, 9);
    buf_adds(&field, "\x7a\xf9\xff\xff\x1f"); /* field 15, of all the rest */
    memcpy(big, field.data, field.len);
    add_record(&file, (struct str){big, EVENTFILE_RECORD_MAX});
    assert_false(file.overflowed);
    eventfile_scalar(0, 1, STR("a"), 1, &file);
    read_pieces(buf_view(&file), 1 << 20, &notes);
    assert_string_equal(buf_text(&notes), "a 1 0 1\n");
}

static void malformed_messages_are_damage(void **state)
{
    (void)state;
    static const struct str bad[] = {
        {"\x0a", 1}, /* a length without bytes */
        {"\x2a\x05"
         "ab",
         4},                                                      /* … with too few */
        {"\x10", 1},                                              /* a varint without an end */
        {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* … of 11 bytes */
        {"\x09\0\0", 3},                                          /* a double that is cut */
        {"\x0e", 1},                             /* a wire type that there is not */
        {"\x00\x00", 2},                         /* field 0 */
        {"\x0c", 1},                             /* a group's end without its start */
        {"\x0b\x10\x01", 3},                     /* … its start without an end */
        {"\x0b\x14", 2},                         /* … the end of another */
        {"\x2a\x02\x0a\x7f", 4},                 /* within the summary */
        {"\x2a\x04\x0a\x02\x0a\x7f", 6},         /* within the value */
        {"\x2a\x05\x0a\x03\x0a\x01\xff", 7},     /* a tag that is not UTF-8 */
        {"\x2a\x06\x0a\x04\x42\x02\x12\x09", 8}, /* within a tensor */
        {"\x2a\x06\x0a\x04\x4a\x02\x0a\x09", 8}, /* within the metadata */
        {"\x3a\x01\x08", 3},                     /* within the session log */
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO_BUF struct buf file = {0};
        eventfile_scalar(0, 1, STR("a"), 1, &file);
        size_t at = file.len;
        add_record(&file, bad[i]);
        eventfile_scalar(0, 2, STR("a"), 2, &file);
        AUTO_BUF struct buf want = {0};
        buf_addf(&want, "a 1 0 1\ndamage: malformed record at byte %zu\n", at);
        expect(buf_view(&file), buf_text(&want));
    }
}

/* The second of two values is malformed: the first is not told either. */
static void a_damaged_record_tells_nothing(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    add_record(&file, STR("\x2a\x0f\x0a\x08\x0a\x01"
                          "a\x15\0\0\x80\x3f\x0a\x03\x0a\x09"
                          "b"));
    expect(buf_view(&file), "damage: malformed record at byte 0\n");
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    AUTO_BUF struct buf event = {0}, file = {0}, nested = {0};
    wire_put_varint(&event, 100, 1);
    wire_put_double(&event, 101, 1);
    wire_put_float(&event, 102, 1);
    wire_put_bytes(&event, 536870911, STR("\xff\xff"));
    for (int i = 0; i < WIRE_GROUP_DEPTH_MAX; i++)
        buf_addc(&nested, 0x7b);
    for (int i = 0; i < WIRE_GROUP_DEPTH_MAX; i++)
        buf_addc(&nested, 0x7c);
    buf_add_str(&event, buf_view(&nested));
    wire_put_varint(&event, 1, 7); /* wall_time, but as no double */
    buf_adds(&event, "\x2a\x0a\x0a\x08\x0a\x01"
                     "a\x15");
    buf_add(&event, "\0\0\x80\x3f", 4);
    wire_put_varint(&event, 2, 5); /* the step, behind the summary */
    add_record(&file, buf_view(&event));
    expect(buf_view(&file), "a 5 0 1\n");
    buf_clear(&file);
    buf_addc(&nested, 0x7c);
    nested.data[WIRE_GROUP_DEPTH_MAX] = 0x7b; /* one group more */
    buf_addc(&nested, 0x7c);
    add_record(&file, buf_view(&nested));
    expect(buf_view(&file), "damage: malformed record at byte 0\n");
}

static void tensors_of_one_number(void **state)
{
    (void)state;
    static const struct {
        uint64_t dtype;
        struct str content;
        const char *want;
    } raw[] = {
        {1, {"\0\0\x80\x3f", 4}, "t 1 0 1\n"},
        {1, {"\0\0\xc0\x7f", 4}, "t 1 0 nan\n"},
        {2, {"\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8}, "t 1 0 0.10000000000000001\n"},
        {3, {"\xfe\xff\xff\xff", 4}, "t 1 0 -2\n"},
        {4, {"\xfe", 1}, "t 1 0 254\n"},
        {5, {"\xfe\xff", 2}, "t 1 0 -2\n"},
        {6, {"\xfe", 1}, "t 1 0 -2\n"},
        {9, {"\0\0\0\0\0\0\0\x80", 8}, "t 1 0 -9.2233720368547758e+18\n"},
        {14, {"\x80\x3f", 2}, "t 1 0 1\n"},
        {17, {"\xff\xff", 2}, "t 1 0 65535\n"},
        {19, {"\x00\xc0", 2}, "t 1 0 -2\n"},
        {19, {"\x01\x00", 2}, "t 1 0 5.9604644775390625e-08\n"},
        {19, {"\x00\x7c", 2}, "t 1 0 inf\n"},
        {19, {"\xff\x7b", 2}, "t 1 0 65504\n"},
        {22, {"\xff\xff\xff\xff", 4}, "t 1 0 4294967295\n"},
        {23, {"\0\0\0\0\0\0\0\x80", 8}, "t 1 0 9.2233720368547758e+18\n"},
        {1, {"\0\0\x80", 3}, ""},             /* not of its size */
        {1, {"\0\0\x80\x3f\0\0\0\0", 8}, ""}, /* … */
        {7, {"text", 4}, ""},
        {8, {"\0\0\0\0\0\0\0\0", 8}, ""}, /* complex */
        {10, {"\x01", 1}, ""},            /* a truth value */
        {0, {"\0\0\0\0", 4}, ""},
        {UINT64_MAX, {"\0\0\0\0", 4}, ""},
    };
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        AUTO_BUF struct buf tensor = {0};
        wire_put_varint(&tensor, 1, raw[i].dtype);
        wire_put_bytes(&tensor, 4, raw[i].content);
        expect_tensor(&tensor, raw[i].want);
    }
}

static void tensors_with_repeated_fields(void **state)
{
    (void)state;
    AUTO_BUF struct buf tensor = {0}, packed = {0};
    wire_put_float(&tensor, 5, 0.25f); /* before its type */
    wire_put_varint(&tensor, 1, 1);
    expect_tensor(&tensor, "t 1 0 0.25\n");
    wire_put_float(&tensor, 5, 0.5f); /* two of them */
    expect_tensor(&tensor, "");
    buf_clear(&tensor);
    wire_put_varint(&tensor, 1, 2);
    expect_tensor(&tensor, ""); /* none */
    wire_put_le64(&packed, 0x3fe0000000000000);
    wire_put_message(&tensor, 6, &packed);
    expect_tensor(&tensor, "t 1 0 0.5\n");
    buf_clear(&tensor);
    wire_put_varint(&tensor, 1, 3);
    wire_put_varint(&tensor, 7, (uint64_t)-3);
    expect_tensor(&tensor, "t 1 0 -3\n");
    buf_clear(&tensor);
    wire_put_varint(&tensor, 1, 9);
    wire_put_bytes(&tensor, 10, STR("\xac\x02")); /* packed */
    expect_tensor(&tensor, "t 1 0 300\n");
    wire_put_bytes(&tensor, 10, STR("\x80"));
    expect_tensor(&tensor, "damage: malformed record at byte 0\n");
    buf_clear(&tensor);
    wire_put_varint(&tensor, 1, 19);
    wire_put_varint(&tensor, 13, 0x3c00);
    expect_tensor(&tensor, "t 1 0 1\n");
    buf_clear(&tensor);
    wire_put_varint(&tensor, 1, 1);
    wire_put_bytes(&tensor, 5, STR("\0\0\0"));
    expect_tensor(&tensor, "damage: malformed record at byte 0\n");
}

static void shapes(void **state)
{
    (void)state;
    static const struct {
        size_t rank;
        int64_t sizes[3];
        bool one;
    } rows[] = {{0, {0}, true},       {1, {1}, true},   {3, {1, 1, 1}, true},
                {1, {0}, false},      {1, {2}, false},  {2, {1, 4}, false},
                {2, {-1, -1}, false}, {1, {-1}, false}, {2, {INT64_MAX, 0}, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_BUF struct buf tensor = {0};
        wire_put_varint(&tensor, 1, 1);
        put_shape(&tensor, rows[i].rank, rows[i].sizes);
        wire_put_float(&tensor, 5, 2);
        expect_tensor(&tensor, rows[i].one ? "t 1 0 2\n" : "");
    }
}

/* Only a tag's first value has metadata. */
static void what_a_tag_is_stays(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0}, fields = {0}, tensor = {0}, metadata = {0};
    wire_put_varint(&tensor, 1, 1);
    wire_put_float(&tensor, 5, 2);
    wire_put_varint(&metadata, 4, 2); /* a tensor, by its class */
    wire_put_bytes(&fields, 8, buf_view(&tensor));
    size_t plain = fields.len;
    wire_put_message(&fields, 9, &metadata);
    add_value(&file, &fields);
    fields.len = plain;
    add_value(&file, &fields);
    expect(buf_view(&file), "");
    wire_put_varint(&metadata, 4, 1); /* a scalar, from here on: told as one, not remembered */
    wire_put_message(&fields, 9, &metadata);
    add_value(&file, &fields);
    expect(buf_view(&file), "t 1 0 2\n");
}

static void others_are_passed_over(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {3, 4, 5, 6};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_BUF struct buf file = {0}, fields = {0};
        wire_put_float(&fields, 2, 1);
        wire_put_bytes(&fields, kinds[i], STR("anything")); /* of a oneof, the last counts */
        add_value(&file, &fields);
        expect(buf_view(&file), "");
        wire_put_float(&fields, 2, 4);
        add_value(&file, &fields);
        expect(buf_view(&file), "t 1 0 4\n");
    }
}

static void restarts(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = {0};
    add_record(&file, STR("\x10\x05\x3a\x02\x08\x01")); /* start */
    add_record(&file, STR("\x10\x06\x3a\x02\x08\x02")); /* stop */
    add_record(&file, STR("\x3a\x02\x08\x01\x10\x07"));
    expect(buf_view(&file), "restart 5\nrestart 7\n");
}

static void wall_times_without_sense(void **state)
{
    (void)state;
    static const double walls[] = {(double)NAN, (double)INFINITY, -1, 1e300, 0};
    for (size_t i = 0; i < COUNT_OF(walls); i++) {
        AUTO_BUF struct buf file = {0}, event = {0};
        wire_put_double(&event, 1, walls[i]);
        buf_add(&event,
                "\x2a\x0a\x0a\x08\x0a\x01"
                "a\x15\0\0\x80\x3f",
                12);
        add_record(&file, buf_view(&event));
        expect(buf_view(&file), "a 0 0 1\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),
        cmocka_unit_test(both_ways_to_sum_agree),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_record_byte_by_byte),
        cmocka_unit_test(a_cut_record_waits),
        cmocka_unit_test(any_flipped_bit_is_damage),
        cmocka_unit_test(a_record_past_the_maximum_is_damage),
        cmocka_unit_test(malformed_messages_are_damage),
        cmocka_unit_test(a_damaged_record_tells_nothing),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(tensors_of_one_number),
        cmocka_unit_test(tensors_with_repeated_fields),
        cmocka_unit_test(shapes),
        cmocka_unit_test(what_a_tag_is_stays),
        cmocka_unit_test(others_are_passed_over),
        cmocka_unit_test(restarts),
        cmocka_unit_test(wall_times_without_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

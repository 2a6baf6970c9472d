/* See eventfile.h. Nothing of a record is told before all of it has been read, so that a damaged
 * one tells nothing. Fields are those of tensorflow/core/util/event.proto and
 * tensorflow/core/framework/summary.proto; what is not known is passed over. */
#include "base/mem.h"
#include "base/strtab.h"
#include "experiment/crc32c.h"
#include "experiment/eventfile.h"
#include "experiment/protowire.h"
#include "experiment/tensor.h"

#define HEADER_SIZE 12 /* the length and its checksum */
#define FOOTER_SIZE 4
#define KEPT_MAX ((size_t)64 << 10) /* bytes of a buffer that is kept for the next cut record */
/* Tags that are remembered as no scalars; further and longer ones are judged one by one. */
#define OTHERS_MAX 1000
#define OTHER_TAG_MAX 1024

struct eventfile_reader {
    struct buf cut;  /* the beginning of a record whose rest has not come */
    uint64_t offset; /* of the record that comes next, in the file */
    bool damaged;
    struct strtab *others; /* tags whose first value said that they are no scalars, or NULL */
};

struct eventfile_reader *eventfile_reader_new(void)
{
    struct eventfile_reader *r = mem_alloc(sizeof *r);
    r->cut.max = EVENTFILE_RECORD_MAX + HEADER_SIZE + FOOTER_SIZE;
    return r;
}

void eventfile_reader_free(struct eventfile_reader *r)
{
    if (!r)
        return;
    buf_done(&r->cut);
    strtab_free(r->others);
    free(r);
}

/* ---- what a record says ------------------------------------------------------------------- */

struct value {
    struct str tag;
    bool has_tag, is_number, other; /* other: declared to be no scalar */
    bool declared;                  /* it has metadata: it is the tag's first */
    double number;
};

/* A tag's first value says what the tag is: a plugin's name, and a class of data. */
static bool read_metadata(struct str message, struct value *v)
{
    struct wire w = {.rest = message};
    struct wire_field f, g;
    v->declared = true;
    while (wire_next(&w, &f)) {
        if (wire_is(&f, 4, WIRE_VARINT)) /* data_class: 0 is not said, 1 is a scalar */
            v->other |= f.value > 1;
        if (!wire_is(&f, 1, WIRE_BYTES))
            continue;
        struct wire plugin = {.rest = f.bytes};
        while (wire_next(&plugin, &g))
            if (wire_is(&g, 1, WIRE_BYTES))
                v->other |= str_is(g.bytes, "hparams");
        if (plugin.malformed)
            return false;
    }
    return !w.malformed;
}

/* The last of simple_value, histogram, image, audio and tensor is the value. */
static bool read_value(struct str message, struct value *v)
{
    struct wire w = {.rest = message};
    struct wire_field f;
    struct str tensor = {0};
    bool is_tensor = false;
    while (wire_next(&w, &f)) {
        if (wire_is(&f, 1, WIRE_BYTES)) {
            v->tag = f.bytes;
            v->has_tag = true;
        } else if (wire_is(&f, 2, WIRE_FIXED32)) {
            v->number = (double)wire_float((uint32_t)f.value);
            v->is_number = true;
            is_tensor = false;
        } else if (wire_is(&f, 8, WIRE_BYTES)) {
            tensor = f.bytes;
            is_tensor = true;
            v->is_number = false;
        } else if (wire_is(&f, 9, WIRE_BYTES)) {
            if (!read_metadata(f.bytes, v))
                return false;
        } else if (f.number >= 3 && f.number <= 6 && f.type == WIRE_BYTES) {
            v->is_number = is_tensor = false;
        }
    }
    if (w.malformed || !str_is_utf8(v->tag, NULL))
        return false;
    if (is_tensor) {
        enum tensor_kind kind = tensor_number(tensor, &v->number);
        v->is_number = kind == TENSOR_NUMBER;
        return kind != TENSOR_MALFORMED;
    }
    return true;
}

struct event {
    double wall_s;
    int64_t step;
    struct str summary;
    bool restart;
};

static bool read_session_log(struct str message, bool *start)
{
    struct wire w = {.rest = message};
    struct wire_field f;
    uint64_t status = 0;
    while (wire_next(&w, &f))
        if (wire_is(&f, 1, WIRE_VARINT))
            status = f.value;
    *start = status == 1;
    return !w.malformed;
}

static bool read_event(struct str record, struct event *e)
{
    struct wire w = {.rest = record};
    struct wire_field f;
    while (wire_next(&w, &f)) {
        if (wire_is(&f, 1, WIRE_FIXED64))
            e->wall_s = wire_double(f.value);
        else if (wire_is(&f, 2, WIRE_VARINT))
            e->step = (int64_t)f.value;
        else if (wire_is(&f, 5, WIRE_BYTES))
            e->summary = f.bytes;
        else if (wire_is(&f, 7, WIRE_BYTES) && !read_session_log(f.bytes, &e->restart))
            return false;
    }
    return !w.malformed;
}

/* ---- telling it --------------------------------------------------------------------------- */

static usec_t wall_of(double seconds)
{
    bool usable = seconds > 0 && seconds < 1e12; /* no NaN, and 30,000 years */
    return usable ? (usec_t)(seconds * (double)USEC_PER_SEC + 0.5) : 0;
}

static bool is_other(struct eventfile_reader *r, const struct value *v)
{
    if (!v->other)
        return r->others && !v->declared && strtab_get(r->others, v->tag);
    if (!r->others)
        r->others = strtab_new();
    if (strtab_count(r->others) < OTHERS_MAX && v->tag.n <= OTHER_TAG_MAX)
        strtab_put(r->others, v->tag, r);
    return true;
}

/* Without a sink: only whether all of it can be read. */
static bool each_value(struct eventfile_reader *r, const struct event *e,
                       const struct eventfile_sink *sink)
{
    struct wire w = {.rest = e->summary};
    struct wire_field f;
    while (wire_next(&w, &f)) {
        struct value v = {0};
        if (!wire_is(&f, 1, WIRE_BYTES))
            continue;
        if (!read_value(f.bytes, &v))
            return false;
        if (sink && v.has_tag && !is_other(r, &v) && v.is_number)
            sink->scalar(sink->ctx, v.tag, e->step, wall_of(e->wall_s), v.number);
    }
    return !w.malformed;
}

static bool tell_record(struct eventfile_reader *r, struct str record,
                        const struct eventfile_sink *sink)
{
    struct event e = {0};
    if (!read_event(record, &e) || !each_value(r, &e, NULL))
        return false;
    if (e.restart && sink->restart)
        sink->restart(sink->ctx, e.step);
    return each_value(r, &e, sink);
}

/* ---- records ------------------------------------------------------------------------------ */

static int damaged(struct eventfile_reader *r, const char *what, struct err *err)
{
    r->damaged = true;
    buf_done(&r->cut);
    return err_set(err, ERR_PARSE, "%s at byte %llu", what, (unsigned long long)r->offset);
}

static bool sum_is(struct str bytes, const char *sum)
{
    return crc32c_masked(bytes) == wire_le32(sum);
}

/* The bytes that the record which begins here needs, as far as what is there can say. */
static int measure(struct eventfile_reader *r, struct str have, size_t *size, struct err *err)
{
    *size = HEADER_SIZE;
    if (have.n < HEADER_SIZE)
        return 0;
    if (!sum_is((struct str){have.p, 8}, have.p + 8))
        return damaged(r, "bad checksum of a length", err);
    uint64_t length = wire_le64(have.p);
    if (length > EVENTFILE_RECORD_MAX)
        return damaged(r, "a record that is too long", err);
    *size = HEADER_SIZE + (size_t)length + FOOTER_SIZE;
    return 0;
}

static int read_record(struct eventfile_reader *r, struct str whole,
                       const struct eventfile_sink *sink, struct err *err)
{
    struct str record = {whole.p + HEADER_SIZE, whole.n - HEADER_SIZE - FOOTER_SIZE};
    if (!sum_is(record, record.p + record.n))
        return damaged(r, "bad checksum", err);
    if (!tell_record(r, record, sink))
        return damaged(r, "malformed record", err);
    r->offset += whole.n;
    return 0;
}

int eventfile_reader_add(struct eventfile_reader *r, struct str bytes,
                         const struct eventfile_sink *sink, struct err *err)
{
    while (!r->damaged) {
        bool joined = r->cut.len > 0;
        struct str have = joined ? buf_view(&r->cut) : bytes;
        size_t size;
        if (measure(r, have, &size, err) == -1)
            return -1;
        if (have.n < size || have.n < HEADER_SIZE + FOOTER_SIZE) {
            size_t missing = size - r->cut.len;
            size_t n = missing < bytes.n ? missing : bytes.n;
            if (n == 0)
                return 0;
            buf_add(&r->cut, bytes.p, n);
            bytes = (struct str){bytes.p + n, bytes.n - n};
            continue;
        }
        if (read_record(r, (struct str){have.p, size}, sink, err) == -1)
            return -1;
        if (!joined)
            bytes = (struct str){bytes.p + size, bytes.n - size};
        else if (r->cut.cap > KEPT_MAX)
            buf_done(&r->cut);
        else
            buf_clear(&r->cut);
    }
    return 0;
}

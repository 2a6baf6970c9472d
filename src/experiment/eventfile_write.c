/* See eventfile.h. Messages are built from the inside out; a field that has its default value is
 * left out, as protocol buffers do. Fields are those of tensorflow/core/util/event.proto and of
 * tensorboard/plugins/hparams/plugin_data.proto and api.proto. */
#include "base/json.h"
#include "experiment/crc32c.h"
#include "experiment/eventfile.h"
#include "experiment/protowire.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define FILE_VERSION "brain.Event:2"

/* Of api.proto. */
enum data_type { TYPE_UNSET = 0, TYPE_STRING = 1, TYPE_BOOL = 2, TYPE_FLOAT64 = 3 };

/* Within HParamsPluginData. */
enum plugin_data { DATA_SESSION_START = 3, DATA_SESSION_END = 4 };

static double seconds(usec_t wall)
{
    return (double)wall / (double)USEC_PER_SEC;
}

/* ---- records ------------------------------------------------------------------------------ */

static void put_record(struct buf *out, const struct buf *event)
{
    AUTO_BUF struct buf length = {0};
    wire_put_le64(&length, event->len);
    buf_add_str(out, buf_view(&length));
    wire_put_le32(out, crc32c_masked(buf_view(&length)));
    buf_add_str(out, buf_view(event));
    wire_put_le32(out, crc32c_masked(buf_view(event)));
}

void eventfile_begin(usec_t wall, struct buf *out)
{
    AUTO_BUF struct buf event = {0};
    wire_put_double(&event, 1, seconds(wall));
    wire_put_bytes(&event, 3, STR(FILE_VERSION));
    put_record(out, &event);
}

/* An event with one value in its summary; empties the value. */
static void put_summary(usec_t wall, int64_t step, struct buf *value, struct buf *out)
{
    AUTO_BUF struct buf event = {0}, summary = {0};
    wire_put_message(&summary, 1, value);
    wire_put_double(&event, 1, seconds(wall));
    if (step)
        wire_put_varint(&event, 2, (uint64_t)step);
    wire_put_message(&event, 5, &summary);
    put_record(out, &event);
}

static float to_float(double value)
{
    if (isfinite(value) && fabs(value) > (double)FLT_MAX)
        return value > 0 ? INFINITY : -INFINITY;
    return (float)value;
}

void eventfile_scalar(usec_t wall, int64_t step, struct str tag, double value, struct buf *out)
{
    AUTO_BUF struct buf message = {0};
    wire_put_bytes(&message, 1, tag);
    wire_put_float(&message, 2, to_float(value));
    put_summary(wall, step, &message, out);
}

/* ---- hyper-parameters --------------------------------------------------------------------- */

/* TensorBoard looks at a tag's metadata, but only of values that are tensors: an empty one. */
static void put_empty_tensor(struct buf *value)
{
    AUTO_BUF struct buf tensor = {0}, shape = {0}, dimension = {0};
    wire_put_varint(&dimension, 1, 0);
    wire_put_message(&shape, 2, &dimension);
    wire_put_varint(&tensor, 1, 1); /* of floats */
    wire_put_message(&tensor, 2, &shape);
    wire_put_message(value, 8, &tensor);
}

/* Empties `data`, the member of HParamsPluginData. */
static void put_plugin(usec_t wall, const char *tag, enum plugin_data which, struct buf *data,
                       struct buf *out)
{
    AUTO_BUF struct buf content = {0}, plugin = {0}, metadata = {0}, value = {0};
    wire_put_message(&content, which, data); /* its version is 0, the default */
    wire_put_bytes(&plugin, 1, STR("hparams"));
    wire_put_message(&plugin, 2, &content);
    wire_put_message(&metadata, 1, &plugin);
    wire_put_varint(&metadata, 4, 2); /* data_class: a tensor */
    wire_put_bytes(&value, 1, str_of(tag));
    put_empty_tensor(&value);
    wire_put_message(&value, 9, &metadata);
    put_summary(wall, 0, &value, out);
}

static enum data_type type_of(const json_t *value)
{
    return json_is_number(value) ? TYPE_FLOAT64 : json_is_boolean(value) ? TYPE_BOOL : TYPE_STRING;
}

static enum data_type type_of_domain(const json_t *domain)
{
    if (json_is_object(domain))
        return TYPE_FLOAT64;
    enum data_type type = TYPE_UNSET;
    size_t i;
    json_t *value;
    json_array_foreach(domain, i, value)
    {
        enum data_type one = type_of(value);
        type = type == TYPE_UNSET || type == one ? one : TYPE_STRING;
    }
    return type;
}

/* A google.protobuf.Value. */
static void put_value(const json_t *value, enum data_type type, struct buf *out)
{
    if (type == TYPE_UNSET)
        type = type_of(value);
    if (type == TYPE_FLOAT64 && json_is_number(value)) {
        wire_put_double(out, 2, json_number_value(value));
        return;
    }
    if (type == TYPE_BOOL && json_is_boolean(value)) {
        wire_put_varint(out, 4, json_is_true(value));
        return;
    }
    if (json_is_string(value)) {
        struct str text = {json_string_value(value), json_string_length(value)};
        wire_put_bytes(out, 3, text);
        return;
    }
    AUTO_BUF struct buf text = {0};
    json_write(value, false, &text);
    wire_put_bytes(out, 3, buf_view(&text));
}

void eventfile_hparams_start(usec_t wall, const char *group, const json_t *params,
                             const json_t *domains, struct buf *out)
{
    AUTO_BUF struct buf start = {0}, entry = {0}, typed = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)params, name, value)
    {
        put_value(value, type_of_domain(json_object_get(domains, name)), &typed);
        wire_put_bytes(&entry, 1, str_of(name));
        wire_put_message(&entry, 2, &typed);
        wire_put_message(&start, 1, &entry);
    }
    wire_put_bytes(&start, 4, str_of(group));
    wire_put_double(&start, 5, seconds(wall));
    put_plugin(wall, "_hparams_/session_start_info", DATA_SESSION_START, &start, out);
}

void eventfile_hparams_end(usec_t wall, enum eventfile_status status, struct buf *out)
{
    AUTO_BUF struct buf end = {0};
    wire_put_varint(&end, 1, status);
    wire_put_double(&end, 2, seconds(wall));
    put_plugin(wall, "_hparams_/session_end_info", DATA_SESSION_END, &end, out);
}

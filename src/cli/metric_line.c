/* See metric_line.h. */
#include "cli/metric_line.h"
#include "base/json.h"
#include "cli/results.h"
#include "experiment/metrics.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number as people and programs write it; no hexadecimal, and no blank before it. */
static int read_value(const char *text, double *out, struct err *err)
{
    char *end;
    double value = strtod(text, &end);
    bool odd = isspace((unsigned char)*text) || strpbrk(text, "xX(");
    if (!*text || *end || odd)
        return err_set(err, ERR_USAGE, "the value '%s' is not a number", text);
    *out = value; /* too large is infinite, as everywhere */
    return 0;
}

int metric_line(const char *tag, const char *value, const char *step, usec_t wall, struct buf *out,
                struct err *err)
{
    size_t length = strlen(tag), bad;
    double number = 0;
    int64_t at = 0;
    if (!length || length > METRICS_TAG_MAX)
        return err_set(err, ERR_USAGE, "a tag has 1 to %d bytes, and this one has %zu",
                       METRICS_TAG_MAX, length);
    if (!str_is_utf8(str_of(tag), &bad))
        return err_set(err, ERR_USAGE, "the tag is not UTF-8");
    if (read_value(value, &number, err) == -1)
        return -1;
    if (step && !str_to_i64(str_of(step), INT64_MIN, INT64_MAX, &at))
        return err_set(err, ERR_USAGE, "the step '%s' is not a whole number of 64 bits", step);
    json_t *name = json_string(tag);
    buf_adds(out, "{\"tag\": ");
    json_write(name, false, out);
    json_decref(name);
    buf_adds(out, ", \"value\": ");
    number_text(number, out);
    if (step)
        buf_addf(out, ", \"step\": %lld", (long long)at);
    buf_addf(out, ", \"time\": %lld.%06lld}\n", (long long)(wall / USEC_PER_SEC),
             (long long)(wall % USEC_PER_SEC));
    return 0;
}

/* See json.h. */
#include "base/json.h"

int json_parse(struct str text, size_t max, json_t **out, struct err *err)
{
    if (text.n > max)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes is longer than the %zu allowed", text.n,
                       max);
    json_error_t why;
    json_t *value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        return err_set(err, ERR_PARSE, "malformed JSON at line %d, column %d: %s", why.line,
                       why.column, why.text);
    *out = value;
    return 0;
}

static int append(const char *p, size_t n, void *out)
{
    buf_add(out, p, n);
    return 0;
}

void json_write(const json_t *value, bool pretty, struct buf *out)
{
    /* What people read has 15 digits, all that a decimal keeps: 0.1, not 0.10000000000000001. */
    size_t flags =
        JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) | JSON_REAL_PRECISION(15) : JSON_COMPACT);
    json_dump_callback(value, append, out, flags);
    if (pretty)
        buf_addc(out, '\n');
}

json_t *json_lossy(const char *text)
{
    AUTO_BUF struct buf clean = {0};
    struct str rest = str_of(text);
    size_t good;
    if (!text)
        return json_null();
    while (!str_is_utf8(rest, &good)) {
        buf_add(&clean, rest.p, good);
        buf_adds(&clean, "\xef\xbf\xbd");
        rest = (struct str){rest.p + good + 1, rest.n - good - 1};
    }
    buf_add_str(&clean, rest);
    return json_stringn(buf_text(&clean), clean.len);
}

const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

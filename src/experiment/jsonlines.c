/* See jsonlines.h. A line that cannot be read is told, the first of a file with its number, and the
 * next is read.
 *
 * NaN and Infinity are no JSON, so jansson refuses them. Outside strings they are replaced by
 * strings that begin with a NUL, which nothing else in the line can be: a line with "\u0000" in a
 * string is refused before. */
#include "experiment/jsonlines.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/strtab.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

struct jsonlines {
    char *name;
    uint64_t line;       /* lines read */
    bool inside;         /* of a line that is too long: up to its end nothing is read */
    bool told_line;      /* each trouble once */
    bool told_long;      /* … */
    bool told_tags;      /* … */
    struct strtab *next; /* tag to int64_t *: the step of its next point that has none */
};

struct jsonlines *jsonlines_new(const char *name)
{
    struct jsonlines *l = mem_alloc(sizeof *l);
    l->name = mem_dup(name);
    l->next = strtab_new();
    return l;
}

void jsonlines_free(struct jsonlines *l)
{
    if (!l)
        return;
    size_t at = 0;
    struct str tag;
    void *step;
    while (strtab_next(l->next, &at, &tag, &step))
        free(step);
    strtab_free(l->next);
    free(l->name);
    free(l);
}

static void say(const struct jsonlines *l, bool *told, const struct metrics_sink *sink,
                const char *what)
{
    if (*told)
        return;
    *told = true;
    AUTO_FREE char *text =
        mem_printf("%s: line %" PRIu64 " is left out: %s", l->name, l->line, what);
    sink->damage(sink->ctx, text);
}

/* ---- one line to JSON --------------------------------------------------------------------- */

static const struct literal {
    const char *text, *stand_in;
    double value;
} literals[] = {
    {"NaN", "\"\\u0000n\"", NAN},
    {"Infinity", "\"\\u0000i\"", INFINITY},
    {"-Infinity", "\"\\u0000m\"", -INFINITY},
};

static const struct literal *literal_at(struct str text)
{
    for (size_t i = 0; i < COUNT_OF(literals); i++)
        if (str_starts(text, literals[i].text))
            return &literals[i];
    return NULL;
}

/* False where a string of the line has a NUL. */
static bool stand_in(struct str line, struct buf *out)
{
    bool in_string = false;
    while (line.n) {
        const struct literal *literal = in_string ? NULL : literal_at(line);
        size_t n = in_string && line.p[0] == '\\' && line.n > 1 ? 2 : 1;
        if (n == 2 && str_starts(line, "\\u0000"))
            return false;
        if (line.p[0] == '"')
            in_string = !in_string;
        if (literal) {
            buf_adds(out, literal->stand_in);
            n = strlen(literal->text);
        } else {
            buf_add(out, line.p, n);
        }
        line = (struct str){line.p + n, line.n - n};
    }
    return true;
}

static bool may_have_literal(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] == 'N' || line.p[i] == 'I')
            return true;
    return false;
}

static json_t *parse(struct str line, json_error_t *why)
{
    AUTO_BUF struct buf text = {0};
    if (!may_have_literal(line))
        return json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, why);
    json_t *value = NULL;
    if (stand_in(line, &text))
        value = json_loadb(buf_text(&text), text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, why);
    why->column = 0; /* not the line's own */
    return value;
}

static bool to_number(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || text[0] != '\0' || json_string_length(value) == 0)
        return false;
    *out = text[1] == 'n' ? NAN : text[1] == 'i' ? INFINITY : -INFINITY;
    return true;
}

/* ---- its points --------------------------------------------------------------------------- */

struct when {
    bool has_step;
    int64_t step;
    usec_t wall;
};

/* False where there is a step that is none. */
static bool read_step(const json_t *object, struct when *w)
{
    const json_t *step = json_object_get(object, "step");
    double real = json_real_value(step);
    w->has_step = step && !json_is_null(step);
    w->step = json_is_integer(step) ? json_integer_value(step) : 0;
    if (!w->has_step || json_is_integer(step))
        return true;
    if (!json_is_real(step) || !(fabs(real) < 0x1p53) || trunc(real) != real)
        return false;
    w->step = (int64_t)real;
    return true;
}

static const char *const wall_names[] = {"wall_time", "time", "wall"}; /* the first there is */

static void read_wall(const json_t *object, struct when *w)
{
    w->wall = 0;
    for (size_t i = 0; i < COUNT_OF(wall_names); i++) {
        double s = json_number_value(json_object_get(object, wall_names[i]));
        if (w->wall == 0 && s > 0 && s < 1e12)
            w->wall = (usec_t)(s * (double)USEC_PER_SEC + 0.5);
    }
}

static bool is_reserved(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(wall_names); i++)
        if (strcmp(key, wall_names[i]) == 0)
            return true;
    return strcmp(key, "step") == 0;
}

static int64_t *add_next(struct jsonlines *l, struct str tag)
{
    int64_t *next = mem_alloc(sizeof *next);
    free(strtab_put(l->next, tag, next));
    return next;
}

void jsonlines_keep(struct jsonlines *l, const char *tag)
{
    (void)add_next(l, str_of(tag));
}

static void add_point(struct jsonlines *l, struct str tag, const struct when *w, double value,
                      const struct metrics_sink *sink)
{
    int64_t *next = strtab_get(l->next, tag);
    if (!next && strtab_count(l->next) >= JSONLINES_TAGS_MAX) {
        say(l, &l->told_tags, sink, "more metrics than are read from one file");
        return;
    }
    if (!next && tag.n <= METRICS_TAG_MAX)
        next = add_next(l, tag);
    int64_t step = w->has_step ? w->step : next ? *next : 0;
    if (next)
        *next = step < INT64_MAX ? step + 1 : step;
    sink->point(sink->ctx, tag, step, w->wall, value);
}

static void read_object(struct jsonlines *l, const json_t *object, const struct metrics_sink *sink)
{
    struct when w;
    double number;
    if (!read_step(object, &w)) {
        say(l, &l->told_line, sink, "'step' is not a whole number");
        return;
    }
    read_wall(object, &w);
    const json_t *tag = json_object_get(object, "tag");
    bool one = json_is_string(tag) && !to_number(tag, &number);
    if (one && to_number(json_object_get(object, "value"), &number)) {
        struct str text = {json_string_value(tag), json_string_length(tag)};
        add_point(l, text, &w, number, sink);
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_reserved(key) && to_number(value, &number))
            add_point(l, str_of(key), &w, number, sink);
    }
}

static void read_line(struct jsonlines *l, struct str line, const struct metrics_sink *sink)
{
    json_error_t why;
    l->line++;
    line = str_trim(line);
    if (line.n == 0)
        return;
    if (line.n > JSONLINES_LINE_MAX) {
        say(l, &l->told_long, sink, "it is longer than the 64 KiB allowed");
        return;
    }
    json_auto_t *value = parse(line, &why);
    if (!value && why.column) {
        AUTO_FREE char *what = mem_printf("malformed JSON at column %d", why.column);
        say(l, &l->told_line, sink, what);
    } else if (!value) {
        say(l, &l->told_line, sink, "malformed JSON");
    } else if (!json_is_object(value)) {
        say(l, &l->told_line, sink, "not an object");
    } else {
        read_object(l, value, sink);
    }
}

/* The end of a line of which the beginning was too long to be kept. */
static void end_long_line(struct jsonlines *l, const struct metrics_sink *sink)
{
    l->line++;
    l->inside = false;
    say(l, &l->told_long, sink, "it is longer than the 64 KiB allowed");
}

size_t jsonlines_add(struct jsonlines *l, struct str bytes, bool final,
                     const struct metrics_sink *sink)
{
    struct str rest = bytes;
    const char *end;
    while (rest.n && (end = memchr(rest.p, '\n', rest.n))) {
        struct str line = {rest.p, (size_t)(end - rest.p)};
        rest = (struct str){end + 1, rest.n - line.n - 1};
        if (l->inside)
            end_long_line(l, sink);
        else
            read_line(l, line, sink);
    }
    if (final && l->inside)
        end_long_line(l, sink);
    else if (final && rest.n)
        read_line(l, rest, sink);
    else if (rest.n > JSONLINES_LINE_MAX)
        l->inside = true;
    else if (!l->inside)
        return bytes.n - rest.n;
    return bytes.n;
}

/* See link.h. */
#include "experiment/link.h"
#include <string.h>

bool link_is_tag(const char *tag)
{
    return tag && (strcmp(tag, "!@") == 0 || strcmp(tag, "!link") == 0);
}

void link_path_done(struct link_path *p)
{
    strv_done(&p->keys);
    strv_done(&p->attributes);
}

static size_t word_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && !strchr("[].", s.p[n]))
        n++;
    return n;
}

static struct str rest_of(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static const char *parse_root(struct str *s, struct strv *keys)
{
    size_t n = word_length(*s);
    if (n == 0)
        return "a link begins with the name of a stage or resource";
    if (n < s->n && s->p[n] == ']')
        return "']' without a '[' before it";
    strv_add_str(keys, (struct str){s->p, n});
    *s = rest_of(*s, n);
    return NULL;
}

static const char *parse_keys(struct str *s, struct strv *keys)
{
    while (s->n && s->p[0] == '[') {
        *s = rest_of(*s, 1);
        const char *close = memchr(s->p, ']', s->n), *open = memchr(s->p, '[', s->n);
        if (open && (!close || open < close))
            return "'[' within brackets";
        if (!close)
            return "'[' without a ']' behind it";
        struct str key = str_trim((struct str){s->p, (size_t)(close - s->p)});
        if (key.n == 0)
            return "nothing between the brackets";
        strv_add_str(keys, key);
        *s = rest_of(*s, (size_t)(close - s->p) + 1);
    }
    return NULL;
}

static const char *parse_attributes(struct str *s, struct strv *attributes)
{
    while (s->n) {
        if (s->p[0] == ']')
            return "']' without a '[' before it";
        if (s->p[0] != '.')
            return s->p[0] == '[' ? "brackets behind a dot" : "a '.' is missing behind ']'";
        *s = rest_of(*s, 1);
        size_t n = word_length(*s);
        if (n == 0)
            return "nothing behind the dot";
        strv_add_str(attributes, (struct str){s->p, n});
        *s = rest_of(*s, n);
    }
    return NULL;
}

/* A ']' that closes nothing is a better answer than what the words before it look like. */
static const char *check_brackets(struct str s)
{
    bool open = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ']' && !open)
            return "']' without a '[' before it";
        if (s.p[i] == '[' || s.p[i] == ']')
            open = s.p[i] == '[';
    }
    return NULL;
}

const char *link_parse(struct str text, struct link_path *out)
{
    struct link_path p = {0};
    struct str rest = str_trim(text);
    const char *wrong = check_brackets(rest);
    if (!wrong)
        wrong = parse_root(&rest, &p.keys);
    if (!wrong)
        wrong = parse_keys(&rest, &p.keys);
    if (!wrong)
        wrong = parse_attributes(&rest, &p.attributes);
    if (!wrong) {
        *out = p;
        return NULL;
    }
    link_path_done(&p);
    return wrong;
}

void link_write(const struct link_path *p, struct buf *out)
{
    for (size_t i = 0; i < p->keys.count; i++)
        buf_addf(out, "%s%s%s", i ? "[" : "", p->keys.items[i], i ? "]" : "");
    for (size_t i = 0; i < p->attributes.count; i++)
        buf_addf(out, ".%s", p->attributes.items[i]);
}

/* Selecting for the Describe actions: ids, filters with wildcards, pages. */
#include "base/digest.h"
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

#define FILTERS_MAX 50
#define FILTER_VALUES_MAX 200

/* ---- matching ------------------------------------------------------------------------------ */

bool filter_text(const struct filter *f, const char *text)
{
    for (size_t i = 0; text && i < f->values.count; i++) {
        if (str_match(str_of(text), str_of(f->values.items[i])))
            return true;
    }
    return false;
}

bool filter_bool(const struct filter *f, bool value)
{
    return filter_text(f, value ? "true" : "false");
}

bool filter_int(const struct filter *f, int64_t value)
{
    AUTO_FREE char *text = mem_printf("%lld", (long long)value);
    return filter_text(f, text);
}

bool filter_any(const struct filter *f, const struct strv *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (filter_text(f, texts->items[i]))
            return true;
    }
    return false;
}

static bool is_tag_filter(const char *name)
{
    return strncmp(name, "tag:", 4) == 0 || strcmp(name, "tag-key") == 0 ||
           strcmp(name, "tag-value") == 0;
}

static bool match_tags(const struct filter *f, const struct resource *res)
{
    const struct tag *tags = res->tags.items;
    for (size_t i = 0; i < res->tags.count; i++) {
        if (strcmp(f->name, "tag-key") == 0 && filter_text(f, tags[i].key))
            return true;
        if (strcmp(f->name, "tag-value") == 0 && filter_text(f, tags[i].value))
            return true;
    }
    return strncmp(f->name, "tag:", 4) == 0 && filter_text(f, tag_get(res, f->name + 4));
}

static const struct filter_key *key_named(const struct describe *d, const char *name)
{
    for (size_t i = 0; i < d->filter_count; i++) {
        if (strcmp(d->filters[i].name, name) == 0)
            return &d->filters[i];
    }
    return NULL;
}

static bool match(const struct world *w, const struct describe *d, const struct filter *f,
                  const struct resource *res)
{
    if (is_tag_filter(f->name))
        return match_tags(f, res);
    const struct filter_key *key = key_named(d, f->name);
    if (key->match)
        return key->match(f, w, res);
    return filter_text(f, *(char *const *)(const void *)((const char *)res + key->text));
}

/* ---- reading ------------------------------------------------------------------------------- */

void filters_done(struct filters *f)
{
    struct filter *items = f->items.items;
    for (size_t i = 0; i < f->items.count; i++)
        strv_done(&items[i].values);
    free(items);
    f->items = (struct vec){0};
}

static bool known_name(const char *name, const char *const *known, const struct describe *d,
                       bool tags)
{
    if (tags && is_tag_filter(name))
        return true;
    for (size_t i = 0; known && known[i]; i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return d && key_named(d, name);
}

static bool read_all(const struct api_request *q, struct api_reply *r, const char *const *known,
                     const struct describe *d, bool tags, struct filters *out)
{
    size_t values = 0;
    for (int n = 1;; n++) {
        const char *name = paramf(q->params, "Filter.%d.Name", n);
        if (!name)
            return true;
        if (n > FILTERS_MAX) {
            api_fail(r, 400, "FilterLimitExceeded",
                     "The maximum number of filters specified on a single call is %d", FILTERS_MAX);
            return false;
        }
        if (!known_name(name, known, d, tags)) {
            api_fail(r, 400, "InvalidParameterValue", "The filter '%s' is invalid", name);
            return false;
        }
        struct filter *f = vec_push(&out->items, sizeof *f);
        f->name = name;
        AUTO_FREE char *list = mem_printf("Filter.%d.Value", n);
        param_list(q->params, list, &f->values);
        values += f->values.count;
        if (f->values.count == 0) {
            api_fail(r, 400, "MissingParameter",
                     "The request must contain the parameter Filter.%d.Value", n);
            return false;
        }
        if (values > FILTER_VALUES_MAX) {
            api_fail(r, 400, "FilterLimitExceeded",
                     "The maximum number of filter values specified on a single call is %d",
                     FILTER_VALUES_MAX);
            return false;
        }
    }
}

bool filters_read(const struct api_request *q, struct api_reply *r, const char *const *known,
                  bool tags, struct filters *out)
{
    return read_all(q, r, known, NULL, tags, out);
}

bool filters_pass(const struct filters *f, const char *name, const char *text)
{
    const struct filter *items = f->items.items;
    for (size_t i = 0; i < f->items.count; i++) {
        if (strcmp(items[i].name, name) == 0 && !filter_text(&items[i], text))
            return false;
    }
    return true;
}

/* ---- pages --------------------------------------------------------------------------------- */

/* A token holds the place of the last resource shown, so that what is added or removed between two
 * pages neither hides nor repeats another. */
static char *make_token(const char *action, int64_t seq)
{
    AUTO_FREE char *plain = mem_printf("%s %lld", action, (long long)seq);
    struct buf text AUTO_BUF = {0};
    digest_base64(str_of(plain), &text);
    return buf_take(&text);
}

static bool read_token(const char *token, const char *action, int64_t *seq)
{
    struct buf plain AUTO_BUF = {0};
    if (!digest_unbase64(str_of(token), &plain))
        return false;
    struct str rest = buf_view(&plain);
    struct str name = str_cut(&rest, ' ');
    return str_is(name, action) && rest.p && str_to_i64(rest, 0, INT64_MAX, seq);
}

struct page {
    int64_t after; /* seq */
    int64_t size;  /* 0: everything */
};

static bool read_page(const struct api_request *q, struct api_reply *r, const struct describe *d,
                      struct page *out)
{
    *out = (struct page){0};
    if (d->page_max == 0)
        return true;
    const char *max = param(q->params, "MaxResults");
    if (max && param_any(q->params, d->ids)) {
        api_fail(r, 400, "InvalidParameterCombination",
                 "The parameter %c%sSet cannot be used with the parameter maxResults",
                 d->ids[0] | 0x20, d->ids + 1);
        return false;
    }
    if (!param_int(q->params, "MaxResults", d->page_min, INT32_MAX, 0, &out->size)) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Value ( %s ) for parameter maxResults is invalid. Expecting a value between %d "
                 "and %d.",
                 max, d->page_min, d->page_max);
        return false;
    }
    if (out->size > d->page_max) /* EC2 takes more as the most */
        out->size = d->page_max;
    const char *token = param(q->params, "NextToken");
    if (token && *token && !read_token(token, q->action, &out->after)) {
        api_fail(r, 400, "InvalidPaginationToken",
                 "The specified pagination token is not valid or is expired.");
        return false;
    }
    return true;
}

/* ---- selecting ----------------------------------------------------------------------------- */

static bool by_names(const struct world *w, const struct api_request *q, struct api_reply *r,
                     const struct describe *d, struct selection *out)
{
    struct strv names AUTO_STRV = {0};
    param_list(q->params, d->names, &names);
    for (size_t i = 0; i < names.count; i++) {
        struct resource *found = NULL;
        FOR_EACH(struct resource, res, w, d->kind)
        {
            if (!found && strcmp(d->name_of(res), names.items[i]) == 0)
                found = res;
        }
        if (!found) {
            ec2_not_found(r, d->kind, names.items[i]);
            return false;
        }
        selection_add(out, found);
    }
    return true;
}

static int by_seq(const void *a, const void *b)
{
    const struct resource *x = *(struct resource *const *)a, *y = *(struct resource *const *)b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* In the order of their making, each once, however the request names them. */
static void in_order(struct selection *s)
{
    if (s->count == 0)
        return;
    qsort(s->items, s->count, sizeof *s->items, by_seq);
    size_t kept = 1;
    for (size_t i = 1; i < s->count; i++) {
        if (s->items[i] != s->items[kept - 1])
            s->items[kept++] = s->items[i];
    }
    s->count = kept;
}

static bool candidates(const struct world *w, const struct api_request *q, struct api_reply *r,
                       const struct describe *d, struct selection *out)
{
    bool ids = param_any(q->params, d->ids);
    bool names = d->names && param_any(q->params, d->names);
    if (ids && !ec2_find_list(w, q, r, d->kind, d->ids, out))
        return false;
    if (names && !by_names(w, q, r, d, out))
        return false;
    if (ids || names) {
        in_order(out);
        return true;
    }
    FOR_EACH(struct resource, res, w, d->kind)
    {
        if (ec2_visible(w, res))
            selection_add(out, res);
    }
    return true;
}

static bool passes(const struct world *w, const struct describe *d, const struct filters *filters,
                   const struct resource *res)
{
    const struct filter *f = filters->items.items;
    for (size_t i = 0; i < filters->items.count; i++) {
        if (!match(w, d, &f[i], res))
            return false;
    }
    return true;
}

bool ec2_select(const struct world *w, const struct api_request *q, struct api_reply *r,
                const struct describe *d, struct selection *out)
{
    struct filters filters AUTO_FILTERS = {0};
    struct selection all AUTO_SELECTION = {0};
    struct page page;
    if (!read_all(q, r, NULL, d, true, &filters) || !read_page(q, r, d, &page) ||
        !candidates(w, q, r, d, &all) || ec2_dry_run(q, r))
        return false;
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i]->seq <= page.after || !passes(w, d, &filters, all.items[i]))
            continue;
        if (page.size > 0 && out->count == (size_t)page.size) {
            out->next_token = make_token(q->action, out->items[out->count - 1]->seq);
            break;
        }
        selection_add(out, all.items[i]);
    }
    return true;
}

void ec2_describe(struct world *w, const struct api_request *q, struct api_reply *r,
                  const struct describe *d)
{
    struct selection found AUTO_SELECTION = {0};
    if (!ec2_select(w, q, r, d, &found))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_open(b, d->set);
    for (size_t i = 0; i < found.count; i++) {
        xml_open(b, "item");
        d->write(w, found.items[i], b);
        xml_close(b, "item");
    }
    xml_close(b, d->set);
    xml_text(b, "nextToken", found.next_token);
    ec2_close(q, r);
}

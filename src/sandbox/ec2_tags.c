/* Tags: in requests of every kind, and their own actions. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

#define TAG_RESOURCES_MAX 1000

EC2_HANDLER(CreateTags);
EC2_HANDLER(DeleteTags);
EC2_HANDLER(DescribeTags);

void tag_list_done(struct tag_list *t)
{
    struct tag *tags = t->items.items;
    for (size_t i = 0; i < t->items.count; i++) {
        free(tags[i].key);
        free(tags[i].value);
    }
    free(tags);
    t->items = (struct vec){0};
}

/* Characters of UTF-8, which is what EC2 counts. */
static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

static bool add(struct api_reply *r, struct tag_list *out, const char *key, const char *value)
{
    if (!*key || characters(key) > TAG_KEY_MAX) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Tag key exceeds the maximum length of %d characters, or is empty", TAG_KEY_MAX);
        return false;
    }
    if (characters(value) > TAG_VALUE_MAX) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Tag value exceeds the maximum length of %d characters", TAG_VALUE_MAX);
        return false;
    }
    if (strncasecmp(key, "aws:", 4) == 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "Tag keys starting with 'aws:' are reserved for internal use");
        return false;
    }
    const struct tag *tags = out->items.items;
    for (size_t i = 0; i < out->items.count; i++) {
        if (strcmp(tags[i].key, key) == 0) {
            api_fail(r, 400, "InvalidParameterValue", "Duplicate tag key '%s' specified.", key);
            return false;
        }
    }
    if (out->items.count == TAGS_MAX) {
        api_fail(r, 400, "TagLimitExceeded", "The maximum number of tags for a resource is %d",
                 TAGS_MAX);
        return false;
    }
    struct tag *t = vec_push(&out->items, sizeof *t);
    t->key = mem_dup(key);
    t->value = mem_dup(value);
    return true;
}

bool ec2_tags_read(const struct api_request *q, struct api_reply *r, const char *prefix,
                   struct tag_list *out)
{
    for (int n = 1;; n++) {
        const char *key = paramf(q->params, "%s.%d.Key", prefix, n);
        const char *value = paramf(q->params, "%s.%d.Value", prefix, n);
        if (!key && value) {
            api_fail(r, 400, "MissingParameter", "The request must contain the parameter key");
            return false;
        }
        if (!key)
            return true;
        if (!add(r, out, key, value ? value : ""))
            return false;
    }
}

static bool listed(const char *const *list, const char *name)
{
    for (; *list; list++) {
        if (strcmp(*list, name) == 0)
            return true;
    }
    return false;
}

bool ec2_tag_specification(const struct api_request *q, struct api_reply *r,
                           const char *const *allowed, const char *type, struct tag_list *out)
{
    for (int n = 1;; n++) {
        AUTO_FREE char *prefix = mem_printf("TagSpecification.%d.", n);
        if (!param_any(q->params, prefix))
            return true;
        const char *of = paramf(q->params, "%sResourceType", prefix);
        if (!of || !*of) {
            api_fail(r, 400, "InvalidParameterValue",
                     "Tag specification resource type must have a value");
            return false;
        }
        if (!listed(allowed, of)) {
            api_fail(r, 400, "InvalidParameterValue",
                     "'%s' is not a valid taggable resource type for this operation.", of);
            return false;
        }
        AUTO_FREE char *tags = mem_printf("%sTag", prefix);
        AUTO_FREE char *first = mem_printf("%s.1.", tags);
        if (!param_any(q->params, first)) {
            api_fail(r, 400, "InvalidParameterValue",
                     "Tag specification must have at least one tag");
            return false;
        }
        if (strcmp(of, type) == 0 && !ec2_tags_read(q, r, tags, out))
            return false;
    }
}

bool ec2_tag_specification_of(const struct api_request *q, struct api_reply *r, enum kind kind,
                              struct tag_list *out)
{
    const char *const allowed[] = {kinds[kind].type, NULL};
    return ec2_tag_specification(q, r, allowed, kinds[kind].type, out);
}

void ec2_tags_put(const struct tag_list *t, struct resource *res)
{
    const struct tag *tags = t->items.items;
    for (size_t i = 0; i < t->items.count; i++)
        tag_set(res, tags[i].key, tags[i].value);
}

/* ---- CreateTags, DeleteTags ---------------------------------------------------------------- */

static enum kind kind_of_id(const char *id)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (strncmp(id, kinds[kind].prefix, strlen(kinds[kind].prefix)) == 0)
            return kind;
    }
    return KIND_COUNT;
}

static bool resources(struct world *w, const struct api_request *q, struct api_reply *r,
                      struct selection *out)
{
    struct strv ids AUTO_STRV = {0};
    param_list(q->params, "ResourceId", &ids);
    if (ids.count == 0) {
        api_missing(r, "resourceIdSet");
        return false;
    }
    if (ids.count > TAG_RESOURCES_MAX) {
        api_fail(r, 400, "InvalidParameterValue", "At most %d resources can be tagged at once",
                 TAG_RESOURCES_MAX);
        return false;
    }
    for (size_t i = 0; i < ids.count; i++) {
        enum kind kind = kind_of_id(ids.items[i]);
        if (kind == KIND_COUNT) {
            api_fail(r, 400, "InvalidID", "The ID '%s' is not valid", ids.items[i]);
            return false;
        }
        struct resource *res = ec2_find(w, r, kind, ids.items[i]);
        if (!res)
            return false;
        if (kind == KIND_IMAGE) {
            api_fail(r, 403, "UnauthorizedOperation",
                     "You are not authorized to perform this operation.");
            return false;
        }
        selection_add(out, res);
    }
    return true;
}

void ec2_CreateTags(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    struct tag_list tags AUTO_TAGS = {0};
    if (!resources(w, q, r, &found) || !ec2_tags_read(q, r, "Tag", &tags))
        return;
    if (tags.items.count == 0) {
        api_missing(r, "tagSet");
        return;
    }
    const struct tag *t = tags.items.items;
    for (size_t i = 0; i < found.count; i++) {
        size_t total = found.items[i]->tags.count;
        for (size_t k = 0; k < tags.items.count; k++)
            total += tag_get(found.items[i], t[k].key) == NULL;
        if (total > TAGS_MAX) {
            api_fail(r, 400, "TagLimitExceeded", "The maximum number of tags for a resource is %d",
                     TAGS_MAX);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    for (size_t i = 0; i < found.count; i++)
        ec2_tags_put(&tags, found.items[i]);
    ec2_answer_true(q, r);
}

/* With a value, even an empty one, only a tag that has it goes; without one, whatever it has.
 * Without any tag named, all go. */
static void delete_tags(const struct api_request *q, struct resource *res)
{
    struct tag *tags = res->tags.items;
    if (!param_any(q->params, "Tag.")) {
        while (res->tags.count > 0)
            tag_remove(res, tags[0].key, NULL);
        return;
    }
    for (int n = 1;; n++) {
        const char *key = paramf(q->params, "Tag.%d.Key", n);
        if (!key)
            return;
        tag_remove(res, key, paramf(q->params, "Tag.%d.Value", n));
    }
}

void ec2_DeleteTags(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct selection found AUTO_SELECTION = {0};
    if (!resources(w, q, r, &found) || ec2_dry_run(q, r))
        return;
    for (size_t i = 0; i < found.count; i++)
        delete_tags(q, found.items[i]);
    ec2_answer_true(q, r);
}

/* ---- DescribeTags -------------------------------------------------------------------------- */

#define TAG_PAGE_MIN 5
#define TAG_PAGE_MAX 1000

static const char *const tag_filters[] = {"key", "value", "resource-id", "resource-type", NULL};

static bool shown(const struct filters *f, const struct resource *res, const struct tag *t)
{
    if (!filters_pass(f, "key", t->key) || !filters_pass(f, "value", t->value) ||
        !filters_pass(f, "resource-id", res->id) ||
        !filters_pass(f, "resource-type", kinds[res->kind].type))
        return false;
    const struct filter *items = f->items.items;
    for (size_t i = 0; i < f->items.count; i++) { /* "tag:KEY" */
        const char *name = items[i].name;
        if (strncmp(name, "tag:", 4) == 0 &&
            (strcmp(name + 4, t->key) != 0 || !filter_text(&items[i], t->value)))
            return false;
    }
    return true;
}

static void write_tag(struct buf *b, const struct resource *res, const struct tag *t)
{
    xml_open(b, "item");
    xml_text(b, "resourceId", res->id);
    xml_text(b, "resourceType", kinds[res->kind].type);
    xml_text(b, "key", t->key);
    xml_text(b, "value", t->value);
    xml_close(b, "item");
}

/* The token of this action is the number of tags shown before. */
void ec2_DescribeTags(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct filters filters AUTO_FILTERS = {0};
    int64_t size, skip, at = 0;
    if (!filters_read(q, r, tag_filters, true, &filters) ||
        !ec2_int(q, r, "MaxResults", TAG_PAGE_MIN, TAG_PAGE_MAX, INT32_MAX, &size) ||
        !ec2_int(q, r, "NextToken", 0, INT32_MAX, 0, &skip) || ec2_dry_run(q, r))
        return;
    struct buf *b = &r->body;
    ec2_open(q, r);
    xml_open(b, "tagSet");
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        FOR_EACH(struct resource, res, w, kind)
        {
            const struct tag *tags = res->tags.items;
            for (size_t i = 0; i < res->tags.count && ec2_visible(w, res); i++) {
                if (!shown(&filters, res, &tags[i]))
                    continue;
                if (at >= skip && at < skip + size)
                    write_tag(b, res, &tags[i]);
                at++;
            }
        }
    }
    xml_close(b, "tagSet");
    if (at > skip + size)
        xml_int(b, "nextToken", skip + size);
    ec2_close(q, r);
}

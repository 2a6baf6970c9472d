/* Records by their field tables: freeing, saving as JSON, and strict loading.
 *
 * A member that holds its default (NULL, false, 0, empty) is not written, so that a thousand
 * instances stay small; a member that the table does not know is an error, so that the state of
 * another version is never half understood. */
#include "base/digest.h"
#include "base/json.h"
#include "sandbox/world_priv.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX 4096
#define LIST_ITEMS_MAX 1000
#define RECORDS_MAX 2000

void *vec_push(struct vec *v, size_t size)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 4;
        v->items = mem_grow(v->items, v->cap, size);
    }
    char *slot = (char *)v->items + v->count++ * size;
    memset(slot, 0, size);
    return slot;
}

void vec_remove(struct vec *v, size_t size, size_t at)
{
    char *items = v->items;
    v->count--;
    memmove(items + at * size, items + (at + 1) * size, (v->count - at) * size);
}

static void *field_at(const struct field *f, const void *p)
{
    return (char *)(uintptr_t)p + f->offset;
}

static void field_done(const struct field *f, void *at)
{
    if (f->type == FIELD_TEXT) {
        free(*(char **)at);
    } else if (f->type == FIELD_LIST) {
        strv_done(at);
    } else if (f->type == FIELD_RECORDS) {
        struct vec *v = at;
        for (size_t i = 0; i < v->count; i++)
            record_done(f->item, (char *)v->items + i * f->item->size);
        free(v->items);
        *v = (struct vec){0};
    }
}

void record_done(const struct record *rec, void *p)
{
    for (size_t i = 0; i < rec->field_count; i++)
        field_done(&rec->fields[i], field_at(&rec->fields[i], p));
}

static json_t *list_save(const struct strv *v)
{
    if (v->count == 0)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++)
        json_array_append_new(list, json_string_nocheck(v->items[i]));
    return list;
}

static json_t *records_save(const struct record *rec, const struct vec *v)
{
    if (v->count == 0)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++)
        json_array_append_new(list, record_save(rec, (const char *)v->items + i * rec->size));
    return list;
}

static json_t *field_save(const struct field *f, const void *at)
{
    switch (f->type) {
    case FIELD_TEXT: {
        const char *s = *(char *const *)at;
        return s ? json_string_nocheck(s) : NULL;
    }
    case FIELD_BOOL:
        return *(const bool *)at ? json_true() : NULL;
    case FIELD_INT:
        return *(const int *)at ? json_integer(*(const int *)at) : NULL;
    case FIELD_TIME:
        return *(const int64_t *)at ? json_integer(*(const int64_t *)at) : NULL;
    case FIELD_NAME:
        return json_string_nocheck(f->names[*(const int *)at]);
    case FIELD_LIST:
        return list_save(at);
    case FIELD_RECORDS:
        return records_save(f->item, at);
    }
    return NULL;
}

json_t *record_save(const struct record *rec, const void *p)
{
    json_t *j = json_object();
    for (size_t i = 0; i < rec->field_count; i++) {
        json_t *value = field_save(&rec->fields[i], field_at(&rec->fields[i], p));
        if (value)
            json_object_set_new_nocheck(j, rec->fields[i].name, value);
    }
    return j;
}

static int wrong(struct err *err, const char *where, const char *name)
{
    return err_set(err, ERR_PARSE, "wrong value of '%s' in %s", name, where);
}

static bool text_of(const json_t *j, const char **out)
{
    if (!json_is_string(j) || json_string_length(j) > TEXT_BYTES_MAX)
        return false;
    *out = json_string_value(j);
    return strlen(*out) == json_string_length(j);
}

static bool int_load(const struct field *f, int *at, const json_t *j)
{
    if (!json_is_integer(j))
        return false;
    json_int_t n = json_integer_value(j);
    if (n < f->min || n > f->max)
        return false;
    *at = (int)n;
    return true;
}

static bool time_load(usec_t *at, const json_t *j)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return false;
    *at = json_integer_value(j);
    return true;
}

static bool name_load(const struct field *f, int *at, const json_t *j)
{
    const char *s;
    if (!text_of(j, &s))
        return false;
    for (size_t i = 0; i < f->name_count; i++) {
        if (strcmp(f->names[i], s) == 0) {
            *at = (int)i;
            return true;
        }
    }
    return false;
}

static bool list_load(struct strv *at, const json_t *j)
{
    if (!json_is_array(j) || json_array_size(j) > LIST_ITEMS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(j); i++) {
        const char *s;
        if (!text_of(json_array_get(j, i), &s))
            return false;
        strv_add(at, s);
    }
    return true;
}

static int records_load(const struct record *rec, struct vec *at, const json_t *j,
                        const char *where, const char *name, struct err *err)
{
    if (!json_is_array(j) || json_array_size(j) > RECORDS_MAX)
        return wrong(err, where, name);
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (record_load(rec, vec_push(at, rec->size), json_array_get(j, i), where, err) != 0)
            return -1;
    }
    return 0;
}

static int field_load(const struct field *f, void *at, const json_t *j, const char *where,
                      struct err *err)
{
    bool fine = false;
    switch (f->type) {
    case FIELD_TEXT: {
        const char *s;
        fine = text_of(j, &s);
        if (fine)
            *(char **)at = mem_dup(s);
        break;
    }
    case FIELD_BOOL:
        fine = json_is_boolean(j);
        if (fine)
            *(bool *)at = json_is_true(j);
        break;
    case FIELD_INT:
        fine = int_load(f, at, j);
        break;
    case FIELD_TIME:
        fine = time_load(at, j);
        break;
    case FIELD_NAME:
        fine = name_load(f, at, j);
        break;
    case FIELD_LIST:
        fine = list_load(at, j);
        break;
    case FIELD_RECORDS:
        return records_load(f->item, at, j, where, f->name, err);
    }
    return fine ? 0 : wrong(err, where, f->name);
}

int record_load(const struct record *rec, void *p, const json_t *j, const char *where,
                struct err *err)
{
    if (!json_is_object(j))
        return err_set(err, ERR_PARSE, "%s is no object", where);
    size_t known = 0;
    for (size_t i = 0; i < rec->field_count; i++) {
        const struct field *f = &rec->fields[i];
        const json_t *value = json_object_get(j, f->name);
        if (!value)
            continue;
        known++;
        if (field_load(f, field_at(f, p), value, where, err) != 0)
            return -1;
    }
    if (known != json_object_size(j))
        return err_set(err, ERR_PARSE, "unknown member in %s", where);
    return 0;
}

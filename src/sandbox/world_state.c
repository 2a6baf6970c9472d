/* The account's state as JSON, and back. Loading is strict: what is not understood to the last
 * member is refused, for a guess could lose track of machines that run. */
#include "base/digest.h"
#include "base/json.h"
#include "os/fs.h"
#include "sandbox/world_priv.h"
#include <stdlib.h>
#include <string.h>

#define FORMAT "flambe-sandbox-world"
#define VERSION 1
#define STATE_RESOURCES_MAX 100000
#define USER_DATA_MAX ((size_t)16 << 10)

/* Changes with every start of this computer. */
static char *boot_id(void)
{
    struct buf text AUTO_BUF = {0};
    if (fs_read("/proc/sys/kernel/random/boot_id", 128, &text, NULL) != 0)
        return mem_dup("");
    return str_dup(str_trim(buf_view(&text)));
}

/* ---- saving -------------------------------------------------------------------------------------
 */

static json_t *save_list(const struct world *w, enum kind kind)
{
    const struct resource_list *l = &w->lists[kind];
    json_t *list = json_array();
    for (size_t i = 0; i < l->count; i++)
        json_array_append_new(list, record_save(kinds[kind].record, l->items[i]));
    return list;
}

static json_t *save_user_data(const struct world *w)
{
    json_t *all = json_object();
    size_t at = 0;
    struct str key;
    void *value;
    while (strtab_next(w->user_data, &at, &key, &value)) {
        const struct user_data *d = value;
        AUTO_FREE char *name = str_dup(key);
        struct buf text AUTO_BUF = {0};
        digest_base64((struct str){d->bytes, d->n}, &text);
        json_object_set_new(all, name, json_string(buf_text(&text)));
    }
    return all;
}

static json_t *save_launches(const struct world *w)
{
    json_t *all = json_array();
    const struct world_launch *l = w->launches.items;
    for (size_t i = 0; i < w->launches.count; i++) {
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:s, s:s, s:I}", "token", l[i].token, "zone",
                                        l[i].zone, "digest", l[i].digest, "reservation",
                                        l[i].reservation_id, "created", (json_int_t)l[i].created));
    }
    return all;
}

json_t *world_save(const struct world *w)
{
    AUTO_FREE char *boot = w->powered_off ? mem_dup("off") : boot_id();
    json_t *j = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:i}", "format", FORMAT,
        "version", VERSION, "region", w->region, "account", w->account, "network", w->network,
        "public_network", w->public_network, "hosts", host_kind_name(w->o.kind), "boot_id", boot,
        "visible_after", (json_int_t)w->o.visible_after, "pending_for",
        (json_int_t)w->o.pending_for, "stopping_for", (json_int_t)w->o.stopping_for, "next_seq",
        (json_int_t)w->next_seq, "public_cursor", w->public_cursor, "vcpu_quota", w->vcpu_quota);
    json_object_set_new(j, "user_data", save_user_data(w));
    json_object_set_new(j, "launches", save_launches(w));
    json_object_set(j, "alarms", w->alarms);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (kinds[kind].plural)
            json_object_set_new(j, kinds[kind].plural, save_list(w, kind));
    }
    return j;
}

/* ---- loading ------------------------------------------------------------------------------------
 */

static int same(const json_t *j, const char *name, const char *wanted, struct err *err)
{
    const char *found = json_text(j, name);
    if (!found)
        return err_set(err, ERR_PARSE, "the state has no '%s'", name);
    if (strcmp(found, wanted) != 0)
        return err_set(err, ERR_CONFLICT, "the state is of %s '%s', not '%s'", name, found, wanted);
    return 0;
}

static int load_number(const json_t *j, const char *name, int64_t min, int64_t max, int64_t *out,
                       struct err *err)
{
    const json_t *n = json_object_get(j, name);
    if (!json_is_integer(n) || json_integer_value(n) < min || json_integer_value(n) > max)
        return err_set(err, ERR_PARSE, "wrong value of '%s' in the state", name);
    *out = json_integer_value(n);
    return 0;
}

static int load_settings(struct world *w, const json_t *j, struct err *err)
{
    const usec_t day = 24 * USEC_PER_HOUR;
    int64_t cursor = 0, quota = 0;
    if (load_number(j, "visible_after", 0, day, &w->o.visible_after, err) != 0 ||
        load_number(j, "pending_for", 0, day, &w->o.pending_for, err) != 0 ||
        load_number(j, "stopping_for", 0, day, &w->o.stopping_for, err) != 0 ||
        load_number(j, "next_seq", 1, INT64_MAX / 2, &w->next_seq, err) != 0 ||
        load_number(j, "public_cursor", 0, INT32_MAX, &cursor, err) != 0 ||
        load_number(j, "vcpu_quota", 0, VCPU_QUOTA_DEFAULT, &quota, err) != 0)
        return -1;
    w->public_cursor = (int)cursor;
    w->vcpu_quota = (int)quota;
    return 0;
}

static int load_user_data(struct world *w, const json_t *j, struct err *err)
{
    json_t *all = json_object_get(j, "user_data");
    if (!json_is_object(all))
        return err_set(err, ERR_PARSE, "the state has no 'user_data'");
    const char *key;
    json_t *value;
    json_object_foreach(all, key, value)
    {
        struct buf bytes AUTO_BUF = {0};
        if (!json_is_string(value) || !digest_unbase64(str_of(json_string_value(value)), &bytes) ||
            bytes.len > USER_DATA_MAX)
            return err_set(err, ERR_PARSE, "wrong user data in the state");
        struct user_data *d = mem_alloc(sizeof *d);
        d->n = bytes.len;
        d->bytes = buf_take(&bytes);
        strtab_put(w->user_data, str_of(key), d);
    }
    return 0;
}

static int load_alarms(struct world *w, const json_t *j, struct err *err)
{
    json_t *all = json_object_get(j, "alarms");
    const char *name;
    json_t *alarm;
    if (!json_is_object(all))
        return err_set(err, ERR_PARSE, "the state has no 'alarms'");
    json_object_foreach(all, name, alarm)
    {
        if (!json_is_object(alarm))
            return err_set(err, ERR_PARSE, "wrong alarm in the state");
    }
    return json_object_update(w->alarms, all) == 0
               ? 0
               : err_set(err, ERR_INTERNAL, "cannot take the alarms over");
}

static int load_launch(struct world *w, const json_t *j, struct err *err)
{
    const char *token = json_text(j, "token"), *zone = json_text(j, "zone");
    const char *digest = json_text(j, "digest"), *reservation = json_text(j, "reservation");
    const json_t *created = json_object_get(j, "created");
    if (!token || !zone || !digest || !reservation || !json_is_integer(created))
        return err_set(err, ERR_PARSE, "wrong launch in the state");
    struct world_launch *l = vec_push(&w->launches, sizeof *l);
    *l = (struct world_launch){.token = mem_dup(token),
                               .zone = mem_dup(zone),
                               .digest = mem_dup(digest),
                               .reservation_id = mem_dup(reservation),
                               .created = json_integer_value(created)};
    return 0;
}

static int load_launches(struct world *w, const json_t *j, struct err *err)
{
    const json_t *all = json_object_get(j, "launches");
    if (!json_is_array(all) || json_array_size(all) > STATE_RESOURCES_MAX)
        return err_set(err, ERR_PARSE, "the state has no 'launches'");
    for (size_t i = 0; i < json_array_size(all); i++) {
        if (load_launch(w, json_array_get(all, i), err) != 0)
            return -1;
    }
    return 0;
}

/* The loaded record stands in the list before its id is known to be good, so that it is freed with
 * the world whatever happens. */
static int load_resource(struct world *w, enum kind kind, const json_t *j, struct err *err)
{
    const struct kind_info *info = &kinds[kind];
    struct resource *r = mem_alloc(info->record->size);
    r->kind = kind;
    struct resource_list *l = &w->lists[kind];
    int64_t last = l->count ? l->items[l->count - 1]->seq : 0;
    MEM_PUSH_ROOM(l->items, l->count, l->cap);
    l->items[l->count++] = r;
    if (record_load(info->record, r, j, info->type, err) != 0)
        return -1;
    if (!r->id || strncmp(r->id, info->prefix, strlen(info->prefix)) != 0)
        return err_set(err, ERR_PARSE, "wrong id of a %s in the state", info->type);
    if (r->seq <= last || r->seq >= w->next_seq)
        return err_set(err, ERR_PARSE, "'%s' is out of order in the state", r->id);
    if (strtab_put(w->by_id, str_of(r->id), r))
        return err_set(err, ERR_PARSE, "'%s' is twice in the state", r->id);
    struct tag *tags = r->tags.items;
    for (size_t i = 0; i < r->tags.count; i++) {
        if (!tags[i].key || !tags[i].value)
            return err_set(err, ERR_PARSE, "wrong tag of '%s' in the state", r->id);
    }
    return 0;
}

static int load_kind(struct world *w, enum kind kind, const json_t *j, struct err *err)
{
    const json_t *all = json_object_get(j, kinds[kind].plural);
    if (!json_is_array(all) || json_array_size(all) > STATE_RESOURCES_MAX)
        return err_set(err, ERR_PARSE, "the state has no '%s'", kinds[kind].plural);
    for (size_t i = 0; i < json_array_size(all); i++) {
        if (load_resource(w, kind, json_array_get(all, i), err) != 0)
            return -1;
    }
    return 0;
}

static int load_all(struct world *w, const json_t *j, struct err *err)
{
    if (load_settings(w, j, err) != 0 || load_user_data(w, j, err) != 0 ||
        load_launches(w, j, err) != 0 || load_alarms(w, j, err) != 0)
        return -1;
    images_add(w);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (kinds[kind].plural && load_kind(w, kind, j, err) != 0)
            return -1;
    }
    return world_link(w, err);
}

static int check_header(const struct world_options *o, const json_t *j, struct err *err)
{
    const char *format = json_text(j, "format");
    if (!json_is_object(j) || !format || strcmp(format, FORMAT) != 0)
        return err_set(err, ERR_PARSE, "no state of a flambe sandbox");
    int64_t version = 0;
    if (load_number(j, "version", 1, INT32_MAX, &version, err) != 0)
        return -1;
    if (version != VERSION)
        return err_set(err, ERR_PARSE, "the state is of version %d, this program reads version %d",
                       (int)version, VERSION);
    if (same(j, "region", o->region, err) != 0 || same(j, "account", o->account, err) != 0 ||
        same(j, "network", o->network, err) != 0 ||
        same(j, "public_network", o->public_network, err) != 0)
        return -1;
    const json_t *instances = json_object_get(j, kinds[KIND_INSTANCE].plural);
    return json_array_size(instances) == 0 ? 0 : same(j, "hosts", host_kind_name(o->kind), err);
}

int world_load(const struct world_options *o, const json_t *state, struct world **out,
               struct err *err)
{
    if (check_header(o, state, err) != 0)
        return -1;
    AUTO_FREE char *boot = boot_id();
    const char *boot_then = json_text(state, "boot_id");
    if (!boot_then)
        return err_set(err, ERR_PARSE, "the state has no 'boot_id'");
    struct world *w = world_empty(o);
    if (load_all(w, state, err) != 0 ||
        instances_adopt(w, strcmp(boot, boot_then) != 0, err) != 0) {
        w->o.driver = (struct host_driver){0}; /* stays the caller's */
        world_close(w, true);
        return -1;
    }
    *out = w;
    return 0;
}

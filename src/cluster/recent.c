/* Machines that were launched a moment ago. EC2 is eventually consistent: DescribeInstances may not
 * show an instance for about a second after RunInstances has named it. A run that ends in that
 * moment, and another that begins, must not conclude that nothing is there. */
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <string.h>

#define RECENT_BYTES_MAX ((size_t)4 << 20)

static json_t *load(const char *path)
{
    AUTO_BUF struct buf text = {0};
    json_t *ids = NULL;
    if (fs_read(path, RECENT_BYTES_MAX, &text, NULL) == 0)
        (void)!json_parse(buf_view(&text), RECENT_BYTES_MAX, &ids, NULL);
    if (json_is_object(ids))
        return ids;
    json_decref(ids);
    return json_object();
}

static bool is_recent(const json_t *at, usec_t now)
{
    usec_t launched = json_integer_value(at);
    return launched <= now && now - launched < RECENT_FOR;
}

int recent_add(struct cluster *c, const char *creator, const char *name,
               const struct ec2_instances *made, struct err *err)
{
    AUTO_FREE char *path = state_path(c, creator, name, "launched.json");
    json_auto_t *old = load(path);
    json_auto_t *ids = json_object();
    usec_t now = clock_wall(loop_clock(c->loop));
    const char *id;
    json_t *at;
    json_object_foreach(old, id, at)
    {
        if (is_recent(at, now))
            json_object_set(ids, id, at);
    }
    for (size_t i = 0; i < made->count; i++)
        json_object_set_new(ids, made->items[i].id, json_integer(now));
    AUTO_BUF struct buf text = {0};
    json_write(ids, false, &text);
    return fs_write_atomic(path, 0600, buf_view(&text), err);
}

void recent_list(struct cluster *c, const char *creator, const char *name, struct strv *ids)
{
    AUTO_FREE char *path = state_path(c, creator, name, "launched.json");
    json_auto_t *all = load(path);
    usec_t now = clock_wall(loop_clock(c->loop));
    const char *id;
    json_t *at;
    json_object_foreach(all, id, at)
    {
        if (is_recent(at, now))
            strv_add(ids, id);
    }
}

bool recent_all_seen(const struct strv *ids, const struct ec2_instances *found)
{
    for (size_t i = 0; i < ids->count; i++) {
        size_t k = 0;
        while (k < found->count && strcmp(found->items[k].id, ids->items[i]) != 0)
            k++;
        if (k == found->count)
            return false;
    }
    return true;
}

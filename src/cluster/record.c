/* cluster.json: what a verb needs to reach a cluster that this laptop made, without its file. */
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES_MAX 65536

void cluster_record_done(struct cluster_record *r)
{
    free(r->name);
    free(r->creator);
    free(r->region);
    free(r->username);
    free(r->key_path);
    free(r->file_path);
    cluster_machines_done(&r->machines);
    *r = (struct cluster_record){0};
}

static char *absolute(const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;
    return real ? real : mem_dup(path ? path : "");
}

bool cluster_record_is_ssh(const struct cluster_record *r)
{
    return strcmp(r->region, CLUSTER_REGION_SSH) == 0;
}

/* [["ADDRESS", "INSIDE"], …], the orchestrator first. */
static json_t *machines_json(const struct cluster_machines *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->count; i++)
        json_array_append_new(list, json_pack("[s, s]", m->items[i].address, m->items[i].inside));
    return list;
}

static void read_machines(const json_t *list, struct cluster_machines *out)
{
    size_t i;
    const json_t *pair;
    json_array_foreach(list, i, pair)
    {
        const char *address = json_string_value(json_array_get(pair, 0));
        const char *inside = json_string_value(json_array_get(pair, 1));
        if (address && inside)
            cluster_machines_add(out, address, inside);
    }
}

int record_save(struct cluster *c, const struct cluster_spec *spec, struct err *err)
{
    AUTO_FREE char *key = absolute(spec->key);
    AUTO_FREE char *file = absolute(spec->path);
    json_auto_t *record =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "name", spec->name, "creator",
                  spec->creator, "region", cluster_region(c), "username", spec->username, "key",
                  key, "file", file, "ssh_port", spec->ssh_port);
    if (!record)
        return err_set(err, ERR_INTERNAL, "the cluster's record cannot be written");
    if (spec->kind == CLUSTER_SSH)
        json_object_set_new(record, "machines", machines_json(&spec->machines));
    AUTO_BUF struct buf text = {0};
    json_write(record, true, &text);
    AUTO_FREE char *path = state_path(c, spec->creator, spec->name, "cluster.json");
    return fs_write_atomic(path, 0600, buf_view(&text), err);
}

static int load(const char *path, struct cluster_record *out, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read(path, RECORD_BYTES_MAX, &text, err) == -1)
        return -1;
    json_auto_t *json = NULL;
    if (json_parse(buf_view(&text), RECORD_BYTES_MAX, &json, err) == -1)
        return err_wrap(err, "'%s'", path);
    const char *name = json_text(json, "name"), *creator = json_text(json, "creator");
    const char *region = json_text(json, "region"), *user = json_text(json, "username");
    const char *key = json_text(json, "key"), *file = json_text(json, "file");
    json_int_t port = json_integer_value(json_object_get(json, "ssh_port"));
    if (!name || !creator || !region || !user || !key || port < 0 || port > 65535)
        return err_set(err, ERR_PARSE, "'%s' is no record of a cluster", path);
    *out = (struct cluster_record){
        .name = mem_dup(name),
        .creator = mem_dup(creator),
        .region = mem_dup(region),
        .username = mem_dup(user),
        .key_path = mem_dup(key),
        .file_path = mem_dup(file),
        .ssh_port = (int)port,
    };
    read_machines(json_object_get(json, "machines"), &out->machines);
    return 0;
}

int cluster_record_load(struct cluster *c, const char *creator, const char *name,
                        struct cluster_record *out, struct err *err)
{
    AUTO_FREE char *path = state_path(c, creator, name, "cluster.json");
    struct err why = {0};
    if (load(path, out, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND,
                       "this machine has no record of the cluster '%s' of '%s' in %s", name,
                       creator, cluster_region(c));
    return err_copy(err, &why);
}

static int compare_records(const void *pa, const void *pb)
{
    const struct cluster_record *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);
    if (!order)
        order = strcmp(a->creator, b->creator);
    return order ? order : strcmp(a->region, b->region);
}

/* Goes `depth` directories down (region, creator, name) and loads the records at the bottom. */
static void collect(const char *dir, int depth, struct cluster_records *out)
{
    if (depth == 0) {
        AUTO_FREE char *path = fs_join(dir, "cluster.json");
        struct cluster_record r;
        if (load(path, &r, NULL) == -1)
            return;
        MEM_PUSH_ROOM(out->items, out->count, out->cap);
        out->items[out->count++] = r;
        return;
    }
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        AUTO_FREE char *below = fs_join(dir, e->d_name);
        collect(below, depth - 1, out);
    }
    closedir(d);
}

int cluster_records_list(struct cluster *c, struct cluster_records *out, struct err *err)
{
    (void)err;
    *out = (struct cluster_records){0};
    AUTO_FREE char *root = fs_join(c->state_root, "clusters");
    collect(root, 3, out);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_records);
    return 0;
}

void cluster_records_done(struct cluster_records *r)
{
    for (size_t i = 0; i < r->count; i++)
        cluster_record_done(&r->items[i]);
    free(r->items);
    *r = (struct cluster_records){0};
}

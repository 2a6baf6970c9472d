/* A cluster's hosts as the user names them, and as JSON. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/session.h"
#include <string.h>

const char *host_short_name(const char *cluster, const struct cluster_host *h)
{
    size_t n = strlen(cluster);
    bool ours = strncmp(h->name, cluster, n) == 0 && h->name[n] == '_' && h->name[n + 1];
    return ours ? h->name + n + 1 : h->name;
}

static bool same(const char *a, struct str b)
{
    return a && str_is(b, a);
}

static bool host_matches(const struct target *t, const struct cluster_host *h, struct str word)
{
    int64_t number;
    if (str_is(word, "all"))
        return true;
    if (str_is(word, "orchestrator"))
        return h->role == ROLE_ORCHESTRATOR;
    if (str_is(word, "factories"))
        return h->role == ROLE_FACTORY;
    if (str_to_i64(word, 0, INT32_MAX, &number))
        return h->role == (number ? ROLE_FACTORY : ROLE_ORCHESTRATOR) && h->index == number;
    return same(h->name, word) || same(host_short_name(t->name, h), word) ||
           same(h->instance_id, word) || same(h->public_ip, word) || same(h->private_ip, word);
}

int hosts_choose(const struct target *t, const struct cluster_hosts *hosts, const char *words,
                 bool *chosen, struct err *err)
{
    struct str rest = str_of(words);
    while (rest.p) {
        struct str word = str_trim(str_cut(&rest, ','));
        size_t hits = 0;
        for (size_t i = 0; i < hosts->count; i++) {
            if (!host_matches(t, &hosts->items[i], word))
                continue;
            chosen[i] = true;
            hits++;
        }
        if (hits)
            continue;
        AUTO_STRV struct strv names = {0};
        for (size_t i = 0; i < hosts->count && i < 8; i++)
            strv_add(&names, host_short_name(t->name, &hosts->items[i]));
        AUTO_FREE char *list = strv_join(&names, ", ");
        return err_set(err, ERR_USAGE, "'%s' has no host '%.*s'; it has %s%s", t->name,
                       STR_FMT(word), names.count ? list : "none",
                       hosts->count > names.count ? ", ..." : "");
    }
    return 0;
}

int hosts_pick(const struct target *t, const struct cluster_hosts *hosts, const char *words,
               struct cluster_hosts *out, struct err *err)
{
    AUTO_FREE bool *chosen = mem_array(hosts->count + 1, sizeof *chosen);
    if (hosts_choose(t, hosts, words ? words : "all", chosen, err) == -1)
        return -1;
    struct cluster_hosts picked = {0};
    for (size_t i = 0; i < hosts->count; i++) {
        const struct cluster_host *h = &hosts->items[i];
        if (!chosen[i] || h->phase == HOST_GOING || h->phase == HOST_GONE)
            continue;
        MEM_PUSH_ROOM(picked.items, picked.count, picked.cap);
        picked.items[picked.count++] = *h;
    }
    if (!picked.count)
        return err_set(err, ERR_NOT_FOUND,
                       "no host of '%s' that is meant is up: all are shutting down", t->name);
    *out = picked;
    return 0;
}

static json_t *host_json(const struct cluster_host *h)
{
    json_t *value = json_pack(
        "{s:s, s:s, s:i, s:s?, s:s?, s:s?, s:s?, s:s?, s:s, s:s, s:s?}", "name", h->name, "role",
        cluster_role_name(h->role), "index", h->index, "instance_id", h->instance_id, "type",
        h->type, "zone", h->zone, "public_ip", h->public_ip, "private_ip", h->private_ip, "state",
        ec2_state_name(h->state), "phase", host_phase_name(h->phase), "note", h->note);
    if (h->launched) {
        char when[CLOCK_ISO_SIZE];
        clock_iso(h->launched, when);
        json_object_set_new(value, "launched", json_string(when));
    }
    return value;
}

json_t *hosts_json(const struct cluster_hosts *hosts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < hosts->count; i++)
        json_array_append_new(list, host_json(&hosts->items[i]));
    return list;
}

/* From what the user typed to a cluster and to some of its hosts. */
#include "base/mem.h"
#include "cli/session.h"
#include "cli/text.h"
#include "config/yaml.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_USER "ubuntu"
#define DEFAULT_PORT 22

void target_done(struct target *t)
{
    free(t->name);
    free(t->creator);
    free(t->region);
    free(t->username);
    free(t->key_path);
    if (t->spec)
        cluster_spec_done(t->spec);
    free(t->spec);
    *t = (struct target){0};
}

int target_load_spec(struct cli *cli, const char *path, bool with_key, struct cluster_spec *out,
                     struct err *err)
{
    if (file_is_experiment(path)) {
        cli_hint(cli, "flambe run %s   to run it on this machine", path);
        return err_set(err, ERR_FILE, "'%s' is an experiment, not a cluster", path);
    }
    struct diags diags = {0};
    struct err why = {0};
    int rc = with_key && !cli->opt.identity ? cluster_spec_load_with_key(path, out, &diags, &why)
                                            : cluster_spec_load(path, out, &diags, &why);
    if (rc == -1 && (diags.count || diags.dropped))
        file_show_diagnostics(cli, &diags);
    diags_done(&diags);
    if (rc == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND || why.code == ERR_IO || why.code == ERR_LIMIT)
        why.code = ERR_FILE; /* whatever is wrong with it, it is the user's file */
    return err_copy(err, &why);
}

int target_load_identity(struct cli *cli, const struct target *t, struct ssh_identity **out,
                         struct err *err)
{
    AUTO_FREE char *path =
        cli->opt.identity ? fs_expand_home(cli->opt.identity) : mem_dup(t->key_path);
    if (!path || !*path) {
        cli_hint(cli, "-i FILE, with the cluster's pem file; or the cluster file in place of '%s'",
                 t->name);
        return err_set(err, ERR_USAGE,
                       "which private key opens '%s' is not known: this machine did not make it",
                       t->name);
    }
    struct err why = {0};
    if (ssh_identity_load(path, out, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND || why.code == ERR_IO)
        why.code = ERR_FILE;
    return err_copy(err, &why);
}

static int open_file(struct session *s, const char *path, struct target *out, struct err *err)
{
    struct cluster_spec *spec = mem_alloc(sizeof *spec);
    if (target_load_spec(s->cli, path, false, spec, err) == -1) {
        free(spec);
        return -1;
    }
    struct target t = {
        .name = mem_dup(spec->name),
        .creator = mem_dup(s->cli->opt.creator ? s->cli->opt.creator : spec->creator),
        .region = mem_dup(spec->region_name),
        .username = mem_dup(spec->username),
        .key_path = mem_dup(spec->key),
        .ssh_port = spec->ssh_port,
        .spec = spec,
    };
    if (spec->kind == CLUSTER_AWS && session_connect(s, t.region, err) == -1) {
        target_done(&t);
        return -1;
    }
    struct cluster_record r;
    if (cluster_record_load(&s->cluster, t.creator, t.name, &r, NULL) == 0) {
        t.recorded = true;
        cluster_record_done(&r);
    }
    *out = t;
    return 0;
}

static int several(struct cli *cli, const char *name, const struct strv *owners, struct err *err)
{
    AUTO_FREE char *list = strv_join(owners, ", ");
    cli_hint(cli, "--creator NAME or --region REGION");
    return err_set(err, ERR_CONFLICT, "there are several clusters '%s': %s", name, list);
}

static bool record_fits(const struct cli *cli, const struct cluster_record *r, const char *name,
                        const char *region)
{
    return strcmp(r->name, name) == 0 &&
           (!cli->opt.creator || strcmp(r->creator, cli->opt.creator) == 0) &&
           (!region || strcmp(r->region, region) == 0);
}

bool session_knows(struct session *s, const char *name)
{
    struct cluster_records records = {0};
    bool found = false;
    if (cluster_records_list(&s->cluster, &records, NULL) == -1)
        return false;
    for (size_t i = 0; i < records.count; i++)
        found = found || strcmp(records.items[i].name, name) == 0;
    cluster_records_done(&records);
    return found;
}

/* Finds the one record of that name; *found is NULL where there is none. Several in several regions
 * are told apart by the region that would be used anyway. */
static int find_record(struct session *s, const struct cluster_records *records, const char *name,
                       const struct cluster_record **found, struct err *err)
{
    const char *region = s->cli->opt.region;
    for (int pass = 0; pass < 2; pass++) {
        size_t fits = 0;
        AUTO_STRV struct strv owners = {0};
        for (size_t i = 0; i < records->count; i++) {
            const struct cluster_record *r = &records->items[i];
            if (!record_fits(s->cli, r, name, region))
                continue;
            fits++;
            *found = r;
            strv_take(&owners, mem_printf("%s's in %s", r->creator, r->region));
        }
        if (fits <= 1)
            return 0;
        if (pass == 1 || region)
            return several(s->cli, name, &owners, err);
        if (session_connect(s, NULL, err) == -1)
            return -1;
        region = aws_region(s->cluster.aws);
        *found = NULL;
    }
    return 0;
}

/* A cluster that another machine made: its creator is on its tags, its key is not known here. */
static int find_in_region(struct session *s, const char *name, struct target *out, struct err *err)
{
    if (!s->cluster.aws && session_connect(s, NULL, err) == -1)
        return -1;
    struct cluster_list list = {0};
    if (cluster_observe_all(&s->cluster, s->cli->opt.creator, &list, err) == -1)
        return -1;
    AUTO_STRV struct strv owners = {0}, names = {0};
    bool nobodys = false;
    for (size_t i = 0; i < list.count; i++) {
        strv_add(&names, list.items[i].name);
        if (strcmp(list.items[i].name, name) != 0)
            continue;
        if (list.items[i].creator && *list.items[i].creator)
            strv_add(&owners, list.items[i].creator);
        else
            nobodys = true;
    }
    cluster_list_done(&list);
    if (owners.count > 1)
        return several(s->cli, name, &owners, err);
    const char *region = aws_region(s->cluster.aws);
    if (!owners.count && nobodys)
        return err_set(err, ERR_CONFLICT,
                       "the machines of '%s' in %s have no creator tag: flambe did not make them, "
                       "and does not touch them",
                       name, region);
    if (!owners.count) {
        const char *near = str_nearest(name, (const char *const *)names.items, names.count);
        if (near)
            cli_hint(s->cli, "'%s', if that was meant", near);
        cli_hint(s->cli, "flambe status, which lists your clusters; or the cluster's file in place "
                         "of its name");
        return err_set(err, ERR_NOT_FOUND,
                       "no cluster '%s': this machine has no record of it, and %s has no such "
                       "machines%s%s",
                       name, region, s->cli->opt.creator ? " of " : "",
                       s->cli->opt.creator ? s->cli->opt.creator : "");
    }
    *out = (struct target){
        .name = mem_dup(name),
        .creator = mem_dup(owners.items[0]),
        .region = mem_dup(region),
        .username = mem_dup(DEFAULT_USER),
        .ssh_port = DEFAULT_PORT,
    };
    return 0;
}

static int open_name(struct session *s, const char *name, struct target *out, struct err *err)
{
    struct cluster_records records = {0};
    if (cluster_records_list(&s->cluster, &records, err) == -1)
        return -1;
    const struct cluster_record *r = NULL;
    int rc = find_record(s, &records, name, &r, err);
    if (rc == 0 && !r) {
        rc = find_in_region(s, name, out, err);
    } else if (rc == 0 && !cluster_record_is_ssh(r) && !s->cluster.aws &&
               session_connect(s, r->region, err) == -1) {
        rc = -1;
    } else if (rc == 0) {
        *out = (struct target){
            .name = mem_dup(r->name),
            .creator = mem_dup(r->creator),
            .region = mem_dup(r->region),
            .username = mem_dup(r->username),
            .key_path = mem_dup(r->key_path),
            .ssh_port = r->ssh_port,
            .recorded = true,
        };
    }
    cluster_records_done(&records);
    return rc;
}

int target_open(struct session *s, const char *word, struct target *out, struct err *err)
{
    struct str w = str_of(word);
    bool is_file = str_ends(w, ".yaml") || str_ends(w, ".yml") || strchr(word, '/');
    return is_file ? open_file(s, word, out, err) : open_name(s, word, out, err);
}

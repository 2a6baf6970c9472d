/* See reach.h. */
#include "cli/reach.h"
#include "base/mem.h"
#include "os/fs.h"
#include "ssh/openssh.h"
#include <stdlib.h>
#include <string.h>

int reach_open(struct reach *r, struct cli *cli, const char *word, const char *on, struct err *err)
{
    *r = (struct reach){0};
    session_init(&r->session, cli);
    struct cluster *c = &r->session.cluster;
    if (target_open(&r->session, word, &r->target, err) == -1)
        return -1;
    if (cluster_observe(c, r->target.creator, r->target.name, &r->hosts, err) == -1)
        return -1;
    if (!r->hosts.count) {
        if (!c->aws) {
            cli_hint(cli, "flambe %s", word);
            return err_set(err, ERR_NOT_FOUND,
                           "this machine has not set up '%s' yet, and so does not know it",
                           r->target.name);
        }
        cli_hint(cli, "flambe FILE, which makes it");
        return err_set(err, ERR_NOT_FOUND, "'%s' is not up: no machine of it is in %s",
                       r->target.name, aws_region(c->aws));
    }
    if (hosts_pick(&r->target, &r->hosts, on, &r->picked, err) == -1)
        return -1;
    return cluster_targets(c, r->target.creator, r->target.name, &r->picked, r->target.username,
                           r->target.ssh_port, &r->targets, err);
}

void reach_done(struct reach *r)
{
    cluster_targets_done(&r->targets);
    free(r->picked.items);
    cluster_hosts_done(&r->hosts);
    target_done(&r->target);
    session_done(&r->session);
}

const struct ssh_target *reach_target(const struct reach *r, size_t picked)
{
    for (size_t i = 0; i < r->targets.count; i++)
        if (r->targets.host_index[i] == picked)
            return &r->targets.items[i];
    return NULL;
}

const char *reach_name(const struct reach *r, size_t picked)
{
    return host_short_name(r->target.name, &r->picked.items[picked]);
}

void reach_no_address(const struct reach *r, size_t picked, struct err *err)
{
    err_set(err, ERR_UNREACHABLE, "it is %s and has no address",
            ec2_state_name(r->picked.items[picked].state));
}

int reach_ssh_options(struct reach *r, size_t picked, struct strv *out, struct err *err)
{
    struct ssh_identity *id = NULL; /* says what is wrong with the key better than ssh does */
    if (target_load_identity(r->session.cli, &r->target, &id, err) == -1)
        return -1;
    ssh_identity_free(id);
    AUTO_FREE char *known =
        cluster_known_hosts_path(&r->session.cluster, r->target.creator, r->target.name);
    const char *chosen = r->session.cli->opt.identity;
    AUTO_FREE char *key = chosen ? fs_expand_home(chosen) : mem_dup(r->target.key_path);
    openssh_options(&(struct openssh_trust){.known_hosts = known,
                                            .alias = r->picked.items[picked].instance_id,
                                            .key = key},
                    out);
    return 0;
}

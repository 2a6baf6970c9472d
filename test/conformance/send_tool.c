/* Sends an experiment's files as the verbs do, without running it.
 *
 *   send_tool CLUSTER FILE [SECRETS]   to the cluster's hosts; prints where things are
 *                                      there, and how long it took over the connection it has by
 * then send_tool list FILE                prints what would be sent, each name with a NUL behind it
 */
#include "base/json.h"
#include "base/mem.h"
#include "cli/node_link.h"
#include "cli/send.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int load(const char *path, struct experiment *e, struct strv *resources, struct err *err)
{
    struct experiment_options options = {.machine = {.cpus = 64}, .seed = 1, .on_cluster = true};
    struct diags diags;
    int rc = experiment_load(path, &options, e, &diags, err);
    struct buf said = {0};
    diags_print(&diags, false, &said);
    if (rc == -1)
        fprintf(stderr, "%s", buf_text(&said));
    buf_done(&said);
    diags_done(&diags);
    for (size_t i = 0; rc == 0 && i < e->resource_count; i++)
        strv_add(resources, e->resources[i].location);
    return rc;
}

static int list(const struct experiment *e, const char *working, const struct strv *resources,
                struct err *err)
{
    struct loop *loop = loop_new();
    struct manifest m = {0};
    struct manifest_options o = {.loop = loop, .working = working, .resources = resources};
    int rc = manifest_make(e, &o, &m, err);
    if (rc == 0)
        fwrite(buf_text(&m.names), 1, m.names.len, stdout);
    manifest_done(&m);
    loop_free(loop);
    return rc;
}

static int send_all(struct cli *cli, const char *cluster, const struct send_order *o,
                    struct err *err)
{
    struct node_link l = {0};
    struct manifest m = {0};
    struct send_order order = *o;
    order.session = &l.session;
    int rc = node_link_open_all(&l, cli, cluster, 0, err);
    usec_t began = clock_mono(clock_system());
    if (rc == 0)
        rc = send_experiment(&l.reach, &order, &m, err);
    if (m.remote) {
        json_t *value = json_pack("{s:s, s:O, s:O, s:I, s:I, s:f}", "remote", m.remote, "resources",
                                  m.resources, "extensions", m.extensions, "files",
                                  (json_int_t)m.files, "bytes", (json_int_t)m.bytes, "seconds",
                                  (double)(clock_mono(clock_system()) - began) / 1e6);
        output_json(&cli->out, value);
    }
    manifest_done(&m);
    node_link_done(&l);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct command command = {.name = "send"};
    struct cli cli = {.command = &command, .out = {.fd = STDOUT_FILENO}};
    struct experiment e = {0};
    struct strv resources = {0};
    struct err err = {0};
    if (argc < 3 || argc > 4)
        return 2;
    console_init(&cli.screen, STDERR_FILENO, false);
    cli.opt.yes = getenv("SEND_YES") != NULL;
    char *working = getcwd(NULL, 0);
    struct send_order o = {.experiment = &e,
                           .working = working,
                           .resources = &resources,
                           .secrets = argc > 3 ? argv[3] : NULL};
    int rc = load(argv[2], &e, &resources, &err);
    if (rc == 0) {
        rc = strcmp(argv[1], "list") == 0 ? list(&e, working, &resources, &err)
                                          : send_all(&cli, argv[1], &o, &err);
        experiment_done(&e);
    }
    if (rc == -1)
        fprintf(stderr, "send_tool: %s\n", err.msg);
    for (size_t i = 0; i < cli.hints.count; i++)
        fprintf(stderr, "try: %s\n", cli.hints.items[i]);
    strv_done(&cli.hints);
    strv_done(&resources);
    console_done(&cli.screen);
    free(working);
    return rc == -1 ? err_exit_status(err.code) : 0;
}

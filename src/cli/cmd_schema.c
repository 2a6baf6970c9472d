/* flambe schema [WHAT]: the JSON Schema of a cluster's or an experiment's file. */
#include "cli/commands.h"
#include "cluster/spec.h"
#include "experiment/spec.h"
#include <string.h>

static int run(struct cli *cli, struct err *err)
{
    const char *what = cli->args.count ? cli->args.items[0] : "cluster";
    if (strcmp(what, "cluster") == 0)
        output_json(&cli->out, cluster_schema_json());
    else if (strcmp(what, "experiment") == 0)
        output_json(&cli->out, experiment_schema_json());
    else
        return err_set(err, ERR_USAGE, "there is no schema of '%s'; there are: cluster, experiment",
                       what);
    return 0;
}

static const char *const examples[] = {"flambe schema > aws-cluster.schema.json",
                                       "flambe schema experiment > experiment.schema.json", NULL};

const struct command cmd_schema = {
    .name = "schema",
    .usage = "[cluster|experiment]",
    .summary = "write the JSON Schema of a cluster or experiment file",
    .help =
        "Writes the JSON Schema (draft 2020-12) of a cluster's file, or of an experiment's, made "
        "from the same tables as the parser. Editors use it to complete and check keys.",
    .examples = examples,
    .max = 1,
    .complete = "",
    .run = run,
};

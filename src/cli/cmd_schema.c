/* flambe schema: the JSON Schema of a cluster file. */
#include "cli/commands.h"
#include "cluster/spec.h"

static int run(struct cli *cli, struct err *err)
{
    (void)err;
    output_json(&cli->out, schema_to_json(&cluster_schema));
    return 0;
}

static const char *const examples[] = {"flambe schema > aws-cluster.schema.json", NULL};

const struct command cmd_schema = {
    .name = "schema",
    .usage = "",
    .summary = "write the JSON Schema of a cluster file",
    .help = "Writes the JSON Schema (draft 2020-12) of a cluster file, made from the same table as "
            "the parser. Editors use it to complete and check keys.",
    .examples = examples,
    .complete = "",
    .run = run,
};

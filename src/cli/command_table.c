/* See commands.h. What every table of verbs has: options, and finding a verb by its name. */
#include "base/mem.h"
#include "cli/commands.h"
#include <string.h>

static const char *const formats[] = {"text", "json", "csv", NULL};
static const char *const colors[] = {"auto", "always", "never", NULL};

#define FIELD(name) offsetof(struct cli_options, name)

static const struct option_row global_rows[] = {
    {"help", 'h', OPTION_FLAG, NULL, NULL, "show help, of the command where one is given",
     FIELD(help)},
    {"version", 0, OPTION_FLAG, NULL, NULL, "show the version", FIELD(version)},
    {"yes", 'y', OPTION_FLAG, NULL, NULL, "answer yes to the question before something is done",
     FIELD(yes)},
    {"output", 'o', OPTION_TEXT, "FORMAT", formats,
     "how results are written on standard output: text, json, or csv of 'flambe results'",
     FIELD(output)},
    {"verbose", 'v', OPTION_COUNT, NULL, NULL,
     "show each call to AWS on standard error; twice, show more", FIELD(verbose)},
    {"region", 0, OPTION_TEXT, "REGION", NULL,
     "the AWS region, over the cluster file's and the environment's", FIELD(region)},
    {"profile", 0, OPTION_TEXT, "NAME", NULL,
     "the profile of ~/.aws to use, over the keys in the environment", FIELD(profile)},
    {"color", 0, OPTION_TEXT, "WHEN", colors, "color the output: auto, always or never",
     FIELD(color)},
};
const struct option_table global_options = {global_rows, COUNT_OF(global_rows)};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

const char *command_nearest(const char *name)
{
    AUTO_FREE const char **names = mem_array(command_count + 1, sizeof *names);
    for (size_t i = 0; i < command_count; i++)
        names[i] = commands[i]->name;
    return str_nearest(name, names, command_count);
}

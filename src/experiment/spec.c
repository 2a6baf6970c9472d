/* The keys of an experiment's file, one row each, and the document around them. What the single
 * keys of many parts mean is read in sections.c. */
#include "experiment/spec.h"
#include "base/mem.h"
#include "experiment/reference.h"
#include "experiment/refuse.h"
#include "experiment/sections_priv.h"
#include "os/fs.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct experiment, field)

static const struct schema_key keys[] = {
    {.name = "name",
     .type = SCHEMA_STRING,
     .required = true,
     .min = 1,
     .max = 100,
     .pattern = "^[a-zA-Z0-9][a-zA-Z0-9_-]*$",
     .pattern_help = "letters, digits, '-' and '_', beginning with a letter or digit",
     .example = "my-experiment",
     .help = "The experiment's name, which its results bear",
     .offset = AT(name)},
    {.name = "pipeline",
     .type = SCHEMA_NODE,
     .required = true,
     .kind = "a map of stages",
     .example = "{train: !Script {script: train.py}}",
     .help = "The stages, in the order in which they run; each is a !Script or a !Command",
     .offset = AT(pipeline)},
    {.name = "save_path",
     .type = SCHEMA_STRING,
     .fallback = "./flambe-output",
     .min = 1,
     .max = 4096,
     .help = "The directory of the results, which are in 'output__NAME' there",
     .offset = AT(save_path)},
    {.name = "resume",
     .type = SCHEMA_NODE,
     .kind = "a stage, or a list",
     .help = "Take from the earlier run this stage and all before it, or exactly the stages of the "
             "list",
     .offset = AT(resume)},
    {.name = "devices",
     .type = SCHEMA_NODE,
     .kind = "a map of cpu and gpu",
     .help = "What each trial gets; without it 1 CPU, and 1 GPU where there is one",
     .offset = AT(devices_node)},
    {.name = "resources",
     .type = SCHEMA_NODE,
     .kind = "a map of keys",
     .help = "Names for local paths and for http, https and s3 URLs, for links: '!@ NAME'",
     .offset = AT(resources_node)},
    {.name = "search",
     .type = SCHEMA_NODE,
     .kind = "a map of stages",
     .help =
         "How a stage's trials are chosen: !grid, every variant; !random, at random; !optuna, by "
         "a sampler of Optuna's. !ray.BasicVariantGenerator means !grid",
     .offset = AT(search)},
    {.name = "schedulers",
     .type = SCHEMA_NODE,
     .kind = "a map of stages",
     .help = "Which of a stage's trials are stopped early: !asha or !fifo; the names "
             "!ray.ASHAScheduler, !ray.AsyncHyperBandScheduler and !ray.HyperBandScheduler mean "
             "!asha",
     .offset = AT(schedulers)},
    {.name = "reduce",
     .type = SCHEMA_NODE,
     .kind = "a map of stages",
     .help = "How many of a stage's trials later stages see, the best ones",
     .offset = AT(reduce)},
    {.name = "max_failures",
     .type = SCHEMA_INT,
     .fallback = "1",
     .min = -1,
     .max = 1000000,
     .help = "How often a failed trial is tried again; -1 without end",
     .offset = AT(max_failures)},
    {.name = "stop_on_failure",
     .type = SCHEMA_BOOL,
     .fallback = "true",
     .help = "Whether the experiment ends behind a stage of which a trial failed",
     .offset = AT(stop_on_failure)},
    {.name = "merge_plot",
     .type = SCHEMA_BOOL,
     .fallback = "true",
     .help =
         "Taken for the original's sake, without effect: programs write event files of their own",
     .offset = AT(merge_plot)},
    {.name = "seed",
     .type = SCHEMA_INT,
     .fallback = "-1",
     .min = -1,
     .max = INT_MAX,
     .help = "What the draws of !s depend on; -1: another one each time",
     .offset = AT(seed)},
};

const struct schema experiment_schema = {"!Experiment", "an experiment", keys, COUNT_OF(keys)};

size_t experiment_stage(const struct experiment *e, struct str name)
{
    size_t i = 0;
    while (i < e->stage_count && !str_is(name, e->stages[i].name))
        i++;
    return i;
}

/* ---- the document -----------------------------------------------------------------------------
 */

/* Whether the document is meant to be an experiment; says what is wrong with its tag. */
static bool check_document_tag(const struct yaml_node *root, struct diags *diags)
{
    const char *wanted = experiment_schema.tag;
    if (!root->tag) {
        refuse(diags, root->at, mem_dup("the file does not say what it describes"),
               mem_printf("write %s on a line of its own above the first key", wanted));
        return root->kind == YAML_MAP;
    }
    if (strcmp(root->tag, wanted) == 0)
        return true;
    AUTO_FREE char *shown = diag_quote(str_of(root->tag));
    if (refuse_suggest(str_of(root->tag), &wanted, 1)) {
        refuse(diags, root->at, mem_printf("unknown tag %s", shown),
               mem_printf("did you mean '%s'?", wanted));
        return true;
    }
    refuse(diags, root->at, mem_printf("%s is no experiment", shown),
           mem_printf("allowed: %s", wanted));
    return false;
}

static void read_sections(struct experiment *e, const struct experiment_options *options,
                          struct diags *diags)
{
    sections_resources(e, options->resources, diags);
    sections_pipeline(e, diags);
    sections_devices(e, &options->machine, diags);
    sections_resume(e, diags);
    sections_reduce(e, diags);
    sections_tuners(e, diags);
    reference_check(e, diags);
}

static void read_documents(struct experiment *e, const struct experiment_options *options,
                           struct diags *diags)
{
    const struct yaml_file *file = &e->file;
    if (file->document_count == 0) {
        refuse(diags, (struct span){0}, mem_dup("the file is empty"),
               mem_printf("begin with a line %s", experiment_schema.tag));
        return;
    }
    const struct yaml_node *root = file->documents[file->document_count - 1];
    const struct yaml_node *first = file->documents[0];
    if (root != first && first->tag && strcmp(first->tag, experiment_schema.tag) == 0) {
        refuse(diags, root->at, mem_dup("a document behind the experiment"),
               mem_dup("remove it; the extensions, a map of modules, come before the experiment"));
        root = first;
    } else if (root != first) {
        sections_extensions(e, first, options->extensions, diags);
    }
    if (!check_document_tag(root, diags))
        return;
    schema_read(&experiment_schema, root, diags, e, NULL);
    if (root->kind != YAML_MAP)
        return;
    e->drawn_with = e->seed >= 0 ? (uint64_t)e->seed : options->seed;
    read_sections(e, options, diags);
}

int experiment_parse(const char *path, struct str text, const struct experiment_options *options,
                     struct experiment *out, struct diags *diags, struct err *err)
{
    diags_init(diags, path, text);
    struct experiment e = {.path = mem_dup(path), .on_cluster = options->on_cluster};
    if (yaml_parse(text, diags, &e.file, err) != 0) {
        free(e.path);
        return -1;
    }
    read_documents(&e, options, diags);
    if (diags_check(diags, err) != 0) {
        experiment_done(&e);
        return -1;
    }
    *out = e;
    return 0;
}

int experiment_load(const char *path, const struct experiment_options *options,
                    struct experiment *out, struct diags *diags, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    if (fs_read_user_file(path, "an experiment's file", YAML_BYTES_MAX, &text, err) != 0) {
        diags_init(diags, path, STR(""));
        return -1;
    }
    return experiment_parse(path, buf_view(&text), options, out, diags, err);
}

void experiment_done(struct experiment *e)
{
    for (size_t i = 0; i < e->stage_count; i++)
        stage_done(&e->stages[i]);
    for (size_t i = 0; i < e->resource_count; i++)
        resource_done(&e->resources[i]);
    for (size_t i = 0; i < e->extension_count; i++) {
        free(e->extensions[i].module);
        free(e->extensions[i].source);
    }
    free(e->stages);
    free(e->resources);
    free(e->extensions);
    free(e->path);
    schema_free(&experiment_schema, e);
    yaml_done(&e->file);
    *e = (struct experiment){0};
}
